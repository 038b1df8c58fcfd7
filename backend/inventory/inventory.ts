/**
 * The inventory: which instances there are, as AWS tells it, kept in our rows. Access policies are built from these rows
 * only (threats RQ-01). A place that cannot be read keeps what was known of it and says what is wrong.
 *
 * Which instances there are and whether they answer is SSM's list, read often. Tags are EC2's: some 5 kB of XML for each instance, of which
 * we want the tags. So those of instances that are known are read less often, those of new ones at once.
 */
import { AwsProblem } from '../aws/errors.ts';
import type { Ssm } from '../aws/ssm.ts';
import type { AccountConfig } from '../config.ts';
import type { Log } from '../log.ts';
import { takeDuty } from '../store/backends.ts';
import type { Db } from '../store/open.ts';
import { type Found, keepProblem, keepReading, type Place, rowsOf } from './keep.ts';
import { createLookAgain, type LookAgain } from './look-again.ts';

export type InventoryDeps = {
  /** The store's `reconcile` pool. */
  db: Db;
  ssm: Pick<Ssm, 'managedInstances' | 'tagsOf'>;
  accounts: readonly AccountConfig[];
  /** Milliseconds between two readings of SSM's list, by whichever backend. */
  intervalMs: number;
  /** Milliseconds between two readings of all tags of a place. */
  tagsMs: number;
  /** Keys of the tags that rules trust. */
  trustedTags: readonly string[];
  /** How long somebody waits for a second look, milliseconds. */
  patienceMs: number;
  now: () => Date;
  log: Log;
};

export type Inventory = {
  /** Reads every place now with all tags, or joins such a refresh. Never rejects: what failed stands with its place. */
  refresh: () => Promise<void>;
  /** Reads these instances now, for somebody who waits. */
  lookAgain: LookAgain;
  /** Resolves when what is being read is written. */
  stop: () => Promise<void>;
};

const placesOf = (accounts: readonly AccountConfig[]): Place[] =>
  accounts.flatMap(({ id, name, regions }) => regions.map((region) => ({ accountId: id, accountName: name, region })));

/** How many places are read at the same time. */
const placesAtOnce = 4;

/** `now`: all of it, whoever read it last. `when-due`: what no backend has read lately. */
type When = 'now' | 'when-due';

/** What is there, with the tags of all of it or of what nobody knew. */
const findAll = async ({ db, ssm }: InventoryDeps, place: Place, allTags: boolean): Promise<Found[]> => {
  const { accountId, region } = place;
  const managed = await ssm.managedInstances(accountId, region);
  const rows = allTags ? [] : await rowsOf(db, place, null);
  const known = new Set(rows.flatMap((row) => (row.gone_at === null ? [row.instance_id] : [])));
  const unknown = managed.filter(({ instanceId }) => !known.has(instanceId));
  const ofEc2 = unknown.flatMap(({ kind, instanceId }) => (kind === 'ec2' ? [instanceId] : []));
  const tags = await ssm.tagsOf(accountId, region, ofEc2);
  return managed.map((one) => ({
    ...one,
    tags: known.has(one.instanceId) ? null : (tags.get(one.instanceId) ?? {}),
  }));
};

const refreshPlace = async (deps: InventoryDeps, place: Place, reading: When): Promise<void> => {
  const { db, intervalMs, tagsMs, now, log } = deps;
  const where = `${place.accountId}/${place.region}`;
  const due = async (what: string, everyMs: number): Promise<boolean> => {
    const taken = await takeDuty(db, `${what}/${where}`, reading === 'now' ? 0 : everyMs);
    return taken || reading === 'now';
  };
  // One backend reads a place for all of them.
  if (!(await due('inventory', intervalMs * 0.8))) return;
  const allTags = await due('tags', tagsMs * 0.9);
  const readAt = now();
  try {
    const found = await findAll(deps, place, allTags);
    await keepReading(db, place, { found, readAt, only: null, trustedTags: deps.trustedTags });
  } catch (error) {
    log.error({ error, ...place }, 'an inventory place could not be read');
    const problem = error instanceof AwsProblem ? error.advice : 'Curfew had a fault. Its admin finds it in the log.';
    await keepProblem(db, place, problem);
    // Whoever reads next reads them.
    if (allTags) await db.deleteFrom('duties').where('name', '=', `tags/${where}`).execute();
  }
};

const refreshAll = async (deps: InventoryDeps, reading: When): Promise<void> => {
  const places = placesOf(deps.accounts);
  const next = async (): Promise<void> => {
    for (let place = places.shift(); place !== undefined; place = places.shift()) {
      await refreshPlace(deps, place, reading);
    }
  };
  await Promise.all(Array.from({ length: placesAtOnce }, next));
};

/** Refreshes at once, then at intervals. */
export const startInventory = (deps: InventoryDeps): Inventory => {
  let running: { reading: When; done: Promise<void> } | null = null;
  const read = (reading: When): Promise<void> => {
    const before = running;
    if (before !== null && (before.reading === 'now' || reading === 'when-due')) return before.done;
    const done = (before?.done ?? Promise.resolve())
      .then(() => refreshAll(deps, reading))
      .catch((error: unknown) => deps.log.error({ error }, 'the inventory could not be written'))
      .finally(() => {
        if (running?.done === done) running = null;
      });
    running = { reading, done };
    return done;
  };
  const timer = setInterval(() => void read('when-due'), deps.intervalMs);
  void read('now');
  const again = createLookAgain(deps, placesOf(deps.accounts));
  return {
    refresh: () => read('now'),
    lookAgain: again.look,
    stop: async () => {
      clearInterval(timer);
      await running?.done;
      await again.done();
    },
  };
};
