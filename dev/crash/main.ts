/**
 * `npm run crash`: kills a real backend with SIGKILL before and after every SQL statement and every AWS call of granting and ending,
 * starts it again each time, and looks whether anything was lost or left over. The points are shared by two processes, each with a stack
 * of its own. `--every N` visits each Nth point only.
 */
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';
import { z } from 'zod';
import { type CrashOptions, type CrashResult, crash } from './crash.ts';

const { values } = parseArgs({
  options: {
    every: { type: 'string', default: '1' },
    verbose: { type: 'boolean', default: false },
    processes: { type: 'string', default: '2' },
    /** Set for the processes that this one starts. */
    part: { type: 'string' },
  },
});
const whole = (name: 'every' | 'processes'): number => {
  const number = Number(values[name]);
  if (!Number.isInteger(number) || number < 1) throw new Error(`--${name} takes a whole number from 1 on.`);
  return number;
};
const every = whole('every');
const processes = whole('processes');
const options: CrashOptions = { every, say: (line) => console.log(line), eachPoint: values.verbose };

const outcome = z.object({
  visited: z.number(),
  failed: z.array(z.object({ point: z.string(), problems: z.array(z.string()) })),
  missed: z.array(z.string()),
});

/** Each process sees the same points, in an order that may differ: so a point's part is told by its text. */
const partOf = (point: string): number => createHash('sha256').update(point).digest().readUInt32BE() % processes;

const crashElsewhere = (part: number): Promise<CrashResult> =>
  new Promise((resolve, reject) => {
    const args = ['--every', String(every), '--processes', String(processes), '--part', String(part)];
    if (values.verbose) args.push('--verbose');
    const child = spawn(process.execPath, [import.meta.filename, ...args], {
      stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
    });
    let result: CrashResult | null = null;
    if (child.stdout === null) throw new Error('A process was started without a way to read it.');
    createInterface({ input: child.stdout }).on('line', (line) => console.log(`[${part + 1}] ${line}`));
    child.on('message', (message) => {
      result = outcome.parse(message);
    });
    child.once('error', reject);
    child.once('exit', (code) => {
      if (result === null) reject(new Error(`Part ${part + 1} ended with ${code} before it was done.`));
      else resolve(result);
    });
  });

const crashAll = async (): Promise<CrashResult> => {
  if (processes === 1) return crash(options);
  const parts = await Promise.all(Array.from({ length: processes }, (_, part) => crashElsewhere(part)));
  return {
    visited: parts.reduce((sum, { visited }) => sum + visited, 0),
    failed: parts.flatMap(({ failed }) => failed),
    missed: parts.flatMap(({ missed }) => missed),
  };
};

if (values.part === undefined) {
  const since = performance.now();
  const { failed, missed, visited } = await crashAll();
  console.log(
    `${visited} points in ${((performance.now() - since) / 60_000).toFixed(1)} min: ${visited - failed.length} passed, ${failed.length} failed` +
      (missed.length === 0 ? '' : `; ${missed.length} that came once did not come again`),
  );
  process.exitCode = failed.length === 0 && visited > 0 ? 0 : 1;
} else {
  const mine = (point: string): boolean => String(partOf(point)) === values.part;
  process.send?.(await crash({ ...options, mine }));
  process.disconnect();
}
