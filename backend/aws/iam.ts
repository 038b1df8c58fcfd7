/** IAM as the backend uses it: access policies, and reading the roles, users and groups that they hang on. */
import {
  GetGroupCommand,
  GetRoleCommand,
  GetUserCommand,
  ListRolePoliciesCommand,
  ListRolesCommand,
  ListUsersCommand,
  type Role,
} from '@aws-sdk/client-iam';
import type { PersonalRole } from '../../src/shared/views.ts';
import {
  personalRoleTemplate,
  type RolePerson,
  type RoleSetting,
  roleAdvice,
  roleDifferences,
  type SeenRole,
} from '../access-policy/personal-role.ts';
import { type PolicyHolder, peoplePath, personalRoleArn } from '../access-policy/principal.ts';
import { accountOf, type Config, identityStoreOf } from '../config.ts';
import { type AccessDocuments, createAccessDocuments } from './access-documents.ts';
import type { Broker } from './broker.ts';
import { AwsProblem } from './errors.ts';
import { allPages } from './pages.ts';

/** An IAM user as far as access on it needs. */
export type SeenUser = { arn: string; userId: string; boundaryArn: string | null };
/** An IAM user as a list tells it. */
export type FoundUser = { arn: string; name: string };
/** An IAM group with its members' ARNs. */
export type SeenGroup = { arn: string; members: Array<{ arn: string; userId: string; userName: string }> };

/** All of it throws AwsProblem when AWS says no for good. Names of roles, users and groups come without their path. */
export type Iam = {
  /** The documents of access policies: what is there, and changing it. */
  documents: AccessDocuments;
  /** The user as it is now; null when there is none of that name. */
  readUser: (accountId: string, userName: string) => Promise<SeenUser | null>;
  /** The user of that UserId, whatever its name is now; null when there is none. Dear: IAM has no other way than to list all users. */
  findUser: (accountId: string, userId: string) => Promise<FoundUser | null>;
  /** The group as it is now; null when there is none of that name. */
  readGroup: (accountId: string, groupName: string) => Promise<SeenGroup | null>;
  /** The role as it is now; null when there is none of that name. */
  readRole: (accountId: string, roleName: string) => Promise<SeenRole | null>;
  /** Names of all inline policies; empty when the role is not there. */
  inlinePolicies: (accountId: string, roleName: string) => Promise<string[]>;
  /** Names of all roles under the path of personal roles. */
  personalRoles: (accountId: string) => Promise<string[]>;
  /** RoleId (`AROA…`) of an Identity Center role of that name, if it stands under the reserved path (threats ID-07). */
  reservedRoleId: (accountId: string, roleName: string) => Promise<string | null>;
};

const seenRole = (role: Role): SeenRole => ({
  name: role.RoleName ?? '',
  path: role.Path ?? '',
  // IAM gives documents back URL-encoded (aws-facts 3.4).
  trust: decodeURIComponent(role.AssumeRolePolicyDocument ?? ''),
  boundaryArn: role.PermissionsBoundary?.PermissionsBoundaryArn ?? null,
  tags: Object.fromEntries((role.Tags ?? []).map(({ Key, Value }) => [Key ?? '', Value ?? ''])),
});

/** The value, or `otherwise` when AWS says that what was named does not exist. */
const unlessGone = async <T, F>(work: Promise<T>, otherwise: F): Promise<T | F> => {
  try {
    return await work;
  } catch (error) {
    if (error instanceof AwsProblem && error.kind === 'gone') return otherwise;
    throw error;
  }
};

export const createIam = (broker: Broker): Iam => {
  const rolesUnder = (accountId: string, path: string): Promise<Role[]> => {
    const { iam, call } = broker.account(accountId);
    return allPages(async (token) => {
      const input = { PathPrefix: path, MaxItems: 1000, ...(token === undefined ? {} : { Marker: token }) };
      const page = await call('iam:ListRoles', 'iam-read', () => iam.send(new ListRolesCommand(input)));
      return { items: page.Roles ?? [], next: page.IsTruncated ? page.Marker : undefined };
    });
  };

  const personalRoles = async (accountId: string): Promise<string[]> =>
    (await rolesUnder(accountId, peoplePath)).flatMap(({ RoleName }) => (RoleName === undefined ? [] : [RoleName]));

  const readUser = async (accountId: string, userName: string): Promise<SeenUser | null> => {
    const { iam, call } = broker.account(accountId);
    const work = call('iam:GetUser', 'iam-read', () => iam.send(new GetUserCommand({ UserName: userName })));
    const user = (await unlessGone(work, null))?.User;
    if (user?.Arn === undefined || user.UserId === undefined) return null;
    const boundaryArn = user.PermissionsBoundary?.PermissionsBoundaryArn ?? null;
    return { arn: user.Arn, userId: user.UserId, boundaryArn };
  };

  const readGroup = async (accountId: string, groupName: string): Promise<SeenGroup | null> => {
    const { iam, call } = broker.account(accountId);
    let arn: string | null = null;
    const work = allPages(async (token) => {
      const input = { GroupName: groupName, ...(token === undefined ? {} : { Marker: token }) };
      const page = await call('iam:GetGroup', 'iam-read', () => iam.send(new GetGroupCommand(input)));
      arn = page.Group?.Arn ?? null;
      const members = (page.Users ?? []).flatMap(({ Arn, UserId, UserName }) =>
        Arn === undefined || UserId === undefined || UserName === undefined
          ? []
          : [{ arn: Arn, userId: UserId, userName: UserName }],
      );
      return { items: members, next: page.IsTruncated ? page.Marker : undefined };
    });
    const members = await unlessGone(work, null);
    return members === null || arn === null ? null : { arn, members };
  };

  const isThere = async ({ accountId, kind, name }: PolicyHolder): Promise<boolean> => {
    if (kind === 'role') return (await personalRoles(accountId)).includes(name);
    return (await (kind === 'group' ? readGroup : readUser)(accountId, name)) !== null;
  };

  /**
   * The value, or `otherwise` when there is no such role, user or group, or nothing of that name on it. IAM judges what is not there by an
   * ARN without path, which our rights do not cover, and answers AccessDenied: then the list of roles tells, or GetUser and GetGroup, which
   * we may on all.
   */
  const unlessHolderGone = async <T, F>(holder: PolicyHolder, work: Promise<T>, otherwise: F): Promise<T | F> => {
    try {
      return await unlessGone(work, otherwise);
    } catch (error) {
      const denied = error instanceof AwsProblem && error.code === 'AccessDenied';
      if (denied && !(await isThere(holder))) return otherwise;
      throw error;
    }
  };
  const role = (accountId: string, name: string): PolicyHolder => ({ accountId, kind: 'role', name });
  const documents = createAccessDocuments(broker, unlessHolderGone);

  return {
    readRole: async (accountId, roleName) => {
      const { iam, call } = broker.account(accountId);
      const work = call('iam:GetRole', 'iam-read', () => iam.send(new GetRoleCommand({ RoleName: roleName })));
      const answer = await unlessHolderGone(role(accountId, roleName), work, null);
      return answer?.Role === undefined ? null : seenRole(answer.Role);
    },
    documents,
    readUser,
    findUser: async (accountId, userId) => {
      const { iam, call } = broker.account(accountId);
      const [found] = await allPages(async (token) => {
        const input = { MaxItems: 1000, ...(token === undefined ? {} : { Marker: token }) };
        const page = await call('iam:ListUsers', 'iam-read', () => iam.send(new ListUsersCommand(input)));
        const items = (page.Users ?? []).flatMap(({ Arn: arn, UserId, UserName: name }) =>
          UserId !== userId || arn === undefined || name === undefined ? [] : [{ arn, name }],
        );
        return { items, next: items.length === 0 && page.IsTruncated ? page.Marker : undefined };
      });
      return found ?? null;
    },
    readGroup,
    inlinePolicies: (accountId, roleName) => {
      const { iam, call } = broker.account(accountId);
      const work = allPages(async (token) => {
        const input = { RoleName: roleName, ...(token === undefined ? {} : { Marker: token }) };
        const page = await call('iam:ListRolePolicies', 'iam-read', () => iam.send(new ListRolePoliciesCommand(input)));
        return { items: page.PolicyNames ?? [], next: page.IsTruncated ? page.Marker : undefined };
      });
      return unlessHolderGone(role(accountId, roleName), work, []);
    },
    personalRoles,
    reservedRoleId: async (accountId, roleName) => {
      const roles = await rolesUnder(accountId, '/aws-reserved/sso.amazonaws.com/');
      return roles.find(({ RoleName }) => RoleName === roleName)?.RoleId ?? null;
    },
  };
};

/** What the template of personal roles takes from the configuration. @throws when the account is not configured. */
export const roleSetting = (
  config: Pick<Config, 'partition' | 'signIn' | 'directory' | 'accounts'>,
  accountId: string,
): RoleSetting => {
  return {
    partition: config.partition,
    accountId,
    identityStoreId: identityStoreOf(config).identityStoreId,
    ssoRegion: config.signIn.ssoRegion,
    permissionSet: config.signIn.permissionSet,
    signInAccounts: config.signIn.accounts,
    boundaryArn: accountOf(config, accountId).boundaryArn,
  };
};

const minuteMs = 60_000;
/** A role that is there stays there: 2,500 open apps that look at 20 accounts each minute would be 40 calls a second in each. */
const shownLivesMs = 15 * minuteMs;

/** `to-act`: somebody asks or connects. `to-show`: it is only told, and may be older. */
export type RoleCheck = (accountId: string, person: RolePerson, why?: 'to-act' | 'to-show') => Promise<PersonalRole>;

type CheckDeps = {
  config: Pick<Config, 'partition' | 'signIn' | 'directory' | 'accounts'>;
  iam: Pick<Iam, 'readRole' | 'readUser' | 'readGroup'>;
};
type Place = { accountId: string; accountName: string };

const checkRole = async ({ config, iam }: CheckDeps, place: Place, person: RolePerson): Promise<PersonalRole> => {
  const { accountId, accountName } = place;
  const setting = roleSetting(config, accountId);
  const template = personalRoleTemplate(setting, person);
  const seen = await iam.readRole(accountId, template.name);
  if (seen === null) {
    const advice =
      `${person.userName} has no personal role in ${accountName} yet. An AWS admin makes it by running the Curfew ` +
      'provisioner (npm run provision); the person must be in one of its configured groups.';
    return { ...place, state: 'missing', advice };
  }
  const differences = roleDifferences(template, seen);
  if (differences.length > 0) {
    return { ...place, state: 'not-ours', advice: roleAdvice(template, accountName, differences) };
  }
  return { ...place, state: 'ready', roleArn: personalRoleArn(setting.partition, accountId, template.name) };
};

/** The person is an IAM user: it must be there, be the one who signed in, and have the boundary. */
const checkUser = async ({ config, iam }: CheckDeps, place: Place, person: RolePerson): Promise<PersonalRole> => {
  const { boundaryArn } = accountOf(config, place.accountId);
  const user = await iam.readUser(place.accountId, person.userName);
  const called = `IAM user ${person.userName} in ${place.accountName}`;
  if (user === null) return { ...place, state: 'missing', advice: `There is no ${called}. An AWS admin makes it.` };
  if (user.userId !== person.id) {
    return { ...place, state: 'not-ours', advice: `The ${called} is not who signed in. Sign in again.` };
  }
  if (user.boundaryArn !== boundaryArn) {
    const advice = `The ${called} has not the permissions boundary of Curfew. An AWS admin sets it to ${boundaryArn}.`;
    return { ...place, state: 'not-ours', advice };
  }
  return { ...place, state: 'ready', roleArn: user.arn };
};

/** An IAM group carries the access: it must be there, and the person in it. No boundary can fence it (aws-facts 3.1). */
const checkGroup = async (
  { iam }: CheckDeps,
  { group: name, ...place }: Place & { group: string },
  person: RolePerson,
): Promise<PersonalRole> => {
  const group = await iam.readGroup(place.accountId, name);
  const called = `IAM group ${name} in ${place.accountName}`;
  if (group === null) return { ...place, state: 'missing', advice: `There is no ${called}. An AWS admin makes it.` };
  if (!group.members.some(({ userId }) => userId === person.id)) {
    const advice = `${person.userName} is not in the ${called}. An AWS admin adds them.`;
    return { ...place, state: 'missing', advice };
  }
  return { ...place, state: 'ready', roleArn: group.arn };
};

/**
 * Is there what would carry this person's access in this account: a role of ours, or (by the configuration) their IAM user or
 * a group of theirs? `roleArn` of a ready answer is the ARN of that. To act, ready answers are kept for 60 s (the reconciler checks
 * anew before every write anyway); others are asked again each time, because somebody is about to mend them. To show, ready ones are kept
 * for 15 min, others for 60 s; whatever is asked to act is known to show at once.
 */
export const createRoleCheck = (options: CheckDeps & { now: () => Date }): RoleCheck => {
  const { config, now } = options;
  const known = new Map<string, { at: number; role: PersonalRole }>();
  const livesMs = (role: PersonalRole, why: 'to-act' | 'to-show'): number => {
    if (why === 'to-show') return role.state === 'ready' ? shownLivesMs : minuteMs;
    return role.state === 'ready' ? minuteMs : 0;
  };
  const ask = (accountId: string, person: RolePerson): Promise<PersonalRole> => {
    const { name: accountName, principal } = accountOf(config, accountId);
    const place = { accountId, accountName };
    switch (principal.kind) {
      case 'role':
        return checkRole(options, place, person);
      case 'user':
        return checkUser(options, place, person);
      case 'group':
        return checkGroup(options, { ...place, group: principal.group }, person);
    }
  };
  return async (accountId, person, why = 'to-act') => {
    const key = `${accountId}/${person.id}`;
    const held = known.get(key);
    if (held !== undefined && now().getTime() - held.at < livesMs(held.role, why)) return held.role;
    const role = await ask(accountId, person);
    known.set(key, { at: now().getTime(), role });
    return role;
  };
};
