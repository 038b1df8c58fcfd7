/**
 * The rules in force: Cedar policies of an admin's folder decide who may ask (`request`), what needs no person
 * (`autoApprove`) and who may decide (`approve`). Annotations carry what is not yes or no (design 8).
 */
import { statefulIsAuthorized } from '@cedar-policy/cedar-wasm/nodejs';
import { durationWords } from '../../src/shared/countdown.ts';
import { FileError, type FileProblem } from '../yaml-file.ts';
import { type Question, question, type RuleAction, type RuleFacts, type RulePerson } from './facts.ts';
import { type LoadedRules, loadRules, type Rule } from './load.ts';
import { questionKeys } from './relevance.ts';

export type RuleAnswer = {
  allowed: boolean;
  /** The rules that made the answer, sorted; empty when no rule speaks of it (which is a no). */
  ruleIds: string[];
  /** What the deciding rules say about it, in plain words. */
  advice: string | null;
  /** Persons who must say yes when it is not automatic: the most that an applying rule asks for, 1 when none does. */
  approvals: number;
  /** The longest continuous access that the applying permits give, seconds; null: they name no bound. */
  maxDurationSeconds: number | null;
};

export type RuleSet = {
  /** SHA-256 (hex) over names and texts of all files. */
  hash: string;
  ruleIds: readonly string[];
  /** May this person ask for this instance? */
  request: (facts: RuleFacts) => RuleAnswer;
  /** Is a person's yes needless? */
  autoApprove: (facts: RuleFacts) => RuleAnswer;
  /** May an approver decide what the person of the facts asks for? To be asked of many. Never consulted for one's own request alone. */
  approve: (facts: RuleFacts) => (approver: RulePerson) => RuleAnswer;
};

export type RuleBook = {
  current: () => RuleSet;
  /** Reads the folder again. With problems the last good set stays in force. */
  reload: () => Promise<{ ok: true; set: RuleSet } | { ok: false; problems: FileProblem[] }>;
};

const refused = (ruleIds: string[], advice: string | null): RuleAnswer => ({
  allowed: false,
  ruleIds,
  advice,
  approvals: 1,
  maxDurationSeconds: null,
});

const adviceOf = (rules: readonly Rule[]): string | null => {
  const texts = new Set(rules.flatMap((rule) => (rule.advice === null ? [] : [rule.advice])));
  return texts.size === 0 ? null : [...texts].join(' ');
};

/** The longest bound of several permits, each of which suffices; null as soon as one has none. */
const longestOf = (permits: readonly Rule[]): number | null => {
  const bounds = permits.map((rule) => rule.maxDurationSeconds ?? Number.POSITIVE_INFINITY);
  const longest = Math.max(...bounds);
  return Number.isFinite(longest) ? longest : null;
};

/** Permits by Cedar's word; those whose `@maxDuration` is shorter than the continuous access do not count. */
const judgePermits = (permits: readonly Rule[], totalSeconds: number): RuleAnswer => {
  const counting = permits.filter(
    (rule) => rule.maxDurationSeconds === null || rule.maxDurationSeconds >= totalSeconds,
  );
  const maxDurationSeconds = longestOf(permits);
  if (counting.length === 0 && maxDurationSeconds !== null) {
    const ids = permits.map((rule) => rule.id);
    return { ...refused(ids, `At most ${durationWords(maxDurationSeconds)} at a time.`), maxDurationSeconds };
  }
  return {
    allowed: true,
    ruleIds: counting.map((rule) => rule.id),
    advice: adviceOf(counting),
    approvals: Math.max(1, ...counting.map((rule) => rule.approvals ?? 1)),
    maxDurationSeconds,
  };
};

/** What Cedar says to a question: whether, and by which rules; `broken` are rules that could not be evaluated. */
type Said = { allowed: boolean; ids: string[]; broken: string[] };

/** @throws Error (a fault) when Cedar cannot take the question: the facts do not fit the schema. */
const askCedar = (loaded: LoadedRules, asked: Question): Said => {
  const answer = statefulIsAuthorized({
    ...asked,
    preparsedPolicySetId: loaded.cedarId,
    preparsedSchemaName: loaded.cedarId,
    validateRequest: true,
  });
  if (answer.type === 'failure') {
    throw new Error(`Cedar refused a question: ${answer.errors.map((error) => error.message).join('; ')}`);
  }
  const { decision, diagnostics } = answer.response;
  return {
    allowed: decision === 'allow',
    ids: [...diagnostics.reason].sort(),
    broken: diagnostics.errors.map((error) => error.policyId).sort(),
  };
};

/** About 300 characters each. */
const answersKept = 20_000;

/** Asks Cedar once for all that is alike to these rules; the oldest answers are forgotten. */
const remembering = (loaded: LoadedRules) => {
  const answers = new Map<string, Said>();
  return (action: RuleAction, facts: RuleFacts) => {
    const keyOf = questionKeys(loaded.relevance, action, facts);
    return (approver: RulePerson | null): Said => {
      const key = keyOf(approver);
      const known = answers.get(key);
      if (known !== undefined) return known;
      const said = askCedar(loaded, question(action, facts, approver));
      const [oldest] = answers.keys();
      if (answers.size >= answersKept && oldest !== undefined) answers.delete(oldest);
      answers.set(key, said);
      return said;
    };
  };
};

const ruleSet = (loaded: LoadedRules): RuleSet => {
  const ask = remembering(loaded);
  const judged = ({ allowed, ids, broken }: Said, facts: RuleFacts): RuleAnswer => {
    if (broken.length > 0) {
      // Cedar skips a rule that fails, and a skipped forbid would open what it closes: so this is a no.
      return refused(broken, `The rule ${broken.join(', ')} could not be evaluated: tell an admin.`);
    }
    const deciding = ids.flatMap((id) => loaded.rules.get(id) ?? []);
    return allowed ? judgePermits(deciding, facts.context.totalSeconds) : refused(ids, adviceOf(deciding));
  };
  return {
    hash: loaded.hash,
    ruleIds: [...loaded.rules.keys()],
    request: (facts) => judged(ask('request', facts)(null), facts),
    autoApprove: (facts) => judged(ask('autoApprove', facts)(null), facts),
    approve: (facts) => {
      const askAbout = ask('approve', facts);
      return (approver) => judged(askAbout(approver), facts);
    },
  };
};

/**
 * Opens the rules in `folder`.
 * @param trustedTags as in the configuration: the only tags of instances that rules for `autoApprove` may look at.
 * @throws FileError with every problem when the first set does not validate: a backend does not start on bad rules.
 */
export const openRules = async (folder: string, trustedTags: readonly string[]): Promise<RuleBook> => {
  const first = await loadRules(folder, trustedTags);
  if (!first.ok) throw new FileError(first.problems);
  let current = ruleSet(first.loaded);
  return {
    current: () => current,
    reload: async () => {
      const next = await loadRules(folder, trustedTags);
      if (!next.ok) return next;
      if (next.loaded.hash !== current.hash) current = ruleSet(next.loaded);
      return { ok: true, set: current };
    },
  };
};
