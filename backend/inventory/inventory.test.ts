import { sql } from 'kysely';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { AwsProblem } from '../aws/errors.ts';
import type { ManagedInstance } from '../aws/ssm.ts';
import { apiOne, openScene, prod, type Scene, sceneConfig } from '../provisioner/testing/scene.ts';
import { type Inventory, type InventoryDeps, startInventory } from './inventory.ts';

let scene: Scene;
let running: Inventory | null = null;
beforeAll(async () => {
  scene = await openScene();
});
afterAll(async () => {
  await running?.stop();
  await scene.close();
});

const refreshed = async (change: Partial<InventoryDeps> = {}): Promise<void> => {
  const { accounts } = sceneConfig;
  const { ssm } = scene.aws;
  running = startInventory({
    db: scene.store.db,
    ssm,
    accounts,
    intervalMs: 3_600_000,
    tagsMs: 3_600_000,
    trustedTags: ['team', 'env'],
    patienceMs: 30_000,
    now: () => new Date(),
    log: scene.log,
    ...change,
  });
  await running.refresh();
  await running.stop();
};
const instanceRow = (id: string) =>
  scene.store.db.selectFrom('instances').selectAll().where('instance_id', '=', id).executeTakeFirst();
const changes = async () => (await scene.store.db.selectFrom('changes').selectAll().execute()).length;

test('reads every account and region: names, tags, who is online, hybrid nodes; says nothing when nothing changed', async () => {
  await refreshed();
  const api = await instanceRow(apiOne.instanceId);
  expect(api).toMatchObject({
    name: 'payments-api-1',
    account_name: 'payments-prod',
    region: 'eu-central-1',
    kind: 'ec2',
    online: true,
    gone_at: null,
  });
  expect(api?.tags).toMatchObject({ env: 'production', team: 'payments' });
  expect(await instanceRow('mi-0a57c2be9d13f4680')).toMatchObject({ kind: 'hybrid', online: false });
  const places = await scene.store.db.selectFrom('inventory_places').selectAll().execute();
  expect(places.map(({ problem }) => problem)).toEqual([null, null, null, null]);
  const before = await changes();
  await refreshed();
  expect(await changes()).toBe(before);
  expect((await instanceRow(apiOne.instanceId))?.first_seen_at).toEqual(api?.first_seen_at);
});

test('RQ-07 a changed tag and an instance that went offline are there after the next refresh, and told', async () => {
  await refreshed();
  const before = await changes();
  await scene.control('changeInstance', { id: apiOne.instanceId, online: false, tags: { env: 'development' } });
  await refreshed();
  expect(await instanceRow(apiOne.instanceId)).toMatchObject({ online: false });
  expect((await instanceRow(apiOne.instanceId))?.tags).toMatchObject({ env: 'development' });
  expect(await changes()).toBeGreaterThan(before);
});

test('what is no longer there is kept as gone, and comes back when it is seen again', async () => {
  await refreshed();
  const { ssm } = scene.aws;
  const without = async (accountId: string, region: string): Promise<ManagedInstance[]> =>
    (await ssm.managedInstances(accountId, region)).filter(({ instanceId }) => instanceId !== apiOne.instanceId);
  await refreshed({ ssm: { ...ssm, managedInstances: without } });
  expect((await instanceRow(apiOne.instanceId))?.gone_at).toBeInstanceOf(Date);
  await refreshed();
  expect((await instanceRow(apiOne.instanceId))?.gone_at).toBeNull();
});

test('a place that cannot be read keeps what was known and says what is wrong; the others are read', async () => {
  await refreshed();
  const managedInstances: InventoryDeps['ssm']['managedInstances'] = (accountId, region) => {
    if (accountId === prod && region === 'eu-central-1') {
      const advice = 'AWS does not let Curfew do this in this account.';
      throw new AwsProblem({
        kind: 'permanent',
        code: 'AccessDenied',
        advice,
        call: 'ssm:DescribeInstanceInformation',
      });
    }
    return scene.aws.ssm.managedInstances(accountId, region);
  };
  await refreshed({ ssm: { ...scene.aws.ssm, managedInstances } });
  const places = await scene.store.db
    .selectFrom('inventory_places')
    .selectAll()
    .where('problem', 'is not', null)
    .execute();
  expect(places.map(({ account_id, region, problem }) => [account_id, region, problem])).toEqual([
    [prod, 'eu-central-1', 'AWS does not let Curfew do this in this account.'],
  ]);
  expect((await instanceRow(apiOne.instanceId))?.gone_at).toBeNull();
});

describe('tags are read less often than who is online', () => {
  const apiOneAsItWas = { name: 'payments-api-1', online: true, tags: { env: 'production' } };
  const restored = () => scene.control('changeInstance', { id: apiOne.instanceId, ...apiOneAsItWas });

  /** An inventory that is due all the time, and what it asked SSM and EC2 for. */
  const watched = async (change: Partial<InventoryDeps> = {}) => {
    await restored();
    await scene.store.db.deleteFrom('duties').execute();
    await refreshed();
    const { accounts } = sceneConfig;
    const { ssm } = scene.aws;
    const listed: string[] = [];
    const tagged: string[] = [];
    const deps: InventoryDeps = {
      ...{ db: scene.store.db, accounts, log: scene.log, now: () => new Date(), intervalMs: 20, tagsMs: 3_600_000 },
      ...{ trustedTags: ['team', 'env'], patienceMs: 30_000 },
      ssm: {
        managedInstances: (accountId, region) => {
          listed.push(`${accountId}/${region}`);
          return ssm.managedInstances(accountId, region);
        },
        tagsOf: (accountId, region, ids) => {
          tagged.push(...ids);
          return ssm.tagsOf(accountId, region, ids);
        },
      },
      ...change,
    };
    return { deps, listed, tagged };
  };

  test('a known one that goes offline is seen by the list, its new tag with the next reading of tags', async () => {
    const { deps, tagged } = await watched();
    running = startInventory(deps);
    await running.refresh();
    const before = tagged.length;
    const change = { online: false, name: 'renamed', tags: { env: 'staging' } };
    await scene.control('changeInstance', { id: apiOne.instanceId, ...change });
    await expect.poll(async () => (await instanceRow(apiOne.instanceId))?.online).toBe(false);
    expect(tagged.slice(before)).toEqual([]);
    const known = { name: 'payments-api-1', tags: expect.objectContaining({ env: 'production' }) };
    expect(await instanceRow(apiOne.instanceId)).toMatchObject(known);
    // Whoever asks for it gets all of it.
    await running.refresh();
    await running.stop();
    const now = { name: 'renamed', tags: expect.objectContaining({ env: 'staging' }) };
    expect(await instanceRow(apiOne.instanceId)).toMatchObject(now);
  });

  test('those of one that was not known are read with the list', async () => {
    const { deps, tagged } = await watched();
    running = startInventory(deps);
    await running.refresh();
    const before = tagged.length;
    await scene.store.db.deleteFrom('instances').where('instance_id', '=', apiOne.instanceId).execute();
    await expect.poll(async () => (await instanceRow(apiOne.instanceId))?.tags).toMatchObject({ team: 'payments' });
    await running.stop();
    expect(new Set(tagged.slice(before))).toEqual(new Set([apiOne.instanceId]));
  });

  test('a place that another backend has just read is left to it', async () => {
    const hourMs = 3_600_000;
    const { deps, listed } = await watched({ intervalMs: hourMs });
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
    try {
      running = startInventory(deps);
      await running.refresh();
      const before = listed.length;
      const mine = `${prod}/eu-central-1`;
      await sql`update duties set taken_at = clock_timestamp() - interval '1 hour' where name = ${`inventory/${mine}`}`.execute(
        scene.store.db,
      );
      vi.advanceTimersByTime(hourMs);
      await running.stop();
      expect(listed.slice(before)).toEqual([mine]);
    } finally {
      vi.useRealTimers();
    }
  });

  test('tags that could not be read are due at the next reading', async () => {
    const { deps } = await watched({ intervalMs: 3_600_000 });
    running = startInventory({ ...deps, ssm: { ...deps.ssm, tagsOf: () => Promise.reject(new Error('lost')) } });
    await running.refresh();
    await running.stop();
    const duties = await scene.store.db.selectFrom('duties').select('name').execute();
    expect(duties.filter(({ name }) => name.startsWith('tags/'))).toEqual([]);
  });

  test('what was read earlier than a row was checked does not take its place', async () => {
    const { deps } = await watched({ intervalMs: 3_600_000, now: () => new Date(Date.now() - 60_000) });
    await scene.control('changeInstance', { id: apiOne.instanceId, tags: { env: 'staging' } });
    running = startInventory(deps);
    await running.refresh();
    await running.stop();
    expect((await instanceRow(apiOne.instanceId))?.tags).toMatchObject({ env: 'production' });
    await restored();
  });
});
