/** Kill switches as rows and as views. */
import { type Selectable, sql } from 'kysely';
import type { KillSwitch, SwitchScope } from '../../src/shared/kill-switch.ts';
import { Refusal } from '../../src/shared/refusal.ts';
import type { Db, Tx } from './open.ts';
import { loadPeople } from './people.ts';
import { known } from './rows.ts';
import type { Schema } from './schema.ts';
import { grantsIn, type Reach, someoneIn } from './switch-reach.ts';
import { type Reader, visibleTo } from './visibility.ts';

export type SwitchRow = Selectable<Schema['kill_switches']>;

/** What the switch is about. The table's checks promise the columns of each scope. */
export const scopeOf = (
  row: Pick<SwitchRow, 'id' | 'scope' | 'person_id' | 'account_id' | 'region' | 'instance_id'>,
): SwitchScope => {
  const { person_id: personId, account_id: accountId, region, instance_id: instanceId } = row;
  if (row.scope === 'everything') return { kind: 'everything' };
  if (row.scope === 'person' && personId !== null) return { kind: 'person', personId };
  if (row.scope === 'account' && accountId !== null) return { kind: 'account', accountId };
  if (row.scope === 'instance' && accountId !== null && region !== null && instanceId !== null) {
    return { kind: 'instance', instance: { accountId, region, instanceId } };
  }
  throw new Error(`Kill switch ${row.id} does not name its ${row.scope}.`);
};

export const reachOf = (row: SwitchRow): Reach => ({ scope: scopeOf(row), within: row.within });

/** Rows, oldest first: those that are `on`; those with something left to do (`open`: on, or without receipt); or `all`. */
export const loadSwitchRows = (db: Db, which: 'on' | 'open' | 'all'): Promise<SwitchRow[]> =>
  db
    .selectFrom('kill_switches')
    .selectAll()
    .where((eb) => {
      if (which === 'all') return eb.lit(true);
      const on = eb('lifted_at', 'is', null);
      return which === 'on' ? on : eb.or([on, eb('done_at', 'is', null)]);
    })
    .orderBy('at')
    .orderBy('id')
    .execute();

/**
 * Is this person, by this or another sign-in with the same mailbox, the one it names (`person`), or one of those who had something in
 * its reach, or have it still to be stopped (`others`)? Also what was ending already counts: which of two switches that overlap came
 * first to somebody is a matter of luck.
 */
const hitBy = async (db: Db, row: SwitchRow, personId: string): Promise<{ person: boolean; others: boolean }> => {
  // One statement: who is enforced just now is still to be stopped in it, or hit.
  const toBeStopped =
    row.lifted_at === null ? someoneIn(reachOf(row), sql<string>`select id from same`) : sql<boolean>`false`;
  const { rows } = await sql<{ person: boolean; others: boolean }>`
    with same as (
      select p.id from people p, people me
      where me.id = ${personId} and (p.id = me.id or (p.email is not null and lower(p.email) = lower(me.email))))
    select exists (select 1 from same where id = ${row.person_id}) as person,
      (exists (select 1 from kill_switch_hits h where h.switch_id = ${row.id} and h.person_id in (select id from same))
        or ${toBeStopped}) as others
  `.execute(db);
  return rows[0] ?? { person: false, others: false };
};

export const reachesYou = 'It reaches your own access: somebody else must lift it.';

/** May this person not lift it because it reaches them? Whoever pulled it may have hit themselves too, but not named themselves. */
export const isReached = async (db: Db, row: SwitchRow, personId: string): Promise<boolean> => {
  const { person, others } = await hitBy(db, row, personId);
  return person || (others && row.by_id !== personId);
};

/**
 * Writes down a person's grants within reach that are ending already. They need no action, but until they are verified something lives
 * there, and the switch must not say otherwise (promise 7).
 */
export const noteEndingAlready = async (tx: Tx, row: SwitchRow, personId: string): Promise<void> => {
  await tx
    .insertInto('kill_switch_hits')
    .columns(['switch_id', 'person_id', 'grant_id'])
    .expression((eb) =>
      eb
        .selectFrom('grants')
        .select([sql<string>`${row.id}::text`.as('switch_id'), 'person_id', 'id'])
        .where('person_id', '=', personId)
        .where('state', '=', 'ending')
        .where(grantsIn(reachOf(row)))
        .orderBy('id'),
    )
    .onConflict((conflict) => conflict.doNothing())
    .execute();
};

/** Hits of grants that it did not end: they were ending when it came to them. Needs the grant joined. */
export const endingAlready = sql<boolean>`(grants.cause ->> 'switchId' is distinct from kill_switch_hits.switch_id and grants.id is not null)`;

const progressOf = async (db: Db, ids: readonly string[]): Promise<Map<string, KillSwitch['progress']>> => {
  const rows = await db
    .selectFrom('kill_switch_hits')
    .leftJoin('grants', 'grants.id', 'kill_switch_hits.grant_id')
    .where('switch_id', 'in', ['', ...ids])
    .groupBy('switch_id')
    .select(({ fn }) => [
      'switch_id',
      fn.count<number>('kill_switch_hits.grant_id').as('grants'),
      fn.count<number>('kill_switch_hits.request_id').as('requests'),
      sql<number>`count(*) filter (where grants.state not in ('ready', 'granting', 'active', 'ending'))`.as('verified'),
      sql<number>`count(*) filter (where ${endingAlready})`.as('already'),
      sql<number>`coalesce(sum((select count(*) from sessions s where s.grant_id = grants.id and s.ended_at is null)), 0)::int`.as(
        'sessions',
      ),
    ])
    .execute();
  return new Map(
    rows.map(({ switch_id, already, ...progress }) => [switch_id, already === 0 ? progress : { ...progress, already }]),
  );
};

const mayLift = async (db: Db, reader: Reader, row: SwitchRow): Promise<KillSwitch['mayLift']> => {
  if (row.lifted_at !== null) return { yes: false, why: 'It is lifted.' };
  if (await isReached(db, row, reader.person.id)) return { yes: false, why: reachesYou };
  if (reader.isAdmin || row.by_id === reader.person.id) return { yes: true };
  return { yes: false, why: 'Only an admin, or the approver who pulled it, may lift it.' };
};

const instantOrNull = (at: Date | null): string | null => at?.toISOString() ?? null;

const viewsOf = async (db: Db, reader: Reader, rows: readonly SwitchRow[]): Promise<KillSwitch[]> => {
  if (rows.length === 0) return [];
  const [people, progress] = await Promise.all([
    loadPeople(
      db,
      rows.flatMap((row) => [row.by_id, ...(row.lifted_by === null ? [] : [row.lifted_by])]),
    ),
    progressOf(
      db,
      rows.map(({ id }) => id),
    ),
  ]);
  return Promise.all(
    rows.map(async (row): Promise<KillSwitch> => {
      const liftedAt = instantOrNull(row.lifted_at);
      const doneAt = instantOrNull(row.done_at);
      return {
        id: row.id,
        scope: scopeOf(row),
        name: row.name,
        partly: row.within !== null,
        reason: row.reason,
        by: known(people, row.by_id),
        at: row.at.toISOString(),
        lifted: liftedAt === null || row.lifted_by === null ? null : { by: known(people, row.lifted_by), at: liftedAt },
        progress: progress.get(row.id) ?? { grants: 0, verified: 0, sessions: 0, requests: 0 },
        done: doneAt === null || row.total_ms === null ? null : { at: doneAt, totalMs: row.total_ms },
        mayLift: await mayLift(db, reader, row),
      };
    }),
  );
};

/** Switches that this reader may see, newest first: those that are on, and unless `onOnly` the last 50 others too. */
export const loadSwitches = async (db: Db, reader: Reader, { onOnly }: { onOnly: boolean }): Promise<KillSwitch[]> => {
  let select = db.selectFrom('kill_switches').selectAll().where(visibleTo(reader).switches);
  if (onOnly) select = select.where('lifted_at', 'is', null);
  const rows = await select
    .orderBy(sql`lifted_at is null`, 'desc')
    .orderBy('at', 'desc')
    .orderBy('id')
    .limit(50)
    .execute();
  return viewsOf(db, reader, rows);
};

/** One switch. @throws Refusal `not_found` when it does not exist or this reader may not see it. */
export const loadSwitch = async (db: Db, reader: Reader, id: string): Promise<KillSwitch> => {
  const rows = await db
    .selectFrom('kill_switches')
    .selectAll()
    .where('id', '=', id)
    .where(visibleTo(reader).switches)
    .execute();
  const [view] = await viewsOf(db, reader, rows);
  if (view === undefined) throw new Refusal('not_found');
  return view;
};
