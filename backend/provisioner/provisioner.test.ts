import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest';
import { z } from 'zod';
import { openProvisioner, type ProvisionerConfig, type ProvisionerLine } from './provisioner.ts';
import { callList, dev, jonas, mira, openScene, prod, roleNameOf, type Scene, sceneConfig } from './testing/scene.ts';

let scene: Scene;
beforeAll(async () => {
  scene = await openScene();
  vi.stubEnv('AWS_ACCESS_KEY_ID', 'AKIACURFEWPROVISIONR');
  vi.stubEnv('AWS_SECRET_ACCESS_KEY', 'local-aws/curfew-provisioner/opens-none');
});
afterAll(() => scene.close());
afterEach(() =>
  scene.control('changePerson', { userName: jonas.userName, groups: ['payments-leads', 'curfew-users'] }),
);

const roleNames = async () => z.array(z.string()).parse(await scene.control('roles', { account: prod }));
const round = async (removeLeavers = false, config: ProvisionerConfig = sceneConfig): Promise<ProvisionerLine[]> => {
  const provisioner = openProvisioner(config);
  const lines: ProvisionerLine[] = [];
  for await (const line of provisioner.run({ removeLeavers })) lines.push(line);
  provisioner.close();
  return lines;
};

test('made a role for every enabled member in every account; a second round makes and changes nothing', async () => {
  const made = scene.provisioned.flatMap((line) => (line.event === 'made' ? [line] : []));
  for (const accountId of [prod, dev]) {
    expect(made).toContainEqual(
      expect.objectContaining({ accountId, role: roleNameOf(mira), personId: mira.id, userName: mira.userName }),
    );
  }
  // Disabled in the identity store.
  expect(made.some(({ userName }) => userName.startsWith('piet.'))).toBe(false);
  await scene.control('forgetCalls');
  const again = await round();
  expect(again).toEqual([expect.objectContaining({ event: 'done', made: 0, present: made.length, leavers: 0 })]);
  const calls = callList.parse(await scene.control('calls', { service: 'iam' }));
  expect(calls.filter(({ operation }) => !/^(Get|List)/.test(operation))).toEqual([]);
});

test('AWS-09 a role that differs is named and left alone', async () => {
  await scene.control('forgetCalls');
  const other = { ...sceneConfig, signIn: { ...sceneConfig.signIn, permissionSet: 'SomethingElse' } };
  const lines = await round(false, other);
  const different = lines.flatMap((line) => (line.event === 'different' ? [line] : []));
  expect(different.find(({ role, accountId }) => role === roleNameOf(mira) && accountId === prod)?.differences).toEqual(
    ['its trust policy is not the one Curfew gives'],
  );
  const calls = callList.parse(await scene.control('calls', { service: 'iam' }));
  expect(calls.filter(({ operation }) => operation === 'UpdateAssumeRolePolicy')).toEqual([]);
});

test('AWS-13 a leaver’s role is listed, and deleted only when that was asked for', async () => {
  await scene.control('changePerson', { userName: jonas.userName, groups: [] });
  const listed = await round();
  expect(listed).toContainEqual({ event: 'leaver', accountId: prod, role: roleNameOf(jonas), personId: jonas.id });
  expect(await roleNames()).toContain(`/curfew/people/${roleNameOf(jonas)}`);
  const removed = await round(true);
  expect(removed).toContainEqual({ event: 'removed', accountId: prod, role: roleNameOf(jonas), personId: jonas.id });
  expect(await roleNames()).not.toContain(`/curfew/people/${roleNameOf(jonas)}`);
});

test('a group that has nobody removes nobody', async () => {
  const nobody = { ...sceneConfig, directory: { ...sceneConfig.directory, groups: ['no-such-group'] } };
  const lines = await round(true, nobody);
  expect(lines.some(({ event }) => event === 'removed')).toBe(false);
  expect(await roleNames()).toContain(`/curfew/people/${roleNameOf(mira)}`);
});

test('AWS-10 an account that cannot be entered is told, and the others are done', async () => {
  const wrong = sceneConfig.accounts.map((account) =>
    account.id === prod ? { ...account, externalId: 'somebody-elses-external-id' } : account,
  );
  const lines = await round(false, { ...sceneConfig, accounts: wrong });
  expect(lines).toContainEqual(expect.objectContaining({ event: 'failed', accountId: prod, code: 'AccessDenied' }));
  expect(lines.at(-1)).toMatchObject({ event: 'done' });
});
