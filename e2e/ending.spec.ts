import { expect } from '@playwright/test';
import type { Person } from '../dev/driver/person.ts';
import { accounts, test } from './stack-fixture.ts';

const openTerminal = async (who: Person, instance: string, wish: { reason: string; duration: string }) => {
  await who.request([instance], wish.reason, wish.duration);
  const terminal = await who.terminal();
  await expect(terminal.getByText('Connected')).toBeVisible({ timeout: 60_000 });
  await who.sees('$');
  return terminal;
};

test('access ends by its time: warned in the last minute, then read only, and the receipt proves it', async ({
  person,
  picture,
  aws,
}) => {
  const elin = await person('Elin Strand');
  const terminal = await openTerminal(elin, 'payments-api-s1', { reason: 'Look at one log line', duration: '1m' });

  await test.step('the last minute is said in the bar and in a native notification', async () => {
    const bar = terminal.getByRole('alert').filter({ hasText: 'ends' });
    await expect(bar).toContainText('What is on the screen stays, what runs in it may not.');
    await expect(bar.getByRole('timer')).toHaveAccessibleName(
      /^\d+ seconds? left on payments-api-s1, ends [a-z ]*\d\d:\d\d:\d\d$/,
    );
    await expect(terminal.getByRole('button', { name: 'Extend by 30 min' })).toBeVisible();
    await elin.typeLine('clear; for n in $(seq 1 300); do echo needle-$n-; done; sleep 1000');
    await elin.sees('needle-300-');
    await picture(terminal, 'last-minute');
    expect(await aws.accessPolicy('Elin Strand', accounts.dev)).not.toBeNull();
    expect(await aws.activeSessions('Elin Strand', accounts.dev)).toHaveLength(1);
  });

  await test.step('at the end the terminal is read only, and the end was verified when the screen says so', async () => {
    await expect(terminal.getByText('Access ended. Nothing after this line was sent or received.')).toBeVisible({
      timeout: 75_000,
    });
    await expect(terminal.getByText('Read only')).toBeVisible();
    await expect(
      terminal.getByText(/^Access policy gone \d+\.\d s, sessions gone \d+\.\d s after the end, verified/),
    ).toBeVisible({ timeout: 30_000 });
    expect(await aws.accessPolicy('Elin Strand', accounts.dev)).toBeNull();
    expect(await aws.activeSessions('Elin Strand', accounts.dev)).toEqual([]);
    await expect(terminal.getByRole('timer').first()).toHaveAccessibleName(/^Ended [a-z ]*\d\d:\d\d, verified$/);
    await picture(terminal, 'frozen');
  });

  await test.step('nothing can be typed any more, and the scrollback can be searched', async () => {
    const before = await elin.screenText();
    await terminal.getByRole('region', { name: 'Terminal on payments-api-s1' }).click();
    await elin.typeLine('echo typed-too-late');
    await terminal.keyboard.press('Control+Shift+F');
    const find = terminal.getByRole('textbox', { name: 'Find in this terminal' });
    await find.fill('needle-17-');
    await expect(terminal.getByText('1 of 1', { exact: true })).toBeVisible();
    await elin.sees('needle-17-');
    await picture(terminal, 'found');
    await find.fill('typed-too-late');
    await expect(terminal.getByText('none', { exact: true })).toBeVisible();
    await terminal.keyboard.press('Escape');
    expect(before).toContain('needle-300-');
  });

  await test.step('the receipt has the measured times', async () => {
    await elin.goTo('My access');
    await expect(elin.window.getByText(/^verified \d+\.\d s after the end$/)).toBeVisible();
    await elin.window.getByRole('button', { name: 'Receipt of payments-api-s1' }).click();
    const receipt = elin.window.getByRole('region', { name: 'Receipt of payments-api-s1' });
    await expect(receipt).toContainText(/read back: access policy gone\s*\d+\.\d s/);
    await expect(receipt).toContainText('1 session terminated');
    await expect(receipt).toContainText(/looked again: sessions gone\s*\d+\.\d s/);
    await expect(receipt).toContainText(/VERIFIED\s*\d+\.\d s/);
    await expect(elin.window.getByRole('status').filter({ hasText: 'Chain whole' })).toBeVisible();
    await picture(elin.window, 'receipt');
  });
});

test('the engineer ends early from My access, and the terminal ends with it', async ({ person, picture, aws }) => {
  const elin = await person('Elin Strand');
  const terminal = await openTerminal(elin, 'payments-worker-s1', { reason: 'Drain one queue', duration: '30 min' });
  await elin.typeLine('echo before-$((40 + 2))');
  await elin.sees('before-42');
  await elin.goTo('My access');
  const grant = elin.window.getByRole('article', { name: /^payments-worker-s1: 2\d minutes left/ });
  await grant.getByRole('button', { name: 'End', exact: true }).click();
  const dialog = elin.window.getByRole('dialog', { name: 'End access to payments-worker-s1?' });
  await dialog.getByLabel('Why').fill('Done sooner');
  await picture(elin.window, 'asking');
  await dialog.getByRole('button', { name: 'End access and 1 session' }).click();
  await expect(elin.window.getByText(/^Ended [a-z ]*\d\d:\d\d by you$/)).toBeVisible({ timeout: 30_000 });
  expect(await aws.accessPolicy('Elin Strand', accounts.dev)).toBeNull();
  expect(await aws.activeSessions('Elin Strand', accounts.dev)).toEqual([]);
  await expect(terminal.getByText('Read only')).toBeVisible();
  await elin.sees('before-42');
  await picture(terminal, 'frozen');
});

test('an approver revokes while the terminal is open', async ({ person, picture, aws }) => {
  const elin = await person('Elin Strand');
  const jonas = await person('Jonas Lindqvist');
  const name = 'payments-ledger-db-1';
  await elin.request([name], 'Replay two events', '30 min');
  await jonas.clickNotification(new RegExp(`^Elin Strand asks for ${name}`));
  await jonas.window.getByRole('button', { name: 'Approve 30 min' }).click();
  await elin.clickNotification(new RegExp(`^Approved: ${name}`));
  await elin.window.getByRole('button', { name: 'Connect' }).click();
  const terminal = await elin.terminal();
  await expect(terminal.getByText('Connected')).toBeVisible({ timeout: 60_000 });
  await elin.sees('$');
  await elin.typeLine('echo before-$((40 + 2)); sleep 1000');
  await elin.sees('before-42');

  await jonas.goTo('Audit');
  await jonas.window
    .getByRole('row', { name: /Elin Strand.*i-09a4d2e61f7c8b350/ })
    .first()
    .click();
  const story = jonas.window.getByRole('complementary', { name: /Elin Strand, payments-ledger-db-1/ });
  await story.getByRole('button', { name: 'End access to payments-ledger-db-1' }).click();
  const dialog = jonas.window.getByRole('dialog', { name: 'End the access of Elin Strand to payments-ledger-db-1?' });
  await dialog.getByLabel('Why').fill('The replay loads production');
  await picture(jonas.window, 'revoking');
  await dialog.getByRole('button', { name: 'End access and 1 session' }).click();

  await expect(terminal.getByText('Access ended. Nothing after this line was sent or received.')).toBeVisible({
    timeout: 30_000,
  });
  await expect(terminal.getByText('Read only')).toBeVisible();
  const notice = await elin.waitForNotification(/^Jonas Lindqvist ended your access to payments-ledger-db-1$/);
  expect(notice.body).toBe('“The replay loads production” Your terminal text is kept.');
  await elin.goTo('My access');
  await expect(elin.window.getByText(/^Ended [a-z ]*\d\d:\d\d by Jonas Lindqvist$/)).toBeVisible({ timeout: 30_000 });
  expect(await aws.accessPolicy('Elin Strand', accounts.prod)).toBeNull();
  expect(await aws.activeSessions('Elin Strand', accounts.prod)).toEqual([]);
  await picture(terminal, 'revoked');
  // The approver's story shows the receipt without being opened again.
  await expect(story.getByRole('region', { name: 'Receipt of payments-ledger-db-1' })).toContainText('VERIFIED', {
    timeout: 30_000,
  });
  await picture(jonas.window, 'story');
});
