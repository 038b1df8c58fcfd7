/** A few of the histories of `npm run chaos`. */
import { expect, inject, test } from 'vitest';
import { chaos } from './chaos.ts';

test('random histories of granting and ending, with faults and crashes, keep every promise after every step', {
  timeout: 300_000,
}, async () => {
  const result = await chaos({ postgresUrl: inject('postgresUrl'), histories: 4, steps: 40, seed: 20_261_122 });
  expect(result).toMatchObject({ ok: true, histories: 4 });
  if (!result.ok) return;
  // They are worth something only if they get around.
  const wanted = ['connect', 'use', 'end', 'fault', 'crash', 'pass', 'ended'];
  expect([...result.reached.keys()]).toEqual(expect.arrayContaining(wanted));
});
