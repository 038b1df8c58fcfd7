/** Numbers for Prometheus. No ids and no names of people among the labels. */
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';

export type Metrics = {
  registry: Registry;
  /** A call has been answered. @param outcome `ok`, a refusal's code, or `fault`. */
  called: (procedure: string, outcome: string, ms: number) => void;
  streamsOpen: (count: number) => void;
};

export const createMetrics = (): Metrics => {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
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
  };
};
