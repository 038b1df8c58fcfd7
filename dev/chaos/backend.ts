/** A backend of a history: the real reconciler, which may die between any two steps of its work. */
import type { KyselyPlugin } from 'kysely';
import { AwsProblem } from '../../backend/aws/errors.ts';
import { startReconciler } from '../../backend/reconcile/reconciler.ts';
import type { Clock } from './clock.ts';
import type { Company } from './company.ts';

/** Before the nth change in Postgres, or before or after the nth call of AWS, from now on. */
export type Death = { of: 'sql' | 'aws-before' | 'aws-after'; after: number };

export type ChaosBackend = {
  /** Works until nothing is due. @returns false when it died of it. */
  work: () => Promise<boolean>;
  /** Sweeps, and works. @returns false when it died of it. */
  sweep: () => Promise<boolean>;
  dieAt: (death: Death) => void;
  /** What it told as an error and nobody planned. */
  unexpected: () => readonly unknown[];
  stop: () => Promise<void>;
};

export type BackendPlace = {
  clock: Clock;
  /** What the heartbeat of another backend does when this number is dead. */
  onGone: (number: number) => Promise<void>;
};

const sealMs = 30_000;

let lastNumber = 0;

class Died extends Error {}

const has = (cause: unknown, kind: new (...args: never[]) => Error): boolean =>
  cause instanceof kind || (cause instanceof Error && cause.cause !== undefined && has(cause.cause, kind));

const errorIn = (facts: unknown): unknown =>
  typeof facts === 'object' && facts !== null && 'error' in facts ? facts.error : null;

export const startBackend = (company: Company, where: BackendPlace): ChaosBackend => {
  const { clock } = where;
  lastNumber += 1;
  const number = lastNumber;
  let dead = false;
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
  company.aws.setAlive((when) => lives(when === 'before' ? 'aws-before' : 'aws-after'));
  const drop = (): void => undefined;
  const reconciler = startReconciler({
    db: company.store.db.withPlugin(mortal),
    aws: company.reconcileAws,
    config: company.config,
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
    now: clock.now,
    sleep: async (ms) => clock.pass(ms),
    // It is asked to work when it is to work; a timer of the real clock would only disturb.
    timing: { sealMs, lookEveryMs: 10_000, lookAgainMs: 500, pollMs: 3_600_000, sweepMs: 86_400_000 },
    workers: { ending: 1, beginning: 1, looking: 1 },
    random: () => 0.5,
    holder: () => number,
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
    unexpected: () => unexpected,
    stop: async () => {
      await reconciler.stop();
      await where.onGone(number);
    },
  };
};
