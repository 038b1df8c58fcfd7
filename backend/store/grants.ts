/** Grants as views, built from their rows. */
import type { Expression, ExpressionBuilder, Selectable, SqlBool } from 'kysely';
import {
  type EndCause,
  type Grant,
  type GrantState,
  type Instance,
  type Receipt,
  refKey,
  type Session,
} from '../../src/shared/access.ts';
import { Refusal } from '../../src/shared/refusal.ts';
import { deciderOf } from './decisions.ts';
import { instanceOf, loadInstancesByRef, refOfRow } from './instances.ts';
import { locksOf } from './locks.ts';
import type { Db } from './open.ts';
import { loadPeople } from './people.ts';
import { groupBy, known } from './rows.ts';
import type { Schema } from './schema.ts';
import { type Reader, visibleTo } from './visibility.ts';

export type GrantRow = Selectable<Schema['grants']>;
export type GrantWhere = (eb: ExpressionBuilder<Schema, 'grants'>) => Expression<SqlBool>;

/** The table's checks promise these columns for the state: a missing one is a fault. */
const present = <T>(value: T | null, row: GrantRow, column: string): T => {
  if (value === null) throw new Error(`Grant ${row.id} is ${row.state} without ${column}.`);
  return value;
};

const text = (at: Date): string => at.toISOString();
const textOrNull = (at: Date | null): string | null => at?.toISOString() ?? null;

const stateOf = (row: GrantRow): GrantState => {
  const endsAt = () => text(present(row.ends_at, row, 'ends_at'));
  const connectedAt = () => text(present(row.connected_at, row, 'connected_at'));
  const closedAt = () => text(present(row.closed_at, row, 'closed_at'));
  const cause = (): EndCause => present(row.cause, row, 'cause');
  const receipt = (): Receipt => present(row.receipt, row, 'receipt');
  switch (row.state) {
    case 'ready':
      return { state: 'ready', activateBy: text(row.activate_by) };
    case 'granting':
      return { state: 'granting', connectedAt: connectedAt(), endsAt: endsAt() };
    case 'active':
      return {
        state: 'active',
        connectedAt: connectedAt(),
        activeAt: text(present(row.active_at, row, 'active_at')),
        endsAt: endsAt(),
      };
    case 'ending':
      return {
        state: 'ending',
        connectedAt: textOrNull(row.connected_at),
        endsAt: endsAt(),
        cause: cause(),
        policyGoneAt: textOrNull(row.policy_gone_at),
        sessionsLeft: row.sessions_left,
      };
    case 'ended':
      return {
        state: 'ended',
        connectedAt: textOrNull(row.connected_at),
        endsAt: endsAt(),
        cause: cause(),
        endedAt: closedAt(),
        receipt: receipt(),
      };
    case 'lapsed':
      return { state: 'lapsed', at: closedAt() };
    case 'failed':
      return {
        state: 'failed',
        at: closedAt(),
        code: present(row.failed_code, row, 'failed_code'),
        advice: present(row.failed_advice, row, 'failed_advice'),
      };
  }
};

const loadParts = async (db: Db, rows: readonly GrantRow[]) => {
  const grantIds = rows.map((row) => row.id);
  const requestIds = [...new Set(rows.map((row) => row.request_id))];
  const live = rows.filter(({ state }) => state === 'granting' || state === 'active');
  const [requests, requestInstances, decisions, refs, sessions, principals] = await Promise.all([
    db
      .selectFrom('requests')
      .select(['id', 'reason', 'ticket', 'duration_seconds'])
      .where('id', 'in', requestIds)
      .execute(),
    db
      .selectFrom('request_instances')
      .select(['request_id', 'account_id'])
      .where('request_id', 'in', requestIds)
      .execute(),
    db
      .selectFrom('decisions')
      .select(['id', 'request_id', 'rule_id', 'person_id'])
      .where('request_id', 'in', requestIds)
      .where('verdict', '=', 'yes')
      .orderBy('at')
      .execute(),
    db.selectFrom('grant_instances').selectAll().where('grant_id', 'in', grantIds).orderBy('position').execute(),
    db.selectFrom('sessions').selectAll().where('grant_id', 'in', grantIds).orderBy('started_at').execute(),
    db
      .selectFrom('principals')
      .select(['id', 'document_at', 'due_at', 'problem'])
      .where('id', 'in', ['', ...new Set(live.map((row) => row.principal_id))])
      .execute(),
  ]);
  const instances = await loadInstancesByRef(db, refs.map(refOfRow));
  const people = await loadPeople(db, [
    ...rows.map((row) => row.person_id),
    ...decisions.flatMap((decision) => decision.person_id ?? []),
  ]);
  return {
    people,
    instances,
    requests: new Map(requests.map((request) => [request.id, request])),
    asked: groupBy(requestInstances, (row) => `${row.request_id} ${row.account_id}`),
    decisions: groupBy(decisions, (row) => row.request_id),
    refs: groupBy(refs, (row) => row.grant_id),
    sessions: groupBy(sessions, (row) => row.grant_id),
    principals: new Map(principals.map((row) => [row.id, row])),
  };
};
type Parts = Awaited<ReturnType<typeof loadParts>>;

const sessionOf = (row: Selectable<Schema['sessions']>): Session => ({
  id: row.id,
  grantId: row.grant_id,
  instance: refOfRow(row),
  startedAt: text(row.started_at),
  endedAt: textOrNull(row.ended_at),
});

const grantOf = (row: GrantRow, parts: Parts): Grant => {
  const request = known(parts.requests, row.request_id);
  const instances: Instance[] = (parts.refs.get(row.id) ?? []).map((ref) =>
    instanceOf(known(parts.instances, refKey(refOfRow(ref)))),
  );
  const asked = parts.asked.get(`${row.request_id} ${row.account_id}`)?.length ?? 0;
  const less = asked > instances.length || request.duration_seconds > row.duration_seconds;
  const principal = parts.principals.get(row.principal_id);
  const locks = principal === undefined ? null : locksOf(row, principal, parts.sessions.get(row.id) ?? []);
  const approvedBy = (parts.decisions.get(row.request_id) ?? []).map((decision) => deciderOf(decision, parts.people));
  return {
    id: row.id,
    requestId: row.request_id,
    person: known(parts.people, row.person_id),
    accountId: row.account_id,
    accountName: instances[0]?.accountName ?? row.account_id,
    instances,
    capability: row.capability,
    durationSeconds: row.duration_seconds,
    reason: request.reason,
    ticket: request.ticket,
    approvedBy,
    approvedAt: text(row.approved_at),
    askedFor: less ? { instances: asked, durationSeconds: request.duration_seconds } : null,
    sessions: (parts.sessions.get(row.id) ?? []).map(sessionOf),
    ...(locks === null ? {} : { locks }),
    ...stateOf(row),
  };
};

/**
 * Grants that fulfil a condition, newest yes first. Put `visibleTo(reader).grants` into the condition unless the backend
 * itself reads.
 */
export const loadGrants = async (db: Db, where: GrantWhere, limit = 500): Promise<Grant[]> => {
  const rows = await db
    .selectFrom('grants')
    .selectAll()
    .where(where)
    .orderBy('approved_at', 'desc')
    .orderBy('id')
    .limit(limit)
    .execute();
  if (rows.length === 0) return [];
  const parts = await loadParts(db, rows);
  return rows.map((row) => grantOf(row, parts));
};

/** One grant. @throws Refusal `not_found` when it does not exist or this reader may not see it: the same answer. */
export const loadGrant = async (db: Db, reader: Reader, id: string): Promise<Grant> => {
  const visible = visibleTo(reader);
  const [grant] = await loadGrants(db, (eb) => eb.and([eb('grants.id', '=', id), visible.grants(eb)]), 1);
  if (grant === undefined) throw new Refusal('not_found');
  return grant;
};
