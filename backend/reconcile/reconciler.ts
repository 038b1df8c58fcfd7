/**
 * The loop that makes AWS match the rows. It works through principals that are due, endings first, several at a time, each by
 * one worker of one backend at once. A nudge, a due instant, or a sweep may start it: a lost nudge costs time only.
 */
import { sql } from 'kysely';
import { roleSetting } from '../aws/iam.ts';
import type { AccountConfig, Config } from '../config.ts';
import type { Log } from '../log.ts';
import type { Db } from '../store/open.ts';
import type { SealKey } from '../store/seal.ts';
import { nextDue } from './plan.ts';
import { type ReconcileAws, type RunDeps, runPrincipal } from './run.ts';
import { sweepAccounts } from './sweep.ts';

export type ReconcilerDeps = {
  /** The store's `reconcile` pool: at least two connections more than `workers`. */
  db: Db;
  aws: ReconcileAws;
  config: Config;
  sealKey: SealKey;
  log: Log;
  now: () => Date;
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
  workers?: number;
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

/** While a principal is worked on it is due again after this long, in case this process dies in the middle. */
const leaseMs = 60_000;
const longestWaitMs = 15_000;
const soonMs = 1000;

const waitAfter = (failures: number): number => Math.min(longestWaitMs, 500 * 2 ** Math.min(failures, 6));

const wakeUnfinished = async (db: Db, now: Date): Promise<void> => {
  await db
    .updateTable('principals')
    .set({ due_at: now })
    .where((eb) =>
      eb.exists(
        eb
          .selectFrom('grants')
          .select('grants.id')
          .whereRef('grants.principal_id', '=', 'principals.id')
          .where((grant) =>
            grant.or([
              grant('grants.state', 'in', ['ready', 'granting', 'active', 'ending']),
              grant.and([
                grant('grants.state', '=', 'ended'),
                grant(grant.ref('grants.receipt', '->>').key('stage'), '=', 'gone'),
              ]),
            ]),
          ),
      ),
    )
    .execute();
};

/** Ids that are due, those with something to end first, and when the next one will be. */
const readDue = async (db: Db, now: Date) => {
  const due = await db
    .selectFrom('principals')
    .select((eb) => [
      'id',
      eb
        .exists(
          eb
            .selectFrom('grants')
            .select('grants.id')
            .whereRef('grants.principal_id', '=', 'principals.id')
            .where((grant) => grant.or([grant('grants.state', '=', 'ending'), grant('grants.ends_at', '<=', now)]))
            .where('grants.state', 'in', ['granting', 'active', 'ending']),
        )
        .as('ends'),
    ])
    .where('due_at', '<=', now)
    .orderBy('ends', 'desc')
    .orderBy('due_at')
    .limit(100)
    .execute();
  const next = await db
    .selectFrom('principals')
    .select((eb) => eb.fn.min('due_at').as('at'))
    .where('due_at', '>', now)
    .executeTakeFirst();
  return { ids: due.map(({ id }) => id), nextAt: next?.at ?? null };
};

/**
 * Works on a principal if no other worker does, here or in another backend. The lock belongs to the connection, so it goes
 * with the process; a row lock would make people who ask for access wait for AWS.
 */
const withPrincipal = (db: Db, id: string, work: (connection: Db) => Promise<void>): Promise<void> =>
  db.connection().execute(async (connection) => {
    const { rows } = await sql<{
      mine: boolean;
    }>`select pg_try_advisory_lock(hashtextextended(${id}, 7)) as mine`.execute(connection);
    if (rows[0]?.mine !== true) return;
    try {
      await work(connection);
    } finally {
      await sql`select pg_advisory_unlock(hashtextextended(${id}, 7))`.execute(connection);
    }
  });

const reconcileOne = (deps: ReconcilerDeps, run: RunDeps, id: string): Promise<void> =>
  withPrincipal(deps.db, id, async (connection) => {
    const lease = new Date(deps.now().getTime() + leaseMs);
    const taken = await connection
      .updateTable('principals')
      .set({ due_at: lease })
      .where('id', '=', id)
      .where('due_at', '<=', deps.now())
      .returning('attempts')
      .executeTakeFirst();
    if (taken === undefined) return;
    const settle = async (values: { due_at: Date | null; attempts: number; problem: string | null }) => {
      await connection
        .updateTable('principals')
        .set(({ ref }) => ({
          ...values,
          // Somebody who made it due meanwhile has another instant there: that one stays.
          due_at: sql<Date | null>`case when ${ref('due_at')} = ${lease} then ${values.due_at}::timestamptz else ${ref('due_at')} end`,
        }))
        .where('id', '=', id)
        .execute();
    };
    try {
      const left = await runPrincipal(connection, id, run);
      const soon = new Date(deps.now().getTime() + soonMs);
      await settle({ due_at: left === null ? null : nextDue(left.wished, soon), attempts: 0, problem: null });
    } catch (error) {
      deps.log.error({ error, principalId: id, attempts: taken.attempts + 1 }, 'a principal could not be reconciled');
      const at = new Date(deps.now().getTime() + waitAfter(taken.attempts));
      const problem = error instanceof Error ? error.message.slice(0, 500) : 'not an error';
      await settle({ due_at: at, attempts: taken.attempts + 1, problem });
    }
  });

const nameOf = (accounts: readonly AccountConfig[], accountId: string): string =>
  accounts.find(({ id }) => id === accountId)?.name ?? accountId;

const sweepEvery = (deps: ReconcilerDeps): number => deps.timing?.sweepMs ?? deps.config.intervals.sweepSeconds * 1000;

const runDeps = (deps: ReconcilerDeps): RunDeps => ({
  aws: deps.aws,
  sealKey: deps.sealKey,
  partition: deps.config.partition,
  roleSetting: (accountId) => roleSetting(deps.config, accountId),
  accountName: (accountId) => nameOf(deps.config.accounts, accountId),
  now: deps.now,
  sleep: deps.sleep ?? ((ms) => new Promise((resolve) => setTimeout(resolve, ms))),
  sealMs: deps.timing?.sealMs ?? deps.config.intervals.sealSeconds * 1000,
  lookEveryMs: deps.timing?.lookEveryMs ?? 10_000,
  lookAgainMs: deps.timing?.lookAgainMs ?? 500,
  roleCheckMs: sweepEvery(deps),
  roleChecks: new Map(),
  log: deps.log,
  lastLooks: new Map(),
});

/** Starts with a sweep, so that whatever a crash left behind is mended first (promise 5). */
export const startReconciler = (deps: ReconcilerDeps): Reconciler => {
  const run = runDeps(deps);
  const workers = deps.workers ?? 3;
  const pollMs = deps.timing?.pollMs ?? 2000;
  const sweepMs = sweepEvery(deps);
  const running = new Map<string, Promise<void>>();
  let stopped = false;
  let timer: NodeJS.Timeout | null = null;
  let ticking: Promise<void> | null = null;
  let tickAgain = false;
  let sweeping: Promise<void> | null = null;
  const knownRoles = new Set<string>();

  const begin = (id: string): void => {
    const work = reconcileOne(deps, run, id)
      .catch((error: unknown) => deps.log.error({ error, principalId: id }, 'a principal could not be taken on'))
      .finally(() => {
        running.delete(id);
        nudge();
      });
    running.set(id, work);
  };

  const tick = async (): Promise<void> => {
    const now = deps.now();
    const { ids, nextAt } = await readDue(deps.db, now);
    const free = ids.filter((id) => !running.has(id)).slice(0, Math.max(0, workers - running.size));
    if (!stopped) for (const id of free) begin(id);
    const untilNext = nextAt === null ? pollMs : nextAt.getTime() - deps.now().getTime();
    wake(Math.max(5, Math.min(pollMs, untilNext)));
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
    ticking = tick()
      .catch((error: unknown) => {
        deps.log.error({ error }, 'the reconciler could not read what is due');
        wake(pollMs);
      })
      .finally(() => {
        ticking = null;
        if (!tickAgain) return;
        tickAgain = false;
        nudge();
      });
  };

  const sweepOnce = async (): Promise<void> => {
    try {
      await wakeUnfinished(deps.db, deps.now());
      nudge();
      const { db, aws, config, now, log } = deps;
      await sweepAccounts({ db, aws, config, knownRoles, appTellsMs: deps.timing?.appTellsMs ?? 15_000, now, log });
    } catch (error) {
      deps.log.error({ error }, 'the sweep failed');
    }
  };
  /** One that runs may have passed by already what is to be found, so another one follows it. */
  const sweep = (): Promise<void> => {
    const next = (sweeping ?? Promise.resolve()).then(sweepOnce).finally(() => {
      if (sweeping === next) sweeping = null;
      nudge();
    });
    sweeping = next;
    return next;
  };

  const sweeps = setInterval(() => {
    if (sweeping === null) void sweep();
  }, sweepMs);
  void sweep();

  return {
    nudge,
    sweep,
    stop: async () => {
      stopped = true;
      clearInterval(sweeps);
      if (timer !== null) clearTimeout(timer);
      await ticking;
      await sweeping;
      await Promise.all(running.values());
    },
    idle: async () => {
      for (;;) {
        await sweeping;
        await ticking;
        await Promise.all(running.values());
        const { ids } = await readDue(deps.db, deps.now());
        if (ids.length === 0 && running.size === 0 && sweeping === null) return;
        nudge();
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
    },
  };
};
