/**
 * `npm run crash`: kills a real backend with SIGKILL before and after every SQL statement and every AWS call of granting and ending,
 * starts it again each time, and looks whether anything was lost or left over. The points are shared by two processes, each with a stack
 * of its own. `--every N` visits each Nth point that a process sees only.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
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

/** What a process tells the one that started it: that it came by a point nobody may have visited, and how it all went. */
const told = z.union([z.object({ job: z.string(), point: z.string() }), outcome]);
/** The answer to the first of these, in the order of asking. */
const answer = z.object({ yours: z.boolean() });

/** Each process sees nearly the same points. Whoever asks first visits one, so those are visited, too, that only one process sees. */
const createClaims = () => {
  const taken = new Set<string>();
  return (job: string, point: string): boolean => {
    const key = `${job}: ${point}`;
    if (taken.has(key)) return false;
    taken.add(key);
    return true;
  };
};

const crashElsewhere = (part: number, claims: (job: string, point: string) => boolean): Promise<CrashResult> =>
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
      const what = told.parse(message);
      if ('job' in what) child.send({ yours: claims(what.job, what.point) });
      else result = what;
    });
    child.once('error', reject);
    child.once('exit', (code) => {
      if (result === null) reject(new Error(`Part ${part + 1} ended with ${code} before it was done.`));
      else resolve(result);
    });
  });

const crashAll = async (): Promise<CrashResult> => {
  if (processes === 1) return crash(options);
  const claims = createClaims();
  const parts = await Promise.all(Array.from({ length: processes }, (_, part) => crashElsewhere(part, claims)));
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
  const claim = async (job: string, point: string): Promise<boolean> => {
    const answered = once(process, 'message');
    process.send?.({ job, point });
    const [message] = await answered;
    return answer.parse(message).yours;
  };
  process.send?.(await crash({ ...options, claim }));
  process.disconnect();
}
