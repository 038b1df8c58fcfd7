/** Instances for tests, as a refresh of the inventory would have left them. */
import type { InstanceRef } from '../../src/shared/access.ts';
import type { Db } from '../store/open.ts';

export type TestInstance = InstanceRef & { name: string; env: string; team: string };

/** Puts instances into the inventory: online Linux machines on EC2. */
export const putInstances = async (db: Db, instances: readonly TestInstance[]): Promise<void> => {
  const at = new Date();
  await db
    .insertInto('instances')
    .values(
      instances.map(({ accountId, region, instanceId, name, env, team }) => ({
        account_id: accountId,
        region,
        instance_id: instanceId,
        account_name: accountId,
        name,
        kind: 'ec2' as const,
        platform: 'Linux' as const,
        tags: JSON.stringify({ env, team }),
        online: true,
        first_seen_at: at,
        checked_at: at,
        gone_at: null,
      })),
    )
    .execute();
};
