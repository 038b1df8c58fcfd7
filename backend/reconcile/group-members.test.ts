/** Who leaves an IAM group while it has access: AWS lets their sessions run, Curfew does not (threats RQ-20). */
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest';
import type { InstanceRef } from '../../src/shared/access.ts';
import { sessionOfUser } from '../provisioner/testing/person.ts';
import { addGrant, dev, endGrant, openScene, type Scene, sceneConfig } from '../provisioner/testing/scene.ts';
import { savePerson } from '../store/people.ts';
import { listFindings } from './findings.ts';
import type { Reconciler } from './reconciler.ts';
import {
  grantRow,
  liveSessions,
  reconcilerOver,
  until,
  untilIn,
  untilRefused,
  untilSealed,
} from './testing/over-scene.ts';

// Each test takes a few seconds; a machine that is busy with other tests may need much more.
vi.setConfig({ testTimeout: 120_000 });

let scene: Scene;
let reconciler: Reconciler | null = null;
/** Names of members whom IAM does not tell of any more. */
const gone = new Set<string>();
/** How far the clock was moved on. */
let aheadMs = 0;
beforeAll(async () => {
  scene = await openScene();
});
afterAll(() => scene.close());
afterEach(async () => {
  gone.clear();
  aheadMs = 0;
  await reconciler?.stop();
  reconciler = null;
  await scene.store.db.deleteFrom('findings').execute();
});

const bastion: InstanceRef = { accountId: dev, region: 'eu-central-1', instanceId: 'i-0d3b8a7e14f6295cc' };
const keys = {
  dana: { accessKeyId: 'AKIAHARBORLINEDANAAA', secretAccessKey: 'local-aws/dana/opens-nothing-but-local' },
  ravi: { accessKeyId: 'AKIAHARBORLINERAVIII', secretAccessKey: 'local-aws/ravi/opens-nothing-but-local' },
  noor: { accessKeyId: 'AKIAHARBORLINENOORRR', secretAccessKey: 'local-aws/noor/opens-nothing-but-local' },
};

const start = (): void => {
  const principal = { kind: 'group' as const, carrier: 'inline' as const, group: 'oncall' };
  const accounts = sceneConfig.accounts.filter(({ id }) => id === dev).map((one) => ({ ...one, principal }));
  const { iam } = scene.aws;
  const readGroup: typeof iam.readGroup = async (accountId, name) => {
    const group = await iam.readGroup(accountId, name);
    return group === null ? null : { ...group, members: group.members.filter(({ userName }) => !gone.has(userName)) };
  };
  const aws = { ...scene.aws, iam: { ...iam, readGroup } };
  reconciler = reconcilerOver(scene, {
    aws,
    config: { ...sceneConfig, accounts },
    now: () => new Date(Date.now() + aheadMs),
  });
};

/** Access of Dana's on the group, which all its members get. */
const grant = async (): Promise<string> => {
  const seen = await scene.aws.iam.readUser(dev, 'dana');
  const group = await scene.aws.iam.readGroup(dev, 'oncall');
  if (seen === null || group === null) throw new Error('There is no dana or no oncall');
  const person = { id: seen.userId, userName: 'dana', displayName: 'dana' };
  await savePerson(scene.store.db, { ...person, email: null, enabled: true, groups: [], checkedAt: new Date() });
  const carried = { accountId: dev, personId: null, kind: 'group' as const, name: 'oncall' };
  const principal = { id: `${dev}/group/oncall`, arn: group.arn, ...carried };
  const id = await addGrant(scene, { person, principal, instances: [bastion] });
  reconciler?.nudge();
  await untilIn(scene, id, 'active');
  return id;
};
const open = (userName: keyof typeof keys): Promise<string> =>
  until(scene, `a session of ${userName}`, async () => (await sessionOfUser(keys[userName], bastion)) ?? false);
const end = async (id: string) => {
  await endGrant(scene, id);
  reconciler?.nudge();
  return untilIn(scene, id, 'ended');
};
const onRecord = async (): Promise<string[]> =>
  (await scene.store.db.selectFrom('group_members').select('user_name').orderBy('user_name').execute()).map(
    (row) => row.user_name,
  );
const findings = async () => {
  const all = await listFindings(scene.store.db, { openOnly: false, limit: 100 });
  return all.filter(({ subject }) => !subject.startsWith('arn:')).map(({ kind, subject }) => ({ kind, subject }));
};

test('RQ-20 who left the group has no session left when its last access has ended, and the receipt names it', async () => {
  start();
  const id = await grant();
  expect(await onRecord()).toEqual(['dana', 'noor', 'ravi']);
  const session = await open('noor');
  gone.add('noor');
  const ended = await end(id);
  expect(ended.receipt?.sessionsTerminated).toEqual([session]);
  expect(await liveSessions(scene)).toEqual([]);
  await untilSealed(scene, id);
  await reconciler?.sweep();
  expect(await onRecord()).toEqual([]);
});

const documents = (name: string) => scene.aws.iam.documents.read({ accountId: dev, kind: 'group', name }, 0);

test('AWS-04 a group that is renamed has nothing left when it is said to be gone, and nobody a session', async () => {
  start();
  const id = await grant();
  const before = await open('noor');
  const [written] = await documents('oncall');
  await scene.control('changeGroup', { account: dev, name: 'oncall', newName: 'standby' });
  const after = await open('ravi');
  expect(await documents('standby')).toEqual([written]);
  const ended = await end(id);
  expect(await documents('standby')).toEqual([]);
  expect(ended.receipt?.sessionsTerminated.toSorted()).toEqual([before, after].toSorted());
  expect(await liveSessions(scene)).toEqual([]);
  await untilSealed(scene, id);
  await scene.control('changeGroup', { account: dev, name: 'standby', newName: 'oncall' });
});

test('where the renamed group may not be written, nothing is said to be gone', async () => {
  start();
  const id = await grant();
  await scene.control('changeGroup', { account: dev, name: 'oncall', newName: 'standby' });
  const effect = { kind: 'error', code: 'AccessDenied', status: 403 };
  await scene.control('addFault', { match: { service: 'iam', operation: 'DeleteGroupPolicy' }, times: null, effect });
  await endGrant(scene, id);
  reconciler?.nudge();
  await untilRefused(scene, id);
  expect(await grantRow(scene, id)).toMatchObject({ state: 'ending', policy_gone_at: null });
  await scene.control('clearFaults');
  reconciler?.nudge();
  await untilIn(scene, id, 'ended');
  expect(await documents('standby')).toEqual([]);
  await untilSealed(scene, id);
  await scene.control('changeGroup', { account: dev, name: 'standby', newName: 'oncall' });
});

test('RQ-20 while the group goes on having access, who surely left it loses the session, and nobody else', async () => {
  start();
  await grant();
  const sessions = { dana: await open('dana'), noor: await open('noor') };
  gone.add('noor');
  // IAM may answer with what was: one answer ends nothing, and is no bypass either.
  await reconciler?.sweep();
  expect((await liveSessions(scene)).toSorted()).toEqual(Object.values(sessions).toSorted());
  expect((await findings()).filter(({ subject }) => subject === sessions.noor)).toEqual([]);
  aheadMs = 90_000;
  await reconciler?.sweep();
  await until(scene, 'the end of the session', async () => !(await liveSessions(scene)).includes(sessions.noor));
  expect(await findings()).toContainEqual({ kind: 'session_without_grant', subject: sessions.noor });
  expect(await liveSessions(scene)).toEqual([sessions.dana]);
});
