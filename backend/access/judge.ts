/** What the rules say about a whole request: every instance by itself, then the strictest of them. Reads nothing. */
import {
  type Because,
  type Capability,
  type Instance,
  type InstanceRef,
  type Person,
  refKey,
} from '../../src/shared/access.ts';
import { limits } from '../../src/shared/limits.ts';
import { becauseWords } from '../../src/shared/person-decides.ts';
import type { Verdict } from '../../src/shared/views.ts';
import type { RuleContext, RuleFacts, RulePerson } from '../rules/facts.ts';
import type { RuleAnswer, RuleSet } from '../rules/rules.ts';
import type { PersonFacts } from '../store/people.ts';
import type { Held } from './held.ts';

/** A request as the rules see it. Maps are by `refKey`. */
export type Ask = {
  person: PersonFacts;
  instances: readonly Instance[];
  capability: Capability;
  durationSeconds: number;
  reason: string;
  ticket: string | null;
  at: Date;
  /** Seconds of continuous access up to now; nothing means none. */
  usedSeconds: ReadonlyMap<string, number>;
  /** How often this person asked for it in the last 24 h. */
  asksLately: ReadonlyMap<string, number>;
  /** What no rule may give by itself. */
  held: Held;
};

const weekdays = ['sunday', 'monday', 'tuesday', 'wednesday', 'thursday', 'friday', 'saturday'] as const;

/** Seconds of continuous access that this instance would have had at the end of what is asked. */
export const totalSeconds = (ask: Ask, instance: InstanceRef): number =>
  (ask.usedSeconds.get(refKey(instance)) ?? 0) + ask.durationSeconds;

const rulePerson = ({ id, userName, groups }: RulePerson): RulePerson => ({ id, userName, groups });

const contextOf = (ask: Ask, instance: Instance): RuleContext => ({
  durationSeconds: ask.durationSeconds,
  totalSeconds: totalSeconds(ask, instance),
  capability: ask.capability,
  reason: ask.reason,
  ticket: ask.ticket,
  localHour: ask.at.getHours(),
  weekday: weekdays[ask.at.getDay()] ?? 'sunday',
  breakGlass: false,
  asksLately: ask.asksLately.get(refKey(instance)) ?? 0,
});

export const factsOf = (ask: Ask, instance: Instance): RuleFacts => ({
  person: rulePerson(ask.person),
  instance,
  context: contextOf(ask, instance),
});

export type InstanceJudgement = {
  instance: Instance;
  request: RuleAnswer;
  auto: RuleAnswer;
  /** Why a person decides though `auto` allows it; empty: nothing keeps the rule from giving it. */
  because: readonly Because[];
};

export const judgeInstances = (set: RuleSet, ask: Ask): InstanceJudgement[] =>
  ask.instances.map((instance) => {
    const facts = factsOf(ask, instance);
    const auto = set.autoApprove(facts);
    const because = auto.allowed ? (ask.held.get(refKey(instance)) ?? []) : [];
    return { instance, request: set.request(facts), auto, because };
  });

/** A rule speaks of it, so the person may know that it is there; with no rule at all it stays hidden (threats API-01). */
export const isHidden = ({ request }: InstanceJudgement): boolean => !request.allowed && request.ruleIds.length === 0;

const names = (answers: readonly RuleAnswer[]): string =>
  [...new Set(answers.flatMap((answer) => answer.ruleIds))].join(', ');

/** `because`: a rule would give some of it at once, and why it does not. */
export type PersonDecides = {
  kind: 'person';
  ruleId: string;
  approvalsNeeded: number;
  advice: string | null;
  because: readonly Because[];
};

export type Judgement =
  | { kind: 'no'; ruleId: string | null; advice: string; instances: Instance[] }
  | { kind: 'at-once'; ruleId: string; advice: string | null }
  | PersonDecides;

const firstAdvice = (answers: readonly RuleAnswer[]): string | null =>
  answers.find((answer) => answer.advice !== null)?.advice ?? null;

/** The strictest of the instances decides. */
export const judgementOf = (judged: readonly InstanceJudgement[]): Judgement => {
  const refused = judged.filter(({ request }) => !request.allowed);
  if (refused.length > 0) {
    const answers = refused.map(({ request }) => request);
    return {
      kind: 'no',
      ruleId: names(answers) || null,
      advice: firstAdvice(answers) ?? 'No rule allows it.',
      instances: refused.map(({ instance }) => instance),
    };
  }
  const notAtOnce = judged.filter(({ auto, because }) => !auto.allowed || because.length > 0);
  if (notAtOnce.length === 0) {
    const answers = judged.map(({ auto }) => auto);
    return { kind: 'at-once', ruleId: names(answers), advice: firstAdvice(answers) };
  }
  const answers = notAtOnce.map(({ request }) => request);
  return {
    kind: 'person',
    ruleId: names(answers),
    approvalsNeeded: Math.max(...answers.map((answer) => answer.approvals)),
    advice: firstAdvice(answers),
    because: judged.flatMap(({ because }) => because),
  };
};

/** A mailbox names a human: two sign-ins with the same one are one person (threats RQ-04). */
export const isSamePerson = (a: Pick<PersonFacts, 'id' | 'email'>, b: Pick<PersonFacts, 'id' | 'email'>): boolean =>
  a.id === b.id || (a.email !== null && b.email !== null && a.email.toLowerCase() === b.email.toLowerCase());

/** How many humans these are, as `isSamePerson` tells them apart. */
export const humansAmong = (people: readonly Pick<PersonFacts, 'id' | 'email'>[]): number =>
  new Set(people.map(({ id, email }) => email?.toLowerCase() ?? id)).size;

/** Who may decide the request, by the rules and by not being who asks (promise 9)? */
const decidersOf = (set: RuleSet, ask: Ask): ((approver: PersonFacts) => boolean) => {
  const rules = ask.instances.map((instance) => set.approve(factsOf(ask, instance)));
  return (approver) =>
    approver.enabled &&
    !isSamePerson(approver, ask.person) &&
    rules.every((mayApprove) => mayApprove(rulePerson(approver)).allowed);
};

export const mayDecide = (set: RuleSet, ask: Ask, approver: PersonFacts): boolean => decidersOf(set, ask)(approver);

export const plainPerson = ({ id, userName, displayName }: Person): Person => ({ id, userName, displayName });

export const approversOf = (set: RuleSet, ask: Ask, candidates: readonly PersonFacts[]): PersonFacts[] =>
  candidates.filter(decidersOf(set, ask));

/** The verdict as the window shows it. */
export const verdictOf = (judgement: Judgement, approvers: () => readonly PersonFacts[], at: Date): Verdict => {
  if (judgement.kind !== 'person') {
    return judgement.kind === 'at-once'
      ? judgement
      : { kind: 'no', ruleId: judgement.ruleId, advice: judgement.advice };
  }
  const people = approvers();
  const humans = humansAmong(people);
  const { because, ...person } = judgement;
  if (humans >= judgement.approvalsNeeded) {
    return {
      ...person,
      approvers: people.map(plainPerson),
      ...(because.length === 0 ? {} : { because: [...because] }),
    };
  }
  return { kind: 'no', ruleId: judgement.ruleId, advice: tooFewApprovers(judgement, humans, at) };
};

export const tooFewApprovers = (
  { approvalsNeeded: needed, because }: PersonDecides,
  there: number,
  at: Date,
): string => {
  const few = `It needs ${needed === 1 ? 'a person' : `${needed} persons`} who may decide all of it, and there ${there === 1 ? 'is' : 'are'} ${there === 0 ? 'none' : `only ${there}`}. Ask for instances of one team at a time.`;
  return because.length === 0 ? few : `${becauseWords(because, at.getTime())} ${few}`;
};

/** Durations that the window offers, seconds, longest first: what is tried to find the nearest possible. */
const usualSeconds = [12, 8, 4, 2, 1, 0.5, 0.25].map((hours) => hours * 3600);

/** The same request for another duration. */
const lasting = (ask: Ask, durationSeconds: number): Ask => ({ ...ask, durationSeconds });

/** Durations worth a try, longest first: the usual ones and the bounds that rules name, as far as limits go. */
const durationsToTry = (ask: Ask, judged: readonly InstanceJudgement[]): number[] => {
  const used = Math.max(0, ...ask.instances.map((instance) => ask.usedSeconds.get(refKey(instance)) ?? 0));
  const bounds = judged.flatMap(({ request, auto }) => [request.maxDurationSeconds, auto.maxDurationSeconds]);
  const named = bounds.flatMap((bound) => (bound === null ? [] : [bound - used]));
  const most = limits.longestGrantSeconds - used;
  return [...new Set([...usualSeconds, ...named, ask.durationSeconds])]
    .filter((seconds) => seconds >= limits.shortestGrantSeconds && seconds <= most)
    .sort((a, b) => b - a);
};

export type Reachable = {
  nearest: { durationSeconds: number; kind: 'at-once' | 'person' } | null;
  longestSeconds: number;
};

/** The nearest better answer at a shorter duration, and the longest that any rule gives. */
export const reachable = (set: RuleSet, ask: Ask): Reachable => {
  const judged = judgeInstances(set, ask);
  const now = judgementOf(judged).kind;
  const tried = durationsToTry(ask, judged).map((seconds) => ({
    durationSeconds: seconds,
    kind: judgementOf(judgeInstances(set, lasting(ask, seconds))).kind,
  }));
  const possible = tried.flatMap(({ durationSeconds, kind }) => (kind === 'no' ? [] : [{ durationSeconds, kind }]));
  const shorter = possible.filter(({ durationSeconds }) => durationSeconds < ask.durationSeconds);
  const better = now === 'no' ? shorter[0] : shorter.find(({ kind }) => kind === 'at-once');
  return {
    nearest: now === 'at-once' ? null : (better ?? null),
    longestSeconds: possible[0]?.durationSeconds ?? 0,
  };
};
