/** An exercise: the same short grants come to their end again and again, each time while something else is broken. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Connection } from '../../src/shared/access.ts';
import { openStage, type Stage, type Worker } from '../crash/stage.ts';
import type { Gate } from '../crash/traffic.ts';
import { accessPolicyOf } from '../driver/local-aws-control.ts';
import { until } from '../driver/person-at-api.ts';

/** What is broken from a moment before the first end until a moment after the last. */
export type Trouble =
  | 'nothing'
  | 'killed'
  | 'no-aws'
  | 'no-postgres'
  | 'aws-clock-behind'
  | 'aws-clock-ahead'
  | 'rates';

/** The troubles in their order, in words. */
export const troubles: Record<Trouble, string> = {
  nothing: 'nothing is broken',
  killed: 'the backend is killed, and started again',
  'no-aws': 'the backend has no way to AWS',
  'no-postgres': 'the backend has no way to Postgres',
  'aws-clock-behind': 'AWS’s clock is 20 s behind',
  'aws-clock-ahead': 'AWS’s clock is 20 s ahead',
  rates: 'AWS’s own rate limits hold',
};

/** How one grant ended, milliseconds after its end; a receipt is `null` when there is none. */
export type Ending = {
  /** What stood against somebody who tried right after the end: the date, where the policy was still there, else its removal. */
  keptOutBy: 'date in the policy' | 'removal by Curfew';
  policyGoneMs: number;
  sessionGoneMs: number;
  receipt: 'sealed' | null;
  /** Somebody who tried right after the end could start a session. */
  startedLate: boolean;
};

export type Round = { trouble: Trouble; endings: Ending[]; problems: string[] };

/** The shortest grant there is. */
const seconds = 60;
const beforeMs = 3_000;
const troubleMs = 10_000;
const skewMs = 20_000;

type Connected = { worker: Worker; grantId: string; endsAt: Date; connection: Connection };
type Given = Connected & { sessionId: string };

const connect = async (stage: Stage): Promise<Connected> => {
  const worker = await stage.nextWorker();
  const request = await worker.backend.submit({
    instances: [stage.instance],
    capability: 'shell',
    durationSeconds: seconds,
    reason: 'An exercise',
    ticket: null,
  });
  const grantId = request.state === 'approved' ? (request.grantIds[0] ?? '') : '';
  const { grant, connection } = await worker.backend.connect({ grantId });
  if (grant.state !== 'granting' && grant.state !== 'active') throw new Error(`The grant is ${grant.state}.`);
  return { worker, grantId, endsAt: new Date(grant.endsAt), connection };
};

const open = async (stage: Stage, connected: Connected): Promise<Given> => {
  const { worker, grantId, connection } = connected;
  const { sessionId } = await until(
    'IAM to have spread',
    () => worker.personalRole.start(connection, stage.instance),
    200,
  );
  await worker.backend.sessionStarted({ grantId, instance: stage.instance, sessionId });
  return { ...connected, sessionId };
};

/** Breaks it. @returns how it is mended. */
const brokenBy = async (trouble: Trouble, stage: Stage, hold: Set<string>): Promise<() => Promise<void>> => {
  switch (trouble) {
    case 'killed':
      await stage.kill();
      return () => stage.stack.backend.start();
    case 'no-aws':
    case 'no-postgres':
      hold.add(trouble);
      // What was swallowed is never answered, and nobody tells the backend: it finds out by itself.
      return async () => hold.clear();
    default:
      return async () => undefined;
  }
};

const skewOf: Partial<Record<Trouble, number>> = { 'aws-clock-behind': -skewMs, 'aws-clock-ahead': skewMs };

/** IAM compares whole seconds. */
const dateHoldsMs = 1_200;

/** Tries to start a session when the end by AWS's clock is just over. @returns whether AWS let them, and whether the policy was still there. */
const startAfterEnd = async (stage: Stage, given: Given, skew: number) => {
  await sleep(Math.max(0, given.endsAt.getTime() - skew + dateHoldsMs - Date.now()));
  const policy = await accessPolicyOf(stage.control, { account: stage.account, personId: given.worker.id });
  const started = (await given.worker.personalRole.start(given.connection, stage.instance)) !== null;
  return { started, policyThere: policy !== null };
};

/** Watches AWS, past the backend, until policy and session are gone and the receipt is sealed. */
const watchEnd = async (stage: Stage, given: Given, skew: number): Promise<Ending> => {
  const { endsAt, grantId, sessionId, worker } = given;
  const sinceEnd = (): number => Date.now() - endsAt.getTime();
  const who = { account: stage.account, personId: worker.id };
  let policyGoneMs: number | null = null;
  let sessionGoneMs: number | null = null;
  const trying = startAfterEnd(stage, given, skew);
  // Its failure is told where it is awaited; until then nobody waits for it.
  trying.catch(() => undefined);
  await until(
    `grant ${grantId} to be over`,
    async () => {
      policyGoneMs ??= (await accessPolicyOf(stage.control, who)) === null ? sinceEnd() : null;
      const session = (await stage.control.call('sessions')).find((one) => one.sessionId === sessionId);
      sessionGoneMs ??= session?.endedAt == null ? null : sinceEnd();
      return policyGoneMs !== null && sessionGoneMs !== null ? true : null;
    },
    100,
  );
  const receipt = await until(
    'the receipt',
    async () => {
      const row = await stage.db
        .selectFrom('grants')
        .select('receipt')
        .where('id', '=', grantId)
        .executeTakeFirstOrThrow();
      return row.receipt?.stage === 'sealed' ? ('sealed' as const) : null;
    },
    200,
  ).catch(() => null);
  const { started, policyThere } = await trying;
  return {
    keptOutBy: policyThere ? 'date in the policy' : 'removal by Curfew',
    policyGoneMs: policyGoneMs ?? Number.POSITIVE_INFINITY,
    sessionGoneMs: sessionGoneMs ?? Number.POSITIVE_INFINITY,
    receipt,
    startedLate: started,
  };
};

/** How late an end may be while this is broken: until it is mended, and what a backend needs then. */
const latestMs = (trouble: Trouble): number => (trouble === 'nothing' ? 10_000 : troubleMs + 30_000);

const liveRound = async (stage: Stage, trouble: Trouble, hold: Set<string>, grants: number): Promise<Round> => {
  const skew = skewOf[trouble] ?? 0;
  await stage.control.call('changeSettings', { clockAheadMs: skew, rateLimits: trouble === 'rates' });
  // One after the other, as people come; at the rates of AWS no faster is possible.
  const connected: Connected[] = [];
  for (let number = 0; number < grants; number += 1) connected.push(await connect(stage));
  // Where AWS's clock is behind, its policies let nobody in until it has come to their beginning: the wait is the same for all.
  const given: Given[] = [];
  for (const one of connected) given.push(await open(stage, one));
  const firstEnd = Math.min(...given.map(({ endsAt }) => endsAt.getTime()));
  await sleep(Math.max(0, firstEnd - beforeMs - Date.now()));
  const mend = await brokenBy(trouble, stage, hold);
  const watched = Promise.allSettled(given.map((one) => watchEnd(stage, one, skew)));
  await sleep(beforeMs + troubleMs);
  await mend();
  const endings: Ending[] = [];
  const problems: string[] = [];
  for (const one of await watched) {
    if (one.status === 'fulfilled') endings.push(one.value);
    else problems.push(one.reason instanceof Error ? one.reason.message : String(one.reason));
  }
  for (const { policyGoneMs, sessionGoneMs, receipt, startedLate } of endings) {
    const late = Math.max(policyGoneMs, sessionGoneMs);
    if (late > latestMs(trouble)) problems.push(`a grant ended ${Math.round(late / 1000)} s late`);
    if (startedLate) problems.push('a session could be started after the end');
    if (receipt === null) problems.push('a grant ended without a sealed receipt');
  }
  await stage.control.call('changeSettings', { clockAheadMs: 0, rateLimits: false });
  return { trouble, endings, problems };
};

/** Lives through these troubles on a stack of its own. @param grants in each of them, at most ten. */
export const drill = async (options: {
  troubles: readonly Trouble[];
  grants: number;
  onRound: (round: Round) => void;
}): Promise<Round[]> => {
  const hold = new Set<string>();
  const gate: Gate = ({ from }) => !hold.has(from === 'aws' ? 'no-aws' : 'no-postgres');
  const stage = await openStage(gate);
  try {
    const rounds: Round[] = [];
    for (const trouble of options.troubles) {
      const round = await liveRound(stage, trouble, hold, options.grants);
      options.onRound(round);
      rounds.push(round);
    }
    return rounds;
  } finally {
    await stage.close();
  }
};
