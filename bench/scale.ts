/** Many grants that end: spread over time, and at one instant. And many that only live. */
import os from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Figure, percentile } from './figures.ts';
import { type Company, makeCompany } from './scale-company.ts';
import { type Due, floorOf } from './scale-floor.ts';
import { openScaleStage, type ScaleStage } from './scale-stage.ts';

/** Smaller ones are for a try; the defaults are what was promised to be measured. */
export type ScaleSize = { grants: number };

const accounts = 20;
const grantsEach = 4;
const sessionShare = 0.3;
/** An hour, compressed tenfold. */
const spreadMs = 360_000;

const seconds = (ms: number): string => (ms / 1000).toFixed(1);
const spreadOf = (values: readonly number[]): string =>
  `p99 ${seconds(percentile(values, 0.99))} s, max ${seconds(Math.max(...values))} s`;

/** What falls due together on one role: one write of its access policy. */
const duesOf = (company: Company): Due[] =>
  company.holders.flatMap(({ accountId, grants }) => {
    const byEnd = new Map<number, Due>();
    for (const { endsAt, hasSession } of grants) {
      const due = byEnd.get(endsAt.getTime()) ?? { accountId, at: endsAt, sessions: 0 };
      byEnd.set(endsAt.getTime(), { ...due, sessions: due.sessions + Number(hasSession) });
    }
    return [...byEnd.values()];
  });

type Ended = { policyGoneMs: number; sessionsGoneMs: number; endedMs: number };

/** @throws Error when some have not ended `mostMs` after the last end. */
const untilAllEnded = async ({ db }: ScaleStage, count: number, until: number): Promise<Ended[]> => {
  for (;;) {
    const { left } = await db
      .selectFrom('grants')
      .select((eb) => eb.fn.countAll<number>().as('left'))
      .where('state', 'in', ['active', 'ending'])
      .executeTakeFirstOrThrow();
    if (Number(left) === 0) break;
    if (Date.now() > until) throw new Error(`${left} of ${count} grants have not ended.`);
    await sleep(2000);
  }
  const rows = await db
    .selectFrom('grants')
    .select(['ends_at', 'closed_at', 'receipt'])
    .where('state', '=', 'ended')
    .execute();
  return rows.flatMap(({ ends_at, closed_at, receipt }) => {
    if (ends_at === null || closed_at === null || receipt === null) return [];
    const { policyGoneMs, sessionsGoneMs } = receipt;
    return [{ policyGoneMs, sessionsGoneMs, endedMs: closed_at.getTime() - ends_at.getTime() }];
  });
};

/** What AWS says, past the backend's receipts. @throws Error when something is left there. */
const nothingLeft = async ({ control }: ScaleStage, company: Company): Promise<void> => {
  const open = (await control.call('sessions')).filter(({ endedAt }) => endedAt === null);
  if (open.length > 0) throw new Error(`${open.length} sessions were left open.`);
  for (const { accountId: account, name } of company.holders) {
    const { inlinePolicies } = await control.call('role', { account, name });
    if (Object.keys(inlinePolicies).length > 0) throw new Error(`${name} in ${account} still has an access policy.`);
  }
};

const figuresOf = (what: string, ended: readonly Ended[], dues: readonly Due[], note: string): Figure[] => {
  const floor = floorOf(dues);
  const figure = (name: string, values: number[], floors?: readonly number[]): Figure => ({
    ...{ name: `${what}: ${name}`, unit: 'ms', values },
    note: `${spreadOf(values)}${floors === undefined ? '' : `; AWS’s rates alone: ${spreadOf(floors)}`}; ${note}`,
  });
  return [
    figure(
      'end to policy gone',
      ended.map(({ policyGoneMs }) => policyGoneMs),
      floor.policyGoneMs,
    ),
    figure(
      'end to zero sessions',
      ended.map(({ sessionsGoneMs }) => sessionsGoneMs),
      floor.endedMs,
    ),
    figure(
      'end to receipt',
      ended.map(({ endedMs }) => endedMs),
    ),
  ];
};

/** Runs a company until all its grants have ended. */
const endAll = async (company: Company, firstEnd: number, mostMs: number): Promise<Ended[]> => {
  const stage = await openScaleStage(company);
  try {
    await stage.startBackend();
    const lead = firstEnd - Date.now();
    console.error(`the backend is ready ${seconds(lead)} s before the first end; load ${os.loadavg()[0]?.toFixed(1)}`);
    if (lead < 0) throw new Error('The stage took so long that grants ended before the backend was there.');
    const last = Math.max(...company.holders.flatMap(({ grants }) => grants.map(({ endsAt }) => endsAt.getTime())));
    const ended = await untilAllEnded(stage, company.holders.length, last + mostMs);
    await nothingLeft(stage, company);
    console.error(`load ${os.loadavg()[0]?.toFixed(1)}`);
    return ended;
  } finally {
    await stage.close();
  }
};

/** Time to make the company and for a backend that has just started to look at everything once. */
const leadMs = (grants: number): number => 30_000 + grants * 12;

/** Ends evenly spread over six minutes, in a shuffled order. */
export const spreadEnds = async ({ grants }: ScaleSize): Promise<Figure[]> => {
  const firstEnd = Date.now() + leadMs(grants);
  const principals = Math.ceil(grants / grantsEach);
  const spread = (spreadMs * grants) / 10_000;
  const company = makeCompany({
    ...{ accounts, principals, accountsEach: 5, grants, sessionShare },
    // A stride that shares no factor with the number visits each place once.
    endsAt: (number) => new Date(firstEnd + Math.floor((((number * 7919) % grants) / grants) * spread)),
  });
  const ended = await endAll(company, firstEnd, 300_000);
  const note = `${grants} grants on ${principals} roles in ${accounts} accounts, ends over ${seconds(spread)} s, ${sessionShare * 100} % with a session`;
  return figuresOf('ends over an hour, tenfold', ended, duesOf(company), note);
};

const atOnce = 300;

/** All in one account and region at the same instant, a session each. @param each grants on one role. */
const sameEnd = async (each: number): Promise<Figure[]> => {
  const firstEnd = Date.now() + leadMs(atOnce * 4);
  const principals = atOnce / each;
  const company = makeCompany({
    ...{ accounts: 1, principals, accountsEach: 1, grants: atOnce, sessionShare: 1 },
    endsAt: () => new Date(firstEnd),
  });
  const ended = await endAll(company, firstEnd, 300_000);
  const note = `${atOnce} grants on ${principals} roles of one account and region, a session each`;
  return figuresOf(`${atOnce} at once on ${principals} roles`, ended, duesOf(company), note);
};

export const sameEnds = async (): Promise<Figure[]> => [...(await sameEnd(grantsEach)), ...(await sameEnd(1))];
