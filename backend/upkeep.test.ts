import { expect, test } from 'vitest';
import { createLog } from './log.ts';
import { lookOut } from './upkeep.ts';

/** Work that ends when it is told to, with how much there was. */
const played = () => {
  const runs: Array<(found: number | Error) => void> = [];
  return {
    runs,
    work: () =>
      new Promise<number>((resolve, reject) => {
        runs.push((found) => (typeof found === 'number' ? resolve(found) : reject(found)));
      }),
  };
};
const never = 3_600_000;
const lines: string[] = [];
const log = createLog({ write: (line) => lines.push(line) });

test('looks at the start, when it is called, and never twice at once', async () => {
  const { runs, work } = played();
  const watch = lookOut('test', { busy: never, idle: never }, work, log);
  expect(runs).toHaveLength(1);
  watch.now();
  watch.now();
  expect(runs).toHaveLength(1);
  runs[0]?.(0);
  // Who called in the middle of a look may have said what it passed by already.
  await expect.poll(() => runs.length).toBe(2);
  runs[1]?.(0);
  await new Promise((resolve) => setTimeout(resolve, 20));
  expect(runs).toHaveLength(2);
  watch.now();
  expect(runs).toHaveLength(3);
  runs[2]?.(0);
  await watch.stop();
});

test('goes on while there is something to do, and after a failure', async () => {
  const { runs, work } = played();
  const watch = lookOut('test', { busy: 1, idle: never }, work, log);
  runs[0]?.(3);
  await expect.poll(() => runs.length).toBe(2);
  runs[1]?.(new Error('the database is gone'));
  await expect.poll(() => runs.length).toBe(3);
  expect(lines.join('')).toContain('the database is gone');
  runs[2]?.(0);
  await new Promise((resolve) => setTimeout(resolve, 20));
  expect(runs).toHaveLength(3);
  await watch.stop();
});

test('stops when its last look is done', async () => {
  const { runs, work } = played();
  const watch = lookOut('test', { busy: 1, idle: 1 }, work, log);
  const stopped = watch.stop();
  runs[0]?.(1);
  await stopped;
  watch.now();
  expect(runs).toHaveLength(1);
});
