/** The access portal (service `sso`): which accounts and roles a person has, and credentials for one (aws-facts 1.8). */

import { callerOfSession } from '../authorization/caller.ts';
import type { CredentialStore } from '../authorization/credential-store.ts';
import type { IamState } from '../iam/state.ts';
import { AwsError } from '../service.ts';
import { reservedRoleName, type World, type WorldPerson } from '../world.ts';
import type { SignInState } from './sign-in-state.ts';

export type Portal = ReturnType<typeof createPortal>;

const unauthorised = () => new AwsError('UnauthorizedException', 'Session token not found or invalid', 401);

/** Operations take the bearer token and the query, and throw AwsError. */
export const createPortal = (options: {
  world: World;
  state: SignInState;
  iam: IamState;
  credentials: CredentialStore;
  now: () => Date;
}) => {
  const { world, state, now } = options;

  const signedIn = (bearer: string | undefined): { person: WorldPerson; portalSessionId: string } => {
    const token = state.accessTokens.get(bearer ?? '');
    const portalSession = token && state.portalSessions.get(token.portalSessionId);
    const person = world.people.find((one) => one.id === portalSession?.personId);
    const nowMs = now().getTime();
    if (!token || !portalSession || token.expiresAtMs <= nowMs || portalSession.endsAtMs <= nowMs) throw unauthorised();
    if (!person?.enabled) throw unauthorised();
    return { person, portalSessionId: portalSession.id };
  };

  /** What groups give this person: one line for each permission set and account. */
  const assignmentsOf = (person: WorldPerson) =>
    world.permissionSets.flatMap((set) =>
      set.assignments
        .filter((assignment) => assignment.groups.some((group) => person.groups.includes(group)))
        .map((assignment) => ({ set, assignment })),
    );

  const pageOf = <T>(items: T[], query: URLSearchParams): { items: T[]; nextToken: string | undefined } => {
    const wanted = Number(query.get('max_result') ?? '100');
    const start = Number(query.get('next_token') ?? '0');
    if (!Number.isInteger(wanted) || wanted < 1 || wanted > 100 || !Number.isInteger(start) || start < 0) {
      throw new AwsError('InvalidRequestException', 'Invalid paging', 400);
    }
    const end = start + wanted;
    return { items: items.slice(start, end), nextToken: end < items.length ? String(end) : undefined };
  };

  return {
    listAccounts(bearer: string | undefined, query: URLSearchParams) {
      const { person } = signedIn(bearer);
      const mine = new Set(assignmentsOf(person).map(({ assignment }) => assignment.account));
      const { items, nextToken } = pageOf(
        world.accounts.filter((account) => mine.has(account.id)),
        query,
      );
      return {
        accountList: items.map(({ id, name, email }) => ({ accountId: id, accountName: name, emailAddress: email })),
        nextToken,
      };
    },

    listAccountRoles(bearer: string | undefined, query: URLSearchParams) {
      const { person } = signedIn(bearer);
      const accountId = query.get('account_id') ?? '';
      const roles = assignmentsOf(person).filter(({ assignment }) => assignment.account === accountId);
      if (roles.length === 0) throw new AwsError('ForbiddenException', 'No access', 403);
      const { items, nextToken } = pageOf(roles, query);
      return { roleList: items.map(({ set }) => ({ roleName: set.name, accountId })), nextToken };
    },

    /** The person becomes a session of the permission set's role, named by userName, with `identitystore:UserId` on it. */
    getRoleCredentials(bearer: string | undefined, query: URLSearchParams) {
      const { person } = signedIn(bearer);
      const accountId = query.get('account_id') ?? '';
      const found = assignmentsOf(person).find(
        ({ set, assignment }) => assignment.account === accountId && set.name === query.get('role_name'),
      );
      const role = found && options.iam.role(accountId, reservedRoleName(found.set.name, found.assignment.suffix));
      if (!found || !role) throw new AwsError('ForbiddenException', 'No access', 403);
      const caller = callerOfSession({
        role,
        sessionName: person.userName,
        contextKeys: {
          'identitystore:UserId': [person.id],
          'identitystore:IdentityStoreArn': [
            `arn:aws:identitystore:::identitystore/${world.organisation.identityStoreId}`,
          ],
          'aws:PrincipalOrgID': [world.organisation.organisationId],
        },
      });
      const issued = options.credentials.mint({
        caller,
        expiresAt: new Date(now().getTime() + found.set.sessionSeconds * 1000),
      });
      return {
        roleCredentials: {
          accessKeyId: issued.accessKeyId,
          secretAccessKey: issued.secretAccessKey,
          sessionToken: issued.sessionToken,
          expiration: issued.expiration.getTime(),
        },
      };
    },

    /** Ends the portal session; role credentials already issued live on, as in AWS. */
    logout(bearer: string | undefined) {
      state.endPortalSession(signedIn(bearer).portalSessionId);
      return {};
    },
  };
};
