import { afterAll, beforeAll, expect, test } from 'vitest';
import { openScene, prod, type Scene, sceneConfig } from '../provisioner/testing/scene.ts';
import { openBroker } from './broker.ts';
import { watchClocks } from './clock-skew.ts';
import { createIam } from './iam.ts';

let scene: Scene;
beforeAll(async () => {
  scene = await openScene();
});
afterAll(() => scene.close());

const [account] = sceneConfig.accounts;
if (account === undefined) throw new Error('no account');

/** Answers of a clock that is `aheadMs` ahead of ours, spread over its seconds. */
const answers = (count: number, aheadMs: number) =>
  Array.from({ length: count }, (_, n) => {
    const answeredAt = performance.now() - n * 137;
    const theirs = Date.now() - n * 137 - 20 + aheadMs;
    return { date: new Date(Math.floor(theirs / 1000) * 1000), askedAt: answeredAt - 40, answeredAt };
  });

test('many answers in whole seconds tell the clock much sharper than one', () => {
  const clocks = watchClocks(() => new Date());
  for (const heard of answers(30, 2_700)) clocks.heard(account, heard);
  const [skew] = clocks.skews();
  expect(skew?.unsureMs).toBeLessThan(200);
  expect(Math.abs((skew?.ms ?? 0) - 2_700)).toBeLessThanOrEqual((skew?.unsureMs ?? 0) + 100);
});

test('a clock that is set in between is told as it is then', () => {
  const clocks = watchClocks(() => new Date());
  for (const heard of answers(10, 0)) clocks.heard(account, heard);
  for (const heard of answers(20, -8_000)) clocks.heard(account, heard);
  expect(clocks.skews()[0]?.ms).toBeLessThan(-7_000);
});

test('an answer that took long says nothing', () => {
  const clocks = watchClocks(() => new Date());
  const answeredAt = performance.now();
  clocks.heard(account, { date: new Date(0), askedAt: answeredAt - 60_000, answeredAt });
  expect(clocks.skews()).toEqual([]);
});

test('the clock is heard in each answer of a real client, refused or not asked for', async () => {
  const clocks = watchClocks(() => new Date());
  const broker = openBroker({ config: sceneConfig, as: 'broker', clockHeard: clocks.heard });
  await createIam(broker).personalRoles(prod);
  const [skew] = clocks.skews();
  expect(skew).toMatchObject({ accountId: prod, accountName: 'payments-prod' });
  // The same machine: only the fraction of a second is not known.
  expect(Math.abs(skew?.ms ?? 9_999)).toBeLessThan(2_000);
  broker.close();
});
