import { expect, type Page } from '@playwright/test';
import { until } from '../dev/driver/person.ts';
import { accounts, test } from './stack-fixture.ts';

/** Keeps all that main sends to the terminal window from now on, as the window itself gets it. */
const recordOutput = (terminal: Page): Promise<void> =>
  terminal.evaluate(() => {
    const bridge: unknown = Reflect.get(window, 'curfewTerminal');
    const listen: unknown = typeof bridge === 'object' && bridge !== null ? Reflect.get(bridge, 'onOutput') : null;
    if (typeof listen !== 'function') throw new Error('the terminal window has no bridge');
    const chunks: string[] = [];
    Reflect.set(window, 'recorded', chunks);
    listen((_tabId: string, chunk: string) => chunks.push(chunk));
  });

/** Notes the longest time, ms, in which the page could do nothing else. */
const watchStalls = (page: Page): Promise<void> =>
  page.evaluate(() => {
    let last = performance.now();
    Reflect.set(window, 'longestStall', 0);
    setInterval(() => {
      const now = performance.now();
      Reflect.set(window, 'longestStall', Math.max(Number(Reflect.get(window, 'longestStall')), now - last));
      last = now;
    }, 20);
  });

test('a rule says yes at once: from selecting an instance to a working terminal', async ({ person, picture, aws }) => {
  const mira = await person('Mira Okafor');

  await test.step('the form says before sending that no person is needed', async () => {
    await mira.selectInstances(['payments-sim-d1']);
    await mira.window.getByRole('button', { name: 'Request access' }).click();
    const form = mira.window.getByRole('complementary', { name: 'Request access' });
    await form.getByRole('radio', { name: '30 min' }).click();
    await form.getByLabel('Why').fill('Try the simulator');
    await expect(form.getByText('Approved at once')).toBeVisible();
    await picture(mira.window, 'form');
    expect(await aws.accessPolicy('Mira Okafor', accounts.dev)).toBeNull();
    await form.getByRole('button', { name: 'Request and connect' }).click();
  });

  const terminal = await mira.terminal();
  await test.step('a terminal opens on a real shell', async () => {
    await expect(terminal.getByText('Connected')).toBeVisible({ timeout: 60_000 });
    await mira.sees('$');
    await mira.typeLine('echo shell-$((40 + 2)) on $(hostname)');
    await mira.sees('shell-42');
    await expect(terminal.getByRole('timer').first()).toHaveAccessibleName(/left/);
    expect(JSON.stringify(await aws.accessPolicy('Mira Okafor', accounts.dev))).toContain('i-02c9d47f8e0ab6513');
    expect(await aws.activeSessions('Mira Okafor', accounts.dev)).toHaveLength(1);
    await picture(terminal, 'terminal');
  });

  await test.step('the shell knows the size of the visible grid, also after the window was resized', async () => {
    const sizes: string[] = [];
    for (const [width, height] of [
      [900, 520],
      [1180, 760],
    ] as const) {
      await terminal.setViewportSize({ width, height });
      const rows = await until('a stable grid', async () => {
        const count = () => terminal.locator('[role="tabpanel"]:not([hidden]) .xterm-rows > div').count();
        const before = await count();
        await terminal.waitForTimeout(300);
        return before === (await count()) ? before : null;
      });
      await mira.typeLine('clear; stty size');
      const screen = await mira.sees(new RegExp(`^${rows} \\d+$`, 'm'));
      const columns = Number(/^\d+ (\d+)$/m.exec(screen)?.[1]);
      sizes.push(`${rows}x${columns}`);
      // A line of exactly so many characters fills one row; one more begins the next.
      await mira.typeLine(`clear; printf '%0${columns}d' 7; echo next`);
      const filled = await mira.sees(/^0+7$\nnext/m);
      expect(/^0+7$/m.exec(filled)?.[0]).toHaveLength(columns);
    }
    expect(new Set(sizes).size).toBe(2);
  });

  await test.step('unicode survives in both directions', async () => {
    await mira.typeLine('clear; echo "ünïcödé 漢字テスト 한국어 ✓ 🚀 👩‍🔬" | tr a-z a-z; echo "漢字" | wc -m');
    const screen = await mira.sees(/^3$/m);
    expect(screen).toMatch(/^ünïcödé 漢字テスト 한국어 ✓ 🚀 👩‍🔬$/m);
    await picture(terminal, 'unicode');
  });

  await test.step('Ctrl-C ends what runs', async () => {
    await mira.typeLine('clear; echo going-$((40 + 2)); sleep 1000');
    await mira.sees('going-42');
    await terminal.keyboard.press('Control+c');
    await mira.typeLine('echo code-$?');
    await mira.sees('code-130');
    await mira.typeLine('yes flood');
    await mira.sees(/(flood\n){10}/);
    await terminal.keyboard.press('Control+c');
    await mira.typeLine('clear; echo after-$((40 + 2))');
    await mira.sees(/^after-42$/m, 60_000);
  });

  await test.step('more than 5 MB of output arrive whole, and the window stays usable', async () => {
    const last = 745_000;
    await recordOutput(terminal);
    await watchStalls(terminal);
    await mira.typeLine(`clear; seq 1 ${last}; echo done-$((40 + 2))`);
    await mira.sees(/^\d{2,}$/m);
    await terminal.getByRole('button', { name: 'End', exact: true }).click();
    await terminal.getByRole('button', { name: 'Keep it' }).click();
    await mira.sees('done-42', 120_000);
    const got = await terminal.evaluate((lines) => {
      const recorded: unknown = Reflect.get(window, 'recorded');
      const text = Array.isArray(recorded) ? recorded.join('') : '';
      const expected = Array.from({ length: lines }, (_, index) => `${index + 1}\r\n`).join('');
      const at = text.indexOf('1\r\n2\r\n3\r\n');
      return {
        characters: expected.length,
        whole: text.slice(at, at + expected.length) === expected,
        longestStallMs: Number(Reflect.get(window, 'longestStall')),
      };
    }, last);
    expect(got.characters).toBeGreaterThan(5_000_000);
    expect(got.whole).toBe(true);
    expect(got.longestStallMs).toBeLessThan(3000);
    await picture(terminal, 'after-flood');
  });

  await test.step('ended from the terminal itself', async () => {
    await terminal.getByRole('button', { name: 'End', exact: true }).click();
    await terminal.getByRole('alertdialog').getByRole('button', { name: 'End access' }).click();
    await expect(terminal.getByText('Read only')).toBeVisible();
    await expect(terminal.getByText(/^Access policy gone .* after the end, verified/)).toBeVisible({ timeout: 30_000 });
    expect(await aws.accessPolicy('Mira Okafor', accounts.dev)).toBeNull();
    await picture(terminal, 'ended');
  });
});
