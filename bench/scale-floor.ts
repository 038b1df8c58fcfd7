/** How fast a schedule of endings could be at best: only AWS's own rates, no time for anything else. */

/** AWS's rates as local-aws holds them (aws-facts 5): calls a second, and how many at once after a quiet time. */
const rates = { write: { perSecond: 5, burst: 10 }, terminate: { perSecond: 6, burst: 6 } };

/** One access policy that is written once, and sessions that are ended after it. */
export type Due = { accountId: string; at: Date; sessions: number };

/** A token bucket that serves in turn. @returns the instant, ms, at which a call that comes at `at` goes out. */
const bucket = ({ perSecond, burst }: { perSecond: number; burst: number }) => {
  let tokens = burst;
  let last = Number.NEGATIVE_INFINITY;
  return (at: number): number => {
    const from = Math.max(at, last);
    if (Number.isFinite(last)) tokens = Math.min(burst, tokens + ((from - last) / 1000) * perSecond);
    const waitMs = tokens >= 1 ? 0 : ((1 - tokens) / perSecond) * 1000;
    tokens = Math.max(0, tokens - 1 + (waitMs / 1000) * perSecond);
    last = from + waitMs;
    return last;
  };
};

export type Floor = { policyGoneMs: number[]; endedMs: number[] };

/** A simulation: first come, first served, each account (and its one region) with budgets of its own. */
export const floorOf = (dues: readonly Due[]): Floor => {
  const writes = new Map<string, (at: number) => number>();
  const ends = new Map<string, (at: number) => number>();
  const of = (map: typeof writes, id: string, rate: typeof rates.write) => {
    const known = map.get(id) ?? bucket(rate);
    map.set(id, known);
    return known;
  };
  const written = dues
    .map((due) => ({ ...due, ms: due.at.getTime() }))
    .sort((a, b) => a.ms - b.ms)
    .map((due) => ({ ...due, goneAt: of(writes, due.accountId, rates.write)(due.ms) }));
  const ended = written
    .toSorted((a, b) => a.goneAt - b.goneAt)
    .map((due) => {
      let at = due.goneAt;
      const terminate = of(ends, due.accountId, rates.terminate);
      for (let session = 0; session < due.sessions; session += 1) at = terminate(due.goneAt);
      return at - due.ms;
    });
  return { policyGoneMs: written.map(({ goneAt, ms }) => goneAt - ms), endedMs: ended };
};
