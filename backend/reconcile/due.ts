/**
 * Which principals are due, the most urgent first, and who works on them. A principal is held by the number of one living
 * backend; what a dead one held is due again within a moment (`store/backends.ts`). No row stays locked meanwhile, so people
 * who ask for access never wait for AWS.
 */
import { sql } from 'kysely';
import { type Urgency, urgencies } from '../aws/errand.ts';
import type { Db } from '../store/open.ts';

export type DuePrincipal = {
  id: string;
  urgency: Urgency;
  /** The number of the backend that works on it already; null: nobody does. */
  holder: number | null;
};

export type Due = {
  /** Most urgent first: endings by how long they are overdue times what they leave open. */
  principals: DuePrincipal[];
  /** How many are due and held by nobody, also beyond those that were read. */
  waiting: Record<Urgency, number>;
  /** When the next one falls due. */
  nextAt: Date | null;
};

/** Read at once; the others are read when some of these are done. */
const mostRead = 300;

const urgencyOf = (rank: number): Urgency => urgencies[rank] ?? 'looking';

/**
 * Reads what is due at `now` and held by nobody, and how urgent that has become which `holder` works on.
 * Costs as much as there is due, however many grants live and however long the history is.
 */
export const readDue = async (db: Db, holder: number, now: Date): Promise<Due> => {
  const nobody = { ending: 0, beginning: 0, looking: 0 };
  // Nearly always there is nothing, and that is cheap to know.
  const { rows: counts } = await sql<{ waiting: number; held: number; next_at: Date | null }>`
    select (select count(*) from principals where holder is null and due_at <= ${now})::integer as waiting,
      (select count(*) from principals where holder = ${holder})::integer as held,
      (select min(due_at) from principals where holder is null and due_at > ${now}) as next_at
  `.execute(db);
  const [{ waiting: free, held, next_at: nextAt } = { waiting: 0, held: 0, next_at: null }] = counts;
  if (free + held === 0) return { principals: [], waiting: nobody, nextAt };
  const { rows } = await sql<{ id: string; holder: number | null; rank: number }>`
    select p.id, p.holder, case when over.since is not null then 0 when open.begins then 1 else 2 end as rank
    from principals p
    left join lateral (
      select min(g.ends_at) as since,
        sum(1 + (select count(*) from sessions s where s.grant_id = g.id and s.ended_at is null)
          + (select count(*) from grant_instances i where i.grant_id = g.id) / 10.0) as exposed
      from grants g
      where g.principal_id = p.id and g.state in ('ready', 'granting', 'active', 'ending')
        and (g.state = 'ending' or (g.state in ('granting', 'active') and g.ends_at <= ${now}))
    ) over on true
    left join lateral (
      select exists (
        select from grants g where g.principal_id = p.id and g.state = 'granting'
      ) as begins
    ) open on true
    where (p.holder is null and p.due_at <= ${now}) or p.holder = ${holder}
    order by rank, (1 + greatest(0, extract(epoch from ${now}::timestamptz - over.since))) * over.exposed desc nulls last, p.due_at
    limit ${mostRead}
  `.execute(db);
  const principals = rows.map(({ id, rank, holder: by }) => ({ id, holder: by, urgency: urgencyOf(rank) }));
  const waiting = { ...nobody };
  for (const one of principals) if (one.holder === null) waiting[one.urgency] += 1;
  // Only the least urgent are cut off.
  waiting.looking += Math.max(0, free - principals.filter((one) => one.holder === null).length);
  return { principals, waiting, nextAt };
};

/**
 * Takes principals, unless another backend was faster or somebody holds the row at this moment.
 * @returns those that are now `holder`'s, with how often the work on them has failed in a row.
 */
export const takePrincipals = async (
  db: Db,
  ids: readonly string[],
  { holder, now }: { holder: number; now: Date },
): Promise<Array<{ id: string; attempts: number }>> => {
  if (ids.length === 0) return [];
  return db
    .updateTable('principals')
    .set({ holder, due_at: null })
    .where('id', 'in', (eb) =>
      eb
        .selectFrom('principals')
        .select('id')
        .where('id', 'in', [...ids])
        .where('holder', 'is', null)
        .where('due_at', '<=', now)
        .forUpdate()
        .skipLocked(),
    )
    .returning(['id', 'attempts'])
    .execute();
};

/** Lets go of a principal. Whoever made it due meanwhile is heard: the earlier instant stays. */
export const settlePrincipal = async (
  db: Db,
  held: { id: string; holder: number },
  left: { dueAt: Date | null; attempts: number; problem: string | null },
): Promise<void> => {
  await db
    .updateTable('principals')
    .set(({ ref }) => ({
      holder: null,
      attempts: left.attempts,
      problem: left.problem,
      due_at: sql<Date | null>`least(${ref('due_at')}, ${left.dueAt}::timestamptz)`,
    }))
    .where('id', '=', held.id)
    .where('holder', '=', held.holder)
    .execute();
};

/** Makes due what this backend holds and does not work on: something went wrong on the way to letting it go. */
export const freeForgotten = async (
  db: Db,
  { holder, now }: { holder: number; now: Date },
  working: readonly string[],
): Promise<void> => {
  await db
    .updateTable('principals')
    .set(({ ref }) => ({ holder: null, due_at: sql<Date>`least(${ref('due_at')}, ${now}::timestamptz)` }))
    .where('holder', '=', holder)
    .where('id', 'not in', ['', ...working])
    .execute();
};

/**
 * Makes principals with something unfinished due now.
 * @param which `all`: after a start, and after a restored backup; `lost`: only those that would never be due again.
 */
export const wakeUnfinished = async (db: Db, now: Date, which: 'all' | 'lost'): Promise<void> => {
  const lost = which === 'lost' ? sql`due_at is null and holder is null and` : sql``;
  await sql`
    update principals set due_at = least(due_at, ${now}) where ${lost} id in (
      select principal_id from grants where state in ('ready', 'granting', 'active', 'ending')
      union
      select principal_id from grants where state = 'ended' and receipt ->> 'stage' = 'gone'
    )
  `.execute(db);
};
