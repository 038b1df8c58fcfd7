/** How the backends on this database fare: who lives, whose clock is how far off, and how much waits. */
import type { SystemHealth } from '../../src/shared/views.ts';
import { readDue } from '../reconcile/due.ts';
import { listBackends } from '../store/backends.ts';
import type { ApiDeps } from './deps.ts';

/** A number that no backend has: what is due for nobody in particular. */
const nobody = 0;

/** For admins only: the caller sees to that. */
export const readHealth = async ({
  db,
  now,
  awsClocks,
}: Pick<ApiDeps, 'db' | 'now' | 'awsClocks'>): Promise<SystemHealth> => {
  const backends = await listBackends(db);
  const { waiting } = await readDue(db, nobody, now());
  return {
    backends: backends.map(({ name, version, startedAt, clockAheadMs }) => ({
      name,
      version,
      since: startedAt.toISOString(),
      clockAheadMs,
    })),
    clocks: awsClocks().map(({ accountId, accountName, ms, unsureMs }) => ({
      accountId,
      accountName,
      aheadMs: ms,
      unsureMs,
    })),
    due: waiting,
  };
};
