/** IAM users and groups as the timed sweep sees them: a nudge or a start would find by chance what it must find by itself. */
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest';
import type { InstanceRef } from '../../src/shared/access.ts';
import { accessPolicyName, grantsPath, type PolicyHolder } from '../access-policy/principal.ts';
import type { AccountConfig } from '../config.ts';
import { addGrant, dev, endGrant, openScene, type Scene, sceneConfig } from '../provisioner/testing/scene.ts';
import { savePerson } from '../store/people.ts';
import { listFindings } from './findings.ts';
import type { ReconcileAws } from './pass.ts';
import type { Reconciler } from './reconciler.ts';
import { forgetSweeps, reconcilerOver, until, untilIn, untilSealed } from './testing/over-scene.ts';

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
  await forgetSweeps(scene);
});

const bastion: InstanceRef = { accountId: dev, region: 'eu-central-1', instanceId: 'i-0d3b8a7e14f6295cc' };
const dana: PolicyHolder = { accountId: dev, kind: 'user', name: 'dana' };
const ravi: PolicyHolder = { accountId: dev, kind: 'user', name: 'ravi' };
const oncall: PolicyHolder = { accountId: dev, kind: 'group', name: 'oncall' };
const onUsers: AccountConfig['principal'] = { kind: 'user', carrier: 'inline' };
const onGroup: AccountConfig['principal'] = { kind: 'group', carrier: 'inline', group: 'oncall' };
const statement = { Effect: 'Allow', Action: 'ssm:StartSession', Resource: '*' };
const wide = JSON.stringify({ Version: '2012-10-17', Statement: [statement] });

/** Swept each 200 ms, thoroughly each fifth time. */
const start = (principal: AccountConfig['principal'], aws: Partial<ReconcileAws> = {}): void => {
  const accounts = sceneConfig.accounts.filter(({ id }) => id === dev).map((one) => ({ ...one, principal }));
  const config = { ...sceneConfig, accounts };
  reconciler = reconcilerOver(scene, { aws: { ...scene.aws, ...aws }, config, timing: { sweepMs: 200 } });
};
/** When the sweep of the start is over, only the timer is left to find something. */
const untilSwept = (): Promise<unknown> =>
  until(scene, 'a first sweep', async () => {
    const rows = await scene.store.db.selectFrom('sweeps').select('ended_at').execute();
    return rows.length > 0 && rows.every(({ ended_at }) => ended_at !== null);
  });
const documents = (holder: PolicyHolder) => scene.aws.iam.documents.read(holder, 0);
const replace = (holder: PolicyHolder, document = wide) =>
  scene.aws.iam.documents.write(holder, { do: 'put', slot: 0, document, known: true });
const found = async () => {
  const all = await listFindings(scene.store.db, { openOnly: false, limit: 100 });
  return all.map(({ kind, subject, mendedAt }) => ({ kind, subject, mended: mendedAt !== null }));
};
const untilFound = (kind: string): Promise<unknown> =>
  until(scene, `a finding ${kind}`, async () => (await found()).some((one) => one.kind === kind));

const grantTo = async (holder: PolicyHolder): Promise<{ id: string; arn: string }> => {
  const seen = await scene.aws.iam.readUser(dev, 'dana');
  const group = await scene.aws.iam.readGroup(dev, 'oncall');
  if (seen === null || group === null) throw new Error('There is no dana or no oncall');
  const person = { id: seen.userId, userName: 'dana', displayName: 'dana' };
  await savePerson(scene.store.db, { ...person, email: null, enabled: true, groups: [], checkedAt: new Date() });
  const principal =
    holder.kind === 'group'
      ? { id: `${dev}/group/oncall`, arn: group.arn, accountId: dev, personId: null, kind: 'group' as const }
      : { id: `${dev}/${person.id}/1`, arn: seen.arn, accountId: dev, personId: person.id, kind: 'user' as const };
  const wish = { person, principal: { ...principal, name: holder.name }, instances: [bastion] };
  const id = await addGrant(scene, wish);
  reconciler?.nudge();
  await untilIn(scene, id, 'active');
  return { id, arn: principal.arn };
};
const end = async (id: string): Promise<void> => {
  await endGrant(scene, id);
  reconciler?.nudge();
  await untilSealed(scene, id);
};

test.each([
  ['an IAM user', onUsers, dana],
  ['an IAM group', onGroup, oncall],
])('AWS-13 the access policy of %s that somebody replaced is written anew, and told', async (_, principal, holder) => {
  start(principal);
  const { id, arn } = await grantTo(holder);
  await untilSwept();
  const before = await documents(holder);
  await replace(holder);
  await untilFound('changed_document');
  // It is told before it is written: a crash in between must not leave it untold.
  await expect.poll(() => documents(holder), { timeout: 60_000 }).toEqual(before);
  expect(await found()).toEqual([{ kind: 'changed_document', subject: arn, mended: true }]);
  await end(id);
  // Nobody has anything there any more: what is planted now belongs to no grant.
  await replace(holder);
  await until(scene, 'the planted one gone', async () => (await documents(holder)).length === 0);
});

test.each([
  ['IAM user', onUsers, ravi],
  ['IAM group', onGroup, { ...oncall, name: 'payments-leads' }],
])(
  'AWS-13 an access policy planted on an %s that never had a grant is deleted and told',
  async (_, principal, holder) => {
    start(principal);
    await untilSwept();
    await replace(holder);
    await untilFound('leftover_policy');
    expect(await documents(holder)).toEqual([]);
    const arn = `arn:aws:iam::${dev}:${holder.kind}/curfew/people/${holder.name}`;
    expect(await found()).toEqual([{ kind: 'leftover_policy', subject: `${arn} ${accessPolicyName}`, mended: true }]);
  },
);

test('AWS-13 one that AWS does not let be deleted is listed until it is gone', async () => {
  start(onUsers);
  await untilSwept();
  await scene.control('addFault', {
    match: { service: 'iam', operation: 'DeleteUserPolicy' },
    times: null,
    effect: { kind: 'error', code: 'AccessDenied', status: 403 },
  });
  await replace(ravi);
  await untilFound('leftover_policy');
  const [listed] = await listFindings(scene.store.db, { openOnly: true, limit: 10 });
  expect(listed?.what).toContain('It could not be deleted: AWS answered AccessDenied');
  expect(await documents(ravi)).toHaveLength(1);
  await scene.control('reset');
  await until(scene, 'it gone and closed', async () => (await found()).every(({ mended }) => mended));
  expect(await documents(ravi)).toEqual([]);
});

test('AWS-09 access ends on a user whose boundary somebody took off, though nothing there was due', async () => {
  let fenced = true;
  const { iam, reads } = scene.aws;
  const without = <T extends { boundaryArn: string | null }>(one: T): T =>
    fenced ? one : { ...one, boundaryArn: null };
  const readUser: typeof iam.readUser = async (accountId, name) => {
    const user = await iam.readUser(accountId, name);
    return user === null ? null : without(user);
  };
  const carrierDetails: typeof reads.carrierDetails = async (accountId, kind) =>
    new Map([...(await reads.carrierDetails(accountId, kind))].map(([name, one]) => [name, without(one)]));
  start(onUsers, { iam: { ...iam, readUser }, reads: { ...reads, carrierDetails } });
  const { id } = await grantTo(dana);
  await untilSwept();
  fenced = false;
  const ended = await untilIn(scene, id, 'ended');
  expect(ended.cause).toEqual({ kind: 'inventory', what: expect.stringContaining('user_not_fenced') });
  expect(await documents(dana)).toEqual([]);
  await untilSealed(scene, id);
});

test('AWS-13 spilled access of somebody else on a user is listed, and not touched', async () => {
  const policy = `arn:aws:iam::${dev}:policy${grantsPath}curfew-0123456789abcdef0123-1`;
  const { reads } = scene.aws;
  const carrierDetails: typeof reads.carrierDetails = async (accountId, kind) =>
    new Map(
      [...(await reads.carrierDetails(accountId, kind))].map(([name, one]) => [
        name,
        name === 'ravi' ? { ...one, spilled: [policy] } : one,
      ]),
    );
  start(onUsers, { reads: { ...reads, carrierDetails } });
  await untilFound('leftover_policy');
  const arn = `arn:aws:iam::${dev}:user/curfew/people/ravi`;
  expect(await found()).toEqual([{ kind: 'leftover_policy', subject: `${arn} ${policy}`, mended: false }]);
});
