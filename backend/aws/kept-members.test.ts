import { expect, test } from 'vitest';
import { createKeptMembers, keepMembers } from './kept-members.ts';

const person = {
  ...{ id: 'p-1', userName: 'mira', displayName: 'Mira', email: null, enabled: true, groups: ['all'] },
  checkedAt: new Date(0),
};

test('the copy is read again while somebody asks, and rests while nobody does', async () => {
  let readings = 0;
  const kept = createKeptMembers({
    groups: ['all'],
    count: async () => 100,
    read: async () => {
      readings += 1;
      return new Map([['all', [person]]]);
    },
  });
  const members = keepMembers(kept, { warn: () => undefined }, { used: 5, unused: 3_600_000 });
  await expect.poll(() => kept.find('p-1')).toEqual(person);
  await expect.poll(() => readings).toBeGreaterThan(1);
  const before = readings;
  expect(await kept.of('all')).toEqual([person]);
  await expect.poll(() => readings).toBeGreaterThan(before);
  await members.stop();
});

test('it ends at once, in whichever rest it is', async () => {
  for (const rest of [
    { used: 3_600_000, unused: 7_200_000 },
    { used: 1, unused: 3_600_000 },
  ]) {
    let readings = 0;
    const kept = createKeptMembers({
      groups: [],
      count: async () => 0,
      read: async () => {
        readings += 1;
        return null;
      },
    });
    const members = keepMembers(kept, { warn: () => undefined }, rest);
    await expect.poll(() => readings).toBe(1);
    await members.stop();
    expect(readings).toBe(1);
  }
});
