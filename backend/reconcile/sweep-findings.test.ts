/** What a sweep takes for gone: only what a whole look, newer than the finding, did not see. */
import { CreateRoleCommand, DeleteRoleCommand, IAMClient } from '@aws-sdk/client-iam';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { peoplePath } from '../access-policy/principal.ts';
import { apiOne, openScene, prod, type Scene } from '../provisioner/testing/scene.ts';
import { listFindings } from './findings.ts';
import type { ReconcilerDeps } from './reconciler.ts';
import { reconcilerOver } from './testing/over-scene.ts';

let scene: Scene;
beforeAll(async () => {
  scene = await openScene();
});
afterAll(() => scene.close());

const iam = new IAMClient({
  region: apiOne.region,
  credentials: { accessKeyId: 'AKIACURFEWBREAKGLASS', secretAccessKey: 'local-aws/break-glass/opens-all-of-it' },
});
const RoleName = 'curfew-somebody-else';
const makeRole = () =>
  iam.send(
    new CreateRoleCommand({
      Path: peoplePath,
      RoleName,
      AssumeRolePolicyDocument: JSON.stringify({
        Version: '2012-10-17',
        Statement: [{ Effect: 'Allow', Principal: { AWS: `arn:aws:iam::${prod}:root` }, Action: 'sts:AssumeRole' }],
      }),
    }),
  );
const timing = { sealMs: 100, appTellsMs: 0 };
const start = (more: Partial<ReconcilerDeps> = {}) => reconcilerOver(scene, { timing, ...more });
const rolesFound = async () => {
  const told = await listFindings(scene.store.db, { openOnly: false, limit: 100 });
  return told.filter(({ kind }) => kind === 'role_not_ours').map(({ mendedAt }) => mendedAt);
};

beforeEach(async () => {
  await scene.store.db.deleteFrom('findings').execute();
});
afterEach(async () => {
  await scene.control('reset');
  await iam.send(new DeleteRoleCommand({ RoleName }));
});

test('AWS-13 a list of roles that cannot be read mends nothing that was found of roles', async () => {
  await makeRole();
  const reconciler = start();
  await reconciler.sweep();
  expect(await rolesFound()).toEqual([null]);
  await scene.control('addFault', {
    match: { service: 'iam', operation: 'ListRoles' },
    times: null,
    effect: { kind: 'error', code: 'AccessDenied', status: 403 },
  });
  await reconciler.sweep();
  expect(await rolesFound()).toEqual([null]);
  await reconciler.stop();
});

test('AWS-13 a sweep that read before another one does not take for gone what the other has just found', async () => {
  const { reads } = scene.aws;
  const other = start();
  await other.sweep();
  let first = true;
  const personalRoleDetails: typeof reads.personalRoleDetails = async (accountId) => {
    const before = await reads.personalRoleDetails(accountId);
    if (first) {
      first = false;
      await makeRole();
      await other.sweep();
    }
    return before;
  };
  const older = start({ aws: { ...scene.aws, reads: { ...reads, personalRoleDetails } } });
  await older.idle();
  expect(first).toBe(false);
  expect(await rolesFound()).toEqual([null]);
  await older.stop();
  await other.stop();
});
