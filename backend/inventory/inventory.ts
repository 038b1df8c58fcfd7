/**
 * The inventory: which instances there are, as AWS tells it, kept in our rows. Access policies are built from these rows
 * only (threats RQ-01). A place that cannot be read keeps what was known of it and says what is wrong.
 */
import { AwsProblem } from '../aws/errors.ts';
import type { FoundInstance, Ssm } from '../aws/ssm.ts';
import type { AccountConfig } from '../config.ts';
import type { Log } from '../log.ts';
import { recordChange } from '../store/changes.ts';
import type { InstanceRow } from '../store/instances.ts';
import type { Db, Tx } from '../store/open.ts';

export type InventoryDeps = {
  /** The store's `reconcile` pool. */
  db: Db;
  ssm: Pick<Ssm, 'findInstances'>;
  accounts: readonly AccountConfig[];
  intervalMs: number;
  now: () => Date;
  log: Log;
};

export type Inventory = {
  /** Reads every place now, or joins the refresh that runs. Never rejects: what failed stands with its place. */
  refresh: () => Promise<void>;
  /** Resolves when a running refresh is done. */
  stop: () => Promise<void>;
};

type Place = { accountId: string; accountName: string; region: string };

/** PostgreSQL takes no NUL in text, and nobody should see other controls: AWS tags are text of strangers (threats RQ-16). */
const shown = (text: string): string => text.replaceAll(/\p{Cc}/gu, ' ').slice(0, 256);

const shownTags = (tags: Record<string, string>): Record<string, string> =>
  Object.fromEntries(Object.entries(tags).map(([key, value]) => [shown(key), shown(value)]));

const tagText = (tags: Record<string, string>): string =>
  JSON.stringify(Object.entries(tags).toSorted(([a], [b]) => (a < b ? -1 : 1)));

const differs = (row: InstanceRow | undefined, found: FoundInstance, place: Place): boolean =>
  row === undefined ||
  row.gone_at !== null ||
  row.online !== found.online ||
  row.name !== shown(found.name) ||
  row.platform !== found.platform ||
  row.account_name !== place.accountName ||
  tagText(row.tags) !== tagText(shownTags(found.tags));

/** Instances a place reports at once: each becomes a row of eleven parameters, and Postgres takes 65,535. */
const rowsAtOnce = 1000;

const keepFound = async (tx: Tx, place: Place, found: readonly FoundInstance[], now: Date): Promise<void> => {
  for (let from = 0; from < found.length; from += rowsAtOnce) {
    await tx
      .insertInto('instances')
      .values(
        found.slice(from, from + rowsAtOnce).map((instance) => ({
          account_id: place.accountId,
          region: place.region,
          instance_id: instance.instanceId,
          account_name: place.accountName,
          name: shown(instance.name),
          kind: instance.kind,
          platform: instance.platform,
          tags: JSON.stringify(shownTags(instance.tags)),
          online: instance.online,
          first_seen_at: now,
          checked_at: now,
          gone_at: null,
        })),
      )
      .onConflict((conflict) =>
        // `first_seen_at` stays: it says since when we know the instance.
        conflict.columns(['account_id', 'region', 'instance_id']).doUpdateSet((eb) => ({
          account_name: eb.ref('excluded.account_name'),
          name: eb.ref('excluded.name'),
          platform: eb.ref('excluded.platform'),
          tags: eb.ref('excluded.tags'),
          online: eb.ref('excluded.online'),
          checked_at: eb.ref('excluded.checked_at'),
          gone_at: null,
        })),
      )
      .execute();
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

/** Writes what a place reports. @returns true when people would see a difference. */
const keepInstances = (db: Db, place: Place, found: readonly FoundInstance[], now: Date): Promise<boolean> =>
  db.transaction().execute(async (tx) => {
    const rows = await tx
      .selectFrom('instances')
      .selectAll()
      .where('account_id', '=', place.accountId)
      .where('region', '=', place.region)
      .execute();
    const known = new Map(rows.map((row) => [row.instance_id, row]));
    const present = new Set(found.map(({ instanceId }) => instanceId));
    const gone = rows.filter((row) => row.gone_at === null && !present.has(row.instance_id));
    const different = found.filter((one) => differs(known.get(one.instanceId), one, place));
    const changed = gone.length > 0 || different.length > 0;
    await keepFound(tx, place, different, now);
    if (gone.length > 0) {
      await tx
        .updateTable('instances')
        .set({ gone_at: now, online: false })
        .where('account_id', '=', place.accountId)
        .where('region', '=', place.region)
        .where(
          'instance_id',
          'in',
          gone.map(({ instance_id }) => instance_id),
        )
        .execute();
    }
    await tx
      .updateTable('instances')
      .set({ checked_at: now })
      .where('account_id', '=', place.accountId)
      .where('region', '=', place.region)
      .where('gone_at', 'is', null)
      .execute();
    const health = await keepPlace(tx, place, { problem: null, checkedAt: now });
    if (changed || health) await recordChange(tx, { topic: 'inventory', ref: null, audience: null });
    return changed;
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

const refreshPlace = async (deps: InventoryDeps, place: Place): Promise<void> => {
  try {
    const found = await deps.ssm.findInstances(place.accountId, place.region);
    await keepInstances(deps.db, place, found, deps.now());
  } catch (error) {
    deps.log.error({ error, ...place }, 'an inventory place could not be read');
    const problem = error instanceof AwsProblem ? error.advice : 'Curfew had a fault. Its admin finds it in the log.';
    await keepProblem(deps.db, place, problem);
  }
};

const refreshAll = async (deps: InventoryDeps): Promise<void> => {
  const places = placesOf(deps.accounts);
  const next = async (): Promise<void> => {
    for (let place = places.shift(); place !== undefined; place = places.shift()) await refreshPlace(deps, place);
  };
  await Promise.all(Array.from({ length: placesAtOnce }, next));
};

/** Refreshes at once, then at intervals. */
export const startInventory = (deps: InventoryDeps): Inventory => {
  let running: Promise<void> | null = null;
  const refresh = (): Promise<void> => {
    running ??= refreshAll(deps)
      .catch((error: unknown) => deps.log.error({ error }, 'the inventory could not be written'))
      .finally(() => {
        running = null;
      });
    return running;
  };
  const timer = setInterval(() => void refresh(), deps.intervalMs);
  void refresh();
  return {
    refresh,
    stop: async () => {
      clearInterval(timer);
      await running;
    },
  };
};
