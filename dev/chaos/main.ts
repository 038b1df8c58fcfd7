/**
 * `npm run chaos`: lives 3,000 random histories of 60 steps, over two processes, and holds the promises of design 2 after every step. A
 * history that breaks one is made as short as it can be and printed with its seed; `--seed N --path P` lives that one again.
 */
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';
import { startPostgres } from '../postgres/supervisor.ts';
import { chaos } from './chaos.ts';

const { values } = parseArgs({
  options: {
    histories: { type: 'string', default: '3000' },
    steps: { type: 'string', default: '60' },
    seed: { type: 'string' },
    path: { type: 'string' },
    processes: { type: 'string', default: '2' },
    /** Set for the processes that this one starts. */
    postgres: { type: 'string' },
  },
});

const whole = (name: 'histories' | 'steps' | 'processes'): number => {
  const number = Number(values[name]);
  if (!Number.isInteger(number) || number < 1) throw new Error(`--${name} takes a whole number from 1 on.`);
  return number;
};
const histories = whole('histories');
const steps = whole('steps');
const processes = values.path === undefined ? whole('processes') : 1;
const seed = values.seed === undefined ? Date.now() % 1_000_000_000 : Number(values.seed);
const sayEvery = 25;

/** Lives its part. @returns whether all promises held. */
const liveHere = async (postgresUrl: string): Promise<boolean> => {
  let lived = 0;
  const result = await chaos({
    postgresUrl,
    histories: values.path === undefined ? histories : 1,
    steps,
    seed,
    ...(values.path === undefined ? {} : { path: values.path }),
    onHistory: () => {
      lived += 1;
      if (lived % sayEvery === 0) console.log(`${lived} of ${histories}, seed ${seed}`);
    },
  });
  if (result.ok) {
    console.log(`held: ${result.histories} histories of ${steps} steps, seed ${seed}`);
    return true;
  }
  console.log(`BROKEN after ${result.histories} histories:\n${result.what}\n`);
  for (const [at, step] of result.steps.entries()) console.log(`  ${at + 1}. ${step}`);
  console.log(`\nagain: npm run chaos -- --steps ${steps} --seed ${result.seed} --path ${result.path}`);
  return false;
};

const liveElsewhere = (postgresUrl: string, number: number): Promise<boolean> =>
  new Promise((resolve, reject) => {
    const part = Math.floor(histories / processes) + (number < histories % processes ? 1 : 0);
    const options = { histories: part, steps, seed: seed + number, processes: 1, postgres: postgresUrl };
    const args = Object.entries(options).flatMap(([name, value]) => [`--${name}`, String(value)]);
    const child = spawn(process.execPath, [import.meta.filename, ...args], { stdio: ['ignore', 'pipe', 'inherit'] });
    createInterface({ input: child.stdout }).on('line', (line) => console.log(`[${number + 1}] ${line}`));
    child.once('error', reject);
    child.once('exit', (code) => resolve(code === 0));
  });

const withPostgres = async (work: (url: string) => Promise<boolean>): Promise<boolean> => {
  if (values.postgres !== undefined) return work(values.postgres);
  const home = fs.mkdtempSync(path.join(os.tmpdir(), 'curfew-chaos-'));
  // Open to pass through: as root the server runs as somebody else (dev/postgres).
  fs.chmodSync(home, 0o755);
  const postgres = await startPostgres({ folder: path.join(home, 'postgres'), durable: false });
  try {
    return await work(postgres.url('postgres'));
  } finally {
    await postgres.stop();
    fs.rmSync(home, { recursive: true, force: true });
  }
};

const since = performance.now();
const held = await withPostgres(async (url) => {
  if (processes === 1) return liveHere(url);
  const parts = Array.from({ length: processes }, (_, number) => liveElsewhere(url, number));
  return (await Promise.all(parts)).every((one) => one);
});
if (values.postgres === undefined) {
  console.log(
    `${held ? 'All promises held' : 'A promise broke'} in ${((performance.now() - since) / 60_000).toFixed(1)} min.`,
  );
}
process.exitCode = held ? 0 : 1;
