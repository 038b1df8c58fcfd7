/** Instances as the inventory last saw them. */
import { type Expression, type ExpressionBuilder, type Selectable, type SqlBool, sql } from 'kysely';
import { type Instance, type InstanceRef, refKey } from '../../src/shared/access.ts';
import type { Db } from './open.ts';
import { instantOf } from './rows.ts';
import type { Schema } from './schema.ts';

export type InstanceRow = Selectable<Schema['instances']>;

export const refOfRow = (row: { account_id: string; region: string; instance_id: string }): InstanceRef => ({
  accountId: row.account_id,
  region: row.region,
  instanceId: row.instance_id,
});

type Times = 'first_seen_at' | 'checked_at' | 'gone_at';
/** What is kept of an instance for the inventory and for judging alone. */
type Kept = 'tags_read_at' | 'tag_changes';

/** An instance within another row, as JSON: its instants are texts. */
type InnerInstance = Omit<InstanceRow, Times | Kept> & {
  first_seen_at: string;
  checked_at: string;
  gone_at: string | null;
};

/** A row that is gone from the inventory is never online. */
export const instanceOf = (row: InstanceRow | InnerInstance): Instance => ({
  ...refOfRow(row),
  accountName: row.account_name,
  name: row.name,
  kind: row.kind,
  platform: row.platform,
  tags: row.tags,
  online: row.online && row.gone_at === null,
  firstSeenAt: instantOf(row.first_seen_at),
  checkedAt: instantOf(row.checked_at),
});

type InstanceWhere = (eb: ExpressionBuilder<Schema, 'instances'>) => Expression<SqlBool>;

/** Instances in the inventory now (not those that are gone), by name. */
export const loadInstances = async (db: Db, where?: InstanceWhere): Promise<Instance[]> => {
  const rows = await db
    .selectFrom('instances')
    .selectAll()
    .where('gone_at', 'is', null)
    .$if(where !== undefined, (query) => query.where((eb) => where?.(eb) ?? eb.lit(true)))
    .orderBy('name')
    .orderBy('instance_id')
    .execute();
  return rows.map(instanceOf);
};

/**
 * The inventory kept in memory: thousands of rows are read again only when one of them was written, by whichever backend. What tells
 * is each row's `xmin`, the transaction that wrote it (PostgreSQL, System Columns). The same list object as long as nothing changed.
 */
export const createInventoryCopy = (db: Db): (() => Promise<readonly Instance[]>) => {
  let copy: { version: string; instances: readonly Instance[] } | null = null;
  return async () => {
    const { version } = await db
      .selectFrom('instances')
      .select(sql<string>`count(*) || ' ' || coalesce(sum(hashint8extended(xmin::text::bigint, 0)), 0)`.as('version'))
      .where('gone_at', 'is', null)
      .executeTakeFirstOrThrow();
    if (copy?.version === version) return copy.instances;
    // Read after the version: at worst it is newer than that says, and read once more.
    const instances = await loadInstances(db);
    copy = { version, instances };
    return instances;
  };
};

/** The named instances by `refKey`, also those that are gone. What is not in the inventory is left out. */
export const loadInstancesByRef = async (db: Db, refs: readonly InstanceRef[]): Promise<Map<string, InstanceRow>> => {
  if (refs.length === 0) return new Map();
  const each = (part: keyof InstanceRef): string[] => [...new Set(refs.map((ref) => ref[part]))];
  // All three columns of the key, or every instance there is would be looked at.
  const rows = await db
    .selectFrom('instances')
    .selectAll()
    .where('account_id', 'in', each('accountId'))
    .where('region', 'in', each('region'))
    .where('instance_id', 'in', each('instanceId'))
    .execute();
  const wanted = new Set(refs.map(refKey));
  return new Map(rows.map((row) => [refKey(refOfRow(row)), row] as const).filter(([key]) => wanted.has(key)));
};
