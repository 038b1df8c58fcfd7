import { expect, test } from 'vitest';
import { Refusal } from '../../src/shared/refusal.ts';
import { atOnceLimit, callLimit } from './rate-limit.ts';

const at = (ms: number): Date => new Date(1_700_000_040_000 + ms);

test('so many calls per key in a window, then the time to wait is told', () => {
  const limit = callLimit(2, 60_000);
  limit.count('a', at(0));
  limit.count('a', at(10_000));
  limit.count('b', at(10_000));
  try {
    limit.count('a', at(20_000));
    expect.unreachable();
  } catch (error) {
    expect(error).toBeInstanceOf(Refusal);
    expect(error).toMatchObject({ code: 'too_many', detail: { retryAfterMs: 40_000 } });
  }
  limit.count('a', at(60_000));
});

test('so many at once per key and overall; one that ends makes room, also when it fails', async () => {
  const limit = atOnceLimit(1, 2);
  const ends: Array<(error?: Error) => void> = [];
  const held = () =>
    new Promise<void>((resolve, reject) => {
      ends.push((error) => (error === undefined ? resolve() : reject(error)));
    });
  const first = limit.run('a', held);
  await expect(limit.run('a', held)).rejects.toMatchObject({ code: 'too_many' });
  const second = limit.run('b', held);
  await expect(limit.run('c', held)).rejects.toMatchObject({ code: 'too_many' });
  ends[0]?.(new Error('failed'));
  await expect(first).rejects.toThrow('failed');
  const third = limit.run('a', held);
  for (const end of ends.slice(1)) end();
  await Promise.all([second, third]);
});
