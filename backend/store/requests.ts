/** Requests and decisions as views, built from their rows. */
import type { Expression, ExpressionBuilder, Selectable, SqlBool } from 'kysely';
import { type AccessRequest, type Instance, type Person, type RequestState, refKey } from '../../src/shared/access.ts';
import { Refusal } from '../../src/shared/refusal.ts';
import { decisionOf } from './decisions.ts';
import { instanceOf, loadInstancesByRef, refOfRow } from './instances.ts';
import type { Db } from './open.ts';
import { loadPeople, personOf } from './people.ts';
import { groupBy, known } from './rows.ts';
import type { Schema } from './schema.ts';
import { type Reader, visibleTo } from './visibility.ts';

export type RequestRow = Selectable<Schema['requests']>;
export type RequestWhere = (eb: ExpressionBuilder<Schema, 'requests'>) => Expression<SqlBool>;

const loadParts = async (db: Db, rows: readonly RequestRow[]) => {
  const ids = rows.map((row) => row.id);
  const [refs, decisions, claims, asked, grants] = await Promise.all([
    db.selectFrom('request_instances').selectAll().where('request_id', 'in', ids).orderBy('position').execute(),
    db.selectFrom('decisions').selectAll().where('request_id', 'in', ids).orderBy('at').execute(),
    db.selectFrom('claims').selectAll().where('request_id', 'in', ids).execute(),
    db
      .selectFrom('notices')
      .innerJoin('people', 'people.id', 'notices.person_id')
      .select(['notices.target_id', 'people.id', 'people.user_name', 'people.display_name'])
      .distinct()
      .where('notices.kind', '=', 'to-approve')
      .where('notices.target_kind', '=', 'request')
      .where('notices.target_id', 'in', ids)
      .orderBy('people.display_name')
      .execute(),
    db.selectFrom('grants').select(['id', 'request_id']).where('request_id', 'in', ids).orderBy('id').execute(),
  ]);
  const instances = await loadInstancesByRef(db, refs.map(refOfRow));
  const people = await loadPeople(db, [
    ...rows.map((row) => row.requester_id),
    ...decisions.flatMap((row) => row.person_id ?? []),
    ...claims.map((row) => row.person_id),
  ]);
  return {
    people,
    instances,
    refs: groupBy(refs, (row) => row.request_id),
    decisions: groupBy(decisions, (row) => row.request_id),
    claims: new Map(claims.map((row) => [row.request_id, row])),
    asked: groupBy(asked, (row) => row.target_id),
    grants: groupBy(grants, (row) => row.request_id),
  };
};
type Parts = Awaited<ReturnType<typeof loadParts>>;

const claimOf = (row: RequestRow, parts: Parts, now: Date): { by: Person; until: string } | null => {
  const claim = parts.claims.get(row.id);
  if (claim === undefined || claim.until <= now) return null;
  return { by: known(parts.people, claim.person_id), until: claim.until.toISOString() };
};

const closedAt = (row: RequestRow): string => {
  if (row.closed_at === null) throw new Error(`Request ${row.id} is ${row.state} and was never closed.`);
  return row.closed_at.toISOString();
};

const stateOf = (row: RequestRow, parts: Parts, now: Date): RequestState => {
  const decisions = (parts.decisions.get(row.id) ?? []).map((decision) => decisionOf(decision, parts.people));
  switch (row.state) {
    case 'waiting':
      return {
        state: 'waiting',
        lapsesAt: row.lapses_at.toISOString(),
        approvalsNeeded: row.approvals_needed,
        approvers: (parts.asked.get(row.id) ?? []).map(personOf),
        yeses: decisions.filter((decision) => decision.verdict === 'yes'),
        claim: claimOf(row, parts, now),
      };
    case 'approved': {
      const made = (parts.grants.get(row.id) ?? []).map((grant) => grant.id);
      const grantIds = row.extends_grant_id === null ? made : [row.extends_grant_id];
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

const requestOf = (row: RequestRow, parts: Parts, now: Date): AccessRequest => ({
  id: row.id,
  requester: known(parts.people, row.requester_id),
  purpose: row.extends_grant_id === null ? { kind: 'new' } : { kind: 'extend', grantId: row.extends_grant_id },
  // Name and tags as they were when it was asked: what the approver is shown (threats RQ-10).
  instances: (parts.refs.get(row.id) ?? []).map(
    (ref): Instance => ({
      ...instanceOf(known(parts.instances, refKey(refOfRow(ref)))),
      name: ref.name,
      tags: ref.tags,
    }),
  ),
  capability: row.capability,
  durationSeconds: row.duration_seconds,
  reason: row.reason,
  ticket: row.ticket,
  submittedAt: row.submitted_at.toISOString(),
  ...stateOf(row, parts, now),
});

export type RequestQuery = {
  /** Put `visibleTo(reader).requests` into it unless the backend itself reads. */
  where: RequestWhere;
  /** Claims that are over by then are not shown. */
  now: Date;
  order?: 'newest' | 'oldest' | 'latest-closed';
  limit?: number;
};

/** Requests that fulfil a condition. The approvers of a waiting one are those who were asked. */
export const loadRequests = async (db: Db, query: RequestQuery): Promise<AccessRequest[]> => {
  const order = query.order ?? 'newest';
  const rows = await db
    .selectFrom('requests')
    .selectAll()
    .where(query.where)
    .orderBy(order === 'latest-closed' ? 'closed_at' : 'submitted_at', order === 'oldest' ? 'asc' : 'desc')
    .orderBy('id')
    .limit(query.limit ?? 500)
    .execute();
  if (rows.length === 0) return [];
  const parts = await loadParts(db, rows);
  return rows.map((row) => requestOf(row, parts, query.now));
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
