/** What the rules strip says: from a preview to words, a mark and what the button will do. Pure. */
import type { InstanceRef } from '../../../shared/access.ts';
import { refKey } from '../../../shared/access.ts';
import { durationWords } from '../../../shared/countdown.ts';
import { becauseWords } from '../../../shared/person-decides.ts';
import type { Paused, PersonalRole, Preview, Verdict } from '../../../shared/views.ts';
import { timeOfDay } from '../../look/time.ts';
import { count, peopleWords, seen } from '../../look/words.ts';

export type Say = {
  tone: 'ok' | 'ask' | 'no';
  mark: 'at-once' | 'one-person' | 'people' | 'no' | 'no-role' | 'paused';
  title: string;
  text: string;
  /** The rule that says so, by its name in the rule set. */
  rule: string | null;
  /** What the button does; null: it cannot be sent as it stands. */
  button: string | null;
  /** One click to the nearest that is possible: this duration, and what then happens. */
  nearest: { seconds: number; words: string } | null;
  /** Per instance, where they differ. */
  parts: SayPart[];
};

export type SayPart = { kind: Verdict['kind']; refs: InstanceRef[]; text: string; rule: string | null };

const numbers = ['No', 'One', 'Two', 'Three', 'Four', 'Five'];

const personText = (verdict: Extract<Verdict, { kind: 'person' }>, now: number): string => {
  const { approvals, people } = { approvals: verdict.approvalsNeeded, people: verdict.approvers };
  const who =
    people.length === 0
      ? 'Nobody who may approve is known yet'
      : `Any ${approvals} of ${people.length}: ${peopleWords(people)}`;
  const why = seen(becauseWords(verdict.because ?? [], now));
  return `${why === '' ? '' : `${why} `}${who}.${verdict.advice === null ? '' : ` ${seen(verdict.advice)}`}`;
};

const partText = (verdict: Verdict, seconds: number): string => {
  switch (verdict.kind) {
    case 'at-once':
      return `at once, for ${durationWords(seconds)}`;
    case 'person':
      return `asks for ${verdict.approvalsNeeded === 1 ? '1 person' : `${verdict.approvalsNeeded} people`}`;
    case 'no':
      return `not possible: ${seen(verdict.advice)}`;
  }
};

const sameAnswer = (verdict: Verdict): string => `${verdict.kind} ${verdict.ruleId ?? ''} ${verdict.advice ?? ''}`;

/** Instances grouped by what the rules say about them, in the order in which they were picked. */
export const partsOf = (preview: Preview, seconds: number): SayPart[] => {
  const groups = new Map<string, SayPart>();
  for (const { instance, verdict } of preview.perInstance) {
    const key = sameAnswer(verdict);
    const group = groups.get(key);
    if (group === undefined) {
      groups.set(key, { kind: verdict.kind, refs: [instance], text: partText(verdict, seconds), rule: verdict.ruleId });
    } else group.refs.push(instance);
  }
  return groups.size > 1 ? [...groups.values()] : [];
};

const nearestWords: Record<'at-once' | 'person', string> = {
  'at-once': 'then: approved at once',
  person: 'then: a person is asked',
};

type Base = { preview: Preview; seconds: number; now: number; parts: SayPart[]; offer: Say['nearest'] };

const withAdvice = (text: string, advice: string | null): string =>
  advice === null ? text : `${text} ${seen(advice)}`;

const noRole = (roles: PersonalRole[]): Say => {
  const [first] = roles;
  return {
    tone: 'no',
    mark: 'no-role',
    title: `You have no personal role in ${roles.map((role) => seen(role.accountName)).join(', ')}`,
    text: first === undefined || first.state === 'ready' ? '' : seen(first.advice),
    rule: null,
    button: null,
    nearest: null,
    parts: [],
  };
};

/** Somebody pulled a kill switch: said before anything is sent, with who may lift it. */
const paused = ({ message, by, at, instances }: Paused, { preview, now }: { preview: Preview; now: number }): Say => {
  const all = instances.length === preview.perInstance.length;
  const whom = by === null ? 'an admin' : `${seen(by)} or an admin`;
  return {
    tone: 'no',
    mark: 'paused',
    title: by === null ? 'Stopped for now' : `Stopped by ${seen(by)}`,
    text: `${seen(message)} Since ${timeOfDay(at, now)}, until it is lifted: ask ${whom}.${all ? ' Your draft is kept.' : ''}`,
    rule: null,
    button: null,
    nearest: null,
    parts: [],
  };
};

const atOnce = (verdict: Extract<Verdict, { kind: 'at-once' }>, { preview, seconds, parts }: Base): Say => {
  const instances = preview.perInstance.length;
  const what = instances === 1 ? 'this instance' : `these ${count(instances, 'instance')}`;
  return {
    tone: 'ok',
    mark: 'at-once',
    title: 'Approved at once',
    text: withAdvice(`No person is needed for ${what} for ${durationWords(seconds)}.`, verdict.advice),
    rule: verdict.ruleId,
    button: instances === 1 ? 'Request and connect' : `Request ${count(instances, 'instance')}`,
    nearest: null,
    parts,
  };
};

const person = (verdict: Extract<Verdict, { kind: 'person' }>, { preview, now, parts, offer }: Base): Say => {
  const { approvalsNeeded } = verdict;
  const one = approvalsNeeded === 1;
  return {
    tone: 'ask',
    mark: one ? 'one-person' : 'people',
    title: one ? 'One person must approve' : `${numbers[approvalsNeeded] ?? approvalsNeeded} people must approve`,
    text: personText(verdict, now),
    rule: verdict.ruleId,
    button: 'Send to approvers',
    nearest: preview.nearest?.kind === 'at-once' ? offer : null,
    parts,
  };
};

const notPossible = (verdict: Extract<Verdict, { kind: 'no' }>, { preview, seconds, parts, offer }: Base): Say => {
  const { longestSeconds } = preview;
  const tooLong = longestSeconds > 0 && seconds > longestSeconds;
  return {
    tone: 'no',
    mark: 'no',
    title: tooLong ? `Not possible for ${durationWords(seconds)}` : 'Not possible',
    text: `${seen(verdict.advice)}${tooLong ? ` The longest here is ${durationWords(longestSeconds)}.` : ''}`,
    rule: verdict.ruleId,
    button: null,
    nearest: offer,
    parts,
  };
};

/** The strip for a preview of `instances` instances for `seconds`; `now` in ms, for how long ago something was. */
export const sayOf = (preview: Preview, seconds: number, now: number): Say => {
  if (preview.paused !== undefined) return paused(preview.paused, { preview, now });
  if (preview.roleMissing.length > 0) return noRole(preview.roleMissing);
  const { nearest, verdict } = preview;
  const offer =
    nearest === null || nearest.durationSeconds === seconds
      ? null
      : { seconds: nearest.durationSeconds, words: nearestWords[nearest.kind] };
  const base: Base = { preview, seconds, now, parts: partsOf(preview, seconds), offer };
  switch (verdict.kind) {
    case 'at-once':
      return atOnce(verdict, base);
    case 'person':
      return person(verdict, base);
    case 'no':
      return notPossible(verdict, base);
  }
};

/** The instances of a preview that could start at once, when that is some but not all; else empty. */
export const startableNow = (preview: Preview): InstanceRef[] => {
  if (preview.paused !== undefined) return [];
  const now = preview.perInstance.filter(({ verdict }) => verdict.kind === 'at-once').map(({ instance }) => instance);
  return now.length === preview.perInstance.length ? [] : now;
};

/** The instances that no rule gives as it stands, or that somebody stopped. */
export const impossible = ({ paused: stopped, perInstance }: Preview): Set<string> =>
  new Set(
    stopped === undefined
      ? perInstance.filter(({ verdict }) => verdict.kind === 'no').map(({ instance }) => refKey(instance))
      : stopped.instances.map(refKey),
  );
