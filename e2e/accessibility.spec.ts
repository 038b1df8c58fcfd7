import AxeBuilder from '@axe-core/playwright';
import { expect, type Page } from '@playwright/test';
import { answerBrowser } from '../dev/driver/person.ts';
import { test } from './stack-fixture.ts';

type Picture = (page: Page, name: string) => Promise<void>;

/** Serious and critical violations of what is on the screen, as text that names rule and element. */
const violations = async (page: Page): Promise<string[]> => {
  // Legacy mode runs within the window itself: an app has no browser to open a helper page in.
  const { violations: found } = await new AxeBuilder({ page }).setLegacyMode(true).analyze();
  return found
    .filter(({ impact }) => impact === 'serious' || impact === 'critical')
    .flatMap(({ id, help, nodes }) => nodes.map((node) => `${id} (${help}): ${node.target.join(' ')} ${node.html}`));
};

/** Looks at the screen in light and dark. */
const checker =
  (picture: Picture) =>
  async (page: Page, screen: string): Promise<void> => {
    for (const colorScheme of ['light', 'dark'] as const) {
      await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
      await expect(page.locator('html')).toHaveAttribute('data-mantine-color-scheme', colorScheme);
      await picture(page, `${screen}-${colorScheme}`);
      expect.soft(await violations(page), `${screen}, ${colorScheme}`).toEqual([]);
    }
    await page.emulateMedia({ colorScheme: 'light', reducedMotion: 'reduce' });
  };

test('axe finds nothing serious on any screen of an engineer, light and dark', async ({
  person,
  systemBrowser,
  picture,
}) => {
  test.slow();
  const check = checker(picture);
  const idris = await person('Idris Bello', { signIn: false });
  const { window } = idris;

  await check(window, 'sign-in');
  await window.getByRole('button', { name: 'Continue in the browser' }).click();
  await expect(window.getByRole('heading', { name: 'Waiting for your browser' })).toBeVisible();
  await check(window, 'waiting-for-browser');
  const url = await idris.openedOutside();
  await answerBrowser(systemBrowser, { url, displayName: 'Idris Bello', answer: 'Deny' });
  await expect(window.getByRole('alert')).toBeVisible();
  await check(window, 'sign-in-failed');
  await window.getByRole('button', { name: 'Use a code on another device' }).click();
  await expect(window.getByRole('heading', { name: 'Type this code in a browser' })).toBeVisible();
  await check(window, 'device-code');
  await window.getByRole('button', { name: 'Cancel' }).click();
  await idris.openedOutside();
  await idris.signIn(systemBrowser, 'Idris Bello');

  await idris.goTo('My access');
  await expect(window.getByRole('heading', { name: 'No access is live' })).toBeVisible();
  await check(window, 'my-access-empty');
  await idris.goTo('Instances');
  await expect(window.getByRole('row', { name: /edge-proxy-1/ })).toBeVisible();
  await check(window, 'instances');
  await window.getByRole('button', { name: 'Filters' }).click();
  await check(window, 'filters');
  await window.keyboard.press('Escape');

  await idris.selectInstances(['edge-proxy-1', 'build-runner-win-1']);
  await window.getByRole('button', { name: 'Request access' }).click();
  const form = window.getByRole('complementary', { name: 'Request access' });
  await form.getByLabel('Another duration').fill('13h');
  await expect(form.getByRole('alert')).toHaveText('At most 12 h.');
  await check(window, 'request-refused');
  await form.getByRole('radio', { name: '30 min' }).click();
  await form.getByLabel('Why').fill('Renew the certificates');
  await expect(form.getByText('One person must approve')).toBeVisible();
  await check(window, 'request');
  await form.getByRole('button', { name: 'Send to approvers' }).click();
  await form.waitFor({ state: 'detached' });

  await idris.request(['build-runner-win-1'], 'Try the build', '30 min');
  const terminal = await idris.terminal();
  await expect(terminal.getByText('Connected')).toBeVisible({ timeout: 60_000 });
  await idris.sees('$');
  await idris.typeLine(
    "printf '\\e[31mred \\e[32mgreen \\e[33myellow \\e[34mblue \\e[35mmagenta \\e[36mcyan \\e[0mplain\\n'",
  );
  await check(terminal, 'terminal');
  await terminal.getByRole('button', { name: 'End', exact: true }).click();
  await check(terminal, 'terminal-end-question');
  await terminal.getByRole('button', { name: 'Keep it' }).click();
  await terminal.getByRole('button', { name: /^Close / }).click();
  await expect(terminal.getByRole('dialog')).toBeVisible();
  await check(terminal, 'terminal-close-question');
  await terminal.getByRole('button', { name: 'Keep it open' }).click();
  // The keyboard is the terminal's again.
  await idris.typeLine('echo back-$((40 + 2))');
  await idris.sees('back-42');

  await idris.goTo('My access');
  await expect(window.getByRole('heading', { name: 'Waiting for a yes' })).toBeVisible();
  await check(window, 'my-access');
  await window.getByRole('article').getByRole('button', { name: 'End', exact: true }).click();
  await expect(window.getByRole('dialog')).toBeVisible();
  await check(window, 'end-question');
  await window
    .getByRole('dialog')
    .getByRole('button', { name: /^End access/ })
    .click();
  await expect(window.getByText(/^Ended [a-z ]*\d\d:\d\d by you$/)).toBeVisible({ timeout: 30_000 });
  await check(window, 'my-access-ended');

  await terminal.keyboard.press('Control+Shift+F');
  await terminal.getByRole('textbox', { name: 'Find in this terminal' }).fill('green');
  await check(terminal, 'terminal-ended');

  await window
    .getByRole('button', { name: /^Receipt of/ })
    .first()
    .click();
  await expect(window.getByRole('region', { name: 'Receipt of build-runner-win-1' })).toBeVisible();
  await check(window, 'audit-story');
  await window.getByRole('button', { name: 'Kind' }).click();
  await check(window, 'audit-kinds');
  await window.keyboard.press('Escape');
  await window.getByRole('button', { name: /^Inbox/ }).click();
  await expect(window.getByRole('heading', { name: 'Inbox' })).toBeVisible();
  await check(window, 'inbox');
  await window.getByRole('button', { name: 'Settings' }).click();
  await expect(window.getByRole('heading', { name: 'Settings', level: 1 })).toBeVisible();
  await check(window, 'settings');
  await window.getByRole('button', { name: 'Sign out', exact: true }).first().click();
  await expect(window.getByRole('dialog')).toBeVisible();
  await check(window, 'sign-out-question');
  await window.keyboard.press('Escape');
  await window.keyboard.press('Control+k');
  await expect(window.getByRole('dialog')).toBeVisible();
  await window.keyboard.type('edge');
  await check(window, 'palette');
});

test('axe finds nothing serious on any screen of an approver, light and dark', async ({ person, stack, picture }) => {
  test.slow();
  const check = checker(picture);
  const tomas = await person('Tomás Herrera');
  const { window } = tomas;
  await tomas.goTo('Approvals');
  await check(window, 'approvals-empty');
  const idris = await person('Idris Bello');
  await idris.request(['edge-proxy-2'], 'Look at the second proxy', '2h');
  await tomas.clickNotification(/^Idris Bello asks for edge-proxy-2/);
  const card = window.getByRole('main');
  await expect(card.getByRole('button', { name: 'Approve 2 h' })).toBeEnabled();
  await check(window, 'card');
  await card.getByText('Whole document').click();
  await check(window, 'card-whole-document');
  await card.getByRole('button', { name: 'Approve less' }).click();
  await expect(window.getByRole('heading', { name: /^Approve less for/ })).toBeVisible();
  await check(window, 'approve-less');
  await window.keyboard.press('Escape');
  await card.getByRole('button', { name: 'Deny' }).click();
  await expect(window.getByRole('heading', { name: /^Deny / })).toBeVisible();
  await check(window, 'deny');
  await card.getByLabel('Say what would be fine').fill('Ask for the first one.');
  await card.getByRole('button', { name: 'Deny' }).click();
  await expect(card.getByText(/^You denied/).first()).toBeVisible();
  await check(window, 'card-decided');
  await idris.clickNotification(/^Not approved/);
  await check(idris.window, 'my-access-denied');
  await tomas.goTo('Audit');
  await expect(window.getByRole('row', { name: /Idris Bello/ }).first()).toBeVisible();
  await check(window, 'audit');

  await stack.backend.stop();
  try {
    await expect(window.getByText(/^The Curfew backend does not answer/).first()).toBeVisible({ timeout: 45_000 });
    await check(window, 'unreachable');
  } finally {
    await stack.backend.start();
  }
});
