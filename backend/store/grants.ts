/** Grants as views, built from their rows. */
import { type Expression, type ExpressionBuilder, type Selectable, type SqlBool, sql } from 'kysely';
import { jsonArrayFrom, jsonObjectFrom } from 'kysely/helpers/postgres';
import type { EndCause, Grant, GrantState, Locks, Person, Receipt } from '../../src/shared/access.ts';
import { Refusal } from '../../src/shared/refusal.ts';
import { deciderOf } from './decisions.ts';
import { instanceOf, refOfRow } from './instances.ts';
import { locksOf } from './locks.ts';
import type { Db } from './open.ts';
import { personIn } from './people.ts';
import { instantOf, instantOrNull } from './rows.ts';
import type { Schema } from './schema.ts';
import { type Reader, visibleTo } from './visibility.ts';

export type GrantRow = Selectable<Schema['grants']>;
export type GrantWhere = (eb: ExpressionBuilder<Schema, 'grants'>) => Expression<SqlBool>;

/** The table's checks promise these columns for the state: a missing one is a fault. */
const present = <T>(value: T | null, row: GrantRow, column: string): T => {
  if (value === null) throw new Error(`Grant ${row.id} is ${row.state} without ${column}.`);
  return value;
};

const stateOf = (row: GrantRow): GrantState => {
  const endsAt = () => instantOf(present(row.ends_at, row, 'ends_at'));
  const connectedAt = () => instantOf(present(row.connected_at, row, 'connected_at'));
  const closedAt = () => instantOf(present(row.closed_at, row, 'closed_at'));
  const cause = (): EndCause => present(row.cause, row, 'cause');
  const receipt = (): Receipt => present(row.receipt, row, 'receipt');
  switch (row.state) {
    case 'ready':
      return { state: 'ready', activateBy: instantOf(row.activate_by) };
    case 'granting':
      return { state: 'granting', connectedAt: connectedAt(), endsAt: endsAt() };
    case 'active':
      return {
        state: 'active',
        connectedAt: connectedAt(),
        activeAt: instantOf(present(row.active_at, row, 'active_at')),
        endsAt: endsAt(),
      };
    case 'ending':
      return {
        state: 'ending',
        connectedAt: instantOrNull(row.connected_at),
        endsAt: endsAt(),
        cause: cause(),
        policyGoneAt: instantOrNull(row.policy_gone_at),
        sessionsLeft: row.sessions_left,
      };
    case 'ended':
      return {
        state: 'ended',
        connectedAt: instantOrNull(row.connected_at),
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

/** Grants with all that their views are made of, in one statement, for the same reasons as requests. */
const wholeGrants = (db: Db) =>
  db
    .selectFrom('grants')
    .selectAll('grants')
    .select((eb) => [
      personIn<Person>('grants.person_id').as('person'),
      jsonObjectFrom(
        eb
          .selectFrom('requests')
          .select(['reason', 'ticket', 'requests.duration_seconds'])
          .select(
            sql<number>`(select count(*) from request_instances part
              where part.request_id = requests.id and part.account_id = grants.account_id)`.as('instances'),
          )
          .whereRef('requests.id', '=', 'grants.request_id'),
      ).as('asked'),
      jsonArrayFrom(
        eb
          .selectFrom('decisions')
          .select(['decisions.id', 'rule_id', personIn<Person | null>('decisions.person_id').as('person')])
          .whereRef('decisions.request_id', '=', 'grants.request_id')
          .where('verdict', '=', 'yes')
          .orderBy('at'),
      ).as('yeses'),
      jsonArrayFrom(
        eb
          .selectFrom('grant_instances as part')
          .innerJoin('instances', (join) =>
            join
              .onRef('instances.account_id', '=', 'part.account_id')
              .onRef('instances.region', '=', 'part.region')
              .onRef('instances.instance_id', '=', 'part.instance_id'),
          )
          .selectAll('instances')
          .whereRef('part.grant_id', '=', 'grants.id')
          .orderBy('part.position'),
      ).as('instances'),
      jsonArrayFrom(
        eb.selectFrom('sessions').selectAll().whereRef('grant_id', '=', 'grants.id').orderBy('started_at'),
      ).as('sessions'),
      jsonObjectFrom(
        eb
          .selectFrom('principals')
          .select(['document_at', 'due_at', 'problem'])
          .whereRef('principals.id', '=', 'grants.principal_id')
          .where(sql<boolean>`grants.state in ('granting', 'active')`),
      ).as('principal'),
    ]);
type Whole = Awaited<ReturnType<ReturnType<typeof wholeGrants>['executeTakeFirstOrThrow']>>;

const dateOf = (at: string | null): Date | null => (at === null ? null : new Date(at));

const locksIn = (row: Whole): Locks | null => {
  const { principal, sessions } = row;
  if (principal === null) return null;
  return locksOf(
    row,
    { ...principal, document_at: dateOf(principal.document_at), due_at: dateOf(principal.due_at) },
    sessions.map(({ ended_at, closes_at }) => ({ ended_at: dateOf(ended_at), closes_at: dateOf(closes_at) })),
  );
};

const grantOf = (row: Whole): Grant => {
  const asked = present(row.asked, row, 'its request');
  const instances = row.instances.map(instanceOf);
  const less = asked.instances > instances.length || asked.duration_seconds > row.duration_seconds;
  const locks = locksIn(row);
  return {
    id: row.id,
    requestId: row.request_id,
    person: row.person,
    accountId: row.account_id,
    accountName: instances[0]?.accountName ?? row.account_id,
    instances,
    capability: row.capability,
    durationSeconds: row.duration_seconds,
    reason: asked.reason,
    ticket: asked.ticket,
    approvedBy: row.yeses.map(deciderOf),
    approvedAt: instantOf(row.approved_at),
    askedFor: less ? { instances: asked.instances, durationSeconds: asked.duration_seconds } : null,
    sessions: row.sessions.map((session) => ({
      id: session.id,
      grantId: session.grant_id,
      instance: refOfRow(session),
      startedAt: instantOf(session.started_at),
      endedAt: instantOrNull(session.ended_at),
    })),
    ...(locks === null ? {} : { locks }),
    ...stateOf(row),
  };
};

/**
 * Grants that fulfil a condition, newest yes first. Put `visibleTo(reader).grants` into the condition unless the backend
 * itself reads.
 */
export const loadGrants = async (db: Db, where: GrantWhere, limit = 500): Promise<Grant[]> => {
  const rows = await wholeGrants(db).where(where).orderBy('approved_at', 'desc').orderBy('id').limit(limit).execute();
  return rows.map(grantOf);
};

/** One grant. @throws Refusal `not_found` when it does not exist or this reader may not see it: the same answer. */
export const loadGrant = async (db: Db, reader: Reader, id: string): Promise<Grant> => {
  const visible = visibleTo(reader);
  const [grant] = await loadGrants(db, (eb) => eb.and([eb('grants.id', '=', id), visible.grants(eb)]), 1);
  if (grant === undefined) throw new Refusal('not_found');
  return grant;
};
