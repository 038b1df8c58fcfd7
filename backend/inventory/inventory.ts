/**
 * The inventory: which instances there are, as AWS tells it, kept in our rows. Access policies are built from these rows
 * only (threats RQ-01). A place that cannot be read keeps what was known of it and says what is wrong.
 *
 * Which instances there are and whether they answer is SSM's list, read often. Tags are EC2's: some 5 kB of XML for each instance, of which
 * we want the tags. So those of instances that are known are read less often, those of new ones at once.
 */
import { AwsProblem } from '../aws/errors.ts';
import type { ManagedInstance, Ssm, Tags } from '../aws/ssm.ts';
import type { AccountConfig } from '../config.ts';
import type { Log } from '../log.ts';
import { takeDuty } from '../store/backends.ts';
import { recordChange } from '../store/changes.ts';
import type { InstanceRow } from '../store/instances.ts';
import type { Db, Tx } from '../store/open.ts';

export type InventoryDeps = {
  /** The store's `reconcile` pool. */
  db: Db;
  ssm: Pick<Ssm, 'managedInstances' | 'tagsOf'>;
  accounts: readonly AccountConfig[];
  /** Milliseconds between two readings of SSM's list, by whichever backend. */
  intervalMs: number;
  /** Milliseconds between two readings of all tags of a place. */
  tagsMs: number;
  now: () => Date;
  log: Log;
};

export type Inventory = {
  /** Reads every place now with all tags, or joins such a refresh. Never rejects: what failed stands with its place. */
  refresh: () => Promise<void>;
  /** Resolves when a running refresh is done. */
  stop: () => Promise<void>;
};

type Place = { accountId: string; accountName: string; region: string };

/** PostgreSQL takes no NUL in text, and nobody should see other controls: AWS tags are text of strangers (threats RQ-16). */
const shown = (text: string): string => text.replaceAll(/\p{Cc}/gu, ' ').slice(0, 256);

const shownTags = (tags: Record<string, string>): Record<string, string> =>
  Object.fromEntries(Object.entries(tags).map(([key, value]) => [shown(key), shown(value)]));

const tagText = (tags: Tags): string => JSON.stringify(Object.entries(tags).toSorted(([a], [b]) => (a < b ? -1 : 1)));

/** `tags` null: they were not read, so that the name which the tag `Name` gives is not known either. */
type Found = ManagedInstance & { tags: Tags | null };

const nameOf = (found: Found): string => shown(found.tags?.['Name'] ?? found.name);

const differs = (row: InstanceRow | undefined, found: Found, place: Place): boolean =>
  row === undefined ||
  row.gone_at !== null ||
  row.online !== found.online ||
  row.platform !== found.platform ||
  row.account_name !== place.accountName ||
  (found.tags !== null && (row.name !== nameOf(found) || tagText(row.tags) !== tagText(shownTags(found.tags))));

/** Instances a place reports at once: each becomes a row of twelve parameters, and Postgres takes 65,535. */
const rowsAtOnce = 1000;

/** Rows that were read later than this stay as they are. */
const keepFound = async (tx: Tx, place: Place, found: readonly Found[], readAt: Date): Promise<void> => {
  for (const [withTags, alike] of Map.groupBy(found, ({ tags }) => tags !== null)) {
    for (let from = 0; from < alike.length; from += rowsAtOnce) {
      await tx
        .insertInto('instances')
        .values(
          alike.slice(from, from + rowsAtOnce).map((instance) => ({
            account_id: place.accountId,
            region: place.region,
            instance_id: instance.instanceId,
            account_name: place.accountName,
            name: nameOf(instance),
            kind: instance.kind,
            platform: instance.platform,
            tags: JSON.stringify(shownTags(instance.tags ?? {})),
            online: instance.online,
            first_seen_at: readAt,
            checked_at: readAt,
            gone_at: null,
          })),
        )
        .onConflict((conflict) =>
          // `first_seen_at` stays: it says since when we know the instance.
          conflict
            .columns(['account_id', 'region', 'instance_id'])
            .doUpdateSet((eb) => ({
              account_name: eb.ref('excluded.account_name'),
              platform: eb.ref('excluded.platform'),
              online: eb.ref('excluded.online'),
              checked_at: eb.ref('excluded.checked_at'),
              gone_at: null,
              ...(withTags ? { name: eb.ref('excluded.name'), tags: eb.ref('excluded.tags') } : {}),
            }))
            .whereRef('instances.checked_at', '<=', 'excluded.checked_at'),
        )
        .execute();
    }
  }
};

/** Keeps the health of a place. @returns true when it changed. */
const keepPlace = async (tx: Tx, place: Place, health: { problem: string | null; checkedAt: Date | null }) => {
  const before = await tx
    .selectFrom('inventory_places')
    .selectAll()
    .where('account_id', '=', place.accountId)
    .where('region', '=', place.region)
    .executeTakeFirst();
  const checkedAt = health.checkedAt ?? before?.checked_at ?? null;
  await tx
    .insertInto('inventory_places')
    .values({
      account_id: place.accountId,
      region: place.region,
      account_name: place.accountName,
      checked_at: checkedAt,
      problem: health.problem,
    })
    .onConflict((conflict) =>
      conflict.columns(['account_id', 'region']).doUpdateSet({
        account_name: place.accountName,
        checked_at: checkedAt,
        problem: health.problem,
      }),
    )
    .execute();
  return before === undefined || before.problem !== health.problem;
};

const rowsOf = (db: Db, place: Place) =>
  db
    .selectFrom('instances')
    .selectAll()
    .where('account_id', '=', place.accountId)
    .where('region', '=', place.region)
    .execute();

/** Writes what a place reports. @param readAt when the reading began: nothing in it is older. */
const keepInstances = (db: Db, place: Place, found: readonly Found[], readAt: Date): Promise<void> =>
  db.transaction().execute(async (tx) => {
    const rows = await rowsOf(tx, place);
    const known = new Map(rows.map((row) => [row.instance_id, row]));
    const present = new Set(found.map(({ instanceId }) => instanceId));
    const gone = rows.filter((row) => row.gone_at === null && !present.has(row.instance_id));
    const different = found.filter((one) => differs(known.get(one.instanceId), one, place));
    await keepFound(tx, place, different, readAt);
    if (gone.length > 0) {
      await tx
        .updateTable('instances')
        .set({ gone_at: readAt, online: false })
        .where('account_id', '=', place.accountId)
        .where('region', '=', place.region)
        .where('checked_at', '<=', readAt)
        .where(
          'instance_id',
          'in',
          gone.map(({ instance_id }) => instance_id),
        )
        .execute();
    }
    await tx
      .updateTable('instances')
      .set({ checked_at: readAt })
      .where('account_id', '=', place.accountId)
      .where('region', '=', place.region)
      .where('gone_at', 'is', null)
      .where('checked_at', '<', readAt)
      .execute();
    const health = await keepPlace(tx, place, { problem: null, checkedAt: readAt });
    if (gone.length > 0 || different.length > 0 || health) {
      await recordChange(tx, { topic: 'inventory', ref: null, audience: null });
    }
  });

const keepProblem = (db: Db, place: Place, problem: string): Promise<void> =>
  db.transaction().execute(async (tx) => {
    const changed = await keepPlace(tx, place, { problem, checkedAt: null });
    if (changed) await recordChange(tx, { topic: 'inventory', ref: null, audience: null });
  });

const placesOf = (accounts: readonly AccountConfig[]): Place[] =>
  accounts.flatMap(({ id, name, regions }) => regions.map((region) => ({ accountId: id, accountName: name, region })));

/** How many places are read at the same time. */
const placesAtOnce = 4;

/** `now`: all of it, whoever read it last. `when-due`: what no backend has read lately. */
type Reading = 'now' | 'when-due';

/** What is there, with the tags of all of it or of what nobody knew. */
const findAll = async ({ db, ssm }: InventoryDeps, place: Place, allTags: boolean): Promise<Found[]> => {
  const { accountId, region } = place;
  const managed = await ssm.managedInstances(accountId, region);
  const rows = allTags ? [] : await rowsOf(db, place);
  const known = new Set(rows.flatMap((row) => (row.gone_at === null ? [row.instance_id] : [])));
  const unknown = managed.filter(({ instanceId }) => !known.has(instanceId));
  const ofEc2 = unknown.flatMap(({ kind, instanceId }) => (kind === 'ec2' ? [instanceId] : []));
  const tags = await ssm.tagsOf(accountId, region, ofEc2);
  return managed.map((one) => ({
    ...one,
    tags: known.has(one.instanceId) ? null : (tags.get(one.instanceId) ?? {}),
  }));
};

const refreshPlace = async (deps: InventoryDeps, place: Place, reading: Reading): Promise<void> => {
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
    await keepInstances(db, place, await findAll(deps, place, allTags), readAt);
  } catch (error) {
    log.error({ error, ...place }, 'an inventory place could not be read');
    const problem = error instanceof AwsProblem ? error.advice : 'Curfew had a fault. Its admin finds it in the log.';
    await keepProblem(db, place, problem);
    // Whoever reads next reads them.
    if (allTags) await db.deleteFrom('duties').where('name', '=', `tags/${where}`).execute();
  }
};

const refreshAll = async (deps: InventoryDeps, reading: Reading): Promise<void> => {
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
  let running: { reading: Reading; done: Promise<void> } | null = null;
  const read = (reading: Reading): Promise<void> => {
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
  return {
    refresh: () => read('now'),
    stop: async () => {
      clearInterval(timer);
      await running?.done;
    },
  };
};
