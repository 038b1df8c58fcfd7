/** A backend of a history: the real reconciler, which may die between any two steps of its work. */
import type { KyselyPlugin } from 'kysely';
import { AwsProblem } from '../../backend/aws/errors.ts';
import type { Config } from '../../backend/config.ts';
import { startReconciler } from '../../backend/reconcile/reconciler.ts';
import type { Clock } from './clock.ts';
import type { Company, Way } from './company.ts';

/** Before the nth change in Postgres, or before or after the nth call of AWS, from now on. */
/** `session-ended`: as AWS has taken the end of a session, of which nobody else can tell any more. */
export type Death = { of: 'sql' | 'aws-before' | 'aws-after' | 'session-ended'; after: number };

export type ChaosBackend = {
  /** Works until nothing is due. @returns false when it died of it. */
  work: () => Promise<boolean>;
  /** Sweeps, and works. @returns false when it died of it. */
  sweep: () => Promise<boolean>;
  dieAt: (death: Death) => void;
  /**
   * Right after the nth call of AWS from now on its process stands still: until `meanwhile` is over, when the others have counted it
   * as dead. It goes on under another number.
   */
  stallAt: (after: number, meanwhile: () => Promise<void>) => void;
  /** Whether it stands still in the middle of its work. */
  stalls: () => boolean;
  /** What it held principals by at last. */
  number: () => number;
  /** What it told as an error and nobody planned. */
  unexpected: () => readonly unknown[];
  /** Resolves when nothing of it runs any more. */
  stop: () => Promise<void>;
};

export type BackendPlace = {
  company: Company;
  config: Config;
  /** Its own reading of the database's clock. */
  now: () => Date;
  clock: Clock;
  way: Way;
};

const sealMs = 30_000;

let lastNumber = 0;
const nextNumber = (): number => {
  lastNumber += 1;
  return lastNumber;
};

class Died extends Error {}

const has = (cause: unknown, kind: new (...args: never[]) => Error): boolean =>
  cause instanceof kind || (cause instanceof Error && cause.cause !== undefined && has(cause.cause, kind));

const errorIn = (facts: unknown): unknown =>
  typeof facts === 'object' && facts !== null && 'error' in facts ? facts.error : null;

export const startBackend = ({ company, config, now, clock, way }: BackendPlace): ChaosBackend => {
  let number = nextNumber();
  let dead = false;
  let stalling = false;
  let stall: { after: number; meanwhile: () => Promise<void> } | null = null;
  let planned: Death | null = null;
  const unexpected: unknown[] = [];

  /** One step of this kind is about to be taken. @returns false when it is not taken any more. */
  const lives = (of: Death['of']): boolean => {
    if (dead) return false;
    if (planned?.of !== of) return true;
    if (planned.after > 0) {
      planned = { of, after: planned.after - 1 };
      return true;
    }
    dead = true;
    return false;
  };
  const mortal: KyselyPlugin = {
    transformQuery: ({ node }) => {
      // Whether it dies before a read or before the change after it is all one.
      const changes = ['InsertQueryNode', 'UpdateQueryNode', 'DeleteQueryNode'].includes(node.kind);
      if (dead || (changes && !lives('sql'))) throw new Died('This backend is dead.');
      return node;
    },
    transformResult: async ({ result }) => result,
  };
  const standStill = async (): Promise<void> => {
    if (stall === null || dead) return;
    if (stall.after > 0) {
      stall = { ...stall, after: stall.after - 1 };
      return;
    }
    const { meanwhile } = stall;
    stall = null;
    stalling = true;
    try {
      await meanwhile();
    } finally {
      stalling = false;
      number = nextNumber();
    }
  };
  way.setEnds({
    before: async () => {
      if (!lives('aws-before')) throw new Died('Whoever asked is dead.');
    },
    after: async (target) => {
      const ended = target?.endsWith('.TerminateSession') === true;
      if (!lives('aws-after') || (ended && !lives('session-ended'))) throw new Died('Whoever asked is dead.');
      await standStill();
    },
  });
  const drop = (): void => undefined;
  const reconciler = startReconciler({
    db: company.store.db.withPlugin(mortal),
    aws: way.aws,
    config,
    sealKey: company.sealKey,
    log: {
      info: drop,
      debug: drop,
      warn: drop,
      error: (facts: unknown) => {
        const error = errorIn(facts);
        if (error !== null && !dead && !has(error, AwsProblem) && !has(error, Died)) unexpected.push(error);
      },
    },
    now,
    sleep: async (ms) => clock.pass(ms),
    // It is asked to work when it is to work; a timer of the real clock would only disturb.
    timing: { sealMs, lookEveryMs: 10_000, lookAgainMs: 500, pollMs: 3_600_000, sweepMs: 86_400_000 },
    workers: { ending: 1, beginning: 1, looking: 1 },
    random: () => 0.5,
    holder: () => (stalling ? null : number),
  });

  const until = async (work: () => Promise<void>): Promise<boolean> => {
    try {
      await work();
    } catch (error) {
      if (!dead) throw error;
    }
    return !dead;
  };
  return {
    work: () =>
      until(async () => {
        reconciler.nudge();
        await reconciler.idle();
      }),
    sweep: () =>
      until(async () => {
        await reconciler.sweep();
        await reconciler.idle();
      }),
    dieAt: (death) => {
      planned = death;
    },
    stallAt: (after, meanwhile) => {
      stall = { after, meanwhile };
    },
    stalls: () => stalling,
    number: () => number,
    unexpected: () => unexpected,
    stop: () => reconciler.stop(),
  };
};
