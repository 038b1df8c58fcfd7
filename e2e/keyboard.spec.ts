/** Every main flow once without a mouse (look 5), and every page in a narrow window and at 200 % (look 7). */
import { expect, type Locator, type Page } from '@playwright/test';
import type { Person } from '../dev/driver/person.ts';
import { accounts, test } from './stack-fixture.ts';

/** Presses Tab until the focus is there. @throws Error when it never comes, with where it went. */
const tabTo = async (page: Page, target: Locator): Promise<void> => {
  const visited: string[] = [];
  for (let presses = 0; presses < 80; presses += 1) {
    if (await target.evaluate((element) => element === document.activeElement)) return;
    await page.keyboard.press('Tab');
    visited.push(
      await page.evaluate(() => {
        const { activeElement: at } = document;
        return at === null ? '' : (at.getAttribute('aria-label') ?? at.textContent).slice(0, 30);
      }),
    );
  }
  throw new Error(`Tab does not lead to ${target}; it went: ${visited.join(' | ')}`);
};

/** From now on whatever the page wants to do in a second waits for `letSecondsPass`: on a busy machine the second is over too soon. */
const holdSeconds = (page: Page): Promise<void> =>
  page.evaluate(() => {
    const held: Array<() => void> = [];
    const { setTimeout: real } = window;
    const holding = (work: () => void, ms?: number): number => (ms === 1000 ? -held.push(work) : real(work, ms));
    Reflect.set(window, 'setTimeout', holding);
    Reflect.set(window, 'secondsPass', () => {
      Reflect.set(window, 'setTimeout', real);
      for (const work of held) work();
    });
  });
const letSecondsPass = (page: Page): Promise<void> =>
  page.evaluate(() => {
    const pass: unknown = Reflect.get(window, 'secondsPass');
    if (typeof pass !== 'function') throw new Error('no second is held');
    pass();
  });

const form = (page: Page) => page.getByRole('complementary', { name: 'Request access' });

test('an engineer does the whole job by keyboard alone: ask, connect, find, extend, end', async ({
  person,
  picture,
  aws,
}) => {
  const kofi = await person('Kofi Vance');
  const { window } = kofi;
  const { keyboard } = window;

  await test.step('Ctrl K finds commands and instances', async () => {
    await keyboard.press('Control+k');
    const search = window.getByRole('textbox', { name: 'Search or do' });
    await expect(search).toBeFocused();
    await keyboard.type('request acc');
    await keyboard.press('Enter');
    await expect(form(window)).toContainText('Select an instance first');
    await keyboard.press('Control+k');
    await expect(search).toBeFocused();
    await keyboard.type('search-lab');
    await expect(window.getByRole('dialog').getByText('search-lab-d1', { exact: true })).toBeVisible();
    await picture(window, 'palette');
    await keyboard.press('ArrowDown');
    await keyboard.press('Enter');
    await expect(form(window).getByText('search-lab-d1', { exact: true })).toBeVisible();
  });

  await test.step('the form is filled and sent with Ctrl Enter', async () => {
    await tabTo(window, form(window).getByLabel('Why'));
    await keyboard.type('Rebuild the index');
    await tabTo(window, form(window).getByLabel('Another duration'));
    await keyboard.type('25m');
    await expect(form(window).getByText('Approved at once')).toBeVisible();
    await picture(window, 'form');
    await keyboard.press('Control+Enter');
    await expect(form(window)).toHaveCount(0);
    await expect(window.getByRole('heading', { name: 'My access', level: 1 })).toBeVisible();
  });

  const terminal = await kofi.terminal();
  await test.step('the terminal has the keyboard: type, find, extend', async () => {
    await expect(terminal.getByText('Connected')).toBeVisible({ timeout: 60_000 });
    await kofi.sees('$');
    await kofi.typeLine('echo needle-$((40 + 2))');
    await kofi.sees('needle-42');
    await terminal.keyboard.press('Control+Shift+F');
    await expect(terminal.getByRole('textbox', { name: 'Find in this terminal' })).toBeFocused();
    await terminal.keyboard.type('needle-42');
    await expect(terminal.getByText('1 of 1', { exact: true })).toBeVisible();
    await terminal.keyboard.press('Escape');
    await kofi.typeLine('echo again-$((40 + 2))');
    await kofi.sees('again-42');
    await terminal.keyboard.press('Control+Shift+E');
    await expect(terminal.getByText(/^Extended to [a-z ]*\d\d:\d\d\.$/)).toBeVisible();
    await expect(terminal.getByRole('timer').last()).toHaveAccessibleName(/^5\d minutes left/);
    await kofi.typeLine('echo extended-$((40 + 2))');
    await kofi.sees('extended-42');
    await picture(terminal, 'extended');
  });

  await test.step('Ctrl Shift T opens another, Ctrl Tab goes between them, Ctrl Shift W asks and closes', async () => {
    await terminal.keyboard.press('Control+Shift+T');
    const tabs = terminal.getByRole('tab');
    await expect(tabs).toHaveCount(2);
    await expect(tabs.nth(1)).toHaveAttribute('aria-selected', 'true');
    await expect(terminal.getByText('Connected')).toBeVisible({ timeout: 60_000 });
    await kofi.sees('$');
    await terminal.keyboard.press('Control+Tab');
    await kofi.sees('extended-42');
    await terminal.keyboard.press('Control+Tab');
    await expect(tabs.nth(1)).toHaveAttribute('aria-selected', 'true');
    await terminal.keyboard.press('Control+Shift+W');
    const question = terminal.getByRole('dialog', { name: 'Close the terminal on search-lab-d1?' });
    await expect(question.getByRole('button', { name: 'Close and end the session' })).toBeFocused();
    await picture(terminal, 'close');
    await terminal.keyboard.press('Escape');
    await expect(question).toHaveCount(0);
    await kofi.typeLine('echo kept-$((40 + 2))');
    await kofi.sees('kept-42');
    await terminal.keyboard.press('Control+Shift+W');
    await expect(question.getByRole('button', { name: 'Close and end the session' })).toBeFocused();
    await terminal.keyboard.press('Enter');
    await expect(tabs).toHaveCount(1);
    await kofi.typeLine('echo first-$((40 + 2))');
    await kofi.sees('first-42');
    await terminal.keyboard.press('Control+Shift+W');
    await expect(question.getByRole('button', { name: 'Close and end the session' })).toBeFocused();
    await terminal.keyboard.press('Enter');
    await expect(terminal.getByText(/^No terminal is open\./)).toBeVisible();
  });

  await test.step('in My access C connects, E extends and X ends the card with the focus', async () => {
    await keyboard.press('Control+2');
    const grant = window.getByRole('article', { name: /^search-lab-d1: / });
    await tabTo(window, grant);
    await keyboard.press('e');
    await expect(grant.getByRole('status').filter({ hasText: /^extended to [a-z ]*\d\d:\d\d$/ })).toBeVisible();
    await keyboard.press('c');
    await expect(terminal.getByText('Connected')).toBeVisible({ timeout: 60_000 });
    await kofi.sees('$');
    await tabTo(window, grant);
    await keyboard.press('x');
    const dialog = window.getByRole('dialog', { name: 'End access to search-lab-d1?' });
    await expect(dialog).toBeVisible();
    await keyboard.press('Escape');
    await expect(dialog).toHaveCount(0);
    // The dialog gives the focus back to what had it.
    await expect(grant).toBeFocused();
    await keyboard.press('x');
    await expect(dialog.getByRole('button', { name: 'End access and 1 session' })).toBeFocused();
    await picture(window, 'end');
    await keyboard.press('Enter');
    await expect(window.getByText(/^Ended [a-z ]*\d\d:\d\d by you$/).first()).toBeVisible({ timeout: 30_000 });
    expect(await aws.accessPolicy('Kofi Vance', accounts.dev)).toBeNull();
  });

  await test.step('Ctrl Shift E in the ended terminal asks again with the same wish', async () => {
    await expect(terminal.getByText('Read only')).toBeVisible();
    await terminal.keyboard.press('Control+Shift+E');
    await expect(form(window).getByText('search-lab-d1', { exact: true })).toBeVisible();
    await expect(form(window).getByLabel('Why')).toHaveValue('Rebuild the index');
  });
});

test('lists and approvals by keyboard alone: search, range, Enter; A after a second, L and D with Ctrl Enter', async ({
  person,
  picture,
}) => {
  const kofi = await person('Kofi Vance');
  const rhea = await person('Rhea Nakamura');
  const { window } = kofi;
  const { keyboard } = window;
  const row = (name: string) => window.getByRole('row', { name: new RegExp(`${name} `) });

  const ask = async (reason: string): Promise<void> => {
    await expect(form(window).getByLabel('Why')).toBeFocused();
    await keyboard.type(reason);
    await expect(form(window).getByText('One person must approve')).toBeVisible();
    await keyboard.press('Control+Enter');
    await expect(form(window)).toHaveCount(0);
  };
  /** Opens the list of instances with only the three of the index in it, the focus on the first. */
  const toList = async (): Promise<void> => {
    await keyboard.press('Control+1');
    await expect(window.getByRole('heading', { name: 'Instances', level: 1 })).toBeVisible();
    await keyboard.press('/');
    await expect(window.getByRole('textbox', { name: 'Search instances' })).toBeFocused();
    await keyboard.type('search-index');
    await expect(row('search-lab-d1')).toHaveCount(0);
    await tabTo(window, row('search-index-1'));
  };

  await test.step('arrows move, Space selects, Shift with an arrow selects a range, Ctrl A all, Esc none', async () => {
    await toList();
    await keyboard.press('ArrowDown');
    await expect(row('search-index-2')).toBeFocused();
    await keyboard.press(' ');
    await expect(row('search-index-2')).toHaveAttribute('aria-selected', 'true');
    await keyboard.press('Shift+ArrowDown');
    await expect(row('search-index-3')).toHaveAttribute('aria-selected', 'true');
    await expect(row('search-index-1')).toHaveAttribute('aria-selected', 'false');
    await keyboard.press('Control+a');
    await expect(window.getByText('3 selected')).toBeVisible();
    await picture(window, 'all-selected');
    await keyboard.press('Escape');
    await expect(window.getByText(/selected$/)).toHaveCount(0);
    await tabTo(window, row('search-index-3'));
    await keyboard.press(' ');
    await keyboard.press('Enter');
    await ask('One shard is slow');
  });

  const card = rhea.window.getByRole('main');
  const approvals = rhea.window.getByRole('region', { name: 'Requests to decide' });
  const open = async (reason: string): Promise<void> => {
    await rhea.window.keyboard.press('Control+3');
    const item = approvals.getByRole('button', { name: new RegExp(reason) });
    await expect(item).toBeVisible();
    await tabTo(rhea.window, item);
    await rhea.window.keyboard.press('Enter');
    await expect(card.getByText(reason)).toBeVisible();
  };

  await test.step('A is no blind yes: it works only when the card was open for a second', async () => {
    await holdSeconds(rhea.window);
    await open('One shard is slow');
    const approve = card.getByRole('button', { name: /^Approve \d/ });
    await expect(approve).toBeDisabled();
    await rhea.window.keyboard.press('a');
    await expect(approve).toBeDisabled();
    await letSecondsPass(rhea.window);
    await expect(approve).toBeEnabled();
    await expect(card.getByText(/^You approved/)).toHaveCount(0);
    await picture(rhea.window, 'card');
    await rhea.window.keyboard.press('a');
    await expect(card.getByText(/^You approved/).first()).toBeVisible();
    await kofi.waitForNotification(/^Approved: search-index-3/);
  });

  await test.step('L opens approve less, Ctrl Enter sends it', async () => {
    await toList();
    await keyboard.press(' ');
    await keyboard.press('ArrowDown');
    await keyboard.press(' ');
    await keyboard.press('Enter');
    await ask('Two shards are slow');
    await open('Two shards are slow');
    await expect(card.getByRole('button', { name: /^Approve \d/ })).toBeEnabled();
    await rhea.window.keyboard.press('l');
    await expect(card.getByRole('heading', { name: 'Approve less for Kofi Vance' })).toBeVisible();
    await tabTo(rhea.window, card.getByRole('checkbox', { name: /^search-index-2/ }));
    await rhea.window.keyboard.press(' ');
    await tabTo(rhea.window, card.getByLabel('Say why'));
    await rhea.window.keyboard.type('The first one only: all answers are there.');
    await picture(rhea.window, 'less');
    await rhea.window.keyboard.press('Control+Enter');
    await expect(card.getByText(/^You approved/).first()).toBeVisible();
    await kofi.waitForNotification(/^Approved for less: search-index-1/);
  });

  await test.step('D opens deny with the focus in its field, Esc leaves it, Ctrl Enter sends it', async () => {
    await toList();
    await keyboard.press(' ');
    await keyboard.press('Enter');
    await ask('Look at everything');
    await open('Look at everything');
    await expect(card.getByRole('button', { name: /^Approve \d/ })).toBeEnabled();
    await rhea.window.keyboard.press('d');
    const why = card.getByLabel('Say what would be fine');
    await expect(why).toBeFocused();
    // In a field letters are letters, also those that decide elsewhere.
    await rhea.window.keyboard.type('a, l, d');
    await expect(why).toHaveValue('a, l, d');
    await rhea.window.keyboard.press('Escape');
    await expect(why).toHaveCount(0);
    await rhea.window.keyboard.press('d');
    await expect(why).toBeFocused();
    await rhea.window.keyboard.type('Say which shard.');
    await rhea.window.keyboard.press('Control+Enter');
    await expect(card.getByText(/^You denied/).first()).toBeVisible();
    await kofi.waitForNotification(/^Not approved: search-index-1/);
  });
});

type Size = { name: string; width: number; height: number };
/** A window of 1280 x 800 at 200 % has as much room as one of 640 x 400. */
const sizes: Size[] = [
  { name: '960', width: 960, height: 720 },
  { name: 'zoom-200', width: 640, height: 400 },
];

/** What is wider than its frame although it may not be: everything but the access policy and the terminal (look 7). */
const sideways = (page: Page): Promise<string[]> =>
  page.evaluate(() => {
    const mayScroll = '[aria-label="Access policy change"], [aria-label="The whole access policy"], .xterm, pre';
    return [...document.querySelectorAll('*')]
      .filter((element) => {
        if (element.closest(mayScroll) !== null || element.clientWidth === 0) return false;
        const scrolls = ['auto', 'scroll'].includes(getComputedStyle(element).overflowX);
        const whole = element === document.documentElement;
        return (scrolls || whole) && element.scrollWidth > element.clientWidth + 1;
      })
      .map(
        (element) =>
          `${element.tagName} ${element.getAttribute('aria-label') ?? element.className}: ${element.scrollWidth} in ${element.clientWidth}`,
      );
  });

/** Holds that every button and field within can really be pressed: in the window, after scrolling down, with nothing above it. */
const expectReachable = async (scope: Locator, screen: string): Promise<void> => {
  // What looks like a switch is drawn over its field and takes the press for it.
  const actions = scope.locator(
    'button:visible:enabled, input:not([role="switch"], [type="radio"]):visible:enabled, textarea:visible:enabled, .mantine-Switch-track:visible',
  );
  const all = await actions.all();
  expect(all.length, `${screen} has actions`).toBeGreaterThan(0);
  for (const action of all) {
    const problem = await action
      .click({ trial: true, timeout: 10_000 })
      .then(() => null)
      .catch((error: unknown) => String(error).split('\n').slice(0, 12).join('\n'));
    const name = problem === null ? '' : await action.evaluate((element) => element.outerHTML.slice(0, 120));
    expect.soft(problem, `${screen}: ${name}`).toBeNull();
  }
};

test('960 px wide and at 200 % nothing scrolls sideways and every action can be reached', async ({
  person,
  picture,
}) => {
  test.slow();
  const idris = await person('Idris Bello');
  const tomas = await person('Tomás Herrera');
  const at = async (who: Person, screen: string, scope?: Locator): Promise<void> => {
    for (const { name, width, height } of sizes) {
      await who.window.setViewportSize({ width, height });
      await picture(who.window, `${screen}-${name}`);
      expect.soft(await sideways(who.window), `${screen}, ${name}`).toEqual([]);
      await expectReachable(scope ?? who.window.locator('#root'), `${screen}, ${name}`);
    }
    await who.window.setViewportSize({ width: 1280, height: 800 });
  };
  const { window } = idris;

  await idris.selectInstances(['edge-proxy-1', 'build-runner-win-1']);
  await at(idris, 'instances');
  await idris.fillRequest('Renew the certificates of the proxies', '45m');
  await expect(form(window).getByText('One person must approve')).toBeVisible();
  await at(idris, 'request', form(window));
  await idris.sendRequest();
  const terminal = await idris.openTerminal('build-runner-win-1', { reason: 'Try the build', duration: '30m' });
  await idris.goTo('My access');
  await expect(window.getByRole('heading', { name: 'Waiting for a yes' })).toBeVisible();
  await at(idris, 'my-access');

  await tomas.clickNotification(/^Idris Bello asks for edge-proxy-1 and 1 more, 45 min$/);
  const card = tomas.window.getByRole('main');
  await expect(card.getByRole('button', { name: 'Approve 45 min' })).toBeEnabled();
  await at(tomas, 'card', card);
  await card.getByRole('button', { name: 'Approve less' }).click();
  await at(tomas, 'approve-less', card);
  await tomas.window.keyboard.press('Escape');
  await card.getByRole('button', { name: 'Deny' }).click();
  await card.getByLabel('Say what would be fine').fill('One at a time.');
  await at(tomas, 'deny', card);
  await tomas.window.keyboard.press('Control+Enter');
  await expect(card.getByText(/^You denied/).first()).toBeVisible();

  await test.step('the terminal: the number and the end are always there, and it scrolls nowhere', async () => {
    for (const [width, height] of [
      [960, 600],
      [640, 400],
      [480, 320],
    ] as const) {
      await terminal.setViewportSize({ width, height });
      await picture(terminal, `terminal-${width}`);
      await expect(terminal.getByRole('timer').last()).toBeInViewport({ ratio: 1 });
      await expect(terminal.getByRole('button', { name: 'End', exact: true })).toBeInViewport({ ratio: 1 });
      expect.soft(await sideways(terminal), `terminal, ${width}`).toEqual([]);
      await expectReachable(terminal.locator('footer'), `terminal, ${width}`);
    }
    await terminal.getByRole('button', { name: 'End', exact: true }).click();
    await expectReachable(terminal.getByRole('alertdialog'), 'terminal asks');
    await terminal.getByRole('alertdialog').getByRole('button', { name: 'End access' }).click();
    await expect(terminal.getByText('Read only')).toBeVisible();
    await expectReachable(terminal.locator('footer'), 'terminal ended');
  });

  await idris.goTo('Audit');
  await expect(window.getByRole('row', { name: /Idris Bello/ }).first()).toBeVisible();
  await at(idris, 'audit');
  await window
    .getByRole('row', { name: /Idris Bello/ })
    .first()
    .click();
  await at(idris, 'story', window.getByRole('complementary'));
  for (const place of ['Settings', /^Inbox/] as const) {
    await window.getByRole('button', { name: place }).click();
    await at(idris, typeof place === 'string' ? place : 'Inbox');
  }
});
