/** Audit rows as one person may see them. */
import { type RawBuilder, type SqlBool, sql } from 'kysely';
import type { AuditQuery, AuditRow } from '../../src/shared/views.ts';
import type { AuditEvent } from '../audit/event.ts';
import { actorName, auditSentence } from '../audit/sentence.ts';
import type { Db } from '../store/open.ts';
import { type Reader, visibleTo } from '../store/visibility.ts';

const instanceIdsOf = (event: AuditEvent): string[] => {
  if ('instances' in event) return (event.instances ?? []).map(({ instanceId }) => instanceId);
  return 'instance' in event ? [event.instance.instanceId] : [];
};

type Row = {
  sequence: number;
  at: Date;
  kind: string;
  event: AuditEvent;
  request_id: string | null;
  grant_id: string | null;
  hash: string;
};

const rowOf = (row: Row): AuditRow => ({
  sequence: row.sequence,
  at: row.at.toISOString(),
  kind: row.kind,
  actor: actorName(row.event.actor),
  sentence: auditSentence(row.event),
  requestId: row.request_id,
  grantId: row.grant_id,
  instances: instanceIdsOf(row.event),
  hash: row.hash,
});

/** `%`, `_` and `\` stand for themselves (threats API-03). */
const literally = (text: string): string => `%${text.replaceAll(/[\\%_]/g, '\\$&')}%`;

const wordsOf = ({ search }: AuditQuery): string[] => search.split(/\s+/).filter(Boolean);

const visibleRows = (db: Db, reader: Reader) =>
  db
    .selectFrom('audit')
    .select(['sequence', 'at', 'kind', 'event', 'request_id', 'grant_id', 'hash'])
    .where(visibleTo(reader).audit);

const day = 86_400_000;
const highest = 2 ** 53 - 1;
/** Rows that a search looks through at once. */
const rowsAtOnce = 4_000;
/** How long one call goes on searching, milliseconds; whoever wants more asks on from where it stopped. */
const searchMs = 1_000;

/** Numbers of rows, both ends left out. */
type Span = { above: number; below: number };

/**
 * Between which rows a time lies. Rows stand in the order in which they were written, and their times go up with them but for seconds:
 * a day to either side is left to be on the safe side, the exact times are compared row by row.
 */
const spanOf = async (db: Db, { from, until, before }: AuditQuery): Promise<Span> => {
  const edge = async (at: string | null, side: 'from' | 'until'): Promise<number | null> => {
    if (at === null) return null;
    const [direction, days] = side === 'from' ? (['desc', -day] as const) : (['asc', day] as const);
    const row = await db
      .selectFrom('audit')
      .select('sequence')
      .where('at', side === 'from' ? '<' : '>', new Date(Date.parse(at) + days))
      .orderBy('at', direction)
      .limit(1)
      .executeTakeFirst();
    return row?.sequence ?? null;
  };
  const [above, below] = await Promise.all([edge(from, 'from'), edge(until, 'until')]);
  return { above: above ?? 0, below: Math.min(below ?? highest, before ?? highest) };
};

type Condition = RawBuilder<SqlBool>;

const all = (conditions: readonly Condition[]): Condition => sql<SqlBool>`${sql.join(conditions, sql` and `)}`;

/** The newest rows of one index: `limit` at most. */
const newest = (conditions: readonly Condition[], limit: number): RawBuilder<unknown> =>
  sql`(select a.sequence from audit a where ${all(conditions)} order by a.sequence desc limit ${limit})`;

/**
 * Numbers of the newest rows that fulfil everything but the search: each of the parts is read from an index of its own, newest first, and
 * stops at the limit, so that nobody's page costs more because there is more history.
 */
const numbersOf = (reader: Reader, query: AuditQuery, { above, below }: Span, limit: number): RawBuilder<unknown> => {
  const { person, from, until, kinds } = query;
  const me = reader.person.id;
  const { othersRequestIds: others } = visibleTo(reader);
  const within: Condition[] = [
    sql`a.sequence > ${above}`,
    sql`a.sequence < ${below}`,
    ...(from === null ? [] : [sql<SqlBool>`a.at >= ${new Date(from)}`]),
    ...(until === null ? [] : [sql<SqlBool>`a.at < ${new Date(until)}`]),
  ];
  const common: Condition[] = kinds.length === 0 ? within : [...within, sql`a.kind in (${sql.join(kinds)})`];
  // A value, not `exists`: that Postgres might answer by reading all of somebody's requests first.
  const own = sql<SqlBool>`(a.request_id is null
    or (select r.requester_id from requests r where r.id = a.request_id) = ${me})`;
  const about = (id: string, visible: readonly Condition[]) =>
    (['a.actor_id', 'a.person_id'] as const).map((column) =>
      newest([sql`${sql.ref(column)} = ${id}`, ...common, ...visible], limit),
    );
  const partsOf = (): RawBuilder<unknown>[] => {
    if (others === null) {
      if (person !== null) return about(person, []);
      if (kinds.length === 0) return [newest(common, limit)];
      // One after the other: of several kinds together no index knows the order.
      return kinds.map((kind) => newest([sql`a.kind = ${kind}`, ...within], limit));
    }
    if (person !== null) {
      return about(person, [
        sql`(a.request_id in ${others} or (${own} and (a.actor_id = ${me} or a.person_id = ${me})))`,
      ]);
    }
    return [
      // Every row about one's own requests names the person who asked.
      ...about(me, [own]),
      sql`(select a.sequence from ${others} as seen (id),
        lateral ${newest([sql`a.request_id = seen.id`, ...common], limit)} a order by a.sequence desc limit ${limit})`,
    ];
  };
  return sql`(select sequence from (${sql.join(partsOf(), sql` union `)}) parts order by sequence desc limit ${limit})`;
};

type Page = { rows: Row[]; nextBefore: number | null };

/** A page without a search: as many as are wanted, or all there are. */
const pageOf = async (db: Db, reader: Reader, query: AuditQuery, span: Span): Promise<Page> => {
  const { rows } = await sql<Row>`
    select sequence, at, kind, event, request_id, grant_id, hash from audit
    where sequence in ${numbersOf(reader, query, span, query.limit + 1)}
    order by sequence desc`.execute(db);
  const shown = rows.slice(0, query.limit);
  return { rows: shown, nextBefore: rows.length > shown.length ? (shown.at(-1)?.sequence ?? null) : null };
};

/** Those of the next rows that hold every word, and the number of the last one looked at; null: there are no more. */
const searchOnce = async (
  db: Db,
  reader: Reader,
  query: AuditQuery,
  { span, wanted }: { span: Span; wanted: number },
): Promise<{ rows: Row[]; lookedTo: number | null }> => {
  const holds = all(wordsOf(query).map((word) => sql<SqlBool>`audit.canonical ilike ${literally(word)}`));
  const { rows } = await sql<Row & { looked: number; looked_to: number }>`
    with next as materialized ${numbersOf(reader, query, span, rowsAtOnce)},
    looked as (select count(*)::integer as looked, coalesce(min(sequence), 0) as looked_to from next)
    select found.*, looked, looked_to from looked left join lateral (
      select held.* from next, lateral (
        select sequence, at, kind, event, request_id, grant_id, hash from audit
        where audit.sequence = next.sequence and ${holds} offset 0) held
      order by sequence desc limit ${wanted}) found on true
    order by sequence desc`.execute(db);
  const [first] = rows;
  const more = first !== undefined && first.looked === rowsAtOnce;
  return { rows: rows.filter((row) => row.sequence !== null), lookedTo: more ? first.looked_to : null };
};

/** A page of what holds all the words. It is looked for piece by piece: no statement reads the whole trail. */
const searched = async (db: Db, reader: Reader, query: AuditQuery, span: Span): Promise<Page> => {
  const since = performance.now();
  const found: Row[] = [];
  let below: number | null = span.below;
  while (below !== null) {
    const wanted = query.limit + 1 - found.length;
    const { rows, lookedTo } = await searchOnce(db, reader, query, { span: { ...span, below }, wanted });
    found.push(...rows);
    if (found.length > query.limit) {
      const shown = found.slice(0, query.limit);
      return { rows: shown, nextBefore: shown.at(-1)?.sequence ?? null };
    }
    below = lookedTo;
    if (performance.now() - since > searchMs) break;
  }
  return { rows: found, nextBefore: below };
};

/**
 * A page of the rows that this reader may see, newest first. The search looks into the whole event, for a second at most: `nextBefore` with
 * fewer rows than asked for, or none, says that older rows were not searched yet.
 */
export const listAudit = async (
  db: Db,
  reader: Reader,
  query: AuditQuery,
): Promise<{ rows: AuditRow[]; nextBefore: number | null }> => {
  const span = await spanOf(db, query);
  const read = wordsOf(query).length === 0 ? pageOf : searched;
  const { rows, nextBefore } = await read(db, reader, query, span);
  return { rows: rows.map(rowOf), nextBefore };
};

/** All rows of one request in their order. The caller has looked whether the request is visible. */
export const auditOfRequest = async (db: Db, reader: Reader, requestId: string): Promise<AuditRow[]> => {
  const rows = await visibleRows(db, reader).where('request_id', '=', requestId).orderBy('sequence').execute();
  return rows.map(rowOf);
};
