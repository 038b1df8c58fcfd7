import { afterAll, beforeAll, expect, test } from 'vitest';
import { type FreshStore, freshStore } from '../testing/fresh-store.ts';
import { personNamed } from '../testing/test-people.ts';
import { savePeople } from './people.ts';

let store: FreshStore;
beforeAll(async () => {
  store = await freshStore();
});
afterAll(() => store.close());

test('ID-12 thousands are written at once, and what was read later stays', async () => {
  const at = (minute: number) => new Date(Date.UTC(2026, 10, 22, 10, minute));
  const people = Array.from({ length: 1200 }, (_, number) => ({
    ...personNamed('somebody', [`team-${number % 7}`]),
    id: `person-${String(number).padStart(4, '0')}`,
    userName: `user-${number}`,
    checkedAt: at(5),
  }));
  await savePeople(store.db, people);
  await savePeople(store.db, []);
  const [first, second] = people;
  if (first === undefined || second === undefined) throw new Error('nobody');
  // Read one by one at 10:06, and then an older reading of everybody is done.
  await savePeople(store.db, [{ ...first, enabled: false, groups: [], checkedAt: at(6) }]);
  await savePeople(store.db, people);
  await savePeople(store.db, [{ ...second, displayName: 'Renamed', email: null, checkedAt: at(7) }]);
  const rows = await store.db.selectFrom('people').selectAll().orderBy('id').execute();
  expect(rows).toHaveLength(1200);
  expect(rows[0]).toMatchObject({ id: 'person-0000', enabled: false, groups: [], checked_at: at(6) });
  expect(rows[1]).toMatchObject({ display_name: 'Renamed', email: null, groups: second.groups, checked_at: at(7) });
  expect(rows[1199]).toMatchObject({ user_name: 'user-1199', enabled: true, checked_at: at(5) });
});
