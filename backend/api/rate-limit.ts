/** Limits of calls: so many in a window of time, and so many at once. Kept in memory, bounded, time is an argument. */
import { Refusal } from '../../src/shared/refusal.ts';

export type CallLimit = {
  /** Counts a call. @throws Refusal `too_many` with the time to wait. */
  count: (key: string, now: Date) => void;
};

/** At most `most` calls per key in each window of `windowMs`. */
export const callLimit = (most: number, windowMs: number): CallLimit => {
  let windowStart = 0;
  let counts = new Map<string, number>();
  return {
    count: (key, now) => {
      const start = now.getTime() - (now.getTime() % windowMs);
      if (start !== windowStart) {
        windowStart = start;
        counts = new Map();
      }
      const count = (counts.get(key) ?? 0) + 1;
      if (count > most) throw new Refusal('too_many', { retryAfterMs: start + windowMs - now.getTime() });
      counts.set(key, count);
    },
  };
};

export type AtOnceLimit = {
  /** Runs work while fewer than the limits are under way. @throws Refusal `too_many` otherwise. */
  run: <T>(key: string, work: () => Promise<T>) => Promise<T>;
};

/** At most `each` under way per key and `overall` altogether. */
export const atOnceLimit = (each: number, overall: number): AtOnceLimit => {
  const underWay = new Map<string, number>();
  let all = 0;
  const leave = (key: string): void => {
    all -= 1;
    const left = (underWay.get(key) ?? 1) - 1;
    if (left <= 0) underWay.delete(key);
    else underWay.set(key, left);
  };
  return {
    run: async (key, work) => {
      const mine = underWay.get(key) ?? 0;
      if (mine >= each || all >= overall) throw new Refusal('too_many', { retryAfterMs: 1_000 });
      underWay.set(key, mine + 1);
      all += 1;
      try {
        return await work();
      } finally {
        leave(key);
      }
    },
  };
};
