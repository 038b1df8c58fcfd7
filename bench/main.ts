/**
 * `npm run bench`: measures, prints one table, writes bench/results.json. It never asserts: what a figure should be is for people to
 * say. `--only NAME` (more than once) runs a part; `--list` names the parts; `--grants N` makes the
 * parts about many grants smaller, `--audit-rows N --requests N --calls N` those about a long history. The built app (`npm run build`) is what is measured.
 */
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { electronExecutable } from '../dev/electron-standin/find-electron.ts';
import { type Stack, startStack } from '../dev/start/stack.ts';
import { appStart, clickToPrompt, memory } from './app-times.ts';
import { type Figure, table } from './figures.ts';
import { grantTimes, sameInstant } from './grant-times.ts';
import { policySize } from './policy-size.ts';
import { auditTimes, compileTimes, ruleTimes } from './pure-speed.ts';
import { type QuerySize, queryTimes } from './queries.ts';
import { type ScaleSize, sameEnds, spreadEnds } from './scale.ts';
import { idleCost } from './scale-idle.ts';
import { terminalSpeed } from './terminal-speed.ts';

type Bench = { name: string } & (
  | { needs: 'nothing'; run: (size: ScaleSize & QuerySize) => Promise<Figure[]> }
  | { needs: 'stack'; run: (stack: Stack) => Promise<Figure[]> }
);

/** In this order: the crowd comes last, because twenty newcomers stay in the world. */
const benches: readonly Bench[] = [
  { name: 'rules', needs: 'nothing', run: ruleTimes },
  { name: 'compile', needs: 'nothing', run: compileTimes },
  { name: 'policy-size', needs: 'nothing', run: policySize },
  { name: 'audit', needs: 'nothing', run: auditTimes },
  { name: 'queries', needs: 'nothing', run: queryTimes },
  { name: 'scale-idle', needs: 'nothing', run: idleCost },
  { name: 'scale-same', needs: 'nothing', run: sameEnds },
  { name: 'scale', needs: 'nothing', run: spreadEnds },
  { name: 'app-start', needs: 'stack', run: appStart },
  { name: 'click', needs: 'stack', run: clickToPrompt },
  { name: 'memory', needs: 'stack', run: memory },
  { name: 'terminal', needs: 'stack', run: terminalSpeed },
  { name: 'grant', needs: 'stack', run: grantTimes },
  { name: 'same-instant', needs: 'stack', run: sameInstant },
];

const machine = () => ({
  cpu: `${os.availableParallelism()} × ${os.cpus()[0]?.model.trim() ?? 'unknown'}`,
  memoryGigabytes: Math.round(os.totalmem() / 2 ** 30),
  system: `${os.type()} ${os.release()}`,
  node: process.versions.node,
  app: electronExecutable().runtime,
  load: os.loadavg()[0] ?? 0,
});

const withStack = async <T>(work: (stack: Stack) => Promise<T>): Promise<T> => {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'curfew-bench-'));
  try {
    const stack = await startStack({ folder, say: () => undefined, durable: true });
    // The modules of the app that run in this process are told where AWS is as the app is: by environment.
    Object.assign(process.env, stack.appEnv);
    try {
      return await work(stack);
    } finally {
      await stack.stop();
    }
  } finally {
    fs.rmSync(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
  }
};

type Run = { figures: Figure[]; failed: string[] };

const runOne = async (bench: Bench, stack: Stack | null, into: Run, size: ScaleSize & QuerySize): Promise<void> => {
  const since = performance.now();
  try {
    const figures = bench.needs === 'nothing' ? await bench.run(size) : stack === null ? [] : await bench.run(stack);
    into.figures.push(...figures);
    console.error(`${bench.name}: ${((performance.now() - since) / 1000).toFixed(1)} s`);
  } catch (error) {
    // One that cannot be measured here must not cost the others.
    into.failed.push(bench.name);
    console.error(`${bench.name}: not measured.`, error);
  }
};

const main = async (): Promise<number> => {
  const { values } = parseArgs({
    options: {
      only: { type: 'string', multiple: true },
      list: { type: 'boolean' },
      grants: { type: 'string', default: '10000' },
      'audit-rows': { type: 'string', default: '1000000' },
      requests: { type: 'string', default: '100000' },
      calls: { type: 'string', default: '200' },
    },
  });
  const size = {
    grants: Number(values.grants),
    auditRows: Number(values['audit-rows']),
    requests: Number(values.requests),
    calls: Number(values.calls),
  };
  if (values.list === true) {
    console.log(benches.map(({ name }) => name).join('\n'));
    return 0;
  }
  const unknown = values.only?.find((name) => !benches.some((bench) => bench.name === name));
  if (unknown !== undefined) {
    console.error(`There is no benchmark ${unknown}; there are ${benches.map(({ name }) => name).join(', ')}.`);
    return 2;
  }
  const wanted = benches.filter(({ name }) => values.only?.includes(name) ?? true);
  const at = new Date();
  const where = machine();
  const run: Run = { figures: [], failed: [] };
  for (const bench of wanted) if (bench.needs === 'nothing') await runOne(bench, null, run, size);
  const rest = wanted.filter(({ needs }) => needs === 'stack');
  if (rest.length > 0) {
    await withStack(async (stack) => {
      for (const bench of rest) await runOne(bench, stack, run, size);
    });
  }
  console.log(table(run.figures));
  console.log(
    `\n${at.toISOString().slice(0, 10)}, ${where.cpu}, ${where.memoryGigabytes} GB, ${where.system}, Node ${where.node}, app on ${where.app}; load before ${where.load.toFixed(1)}`,
  );
  const file = path.join(import.meta.dirname, 'results.json');
  fs.writeFileSync(file, `${JSON.stringify({ at: at.toISOString(), machine: where, ...run }, null, 2)}\n`);
  return run.failed.length === 0 ? 0 : 1;
};

process.exit(await main());
