/** Rate budgets: AWS's limits are per account (and region) and shared with everybody, so we stay below them (design 7). */

export type Timing = { now: () => Date; sleep: (ms: number) => Promise<void>; random: () => number };

export const realTiming: Timing = {
  now: () => new Date(),
  sleep: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
  random: Math.random,
};

/** Waits until the next call is due. Calls are served in the order they came. */
export type Budget = { take: () => Promise<void> };

/** A token bucket of `burst` calls that refills at `perSecond`. */
export const createBudget = (limit: { perSecond: number; burst: number }, timing: Timing): Budget => {
  let tokens = limit.burst;
  let filledAt = timing.now().getTime();
  return {
    take: async () => {
      const now = timing.now().getTime();
      tokens = Math.min(limit.burst, tokens + (Math.max(0, now - filledAt) / 1000) * limit.perSecond);
      filledAt = now;
      // Below zero is a debt: whoever comes later waits behind it.
      tokens -= 1;
      if (tokens < 0) await timing.sleep((-tokens / limit.perSecond) * 1000);
    },
  };
};
