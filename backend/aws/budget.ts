/**
 * Rate budgets: AWS's limits are per account (and region) and shared with everybody, so we stay below them (design 7). A
 * bucket holds what is left of a rate, here or in Postgres for all backends together; a budget lets its callers out of a
 * queue, the most urgent first, and always keeps a part of the bucket for endings.
 */
import { sql } from 'kysely';
import type { Db } from '../store/open.ts';
import { type Errand, moreUrgent, type Urgency } from './errand.ts';

export type Timing = { now: () => Date; sleep: (ms: number) => Promise<void>; random: () => number };

export const realTiming: Timing = {
  now: () => new Date(),
  sleep: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
  random: Math.random,
};

/** Calls a second, and how many at once after a quiet time. */
export type Rate = { perSecond: number; burst: number };

/** What is left of a rate. */
export type Bucket = {
  /** Takes up to `wanted` calls, as long as `kept` of them stay. @returns how many, and when to ask again for more, ms. */
  take: (wanted: number, kept: number) => Promise<{ taken: number; waitMs: number }>;
  /** AWS says that it was too much: a smaller share of the rate for a while. */
  throttled: () => Promise<void>;
};

/** The bucket of that name, e.g. `terminate-session/482011773306/eu-central-1`. */
export type Buckets = (name: string, rate: Rate) => Bucket;

/** After AWS has throttled, this share of the rate is left; it grows back to the whole within some 20 s at most. */
const throttledShare = 0.7;
const leastShare = 0.2;

/** Buckets of this process alone: for a process without a database, and for tests. */
export const localBuckets =
  (now: () => Date): Buckets =>
  (_name, { perSecond, burst }) => {
    let tokens = burst;
    let share = 1;
    let filledAt = now().getTime();
    const fill = (): void => {
      const at = now().getTime();
      const seconds = Math.max(0, at - filledAt) / 1000;
      filledAt = at;
      share = Math.min(1, share + seconds / 20);
      tokens = Math.min(burst, tokens + seconds * perSecond * share);
    };
    return {
      take: async (wanted, kept) => {
        fill();
        const taken = Math.max(0, Math.min(wanted, Math.floor(tokens - kept)));
        tokens -= taken;
        return { taken, waitMs: Math.max(0, ((1 + kept - tokens) * 1000) / (perSecond * share)) };
      },
      throttled: async () => {
        fill();
        tokens = Math.min(tokens, 0);
        share = Math.max(leastShare, share * throttledShare);
      },
    };
  };

/** Buckets in Postgres, shared by all backends on it: together they stay below the rate, however the work is spread. */
export const sharedBuckets =
  (db: Db): Buckets =>
  (name, { perSecond, burst }) => ({
    take: async (wanted, kept) => {
      const { rows } = await sql<{ taken: number; wait_ms: number }>`
        select taken, wait_ms from take_budget(${name}, ${wanted}, ${kept}, ${perSecond}, ${burst})`.execute(db);
      const [row] = rows;
      if (row === undefined) throw new Error(`The budget ${name} gave no answer`);
      return { taken: row.taken, waitMs: row.wait_ms };
    },
    throttled: async () => {
      await db
        .updateTable('budgets')
        .set(({ eb, fn, ref, val }) => ({
          tokens: fn<number>('least', ['tokens', val(0)]),
          share: fn<number>('greatest', [val(leastShare), eb(ref('share'), '*', throttledShare)]),
        }))
        .where('name', '=', name)
        .execute();
    },
  });

/** The part of a bucket that this errand leaves for what is more urgent. */
const keptShare: Record<Urgency, number> = { ending: 0, beginning: 0.35, looking: 0.5 };
/** Urgency may be raised while calls wait, and another backend may give some back: so nobody sleeps for longer. */
const longestWaitMs = 250;

export type Budget = {
  /** Resolves when one call may go out for this errand; among equals the errand that began first. @throws what the bucket throws. */
  take: (errand: Errand) => Promise<void>;
  throttled: () => Promise<void>;
};

type Waiting = {
  errand: Errand;
  since: number;
  /** Its place among equals: when its errand began. */
  place: number;
  letOut: () => void;
  fail: (error: unknown) => void;
};

export type BudgetOptions = {
  bucket: Bucket;
  burst: number;
  timing: Timing;
  /** Told of each call that was let out, and how long it had waited, milliseconds. */
  waited?: (urgency: Urgency, ms: number) => void;
};

export const createBudget = ({ bucket, burst, timing, waited }: BudgetOptions): Budget => {
  const queue: Waiting[] = [];
  let going = false;
  let wake = (): void => undefined;

  const mostUrgent = (): Waiting[] => {
    let first: Urgency = 'looking';
    for (const { errand } of queue) if (moreUrgent(errand.urgency, first)) first = errand.urgency;
    return queue.filter(({ errand }) => errand.urgency === first).sort((a, b) => a.place - b.place);
  };
  const letOut = (some: readonly Waiting[]): void => {
    for (const one of some) {
      queue.splice(queue.indexOf(one), 1);
      waited?.(one.errand.urgency, Math.max(0, timing.now().getTime() - one.since));
      one.letOut();
    }
  };
  const go = async (): Promise<void> => {
    for (let first = mostUrgent(); first.length > 0; first = mostUrgent()) {
      const [{ errand } = { errand: undefined }] = first;
      if (errand === undefined) return;
      // Never so much that a small bucket could not hold one call beside it.
      const kept = Math.max(0, Math.min(burst * keptShare[errand.urgency], burst - 1));
      const { taken, waitMs } = await bucket.take(first.length, kept);
      // Somebody more urgent may have come meanwhile: it goes first.
      letOut([...mostUrgent(), ...first].filter((one, at, all) => all.indexOf(one) === at).slice(0, taken));
      if (taken >= first.length) continue;
      const woken = new Promise<void>((resolve) => {
        wake = resolve;
      });
      await Promise.race([woken, timing.sleep(Math.min(longestWaitMs, Math.max(1, waitMs)))]);
    }
  };
  const start = async (): Promise<void> => {
    if (going) return;
    going = true;
    try {
      await go();
    } catch (error) {
      for (const one of queue.splice(0)) one.fail(error);
    } finally {
      going = false;
      // Somebody may have come between the last look at the queue and now.
      if (queue.length > 0) void start();
    }
  };

  return {
    take: (errand) =>
      new Promise((resolve, reject) => {
        const since = timing.now().getTime();
        queue.push({ errand, since, place: errand.since ?? performance.now(), letOut: resolve, fail: reject });
        // The first of its kind may have what was kept for it; the others wait with those that wait already.
        if (mostUrgent().length === 1) wake();
        void start();
      }),
    throttled: bucket.throttled,
  };
};
