import { expect, type Page } from '@playwright/test';
import type { Person } from '../dev/driver/person.ts';
import { accounts, test } from './stack-fixture.ts';

/** Notes when the button for a yes first stands there, and when it first can be pressed. */
const watchApprove = (page: Page): Promise<void> =>
  page.evaluate(() => {
    const seen: { shownAt?: number; enabledAt?: number } = {};
    Reflect.set(window, 'approveSeen', seen);
    const look = (): void => {
      const buttons = [...document.querySelectorAll('button')];
      const approve = buttons.find((button) => /^Approve \d/.test(button.textContent));
      if (approve === undefined) return;
      seen.shownAt ??= performance.now();
      if (!approve.disabled) seen.enabledAt ??= performance.now();
    };
    new MutationObserver(look).observe(document.body, { subtree: true, childList: true, attributes: true });
  });

const msUntilApprove = (page: Page): Promise<number> =>
  page.evaluate(() => {
    const seen: unknown = Reflect.get(window, 'approveSeen');
    if (typeof seen !== 'object' || seen === null) return Number.NaN;
    return Number(Reflect.get(seen, 'enabledAt')) - Number(Reflect.get(seen, 'shownAt'));
  });

const cardOf = (approver: Person) => approver.window.getByRole('main');

test('a person approves in a second app, and the engineer connects to one of two instances', async ({
  person,
  picture,
  aws,
}) => {
  const mira = await person('Mira Okafor');
  const jonas = await person('Jonas Lindqvist');

  await test.step('the engineer asks, and waits', async () => {
    await mira.request(['payments-api-1', 'payments-api-3'], 'Payouts are stuck in both regions', '45m');
    await mira.goTo('My access');
    await expect(mira.window.getByText('payments-api-1, payments-api-3', { exact: true })).toBeVisible();
    await expect(mira.window.getByText('1 of 2 must approve')).toBeVisible();
    expect(await aws.accessPolicy('Mira Okafor', accounts.prod)).toBeNull();
    await picture(mira.window, 'waiting');
  });

  await test.step('a native notification opens the very card', async () => {
    const notice = await jonas.waitForNotification(/^Mira Okafor asks for payments-api-1 and 1 more, 45 min$/);
    expect(notice.body).toContain('Payouts are stuck in both regions');
    await watchApprove(jonas.window);
    await jonas.clickNotification(/^Mira Okafor asks for/);
    const card = cardOf(jonas);
    await expect(
      card.getByRole('heading', { name: 'Mira Okafor asks for a shell on payments-api-1, payments-api-3' }),
    ).toBeVisible();
    await expect(card.getByText('mira.okafor@harborline.example')).toBeVisible();
    await expect(card.getByText('Payouts are stuck in both regions')).toBeVisible();
    await expect(card.getByRole('img', { name: '45 min' })).toBeVisible();
    for (const id of ['i-0f3a9c1d7b24e8a61', 'i-0be47716a0d95c3f8']) {
      await expect(card.getByText(id, { exact: true })).toBeVisible();
    }
    const change = card.getByRole('region', { name: 'Access policy change' });
    await expect(change).toContainText('ssm:StartSession');
    await expect(change).toContainText('instance/i-0f3a9c1d7b24e8a61');
    await expect(change).toContainText('instance/i-0be47716a0d95c3f8');
    await expect(card.getByRole('region', { name: 'Facts for the decision' })).toContainText('owning-team-may-request');
  });

  await test.step('no blind yes: approving works only after a second', async () => {
    const approve = cardOf(jonas).getByRole('button', { name: 'Approve 45 min' });
    await expect(approve).toBeEnabled();
    // A second, less what a busy machine needs to notice the button.
    expect(await msUntilApprove(jonas.window)).toBeGreaterThan(600);
    await picture(jonas.window, 'card');
    // The decision is on record before IAM hears of it, and IAM hears of it at the first connect only.
    await approve.click();
    await expect(
      cardOf(jonas)
        .getByText(/^You approved/)
        .first(),
    ).toBeVisible();
    expect(await aws.accessPolicy('Mira Okafor', accounts.prod)).toBeNull();
    await picture(jonas.window, 'approved');
  });

  await test.step('the engineer is notified and connects', async () => {
    await mira.clickNotification(/^Approved: payments-api-1 and 1 more, 45 min$/);
    const grant = mira.window.getByRole('article', { name: /^payments-api-1, payments-api-3: Ready: 45 min/ });
    await expect(grant).toContainText('no clock runs, approved by Jonas Lindqvist');
    await picture(mira.window, 'ready');
    await grant.getByRole('button', { name: 'Connect' }).click();
    await mira.window.getByRole('menuitem', { name: 'payments-api-3' }).click();
    const terminal = await mira.terminal();
    await expect(terminal.getByText('Connected')).toBeVisible({ timeout: 60_000 });
    await mira.sees('payments-api-3');
    await mira.typeLine('echo both-$((40 + 2))');
    await mira.sees('both-42');
    await picture(terminal, 'terminal');
    const policy = JSON.stringify(await aws.accessPolicy('Mira Okafor', accounts.prod));
    expect([...new Set(policy.match(/m?i-[0-9a-f]{8,17}/g))].sort()).toEqual([
      'i-0be47716a0d95c3f8',
      'i-0f3a9c1d7b24e8a61',
    ]);
    expect(await aws.activeSessions('Mira Okafor', accounts.prod)).toHaveLength(1);
    // Two apps, two people: the approver sees his own things only.
    await jonas.goTo('My access');
    await expect(jonas.window.getByRole('heading', { name: 'No access is live' })).toBeVisible();
  });
});

test('a person says no with a reason, and the engineer reads it', async ({ person, picture, aws }) => {
  const elin = await person('Elin Strand');
  const jonas = await person('Jonas Lindqvist');
  await elin.request(['payments-batch-1'], 'Restart the nightly job', '1h');
  await jonas.clickNotification(/^Elin Strand asks for payments-batch-1, 1 h$/);
  await cardOf(jonas).getByRole('button', { name: 'Deny' }).click();
  const deny = cardOf(jonas).getByRole('button', { name: 'Deny' });
  await expect(deny).toBeDisabled();
  await cardOf(jonas).getByLabel('Say what would be fine').fill('Ask for the staging worker, it has the same job.');
  await picture(jonas.window, 'denying');
  await deny.click();
  await expect(
    cardOf(jonas)
      .getByText(/^You denied/)
      .first(),
  ).toBeVisible();

  const notice = await elin.waitForNotification(/^Not approved: payments-batch-1, 1 h$/);
  expect(notice.body).toBe('Jonas Lindqvist: “Ask for the staging worker, it has the same job.”');
  await elin.clickNotification(/^Not approved/);
  await expect(
    elin.window.getByText('Not approved by Jonas Lindqvist: “Ask for the staging worker, it has the same job.”'),
  ).toBeVisible();
  await picture(elin.window, 'denied');
  expect(await aws.accessPolicy('Elin Strand', accounts.prod)).toBeNull();
  // The in-app inbox holds the same facts as the notification.
  await elin.window.getByRole('button', { name: /^Inbox/ }).click();
  await expect(elin.window.getByText('Not approved: payments-batch-1, 1 h')).toBeVisible();
});

test('RQ-10 a tag changes while the card is open: the card says so', async ({ person, picture, control }) => {
  const kofi = await person('Kofi Vance');
  const rhea = await person('Rhea Nakamura');
  const instance = 'i-0a1de74c5f8b92360';
  await kofi.request(['search-index-1'], 'Look at the slow queries', '30 min');
  await rhea.clickNotification(/^Kofi Vance asks for search-index-1, 30 min$/);
  const card = cardOf(rhea);
  const approve = card.getByRole('button', { name: 'Approve 30 min' });
  await expect(approve).toBeEnabled();
  try {
    await control.call('changeInstance', { id: instance, tags: { service: 'ledger-of-everything' } });
    await expect(card.getByRole('alert').filter({ hasText: 'This has changed since you opened it' })).toContainText(
      'Read it again, then decide.',
      { timeout: 45_000 },
    );
    await picture(rhea.window, 'changed');
    // What she sees now is what she can decide.
    await expect(approve).toBeEnabled();
    await approve.click();
    await expect(card.getByText(/^You approved/).first()).toBeVisible();
  } finally {
    await control.call('changeInstance', { id: instance, tags: { service: 'search-index' } });
  }
});
