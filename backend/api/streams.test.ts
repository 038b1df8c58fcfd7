/** Whose streams go on, as the identity store has them. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createLog } from '../log.ts';
import type { PersonFacts } from '../store/people.ts';
import { type FreshStore, freshStore } from '../testing/fresh-store.ts';
import { personNamed, type TestPeople, testPeople } from '../testing/test-people.ts';
import type { Caller } from './caller.ts';
import { createMetrics } from './metrics.ts';
import { createStreams } from './streams.ts';

let store: FreshStore;
let people: TestPeople;
beforeAll(async () => {
  store = await freshStore();
  people = testPeople(store.db);
});
afterAll(() => store.close());

const callerOf = (facts: PersonFacts): Caller => {
  const { id, userName, displayName, groups } = facts;
  const person = { id, userName, displayName };
  const reader = { person, groups, isAdmin: groups.includes('curfew-admins'), decidable: [] };
  return { reader, facts, token: { hash: Buffer.from(id), personId: id, provedAt: new Date(), expiresAt: new Date() } };
};

test('ID-12 the streams of a leaver end at the next look; all who are no admins are looked at together', async () => {
  const [mira, jonas, dele] = [personNamed('mira'), personNamed('jonas'), personNamed('dele', ['curfew-admins'])];
  for (const one of [mira, jonas, dele]) await people.put(one);
  const together: string[][] = [];
  const alone = new Set<string>();
  const streams = createStreams({
    db: store.db,
    feed: { subscribe: () => () => undefined },
    directory: {
      person: (id) => {
        alone.add(id);
        return people.person(id);
      },
      standings: (ids) => {
        together.push([...ids]);
        return people.standings(ids);
      },
    },
    adminGroup: 'curfew-admins',
    metrics: createMetrics(),
    log: createLog({ write: () => undefined }),
    now: () => new Date(),
    checkEveryMs: { tokens: 3_600_000, people: 10 },
  });
  try {
    const [hers, his, another] = [mira, jonas, mira].map((one) => streams.open(callerOf(one)));
    const admins = streams.open(callerOf(dele));
    await expect.poll(() => together.length).toBeGreaterThan(1);
    expect(together[0]).toEqual([mira.id, jonas.id]);
    await people.put({ ...mira, enabled: false });
    const { signal } = new AbortController();
    expect(await hers?.take(signal)).toBeNull();
    expect(await another?.take(signal)).toBeNull();
    await expect.poll(() => together.at(-1)).toEqual([jonas.id]);
    expect([...alone]).toEqual([dele.id]);
    // Both others wait for something to be told.
    const over = new AbortController();
    const waiting = [his?.take(over.signal), admins.take(over.signal)];
    expect(await Promise.race([...waiting, Promise.resolve('still open')])).toBe('still open');
    over.abort();
  } finally {
    streams.stop();
  }
});
