import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { type FreshStore, freshStore } from '../testing/fresh-store.ts';
import { countOpenFindings, listFindings, mendUnseen, type NewFinding, noteFinding, noteMended } from './findings.ts';

const accountId = '111122223333';
const found: NewFinding = {
  kind: 'bypass',
  accountId,
  accountName: 'Production',
  region: 'eu-central-1',
  subject: 'root-0a1b2c3d4e5f60718',
  what: 'Somebody has a session.',
  advice: 'Ask them.',
};
const admin = { adminGroup: 'curfew-admins' };
const at = (second: number) => new Date(Date.UTC(2026, 10, 22, 12, 0, second));

let store: FreshStore;
beforeAll(async () => {
  store = await freshStore();
  for (const [id, groups, enabled] of [
    ['a-1', ['curfew-admins'], true],
    ['a-2', ['curfew-admins'], false],
    ['b-1', ['curfew-users'], true],
  ] as const) {
    await store.db
      .insertInto('people')
      .values({
        id,
        user_name: id,
        display_name: id,
        email: null,
        enabled,
        groups: [...groups],
        checked_at: at(0),
      })
      .execute();
  }
});
beforeEach(async () => {
  await store.db.deleteFrom('findings').execute();
  await store.db.deleteFrom('notices').execute();
});
afterAll(() => store.close());

const auditOf = async (findingId: string) =>
  (await store.db.selectFrom('audit').select('event').orderBy('sequence').execute()).flatMap(({ event }) =>
    'findingId' in event && event.findingId === findingId ? [event.kind] : [],
  );

test('the same thing seen again is the same row: told to every enabled admin once', async () => {
  expect(await noteFinding(store.db, found, { at: at(1), ...admin })).toBe('new');
  expect(await noteFinding(store.db, found, { at: at(9), ...admin })).toBe('known');
  // A look that began earlier and ended later moves nothing back.
  await noteFinding(store.db, found, { at: at(5), ...admin });
  const [only, ...others] = await listFindings(store.db, { openOnly: true, limit: 10 });
  expect(others).toEqual([]);
  expect(only).toMatchObject({ ...found, since: at(1).toISOString(), lastSeen: at(9).toISOString(), mendedAt: null });
  expect(await auditOf(only?.id ?? '')).toEqual(['finding_reported']);
  const notices = await store.db.selectFrom('notices').select(['person_id', 'target_kind', 'target_id']).execute();
  expect(notices).toEqual([{ person_id: 'a-1', target_kind: 'finding', target_id: only?.id }]);
});

test('two backends that see it at once write it once', async () => {
  const made = await Promise.all(
    Array.from({ length: 8 }, () => noteFinding(store.db, found, { at: at(1), ...admin })),
  );
  expect(made.filter((one) => one === 'new')).toHaveLength(1);
  expect((await countOpenFindings(store.db)).get('bypass')).toBe(1);
});

test('mended and seen again: two rows, the open one first', async () => {
  await noteFinding(store.db, found, { at: at(1), ...admin });
  expect(await noteMended(store.db, found, at(2))).toBe(true);
  expect(await noteMended(store.db, found, at(3))).toBe(false);
  await noteFinding(store.db, found, { at: at(4), ...admin });
  const both = await listFindings(store.db, { openOnly: false, limit: 10 });
  expect(both.map(({ mendedAt }) => mendedAt)).toEqual([null, at(2).toISOString()]);
  expect(await auditOf(both[1]?.id ?? '')).toEqual(['finding_reported', 'finding_mended']);
  expect(await listFindings(store.db, { openOnly: true, limit: 10 })).toHaveLength(1);
});

test('a complete look closes what it did not see, in that place and of those kinds only', async () => {
  const other = { ...found, subject: 'other-0a1b2c3d4e5f60718' };
  const elsewhere = { ...found, region: 'us-east-1' };
  const skew = { ...found, kind: 'clock_skew' as const };
  for (const one of [found, other, elsewhere, skew]) await noteFinding(store.db, one, { at: at(1), ...admin });
  const place = { kinds: ['bypass'] as const, accountId, region: 'eu-central-1', seen: [other.subject] };
  // A look that began before another backend saw it knows nothing of it.
  expect(await mendUnseen(store.db, { ...place, begun: at(1) }, at(2))).toBe(0);
  expect(await mendUnseen(store.db, { ...place, begun: at(2) }, at(2))).toBe(1);
  const left = await listFindings(store.db, { openOnly: true, limit: 10 });
  expect(left.map(({ kind, region, subject }) => ({ kind, region, subject })).sort(bySubject)).toEqual(
    [other, elsewhere, skew].map(({ kind, region, subject }) => ({ kind, region, subject })).sort(bySubject),
  );
});

const bySubject = (a: object, b: object): number => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1);
