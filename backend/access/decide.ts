/** Deciding: a yes, a yes to less, or a no; exactly one decision closes a request (promises 1 and 9). */
import { type AccessRequest, type InstanceRef, type Person, refKey } from '../../src/shared/access.ts';
import { durationWords } from '../../src/shared/countdown.ts';
import { Refusal } from '../../src/shared/refusal.ts';
import type { DecideInput } from '../../src/shared/views.ts';
import type { RuleSet } from '../rules/rules.ts';
import { recordChange, tellChange } from '../store/changes.ts';
import { addNotices } from '../store/notices.ts';
import type { Tx } from '../store/open.ts';
import type { PersonFacts } from '../store/people.ts';
import { loadRequest } from '../store/requests.ts';
import type { Reader } from '../store/visibility.ts';
import { type AccessDeps, assertInForce, withRules } from './deps.ts';
import { gatherPerson, gatherRoles, plainRef, type ReadyRole, requireRoles } from './gather.ts';
import { type Ask, isSamePerson, plainPerson } from './judge.ts';
import { activateByOf, extendGrant, insertDecision, intersection, makeGrants } from './make.ts';
import { assertNotPaused, beginUnlessPaused } from './pause.ts';
import { assertRoomFor, assertRoomToExtend, ensurePrincipals, type PrincipalRef } from './principals.ts';
import { gatherRecorded, type Recorded, whyNot } from './recorded.ts';
import { closeRequest, type LockedGrant, lockGrant, lockWaiting } from './rows.ts';
import { assertContinuous, requestView, requireAllowed } from './submit.ts';
import { approvedWords, deniedWords, nothingLeftWords } from './words.ts';
import { askAgain, type FallenYes, gatherYeses, type StandingYes, setAside } from './yeses.ts';

export type Given = { instances: InstanceRef[]; durationSeconds: number };

/** What this yes gives. @throws Refusal `wider_than_asked` when it is more than was asked in any way (RQ-12). */
export const givenBy = (request: Pick<AccessRequest, 'instances' | 'durationSeconds'>, less: Given | null): Given => {
  if (less === null) {
    return { instances: request.instances.map(plainRef), durationSeconds: request.durationSeconds };
  }
  const asked = new Set(request.instances.map(refKey));
  const wider = less.instances.find((ref) => !asked.has(refKey(ref)));
  if (wider !== undefined) {
    throw new Refusal('wider_than_asked', { message: `${wider.instanceId} was not asked for.` });
  }
  if (less.durationSeconds > request.durationSeconds) {
    throw new Refusal('wider_than_asked', { message: `Asked were ${durationWords(request.durationSeconds)}.` });
  }
  // In the order of the request, each once.
  return {
    instances: intersection(request.instances, less.instances).map(plainRef),
    durationSeconds: less.durationSeconds,
  };
};

/** What several yeses give together: what all of them give. No instance may be left: that is a no. */
export const together = (first: Given, others: readonly Given[]): Given => ({
  instances: others.reduce((left, given) => intersection(left, given.instances), first.instances),
  durationSeconds: Math.min(first.durationSeconds, ...others.map((given) => given.durationSeconds)),
});

/** `aside`: earlier yeses that count no more and give way to this decision. */
type Plan = { aside: FallenYes[] } & (
  | { kind: 'deny' }
  /** A yes that is not the last: the request goes on waiting. */
  | { kind: 'count'; given: Given }
  /** The last yes. `grants` is what all yeses give together; without an instance it denies. */
  | { kind: 'approve'; given: Given; grants: Given; yeses: StandingYes[] }
);

const narrowed = (ask: Ask, given: Given): Ask => ({
  ...ask,
  instances: ask.instances.filter((instance) => given.instances.some((ref) => refKey(ref) === refKey(instance))),
  durationSeconds: given.durationSeconds,
});

const planOf = async (
  deps: AccessDeps,
  set: RuleSet,
  { recorded, input, approver }: { recorded: Recorded; input: DecideInput; approver: PersonFacts },
): Promise<Plan> => {
  const { standing, fallen } = await gatherYeses(deps, set, recorded);
  if (input.verdict === 'no') return { kind: 'deny', aside: fallen.filter(({ person }) => person.id === approver.id) };
  const { request, ask, gone } = recorded;
  const given = givenBy(request, input.less);
  if (request.purpose.kind === 'extend' && given.instances.length < request.instances.length) {
    // A grant has one end: more time on a part of it would be more time on all of it (RQ-12).
    throw new Refusal('invalid_input', {
      path: 'less.instances',
      message: 'More time is for the whole access. Give less time, or say no and let a new request be made.',
    });
  }
  const lost = gone.find((instance) => given.instances.some((ref) => refKey(ref) === refKey(instance)));
  if (lost !== undefined) {
    throw new Refusal('not_allowed', { message: `${lost.name} is no longer in the inventory: approve without it.` });
  }
  const judged = narrowed(ask, given);
  assertContinuous(judged);
  const judgement = requireAllowed(set, judged);
  if (request.state !== 'waiting') throw new Error(`Request ${request.id} was judged though it is closed.`);
  const needed = Math.max(1, request.approvalsNeeded, judgement.kind === 'person' ? judgement.approvalsNeeded : 1);
  if (standing.length + 1 < needed) {
    // Who may not decide at this moment may again before it lapses.
    return { kind: 'count', given, aside: fallen.filter(({ why }) => why === 'changed') };
  }
  return { kind: 'approve', given, grants: together(given, standing), yeses: standing, aside: fallen };
};

type Deciding = {
  recorded: Recorded;
  input: DecideInput;
  plan: Plan;
  approver: PersonFacts;
  decider: Person;
  at: Date;
  set: RuleSet;
};

/** Everybody said yes, and nothing is in all of it: that is a no. */
const leavesNothing = (plan: Plan): boolean => plan.kind === 'approve' && plan.grants.instances.length === 0;

const record = (tx: Tx, deps: AccessDeps, { recorded, input, plan, decider, at, set }: Deciding): Promise<number> =>
  insertDecision(tx, deps, {
    requestId: recorded.request.id,
    requester: plainPerson(recorded.requester),
    by: { kind: 'person', person: decider },
    yes: plan.kind === 'deny' ? null : plan.given,
    comment: input.comment,
    at,
    ruleSetHash: set.hash,
    seenHash: input.seenHash,
    wider: recorded.wider,
    aside: plan.aside,
    leavesNothing: leavesNothing(plan),
  });

const tellRequester = async (
  tx: Tx,
  { recorded, at }: Pick<Deciding, 'recorded' | 'at'>,
  notice: {
    kind: 'approved' | 'denied';
    title: string;
    body: string;
    target: { kind: 'request' | 'grant'; id: string };
  },
): Promise<void> => {
  const personId = recorded.request.requester.id;
  await addNotices(tx, [{ personId, at, ...notice }]);
  await recordChange(tx, { topic: 'notices', ref: null, audience: [personId] });
};

const writeNo = async (tx: Tx, deciding: Deciding, auditSequence: number): Promise<void> => {
  const { recorded, plan, decider, input, at } = deciding;
  const { request } = recorded;
  await closeRequest(tx, request, { state: 'denied', at, auditSequence });
  const words =
    plan.kind === 'approve'
      ? nothingLeftWords(request, { givers: plan.yeses.map(({ person }) => person), decider, comment: input.comment })
      : deniedWords(request, decider, input.comment);
  await tellRequester(tx, deciding, { kind: 'denied', ...words, target: { kind: 'request', id: request.id } });
};

/** What the last yes works on: the roles that will carry new grants, or the grant that goes on. */
type Carriers = { principals: ReadonlyMap<string, PrincipalRef> } | { extended: LockedGrant };

const writeYes = async (
  tx: Tx,
  deps: AccessDeps,
  {
    deciding,
    plan,
    carriers,
    auditSequence,
  }: {
    deciding: Deciding;
    plan: Extract<Plan, { kind: 'approve' }>;
    carriers: Carriers;
    auditSequence: number;
  },
): Promise<void> => {
  const { recorded, decider, input, at } = deciding;
  const { request } = recorded;
  await closeRequest(tx, request, { state: 'approved', at, auditSequence });
  const { instances, durationSeconds } = plan.grants;
  const by = { kind: 'person' as const, person: decider };
  let grantId: string | undefined;
  if ('extended' in carriers) {
    grantId = carriers.extended.row.id;
    await extendGrant(tx, deps, { grant: carriers.extended, bySeconds: durationSeconds, by, at });
  } else {
    const owner = plainPerson(recorded.requester);
    const { principals } = carriers;
    [grantId] = await makeGrants(tx, deps, { request, owner, instances, durationSeconds, principals, by, at });
  }
  const givers = plan.yeses.map(({ person }) => person);
  const words = approvedWords(
    {
      instances: recorded.ask.instances.filter((one) => instances.some((ref) => refKey(ref) === refKey(one))),
      durationSeconds,
      less: instances.length < request.instances.length || durationSeconds < request.durationSeconds,
      extends: 'extended' in carriers,
    },
    [...givers, decider],
    input.comment,
  );
  const target =
    grantId === undefined ? { kind: 'request' as const, id: request.id } : { kind: 'grant' as const, id: grantId };
  await tellRequester(tx, deciding, { kind: 'approved', ...words, target });
};

/** Whose yes was to something else, and is still wanted. */
const toLookAgain = ({ plan, approver }: Deciding): Person[] =>
  plan.aside.flatMap(({ giver }) => (giver === null || isSamePerson(giver, approver) ? [] : [plainPerson(giver)]));

const write = async (
  tx: Tx,
  deps: AccessDeps,
  { deciding, roles }: { deciding: Deciding; roles: readonly ReadyRole[] },
): Promise<void> => {
  const { recorded, plan, at, set } = deciding;
  const { request, requester } = recorded;
  await beginUnlessPaused(tx, { people: [requester.id, deciding.decider.id], instances: request.instances });
  const empty = leavesNothing(plan);
  let carriers: Carriers | null = null;
  if (plan.kind === 'approve' && !empty) {
    carriers =
      request.purpose.kind === 'extend'
        ? { extended: await lockGrant(tx, request.purpose.grantId, { action: 'extend', dueAt: at }) }
        : {
            principals: await ensurePrincipals(tx, deps, {
              roles,
              person: plainPerson(requester),
              dueAt: activateByOf(deps, at),
            }),
          };
  }
  await lockWaiting(tx, request.id);
  await assertSameYeses(tx, request);
  await setAside(tx, plan.aside);
  const auditSequence = await record(tx, deps, deciding);
  if (plan.kind === 'deny' || empty) await writeNo(tx, deciding, auditSequence);
  else if (plan.kind === 'approve' && carriers !== null)
    await writeYes(tx, deps, { deciding, plan, carriers, auditSequence });
  else await askAgain(tx, { request, people: toLookAgain(deciding), at });
  await tellChange(tx, { topic: 'requests', id: request.id, requestId: request.id });
  if (carriers !== null && 'extended' in carriers) {
    const { id, request_id: requestId } = carriers.extended.row;
    await tellChange(tx, { topic: 'grants', id, requestId });
  }
  assertInForce(deps, set);
};

class YesesChanged extends Error {}

/** Two people who say yes at once to a request that needs two: the second judges again with the first one's yes. */
const assertSameYeses = async (tx: Tx, request: AccessRequest): Promise<void> => {
  const seen = new Set(request.state === 'waiting' ? request.yeses.map(({ id }) => id) : []);
  const there = await tx.selectFrom('decisions').select('id').where('request_id', '=', request.id).execute();
  // By id and not by number: one may have taken the place of another.
  if (there.length !== seen.size || there.some(({ id }) => !seen.has(id)))
    throw new YesesChanged('Somebody else decided meanwhile.');
};

/** @throws Refusal `policy_full` when more time on a grant has no room by now: another grant would have to give way to it. */
const assertRoomForMore = async (deps: AccessDeps, request: AccessRequest, bySeconds: number): Promise<void> => {
  const [instance] = request.instances;
  if (request.purpose.kind === 'new' || instance === undefined) return;
  const { accountId, accountName } = instance;
  const { grantId } = request.purpose;
  await assertRoomToExtend(deps, request.requester, { grantId, accountId, accountName, bySeconds });
};

const decideOnce = (deps: AccessDeps, caller: Reader, input: DecideInput): Promise<AccessRequest> =>
  withRules(deps, async (set) => {
    const request = await loadRequest(deps.db, caller, input.requestId, deps.now());
    await assertNotPaused(deps.db, {
      people: [request.requester.id, caller.person.id],
      instances: request.instances,
    });
    // Tags as AWS has them now go into the hash that the approver's must equal. What AWS cannot tell is judged by what is known: a
    // person looked at it.
    const mayBeYes =
      input.verdict === 'yes' && request.state === 'waiting' && request.requester.id !== caller.person.id;
    if (mayBeYes) await deps.lookAgain(request.instances);
    const [recorded, approver] = await Promise.all([
      gatherRecorded(deps, set, request),
      gatherPerson(deps, caller.person.id),
    ]);
    const refusal = await whyNot(deps, set, { recorded, approver });
    if (refusal !== null) throw refusal;
    if (input.seenHash !== recorded.seenHash) throw new Refusal('changed');
    const plan = await planOf(deps, set, { recorded, input, approver });
    const grants = plan.kind === 'approve' && request.purpose.kind === 'new' ? plan.grants : null;
    const instances = recorded.ask.instances.filter((one) =>
      grants?.instances.some((ref) => refKey(ref) === refKey(one)),
    );
    const roles = requireRoles(await gatherRoles(deps, request.requester, instances));
    if (grants !== null) {
      await assertRoomFor(deps, request.requester, { instances, durationSeconds: grants.durationSeconds });
    }
    if (plan.kind === 'approve') await assertRoomForMore(deps, request, plan.grants.durationSeconds);
    const deciding = { recorded, input, plan, approver, decider: plainPerson(approver), at: deps.now(), set };
    await deps.db.transaction().execute((tx) => write(tx, deps, { deciding, roles }));
    if (plan.kind === 'approve') deps.nudge();
    return requestView(deps, request.id);
  });

/**
 * Records the caller's decision on a waiting request.
 * @returns the request afterwards: denied, approved with its grants, or waiting for the next yes.
 * @throws Refusal `not_found`, `own_request`, `wrong_state` (by whom and when), `changed` (the card is not what is
 * true now), `wider_than_asked`, `not_allowed`, `limit_reached`, `role_missing`, `policy_full`, `paused` (a kill switch).
 */
export const decide = async (deps: AccessDeps, caller: Reader, input: DecideInput): Promise<AccessRequest> => {
  for (let tries = 1; ; tries += 1) {
    try {
      return await decideOnce(deps, caller, input);
    } catch (error) {
      if (!(error instanceof YesesChanged) || tries >= 5) throw error;
    }
  }
};
