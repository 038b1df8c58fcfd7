/** A personal role that an AWS admin, or the provisioner, deleted under Curfew: what hung on it ends or fails, and nothing loops. */
import { afterAll, afterEach, beforeAll, beforeEach, expect, test, vi } from 'vitest';
import { openProvisioner } from '../provisioner/provisioner.ts';
import { addGrant, endGrant, mira, openScene, prod, roleNameOf, type Scene } from '../provisioner/testing/scene.ts';
import type { Reconciler } from './reconciler.ts';
import { type GrantRow, grantRow, oneAccount, reconcilerOver, untilIn } from './testing/over-scene.ts';

let scene: Scene;
let reconciler: Reconciler;
beforeAll(async () => {
  scene = await openScene();
  // The broker's credentials are read at its first call; after that the environment may change.
  await scene.aws.iam.personalRoles(prod);
});
afterAll(() => scene.close());
beforeEach(() => {
  reconciler = reconcilerOver(scene);
});
afterEach(async () => {
  await reconciler.stop();
  await scene.control('reset');
});

/** The provisioner at work as a process of its own would be: with its own credentials. */
const provision = async (options: { enabled: boolean }): Promise<void> => {
  await scene.control('changePerson', { userName: mira.userName, enabled: options.enabled });
  vi.stubEnv('AWS_ACCESS_KEY_ID', 'AKIACURFEWPROVISIONR');
  vi.stubEnv('AWS_SECRET_ACCESS_KEY', 'local-aws/curfew-provisioner/opens-none');
  const provisioner = openProvisioner(oneAccount);
  for await (const line of provisioner.run({ removeLeavers: true })) expect(line.event).not.toBe('failed');
  provisioner.close();
};
const deleteRole = async (): Promise<void> => {
  await provision({ enabled: false });
  expect(await scene.aws.iam.personalRoles(prod)).not.toContain(roleNameOf(mira));
};

const row = (id: string) => grantRow(scene, id);
const until = (id: string, state: GrantRow['state']) => untilIn(scene, id, state);
const problem = async (): Promise<string | null> =>
  (await scene.store.db.selectFrom('principals').select('problem').executeTakeFirstOrThrow()).problem;

test('a grant whose role was deleted ends: the policy went with the role', async () => {
  const id = await addGrant(scene);
  reconciler.nudge();
  await until(id, 'active');
  await deleteRole();
  await endGrant(scene, id);
  reconciler.nudge();
  const ended = await until(id, 'ended');
  expect(ended.receipt).toMatchObject({ sessionsTerminated: [] });
  await expect.poll(async () => (await row(id)).receipt?.stage, { timeout: 10_000 }).toBe('sealed');
  expect(await problem()).toBeNull();
  await provision({ enabled: true });
});

test('a grant that is being given when its role is gone fails with advice, once', async () => {
  await deleteRole();
  const id = await addGrant(scene);
  reconciler.nudge();
  const failed = await until(id, 'failed');
  expect(failed).toMatchObject({ failed_code: 'role_missing', failed_advice: expect.stringContaining('provisioner') });
  await reconciler.sweep();
  await reconciler.idle();
  const rows = await scene.store.db.selectFrom('audit').select('kind').where('grant_id', '=', id).execute();
  expect(rows.filter(({ kind }) => kind === 'grant_failed')).toHaveLength(1);
  expect(await problem()).toBeNull();
  await provision({ enabled: true });
});

test('IAM that lets nothing be read: what is being given fails, and nothing is said to have ended', async () => {
  const ending = await addGrant(scene);
  reconciler.nudge();
  await until(ending, 'active');
  await scene.control('addFault', {
    match: { service: 'iam', operation: 'GetRolePolicy' },
    times: null,
    effect: { kind: 'error', code: 'AccessDenied', status: 403 },
  });
  const given = await addGrant(scene);
  reconciler.nudge();
  expect((await until(given, 'failed')).failed_code).toBe('AccessDenied');
  await endGrant(scene, ending);
  reconciler.nudge();
  await expect.poll(async () => (await problem()) ?? '', { timeout: 10_000 }).toMatch(/iam:GetRolePolicy/);
  expect((await row(ending)).state).toBe('ending');
  await scene.control('reset');
  reconciler.nudge();
  await until(ending, 'ended');
});
