/** IAM users that an admin renames while access hangs on them: what is said to have ended stands under no name. */
import { afterAll, afterEach, beforeAll, beforeEach, expect, test, vi } from 'vitest';
import type { InstanceRef } from '../../src/shared/access.ts';
import type { PolicyHolder } from '../access-policy/principal.ts';
import type { AccountConfig } from '../config.ts';
import type { OtherPrincipal } from '../provisioner/testing/other-principal.ts';
import { sessionOfUser } from '../provisioner/testing/person.ts';
import { addGrant, callList, dev, endGrant, openScene, type Scene, sceneConfig } from '../provisioner/testing/scene.ts';
import { savePerson } from '../store/people.ts';
import { listFindings } from './findings.ts';
import type { Reconciler } from './reconciler.ts';
import {
  type GrantRow,
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
let renamed: Array<{ from: string; to: string }> = [];

const rename = async (from: string, to: string): Promise<void> => {
  await scene.control('changeUser', { account: dev, name: from, newName: to });
  renamed.unshift({ from, to });
};

beforeAll(async () => {
  scene = await openScene();
});
afterAll(() => scene.close());
beforeEach(() => {
  renamed = [];
});
afterEach(async () => {
  await reconciler?.stop();
  reconciler = null;
  for (const { from, to } of renamed) await scene.control('changeUser', { account: dev, name: to, newName: from });
  await scene.control('reset');
  await scene.store.db.deleteFrom('findings').execute();
});

const bastion: InstanceRef = { accountId: dev, region: 'eu-central-1', instanceId: 'i-0d3b8a7e14f6295cc' };
const worker: InstanceRef = { accountId: dev, region: 'eu-central-1', instanceId: 'i-06fc0b9d28a5e1374' };
const keys = {
  dana: { accessKeyId: 'AKIAHARBORLINEDANAAA', secretAccessKey: 'local-aws/dana/opens-nothing-but-local' },
  ravi: { accessKeyId: 'AKIAHARBORLINERAVIII', secretAccessKey: 'local-aws/ravi/opens-nothing-but-local' },
};
const inline: AccountConfig['principal'] = { kind: 'user', carrier: 'inline' };
const spilled: AccountConfig['principal'] = { kind: 'user', carrier: 'managed', managedPolicies: 1 };

/** @param aheadMs how far the backends' clock is ahead of AWS's. */
const start = async (principal: AccountConfig['principal'] = inline, aheadMs = 0): Promise<void> => {
  const accounts = sceneConfig.accounts.filter(({ id }) => id === dev).map((one) => ({ ...one, principal }));
  const now = () => new Date(Date.now() + aheadMs);
  reconciler = reconcilerOver(scene, { config: { ...sceneConfig, accounts }, now, timing: { sealMs: 300 } });
  // The one that every start makes would see a rename in the middle.
  await reconciler.sweep();
};

const inState = (id: string, state: GrantRow['state']) => {
  reconciler?.nudge();
  return untilIn(scene, id, state);
};
const end = async (id: string): Promise<GrantRow> => {
  await endGrant(scene, id);
  return inState(id, 'ended');
};
const documents = (name: string, formerName = name) => {
  const holder: PolicyHolder = { accountId: dev, kind: 'user', name, formerName };
  return scene.aws.iam.documents.read(holder, 1);
};
const refuse = (operation: string, code = 'AccessDenied') =>
  scene.control('addFault', {
    match: { service: 'iam', operation },
    times: null,
    effect: { kind: 'error', code, status: code === 'AccessDenied' ? 403 : 500 },
  });
/** How often IAM was asked for it since the calls were forgotten. */
const asked = async (operation: string): Promise<number> =>
  callList.parse(await scene.control('calls', { service: 'iam', operation })).length;
const findings = async () =>
  (await listFindings(scene.store.db, { openOnly: false, limit: 100 })).map(({ kind, what }) => ({ kind, what }));

/** The user of that name as a person on record, and the principal that they are by it. */
const personOf = async (name: string, slot = 1) => {
  const seen = await scene.aws.iam.readUser(dev, name);
  if (seen === null) throw new Error(`There is no ${name}`);
  const person = { id: seen.userId, userName: name, displayName: name };
  await savePerson(scene.store.db, { ...person, email: null, enabled: true, groups: [], checkedAt: new Date() });
  const id = `${dev}/${person.id}/${slot}`;
  const common = { accountId: dev, personId: person.id, kind: 'user' as const };
  const principal: OtherPrincipal = { ...common, id, slot, arn: seen.arn, name };
  return { person, principal };
};
const give = async (
  { person, principal }: Awaited<ReturnType<typeof personOf>>,
  instance: InstanceRef = bastion,
): Promise<string> => {
  const id = await addGrant(scene, { person, principal, instances: [instance] });
  await inState(id, 'active');
  return id;
};
/** Starts a session as AWS lets them, as soon as it does. */
const open = (userName: keyof typeof keys, instance: InstanceRef = bastion): Promise<string> =>
  until(scene, `a session of ${userName}`, async () => (await sessionOfUser(keys[userName], instance)) ?? false);

test('AWS-04 an early end after a rename takes the policy off the renamed user, and ends the sessions of both names', async () => {
  await start();
  const id = await give(await personOf('dana'));
  const before = await open('dana');
  const written = await documents('dana');
  expect(written).toHaveLength(1);
  await rename('dana', 'dana.smith');
  const after = await open('dana');
  expect([before, after]).toEqual([expect.stringMatching(/^dana-/), expect.stringMatching(/^dana\.smith-/)]);
  expect(await documents('dana.smith')).toEqual(written);
  const ended = await end(id);
  expect(await documents('dana.smith')).toEqual([]);
  expect(ended.receipt?.sessionsTerminated.toSorted()).toEqual([before, after].toSorted());
  expect(await liveSessions(scene)).toEqual([]);
  await untilSealed(scene, id);
  expect(await findings()).toEqual([]);
});

test('AWS-04 sessions of a user who was moved to another path end too', async () => {
  await start();
  const id = await give(await personOf('dana'));
  const before = await open('dana');
  await scene.control('changeUser', { account: dev, name: 'dana', newPath: '/curfew/people/leads/' });
  const after = await open('dana');
  const ended = await end(id);
  await scene.control('changeUser', { account: dev, name: 'dana', newPath: '/curfew/people/' });
  expect(ended.receipt?.sessionsTerminated.toSorted()).toEqual([before, after].toSorted());
  expect(await documents('dana')).toEqual([]);
  await untilSealed(scene, id);
});

test('what spilled into managed policies goes too, though they are called after the old name', async () => {
  await start(spilled);
  const id = await give(await personOf('dana'));
  await rename('dana', 'dana.smith');
  expect(await documents('dana.smith', 'dana')).toMatchObject([{ slot: 1, attached: true }]);
  await end(id);
  expect(await documents('dana.smith', 'dana')).toEqual([]);
  expect(await scene.aws.reads.grantPolicies(dev)).toEqual([]);
  await untilSealed(scene, id);
});

test('the sweep finds a rename: what lives ends and is gone, and nothing more is given on the old name', async () => {
  await start();
  const dana = await personOf('dana');
  const id = await give(dana);
  await rename('dana', 'dana.smith');
  await reconciler?.sweep();
  const ended = await untilIn(scene, id, 'ended');
  expect(ended.cause).toMatchObject({ kind: 'inventory', what: expect.stringContaining('user_renamed') });
  expect(await documents('dana.smith')).toEqual([]);
  const late = await addGrant(scene, { ...dana, instances: [bastion] });
  const failed = await inState(late, 'failed');
  expect(failed.failed_code).toBe('user_renamed');
  expect(failed.failed_advice).toBe(
    'The IAM user dana in payments-dev was renamed to dana.smith. Ask again as dana.smith.',
  );
  await untilSealed(scene, id);
  // The sweep left it to the pass: nobody hears of a leftover.
  expect(await findings()).toEqual([]);
});

test('whoever asked again keeps what they have under the new name when the old access ends', async () => {
  await start();
  const old = await give(await personOf('dana'));
  await rename('dana', 'dana.smith');
  const young = await give(await personOf('dana.smith', 2), worker);
  const [written] = await documents('dana.smith');
  expect(written?.document).toContain(worker.instanceId);
  expect(written?.document).not.toContain(bastion.instanceId);
  const session = await open('dana', worker);
  await end(old);
  await untilSealed(scene, old);
  expect(await documents('dana.smith')).toEqual([written]);
  expect(await liveSessions(scene)).toEqual([session]);
  expect((await end(young)).receipt?.sessionsTerminated).toEqual([session]);
  await untilSealed(scene, young);
});

test('the old access is not said to be gone before the pass of the new name has taken it off', async () => {
  await start();
  const old = await give(await personOf('dana'));
  await rename('dana', 'dana.smith');
  await refuse('PutUserPolicy', 'ServiceFailure');
  const { person, principal } = await personOf('dana.smith', 2);
  const young = await addGrant(scene, { person, principal, instances: [worker] });
  const session = await open('dana');
  await endGrant(scene, old);
  reconciler?.nudge();
  await until(scene, 'a pass that waits', async () => scene.errors.some(waitsForOther));
  expect((await documents('dana.smith'))[0]?.document).toContain(bastion.instanceId);
  expect(await grantRow(scene, old)).toMatchObject({ state: 'ending', policy_gone_at: null });
  // Promise 3: their sessions do not wait for it.
  await until(scene, 'no session', async () => (await liveSessions(scene)).length === 0);
  await scene.control('clearFaults');
  await inState(young, 'active');
  const ended = await inState(old, 'ended');
  expect(ended.receipt?.sessionsTerminated).toContain(session);
  const [written] = await documents('dana.smith');
  expect(written?.document).not.toContain(bastion.instanceId);
  await end(young);
  await untilSealed(scene, young);
});

const waitsForOther = ({ facts }: Scene['errors'][number]): boolean =>
  'error' in facts && facts.error instanceof Error && facts.error.message.includes('NotRewrittenYet');

test('ID-08 somebody else who has the old name now keeps what is theirs, and lends it to nobody', async () => {
  await start(spilled);
  const old = await give(await personOf('dana'));
  await rename('dana', 'dana.smith');
  await rename('ravi', 'dana');
  // Of the same name, so it is the same managed policy: it stands attached to both users.
  const young = await give(await personOf('dana'), worker);
  expect(await documents('dana.smith', 'dana')).toMatchObject([{ attached: true }]);
  await scene.control('forgetCalls');
  await end(old);
  expect(await documents('dana.smith', 'dana')).toMatchObject([{ attached: false }]);
  expect(await asked('DeletePolicy')).toBe(0);
  const [kept] = await documents('dana');
  expect(kept).toMatchObject({ slot: 1, attached: true, document: expect.stringContaining(worker.instanceId) });
  await untilSealed(scene, old);
  const session = await open('ravi', worker);
  expect((await end(young)).receipt?.sessionsTerminated).toEqual([session]);
  expect(await documents('dana')).toEqual([]);
  await untilSealed(scene, young);
});

test('users are listed for nobody who has the name that is on record', async () => {
  await start();
  await scene.control('forgetCalls');
  const id = await give(await personOf('dana'));
  await end(id);
  await untilSealed(scene, id);
  expect(await asked('ListUsers')).toBe(0);
});

test('without the right to list users all are read as the sweep does, and the promise holds', async () => {
  await start();
  const id = await give(await personOf('dana'));
  await rename('dana', 'dana.smith');
  await refuse('ListUsers');
  await end(id);
  expect(await documents('dana.smith')).toEqual([]);
  expect(scene.errors.map(({ message }) => message)).toContain('users may not be listed; all are read instead');
  await untilSealed(scene, id);
});

test('where AWS tells nothing of users, nothing is said to be gone before all of it is over by its own dates', async () => {
  await start();
  const id = await give(await personOf('dana'));
  await rename('dana', 'dana.smith');
  await refuse('ListUsers');
  await refuse('GetAccountAuthorizationDetails');
  const session = await open('dana');
  await endGrant(scene, id);
  reconciler?.nudge();
  await untilRefused(scene, id);
  expect(await grantRow(scene, id)).toMatchObject({ state: 'ending', policy_gone_at: null });
  expect(await liveSessions(scene)).toEqual([session]);
  await reconciler?.stop();
  // An hour, and the twelve of the longest session: after that nothing is open, wherever the document stands.
  await start(inline, 13 * 3_600_000 + 120_000);
  const ended = await inState(id, 'ended');
  expect(ended.receipt?.sessionsTerminated).toEqual([]);
  await untilSealed(scene, id);
  await scene.control('clearFaults');
  // By the sweep, or by the pass that it has come.
  await reconciler?.sweep();
  await until(scene, 'nothing left', async () => (await documents('dana.smith')).length === 0);
});
