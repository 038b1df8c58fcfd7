/** More time that would lead onto a session document which somebody changed (threats AWS-12). */
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest';
import { extendGrant } from '../access/make.ts';
import { lockGrant } from '../access/rows.ts';
import { addGrant, apiOne, endGrant, openScene, prod, type Scene } from '../provisioner/testing/scene.ts';
import { loadGrants } from '../store/grants.ts';
import { harborlineAccount } from '../testing/harborline.ts';
import { beyondCarried, carriedDocuments, documentTrouble } from './document-check.ts';
import type { WishedGrant } from './plan.ts';
import type { Reconciler } from './reconciler.ts';
import { grantRow, reconcilerOver, until, untilIn } from './testing/over-scene.ts';

// Each test takes a few seconds; a machine that is busy with other tests may need much more.
vi.setConfig({ testTimeout: 120_000 });

let scene: Scene;
let reconciler: Reconciler | null = null;
beforeAll(async () => {
  scene = await openScene();
});
afterAll(() => scene.close());
afterEach(async () => {
  await reconciler?.stop();
  reconciler = null;
});

const at = (minutes: number): Date => new Date(Date.parse('2026-11-22T09:00:00.000Z') + minutes * 60_000);
const active = (region: string, minutes: number): WishedGrant => ({
  ...{ id: region, instances: [{ ...apiOne, region }], owner: 'o', state: 'active' },
  ...{ connectedAt: at(0), endsAt: at(minutes) },
});
const policy = (name: string) => ({ document: `{"Resource":["arn:aws:ssm:eu-central-1:${prod}:document/${name}"]}` });

test('AWS-12 more time is compared in each region where something lives, but only where it needs another document', async () => {
  const carried = carriedDocuments([policy('Curfew-Shell-060')]);
  expect(carried).toEqual(['Curfew-Shell-060']);
  const account = harborlineAccount({ id: prod, name: 'payments-prod', regions: ['eu-central-1', 'eu-west-1'] });
  const asked: string[] = [];
  const ssm = {
    sessionDocument: async (_account: string, region: string, name: string) => {
      asked.push(`${region} ${name}`);
      return null;
    },
  };
  const short = [active('eu-central-1', 60), active('eu-west-1', 45)];
  expect(await documentTrouble(ssm, account, { grants: short, carried })).toBeNull();
  expect(asked).toEqual([]);
  const longer = [active('eu-west-1', 90)];
  expect(await documentTrouble(ssm, account, { grants: longer, carried })).toContain('Curfew-Shell-120');
  expect(asked).toEqual(['eu-west-1 Curfew-Shell-120']);
  expect(beyondCarried([...short, ...longer], carried)).toEqual([{ id: 'eu-west-1', endsAt: at(60) }]);
});

const change = { account: prod, name: 'Curfew-Shell-120' };
const extended = async (id: string, bySeconds: number): Promise<Date> =>
  scene.store.db.transaction().execute(async (tx) => {
    const now = new Date();
    const grant = await lockGrant(tx, id, { action: 'extend', dueAt: now });
    const by = { kind: 'rule' as const, ruleId: 'own-team' };
    return extendGrant(tx, { sealKey: scene.sealKey }, { grant, bySeconds, by, at: now });
  });
const held = async (): Promise<string> => {
  const { name } = await scene.store.db.selectFrom('principals').select('name').executeTakeFirstOrThrow();
  const documents = await scene.aws.iam.documents.read({ accountId: prod, kind: 'role', name }, 0);
  return documents[0]?.document ?? '';
};

test('AWS-12 more time onto a changed session document is taken back and told; what lives goes on as before', async () => {
  reconciler = reconcilerOver(scene);
  const id = await addGrant(scene);
  reconciler.nudge();
  const before = await untilIn(scene, id, 'active');
  const written = await held();
  await scene.control('changeDocument', { ...change, runAsUser: 'root' });
  await extended(id, 3600);
  reconciler.nudge();
  await until(scene, 'it is taken back', async () => {
    const rows = await scene.store.db.selectFrom('audit').select('kind').where('grant_id', '=', id).execute();
    return rows.some(({ kind }) => kind === 'grant_shortened');
  });
  const after = await grantRow(scene, id);
  await reconciler.idle();
  const endsAt = new Date((before.connected_at?.getTime() ?? 0) + 3_600_000);
  expect(after).toMatchObject({ state: 'active', duration_seconds: 3600, ends_at: endsAt });
  expect(await held()).toBe(written);
  // Nothing was written, and what stands there was seen with the end that counts now.
  const [{ locks } = { locks: null }] = await loadGrants(scene.store.db, (eb) => eb('grants.id', '=', id));
  expect(locks?.policyDate).toEqual({ armed: true, at: endsAt.toISOString() });
  const told = await scene.store.db.selectFrom('notices').selectAll().where('target_id', '=', id).execute();
  expect(told.map(({ title, body }) => [title, body])).toEqual([
    [expect.stringContaining('More time on'), expect.stringContaining('Curfew-Shell-120')],
  ]);
  // As the template makes it, it is given.
  await scene.control('changeDocument', { ...change, runAsUser: null });
  await extended(id, 3600);
  reconciler.nudge();
  await until(scene, 'it is written', async () => (await held()).includes('Curfew-Shell-120'));
  await endGrant(scene, id);
  reconciler.nudge();
  await untilIn(scene, id, 'ended');
});
