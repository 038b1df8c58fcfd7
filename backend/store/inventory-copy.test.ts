/** The inventory in memory, against changes by other connections. */
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type FreshStore, freshStore } from '../testing/fresh-store.ts';
import { createInventoryCopy } from './instances.ts';
import { openStore, type Store } from './open.ts';

let fresh: FreshStore;
let backend: Store;
let other: Store;
beforeEach(async () => {
  fresh = await freshStore();
  backend = await openStore(fresh.url, () => undefined);
  other = await openStore(fresh.url, () => undefined);
});
afterEach(async () => {
  await backend.close();
  await other.close();
  await fresh.close();
});

const row = (name: string) => ({
  account_id: '111111111111',
  account_name: 'payments',
  region: 'eu-central-1',
  instance_id: `i-${name.charCodeAt(0).toString(16).padStart(8, '0')}`,
  name,
  kind: 'ec2' as const,
  platform: 'Linux' as const,
  tags: JSON.stringify({ team: 'payments' }),
  online: true,
  first_seen_at: new Date('2026-11-22T10:00:00Z'),
  checked_at: new Date('2026-11-22T10:00:00Z'),
  gone_at: null,
});

test('it is the same list until something was written, and then what was written', async () => {
  const inventory = createInventoryCopy(backend.api);
  const seen = async () => (await inventory()).map(({ name, online }) => `${name}${online ? '' : ' off'}`);
  expect(await seen()).toEqual([]);

  await other.api
    .insertInto('instances')
    .values([row('a'), row('b')])
    .execute();
  expect(await seen()).toEqual(['a', 'b']);
  expect(await inventory()).toBe(await inventory());

  await other.api.updateTable('instances').set({ online: false }).where('name', '=', 'a').execute();
  expect(await seen()).toEqual(['a off', 'b']);
  // One goes as another comes: as many as before.
  await other.api.transaction().execute(async (tx) => {
    await tx.updateTable('instances').set({ gone_at: new Date() }).where('name', '=', 'a').execute();
    await tx.insertInto('instances').values(row('c')).execute();
  });
  expect(await seen()).toEqual(['b', 'c']);
  await other.api.updateTable('instances').set({ gone_at: null }).where('name', '=', 'a').execute();
  expect(await seen()).toEqual(['a off', 'b', 'c']);
});

test('a change that was begun before another one and committed after it is not missed', async () => {
  const inventory = createInventoryCopy(backend.api);
  await other.api
    .insertInto('instances')
    .values([row('a'), row('b')])
    .execute();
  await inventory();
  await other.api.transaction().execute(async (tx) => {
    await tx.updateTable('instances').set({ name: 'a2' }).where('instance_id', '=', 'i-00000061').execute();
    await other.reconcile
      .updateTable('instances')
      .set({ name: 'b2' })
      .where('instance_id', '=', 'i-00000062')
      .execute();
    expect((await inventory()).map(({ name }) => name)).toEqual(['a', 'b2']);
  });
  expect((await inventory()).map(({ name }) => name)).toEqual(['a2', 'b2']);
});
