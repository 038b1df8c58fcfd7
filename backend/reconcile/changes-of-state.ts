/**
 * Every change of a grant that the reconciler makes: row, audit event, notice and change event in one transaction
 * (promise 4), conditional on the state it starts from: when somebody was faster, nothing happens.
 */
import { createHash } from 'node:crypto';
import { sql, type Updateable } from 'kysely';
import type { EndCause, Receipt } from '../../src/shared/access.ts';
import type { GrantStateName } from '../../src/shared/lifecycle.ts';
import { grantActions } from '../../src/shared/lifecycle.ts';
import type { SlotDocument } from '../access-policy/compile.ts';
import { appendAudit } from '../audit/chain.ts';
import type { AuditEvent } from '../audit/event.ts';
import { recordChange, tellChange } from '../store/changes.ts';
import { addNotices, type NewNotice } from '../store/notices.ts';
import type { Db, Tx } from '../store/open.ts';
import type { Schema } from '../store/schema.ts';
import { grantSealHolds, type SealKey, sealGrant } from '../store/seal.ts';
import type { GrantFacts, PrincipalRow } from './wished.ts';

const curfew = { kind: 'curfew' } as const;

/** One hash over all documents of a principal; null: there is none. That of an inline policy alone is its text's. */
export const documentsHash = (documents: readonly SlotDocument[]): string | null => {
  const [first] = documents;
  if (first === undefined) return null;
  const alone = documents.length === 1 && first.slot === 0;
  const text = alone ? first.document : JSON.stringify(documents.map(({ slot, document }) => [slot, document]));
  return createHash('sha256').update(text).digest('hex');
};

/** Whom and what an audit event of a grant names. */
export const aboutGrant = ({ row, owner }: GrantFacts) => ({
  grantId: row.id,
  requestId: row.request_id,
  owner,
  accountId: row.account_id,
});

const instanceWords = async (tx: Tx, facts: GrantFacts): Promise<string> => {
  const names = await tx
    .selectFrom('instances')
    .select('name')
    .where('account_id', '=', facts.row.account_id)
    .where('instance_id', 'in', ['', ...facts.instances.map(({ instanceId }) => instanceId)])
    .orderBy('name')
    .execute();
  const [first] = names;
  if (first === undefined) return 'your instances';
  return names.length === 1 ? first.name : `${first.name} and ${names.length - 1} more`;
};

/** A backend that stood still must not write over a receipt that another one has sealed meanwhile. */
const notYetSealed = sql<boolean>`receipt ->> 'stage' = 'gone'`;

type Change = {
  from: readonly GrantStateName[];
  /** Only while its receipt is not sealed. */
  unsealed?: true;
  set: Updateable<Schema['grants']>;
  /** In their order; a function may change further rows in the same transaction. */
  events: readonly AuditEvent[] | ((tx: Tx) => Promise<AuditEvent[]>);
  notice?: (instances: string) => Pick<NewNotice, 'kind' | 'title' | 'body'>;
  at: Date;
};

/**
 * @returns false when the grant was no longer in a state of `from`, or its sealed content was changed since it was read, e.g.
 * its end: then what was planned is out of date, and the next turn plans anew.
 */
const changeGrant = (db: Db, facts: GrantFacts, change: Change): Promise<boolean> =>
  db.transaction().execute(async (tx) => {
    const { id } = facts.row;
    const locked = await tx
      .selectFrom('grants')
      .select('id')
      .where('id', '=', id)
      .where('state', 'in', [...change.from])
      .where('mac', '=', facts.row.mac)
      .$if(change.unsealed === true, (query) => query.where(notYetSealed))
      .forUpdate()
      .executeTakeFirst();
    if (locked === undefined) return false;
    let sequence = facts.row.audit_sequence;
    const events = typeof change.events === 'function' ? await change.events(tx) : change.events;
    for (const event of events) sequence = await appendAudit(tx, event);
    await tx
      .updateTable('grants')
      .set({ ...change.set, audit_sequence: sequence })
      .where('id', '=', id)
      .execute();
    if (change.notice !== undefined) {
      const notice = change.notice(await instanceWords(tx, facts));
      await addNotices(tx, [{ ...notice, personId: facts.owner.id, at: change.at, target: { kind: 'grant', id } }]);
      await recordChange(tx, { topic: 'notices', ref: null, audience: [facts.owner.id] });
    }
    await tellChange(tx, { topic: 'grants', id, requestId: facts.row.request_id });
    return true;
  });

/** `ready → lapsed`: nobody connected in time. */
export const lapseGrant = (db: Db, facts: GrantFacts, at: Date): Promise<boolean> =>
  changeGrant(db, facts, {
    from: grantActions.lapse,
    set: { state: 'lapsed', closed_at: at },
    events: [{ kind: 'grant_lapsed', at: at.toISOString(), actor: curfew, ...aboutGrant(facts) }],
    notice: (instances) => ({
      kind: 'lapsed',
      title: `Access to ${instances} lapsed`,
      body: 'You did not connect in time. Ask again when you need it.',
    }),
    at,
  });

/**
 * `granting | active → ending`. When it ends before its time the end moves to now and is sealed anew, but only if the seal
 * held: a broken row is never made good.
 */
export const beginEnding = (
  db: Db,
  facts: GrantFacts,
  ending: { cause: EndCause; at: Date; sealKey: SealKey; first?: AuditEvent },
): Promise<boolean> => {
  const { cause, at, sealKey, first } = ending;
  const { row, content } = facts;
  const early = row.ends_at === null || row.ends_at > at;
  const moved =
    early && grantSealHolds(sealKey, content, row.mac) ? sealGrant(sealKey, { ...content, endsAt: at }) : null;
  return changeGrant(db, facts, {
    from: grantActions.end,
    set: {
      state: 'ending',
      cause: JSON.stringify(cause),
      ...(early ? { ends_at: at } : {}),
      ...(moved === null ? {} : { mac: moved }),
    },
    events: [
      ...(first === undefined ? [] : [first]),
      { kind: 'grant_ending', cause, at: at.toISOString(), actor: curfew, ...aboutGrant(facts) },
    ],
    at,
  });
};

/** The end of a live grant moves back to `endsAt`: its more time cannot be given. Only for a grant whose seal held. */
export const takeBackMoreTime = (
  db: Db,
  facts: GrantFacts,
  back: { endsAt: Date; advice: string; at: Date; sealKey: SealKey },
): Promise<boolean> => {
  const { endsAt, advice, at, sealKey } = back;
  const { content, row } = facts;
  if (row.ends_at === null || row.connected_at === null) throw new Error(`Grant ${row.id} has no end to move`);
  const durationSeconds = Math.round((endsAt.getTime() - row.connected_at.getTime()) / 1000);
  return changeGrant(db, facts, {
    from: grantActions.extend,
    set: {
      ends_at: endsAt,
      end_set_at: at,
      duration_seconds: durationSeconds,
      mac: sealGrant(sealKey, { ...content, endsAt, durationSeconds }),
    },
    events: [
      {
        kind: 'grant_shortened',
        fromEndsAt: row.ends_at.toISOString(),
        endsAt: endsAt.toISOString(),
        advice,
        at: at.toISOString(),
        actor: curfew,
        ...aboutGrant(facts),
      },
    ],
    notice: (instances) => ({ kind: 'failed', title: `More time on ${instances} could not be given`, body: advice }),
    at,
  });
};

/** `granting → failed`. `first`: what is to be written down before it. */
export const failGrant = (
  db: Db,
  facts: GrantFacts,
  failure: { code: string; advice: string; at: Date; first?: AuditEvent },
): Promise<boolean> => {
  const { code, advice, at, first } = failure;
  const failed: AuditEvent = {
    kind: 'grant_failed',
    code,
    advice,
    at: at.toISOString(),
    actor: curfew,
    ...aboutGrant(facts),
  };
  return changeGrant(db, facts, {
    from: grantActions.fail,
    set: { state: 'failed', failed_code: code, failed_advice: advice, closed_at: at },
    events: first === undefined ? [failed] : [first, failed],
    notice: (instances) => ({ kind: 'failed', title: `Access to ${instances} could not be given`, body: advice }),
    at,
  });
};

/** `granting → active`: the access policy was read back and holds this grant. */
export const activateGrant = (
  db: Db,
  facts: GrantFacts,
  written: { principal: PrincipalRow; documents: readonly SlotDocument[]; at: Date },
): Promise<boolean> => {
  const at = written.at.toISOString();
  const endsAt = facts.row.ends_at?.toISOString() ?? at;
  return changeGrant(db, facts, {
    from: grantActions.activate,
    set: { state: 'active', active_at: written.at },
    events: [
      {
        kind: 'access_policy_written',
        principal: written.principal.arn,
        documentHash: documentsHash(written.documents) ?? '',
        endsAt,
        at,
        actor: curfew,
        ...aboutGrant(facts),
      },
      { kind: 'grant_active', at, actor: curfew, ...aboutGrant(facts) },
    ],
    at: written.at,
  });
};

/** How far an ending has come: shown, not audited (the receipt is). */
export const noteEnding = (
  db: Db,
  facts: GrantFacts,
  progress: { policyGoneAt?: Date; sessionsLeft?: number },
): Promise<void> =>
  db.transaction().execute(async (tx) => {
    await tx
      .updateTable('grants')
      .set({
        ...(progress.policyGoneAt === undefined ? {} : { policy_gone_at: progress.policyGoneAt }),
        ...(progress.sessionsLeft === undefined ? {} : { sessions_left: progress.sessionsLeft }),
      })
      .where('id', '=', facts.row.id)
      .where('state', '=', 'ending')
      .execute();
    await tellChange(tx, { topic: 'grants', id: facts.row.id, requestId: facts.row.request_id });
  });

const seconds = (ms: number): string => (ms < 1000 ? 'within a second' : `after ${Math.ceil(ms / 1000)} s`);

/**
 * `ending → ended`, with the receipt's first stage. Sessions that ended by themselves are closed in our rows too.
 * @param stillOpen ids of sessions that live on because another grant covers their instance (threats RQ-21).
 */
export const finishGrant = (
  db: Db,
  facts: GrantFacts,
  finished: { receipt: Receipt; stillOpen: readonly string[]; at: Date },
): Promise<boolean> => {
  const { receipt, stillOpen } = finished;
  const { cause } = facts.row;
  if (cause === null) throw new Error(`Grant ${facts.row.id} is ending without a cause`);
  const at = finished.at.toISOString();
  return changeGrant(db, facts, {
    from: grantActions.finish,
    set: { state: 'ended', closed_at: finished.at, receipt: JSON.stringify(receipt), sessions_left: 0 },
    events: async (tx) => {
      const closed = await tx
        .updateTable('sessions')
        .set({ ended_at: finished.at })
        .where('grant_id', '=', facts.row.id)
        .where('ended_at', 'is', null)
        .where('id', 'not in', ['', ...stillOpen])
        .returning(['id', 'account_id', 'region', 'instance_id'])
        .execute();
      const ended = closed.map(
        ({ id, account_id, region, instance_id }): AuditEvent => ({
          kind: 'session_ended',
          sessionId: id,
          instance: { accountId: account_id, region, instanceId: instance_id },
          at,
          actor: curfew,
          ...aboutGrant(facts),
        }),
      );
      return [...ended, { kind: 'grant_ended', cause, receipt, at, actor: curfew, ...aboutGrant(facts) }];
    },
    notice: (instances) => ({
      kind: 'ended',
      title: `Access to ${instances} ended`,
      body: `The access policy was gone ${seconds(receipt.policyGoneMs)}, and no session is left${receipt.stays === undefined ? '' : ' but those of other access that goes on'}.`,
    }),
    at: finished.at,
  });
};

/** A further look at an ended grant: keeps the receipt, or seals it when it was quiet long enough. */
export const noteLook = async (
  db: Db,
  facts: GrantFacts,
  look: { receipt: Receipt; sealed: boolean; at: Date },
): Promise<void> => {
  const { receipt, sealed, at } = look;
  if (sealed) {
    await changeGrant(db, facts, {
      from: ['ended'],
      unsealed: true,
      set: { receipt: JSON.stringify(receipt) },
      events: [{ kind: 'grant_sealed', receipt, at: at.toISOString(), actor: curfew, ...aboutGrant(facts) }],
      at,
    });
    return;
  }
  await db
    .updateTable('grants')
    .set({ receipt: JSON.stringify(receipt) })
    .where('id', '=', facts.row.id)
    .where(notYetSealed)
    .execute();
};
