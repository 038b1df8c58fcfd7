import { afterAll, beforeAll, expect, test } from 'vitest';
import { AwsProblem } from '../aws/errors.ts';
import type { FoundInstance } from '../aws/ssm.ts';
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
  const without = async (accountId: string, region: string): Promise<FoundInstance[]> =>
    (await ssm.findInstances(accountId, region)).filter(({ instanceId }) => instanceId !== apiOne.instanceId);
  await refreshed({ ssm: { findInstances: without } });
  expect((await instanceRow(apiOne.instanceId))?.gone_at).toBeInstanceOf(Date);
  await refreshed();
  expect((await instanceRow(apiOne.instanceId))?.gone_at).toBeNull();
});

test('a place that cannot be read keeps what was known and says what is wrong; the others are read', async () => {
  await refreshed();
  const findInstances: InventoryDeps['ssm']['findInstances'] = (accountId, region) => {
    if (accountId === prod && region === 'eu-central-1') {
      const advice = 'AWS does not let Curfew do this in this account.';
      throw new AwsProblem({
        kind: 'permanent',
        code: 'AccessDenied',
        advice,
        call: 'ssm:DescribeInstanceInformation',
      });
    }
    return scene.aws.ssm.findInstances(accountId, region);
  };
  await refreshed({ ssm: { findInstances } });
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
