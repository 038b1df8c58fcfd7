/** What the rules will say before anything is sent. Changes nothing. */
import { type Person, type RequestDraft, refKey } from '../../src/shared/access.ts';
import { limits } from '../../src/shared/limits.ts';
import { Refusal } from '../../src/shared/refusal.ts';
import type { Preview, Verdict } from '../../src/shared/views.ts';
import type { RuleSet } from '../rules/rules.ts';
import type { PersonFacts } from '../store/people.ts';
import type { AccessDeps } from './deps.ts';
import { gatherAsk, gatherCandidates, gatherInstances, gatherPerson, gatherRoles, plainRef } from './gather.ts';
import { gatherHeld } from './held.ts';
import {
  type Ask,
  approversOf,
  isHidden,
  judgeInstances,
  judgementOf,
  reachable,
  totalSeconds,
  verdictOf,
} from './judge.ts';
import { pausedNow } from './pause.ts';
import { gatherWider } from './wider.ts';

type Verdicts = Pick<Preview, 'verdict' | 'perInstance'>;

const verdicts = (set: RuleSet, ask: Ask, candidates: readonly PersonFacts[]): Verdicts => {
  const judged = judgeInstances(set, ask);
  if (judged.some(isHidden)) throw new Refusal('not_found');
  // The same team often owns all of them: people are asked for once an instance, not once a verdict.
  const approvers = new Map<string, PersonFacts[]>();
  const approversFor = (instances: Ask['instances']): PersonFacts[] => {
    const key = instances.map(refKey).join(' ');
    const known = approvers.get(key) ?? approversOf(set, { ...ask, instances }, candidates);
    approvers.set(key, known);
    return known;
  };
  const tooLong = ask.instances.some((instance) => totalSeconds(ask, instance) > limits.longestGrantSeconds);
  const whole: Verdict = tooLong
    ? { kind: 'no', ruleId: null, advice: 'Access without a break ends after 12 h. Ask for less, or after a pause.' }
    : verdictOf(judgementOf(judged), () => approversFor(ask.instances), ask.at);
  return {
    verdict: whole,
    perInstance: judged.map((one) => ({
      instance: plainRef(one.instance),
      verdict: verdictOf(judgementOf([one]), () => approversFor([one.instance]), ask.at),
    })),
  };
};

/**
 * What would happen to this draft now.
 * @throws Refusal `not_found` when an instance is not in the inventory or no rule lets the caller see it.
 */
export const preview = async (deps: AccessDeps, caller: Person, draft: RequestDraft): Promise<Preview> => {
  const set = deps.rules.current();
  const [instances, person, candidates] = await Promise.all([
    gatherInstances(deps.db, draft.instances),
    gatherPerson(deps, caller.id),
    gatherCandidates(deps),
  ]);
  // AWS is not asked while somebody types: what changed since the last reading is found when it is sent.
  const held = await gatherHeld(deps.db, instances, { now: deps.now(), unread: new Set() });
  const ask = await gatherAsk(deps, { ...draft, person, instances, extendsFrom: null, held });
  const said = verdicts(set, ask, candidates);
  const [roles, wider, paused] = await Promise.all([
    gatherRoles(deps, person, instances),
    gatherWider(deps, instances),
    pausedNow(deps.db, { people: [person.id], instances }),
  ]);
  const roleMissing = roles.filter((role) => role.state !== 'ready');
  return { ...said, ...reachable(set, ask), roleMissing, wider, ...(paused === null ? {} : { paused }) };
};
