/** Numbers for Prometheus. No ids and no names of people among the labels. */
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import { type Urgency, urgencies } from '../aws/errand.ts';
import type { ReconcileMetrics } from '../reconcile/reconciler.ts';

export type Metrics = {
  registry: Registry;
  /** A call has been answered. @param outcome `ok`, a refusal's code, or `fault`. */
  called: (procedure: string, outcome: string, ms: number) => void;
  streamsOpen: (count: number) => void;
  reconcile: ReconcileMetrics;
  /** A call to AWS went out, after waiting for its budget, e.g. `terminate-session`. */
  budgetWaited: (budget: string, urgency: Urgency, ms: number) => void;
  /** How far other clocks are ahead of the database's: `backend`, or an account's number for AWS. Read when they are scraped. */
  clocks: (read: () => ReadonlyArray<{ peer: string; ms: number }>) => void;
  /** How many backends live on this database. Read when it is scraped. */
  backends: (read: () => number) => void;
  /** How many findings of each kind are open, asked when somebody reads the numbers. */
  findings: (count: () => Promise<ReadonlyMap<string, number>>) => void;
};

/** Metrics of what one process does with AWS, for any number of accounts. */
const reconcileMetrics = (registry: Registry) => {
  const registers = [registry];
  const late = new Histogram({
    name: 'curfew_ending_seconds',
    help: 'From the end of a grant until its access policy was read back gone, and until no session was left.',
    labelNames: ['lock'],
    buckets: [0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300],
    registers,
  });
  const due = new Gauge({
    name: 'curfew_due_principals',
    help: 'Principals that are due and wait for a pass, by what is most urgent about them.',
    labelNames: ['urgency'],
    registers,
  });
  const working = new Gauge({
    name: 'curfew_working_principals',
    help: 'Principals that this backend works on.',
    registers,
  });
  const waits = new Histogram({
    name: 'curfew_budget_wait_seconds',
    help: 'How long calls to AWS waited for their share of its rates.',
    labelNames: ['budget', 'urgency'],
    buckets: [0.01, 0.1, 0.5, 1, 2, 5, 10, 30, 60],
    registers,
  });
  return {
    reconcile: {
      ended: ({ policyGoneMs, sessionsGoneMs }) => {
        late.observe({ lock: 'policy' }, policyGoneMs / 1000);
        late.observe({ lock: 'sessions' }, sessionsGoneMs / 1000);
      },
      due: (waiting, now) => {
        for (const urgency of urgencies) due.set({ urgency }, waiting[urgency]);
        working.set(now);
      },
    } satisfies ReconcileMetrics,
    budgetWaited: (budget: string, urgency: Urgency, ms: number) => waits.observe({ budget, urgency }, ms / 1000),
    clocks: (read: () => ReadonlyArray<{ peer: string; ms: number }>) => {
      new Gauge({
        name: 'curfew_clock_skew_ms',
        help: 'How far a clock is ahead of the database’s, which judges ends: of this backend, and of AWS by account.',
        labelNames: ['peer'],
        registers,
        collect() {
          this.reset();
          for (const { peer, ms } of read()) this.set({ peer }, ms);
        },
      });
    },
    backends: (read: () => number) => {
      new Gauge({
        name: 'curfew_backends',
        help: 'Backends that live on this database.',
        registers,
        collect() {
          this.set(read());
        },
      });
    },
  };
};

/**
 * How often the lag of the event loop is sampled, milliseconds. Each sample wakes the process: at prom-client's 10 ms that was more than a third of
 * what an idle backend cost. `nodejs_eventloop_lag_*` include this time: Node counts from one sample to the next.
 */
const lagSampleMs = 100;

export const createMetrics = (): Metrics => {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry, eventLoopMonitoringPrecision: lagSampleMs });
  const calls = new Counter({
    name: 'curfew_calls_total',
    help: 'Calls answered, by procedure and outcome.',
    labelNames: ['procedure', 'outcome'],
    registers: [registry],
  });
  const seconds = new Histogram({
    name: 'curfew_call_seconds',
    help: 'Time to answer a call.',
    labelNames: ['procedure'],
    buckets: [0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
    registers: [registry],
  });
  const streams = new Gauge({ name: 'curfew_streams', help: 'Open event streams.', registers: [registry] });
  return {
    registry,
    called: (procedure, outcome, ms) => {
      calls.inc({ procedure, outcome });
      seconds.observe({ procedure }, ms / 1000);
    },
    streamsOpen: (count) => streams.set(count),
    ...reconcileMetrics(registry),
    findings: (count) => {
      new Gauge({
        name: 'curfew_findings',
        help: 'Things that Curfew found and no row explains, still there, by kind.',
        labelNames: ['kind'],
        registers: [registry],
        async collect() {
          for (const [kind, open] of await count()) this.set({ kind }, open);
        },
      });
    },
  };
};
