/** What came of one request: rows of every table, and of the trail with its real hash chain. */
import { createHash } from 'node:crypto';
import type pg from 'pg';
import { personalRoleName, roleSessionName } from '../../backend/access-policy/principal.ts';
import { canonicalForm, firstPreviousHash } from '../../backend/audit/chain.ts';
import type { AuditEvent } from '../../backend/audit/event.ts';
import type { PersonFacts } from '../../backend/store/people.ts';
import type { InstanceRef, Person, Receipt } from '../../src/shared/access.ts';
import { identityStoreId, idOf, type instanceOf, iso, mac, plain, region } from './company.ts';
import { type Row, tableWriter } from './table-writer.ts';

export type Tables = ReturnType<typeof openTables>;
export const openTables = (client: pg.Client) => {
  const table = (name: string) => tableWriter(client, name);
  return {
    audit: table('audit'),
    requests: table('requests'),
    request_instances: table('request_instances'),
    decisions: table('decisions'),
    grants: table('grants'),
    grant_instances: table('grant_instances'),
    sessions: table('sessions'),
    notices: table('notices'),
    spreading: table('spreading'),
  };
};

/** The chain, as `appendAudit` makes it: the canonical event stands in the canonical row. */
export const openChain = (tables: Pick<Tables, 'audit'>) => {
  let sequence = 0;
  let previous_hash = firstPreviousHash;
  return {
    rows: () => sequence,
    head: () => ({ sequence, hash: previous_hash }),
    append: async (event: AuditEvent, ids: { person?: string; request?: string; grant?: string }): Promise<number> => {
      sequence += 1;
      const canonical = canonicalForm(event);
      const hash = createHash('sha256')
        .update(`{"event":${canonical},"previousHash":"${previous_hash}","sequence":${sequence}}`)
        .digest('hex');
      await tables.audit.add({
        sequence,
        at: event.at,
        kind: event.kind,
        event,
        canonical,
        previous_hash,
        hash,
        actor_id: event.actor.kind === 'person' ? event.actor.person.id : null,
        person_id: ids.person ?? null,
        request_id: ids.request ?? null,
        grant_id: ids.grant ?? null,
      });
      previous_hash = hash;
      return sequence;
    },
  };
};

export type Chain = ReturnType<typeof openChain>;
export type Told = {
  number: number;
  at: number;
  person: PersonFacts;
  fate: 'live' | 'ended' | 'denied' | 'lapsed' | 'withdrawn' | 'waiting';
  byRule: boolean;
  instance: ReturnType<typeof instanceOf>;
  /** Who are asked to decide, and the one of them who does. */
  leads: readonly PersonFacts[];
  lead: PersonFacts;
  now: number;
};

const ruleSetHash = 'a'.repeat(64);
const reasons = ['look at the worker queue', 'disk is filling up', 'rotate a stuck log', 'reproduce a customer report'];
const durationSeconds = 3_600;
const curfew = { kind: 'curfew' } as const;

const addNotice = (tables: Tables, row: Row & { person_id: string; at: string; kind: string }, number: string) =>
  tables.notices.add({
    id: idOf('ntc', Number.parseInt(createHash('sha256').update(number).digest('hex').slice(0, 12), 16)),
    title: 'Access',
    body: 'Something happened to a request.',
    read_at: row.at,
    ...row,
  });

type Facts = Told & { person: PersonFacts; owner: Person; requestId: string; grantId: string; ref: InstanceRef };
type Grant = {
  session: string;
  approvedAt: number;
  connectedAt: number;
  endsAt: number;
  /** Nobody has connected yet. */
  ready: boolean;
  receipt: Receipt | null;
};

const grantOf = ({ number, at, fate, now, owner, grantId }: Facts): Grant => {
  const connectedAt = at + 120_000;
  const live = fate === 'live';
  // What lives ends within the next two hours.
  const endsAt = live ? now + 600_000 + (number % 6_000) * 1_000 : connectedAt + durationSeconds * 1_000;
  const session = `${roleSessionName(owner.userName, owner.id)}-${grantId.slice(4, 21)}`;
  const receipt: Receipt = {
    stage: 'sealed',
    policyGoneAt: iso(endsAt + 300),
    policyGoneMs: 300,
    sessionsGoneAt: iso(endsAt + 900),
    sessionsGoneMs: 900,
    sessionsTerminated: [session],
    looks: 4,
    sealedAt: iso(endsAt + 90_900),
  };
  const ready = live && number % 10 === 0;
  return { session, approvedAt: at + 60_000, connectedAt, endsAt, ready, receipt: live ? null : receipt };
};

/** @returns the number of its last row. */
const grantInTrail = async (chain: Chain, facts: Facts, grant: Grant): Promise<number> => {
  const { owner, requestId, grantId, ref, at } = facts;
  const { session, approvedAt, connectedAt, endsAt, ready, receipt } = grant;
  const ids = { person: owner.id, request: requestId, grant: grantId };
  const about = { grantId, requestId, owner, accountId: ref.accountId };
  const own = { kind: 'person', person: owner } as const;
  const principal = personalRoleName(identityStoreId, owner.id);
  const tell = (event: AuditEvent) => chain.append(event, ids);
  const made = { instances: [ref], durationSeconds, activateBy: iso(at + 28_800_000), principal };
  let last = await tell({ kind: 'grant_made', at: iso(approvedAt), actor: curfew, ...made, ...about });
  if (ready) return last;
  await tell({ kind: 'grant_connected', at: iso(connectedAt), actor: own, endsAt: iso(endsAt), ...about });
  const written = { principal, documentHash: mac, endsAt: iso(endsAt) };
  await tell({ kind: 'access_policy_written', at: iso(connectedAt + 400), actor: curfew, ...written, ...about });
  last = await tell({ kind: 'grant_active', at: iso(connectedAt + 900), actor: curfew, ...about });
  const opened = { sessionId: session, instance: ref };
  await tell({ kind: 'session_started', at: iso(connectedAt + 2_000), actor: own, ...opened, ...about });
  if (receipt === null) return last;
  const cause = { kind: 'time' } as const;
  const gone: Receipt = { ...receipt, stage: 'gone', sealedAt: null };
  await tell({ kind: 'grant_ending', at: iso(endsAt), actor: curfew, cause, ...about });
  await tell({ kind: 'session_terminated', at: iso(endsAt + 700), actor: curfew, ...opened, ...about });
  await tell({ kind: 'grant_ended', at: iso(endsAt + 900), actor: curfew, cause, receipt: gone, ...about });
  return tell({ kind: 'grant_sealed', at: iso(endsAt + 90_900), actor: curfew, receipt, ...about });
};

/** What only a connected grant has. */
const addSession = async (tables: Tables, { grantId, ref, number }: Facts, grant: Grant): Promise<void> => {
  const { session, connectedAt, endsAt, receipt } = grant;
  await tables.sessions.add({
    id: session,
    grant_id: grantId,
    account_id: ref.accountId,
    region,
    instance_id: ref.instanceId,
    started_at: iso(connectedAt + 2_000),
    ended_at: receipt === null ? null : iso(endsAt + 700),
    closes_at: iso(endsAt),
  });
  await tables.spreading.add({ account_id: ref.accountId, at: iso(connectedAt + 2_000), ms: 1_000 + (number % 7_000) });
};

const connectedColumns = ({ ready, connectedAt, endsAt }: Grant) => ({
  connected_at: ready ? null : iso(connectedAt),
  active_at: ready ? null : iso(connectedAt + 900),
  ends_at: ready ? null : iso(endsAt),
  end_set_at: ready ? null : iso(connectedAt),
});

/** The grant of an approved request, from the yes to the sealed receipt or to now. */
const tellGrant = async (tables: Tables, chain: Chain, facts: Facts): Promise<void> => {
  const { owner, requestId, grantId, ref, number, at, now } = facts;
  const grant = grantOf(facts);
  const { ready, receipt, endsAt } = grant;
  const audit_sequence = await grantInTrail(chain, facts, grant);
  if (!ready) await addSession(tables, facts, grant);
  if (receipt !== null) {
    const target = { target_kind: 'grant', target_id: grantId };
    await addNotice(tables, { person_id: owner.id, at: iso(endsAt + 900), kind: 'ended', ...target }, `e${number}`);
  }
  await tables.grants.add({
    id: grantId,
    request_id: requestId,
    person_id: owner.id,
    principal_id: `${ref.accountId}/${owner.id}/1`,
    account_id: ref.accountId,
    capability: 'shell',
    duration_seconds: durationSeconds,
    state: receipt !== null ? 'ended' : ready ? 'ready' : 'active',
    approved_at: iso(grant.approvedAt),
    activate_by: iso(ready ? now + 3_600_000 : at + 28_800_000),
    ...connectedColumns(grant),
    cause: receipt === null ? null : { kind: 'time' },
    policy_gone_at: receipt?.policyGoneAt ?? null,
    sessions_left: receipt === null ? null : 0,
    closed_at: receipt === null ? null : iso(endsAt + 900),
    receipt,
    mac,
    audit_sequence,
  });
  const { accountId: account_id, instanceId: instance_id } = ref;
  await tables.grant_instances.add({ grant_id: grantId, position: 0, account_id, region, instance_id });
};

/** A rule's or a lead's yes or no. @returns the number of its row. */
const decide = async (tables: Tables, chain: Chain, facts: Facts): Promise<number> => {
  const { number, at, byRule, fate, requestId, owner, ref, lead } = facts;
  const verdict = fate === 'denied' ? 'no' : 'yes';
  const by = byRule
    ? ({ kind: 'rule', ruleId: 'non-production-at-once' } as const)
    : ({ kind: 'person', person: plain(lead) } as const);
  const id = idOf('dec', number);
  const given = verdict === 'yes' ? { instances: [ref], durationSeconds } : { instances: null, durationSeconds: null };
  const seenHash = byRule ? null : mac;
  const decided = { decisionId: id, by, verdict, ...given, comment: null, ruleSetHash, seenHash } as const;
  const about = { requestId, requester: owner };
  const audit_sequence = await chain.append(
    { kind: 'request_decided', at: iso(at + 60_000), actor: by, ...decided, ...about },
    { person: owner.id, request: requestId },
  );
  await tables.decisions.add({
    id,
    request_id: requestId,
    requester_id: owner.id,
    rule_id: by.kind === 'rule' ? by.ruleId : null,
    person_id: by.kind === 'person' ? by.person.id : null,
    verdict,
    instances: given.instances,
    duration_seconds: given.durationSeconds,
    comment: null,
    at: iso(at + 60_000),
    rule_set_hash: ruleSetHash,
    seen_hash: seenHash,
    mac,
    audit_sequence,
  });
  return audit_sequence;
};

/** What became of the request itself. @returns the number of its last row; null: nothing yet. */
const close = async (tables: Tables, chain: Chain, facts: Facts): Promise<number | null> => {
  const { fate, at, owner, requestId } = facts;
  const ids = { person: owner.id, request: requestId };
  const about = { requestId, requester: owner };
  switch (fate) {
    case 'waiting':
      return null;
    case 'lapsed':
      return chain.append({ kind: 'request_lapsed', at: iso(at + 28_800_000), actor: curfew, ...about }, ids);
    case 'withdrawn':
      return chain.append(
        { kind: 'request_withdrawn', at: iso(at + 60_000), actor: { kind: 'person', person: owner }, ...about },
        ids,
      );
    default:
      return decide(tables, chain, facts);
  }
};

/** Who was asked hears of it, and who asked hears of the answer. */
const addNotices = async (tables: Tables, { number, at, fate, leads, owner, requestId }: Facts): Promise<void> => {
  const target = { target_kind: 'request', target_id: requestId };
  for (const { id } of leads) {
    await addNotice(tables, { person_id: id, at: iso(at), kind: 'to-approve', ...target }, `a${number} ${id}`);
  }
  const kind = fate === 'denied' ? 'denied' : 'approved';
  await addNotice(tables, { person_id: owner.id, at: iso(at + 60_000), kind, ...target }, `d${number}`);
};

const requestState = {
  live: 'approved',
  ended: 'approved',
  denied: 'denied',
  lapsed: 'lapsed',
  withdrawn: 'withdrawn',
  waiting: 'waiting',
} as const;

/** One request, from asking to whatever came of it. */
export const tellRequest = async (tables: Tables, chain: Chain, told: Told): Promise<void> => {
  const { number, at, instance, fate, byRule } = told;
  const owner = plain(told.person);
  const requestId = idOf('req', number);
  const ref = { accountId: instance.accountId, region, instanceId: instance.instanceId };
  const facts: Facts = { ...told, owner, requestId, grantId: idOf('grt', number), ref };
  const reason = `${reasons[number % reasons.length] ?? ''} on ${instance.name}`;
  const ticket = number % 3 === 0 ? `OPS-${number}` : null;
  const asked = {
    extendsGrantId: null,
    instances: [ref],
    capability: 'shell',
    durationSeconds,
    reason,
    ticket,
    ruleSetHash,
  };
  const submitted = await chain.append(
    {
      kind: 'request_submitted',
      at: iso(at),
      actor: { kind: 'person', person: owner },
      ...asked,
      requestId,
      requester: owner,
    },
    { person: owner.id, request: requestId },
  );
  const closed = await close(tables, chain, facts);
  await tables.requests.add({
    id: requestId,
    requester_id: owner.id,
    extends_grant_id: null,
    capability: 'shell',
    duration_seconds: durationSeconds,
    reason,
    ticket,
    state: requestState[fate],
    submitted_at: iso(at),
    lapses_at: iso(at + 28_800_000),
    closed_at: closed === null ? null : iso(fate === 'lapsed' ? at + 28_800_000 : at + 60_000),
    approvals_needed: byRule ? 0 : 1,
    rule_id: byRule ? 'non-production-at-once' : 'owning-team-may-request',
    rule_set_hash: ruleSetHash,
    audit_sequence: closed ?? submitted,
  });
  await tables.request_instances.add({
    request_id: requestId,
    position: 0,
    account_id: ref.accountId,
    region,
    instance_id: ref.instanceId,
    name: instance.name,
    tags: instance.tags,
  });
  if (!byRule) await addNotices(tables, facts);
  if (fate === 'live' || fate === 'ended') await tellGrant(tables, chain, facts);
};
