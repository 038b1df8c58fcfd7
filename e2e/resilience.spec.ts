/** What must not break a person's work: a sign-in left lying, full-screen programs, a backend that goes away, a bad network. */
import { existsSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { expect, type Page } from '@playwright/test';
import { answerBrowser, until } from '../dev/driver/person.ts';
import { accounts, endsIn, homeOf, test, withoutBackend } from './stack-fixture.ts';

const offline = (page: Page) =>
  page
    .getByRole('status')
    .filter({ hasText: /The Curfew backend does not answer since [a-z ]*\d\d:\d\d, \d+ (s|min) ago/ });

/** The age that the offline note gives, seconds. */
const ageOf = async (page: Page): Promise<number> => {
  const [, number, unit] = /(\d+) (s|min) ago/.exec((await offline(page).textContent()) ?? '') ?? [];
  return Number(number) * (unit === 'min' ? 60 : 1);
};

const onMachine = (program: string): boolean =>
  ['/usr/local/bin', '/usr/bin', '/bin'].some((folder) => existsSync(path.join(folder, program)));

test('an abandoned sign-in is no dead end: the browser can be opened again, cancelled, and begun anew', async ({
  person,
  systemBrowser,
  picture,
}) => {
  const idris = await person('Idris Bello', { signIn: false });
  const { window } = idris;
  const waiting = window.getByRole('heading', { name: 'Waiting for your browser' });

  await window.getByRole('button', { name: 'Continue in the browser' }).click();
  const tab = await systemBrowser.newPage();
  await tab.goto(await idris.openedOutside());
  await expect(tab.getByRole('radio', { name: 'Idris Bello' })).toBeVisible();
  await tab.close();
  await expect(waiting).toBeVisible();
  await expect(window.getByText(/A closed tab is no dead end\.$/)).toBeVisible();
  await picture(window, 'tab-closed');

  await test.step('cancelled: back at the start, and the old tab opens nothing', async () => {
    await window.getByRole('button', { name: 'Open the browser again' }).click();
    const url = await idris.openedOutside();
    await window.getByRole('button', { name: 'Cancel' }).click();
    await expect(window.getByRole('heading', { name: 'Sign in to Harborline' })).toBeVisible();
    await expect(window.getByRole('alert')).toHaveCount(0);
    const callback = new URL(new URL(url).searchParams.get('redirect_uri') ?? '');
    await expect(fetch(callback)).rejects.toThrow();
  });

  await test.step('begun anew and left again, the tab that is opened again gets in', async () => {
    await window.getByRole('button', { name: 'Continue in the browser' }).click();
    await expect(waiting).toBeVisible();
    await idris.openedOutside();
    await window.getByRole('button', { name: 'Open the browser again' }).click();
    const page = await answerBrowser(systemBrowser, {
      url: await idris.openedOutside(),
      displayName: 'Idris Bello',
      answer: 'Allow access',
    });
    expect(page).toBe('You are signed in');
    await expect(window.getByRole('navigation', { name: 'Places' })).toContainText('Idris Bello');
  });
});

test('full-screen programs draw, take keys, leave the alternate screen, and the scrollback is as it was', async ({
  person,
  picture,
}) => {
  const programs = ['vi', 'less', 'top'].filter(onMachine);
  // biome-ignore lint/suspicious/noSkippedTests: there is nothing to draw a full screen with
  test.skip(programs.length === 0, 'this machine has neither vi, less nor top');
  const mira = await person('Mira Okafor');
  const terminal = await mira.openTerminal('payments-fraud-s1', { reason: 'Read a long log', duration: '30m' });
  await mira.typeLine('for n in $(seq 1 200); do echo kept-$n-; done; seq -f "only-inside-%g-" 1 400 > long.txt');
  await mira.sees('kept-200-');

  /** After a program: its screen is gone and what was there before is there again. */
  const expectBack = async (mark: string): Promise<void> => {
    await mira.sees('kept-200-');
    await mira.typeLine(`echo after-${mark}-$((40 + 2))`);
    const screen = await mira.sees(`after-${mark}-42`);
    expect(screen).toContain('kept-200-');
    expect(screen).not.toContain('only-inside-');
  };

  if (programs.includes('less')) {
    await test.step('less', async () => {
      await mira.typeLine('less long.txt');
      const drawn = await mira.sees(/^only-inside-1-$/m);
      // It has the whole screen for itself.
      expect(drawn).not.toContain('kept-');
      await terminal.keyboard.press('G');
      await mira.sees(/^only-inside-400-$/m);
      await terminal.keyboard.type('?inside-123-');
      await terminal.keyboard.press('Enter');
      await mira.sees(/^only-inside-123-$/m);
      await picture(terminal, 'less');
      await terminal.keyboard.press('q');
      await expectBack('less');
    });
  }
  if (programs.includes('vi')) {
    await test.step('vi', async () => {
      await mira.typeLine('vi note.txt');
      await mira.sees(/^~\n~/m);
      await terminal.keyboard.type('iwritten in vi, ünïcödé 漢字');
      await terminal.keyboard.press('Escape');
      await terminal.setViewportSize({ width: 1000, height: 560 });
      await mira.sees(/^written in vi, ünïcödé 漢字\n~/m);
      await picture(terminal, 'vi');
      await terminal.keyboard.type(':wq');
      await terminal.keyboard.press('Enter');
      await expectBack('vi');
      await mira.typeLine('cat note.txt');
      await mira.sees(/^written in vi, ünïcödé 漢字$/m);
    });
  }
  if (programs.includes('top')) {
    await test.step('top', async () => {
      await mira.typeLine('top -d 0.5');
      const first = await mira.sees(/load average.*[\s\S]*PID/);
      await until('top to draw again', async () => ((await mira.screenText()) === first ? null : true));
      await picture(terminal, 'top');
      await terminal.keyboard.press('q');
      // It throws away what is typed before it has left.
      await mira.sees(/\$$/);
      await mira.typeLine('echo after-top-$((40 + 2))');
      await mira.sees('after-top-42');
    });
  }
  await test.step('nothing of the programs is in the scrollback, and nothing of the scrollback is lost', async () => {
    await terminal.keyboard.press('Control+Shift+F');
    const find = terminal.getByRole('textbox', { name: 'Find in this terminal' });
    await find.fill('kept-3-');
    await expect(terminal.getByText('1 of 1', { exact: true })).toBeVisible();
    await mira.sees(/^kept-3-$/m);
    await find.fill('only-inside-399-');
    await expect(terminal.getByText('none', { exact: true })).toBeVisible();
  });
});

test('the backend stops, and is killed, while a terminal is open: the terminal goes on, the app says since when, and recovers', async ({
  person,
  picture,
  stack,
  aws,
}) => {
  const elin = await person('Elin Strand');
  const terminal = await elin.openTerminal('payments-worker-s1', { reason: 'Watch a queue', duration: '30m' });
  const sessions = await aws.activeSessions('Elin Strand', accounts.dev);
  expect(sessions).toHaveLength(1);
  await elin.goTo('My access');
  const grant = elin.window.getByRole('article', { name: /^payments-worker-s1: / });
  await elin.typeLine('clear; for n in $(seq 1 2000); do echo tick-$n-; sleep 0.2; done');
  await elin.sees(/tick-3-/);

  const lastTick = async (): Promise<number> =>
    Math.max(0, ...[...(await elin.screenText()).matchAll(/tick-(\d+)-/g)].map(([, number]) => Number(number)));
  const expectTicking = async (): Promise<void> => {
    const before = await lastTick();
    await until('more ticks', async () => ((await lastTick()) > before + 2 ? true : null));
  };

  for (const how of ['stop', 'kill'] as const) {
    await test.step(how, async () => {
      await withoutBackend(stack, how, async () => {
        await expect(offline(elin.window)).toBeVisible({ timeout: 45_000 });
        await expect(offline(elin.window)).toContainText(
          'What you see is as it was then. Live access ends on time all the same',
        );
        const age = await ageOf(elin.window);
        await until('the age to grow', async () => ((await ageOf(elin.window)) > age ? true : null));
        // What is known stays, what cannot be done says why.
        await expect(grant).toBeVisible();
        await expect(grant).toContainText('Extend, connect and end: needs the backend');
        await expect(grant.getByRole('button', { name: 'Connect' })).toHaveCount(0);
        await expect(terminal.getByText('Connected')).toBeVisible();
        await expect(terminal.getByRole('list', { name: 'What ends this access' })).toContainText(
          'backend not holding',
        );
        await expectTicking();
        await picture(elin.window, `offline-${how}`);
        await picture(terminal, `terminal-${how}`);
      });
      await expect(offline(elin.window)).toHaveCount(0, { timeout: 45_000 });
      await expect(grant.getByRole('button', { name: 'Connect' })).toBeVisible();
      await expect(terminal.getByText('backend not holding')).toHaveCount(0);
      await expectTicking();
    });
  }
  // The same session all along.
  await terminal.keyboard.press('Control+c');
  await elin.typeLine('clear; echo still-$((40 + 2))');
  await elin.sees(/^still-42$/m);
  expect(await aws.activeSessions('Elin Strand', accounts.dev)).toEqual(sessions);
});

test('TERM-10 access ends on time although the backend is down at the end; nothing is claimed until it came back and verified', async ({
  person,
  picture,
  stack,
  aws,
}) => {
  const kofi = await person('Kofi Vance');
  const terminal = await kofi.openTerminal('search-lab-d1', { reason: 'Look at one log line', duration: '1m' });
  await kofi.goTo('My access');
  const timer = terminal.getByRole('timer').last();
  const [end = Number.NaN] = endsIn(await aws.accessPolicy('Kofi Vance', accounts.dev));
  expect(end).toBeGreaterThan(Date.now());
  // The window's own time, whenever we come to look.
  await terminal.evaluate(() => {
    new MutationObserver((_changes, observer) => {
      if (!document.body.textContent.includes('Access ended. Nothing after this line')) return;
      Reflect.set(window, 'endedAt', Date.now());
      observer.disconnect();
    }).observe(document.body, { subtree: true, childList: true, characterData: true });
  });

  await withoutBackend(stack, 'kill', async () => {
    await expect(terminal.getByText('Access ended. Nothing after this line was sent or received.')).toBeVisible({
      timeout: 75_000,
    });
    // The app ends it by itself, on time: not before, and not more than a few seconds after.
    const endedAt = await terminal.evaluate(() => Number(Reflect.get(window, 'endedAt')));
    expect(endedAt).toBeGreaterThanOrEqual(end - 1000);
    expect(endedAt).toBeLessThan(end + 10_000);
    await expect(terminal.getByText('Read only')).toBeVisible();
    await kofi.typeLine('echo typed-too-late');
    await expect(timer).toHaveAccessibleName(/^(Ending, not verified yet|Not verified \d+ seconds after the end)/);
    await expect(kofi.window.getByRole('article', { name: /^search-lab-d1: / })).toHaveAccessibleName(
      /(Ending, not verified yet|Not verified \d+ seconds after the end)/,
    );
    await expect(kofi.window.getByText(/^Ended [a-z ]*\d\d:\d\d/)).toHaveCount(0);
    // The access policy still stands, and has allowed nothing since its own end.
    expect(endsIn(await aws.accessPolicy('Kofi Vance', accounts.dev))[0]).toBe(end);
    expect(await kofi.screenText()).not.toContain('typed-too-late');
    await picture(kofi.window, 'not-verified');
    await picture(terminal, 'terminal-not-verified');
  });

  await expect(terminal.getByText(/^Access policy gone .* after the end, verified/)).toBeVisible({ timeout: 60_000 });
  await expect(timer).toHaveAccessibleName(/^Ended [a-z ]*\d\d:\d\d, verified$/);
  expect(await aws.accessPolicy('Kofi Vance', accounts.dev)).toBeNull();
  expect(await aws.activeSessions('Kofi Vance', accounts.dev)).toEqual([]);
  await expect(kofi.window.getByText(/^verified .* after the end$/).first()).toBeVisible();
  await picture(kofi.window, 'verified');
});

test('the network is cut and comes back, and is bad for a while: nothing is lost, typing works again', async ({
  person,
  picture,
  control,
  stack,
  aws,
}) => {
  const mira = await person('Mira Okafor');
  const terminal = await mira.openTerminal('payments-sim-d1', { reason: 'Follow the simulator', duration: '30m' });
  const sessions = await aws.activeSessions('Mira Okafor', accounts.dev);

  await test.step('cut: it says that it reconnects, and what ran meanwhile is all there', async () => {
    const home = homeOf(stack, 'payments-sim-d1');
    const whenCut = 'until [ -e cut ]; do sleep 0.1; done; seq -f "meanwhile-%g-" 1 30; touch ran';
    await mira.typeLine(`clear; echo going-$((40 + 2)); (${whenCut}) & read answer; echo "got $answer"`);
    await mira.sees('going-42');
    // AWS lets the session be resumed only when we say so.
    await control.call('addFault', {
      match: { service: 'ssm', operation: 'ResumeSession' },
      times: null,
      effect: { kind: 'error', code: 'InternalServerError', status: 500 },
    });
    await control.call('drop');
    await expect(terminal.getByText(/^Reconnecting, try \d+$/)).toBeVisible();
    writeFileSync(path.join(home, 'cut'), '');
    await until('what runs meanwhile', async () => (existsSync(path.join(home, 'ran')) ? true : null));
    await mira.typeLine('typed while cut');
    expect(await mira.screenText()).not.toContain('typed while cut');
    await picture(terminal, 'reconnecting');
    await control.call('clearFaults');
    await expect(terminal.getByText('Connected')).toBeVisible({ timeout: 60_000 });
    const screen = await mira.sees(/^got typed while cut$/m);
    const arrived = [...screen.matchAll(/meanwhile-(\d+)-/g)].map(([, number]) => Number(number));
    expect(arrived.slice(-10)).toEqual([21, 22, 23, 24, 25, 26, 27, 28, 29, 30]);
    await picture(terminal, 'connected-again');
  });

  await test.step('a network that loses, repeats, reorders and spoils: everything arrives once and in order', async () => {
    try {
      await control.call('changeLink', {
        latencyMs: 40,
        loseShare: 0.1,
        duplicateShare: 0.1,
        reorderShare: 0.2,
        corruptShare: 0.02,
      });
      await mira.typeLine('clear; seq 1 3000 | tee all.txt; cksum < all.txt; echo done-$((40 + 2))');
      const screen = await mira.sees(/^done-42$/m, 60_000);
      expect(screen).toMatch(/^2998\n2999\n3000\n\d+ 13893$/m);
      await mira.typeLine('clear; echo the quick brown fox jumps over the lazy dog $((6 * 7))');
      await mira.sees(/^the quick brown fox jumps over the lazy dog 42$/m, 60_000);
    } finally {
      await control.call('changeLink', {});
    }
  });

  await test.step('a network that is silent, without being cut: what was typed arrives when it is back', async () => {
    try {
      await control.call('changeLink', { loseShare: 1 });
      await mira.typeLine('clear; echo silent-$((40 + 2))');
      await control.call('drop');
      await expect(terminal.getByText(/^(Reconnecting, try \d+|Connected)$/)).toBeVisible();
      expect(await mira.screenText()).not.toContain('silent-42');
    } finally {
      await control.call('changeLink', {});
    }
    await mira.sees(/^silent-42$/m);
    await expect(terminal.getByText('Connected')).toBeVisible();
  });
  expect(await aws.activeSessions('Mira Okafor', accounts.dev)).toEqual(sessions);
});
