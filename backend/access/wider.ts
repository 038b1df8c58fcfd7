/** Whom a yes reaches besides the person who asked: an IAM group gives to all of its members (threats RQ-20). */
import type { InstanceRef } from '../../src/shared/access.ts';
import type { GroupReach } from '../../src/shared/group-reach.ts';
import type { AccessDeps } from './deps.ts';

/** One entry for each account whose access policies hang on a group, in order of the account ids; empty elsewhere. */
export const gatherWider = async (
  deps: Pick<AccessDeps, 'groupReach'>,
  instances: readonly InstanceRef[],
): Promise<GroupReach[]> => {
  const accounts = [...new Set(instances.map((instance) => instance.accountId))].sort();
  const reaches = await Promise.all(accounts.map((accountId) => deps.groupReach(accountId)));
  return reaches.filter((reach) => reach !== null);
};
