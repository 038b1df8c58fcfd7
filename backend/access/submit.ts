/** Asking: judged by the rules, then either given at once or put before people. */
import type { AccessRequest, Person, RequestDraft } from '../../src/shared/access.ts';
import { durationWords } from '../../src/shared/countdown.ts';
import type { GroupReach } from '../../src/shared/group-reach.ts';
import { limits } from '../../src/shared/limits.ts';
import { Refusal } from '../../src/shared/refusal.ts';
import type { RuleSet } from '../rules/rules.ts';
import { recordChange, tellChange } from '../store/changes.ts';
import { addNotices } from '../store/notices.ts';
import type { Tx } from '../store/open.ts';
import type { PersonFacts } from '../store/people.ts';
import { loadRequests } from '../store/requests.ts';
import { type AccessDeps, assertInForce, withRules } from './deps.ts';
import {
  gatherAsk,
  gatherCandidates,
  gatherInstances,
  gatherPerson,
  gatherRoles,
  type ReadyRole,
  requireRoles,
} from './gather.ts';
import { gatherHeld, nothingHeld } from './held.ts';
import {
  type Ask,
  approversOf,
  humansAmong,
  isHidden,
  type Judgement,
  judgeInstances,
  judgementOf,
  type PersonDecides,
  plainPerson,
  reachable,
  tooFewApprovers,
  totalSeconds,
} from './judge.ts';
import { activateByOf, insertDecision, insertRequest, makeGrants, type NewRequest } from './make.ts';
import { beginUnlessPaused } from './pause.ts';
import { assertRoomFor, ensurePrincipals, type PrincipalRef } from './principals.ts';
import { closeRequest } from './rows.ts';
import { gatherWider } from './wider.ts';
import { instancesWords, toApproveWords } from './words.ts';

/** A request as its window shows it, whoever asks: for the answer to the person who just changed it. */
export const requestView = async (deps: Pick<AccessDeps, 'db' | 'now'>, id: string): Promise<AccessRequest> => {
  const [request] = await loadRequests(deps.db, { where: (eb) => eb('requests.id', '=', id), now: deps.now() });
  if (request === undefined) throw new Error(`Request ${id} is gone.`);
  return request;
};

/** @throws Refusal `limit_reached` when an instance would be reachable without a break for longer than 12 h (RQ-13). */
export const assertContinuous = (ask: Ask): void => {
  for (const instance of ask.instances) {
    if (totalSeconds(ask, instance) <= limits.longestGrantSeconds) continue;
    throw new Refusal('limit_reached', {
      message: `Access to ${instance.name} without a break ends after ${durationWords(limits.longestGrantSeconds)}. Ask again after a pause.`,
    });
  }
};

const couldBe = (set: RuleSet, ask: Ask): string => {
  const { longestSeconds } = reachable(set, ask);
  return longestSeconds > 0 && longestSeconds < ask.durationSeconds
    ? ` Up to ${durationWords(longestSeconds)} would be possible.`
    : '';
};

type Allowed = Exclude<Judgement, { kind: 'no' }>;

/** @throws Refusal `not_allowed` with the rule's advice and what would be possible. */
export const requireAllowed = (set: RuleSet, ask: Ask): Allowed => {
  const judgement = judgementOf(judgeInstances(set, ask));
  if (judgement.kind !== 'no') return judgement;
  throw new Refusal('not_allowed', {
    message: `${instancesWords(judgement.instances)}: ${judgement.advice}${couldBe(set, ask)}`,
  });
};

/** @throws Refusal `not_found`: of what no rule at all speaks, a person does not hear that it exists (API-01). */
const requireVisible = (set: RuleSet, ask: Ask): void => {
  if (judgeInstances(set, ask).some(isHidden)) throw new Refusal('not_found');
};

/** @throws Refusal `limit_reached`, `too_many`. The person's row is locked, so parallel requests are counted too. */
export const assertWithinLimits = async (tx: Tx, personId: string, at: Date): Promise<void> => {
  await tx.selectFrom('people').select('id').where('id', '=', personId).forNoKeyUpdate().executeTakeFirstOrThrow();
  const hourAgo = new Date(at.getTime() - 3_600_000);
  const counts = await tx
    .selectFrom('requests')
    .where('requester_id', '=', personId)
    .select((eb) => [
      eb.fn.countAll<number>().filterWhere('state', '=', 'waiting').as('waiting'),
      eb.fn.countAll<number>().filterWhere('submitted_at', '>', hourAgo).as('lately'),
      eb.fn.min('submitted_at').filterWhere('submitted_at', '>', hourAgo).as('first'),
    ])
    .executeTakeFirstOrThrow();
  if (counts.waiting >= limits.waitingRequestsPerPerson) {
    throw new Refusal('limit_reached', { message: `${counts.waiting} requests of yours wait already.` });
  }
  if (counts.lately >= limits.submitsPerHour) {
    const again = counts.first === null ? 3_600_000 : counts.first.getTime() + 3_600_000 - at.getTime();
    throw new Refusal('too_many', { retryAfterMs: Math.max(1_000, again) });
  }
};

/** @throws Refusal `limit_reached` when the person hoards yeses (RQ-14). */
const assertFewReady = async (tx: Tx, personId: string, more: number): Promise<void> => {
  const { ready } = await tx
    .selectFrom('grants')
    .where('person_id', '=', personId)
    .where('state', '=', 'ready')
    .select((eb) => eb.fn.countAll<number>().as('ready'))
    .executeTakeFirstOrThrow();
  if (ready + more <= limits.readyGrantsPerPerson) return;
  throw new Refusal('limit_reached', {
    message: `${ready} of your grants wait for the first connect already. Connect or end one of them first.`,
  });
};

/** Asks people: notices into their inboxes, and word to everybody who sees the request. */
export const askPeople = async (
  tx: Tx,
  { id, request, approvers }: { id: string; request: NewRequest; approvers: readonly Person[] },
): Promise<void> => {
  const words = toApproveWords({ ...request, extends: request.extendsGrantId !== null }, request.ruleId);
  await addNotices(
    tx,
    approvers.map((person) => ({
      personId: person.id,
      at: request.at,
      kind: 'to-approve' as const,
      ...words,
      target: { kind: 'request' as const, id },
    })),
  );
  await recordChange(tx, { topic: 'notices', ref: null, audience: approvers.map((person) => person.id) });
};

/** @throws Refusal `not_allowed` when too few people may decide it: it would wait for ever. */
export const requireApprovers = (
  set: RuleSet,
  ask: Ask,
  { candidates, judgement }: { candidates: readonly PersonFacts[]; judgement: PersonDecides },
): PersonFacts[] => {
  const approvers = approversOf(set, ask, candidates);
  const humans = humansAmong(approvers);
  if (humans >= judgement.approvalsNeeded) return approvers;
  throw new Refusal('not_allowed', { message: tooFewApprovers(judgement, humans, ask.at) });
};

type Gathered = { ask: Ask; judgement: Allowed; roles: ReadyRole[]; approvers: Person[]; wider: GroupReach[] };

const gather = async (deps: AccessDeps, set: RuleSet, caller: Person, draft: RequestDraft): Promise<Gathered> => {
  const known = await gatherInstances(deps.db, draft.instances);
  const person = await gatherPerson(deps, caller.id);
  const asked = await gatherAsk(deps, { ...draft, person, instances: known, extendsFrom: null, held: nothingHeld });
  // Nobody has AWS asked about what they may not see, nor learns from the time it takes that it is there.
  requireVisible(set, asked);
  const { unread } = await deps.lookAgain(known);
  const instances = await gatherInstances(deps.db, known);
  const at = deps.now();
  const ask = { ...asked, instances, at, held: await gatherHeld(deps.db, instances, { now: at, unread }) };
  requireVisible(set, ask);
  assertContinuous(ask);
  const judgement = requireAllowed(set, ask);
  const roles = requireRoles(await gatherRoles(deps, person, instances));
  await assertRoomFor(deps, person, { instances, durationSeconds: draft.durationSeconds });
  const approvers =
    judgement.kind === 'person'
      ? requireApprovers(set, ask, { candidates: await gatherCandidates(deps), judgement }).map(plainPerson)
      : [];
  return { ask, judgement, roles, approvers, wider: await gatherWider(deps, instances) };
};

/** Decides by the rule and makes the grants, in the transaction that records the request. */
const giveAtOnce = async (
  tx: Tx,
  deps: AccessDeps,
  { id, request, principals }: { id: string; request: NewRequest; principals: ReadonlyMap<string, PrincipalRef> },
): Promise<void> => {
  const { requester, instances, durationSeconds, at } = request;
  const by = { kind: 'rule' as const, ruleId: request.ruleId };
  const auditSequence = await insertDecision(tx, deps, {
    requestId: id,
    requester,
    by,
    yes: { instances, durationSeconds },
    comment: null,
    at,
    ruleSetHash: request.ruleSetHash,
    seenHash: null,
    wider: request.wider,
  });
  await closeRequest(tx, { id }, { state: 'approved', at, auditSequence });
  await makeGrants(tx, deps, {
    request: { id, capability: request.capability },
    owner: requester,
    instances,
    durationSeconds,
    principals,
    by,
    at,
  });
};

/**
 * Submits a request for the caller.
 * @returns the request: approved with its grants when a rule allows all of it at once, else waiting.
 * @throws Refusal `not_found`, `not_allowed`, `limit_reached`, `too_many`, `role_missing`, `policy_full`, `paused` (a kill switch).
 */
export const submit = (deps: AccessDeps, caller: Person, draft: RequestDraft): Promise<AccessRequest> =>
  withRules(deps, async (set) => {
    const { ask, judgement, roles, approvers, wider } = await gather(deps, set, caller, draft);
    const requester = plainPerson(ask.person);
    const at = ask.at;
    const request: NewRequest = {
      requester,
      extendsGrantId: null,
      instances: ask.instances,
      capability: ask.capability,
      durationSeconds: ask.durationSeconds,
      reason: ask.reason,
      ticket: ask.ticket,
      at,
      lapsesAt: new Date(at.getTime() + deps.config.limits.requestLapsesSeconds * 1000),
      approvalsNeeded: judgement.kind === 'person' ? judgement.approvalsNeeded : 0,
      ruleId: judgement.ruleId,
      ruleSetHash: set.hash,
      wider,
      because: judgement.kind === 'person' ? judgement.because : [],
    };
    const id = await deps.db.transaction().execute(async (tx) => {
      await beginUnlessPaused(tx, { people: [requester.id], instances: request.instances });
      await assertWithinLimits(tx, requester.id, at);
      await assertFewReady(tx, requester.id, judgement.kind === 'at-once' ? roles.length : 0);
      // Locks of principals come before the audit head (rows.ts).
      const principals =
        judgement.kind === 'at-once'
          ? await ensurePrincipals(tx, deps, { roles, person: requester, dueAt: activateByOf(deps, at) })
          : null;
      const made = await insertRequest(tx, deps, request);
      if (principals === null) await askPeople(tx, { id: made, request, approvers });
      else await giveAtOnce(tx, deps, { id: made, request, principals });
      await tellChange(tx, { topic: 'requests', id: made, requestId: made });
      assertInForce(deps, set);
      return made;
    });
    if (judgement.kind === 'at-once') deps.nudge();
    return requestView(deps, id);
  });
