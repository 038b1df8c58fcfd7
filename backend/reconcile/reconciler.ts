/**
 * The loop that makes AWS match the rows. It works through principals that are due, endings first, many at a time, each in
 * one pass of one backend at once. A nudge, a due instant, or a sweep may start it: a lost nudge costs time only.
 */
import { randomInt } from 'node:crypto';
import { type Errand, moreUrgent, onErrand, TakenOver, type Urgency } from '../aws/errand.ts';
import { roleSetting } from '../aws/iam.ts';
import { accountOf, type Config, policyPlaceOf } from '../config.ts';
import type { Log } from '../log.ts';
import type { Db } from '../store/open.ts';
import type { SealKey } from '../store/seal.ts';
import { thoroughMsOf } from './account-sweep.ts';
import { type DuePrincipal, freeForgotten, readDue, settlePrincipal, takePrincipals, wakeUnfinished } from './due.ts';
import type { ReconcileAws, RunDeps } from './pass.ts';
import { nextDue } from './plan.ts';
import { runPrincipal } from './run.ts';
import { lookAfterEnded } from './sealing-looks.ts';
import { watchSlowEndings } from './slow-endings.ts';
import { sweepAccounts } from './sweep.ts';

export type ReconcilerDeps = {
  /** The store's `reconcile` pool. No connection of it is held while AWS is asked. */
  db: Db;
  aws: ReconcileAws;
  config: Config;
  sealKey: SealKey;
  log: Log;
  /** The clock that judges ends: the database's (`store/backends.ts`). */
  now: () => Date;
  /**
   * The number of this backend while it lives, null while it does not know; `joinBackends` has both. Left out: a number that
   * no backend has, for a reconciler that is alone on its database.
   */
  holder?: () => number | null;
  metrics?: ReconcileMetrics;
  sleep?: (ms: number) => Promise<void>;
  /** Milliseconds; defaults: the configured seal time, 10 s, 0.5 s, 2 s and the configured sweep interval. */
  timing?: Partial<{
    sealMs: number;
    lookEveryMs: number;
    lookAgainMs: number;
    pollMs: number;
    sweepMs: number;
    appTellsMs: number;
  }>;
  /** How many principals are worked on at once, by what is most urgent about them; defaults below. */
  workers?: Partial<Record<Urgency, number>>;
  /** 0 up to 1, for the waits after failures. */
  random?: () => number;
};

export type ReconcileMetrics = {
  /** A grant has ended: milliseconds from its end until its access was gone, and until no session was left. */
  ended: (late: { policyGoneMs: number; sessionsGoneMs: number }) => void;
  /** How many principals are due and not worked on, and how many this backend works on. */
  due: (waiting: Record<Urgency, number>, working: number) => void;
};

export type Reconciler = {
  /** Something was committed that is due now. */
  nudge: () => void;
  /** Takes on nothing new and resolves when what runs is done. */
  stop: () => Promise<void>;
  /** Resolves when nothing runs and nothing is due. */
  idle: () => Promise<void>;
  /** Looks for leftovers in every account now, and then works through what it found. */
  sweep: () => Promise<void>;
};

/**
 * A pass mostly waits: for AWS, and for its turn in the budgets. Endings have room of their own that nothing else takes, and so
 * much that 300 of them which come at one instant are all under way: with fewer they would go from one budget to the next in
 * step, and each budget would be idle while the others are worked through.
 */
const room: Record<Urgency, number> = { ending: 320, beginning: 32, looking: 32 };
/**
 * How many passes read their rows at once, before they ask AWS. When hundreds fall due at one instant and all of them read in step, the first
 * call to AWS waits for the rows of the last.
 */
const readingAtOnce = 16;
const soonMs = 1000;
const slowCheckMs = 5_000;
/** The longest wait after failures, milliseconds. Somebody waits for an ending, and for proof of it. */
const longestWaitMs: Record<Urgency, number> = { ending: 5_000, beginning: 15_000, looking: 15_000 };
const firstWaitMs = 500;

/** Backoff with full jitter, so that what failed together does not come back together. */
const waitAfter = (failures: number, urgency: Urgency, random: () => number): number =>
  100 + random() * Math.min(longestWaitMs[urgency], firstWaitMs * 2 ** Math.min(failures, 6));

/** Lets `room` in at once, in the order in which they come. Whoever is let in gets what to call when leaving; twice does no harm. */
const createDoor = (room: number): (() => Promise<() => void>) => {
  const waiting: Array<() => void> = [];
  let inside = 0;
  return async () => {
    if (inside < room) inside += 1;
    else await new Promise<void>((letIn) => waiting.push(letIn));
    let left = false;
    return () => {
      if (left) return;
      left = true;
      const next = waiting.shift();
      if (next === undefined) inside -= 1;
      else next();
    };
  };
};

/** A pass that goes on, and what it is for. */
type Running = { errand: Errand; done: Promise<void> };

const settledAfter = async (
  deps: ReconcilerDeps,
  run: RunDeps,
  { id, attempts, errand }: { id: string; attempts: number; errand: Errand },
): Promise<Parameters<typeof settlePrincipal>[2]> => {
  try {
    const left = await onErrand(errand, () => runPrincipal(deps.db, id, run));
    const soon = new Date(deps.now().getTime() + soonMs);
    return { dueAt: left === null ? null : nextDue(left.wished, soon), attempts: 0, problem: null };
  } catch (error) {
    if (error instanceof TakenOver) deps.log.warn({ principalId: id }, error.message);
    else deps.log.error({ error, principalId: id, attempts: attempts + 1 }, 'a principal could not be reconciled');
    const wait = waitAfter(attempts, errand.urgency, deps.random ?? Math.random);
    const problem = error instanceof Error ? error.message.slice(0, 500) : 'not an error';
    return { dueAt: new Date(deps.now().getTime() + wait), attempts: attempts + 1, problem };
  }
};

const sweepEvery = (deps: ReconcilerDeps): number => deps.timing?.sweepMs ?? deps.config.intervals.sweepSeconds * 1000;

const runDeps = (deps: ReconcilerDeps): RunDeps => ({
  aws: deps.aws,
  sealKey: deps.sealKey,
  partition: deps.config.partition,
  roleSetting: (accountId) => roleSetting(deps.config, accountId),
  account: (accountId) => accountOf(deps.config, accountId),
  policyPlace: (accountId, kind) => policyPlaceOf(deps.config, accountId, kind),
  adminGroup: deps.config.directory.adminGroup,
  now: deps.now,
  sleep: deps.sleep ?? ((ms) => new Promise((resolve) => setTimeout(resolve, ms))),
  sealMs: deps.timing?.sealMs ?? deps.config.intervals.sealSeconds * 1000,
  lookEveryMs: deps.timing?.lookEveryMs ?? 10_000,
  lookAgainMs: deps.timing?.lookAgainMs ?? 500,
  roleCheckMs: sweepEvery(deps),
  roleChecks: new Map(),
  log: deps.log,
  lastLooks: new Map(),
  ended: deps.metrics?.ended ?? (() => undefined),
});

/** Starts with a sweep, so that whatever a crash left behind is mended first (promise 5). */
export const startReconciler = (deps: ReconcilerDeps): Reconciler => {
  const run = runDeps(deps);
  const pollMs = deps.timing?.pollMs ?? 2000;
  const sweepMs = sweepEvery(deps);
  const alone = -randomInt(1, 2 ** 31);
  const holderNow = deps.holder ?? (() => alone);
  const running = new Map<string, Running>();
  const enter = createDoor(readingAtOnce);
  let stopped = false;
  let timer: NodeJS.Timeout | null = null;
  let ticking: Promise<void> | null = null;
  let tickAgain = false;
  let tickedAt = 0;
  let tickMs = 0;
  let sweeping: Promise<void> | null = null;
  let checking: Promise<void> | null = null;
  let looking: Promise<void> | null = null;
  let lookedAt = 0;
  const knownRoles = new Set<string>();

  const begin = (one: DuePrincipal, attempts: number, holder: number): void => {
    const { id } = one;
    const stillMine = (): void => {
      if (holderNow() !== holder) throw new TakenOver('this backend is not sure to be alone with a principal any more');
    };
    const errand: Errand = { urgency: one.urgency, since: performance.now(), stillMine };
    const pass = async () => {
      const leave = await enter();
      errand.asks = leave;
      try {
        return await settledAfter(deps, run, { id, attempts, errand });
      } finally {
        leave();
      }
    };
    const done = pass()
      .then((left) => settlePrincipal(deps.db, { id, holder }, left))
      .catch((error: unknown) => deps.log.error({ error, principalId: id }, 'a principal could not be let go'))
      .finally(() => {
        running.delete(id);
        nudge();
      });
    running.set(id, { errand, done });
  };

  const working = (urgency: Urgency): number =>
    [...running.values()].filter(({ errand }) => errand.urgency === urgency).length;

  /** As many as there is room for, of each urgency. */
  const choose = (due: readonly DuePrincipal[]): DuePrincipal[] => {
    const left: Record<Urgency, number> = {
      ending: (deps.workers?.ending ?? room.ending) - working('ending'),
      beginning: (deps.workers?.beginning ?? room.beginning) - working('beginning'),
      looking: (deps.workers?.looking ?? room.looking) - working('looking'),
    };
    return due.filter((one) => {
      if (one.holder !== null || running.has(one.id) || left[one.urgency] <= 0) return false;
      left[one.urgency] -= 1;
      return true;
    });
  };

  /** What fell due in the middle of a pass: what still waits there for AWS goes before the others from here on. */
  const raise = (due: readonly DuePrincipal[]): void => {
    for (const { id, urgency } of due) {
      const errand = running.get(id)?.errand;
      if (errand !== undefined && moreUrgent(urgency, errand.urgency)) errand.urgency = urgency;
    }
  };

  /** By the clock that judges ends. */
  const lookAround = (at: Date): void => {
    if (looking !== null || Math.abs(at.getTime() - lookedAt) < run.lookEveryMs) return;
    lookedAt = at.getTime();
    const { db, aws, config, now, log } = deps;
    const everyMs = run.lookEveryMs;
    const found = (grantIds: readonly string[]): void => {
      // Their passes look at once, however short ago they last did.
      for (const id of grantIds) run.lastLooks.delete(id);
      nudge();
    };
    looking = onErrand({ urgency: 'looking' }, () => lookAfterEnded({ db, aws, config, everyMs, now, log }, found))
      .catch((error: unknown) => log.error({ error }, 'what ended lately could not be looked after'))
      .finally(() => {
        looking = null;
      });
  };

  const tick = async (): Promise<void> => {
    const holder = holderNow();
    if (holder === null) {
      wake(Math.min(pollMs, soonMs));
      return;
    }
    const now = deps.now();
    lookAround(now);
    const due = await readDue(deps.db, holder, now);
    const forgotten = due.principals.some((one) => one.holder !== null && !running.has(one.id));
    if (forgotten) await freeForgotten(deps.db, { holder, now }, [...running.keys()]);
    raise(due.principals);
    const chosen = stopped ? [] : choose(due.principals);
    const taken = await takePrincipals(
      deps.db,
      chosen.map(({ id }) => id),
      { holder, now },
    );
    for (const { id, attempts } of taken) {
      const one = chosen.find((candidate) => candidate.id === id);
      if (one !== undefined) begin(one, attempts, holder);
      due.waiting[one?.urgency ?? 'looking'] -= 1;
    }
    deps.metrics?.due(due.waiting, running.size);
    // Another backend was faster with some of them: there may be more.
    const fewer = taken.length < chosen.length;
    const untilNext = due.nextAt === null ? pollMs : due.nextAt.getTime() - deps.now().getTime();
    wake(Math.max(5, Math.min(fewer ? soonMs / 10 : pollMs, untilNext)));
  };

  const wake = (ms: number): void => {
    if (timer !== null) clearTimeout(timer);
    timer = stopped ? null : setTimeout(nudge, ms);
  };

  const nudge = (): void => {
    if (stopped) return;
    if (ticking !== null) {
      tickAgain = true;
      return;
    }
    // Each pass that ends nudges: with a long backlog, reading it must not become the main work.
    const since = performance.now() - tickedAt;
    if (since < tickMs) {
      wake(tickMs - since);
      return;
    }
    const from = performance.now();
    ticking = tick()
      .catch((error: unknown) => {
        deps.log.error({ error }, 'the reconciler could not read what is due');
        wake(pollMs);
      })
      .finally(() => {
        tickedAt = performance.now();
        tickMs = Math.min(soonMs, 3 * (tickedAt - from));
        ticking = null;
        if (!tickAgain) return;
        tickAgain = false;
        nudge();
      });
  };

  /** @param unlessSince leaves out accounts that a backend began to sweep later than this. */
  const sweepOnce = async (unlessSince: Date | null): Promise<void> => {
    try {
      await wakeUnfinished(deps.db, deps.now(), unlessSince === null ? 'all' : 'lost');
      nudge();
      const { db, aws, config, now, log } = deps;
      const thoroughMs = thoroughMsOf(sweepMs);
      const recheck = (principalId: string): void => void run.roleChecks.delete(principalId);
      const appTellsMs = deps.timing?.appTellsMs ?? 15_000;
      await onErrand({ urgency: 'looking' }, () =>
        sweepAccounts(
          { db, aws, config, knownRoles, recheck, thoroughMs, appTellsMs, stopped: () => stopped, now, log },
          unlessSince,
        ),
      );
    } catch (error) {
      deps.log.error({ error }, 'the sweep failed');
    }
  };
  /** One that runs may have passed by already what is to be found, so another one follows it. */
  const sweep = (unlessSince: Date | null): Promise<void> => {
    const next = (sweeping ?? Promise.resolve())
      .then(() => sweepOnce(unlessSince))
      .finally(() => {
        if (sweeping === next) sweeping = null;
        nudge();
      });
    sweeping = next;
    return next;
  };

  const checkSlow = (): void => {
    if (checking !== null) return;
    checking = watchSlowEndings(deps.db, {
      now: deps.now(),
      adminGroup: deps.config.directory.adminGroup,
      accountName: (id) => deps.config.accounts.find((account) => account.id === id)?.name ?? id,
    })
      .catch((error: unknown) => deps.log.error({ error }, 'slow endings could not be looked for'))
      .finally(() => {
        checking = null;
      });
  };

  const sweeps = setInterval(() => {
    // One backend sweeps an account for all of them.
    if (sweeping === null) void sweep(new Date(deps.now().getTime() - sweepMs * 0.9));
  }, sweepMs);
  const checks = setInterval(checkSlow, slowCheckMs);
  void sweep(null);

  return {
    nudge,
    sweep: () => sweep(null),
    stop: async () => {
      stopped = true;
      clearInterval(sweeps);
      clearInterval(checks);
      if (timer !== null) clearTimeout(timer);
      await ticking;
      await sweeping;
      await checking;
      await looking;
      await Promise.all([...running.values()].map(({ done }) => done));
    },
    idle: async () => {
      for (;;) {
        await sweeping;
        await ticking;
        await looking;
        await Promise.all([...running.values()].map(({ done }) => done));
        const { waiting } = await readDue(deps.db, holderNow() ?? alone, deps.now());
        const due = waiting.ending + waiting.beginning + waiting.looking;
        if (due === 0 && running.size === 0 && sweeping === null) return;
        nudge();
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
    },
  };
};
