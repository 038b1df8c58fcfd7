/** More time on a grant that lives: a decision by the same rules, with the continuous total (RQ-13). */
import type { DecidedBy, Grant } from '../../src/shared/access.ts';
import { Refusal } from '../../src/shared/refusal.ts';
import type { ExtendOutcome } from '../../src/shared/views.ts';
import type { RuleSet } from '../rules/rules.ts';
import { tellChange } from '../store/changes.ts';
import { loadGrant } from '../store/grants.ts';
import type { Tx } from '../store/open.ts';
import type { Reader } from '../store/visibility.ts';
import { requireOwner } from './connect.ts';
import { type AccessDeps, assertInForce, withRules } from './deps.ts';
import { gatherAsk, gatherCandidates, gatherInstances, gatherPerson } from './gather.ts';
import { gatherHeld } from './held.ts';
import { type Ask, plainPerson } from './judge.ts';
import { extendGrant, insertDecision, insertRequest, type NewRequest } from './make.ts';
import { beginUnlessPaused } from './pause.ts';
import { assertRoomToExtend } from './principals.ts';
import { assertGrantCan, closeRequest, type LockedGrant, lockGrant } from './rows.ts';
import {
  askPeople,
  assertContinuous,
  assertWithinLimits,
  requestView,
  requireAllowed,
  requireApprovers,
} from './submit.ts';
import { gatherWider } from './wider.ts';

export type ExtendInput = {
  grantId: string;
  /** Seconds to add to the present end. */
  bySeconds: number;
  /** Null: the reason of the grant still holds. */
  reason: string | null;
};

type LiveGrant = Extract<Grant, { state: 'granting' | 'active' }>;

/** @throws Refusal `wrong_state` when it is not live at this instant. */
const requireLive = (grant: Grant, now: Date): LiveGrant => {
  assertGrantCan('extend', { state: grant.state, closed_at: null });
  if (grant.state !== 'granting' && grant.state !== 'active') throw new Refusal('wrong_state');
  if (Date.parse(grant.endsAt) > now.getTime()) return grant;
  throw new Refusal('wrong_state', { message: 'This access has ended.', at: grant.endsAt });
};

/** @throws Refusal `limit_reached`: one waits at a time. The grant must be locked, so that two cannot slip in. */
const assertNoneWaits = async (tx: Tx, grantId: string): Promise<void> => {
  const waiting = await tx
    .selectFrom('requests')
    .select('id')
    .where('extends_grant_id', '=', grantId)
    .where('state', '=', 'waiting')
    .executeTakeFirst();
  if (waiting === undefined) return;
  throw new Refusal('limit_reached', { message: 'Your request for more time on this access waits already.' });
};

const approveByRule = async (
  tx: Tx,
  deps: AccessDeps,
  { id, request, locked }: { id: string; request: NewRequest; locked: LockedGrant },
): Promise<DecidedBy> => {
  const by: DecidedBy = { kind: 'rule', ruleId: request.ruleId };
  const { requester, instances, durationSeconds, at, ruleSetHash } = request;
  const auditSequence = await insertDecision(tx, deps, {
    requestId: id,
    requester,
    by,
    yes: { instances, durationSeconds },
    comment: null,
    at,
    ruleSetHash,
    seenHash: null,
    wider: request.wider,
  });
  await closeRequest(tx, { id }, { state: 'approved', at, auditSequence });
  await extendGrant(tx, deps, { grant: locked, bySeconds: durationSeconds, by, at });
  return by;
};

const gatherExtension = async (deps: AccessDeps, grant: LiveGrant, input: ExtendInput): Promise<Ask> => {
  const { unread } = await deps.lookAgain(grant.instances);
  const instances = await gatherInstances(deps.db, grant.instances);
  return gatherAsk(deps, {
    person: await gatherPerson(deps, grant.person.id),
    instances,
    capability: grant.capability,
    durationSeconds: input.bySeconds,
    reason: input.reason ?? grant.reason,
    ticket: grant.ticket,
    extendsFrom: new Date(grant.endsAt),
    held: await gatherHeld(deps.db, instances, { now: deps.now(), unread }),
  });
};

const extendBy = async (deps: AccessDeps, set: RuleSet, { grant, ask }: { grant: LiveGrant; ask: Ask }) => {
  assertContinuous(ask);
  const judgement = requireAllowed(set, ask);
  const approvers =
    judgement.kind === 'person'
      ? requireApprovers(set, ask, { candidates: await gatherCandidates(deps), judgement })
      : [];
  const requester = plainPerson(ask.person);
  const { id: grantId, accountId, accountName } = grant;
  await assertRoomToExtend(deps, ask.person, { grantId, accountId, accountName, bySeconds: ask.durationSeconds });
  const wider = await gatherWider(deps, ask.instances);
  const at = deps.now();
  return deps.db.transaction().execute(async (tx) => {
    await beginUnlessPaused(tx, { people: [requester.id], instances: ask.instances });
    await assertWithinLimits(tx, requester.id, at);
    const locked = await lockGrant(tx, grant.id, { action: 'extend', dueAt: at });
    await assertNoneWaits(tx, grant.id);
    const request: NewRequest = {
      requester,
      extendsGrantId: grant.id,
      instances: ask.instances,
      capability: ask.capability,
      durationSeconds: ask.durationSeconds,
      reason: ask.reason,
      ticket: ask.ticket,
      at,
      // More time on what has ended cannot be given: it lapses with the grant.
      lapsesAt: locked.row.ends_at ?? at,
      approvalsNeeded: judgement.kind === 'person' ? judgement.approvalsNeeded : 0,
      ruleId: judgement.ruleId,
      ruleSetHash: set.hash,
      wider,
      because: judgement.kind === 'person' ? judgement.because : [],
    };
    const id = await insertRequest(tx, deps, request);
    if (judgement.kind === 'person') {
      await askPeople(tx, { id, request, approvers: approvers.map(plainPerson) });
      await tellChange(tx, { topic: 'requests', id, requestId: id });
      assertInForce(deps, set);
      return { id, by: null };
    }
    const by = await approveByRule(tx, deps, { id, request, locked });
    await tellChange(tx, { topic: 'grants', id: grant.id, requestId: grant.requestId });
    assertInForce(deps, set);
    return { id, by };
  });
};

/**
 * The owner asks for more time on a live grant.
 * @returns `extended` when a rule gives it at once, else `asked` with the waiting request.
 * @throws Refusal `not_found`, `not_allowed`, `wrong_state` (it has ended), `limit_reached` (12 h without a break, or one
 * waits already), `too_many` (it counts as a request of this hour), `policy_full`, `paused` (a kill switch).
 */
export const extend = (deps: AccessDeps, caller: Reader, input: ExtendInput): Promise<ExtendOutcome> =>
  withRules(deps, async (set) => {
    const seen = await loadGrant(deps.db, caller, input.grantId);
    requireOwner(seen, caller.person);
    const grant = requireLive(seen, deps.now());
    const ask = await gatherExtension(deps, grant, input);
    const { id, by } = await extendBy(deps, set, { grant, ask });
    if (by === null) return { kind: 'asked', request: await requestView(deps, id) };
    deps.nudge();
    return { kind: 'extended', grant: await loadGrant(deps.db, caller, grant.id), by };
  });
