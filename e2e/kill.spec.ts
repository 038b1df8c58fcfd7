import { expect } from '@playwright/test';
import type { Person } from '../dev/driver/person.ts';
import { startPastTheApp } from '../dev/driver/person-at-cli.ts';
import { accounts, test } from './stack-fixture.ts';

/** What is verified in AWS may take a moment on a busy machine: outside of what these tests are about. */
const patient = { timeout: 60_000 };

const endAccessPage = async (who: Person): Promise<void> => {
  await who.window
    .getByRole('navigation', { name: 'Places' })
    .getByRole('button', { name: 'End access' })
    .click(patient);
  await who.window.getByRole('heading', { name: 'End access', level: 1 }).waitFor();
};

/** A picture in light and one in dark. */
const inBoth = async (
  who: Person,
  picture: (page: Person['window'], name: string) => Promise<void>,
  name: string,
): Promise<void> => {
  for (const colorScheme of ['light', 'dark'] as const) {
    await who.window.emulateMedia({ colorScheme });
    await picture(who.window, `${name}-${colorScheme}`);
  }
  await who.window.emulateMedia({ colorScheme: 'light' });
};

test('RQ-18 an admin ends everything of a person, who stays stopped until a second admin lifts it', async ({
  person,
  picture,
  aws,
  control,
  stack,
}) => {
  test.setTimeout(300_000);
  await control.call('changePerson', {
    userName: 'tomas.herrera@harborline.example',
    groups: ['platform-leads', 'curfew-users', 'curfew-admins'],
  });
  const elin = await person('Elin Strand');
  const terminal = await elin.openTerminal('payments-api-s1', { reason: 'Look at one log line', duration: '30m' });
  // No app tells of this one: the sweep finds it while Dele signs in.
  const pastTheApp = await startPastTheApp(stack, 'Elin Strand', 'payments-api-s1');
  const dele = await person('Dele Adeyemi');

  await test.step('AWS-02 a session that was not opened by the app is found, and ended by the admin', async () => {
    await endAccessPage(dele);
    const found = dele.window
      .getByRole('region', { name: 'Findings' })
      .getByRole('listitem')
      .filter({ hasText: pastTheApp });
    await expect(found).toContainText('Session that no app told of', patient);
    await found.getByRole('button', { name: 'End this session' }).click();
    const dialog = dele.window.getByRole('dialog', { name: 'End this session?' });
    await expect(dialog.getByRole('button', { name: 'End the session' })).toBeDisabled();
    await dialog.getByLabel('Why').fill('Sessions go through the app here');
    await inBoth(dele, picture, 'end-session');
    await dialog.getByRole('button', { name: 'End the session' }).click();
    await expect(found).toContainText(/Terminated [a-z ]*\d\d:\d\d:\d\d, gone at the look after/, patient);
    await inBoth(dele, picture, 'session-ended');
    const live = await aws.activeSessions('Elin Strand', accounts.dev);
    expect(live).not.toContain(pastTheApp);
    expect(live).toHaveLength(1);
  });

  await test.step('the consequences stand beside the button before it is pressed', async () => {
    await expect(dele.window.getByRole('table', { name: 'Live access' })).toContainText('payments-api-s1');
    await dele.window.getByRole('combobox', { name: 'Person' }).fill('Elin');
    await dele.window.getByRole('option', { name: /Elin Strand/ }).click();
    await expect(dele.window.getByRole('table', { name: 'This ends' })).toContainText('payments-api-s1');
    const pull = dele.window.getByRole('button', { name: 'End 1 grant and 1 session' });
    await expect(pull).toBeDisabled();
    await expect(dele.window.getByText('Say why first')).toBeVisible();
    await dele.window.getByLabel('Why').fill('Laptop reported stolen, INC-114');
    await picture(dele.window, 'before');
    await pull.click();
  });

  await test.step('the switch shows its progress, and its receipt when all of it is verified', async () => {
    const switches = dele.window.getByRole('region', { name: 'Kill switches' });
    await expect(switches).toContainText('Dele Adeyemi');
    await expect(switches).toContainText(/1 grant ended, all verified \d+\.\d s after the pull/, patient);
    await expect(switches.getByRole('list', { name: 'Receipts' })).toContainText(
      /Elin Strand, payments-api-s1: access policy gone \d+\.\d s, sessions gone \d+\.\d s, verified/,
      patient,
    );
    expect(await aws.accessPolicy('Elin Strand', accounts.dev)).toBeNull();
    expect(await aws.activeSessions('Elin Strand', accounts.dev)).toEqual([]);
    await picture(dele.window, 'ended');
  });

  await test.step('the person hit reads who did it and why, and is refused', async () => {
    await expect(terminal.getByText('Access ended. Nothing after this line was sent or received.')).toBeVisible(
      patient,
    );
    await expect(elin.window.getByText('Dele Adeyemi stopped your access')).toBeVisible(patient);
    await elin.selectInstances(['payments-api-s1']);
    await elin.fillRequest('Once more', '30m');
    const form = elin.window.getByRole('complementary', { name: 'Request access' });
    // Said while it is typed, and nothing can be sent.
    await expect(form.getByRole('status').filter({ hasText: 'Stopped by Dele Adeyemi' })).toContainText(
      'Dele Adeyemi stopped all access of Elin Strand: “Laptop reported stolen, INC-114”',
      patient,
    );
    await expect(form.getByRole('button', { name: /Request access/ })).toBeDisabled();
    await inBoth(elin, picture, 'paused');
  });

  await test.step('a second admin reads of it and lifts it', async () => {
    const tomas = await person('Tomás Herrera');
    await expect(tomas.window.getByText('Dele Adeyemi stopped all access: Elin Strand')).toBeVisible(patient);
    await endAccessPage(tomas);
    await tomas.window
      .getByRole('region', { name: 'Kill switches' })
      .getByRole('button', { name: 'Lift', exact: true })
      .click();
    await tomas.window.getByRole('button', { name: 'Lift it' }).click();
    await expect(tomas.window.getByText(/^Lifted [a-z ]*\d\d:\d\d by Tomás Herrera$/)).toBeVisible(patient);
    await picture(tomas.window, 'lifted');
  });

  await test.step('then the same request goes through', async () => {
    await expect(elin.window.getByText('Dele Adeyemi stopped your access')).toBeHidden(patient);
    await elin.sendRequest();
    await elin.goTo('My access');
    const card = elin.window.getByRole('article').filter({ hasText: 'payments-api-s1' }).first();
    await card.getByRole('button', { name: 'End', exact: true }).click();
    await elin.window
      .getByRole('dialog')
      .getByRole('button', { name: /^End access/ })
      .click();
  });

  await test.step('the audit tells all of it', async () => {
    await dele.goTo('Audit');
    for (const said of [
      'Dele Adeyemi pulled the kill switch for Elin Strand: “Laptop reported stolen, INC-114”',
      'Tomás Herrera lifted the kill switch for Elin Strand',
    ]) {
      await expect(dele.window.getByText(said)).toBeVisible();
    }
  });
});

test('RQ-18 an approver stops what they may decide about from a card, and lifts it', async ({ person, picture }) => {
  test.setTimeout(240_000);
  const mira = await person('Mira Okafor');
  await mira.request(['payments-api-1'], 'Payouts are stuck', '45m');
  const jonas = await person('Jonas Lindqvist');
  await jonas.goTo('Approvals');
  const page = jonas.window;

  await test.step('the switch stands on the card, with what it would end', async () => {
    await page
      .getByRole('main')
      .getByRole('button', { name: 'Stop all access of Mira Okafor, or to this instance' })
      .click(patient);
    const dialog = page.getByRole('dialog', { name: 'Stop access of Mira Okafor, or to an instance' });
    await dialog.getByRole('combobox', { name: 'End the access of' }).click();
    await page.getByRole('option', { name: /^payments-api-1, an instance, for everybody/ }).click();
    await expect(dialog).toContainText('Waiting requests taken back');
    await dialog.getByLabel('Why').fill('Under investigation, INC-201');
    await inBoth(jonas, picture, 'stop-from-card');
    await dialog.getByRole('button', { name: 'Stop it' }).click();
  });

  await test.step('it is on, and the engineer reads so while a request is typed', async () => {
    const switches = page.getByRole('region', { name: 'Kill switches' });
    await expect(switches).toContainText(/Nothing was live, 1 request taken back/, patient);
    await inBoth(jonas, picture, 'approvers-switch');
    await mira.goTo('Instances');
    await mira.selectInstances(['payments-api-1']);
    await mira.fillRequest('Once more', '30m');
    const form = mira.window.getByRole('complementary', { name: 'Request access' });
    const stopped = form.getByRole('status').filter({ hasText: 'Stopped by Jonas Lindqvist' });
    await expect(stopped).toContainText('Under investigation, INC-201', patient);
    await inBoth(mira, picture, 'instance-stopped');
    await switches.getByRole('button', { name: 'Lift', exact: true }).click();
    await page.getByRole('button', { name: 'Lift it' }).click();
    await expect(page.getByText(/^Lifted [a-z ]*\d\d:\d\d by Jonas Lindqvist$/)).toBeVisible(patient);
    // Without a key being pressed.
    await expect(stopped).toBeHidden(patient);
    await expect(form.getByRole('button', { name: /Send to approvers/ })).toBeEnabled(patient);
  });
});

test('RQ-21 ending one access says what stays, and ends all of it', async ({ person, picture, aws }) => {
  test.setTimeout(240_000);
  const mira = await person('Mira Okafor');
  await mira.openTerminal('payments-api-s1', { reason: 'First look', duration: '30m' });
  await mira.request(['payments-api-s1'], 'Second look', '45m');
  await mira.goTo('My access');
  const cards = mira.window.getByRole('article').filter({ hasText: 'payments-api-s1' });
  await expect(cards).toHaveCount(2, patient);

  await test.step('three locks stand on the live access', async () => {
    const locks = cards.getByRole('button', { name: '3 of 3 locks armed' }).first();
    await locks.click(patient);
    const list = cards.getByRole('list', { name: 'What ends this access' }).first();
    await expect(list).toContainText(/The access policy carries its own end, [a-z ]*\d\d:\d\d:\d\d/);
    await expect(list).toContainText(/Curfew removes it, [a-z ]*\d\d:\d\d:\d\d/);
    await expect(list).toContainText(/The app closes its terminal, [a-z ]*\d\d:\d\d:\d\d/);
    await picture(mira.window, 'locks');
  });

  await test.step('the question says what stays, and all of it can be ended', async () => {
    await cards.first().getByRole('button', { name: 'End', exact: true }).click();
    const dialog = mira.window.getByRole('dialog');
    await expect(dialog.getByRole('list', { name: 'What stays reachable' })).toContainText('payments-api-s1 stays:');
    await picture(mira.window, 'stays');
    await dialog.getByRole('button', { name: 'End all your access to payments-api-s1' }).click();
    await expect(dialog).toBeHidden(patient);
    await expect(cards.getByRole('button', { name: 'End', exact: true })).toHaveCount(0, patient);
    await expect.poll(() => aws.activeSessions('Mira Okafor', accounts.dev), patient).toEqual([]);
    await expect.poll(() => aws.accessPolicy('Mira Okafor', accounts.dev), patient).toBeNull();
  });
});
