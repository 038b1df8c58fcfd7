/**
 * Rows taken for a change: locked in one order (principal, request, grant, audit head), so that no two
 * changes wait for each other. `for no key update` lets others point at a row that is locked.
 */
import type { Selectable } from 'kysely';
import { jsonObjectFrom } from 'kysely/helpers/postgres';
import type { DecidedBy, InstanceRef, Instant, Person } from '../../src/shared/access.ts';
import { type GrantAction, grantActions } from '../../src/shared/lifecycle.ts';
import { Refusal } from '../../src/shared/refusal.ts';
import { appendAudit } from '../audit/chain.ts';
import type { AuditEvent } from '../audit/event.ts';
import { deciderOf } from '../store/decisions.ts';
import { refOfRow } from '../store/instances.ts';
import type { Db, Tx } from '../store/open.ts';
import { loadPeople, personIn } from '../store/people.ts';
import { known } from '../store/rows.ts';
import type { Schema } from '../store/schema.ts';
import { grantContent, grantSealHolds, type SealKey, sealGrant } from '../store/seal.ts';

export type GrantRow = Selectable<Schema['grants']>;
export type RequestRow = Selectable<Schema['requests']>;

export const instantOf = (at: Date): Instant => at.toISOString();

/** A request taken for a change. @throws Refusal `wrong_state` that says who decided, and when. */
export const lockWaiting = async (tx: Tx, requestId: string): Promise<RequestRow> => {
  const row = await tx
    .selectFrom('requests')
    .selectAll()
    .where('id', '=', requestId)
    .forNoKeyUpdate()
    .executeTakeFirst();
  if (row === undefined) throw new Refusal('not_found');
  if (row.state !== 'waiting') throw await notWaiting(tx, row);
  return row;
};

const stateWords = {
  approved: 'was approved',
  denied: 'was denied',
  withdrawn: 'was withdrawn',
  lapsed: 'has lapsed',
} as const;

const deciderName = (by: DecidedBy): string => (by.kind === 'rule' ? `rule ${by.ruleId}` : by.person.displayName);

/** What happened to a request that waits no more, as the refusal that a slower person hears. */
export const notWaiting = async (db: Db, row: Pick<RequestRow, 'id' | 'state' | 'closed_at'>): Promise<Refusal> => {
  if (row.state === 'waiting') throw new Error(`Request ${row.id} waits.`);
  const told = await db
    .selectFrom('requests')
    .select((eb) => [
      personIn<Person>('requests.requester_id').as('requester'),
      jsonObjectFrom(
        eb
          .selectFrom('decisions')
          .select(['decisions.id', 'decisions.rule_id', personIn<Person | null>('decisions.person_id').as('person')])
          .whereRef('decisions.request_id', '=', 'requests.id')
          .orderBy('at', 'desc')
          .limit(1),
      ).as('decision'),
      // A kill switch may have taken it back, not who asked.
      jsonObjectFrom(
        eb
          .selectFrom('kill_switch_hits')
          .innerJoin('kill_switches', 'kill_switches.id', 'kill_switch_hits.switch_id')
          .select(personIn<Person>('kill_switches.by_id').as('by'))
          .whereRef('request_id', '=', 'requests.id')
          .limit(1),
      ).as('stopped'),
    ])
    .where('requests.id', '=', row.id)
    .executeTakeFirstOrThrow();
  const decided = row.state === 'approved' || row.state === 'denied';
  const by =
    decided && told.decision !== null
      ? deciderName(deciderOf(told.decision))
      : row.state === 'withdrawn'
        ? (told.stopped?.by ?? told.requester).displayName
        : null;
  return new Refusal('wrong_state', {
    message: `The request ${stateWords[row.state]}${by === null ? '' : ` by ${by}`}.`,
    ...(by === null ? {} : { by }),
    ...(row.closed_at === null ? {} : { at: instantOf(row.closed_at) }),
  });
};

/** A grant taken for a change, with what its seal covers. */
export type LockedGrant = { row: GrantRow; instances: InstanceRef[]; principalArn: string; owner: Person };

/** The instances of a grant by position: the order of its seal. */
export const grantInstances = async (db: Db, grantId: string): Promise<InstanceRef[]> => {
  const rows = await db
    .selectFrom('grant_instances')
    .selectAll()
    .where('grant_id', '=', grantId)
    .orderBy('position')
    .execute();
  return rows.map(refOfRow);
};

const grantStateWords = {
  ready: 'waits for the first connect',
  granting: 'is being granted',
  active: 'is active',
  ending: 'is ending',
  ended: 'has ended',
  lapsed: 'has lapsed: nobody connected in time',
  failed: 'could not be granted',
} as const;

/** @throws Refusal `wrong_state` when the lifecycle table does not allow this in the grant's state. */
export const assertGrantCan = (action: GrantAction, row: Pick<GrantRow, 'state' | 'closed_at'>): void => {
  if (grantActions[action].some((state) => state === row.state)) return;
  throw new Refusal('wrong_state', {
    message: `This access ${grantStateWords[row.state]}.`,
    ...(row.closed_at === null ? {} : { at: instantOf(row.closed_at) }),
  });
};

/**
 * Locks a grant and, before it, its principal, which becomes due for the reconciler in the same transaction.
 * @throws Refusal `wrong_state` when `action` is not legal in the grant's state now.
 */
export const lockGrant = async (
  tx: Tx,
  grantId: string,
  { action, dueAt }: { action: GrantAction; dueAt: Date },
): Promise<LockedGrant> => {
  const { principal_id } = await tx
    .selectFrom('grants')
    .select('principal_id')
    .where('id', '=', grantId)
    .executeTakeFirstOrThrow();
  const principal = await tx
    .updateTable('principals')
    .set((eb) => ({ due_at: eb.fn('least', [eb.ref('due_at'), eb.val(dueAt)]) }))
    .where('id', '=', principal_id)
    .returning('arn')
    .executeTakeFirstOrThrow();
  const row = await tx
    .selectFrom('grants')
    .selectAll()
    .where('id', '=', grantId)
    .forNoKeyUpdate()
    .executeTakeFirstOrThrow();
  assertGrantCan(action, row);
  const people = await loadPeople(tx, [row.person_id]);
  return {
    row,
    instances: await grantInstances(tx, grantId),
    principalArn: principal.arn,
    owner: known(people, row.person_id),
  };
};

/** The fields that every audit event about a grant has. */
export const aboutGrant = ({ row, owner }: Pick<LockedGrant, 'row' | 'owner'>) => ({
  grantId: row.id,
  requestId: row.request_id,
  owner,
  accountId: row.account_id,
});

type GrantChange = Partial<
  Pick<GrantRow, 'state' | 'connected_at' | 'ends_at' | 'end_set_at' | 'duration_seconds' | 'cause' | 'closed_at'>
>;

/**
 * Changes a locked grant: audit row, new seal and the row, all in one transaction (promise 4). A row that somebody put or
 * changed in the database must not get a good seal by being used (threats AU-05): it can only be ended, with the seal it has.
 * @throws Error, a fault, when the seal does not hold and the change is not an ending.
 */
export const changeGrant = async (
  tx: Tx,
  sealKey: SealKey,
  { grant, change, event }: { grant: LockedGrant; change: GrantChange; event: AuditEvent },
): Promise<void> => {
  const { instances, principalArn, row } = grant;
  const holds = grantSealHolds(sealKey, grantContent(row, instances, principalArn), row.mac);
  if (!holds && change.state !== 'ending') throw new Error(`The seal of grant ${row.id} does not hold.`);
  const audit_sequence = await appendAudit(tx, event);
  const { cause, ...columns } = change;
  const mac = holds ? sealGrant(sealKey, grantContent({ ...row, ...columns }, instances, principalArn)) : row.mac;
  const changed = await tx
    .updateTable('grants')
    .set({
      ...columns,
      ...(cause === undefined ? {} : { cause: cause === null ? null : JSON.stringify(cause) }),
      mac,
      audit_sequence,
    })
    .where('id', '=', grant.row.id)
    .where('state', '=', grant.row.state)
    .executeTakeFirst();
  if (changed.numUpdatedRows !== 1n) throw new Error(`Grant ${grant.row.id} changed while it was locked.`);
};

/** Closes a waiting, locked request in its final state, with its audit row. */
export const closeRequest = async (
  tx: Tx,
  row: Pick<RequestRow, 'id'>,
  { state, at, auditSequence }: { state: Exclude<RequestRow['state'], 'waiting'>; at: Date; auditSequence: number },
): Promise<void> => {
  const changed = await tx
    .updateTable('requests')
    .set({ state, closed_at: at, audit_sequence: auditSequence })
    .where('id', '=', row.id)
    .where('state', '=', 'waiting')
    .executeTakeFirst();
  if (changed.numUpdatedRows !== 1n) throw new Error(`Request ${row.id} changed while it was locked.`);
};
