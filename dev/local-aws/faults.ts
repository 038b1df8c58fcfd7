/**
 * What can go wrong in AWS, on demand: rate limits (on by default, at AWS's own rates), IAM's spreading delay, errors, lost
 * answers, slow answers. It also keeps the list of calls, so that a test can say "IAM was never called".
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { AwsError, type FaultHooks } from './service.ts';

/** One call of an API. `accountId` and `region` are empty for the unsigned services (`sso-oidc`, `sso`). */
export type Call = Parameters<FaultHooks['beforeCall']>[0];

export type CallRecord = Call & { at: string; outcome: 'let-through' | 'throttled' | 'error-injected' | 'answer-lost' };

const match = z.strictObject({
  service: z.string().optional(),
  operation: z.string().optional(),
  accountId: z.string().optional(),
  region: z.string().optional(),
});

const effect = z.discriminatedUnion('kind', [
  z.strictObject({
    kind: z.literal('error'),
    code: z.string().min(1),
    message: z.string().default('Injected by local-aws'),
    status: z.int().min(400).max(599).default(400),
  }),
  /** The call is done, then the socket is cut without an answer. */
  z.strictObject({ kind: z.literal('lose-answer') }),
  z.strictObject({ kind: z.literal('latency'), ms: z.int().min(0).max(600_000) }),
]);

/** A fault: which calls, how many of them pass first (`after`), how many are hit then (`times`; null: all of them). */
export const faultRule = z.strictObject({
  match: match.default({}),
  after: z.int().min(0).default(0),
  times: z.int().min(1).nullable().default(1),
  effect,
});
export type FaultRule = z.infer<typeof faultRule>;

export const faultSettings = z.strictObject({
  /** How long a change in IAM is not yet seen by the evaluator, in milliseconds. */
  spreadingDelayMs: z.int().min(0).max(600_000),
  /** Whether AWS's rate limits hold. */
  rateLimits: z.boolean(),
  /** AWS's clock minus this machine's, milliseconds: up to two minutes either way, so that signatures still hold. */
  clockAheadMs: z.int().min(-120_000).max(120_000),
  /** How long after a call CloudTrail knows it; in AWS some five minutes, fifteen at most. */
  trailDelayMs: z.int().min(0).max(3_600_000),
});
export type FaultSettings = z.infer<typeof faultSettings>;
type SettingsChange = { [K in keyof FaultSettings]?: FaultSettings[K] | undefined };

type Limit = { perSecond: number; burst: number; key: string };

/** Calls a second per account and region (aws-facts 5); a bucket holds one second's worth. */
const ssmRates: Record<string, number> = {
  StartSession: 3,
  ResumeSession: 6,
  TerminateSession: 6,
  DescribeSessions: 6,
  GetConnectionStatus: 50,
};
const iamWrite = /^(?:Put|Create|Delete|Attach|Detach|Update|Tag|Untag|Set|Add|Remove)/;

/** The documented limit of a call. IAM's is not published: about 5 writes a second with a small burst (aws-facts 5). */
const limitOf = (call: Call): Limit | null => {
  if (call.service === 'iam') {
    return iamWrite.test(call.operation) ? { perSecond: 5, burst: 10, key: `iam ${call.accountId}` } : null;
  }
  const place = `${call.accountId} ${call.region}`;
  if (call.service === 'ssm') {
    const perSecond = ssmRates[call.operation];
    return perSecond === undefined ? null : { perSecond, burst: perSecond, key: `ssm ${call.operation} ${place}` };
  }
  if (call.service === 'cloudtrail') return { perSecond: 2, burst: 2, key: `cloudtrail ${place}` };
  if (call.service === 'identitystore') {
    return { perSecond: 20, burst: 20, key: `identitystore ${call.operation} ${place}` };
  }
  return null;
};

const throttled = (service: string): AwsError =>
  service === 'ec2'
    ? new AwsError('RequestLimitExceeded', 'Request limit exceeded.', 503)
    : new AwsError(service === 'iam' || service === 'sts' ? 'Throttling' : 'ThrottlingException', 'Rate exceeded', 400);

const matches = (wanted: FaultRule['match'], call: Call): boolean =>
  (wanted.service === undefined || wanted.service === call.service) &&
  (wanted.operation === undefined || wanted.operation === call.operation) &&
  (wanted.accountId === undefined || wanted.accountId === call.accountId) &&
  (wanted.region === undefined || wanted.region === call.region);

const keptCalls = 2000;
const defaults: FaultSettings = { spreadingDelayMs: 1000, rateLimits: true, clockAheadMs: 0, trailDelayMs: 2000 };

export type Faults = {
  /**
   * Before each call is authorised and done: waits where a fault says so.
   * @throws AwsError for throttling and for an injected error: the call is then not done.
   */
  beforeCall(call: Call): Promise<void>;
  /** After the call was done: whether its answer must be lost. */
  loseAnswer(call: Call): boolean;
  /** The present delay of IAM's spreading, milliseconds. */
  spreadingDelayMs(): number;
  settings(): FaultSettings;
  change(settings: SettingsChange): void;
  add(rule: FaultRule): void;
  rules(): FaultRule[];
  /** Takes all rules away; the settings stay. */
  clear(): void;
  /** Takes all rules away and puts the settings back. The list of calls stays. */
  reset(): void;
  /** The last 2,000 calls, oldest first. */
  calls(): CallRecord[];
  forgetCalls(): void;
};

/** @param now the clock of the token buckets and of the list of calls. */
export const createFaults = ({ now }: { now: () => Date }): Faults => {
  let settings = { ...defaults };
  let rules: Array<FaultRule & { seen: number }> = [];
  let calls: CallRecord[] = [];
  const buckets = new Map<string, { tokens: number; at: number }>();

  const takeToken = (limit: Limit): boolean => {
    const at = now().getTime();
    const bucket = buckets.get(limit.key) ?? { tokens: limit.burst, at };
    const refilled = Math.min(limit.burst, bucket.tokens + (Math.max(0, at - bucket.at) / 1000) * limit.perSecond);
    buckets.set(limit.key, { tokens: refilled >= 1 ? refilled - 1 : refilled, at });
    return refilled >= 1;
  };

  /** The effects that hit this call now; counts the call for every rule of this stage that it matches. */
  const hits = (call: Call, stage: 'before' | 'after'): Array<FaultRule['effect']> => {
    const hit = rules.filter((rule) => {
      const stageOfRule = rule.effect.kind === 'lose-answer' ? 'after' : 'before';
      if (stageOfRule !== stage || !matches(rule.match, call)) return false;
      rule.seen += 1;
      return rule.seen > rule.after && (rule.times === null || rule.seen <= rule.after + rule.times);
    });
    rules = rules.filter((rule) => rule.times === null || rule.seen < rule.after + rule.times);
    return hit.map((rule) => rule.effect);
  };

  return {
    async beforeCall(call) {
      const { service, operation, accountId, region } = call;
      const record: CallRecord = {
        service,
        operation,
        accountId,
        region,
        at: now().toISOString(),
        outcome: 'let-through',
      };
      calls.push(record);
      if (calls.length > keptCalls) calls = calls.slice(-keptCalls);
      const limit = settings.rateLimits ? limitOf(call) : null;
      if (limit && !takeToken(limit)) {
        record.outcome = 'throttled';
        throw throttled(service);
      }
      const effects = hits(call, 'before');
      for (const one of effects) if (one.kind === 'latency') await sleep(one.ms);
      const error = effects.find((one) => one.kind === 'error');
      if (!error) return;
      record.outcome = 'error-injected';
      throw new AwsError(error.code, error.message, error.status);
    },
    loseAnswer(call) {
      const lost = hits(call, 'after').length > 0;
      const record = calls.findLast((one) => one.outcome === 'let-through' && matches(call, one));
      if (lost && record) record.outcome = 'answer-lost';
      return lost;
    },
    spreadingDelayMs: () => settings.spreadingDelayMs,
    settings: () => ({ ...settings }),
    change(changes) {
      settings = {
        spreadingDelayMs: changes.spreadingDelayMs ?? settings.spreadingDelayMs,
        rateLimits: changes.rateLimits ?? settings.rateLimits,
        clockAheadMs: changes.clockAheadMs ?? settings.clockAheadMs,
        trailDelayMs: changes.trailDelayMs ?? settings.trailDelayMs,
      };
    },
    add(rule) {
      rules.push({ ...rule, seen: 0 });
    },
    rules: () => rules.map(({ seen: _seen, ...rule }) => rule),
    clear() {
      rules = [];
    },
    reset() {
      rules = [];
      settings = { ...defaults };
      buckets.clear();
    },
    calls: () => calls.map((call) => ({ ...call })),
    forgetCalls() {
      calls = [];
    },
  };
};
