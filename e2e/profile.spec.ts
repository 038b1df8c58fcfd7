/**
 * A shop without Identity Center: people are the IAM users of one account and sign in with an AWS profile. A stack of its own, because its
 * backend is configured otherwise.
 */
import fs from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { expect } from '@playwright/test';
import { parse, stringify } from 'yaml';
import { controlOf } from '../dev/driver/local-aws-control.ts';
import type { Person } from '../dev/driver/person.ts';
import { type Stack, startStack } from '../dev/start/stack.ts';
import { accounts, test as base } from './stack-fixture.ts';

const iamUsers = {
  directory: { kind: 'iam-users', groups: ['curfew-users'], adminGroup: 'curfew-admins' },
  signIn: { accounts: [accounts.dev], stsRegion: 'eu-central-1' },
  intervals: { inventorySeconds: 3, tagsSeconds: 3, sweepSeconds: 10, auditHeadSeconds: 10 },
};

const accountWith = (principal: Record<string, string>) => ({
  id: accounts.dev,
  name: 'payments-dev',
  regions: ['eu-central-1', 'eu-west-1'],
  brokerRoleArn: `arn:aws:iam::${accounts.dev}:role/curfew/broker/CurfewBroker`,
  provisionerRoleArn: `arn:aws:iam::${accounts.dev}:role/curfew/provisioner/CurfewProvisioner`,
  externalId: `curfew-${accounts.dev}-local`,
  boundaryArn: `arn:aws:iam::${accounts.dev}:policy/curfew/boundary/CurfewBoundary`,
  principal,
});

/** What people have in ~/.aws: one profile for each IAM user with keys. */
const writeProfiles = (stack: Stack): Record<string, string> => {
  const files = {
    AWS_CONFIG_FILE: path.join(stack.folder, 'aws-config'),
    AWS_SHARED_CREDENTIALS_FILE: path.join(stack.folder, 'aws-credentials'),
  };
  const keys = stack.world.accounts.flatMap((account) =>
    account.users.flatMap(({ name, accessKeys }) =>
      accessKeys.map(
        ({ accessKeyId, secretAccessKey }) =>
          `[${name}]\naws_access_key_id = ${accessKeyId}\naws_secret_access_key = ${secretAccessKey}\n`,
      ),
    ),
  );
  fs.writeFileSync(files.AWS_SHARED_CREDENTIALS_FILE, keys.join('\n'), { mode: 0o600 });
  fs.writeFileSync(files.AWS_CONFIG_FILE, '[profile nothing-in-it]\nregion = eu-central-1\n', { mode: 0o600 });
  return files;
};

/** Another configuration for the same backend, as an admin would: the file changed, the process started anew. */
const carryBy = async (stack: Stack, principal: Record<string, string>): Promise<void> => {
  const file = path.join(stack.folder, 'backend.yml');
  const config: unknown = parse(fs.readFileSync(file, 'utf8'));
  fs.writeFileSync(file, stringify({ ...Object(config), accounts: [accountWith(principal)] }));
  await stack.backend.stop();
  await stack.backend.start();
};

const test = base.extend<{ stack: Stack }>({
  stack: [
    // biome-ignore lint/correctness/noEmptyPattern: Playwright reads what a fixture needs from this pattern
    async ({}, use) => {
      const folder = await mkdtemp(path.join(os.tmpdir(), 'curfew-e2e-profile-'));
      try {
        const configure = { ...iamUsers, accounts: [accountWith({ kind: 'user', carrier: 'inline' })] };
        const stack = await startStack({ folder, say: () => undefined, durable: false, configure });
        try {
          await use({ ...stack, appEnv: { ...stack.appEnv, ...writeProfiles(stack) } });
        } finally {
          await stack.stop();
        }
      } finally {
        await rm(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
      }
    },
    { scope: 'test', timeout: 180_000 },
  ],
});

const signInWith = async ({ window }: Person, profile: string): Promise<void> => {
  await window.getByRole('combobox', { name: 'AWS profile' }).click();
  await window.getByRole('option', { name: profile, exact: true }).click();
  await window.getByRole('button', { name: 'Sign in with this profile' }).click();
};

test('an IAM user signs in with a profile, works in a terminal and loses the access at its end', async ({
  person,
  stack,
  picture,
}) => {
  const control = controlOf(stack.localAwsUrl);
  const policies = async () => (await control.call('user', { account: accounts.dev, name: 'dana' })).inlinePolicies;
  const dana = await person('Dana Whitfield', { signIn: false });
  const { window } = dana;

  await test.step('a profile that is nobody’s is told, with what to do', async () => {
    await expect(window.getByRole('heading', { name: 'Sign in to Harborline' })).toBeVisible();
    await expect(window.getByText('Its keys stay here')).toBeVisible();
    await expect(window.getByRole('button', { name: 'Continue in the browser' })).toHaveCount(0);
    await signInWith(dana, 'nothing-in-it');
    await expect(window.getByRole('alert')).toContainText('gives no credentials', { timeout: 30_000 });
    await picture(window, 'no-credentials');
  });

  await test.step('ID-06 a user who is in none of the groups is refused', async () => {
    await signInWith(dana, 'noor');
    await expect(window.getByRole('alert')).toContainText('did not accept this sign-in', { timeout: 30_000 });
  });

  await test.step('the right one gets in', async () => {
    await signInWith(dana, 'dana');
    await expect(window.getByRole('navigation', { name: 'Places' })).toContainText('Dana Whitfield', {
      timeout: 30_000,
    });
    await expect(window.getByRole('row', { name: /payments-sim-d1/ })).toBeVisible({ timeout: 30_000 });
    await picture(window, 'signed-in');
  });

  await test.step('the session runs as the user itself, under a policy with its own end', async () => {
    await dana.openTerminal('payments-sim-d1', { reason: 'Try the simulator', duration: '30m' });
    await dana.typeLine('echo as-user-$((40 + 2))');
    await dana.sees('as-user-42');
    const sessions = await control.call('sessions');
    const [session] = sessions.filter(({ status }) => status === 'Connected');
    expect(session?.owner).toBe(`arn:aws:iam::${accounts.dev}:user/curfew/people/dana`);
    expect(session?.sessionId).toMatch(/^dana-/);
    const text = JSON.stringify(await policies());
    expect(text).toContain('i-02c9d47f8e0ab6513');
    expect(text).toContain('DateLessThan');
    await picture(await dana.terminal(), 'terminal');
  });

  await test.step('ended early: the policy is gone from the user and the session is dead', async () => {
    await dana.goTo('My access');
    await window.getByRole('button', { name: /^End/ }).first().click();
    await window.getByRole('dialog').getByRole('button', { name: /^End/ }).click();
    await expect.poll(policies, { timeout: 60_000 }).toEqual({});
    const living = async () => (await control.call('sessions')).filter(({ status }) => status === 'Connected').length;
    await expect.poll(living, { timeout: 60_000 }).toBe(0);
  });
});

test('RQ-20 where a group carries the access, everybody is told whom a yes reaches', async ({
  person,
  stack,
  picture,
}) => {
  await carryBy(stack, { kind: 'group', carrier: 'inline', group: 'oncall' });
  const words = 'Everybody in IAM group oncall of payments-dev (3 people) gets this access.';
  const dana = await person('Dana Whitfield', { signIn: false });
  await signInWith(dana, 'dana');
  await dana.window.getByRole('navigation', { name: 'Places' }).waitFor({ timeout: 30_000 });

  await test.step('the requester, before asking', async () => {
    await dana.selectInstances(['payments-sim-d1']);
    await dana.fillRequest('Look at the simulator with the others on call', '3h');
    await expect(dana.window.getByText(words)).toBeVisible({ timeout: 30_000 });
    await expect(dana.window.getByText('dana, noor, ravi')).toBeVisible();
    await picture(dana.window, 'form');
    await dana.sendRequest();
  });

  await test.step('the approver, in the notification and on the card', async () => {
    const ravi = await person('Ravi Menon', { signIn: false });
    await signInWith(ravi, 'ravi');
    await ravi.window.getByRole('navigation', { name: 'Places' }).waitFor({ timeout: 30_000 });
    await ravi.goTo('Approvals');
    await expect(ravi.window.getByRole('main').getByText(words)).toBeVisible({ timeout: 30_000 });
    await expect(ravi.window.getByRole('main').getByText('no permissions boundary for groups')).toBeVisible();
    await picture(ravi.window, 'card');
    await ravi.window.getByRole('button', { name: 'Approve 3 h' }).click();
    await expect(ravi.window.getByRole('region', { name: 'Requests to decide' })).toContainText('You approved', {
      timeout: 30_000,
    });
  });

  await test.step('the audit trail', async () => {
    await dana.goTo('Audit');
    await expect(dana.window.getByText(words).first()).toBeVisible({ timeout: 30_000 });
  });
});
