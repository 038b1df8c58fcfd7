/** Identity Center: can people sign in, and can the people with access be read? */
import type { Broker } from '../aws/broker.ts';
import { createDirectory } from '../aws/directory.ts';
import { awsProblem } from '../aws/errors.ts';
import { createIamUsers } from '../aws/iam-users.ts';
import type { Probe } from '../aws/probe.ts';
import { type Config, identityStoreOf } from '../config.ts';
import type { PersonFacts } from '../store/people.ts';
import { counted, type Finding, look, notOk, ok } from './finding.ts';

const area = 'Identity Center';

export const checkOidc = (config: Pick<Config, 'signIn'>, probe: Pick<Probe, 'registerClient'>): Promise<Finding> =>
  look(
    { area, check: 'sign-in' },
    'signIn.ssoRegion must be Identity Center’s home region: IAM Identity Center console, Settings, Details, Region.',
    async () => {
      await probe.registerClient();
      return ok(`OIDC answers in ${config.signIn.ssoRegion}`);
    },
  );

/** Enabled members of the configured groups, each once; empty until `checkGroups` has run to its end. */
export type Members = Map<string, PersonFacts>;

const directoryAdvice =
  'These credentials need identitystore:GetUserId, DescribeUser, ListUsers, GetGroupId, DescribeGroup, ListGroups, ListGroupMemberships and ' +
  'ListGroupMembershipsForMember, and must belong to the account of Identity Center or its delegated administrator ' +
  '(directory.identityStoreId: IAM Identity Center console, Settings, Identity source).';

const listsAdvice =
  'These credentials need identitystore:ListUsers and ListGroups too (deploy/curfew-identities.yml). Without them Curfew works, but asks about ' +
  'each person by itself: with hundreds of people, approvers are known minutes late and leavers are found late.';

const iamUsersAdvice =
  'The broker role needs iam:GetGroup, iam:GetUser and iam:ListGroupsForUser on the users and groups of the account (deploy/curfew-account.yml).';

/** One finding for each IAM group and sign-in account; fills `members` with the people of the configured groups. */
export async function* checkIamGroups(
  config: Pick<Config, 'directory' | 'signIn'>,
  broker: Broker,
  members: Members,
): AsyncGenerator<Finding, void, void> {
  const { groups, adminGroup } = config.directory;
  const now = () => new Date();
  for (const accountId of config.signIn.accounts) {
    const users = createIamUsers({ broker, accounts: [accountId], groups, now, remember: async () => {} });
    for (const group of new Set([...groups, adminGroup])) {
      const where = { area: `IAM users of ${accountId}`, check: `group ${group}` };
      yield await look(where, iamUsersAdvice, async () => {
        const { members: all } = await users.reach(accountId, group);
        const found = await users.membersOf(group);
        if (found.length === 0) {
          return notOk(
            all === 0
              ? 'there is no such IAM group, or nobody is in it'
              : `its ${counted(all, 'member')} may not use Curfew`,
            `Make the IAM group in ${accountId}, and put users into it and into ${groups.join(' or ')}.`,
          );
        }
        if (groups.includes(group)) for (const person of found) members.set(person.id, person);
        return ok(counted(found.length, 'user'));
      });
    }
  }
}

type GroupsDeps = {
  config: Pick<Config, 'directory'>;
  probe: Pick<Probe, 'groupExists' | 'listDirectory'>;
  /** Whose credentials these are: the provisioner reads people one by one. */
  as: 'backend' | 'provisioner';
};

/** One finding a group, and one about lists for the backend; fills `members`. */
export async function* checkGroups(
  { config, probe, as }: GroupsDeps,
  members: Members,
): AsyncGenerator<Finding, void, void> {
  const { identityStoreId, region, groups, adminGroup } = identityStoreOf(config);
  const directory = createDirectory({
    identityStoreId,
    region,
    groups: as === 'backend' ? groups : [],
    adminGroup,
    now: () => new Date(),
    remember: async () => {},
  });
  for (const group of new Set([...groups, adminGroup])) {
    const setting = groups.includes(group) ? 'directory.groups' : 'directory.adminGroup';
    yield await look({ area, check: `group ${group}` }, directoryAdvice, async () => {
      if (!(await probe.groupExists(group))) {
        return notOk(
          `${identityStoreId} has no such group`,
          `Make the group in Identity Center (console, Groups), or mend ${setting} or directory.identityStoreId.`,
        );
      }
      const found = await directory.membersOf(group).catch((error: unknown) => {
        throw awsProblem('identitystore:ListGroupMemberships', error);
      });
      if (found.length === 0) {
        return notOk('nobody enabled is in it', `Put people into ${group} (IAM Identity Center console, Groups).`);
      }
      if (groups.includes(group)) for (const person of found) members.set(person.id, person);
      return ok(counted(found.length, 'enabled member'));
    });
  }
  // Without anybody the identity store itself is wrong, and that was said.
  if (as === 'provisioner' || members.size === 0) return;
  yield await look({ area, check: 'lists of people and groups' }, listsAdvice, async () => {
    await probe.listDirectory();
    return ok('can be read in bulk');
  });
}
