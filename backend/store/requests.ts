/** Requests and decisions as views, built from their rows. */
import { type Expression, type ExpressionBuilder, type Selectable, type SqlBool, sql } from 'kysely';
import { jsonArrayFrom, jsonObjectFrom } from 'kysely/helpers/postgres';
import type { AccessRequest, Person, RequestState } from '../../src/shared/access.ts';
import { Refusal } from '../../src/shared/refusal.ts';
import { decisionOf } from './decisions.ts';
import { instanceOf } from './instances.ts';
import type { Db } from './open.ts';
import { personIn } from './people.ts';
import { groupBy, instantOf } from './rows.ts';
import type { Schema } from './schema.ts';
import { type Reader, visibleTo } from './visibility.ts';

export type RequestRow = Selectable<Schema['requests']>;
export type RequestWhere = (eb: ExpressionBuilder<Schema, 'requests'>) => Expression<SqlBool>;

export type RequestQuery = {
  /** Put `visibleTo(reader).requests` into it unless the backend itself reads. */
  where: RequestWhere;
  order?: 'newest' | 'oldest' | 'latest-closed';
  limit?: number;
};

const chosenRows = (db: Db, list: string, query: RequestQuery) => {
  const by = query.order === 'latest-closed' ? 'closed_at' : 'submitted_at';
  const direction = query.order === 'oldest' ? 'asc' : 'desc';
  return db
    .selectFrom('requests')
    .selectAll()
    .select(sql<string>`${list}::text`.as('list'))
    .select(sql`extract(epoch from ${sql.ref(by)}) * ${direction === 'asc' ? 1 : -1}::int`.as('rank'))
    .where(query.where)
    .orderBy(by, direction)
    .orderBy('id')
    .limit(query.limit ?? 500);
};

const waits = sql<boolean>`requests.state = 'waiting'`;

/**
 * The requests of these lists with all that their views are made of, in one statement: each further one would cost more than reading
 * these few rows, and a list of ids may be planned as a scan of a table that grows, which rows found one by one cannot.
 */
const wholeRequests = (db: Db, lists: ReadonlyArray<readonly [string, RequestQuery]>) => {
  const chosen = sql.join(
    lists.map(([list, query]) => sql`(${chosenRows(db, list, query)})`),
    sql` union all `,
  );
  return db
    .selectFrom(sql<RequestRow & { list: string; rank: unknown }>`(${chosen})`.as('requests'))
    .selectAll('requests')
    .select((eb) => [
      personIn<Person>('requests.requester_id').as('requester'),
      jsonArrayFrom(
        eb
          .selectFrom('request_instances as part')
          .innerJoin('instances', (join) =>
            join
              .onRef('instances.account_id', '=', 'part.account_id')
              .onRef('instances.region', '=', 'part.region')
              .onRef('instances.instance_id', '=', 'part.instance_id'),
          )
          .select(['part.account_id', 'part.region', 'part.instance_id', 'account_name', 'kind', 'platform'])
          .select(['online', 'first_seen_at', 'checked_at', 'gone_at'])
          // Name and tags as they were when it was asked: what the approver is shown (threats RQ-10).
          .select(['part.name', 'part.tags'])
          .whereRef('part.request_id', '=', 'requests.id')
          .orderBy('part.position'),
      ).as('instances'),
      jsonArrayFrom(
        eb
          .selectFrom('decisions')
          .select(['id', 'request_id', 'rule_id', 'verdict', 'instances', 'decisions.duration_seconds', 'comment'])
          .select(['at', 'decisions.rule_set_hash', personIn<Person | null>('decisions.person_id').as('person')])
          .whereRef('request_id', '=', 'requests.id')
          .orderBy('at'),
      ).as('decisions'),
      jsonObjectFrom(
        eb
          .selectFrom('claims')
          .select(['until', personIn<Person>('claims.person_id').as('by')])
          .whereRef('request_id', '=', 'requests.id')
          .where(waits),
      ).as('claim'),
      jsonArrayFrom(
        eb
          .selectFrom('notices')
          .innerJoin('people', 'people.id', 'notices.person_id')
          .select(['people.id', 'people.user_name as userName', 'people.display_name as displayName'])
          .distinct()
          .where('notices.kind', '=', 'to-approve')
          .where('notices.target_kind', '=', 'request')
          .whereRef('notices.target_id', '=', 'requests.id')
          .where(waits)
          .orderBy('displayName'),
      ).as('asked'),
      jsonArrayFrom(
        eb.selectFrom('grants').select('grants.id').whereRef('request_id', '=', 'requests.id').orderBy('grants.id'),
      ).as('grants'),
    ])
    .orderBy('rank')
    .orderBy('id')
    .execute();
};
type Whole = Awaited<ReturnType<typeof wholeRequests>>[number];

const claimOf = ({ claim }: Whole, now: Date): { by: Person; until: string } | null =>
  claim === null || new Date(claim.until) <= now ? null : { by: claim.by, until: instantOf(claim.until) };

const closedAt = (row: RequestRow): string => {
  if (row.closed_at === null) throw new Error(`Request ${row.id} is ${row.state} and was never closed.`);
  return instantOf(row.closed_at);
};

const stateOf = (row: Whole, now: Date): RequestState => {
  const decisions = row.decisions.map(decisionOf);
  switch (row.state) {
    case 'waiting':
      return {
        state: 'waiting',
        lapsesAt: instantOf(row.lapses_at),
        approvalsNeeded: row.approvals_needed,
        approvers: row.asked,
        yeses: decisions.filter((decision) => decision.verdict === 'yes'),
        claim: claimOf(row, now),
      };
    case 'approved': {
      const grantIds = row.extends_grant_id === null ? row.grants.map(({ id }) => id) : [row.extends_grant_id];
      return { state: 'approved', decisions, grantIds, at: closedAt(row) };
    }
    case 'denied':
      return { state: 'denied', decisions, at: closedAt(row) };
    case 'withdrawn':
      return { state: 'withdrawn', at: closedAt(row) };
    case 'lapsed':
      return { state: 'lapsed', at: closedAt(row) };
  }
};

const requestOf = (row: Whole, now: Date): AccessRequest => ({
  id: row.id,
  requester: row.requester,
  purpose: row.extends_grant_id === null ? { kind: 'new' } : { kind: 'extend', grantId: row.extends_grant_id },
  instances: row.instances.map(instanceOf),
  capability: row.capability,
  durationSeconds: row.duration_seconds,
  reason: row.reason,
  ticket: row.ticket,
  submittedAt: instantOf(row.submitted_at),
  ...(row.because === null ? {} : { because: row.because }),
  ...stateOf(row, now),
});

/** Several lists at once, by name, as they stand at one instant. Claims that are over at `now` are not shown. */
export const loadRequestLists = async <Name extends string>(
  db: Db,
  lists: Readonly<Record<Name, RequestQuery>>,
  now: Date,
): Promise<(name: Name) => AccessRequest[]> => {
  const rows = await wholeRequests(db, Object.entries<RequestQuery>(lists));
  const byList = groupBy(rows, ({ list }) => list);
  return (name) => (byList.get(name) ?? []).map((row) => requestOf(row, now));
};

/** Requests that fulfil a condition. The approvers of a waiting one are those who were asked. */
export const loadRequests = async (db: Db, query: RequestQuery & { now: Date }): Promise<AccessRequest[]> => {
  const rows = await wholeRequests(db, [['only', query]]);
  return rows.map((row) => requestOf(row, query.now));
};

/** One request. @throws Refusal `not_found` when it does not exist or this reader may not see it: the same answer. */
export const loadRequest = async (db: Db, reader: Reader, id: string, now: Date): Promise<AccessRequest> => {
  const visible = visibleTo(reader);
  const [request] = await loadRequests(db, {
    where: (eb) => eb.and([eb('requests.id', '=', id), visible.requests(eb)]),
    now,
    limit: 1,
  });
  if (request === undefined) throw new Refusal('not_found');
  return request;
};
