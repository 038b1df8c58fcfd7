/** Identity Center: can people sign in, and can the people with access be read? */
import { createDirectory } from '../aws/directory.ts';
import { awsProblem } from '../aws/errors.ts';
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
  'These credentials need identitystore:GetUserId, DescribeUser, GetGroupId, DescribeGroup, ListGroupMemberships and ' +
  'ListGroupMembershipsForMember, and must belong to the account of Identity Center or its delegated administrator ' +
  '(directory.identityStoreId: IAM Identity Center console, Settings, Identity source).';

/** One finding a group; fills `members`. */
export async function* checkGroups(
  config: Pick<Config, 'directory'>,
  probe: Pick<Probe, 'groupExists'>,
  members: Members,
): AsyncGenerator<Finding, void, void> {
  const { identityStoreId, region, groups, adminGroup } = identityStoreOf(config);
  const directory = createDirectory({ identityStoreId, region, now: () => new Date(), remember: async () => {} });
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
}
