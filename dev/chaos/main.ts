/**
 * `npm run chaos`: lives 3,000 random histories of 60 steps, over as many processes as there are cores and one more, and holds promises 1 to 7 and 9 of design 2 after every step. A
 * history that breaks one is made as short as it can be and printed with its seed; `--seed N --path P` lives that one again.
 */
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';
import { z } from 'zod';
import { startPostgres } from '../postgres/supervisor.ts';
import { chaos } from './chaos.ts';
import { officeNames } from './offices.ts';

const { values } = parseArgs({
  options: {
    histories: { type: 'string', default: '3000' },
    steps: { type: 'string', default: '60' },
    seed: { type: 'string' },
    path: { type: 'string' },
    /** A history that broke a promise is printed as it was. */
    'as-it-was': { type: 'boolean', default: false },
    /** Much of a history is waiting for Postgres. */
    processes: { type: 'string', default: String(os.availableParallelism() + 1) },
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
const sayEveryMs = 10_000;

/** What a process tells the one that started it. */
const said = z.union([z.object({ lived: z.record(z.string(), z.number()) }), z.literal('broken')]);
type Said = z.infer<typeof said>;

/** Lives its part. @returns whether all promises held. */
const liveHere = async (postgresUrl: string, tell: (what: Said) => void): Promise<boolean> => {
  const result = await chaos({
    postgresUrl,
    histories: values.path === undefined ? histories : 1,
    steps,
    seed,
    ...(values.path === undefined ? {} : { path: values.path }),
    onHistory: (reached) => tell({ lived: Object.fromEntries(reached) }),
    shorten: !values['as-it-was'],
    onBroken: (what) => {
      console.log(`BROKEN, and being made shorter: ${what}`);
      tell('broken');
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

const liveElsewhere = (postgresUrl: string, number: number, tell: (what: Said) => void): Promise<boolean> =>
  new Promise((resolve, reject) => {
    const part = Math.floor(histories / processes) + (number < histories % processes ? 1 : 0);
    const options = { histories: part, steps, seed: seed + number, processes: 1, postgres: postgresUrl };
    const args = Object.entries(options).flatMap(([name, value]) => [`--${name}`, String(value)]);
    if (values['as-it-was']) args.push('--as-it-was');
    const child = spawn(process.execPath, [import.meta.filename, ...args], {
      stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
    });
    if (child.stdout === null) throw new Error('A process was started without a way to read it.');
    createInterface({ input: child.stdout }).on('line', (line) => console.log(`[${number + 1}] ${line}`));
    child.on('message', (message) => tell(said.parse(message)));
    child.once('error', reject);
    child.once('exit', (code) => resolve(code === 0));
  });

const minutes = (ms: number): string => `${(ms / 60_000).toFixed(1)} min`;

/** Says at intervals how far all of them are. */
const startTally = () => {
  const from = performance.now();
  const reached = new Map<string, number>();
  let lived = 0;
  let shrinking = 0;
  const say = (): void => {
    const rate = lived / (performance.now() - from);
    const left = lived === 0 ? 'no estimate yet' : `some ${minutes((histories - lived) / rate)} left`;
    const broken = shrinking === 0 ? '' : `, ${shrinking} BROKEN and being made shorter`;
    console.log(`${lived} of ${histories} histories, ${(rate * 1000).toFixed(2)} a second, ${left}${broken}`);
  };
  const timer = setInterval(say, sayEveryMs);
  return {
    hear: (what: Said): void => {
      if (what === 'broken') {
        shrinking += 1;
        return;
      }
      lived += 1;
      for (const [key, times] of Object.entries(what.lived)) reached.set(key, (reached.get(key) ?? 0) + times);
    },
    /** How much they got around: promises that hold where nothing happens say nothing. */
    sum: (): void => {
      clearInterval(timer);
      const times = (what: string): number => reached.get(what) ?? 0;
      for (const office of officeNames) {
        const [active, ended] = [times(`${office}: active`), times(`${office}: sessions ended`)];
        console.log(
          `${office}: ${times(office)} histories, ${active} grants were active, ${ended} sessions were ended`,
        );
      }
      const of = (what: string): string => `${times(what)} ${what}`;
      const steps = ['submit', 'connect', 'use', 'extend', 'end', 'kill', 'crash', 'stall', 'fault', 'retag', 'leave'];
      console.log(`steps: ${steps.map(of).join(', ')}; grants: ${['ended', 'lapsed', 'failed'].map(of).join(', ')}`);
    },
  };
};

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

/** One of several: the one that started it counts. */
const tellParent = (what: Said): void => void process.send?.(what);

const liveAll = async (url: string): Promise<boolean> => {
  if (values.postgres !== undefined) return liveHere(url, tellParent);
  const tally = startTally();
  try {
    if (processes === 1) return await liveHere(url, tally.hear);
    const parts = Array.from({ length: processes }, (_, number) => liveElsewhere(url, number, tally.hear));
    return (await Promise.all(parts)).every((one) => one);
  } finally {
    tally.sum();
  }
};

const since = performance.now();
const held = await withPostgres(liveAll);
if (values.postgres === undefined) {
  console.log(`${held ? 'All promises held' : 'A promise broke'} in ${minutes(performance.now() - since)}.`);
} else {
  process.disconnect();
}
process.exitCode = held ? 0 : 1;
