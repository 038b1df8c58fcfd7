/** Access that hangs on more than one inline document of a role: managed policies, IAM users, an IAM group. */
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import type { InstanceRef } from '../../src/shared/access.ts';
import type { PolicyHolder } from '../access-policy/principal.ts';
import type { AccountConfig } from '../config.ts';
import type { OtherPrincipal } from '../provisioner/testing/other-principal.ts';
import { sessionOfUser } from '../provisioner/testing/person.ts';
import {
  addGrant,
  apiOne,
  dev,
  endGrant,
  mira,
  openScene,
  prod,
  roleNameOf,
  type Scene,
  sceneConfig,
} from '../provisioner/testing/scene.ts';
import { savePerson } from '../store/people.ts';
import type { Reconciler } from './reconciler.ts';
import { type GrantRow, liveSessions, reconcilerOver, until, untilIn, untilSealed } from './testing/over-scene.ts';

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

/** @param sealMs how long what has ended is still looked after; milliseconds. */
const start = (accountId: string, principal: AccountConfig['principal'], sealMs = 300): void => {
  const accounts = sceneConfig.accounts.filter(({ id }) => id === accountId).map((one) => ({ ...one, principal }));
  // The sweep has tests of its own.
  const aws = { ...scene.aws, iam: { ...scene.aws.iam, personalRoles: async () => [] } };
  reconciler = reconcilerOver(scene, { aws, config: { ...sceneConfig, accounts }, timing: { sealMs } });
};

const inState = (id: string, state: GrantRow['state']) => {
  reconciler?.nudge();
  return untilIn(scene, id, state);
};
const principalRow = (name: string) =>
  scene.store.db.selectFrom('principals').selectAll().where('name', '=', name).executeTakeFirstOrThrow();

test('AWS-13 access that has no room inline spills into managed policies, and all of it goes', async () => {
  const holder: PolicyHolder = { accountId: prod, kind: 'role', name: roleNameOf(mira) };
  start(prod, { kind: 'role', carrier: 'inline', managedPolicies: 2 });
  const instances: InstanceRef[] = Array.from({ length: 130 }, (_, n) => ({
    ...apiOne,
    instanceId: `i-${n.toString(16).padStart(17, '0')}`,
  }));
  const small = await addGrant(scene);
  await inState(small, 'active');
  expect((await scene.aws.iam.documents.read(holder, 2)).map(({ slot }) => slot)).toEqual([0]);
  const large = await addGrant(scene, { instances, endsAt: new Date(Date.now() + 1_800_000) });
  await inState(large, 'active');
  const spilled = await scene.aws.iam.documents.read(holder, 2);
  expect(spilled.map(({ slot, attached }) => [slot, attached])).toContainEqual([1, true]);
  const texts = spilled.map(({ document }) => document).join('\n');
  for (const { instanceId } of [apiOne, ...instances]) expect(texts).toContain(`instance/${instanceId}"`);
  const row = await principalRow(holder.name);
  expect(row.managed_policies).toBeGreaterThan(0);
  expect(row.document_hash).toMatch(/^[0-9a-f]{64}$/);
  await endGrant(scene, large);
  await inState(large, 'ended');
  const left = await scene.aws.iam.documents.read(holder, 2);
  expect(left.map(({ slot }) => slot)).toEqual([0]);
  expect(left[0]?.document).not.toContain(instances[0]?.instanceId);
  expect((await principalRow(holder.name)).managed_policies).toBe(0);
  await endGrant(scene, small);
  await inState(small, 'ended');
  expect(await scene.aws.iam.documents.read(holder, 2)).toEqual([]);
});

const bastion: InstanceRef = { accountId: dev, region: 'eu-central-1', instanceId: 'i-0d3b8a7e14f6295cc' };
const keys = {
  dana: { accessKeyId: 'AKIAHARBORLINEDANAAA', secretAccessKey: 'local-aws/dana/opens-nothing-but-local' },
  ravi: { accessKeyId: 'AKIAHARBORLINERAVIII', secretAccessKey: 'local-aws/ravi/opens-nothing-but-local' },
  noor: { accessKeyId: 'AKIAHARBORLINENOORRR', secretAccessKey: 'local-aws/noor/opens-nothing-but-local' },
};
type User = keyof typeof keys;

/** An IAM user as a person on record, with their ARN. */
const personOf = async (userName: User) => {
  const seen = await scene.aws.iam.readUser(dev, userName);
  if (seen === null) throw new Error(`There is no ${userName}`);
  const person = { id: seen.userId, userName, displayName: userName };
  await savePerson(scene.store.db, { ...person, email: null, enabled: true, groups: [], checkedAt: new Date() });
  return { person, arn: seen.arn };
};

/** Starts a session as AWS lets them, as soon as it does. */
const open = (userName: User): Promise<string> =>
  until(scene, `a session of ${userName}`, async () => (await sessionOfUser(keys[userName], bastion)) ?? false);

test('AWS-04 an IAM user carries access: their sessions end with it, by their exact owner', async () => {
  start(dev, { kind: 'user', carrier: 'inline' });
  const { person, arn } = await personOf('dana');
  const principal: OtherPrincipal = {
    id: `${dev}/${person.id}/1`,
    arn,
    accountId: dev,
    personId: person.id,
    kind: 'user',
    name: 'dana',
  };
  const id = await addGrant(scene, { person, principal, instances: [bastion] });
  await inState(id, 'active');
  const session = await open('dana');
  expect(session).toMatch(/^dana-/);
  await endGrant(scene, id);
  const ended = await inState(id, 'ended');
  expect(ended.receipt?.sessionsTerminated).toEqual([session]);
  expect(await liveSessions(scene)).toEqual([]);
  expect(await scene.aws.iam.documents.read({ accountId: dev, kind: 'user', name: 'dana' }, 0)).toEqual([]);
  await untilSealed(scene, id);
});

test('promise 2: when the second of two writes is refused for good, the grant fails and the first is taken away', async () => {
  const holder: PolicyHolder = { accountId: prod, kind: 'role', name: roleNameOf(mira) };
  start(prod, { kind: 'role', carrier: 'inline', managedPolicies: 2 });
  const small = await addGrant(scene);
  await inState(small, 'active');
  const before = await scene.aws.iam.documents.read(holder, 2);
  await scene.control('addFault', {
    match: { service: 'iam', operation: 'CreatePolicy' },
    times: 1,
    effect: { kind: 'error', code: 'AccessDenied', status: 403 },
  });
  const instances: InstanceRef[] = Array.from({ length: 130 }, (_, n) => ({
    ...apiOne,
    instanceId: `i-${n.toString(16).padStart(17, '0')}`,
  }));
  const large = await addGrant(scene, { instances, endsAt: new Date(Date.now() + 1_800_000) });
  expect((await inState(large, 'failed')).failed_code).toBe('AccessDenied');
  await until(scene, 'the role carries what it did', async () => {
    const now = await scene.aws.iam.documents.read(holder, 2);
    return JSON.stringify(now) === JSON.stringify(before);
  });
  await endGrant(scene, small);
  await untilSealed(scene, small);
  expect(await scene.aws.iam.documents.read(holder, 2)).toEqual([]);
});

test('AWS-13 a managed policy that lands after the last end is deleted by the sweep, though its number is on record', async () => {
  const holder: PolicyHolder = { accountId: prod, kind: 'role', name: roleNameOf(mira) };
  start(prod, { kind: 'role', carrier: 'managed', managedPolicies: 1 });
  const id = await addGrant(scene);
  await inState(id, 'active');
  const [{ document } = { document: '' }] = await scene.aws.iam.documents.read(holder, 1);
  expect(await scene.aws.reads.grantPolicies(prod)).toHaveLength(1);
  await endGrant(scene, id);
  await inState(id, 'ended');
  await untilSealed(scene, id);
  expect(await scene.aws.reads.grantPolicies(prod)).toEqual([]);
  // What a backend was about to do when another one took over.
  await scene.store.db.updateTable('principals').set({ managed_policies: 1 }).where('name', '=', holder.name).execute();
  await scene.aws.iam.documents.write(holder, { do: 'put', slot: 1, document, known: false });
  expect(await scene.aws.reads.grantPolicies(prod)).toHaveLength(1);
  await reconciler?.sweep();
  expect(await scene.aws.reads.grantPolicies(prod)).toEqual([]);
});

test('a user who is not who was granted, or has no boundary, gets nothing', async () => {
  start(dev, { kind: 'user', carrier: 'inline' });
  const { person, arn } = await personOf('ravi');
  const principal: OtherPrincipal = {
    id: `${dev}/${person.id}/1`,
    arn: arn.replace(/ravi$/, 'someone'),
    accountId: dev,
    personId: person.id,
    kind: 'user',
    name: 'ravi',
  };
  const id = await addGrant(scene, { person, principal, instances: [bastion] });
  const failed = await inState(id, 'failed');
  expect(failed.failed_code).toBe('user_not_ours');
  expect(await scene.aws.iam.documents.read({ accountId: dev, kind: 'user', name: 'ravi' }, 0)).toEqual([]);
});

test('ID-08 what hung on the name of a user who left ends, and what hangs there of a newcomer stays', async () => {
  start(dev, { kind: 'user', carrier: 'inline' });
  const { person, arn } = await personOf('noor');
  const common = { arn, accountId: dev, kind: 'user' as const, name: 'noor' };
  const principal: OtherPrincipal = { ...common, id: `${dev}/${person.id}/1`, personId: person.id };
  const left = { id: 'AIDAHARBORLINENOORWASX', userName: 'noor', displayName: 'noor who left' };
  await savePerson(scene.store.db, { ...left, email: null, enabled: false, groups: [], checkedAt: new Date() });
  const old: OtherPrincipal = { ...common, id: `${dev}/${left.id}/1`, personId: left.id };
  const young = await addGrant(scene, { person, principal, instances: [bastion] });
  await inState(young, 'active');
  const holder: PolicyHolder = { accountId: dev, kind: 'user', name: 'noor' };
  const written = await scene.aws.iam.documents.read(holder, 0);
  expect(written).toHaveLength(1);
  const session = await open('noor');
  // Connected just before they were deleted: it is not given, and what was given of theirs ends.
  const late = await addGrant(scene, { person: left, principal: old, instances: [bastion] });
  expect((await inState(late, 'failed')).failed_code).toBe('user_not_ours');
  const ready = await addGrant(scene, { person: left, principal: old, instances: [bastion], state: 'ready' });
  await endGrant(scene, ready);
  const ended = await inState(ready, 'ended');
  expect(ended.receipt?.sessionsTerminated).toEqual([]);
  await untilSealed(scene, ready);
  expect(await scene.aws.iam.documents.read(holder, 0)).toEqual(written);
  expect(await liveSessions(scene)).toEqual([session]);
  await endGrant(scene, young);
  expect((await inState(young, 'ended')).receipt?.sessionsTerminated).toEqual([session]);
  expect(await scene.aws.iam.documents.read(holder, 0)).toEqual([]);
  await untilSealed(scene, young);
});

test('RQ-20 a group carries access for all members: one grant’s end ends its owner’s sessions, the last one everybody’s', async () => {
  start(dev, { kind: 'group', carrier: 'inline', group: 'oncall' });
  const group = await scene.aws.iam.readGroup(dev, 'oncall');
  expect(group?.members.map(({ userName }) => userName).sort()).toEqual(['dana', 'noor', 'ravi']);
  const principal: OtherPrincipal = {
    id: `${dev}/group/oncall`,
    arn: group?.arn ?? '',
    accountId: dev,
    personId: null,
    kind: 'group',
    name: 'oncall',
  };
  const [dana, ravi] = [await personOf('dana'), await personOf('ravi')];
  const first = await addGrant(scene, { person: dana.person, principal, instances: [bastion] });
  const second = await addGrant(scene, { person: ravi.person, principal, instances: [bastion] });
  await inState(first, 'active');
  await inState(second, 'active');
  const sessions = { dana: await open('dana'), ravi: await open('ravi'), noor: await open('noor') };
  await endGrant(scene, first);
  const ended = await inState(first, 'ended');
  expect(ended.receipt?.sessionsTerminated).toEqual([sessions.dana]);
  expect((await liveSessions(scene)).sort()).toEqual([sessions.noor, sessions.ravi].sort());
  await endGrant(scene, second);
  const last = await inState(second, 'ended');
  expect(last.receipt?.sessionsTerminated.toSorted()).toEqual([sessions.noor, sessions.ravi].sort());
  expect(await liveSessions(scene)).toEqual([]);
  expect(await scene.aws.iam.documents.read({ accountId: dev, kind: 'group', name: 'oncall' }, 0)).toEqual([]);
});

test('an account went from users to a group: what ends on the user leaves the session that the group’s grant covers', async () => {
  const { person, arn } = await personOf('dana');
  const [accountId, instances] = [dev, [bastion]];
  const user = {
    id: `${dev}/${person.id}/1`,
    arn,
    accountId,
    personId: person.id,
    kind: 'user' as const,
    name: 'dana',
  };
  start(dev, { kind: 'user', carrier: 'inline' });
  const old = await addGrant(scene, { person, principal: user, instances });
  await inState(old, 'active');
  await reconciler?.stop();
  // Looked after for long: its looks fall into the life of the other.
  start(dev, { kind: 'group', carrier: 'inline', group: 'oncall' }, 1500);
  const groupArn = (await scene.aws.iam.readGroup(dev, 'oncall'))?.arn ?? '';
  const group = { id: `${dev}/group/oncall`, arn: groupArn, accountId, personId: null, kind: 'group' as const };
  const young = await addGrant(scene, { person, principal: { ...group, name: 'oncall' }, instances });
  await inState(young, 'active');
  const session = await open('dana');
  await endGrant(scene, old);
  const ended = await inState(old, 'ended');
  expect(ended.receipt?.sessionsTerminated).toEqual([]);
  expect((await untilSealed(scene, old)).receipt?.sessionsTerminated).toEqual([]);
  expect(await liveSessions(scene)).toEqual([session]);
  await endGrant(scene, young);
  expect((await inState(young, 'ended')).receipt?.sessionsTerminated).toEqual([session]);
  expect(await liveSessions(scene)).toEqual([]);
});
