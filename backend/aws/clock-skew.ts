/**
 * AWS's clock judges the dates in an access policy, so it matters how far ours is from it. Every answer carries AWS's time in
 * whole seconds; what many of them say together is much sharper than one.
 */
import { HttpResponse } from '@smithy/protocol-http';
import type { AccountConfig } from '../config.ts';

/** One answer: AWS's `Date`, whole seconds, and the monotonic instants (ms) at which it was asked and answered. */
export type HeardClock = { date: Date; askedAt: number; answeredAt: number };
export type ClockHeard = (account: AccountConfig, heard: HeardClock) => void;

/** A step of an SDK client, `deserialize`, that tells of the clock in each answer. */
export const clockListener =
  (heard: (facts: HeardClock) => void) =>
  <Args, Result extends { response: unknown }>(next: (args: Args) => Promise<Result>) =>
  async (args: Args): Promise<Result> => {
    const askedAt = performance.now();
    const result = await next(args);
    const answeredAt = performance.now();
    const header = HttpResponse.isInstance(result.response) ? result.response.headers['date'] : undefined;
    const date = new Date(header ?? Number.NaN);
    if (!Number.isNaN(date.getTime())) heard({ date, askedAt, answeredAt });
    return result;
  };
/** Where in a client it belongs. */
export const clockStep = { step: 'deserialize', name: 'curfewClock', override: true, priority: 'low' } as const;

/** How many answers are remembered of each account. */
const remembered = 30;
/** Answers that took longer say too little. */
const slowMs = 3_000;

/** AWS's clock minus the database's, milliseconds, and how far off that may be. */
export type Skew = { accountId: string; accountName: string; ms: number; unsureMs: number };

export type ClockWatch = {
  heard: ClockHeard;
  /** One for each account that was heard of. */
  skews: () => Skew[];
};

type Range = { from: number; to: number };

/** Where all of the last ranges meet; when they do not, a clock was set in between, and only the newest counts. */
const meet = (ranges: readonly Range[]): Range | null => {
  const from = Math.max(...ranges.map((range) => range.from));
  const to = Math.min(...ranges.map((range) => range.to));
  return from <= to ? { from, to } : null;
};

/** @param now the clock that AWS's is compared with: the database's. */
export const watchClocks = (now: () => Date): ClockWatch => {
  const accounts = new Map<string, { name: string; ranges: Range[] }>();
  return {
    heard: (account, { date, askedAt, answeredAt }) => {
      if (answeredAt - askedAt > slowMs) return;
      const sinceAnswer = performance.now() - answeredAt;
      const answered = now().getTime() - sinceAnswer;
      const asked = answered - (answeredAt - askedAt);
      // The second had begun when it was written and had not ended.
      const range = { from: date.getTime() - answered, to: date.getTime() + 999 - asked };
      const known = accounts.get(account.id) ?? { name: account.name, ranges: [] };
      const ranges = [...known.ranges, range].slice(-remembered);
      accounts.set(account.id, { name: account.name, ranges: meet(ranges) === null ? [range] : ranges });
    },
    skews: () =>
      [...accounts].map(([accountId, { name, ranges }]) => {
        const { from, to } = meet(ranges) ?? { from: 0, to: 0 };
        return { accountId, accountName: name, ms: Math.round((from + to) / 2), unsureMs: Math.round((to - from) / 2) };
      }),
  };
};
