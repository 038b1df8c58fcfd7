/**
 * The door into every configured account: the broker role, entered with its ExternalId, and clients that renew its
 * credentials by themselves. Clients have no endpoint, so the SDK's AWS_ENDPOINT_URL settings work (design 5).
 */
import { CloudTrailClient } from '@aws-sdk/client-cloudtrail';
import { EC2Client } from '@aws-sdk/client-ec2';
import { IAMClient } from '@aws-sdk/client-iam';
import { SSMClient } from '@aws-sdk/client-ssm';
import { AssumeRoleCommand, STSClient } from '@aws-sdk/client-sts';
import type { HttpHandlerUserInput } from '@smithy/protocol-http';
import { awsLimits } from '../../src/shared/aws-limits.ts';
import type { AccountConfig, Config } from '../config.ts';
import { type Buckets, type Budget, createBudget, localBuckets, type Rate, realTiming, type Timing } from './budget.ts';
import { type ClockHeard, clockListener, clockStep } from './clock-skew.ts';
import { currentErrand, type Urgency } from './errand.ts';
import { AwsProblem, awsProblem, isThrottling } from './errors.ts';

/**
 * What costs a call: IAM writes and reads per account, calls of SSM and CloudTrail per account and region. The rates of SSM are AWS's own
 * (aws-facts 5), its buckets are larger than ours: calls that come a little unevenly are not throttled. IAM's rates are not
 * published; reads were never seen throttled at this one.
 */
export const awsRates = {
  'iam-write': { perSecond: 5, burst: 8 },
  'iam-read': { perSecond: 20, burst: 20 },
  'describe-sessions': { perSecond: 6, burst: 4 },
  'terminate-session': { perSecond: 6, burst: 4 },
  inventory: { perSecond: 5, burst: 5 },
  // AWS allows two; the account’s people look things up too.
  'lookup-events': { perSecond: 1, burst: 2 },
} as const satisfies Record<string, Rate>;
export type BudgetName = keyof typeof awsRates;

const iamRegions: Record<Config['partition'], string> = {
  aws: 'us-east-1',
  'aws-cn': 'cn-north-1',
  'aws-us-gov': 'us-gov-west-1',
  'aws-eusc': 'eusc-de-east-1',
};

/** Attempts of one call, and the longest wait before the second of them, milliseconds; doubled for each further one. */
const attempts = 4;
const firstWaitMs = 200;
const credentialsLeftMs = 5 * 60_000;

/** How long one call may take, milliseconds: one that hangs would hold its principal. */
export const mostAnswerMs = 15_000;

type Credentials = { accessKeyId: string; secretAccessKey: string; sessionToken: string; expiration: Date };

export type AccountAccess = {
  account: AccountConfig;
  iam: IAMClient;
  ssm: (region: string) => SSMClient;
  ec2: (region: string) => EC2Client;
  /** Where IAM and its events are. */
  iamRegion: string;
  cloudtrail: (region: string) => CloudTrailClient;
  /**
   * Makes one call within its budget, as urgently as the present errand says, and again when the error may go away (backoff
   * with full jitter). AWS's throttling lowers the budget for a while.
   * @param call names it in errors, e.g. `iam:PutRolePolicy`.
   * @param budget and the region it counts for (IAM: none).
   * @throws AwsProblem for what AWS says; what the errand says when its work is no longer ours; faults of the budget's store.
   */
  call: <T>(call: string, budget: BudgetName, send: () => Promise<T>, region?: string) => Promise<T>;
};

export type Broker = {
  /** @throws when the account is not configured. */
  account: (accountId: string) => AccountAccess;
  accounts: readonly AccountConfig[];
  close: () => void;
};

/** Which of the two roles in an account is entered. Nobody has both (threats AWS-09). */
export type EnteredAs = 'broker' | 'provisioner';

export type BrokerOptions = {
  config: Pick<Config, 'partition' | 'signIn' | 'accounts'>;
  as: EnteredAs;
  timing?: Timing;
  /** How long one call may take, milliseconds; 15 s when left out. */
  answerMs?: number;
  /** Where the rates are kept; left out: in this process alone. */
  buckets?: Buckets;
  /** Told how long each call waited for its budget, milliseconds. */
  waited?: (budget: BudgetName, urgency: Urgency, ms: number) => void;
  /** Told what AWS's clock says, with each answer. */
  clockHeard?: ClockHeard;
  /** What takes requests to AWS; left out: the SDK's own over HTTPS, with `answerMs` as its limit. */
  requestHandler?: HttpHandlerUserInput;
};

type OpenOptions = Required<Omit<BrokerOptions, 'waited' | 'clockHeard'>> &
  Pick<BrokerOptions, 'waited' | 'clockHeard'>;

const openAccount = (options: OpenOptions, account: AccountConfig, sts: STSClient) => {
  const { config, as, timing, requestHandler, buckets, waited, clockHeard } = options;
  let held: Promise<Credentials> | null = null;

  const enter = async (): Promise<Credentials> => {
    const call = `sts:AssumeRole into ${account.id}`;
    try {
      const answer = await sts.send(
        new AssumeRoleCommand({
          RoleArn: as === 'broker' ? account.brokerRoleArn : account.provisionerRoleArn,
          RoleSessionName: as === 'broker' ? 'curfew-backend' : 'curfew-provisioner',
          ExternalId: account.externalId,
          // Role chaining caps it at an hour (aws-facts 3.3).
          DurationSeconds: 3600,
        }),
      );
      const entered = answer.AssumedRoleUser?.Arn?.split(':')[4];
      const { AccessKeyId, SecretAccessKey, SessionToken, Expiration } = answer.Credentials ?? {};
      // The answered account must be the configured one (threats AWS-10).
      if (entered !== account.id || !AccessKeyId || !SecretAccessKey || !SessionToken || !Expiration) {
        const advice = `The ${as} role of ${account.name} led into another account. Its admin checks ${as}RoleArn.`;
        throw new AwsProblem({ kind: 'permanent', code: 'WrongAccount', advice, call });
      }
      return {
        accessKeyId: AccessKeyId,
        secretAccessKey: SecretAccessKey,
        sessionToken: SessionToken,
        expiration: Expiration,
      };
    } catch (error) {
      throw awsProblem(call, error);
    }
  };

  /** One entry for all clients of the account; renewed early, and at once after a failure. */
  const credentials = async (): Promise<Credentials> => {
    const current = held === null ? null : await held.catch(() => null);
    if (current !== null && current.expiration.getTime() - timing.now().getTime() > credentialsLeftMs) return current;
    held = enter();
    return held;
  };

  const shared = {
    credentials,
    // Retries are ours: they know the budgets, and the SDK takes LimitExceeded for throttling (aws-facts 10).
    maxAttempts: 1,
    requestHandler,
  };
  const iamRegion = iamRegions[config.partition];
  const iam = new IAMClient({ ...shared, region: iamRegion });
  const listener = clockListener((facts) => clockHeard?.(account, facts));
  iam.middlewareStack.add(listener, clockStep);
  const ssm = new Map<string, SSMClient>();
  const ec2 = new Map<string, EC2Client>();
  const cloudtrail = new Map<string, CloudTrailClient>();
  const budgets = new Map<string, Budget>();

  const cached = <T>(map: Map<string, T>, key: string, make: () => T): T => {
    const known = map.get(key);
    if (known !== undefined) return known;
    const made = make();
    map.set(key, made);
    return made;
  };

  const access: AccountAccess = {
    account,
    iam,
    ssm: (region) =>
      cached(ssm, region, () => {
        const client = new SSMClient({ ...shared, region });
        client.middlewareStack.add(listener, clockStep);
        return client;
      }),
    iamRegion,
    cloudtrail: (region) => cached(cloudtrail, region, () => new CloudTrailClient({ ...shared, region })),
    ec2: (region) => cached(ec2, region, () => new EC2Client({ ...shared, region })),
    call: async (call, budget, send, region = '') => {
      const rate = awsRates[budget];
      const kept = cached(budgets, `${budget}/${region}`, () =>
        createBudget({
          bucket: buckets([budget, account.id, region].filter((part) => part !== '').join('/'), rate),
          burst: rate.burst,
          timing,
          waited: (urgency, ms) => waited?.(budget, urgency, ms),
        }),
      );
      const errand = currentErrand();
      errand.asks?.();
      for (let attempt = 1; ; attempt += 1) {
        await kept.take(errand);
        errand.stillMine?.();
        try {
          return await send();
        } catch (error) {
          const problem = awsProblem(call, error);
          if (problem.code.startsWith('ExpiredToken')) held = null;
          if (isThrottling(problem)) await kept.throttled();
          if (problem.kind !== 'retry' || attempt >= attempts) throw problem;
          await timing.sleep(timing.random() * firstWaitMs * 2 ** attempt);
        }
      }
    },
  };
  const close = () => {
    for (const client of [iam, ...ssm.values(), ...ec2.values(), ...cloudtrail.values()]) client.destroy();
  };
  return { access, close };
};

/** Opens nothing yet: roles are entered at the first call into their account. */
export const openBroker = (options: BrokerOptions): Broker => {
  const { config, timing = realTiming, answerMs = mostAnswerMs, buckets = localBuckets(timing.now) } = options;
  const { requestHandler = awsLimits(answerMs) } = options;
  const sts = new STSClient({ region: config.signIn.stsRegion, requestHandler });
  const opened = new Map(
    config.accounts.map((account) => [
      account.id,
      openAccount({ ...options, timing, answerMs, buckets, requestHandler }, account, sts),
    ]),
  );
  return {
    accounts: config.accounts,
    account: (accountId) => {
      const known = opened.get(accountId);
      if (known === undefined) throw new Error(`Account ${accountId} is not configured`);
      return known.access;
    },
    close: () => {
      sts.destroy();
      for (const { close } of opened.values()) close();
    },
  };
};
