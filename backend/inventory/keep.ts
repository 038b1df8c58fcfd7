/**
 * Keeps what AWS tells about the instances of one place in our rows. What was read earlier than what stands there never takes its place:
 * several backends read, and each reading takes its time.
 */

import { sql } from 'kysely';
import type { TagChange } from '../../src/shared/access.ts';
import { limits } from '../../src/shared/limits.ts';
import type { ManagedInstance, Tags } from '../aws/ssm.ts';
import { recordChange } from '../store/changes.ts';
import type { InstanceRow } from '../store/instances.ts';
import type { Db, Tx } from '../store/open.ts';

export type Place = { accountId: string; accountName: string; region: string };

/** `tags` null: they were not read, so that the name which the tag `Name` gives is not known either. */
export type Found = ManagedInstance & { tags: Tags | null };

/** One reading of a place. */
export type Reading = {
  found: readonly Found[];
  /** When it began: nothing in it is older. */
  readAt: Date;
  /** The only ones that were asked for; null: all of the place. */
  only: readonly string[] | null;
  /** Keys of the tags that rules trust: changes of these are remembered (threats RQ-07). */
  trustedTags: readonly string[];
};

/** PostgreSQL takes no NUL in text, and nobody should see other controls: AWS tags are text of strangers (threats RQ-16). */
const shown = (text: string): string => text.replaceAll(/\p{Cc}/gu, ' ').slice(0, 256);

const shownTags = (tags: Tags): Tags =>
  Object.fromEntries(Object.entries(tags).map(([key, value]) => [shown(key), shown(value)]));

const sortedText = (tags: Tags): string =>
  JSON.stringify(Object.entries(tags).toSorted(([a], [b]) => (a < b ? -1 : 1)));

/** As many changes of one instance as are remembered: the newest. */
const changesKept = 10;

/** What is remembered of an instance's trusted tags after a reading: there and back are two changes. */
const changesAfter = (row: InstanceRow, tags: Tags, { trustedTags, readAt }: Reading): TagChange[] => {
  const at = readAt.toISOString();
  const fresh = trustedTags.flatMap((key): TagChange[] => {
    const [from, to] = [row.tags[key] ?? null, tags[key] ?? null];
    return from === to ? [] : [{ key, from, to, at }];
  });
  const since = readAt.getTime() - limits.tagChangeSeconds * 1000;
  return [...row.tag_changes.filter((one) => Date.parse(one.at) > since), ...fresh].slice(-changesKept);
};

type Fields = Pick<
  InstanceRow,
  'account_name' | 'name' | 'platform' | 'tags' | 'online' | 'checked_at' | 'gone_at' | 'tags_read_at' | 'tag_changes'
>;

const newFields = (found: Found, place: Place, { readAt }: Reading): Fields => ({
  account_name: place.accountName,
  name: shown(found.tags?.['Name'] ?? found.name),
  platform: found.platform,
  tags: shownTags(found.tags ?? {}),
  online: found.online,
  checked_at: readAt,
  gone_at: null,
  tags_read_at: found.tags === null ? null : readAt,
  tag_changes: [],
});

/** The row as this reading leaves it. Tags are read less often than the list, so each of the two has its own time. */
const fieldsAfter = (
  row: InstanceRow,
  place: Place,
  { found, reading }: { found: Found; reading: Reading },
): Fields => {
  const { readAt } = reading;
  const read = newFields(found, place, reading);
  const listedAt = row.gone_at === null || row.gone_at < row.checked_at ? row.checked_at : row.gone_at;
  const tagsAreNewer = found.tags !== null && (row.tags_read_at === null || row.tags_read_at <= readAt);
  const { tags, name } = tagsAreNewer ? read : row;
  const { account_name, platform, online, gone_at } = listedAt <= readAt ? read : row;
  return {
    ...{ account_name, platform, online, gone_at, tags, name },
    checked_at: listedAt <= readAt ? readAt : row.checked_at,
    tags_read_at: tagsAreNewer ? readAt : row.tags_read_at,
    tag_changes: tagsAreNewer ? changesAfter(row, tags, reading) : row.tag_changes,
  };
};

/** Would people see, or rules judge, any of it differently? When it was read is not of that kind. */
const differs = (row: InstanceRow, fields: Fields): boolean =>
  row.gone_at?.getTime() !== fields.gone_at?.getTime() ||
  row.online !== fields.online ||
  row.platform !== fields.platform ||
  row.account_name !== fields.account_name ||
  row.name !== fields.name ||
  sortedText(row.tags) !== sortedText(fields.tags);

type Kept = { found: Found; fields: Fields };

/** Instances a place reports at once: each becomes a row of fourteen parameters, and Postgres takes 65,535. */
const rowsAtOnce = 1000;

const writeRows = async (tx: Tx, place: Place, kept: readonly Kept[]): Promise<void> => {
  for (let from = 0; from < kept.length; from += rowsAtOnce) {
    await tx
      .insertInto('instances')
      .values(
        kept.slice(from, from + rowsAtOnce).map(({ found, fields }) => ({
          ...fields,
          account_id: place.accountId,
          region: place.region,
          instance_id: found.instanceId,
          kind: found.kind,
          tags: JSON.stringify(fields.tags),
          tag_changes: JSON.stringify(fields.tag_changes),
          first_seen_at: fields.checked_at,
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
          gone_at: eb.ref('excluded.gone_at'),
          tags_read_at: eb.ref('excluded.tags_read_at'),
          tag_changes: eb.ref('excluded.tag_changes'),
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

/** Rows of a place; only these when ids are given. */
export const rowsOf = (db: Db, place: Place, only: readonly string[] | null): Promise<InstanceRow[]> =>
  db
    .selectFrom('instances')
    .selectAll()
    .where('account_id', '=', place.accountId)
    .where('region', '=', place.region)
    .$if(only !== null, (query) => query.where('instance_id', 'in', ['', ...(only ?? [])]))
    .execute();

/** Whoever keeps something of a place does so alone: what is compared with the rows must still stand there when it is written. */
const lockPlace = (tx: Tx, { accountId, region }: Place) =>
  sql`select pg_advisory_xact_lock(hashtextextended(${`inventory/${accountId}/${region}`}, 0))`.execute(tx);

/** Says that the rest of what was asked for is as it was. */
const touch = (tx: Tx, place: Place, { found, readAt, only }: Reading) =>
  tx
    .updateTable('instances')
    .set({ checked_at: readAt, ...(found.every(({ tags }) => tags !== null) ? { tags_read_at: readAt } : {}) })
    .where('account_id', '=', place.accountId)
    .where('region', '=', place.region)
    .where('gone_at', 'is', null)
    .where('checked_at', '<', readAt)
    .$if(only !== null, (query) => query.where('instance_id', 'in', ['', ...(only ?? [])]))
    .execute();

const markGone = (tx: Tx, place: Place, ids: readonly string[], readAt: Date) =>
  tx
    .updateTable('instances')
    .set({ gone_at: readAt, online: false })
    .where('account_id', '=', place.accountId)
    .where('region', '=', place.region)
    .where('checked_at', '<=', readAt)
    .where('instance_id', 'in', ids)
    .execute();

/** Writes what a reading of a place told; says so when people would see a difference. */
export const keepReading = (db: Db, place: Place, reading: Reading): Promise<void> =>
  db.transaction().execute(async (tx) => {
    const { found, readAt, only } = reading;
    await lockPlace(tx, place);
    const known = new Map((await rowsOf(tx, place, only)).map((row) => [row.instance_id, row]));
    const present = new Set(found.map(({ instanceId }) => instanceId));
    const gone = [...known.values()].filter((row) => row.gone_at === null && !present.has(row.instance_id));
    const different = found.flatMap((one): Kept[] => {
      const row = known.get(one.instanceId);
      if (row === undefined) return [{ found: one, fields: newFields(one, place, reading) }];
      const fields = fieldsAfter(row, place, { found: one, reading });
      return differs(row, fields) ? [{ found: one, fields }] : [];
    });
    await writeRows(tx, place, different);
    const lost = gone.map(({ instance_id }) => instance_id);
    if (lost.length > 0) await markGone(tx, place, lost, readAt);
    await touch(tx, place, reading);
    // The health of a place is that of reading all of it.
    const health = only === null && (await keepPlace(tx, place, { problem: null, checkedAt: readAt }));
    if (gone.length > 0 || different.length > 0 || health) {
      await recordChange(tx, { topic: 'inventory', ref: null, audience: null });
    }
  });

/** Writes why a place could not be read; what was known of it stays. */
export const keepProblem = (db: Db, place: Place, problem: string): Promise<void> =>
  db.transaction().execute(async (tx) => {
    const changed = await keepPlace(tx, place, { problem, checkedAt: null });
    if (changed) await recordChange(tx, { topic: 'inventory', ref: null, audience: null });
  });
