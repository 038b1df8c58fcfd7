/** Writes requests, decisions and the grants that a yes creates; each with its audit row in the same transaction. */
import {
  type Because,
  type DecidedBy,
  type Instance,
  type InstanceRef,
  type Person,
  refKey,
} from '../../src/shared/access.ts';
import type { GroupReach } from '../../src/shared/group-reach.ts';
import { limits } from '../../src/shared/limits.ts';
import { Refusal } from '../../src/shared/refusal.ts';
import { appendAudit } from '../audit/chain.ts';
import type { Actor, AuditEvent } from '../audit/event.ts';
import type { Tx } from '../store/open.ts';
import { groupBy } from '../store/rows.ts';
import { decisionContent, grantContent, sealDecision, sealGrant } from '../store/seal.ts';
import type { AccessDeps } from './deps.ts';
import { plainRef } from './gather.ts';
import type { PrincipalRef } from './principals.ts';
import { aboutGrant, changeGrant, type GrantRow, instantOf, type LockedGrant, type RequestRow } from './rows.ts';
import type { FallenYes } from './yeses.ts';

const actorOf = (by: DecidedBy): Actor =>
  by.kind === 'rule' ? { kind: 'rule', ruleId: by.ruleId } : { kind: 'person', person: by.person };

/** Said in the audit trail only where it is so: events from before there were groups read the same. */
const widely = (wider: readonly GroupReach[]): { wider?: GroupReach[] } =>
  wider.length === 0 ? {} : { wider: [...wider] };

export type NewRequest = {
  requester: Person;
  extendsGrantId: string | null;
  instances: readonly Instance[];
  capability: 'shell';
  durationSeconds: number;
  reason: string;
  ticket: string | null;
  at: Date;
  lapsesAt: Date;
  approvalsNeeded: number;
  ruleId: string;
  ruleSetHash: string;
  /** IAM groups whose members all get what is granted. */
  wider: readonly GroupReach[];
  /** Why a person decides though a rule would give it at once. */
  because: readonly Because[];
};

/** Puts a waiting request on record. @returns its id. */
export const insertRequest = async (tx: Tx, deps: Pick<AccessDeps, 'newId'>, request: NewRequest): Promise<string> => {
  const id = deps.newId('req');
  const audit_sequence = await appendAudit(tx, {
    kind: 'request_submitted',
    at: instantOf(request.at),
    actor: { kind: 'person', person: request.requester },
    requestId: id,
    requester: request.requester,
    extendsGrantId: request.extendsGrantId,
    instances: request.instances.map(plainRef),
    capability: request.capability,
    durationSeconds: request.durationSeconds,
    reason: request.reason,
    ticket: request.ticket,
    ruleSetHash: request.ruleSetHash,
    ...widely(request.wider),
    ...(request.because.length === 0 ? {} : { because: [...request.because] }),
  });
  await tx
    .insertInto('requests')
    .values({
      id,
      requester_id: request.requester.id,
      extends_grant_id: request.extendsGrantId,
      capability: request.capability,
      duration_seconds: request.durationSeconds,
      reason: request.reason,
      ticket: request.ticket,
      state: 'waiting',
      submitted_at: request.at,
      lapses_at: request.lapsesAt,
      closed_at: null,
      approvals_needed: request.approvalsNeeded,
      rule_id: request.ruleId,
      rule_set_hash: request.ruleSetHash,
      audit_sequence,
      because: request.because.length === 0 ? null : JSON.stringify(request.because),
    })
    .execute();
  await tx
    .insertInto('request_instances')
    .values(
      request.instances.map((instance, position) => ({
        request_id: id,
        position,
        account_id: instance.accountId,
        region: instance.region,
        instance_id: instance.instanceId,
        name: instance.name,
        tags: JSON.stringify(instance.tags),
      })),
    )
    .execute();
  return id;
};

export type NewDecision = {
  requestId: string;
  requester: Person;
  by: DecidedBy;
  /** Null: a no. */
  yes: { instances: readonly InstanceRef[]; durationSeconds: number } | null;
  comment: string | null;
  at: Date;
  ruleSetHash: string;
  seenHash: string | null;
  wider: readonly GroupReach[];
  /** Earlier yeses that count no more. */
  aside?: readonly FallenYes[];
  /** A yes that denies: nothing is in all of the yeses. */
  leavesNothing?: boolean;
};

/** Said in the audit trail only where it is so. */
const asideOf = (aside: readonly FallenYes[] = []): Pick<Extract<AuditEvent, { kind: 'request_decided' }>, 'aside'> =>
  aside.length === 0 ? {} : { aside: aside.map(({ id: decisionId, person, why }) => ({ decisionId, person, why })) };

/** Puts a sealed decision on record. @returns the sequence of its audit row. */
export const insertDecision = async (
  tx: Tx,
  deps: Pick<AccessDeps, 'newId' | 'sealKey'>,
  decision: NewDecision,
): Promise<number> => {
  const { by, yes } = decision;
  const instances = yes === null ? null : yes.instances.map(plainRef);
  const row = {
    id: deps.newId('dec'),
    request_id: decision.requestId,
    requester_id: decision.requester.id,
    rule_id: by.kind === 'rule' ? by.ruleId : null,
    person_id: by.kind === 'person' ? by.person.id : null,
    verdict: yes === null ? ('no' as const) : ('yes' as const),
    instances,
    duration_seconds: yes?.durationSeconds ?? null,
    comment: decision.comment,
    at: decision.at,
    rule_set_hash: decision.ruleSetHash,
    seen_hash: decision.seenHash,
    mac: '',
    audit_sequence: 0,
  };
  const audit_sequence = await appendAudit(tx, {
    kind: 'request_decided',
    at: instantOf(decision.at),
    actor: actorOf(by),
    requestId: decision.requestId,
    requester: decision.requester,
    decisionId: row.id,
    by,
    verdict: row.verdict,
    instances,
    durationSeconds: row.duration_seconds,
    comment: decision.comment,
    ruleSetHash: decision.ruleSetHash,
    seenHash: decision.seenHash,
    ...widely(yes === null ? [] : decision.wider),
    ...asideOf(decision.aside),
    ...(decision.leavesNothing === true ? { leavesNothing: true } : {}),
  });
  await tx
    .insertInto('decisions')
    .values({
      ...row,
      instances: instances === null ? null : JSON.stringify(instances),
      mac: sealDecision(deps.sealKey, decisionContent(row)),
      audit_sequence,
    })
    .execute();
  return audit_sequence;
};

export type Yes = {
  request: Pick<RequestRow, 'id' | 'capability'>;
  owner: Person;
  instances: readonly InstanceRef[];
  durationSeconds: number;
  /** By account id, locked by `ensurePrincipals`. */
  principals: ReadonlyMap<string, PrincipalRef>;
  by: DecidedBy;
  at: Date;
};

type MakeDeps = Pick<AccessDeps, 'newId' | 'sealKey' | 'config'>;

/** When a yes of this instant lapses unless the person connects. */
export const activateByOf = (deps: Pick<AccessDeps, 'config'>, at: Date): Date =>
  new Date(at.getTime() + deps.config.limits.connectWithinSeconds * 1000);

const makeGrant = async (
  tx: Tx,
  deps: MakeDeps,
  { yes, accountId, instances }: { yes: Yes; accountId: string; instances: readonly InstanceRef[] },
): Promise<string> => {
  const principal = yes.principals.get(accountId);
  if (principal === undefined) throw new Error(`Nobody looked for the personal role in ${accountId}.`);
  const activateBy = activateByOf(deps, yes.at);
  const row: GrantRow = {
    id: deps.newId('grt'),
    request_id: yes.request.id,
    person_id: yes.owner.id,
    principal_id: principal.id,
    account_id: accountId,
    capability: yes.request.capability,
    duration_seconds: yes.durationSeconds,
    state: 'ready',
    approved_at: yes.at,
    activate_by: activateBy,
    connected_at: null,
    end_set_at: null,
    active_at: null,
    ends_at: null,
    cause: null,
    policy_gone_at: null,
    sessions_left: null,
    closed_at: null,
    receipt: null,
    failed_code: null,
    failed_advice: null,
    mac: '',
    audit_sequence: 0,
  };
  const audit_sequence = await appendAudit(tx, {
    kind: 'grant_made',
    at: instantOf(yes.at),
    actor: actorOf(yes.by),
    ...aboutGrant({ row, owner: yes.owner }),
    instances: instances.map(plainRef),
    durationSeconds: yes.durationSeconds,
    activateBy: instantOf(activateBy),
    principal: principal.arn,
  });
  const mac = sealGrant(deps.sealKey, grantContent(row, instances, principal.arn));
  await tx
    .insertInto('grants')
    .values({ ...row, cause: null, receipt: null, mac, audit_sequence })
    .execute();
  await tx
    .insertInto('grant_instances')
    .values(
      instances.map((instance, position) => ({
        grant_id: row.id,
        position,
        account_id: instance.accountId,
        region: instance.region,
        instance_id: instance.instanceId,
      })),
    )
    .execute();
  return row.id;
};

/** Makes the grants of a yes: one for each account, ready for the first connect. @returns their ids. */
export const makeGrants = async (tx: Tx, deps: MakeDeps, yes: Yes): Promise<string[]> => {
  const ids: string[] = [];
  for (const [accountId, instances] of groupBy(yes.instances, (instance) => instance.accountId)) {
    ids.push(await makeGrant(tx, deps, { yes, accountId, instances }));
  }
  return ids;
};

/** Moves a live grant's end. The grant must be locked. @returns the new end. */
export const extendGrant = async (
  tx: Tx,
  deps: Pick<AccessDeps, 'sealKey'>,
  { grant, bySeconds, by, at }: { grant: LockedGrant; bySeconds: number; by: DecidedBy; at: Date },
): Promise<Date> => {
  const { row } = grant;
  if (row.ends_at === null) throw new Error(`Grant ${row.id} is ${row.state} without an end.`);
  if (row.ends_at <= at) {
    throw new Refusal('wrong_state', { message: 'This access has ended meanwhile.', at: instantOf(row.ends_at) });
  }
  if (row.duration_seconds + bySeconds > limits.longestGrantSeconds) {
    throw new Refusal('limit_reached', { message: 'Continuous access ends after 12 h.' });
  }
  const endsAt = new Date(row.ends_at.getTime() + bySeconds * 1000);
  await changeGrant(tx, deps.sealKey, {
    grant,
    change: { ends_at: endsAt, end_set_at: at, duration_seconds: row.duration_seconds + bySeconds },
    event: {
      kind: 'grant_extended',
      at: instantOf(at),
      actor: actorOf(by),
      ...aboutGrant(grant),
      fromEndsAt: instantOf(row.ends_at),
      endsAt: instantOf(endsAt),
      by,
    },
  });
  return endsAt;
};

/** Instances in both, in the order of the first. */
export const intersection = (a: readonly InstanceRef[], b: readonly InstanceRef[]): InstanceRef[] => {
  const keys = new Set(b.map(refKey));
  return a.filter((ref) => keys.has(refKey(ref)));
};
