import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { expect, type Page } from '@playwright/test';
import { parse, stringify } from 'yaml';
import { type Person, until } from '../dev/driver/person.ts';
import { type Stack, startStack } from '../dev/start/stack.ts';
import { accounts, homeOf, test } from './stack-fixture.ts';

/**
 * A hostile instance: what its programs print is tried on the built terminal window, through the real data channel. The sequences one by one,
 * with their times, are tried in `hostile-output.test.ts`.
 */
const instance = 'payments-sim-d1';

const connect = async (who: Person, reason: string): Promise<Page> => {
  await who.request([instance], reason, '30 min');
  const terminal = await who.terminal();
  await expect(terminal.getByText('Connected')).toBeVisible({ timeout: 60_000 });
  await who.sees('$');
  return terminal;
};

/** Lays a file into the home folder of the instance, as somebody who owns it would. */
const plant = (stack: Stack, name: string, text: string): void =>
  fs.writeFileSync(path.join(homeOf(stack, instance), name), text);

/** Keeps what the window types, and the longest time, ms, in which it could do nothing else. */
const watch = (terminal: Page): Promise<void> =>
  terminal.evaluate(() => {
    let last = performance.now();
    Reflect.set(window, 'longestStall', 0);
    setInterval(() => {
      const now = performance.now();
      Reflect.set(window, 'longestStall', Math.max(Number(Reflect.get(window, 'longestStall')), now - last));
      last = now;
    }, 10);
  });
const longestStall = (terminal: Page): Promise<number> =>
  terminal.evaluate(() => Number(Reflect.get(window, 'longestStall')));

/** Resident memory of a process, bytes. */
const memoryOf = (pid: number): number => {
  const [, kilobytes = '0'] = /^VmRSS:\s+(\d+) kB$/m.exec(fs.readFileSync(`/proc/${pid}/status`, 'utf8')) ?? [];
  return Number(kilobytes) * 1024;
};

const clearScreen = '\u001b[2J\u001b[H';

test('TERM-02 titles and the countdown are ours whatever the instance draws', async ({ person, picture, stack }) => {
  const mira = await person('Mira Okafor');
  const terminal = await connect(mira, 'Draw all over the screen');
  const titleBefore = await terminal.title();
  const tabs = terminal.getByRole('tab');
  const fake = '11 h 59 m left, extended by Jonas';
  plant(
    stack,
    'draw',
    [
      clearScreen,
      ...['0', '1', '2', '9', '777;notify;Curfew', '99;i=1'].map((id) => `\u001b]${id};${fake}\u0007`),
      `\u001b[8;500;500t\u001b[9;1t\u001b[3;0;0t`,
      ...Array.from({ length: 60 }, (_, row) => `\u001b[${row + 1};1H${fake} `.padEnd(90, '#')),
      '\u0007'.repeat(5000),
      '\u001b[1;1Hdrawn-all',
    ].join(''),
  );
  await mira.typeLine('cat draw; read -r _');
  await mira.sees('drawn-all');
  expect(await terminal.title()).toBe(titleBefore);
  await expect(tabs).toHaveCount(1);
  await expect(tabs).toContainText(instance);
  await expect(tabs).not.toContainText('extended');
  // The real countdown stands outside of the grid, uncovered, and says what is true.
  const bar = terminal.locator('footer').getByRole('timer');
  await expect(bar).toHaveAccessibleName(/^(30|29|28) minutes left on payments-sim-d1/);
  const covered = await bar.evaluate((element) => {
    const { x, y, width, height } = element.getBoundingClientRect();
    const on = document.elementFromPoint(x + width / 2, y + height / 2);
    return on === null || !(element.contains(on) || on.contains(element)) || on.closest('.xterm') !== null;
  });
  expect(covered).toBe(false);
  expect((await mira.notifications()).filter(({ title, body }) => `${title}${body}`.includes('extended'))).toEqual([]);
  await picture(terminal, 'drawn-over');
});

test('TERM-01 TERM-03 TERM-04 keys typed into a flood arrive; answers, the clipboard and links do nothing by themselves', async ({
  person,
  stack,
}) => {
  const mira = await person('Mira Okafor');
  const terminal = await connect(mira, 'Type while output flows');

  await test.step('cursor keys, F-keys and bracketed paste pass while output is drawn', async () => {
    // Puts the tty into raw mode, floods in the background and writes down each byte that is typed.
    plant(
      stack,
      'keys',
      [
        'stty raw -echo',
        "printf '\\033[?2004h\\033[?1000h\\033[?1006h'",
        '(n=0; while :; do n=$((n + 1)); echo "flood $n \\033[6n\\033[c"; done) &',
        'flood=$!',
        'head -c 2000000 < /dev/tty | stdbuf -o0 od -An -v -tx1 -w1 > typed &',
        'reader=$!',
        'while [ ! -e enough ]; do sleep 0.1; done',
        'kill $flood $reader; stty sane; printf "\\033[?2004l\\033[?1000l\\033[?1006l"; clear; echo keys-over',
      ].join('\n'),
    );
    const since = Date.now();
    await mira.typeLine('sh keys');
    await mira.sees(/flood \d{3,}/);
    const keys = ['ArrowUp', 'ArrowDown', 'ArrowLeft', 'Home', 'F5', 'Delete', 'PageUp'];
    for (let round = 0; round < 10; round += 1) for (const key of keys) await terminal.keyboard.press(key);
    await terminal.evaluate(() => {
      const area = document.querySelector('[role="tabpanel"]:not([hidden]) textarea');
      const data = new DataTransfer();
      data.setData('text/plain', 'pasted-whole');
      area?.dispatchEvent(new ClipboardEvent('paste', { clipboardData: data, bubbles: true, cancelable: true }));
    });
    await terminal.locator('[role="tabpanel"]:not([hidden]) .xterm-screen').click({ position: { x: 30, y: 30 } });
    const typedInto = path.join(homeOf(stack, instance), 'typed');
    const typedSoFar = (): string =>
      Buffer.from(fs.readFileSync(typedInto, 'utf8').replaceAll(/[^0-9a-f]/g, ''), 'hex').toString('latin1');
    // The click came last.
    // biome-ignore lint/suspicious/noControlCharactersInRegex: mouse reports begin with ESC
    await until('the click to arrive', async () => (/\u001b\[<0;\d+;\d+m/.test(typedSoFar()) ? true : null), 90_000);
    plant(stack, 'enough', '');
    await mira.sees('keys-over', 60_000);
    const typed = typedSoFar();
    const seconds = (Date.now() - since) / 1000;
    // The last answers came when nobody read them any more: they stand on the shell's line.
    await terminal.keyboard.press('Control+c');
    await mira.sees(/\^C\s?[^\n]*\$$/);
    const count = (text: string): number => typed.split(text).length - 1;
    for (const sequence of ['\u001b[A', '\u001b[B', '\u001b[D', '\u001b[H', '\u001b[15~', '\u001b[3~', '\u001b[5~']) {
      expect([JSON.stringify(sequence), count(sequence)]).toEqual([JSON.stringify(sequence), 10]);
    }
    expect(count('\u001b[200~pasted-whole\u001b[201~')).toBe(1);
    // biome-ignore lint/suspicious/noControlCharactersInRegex: mouse reports begin with ESC
    expect(typed).toMatch(/\u001b\[<0;\d+;\d+M\u001b\[<0;\d+;\d+m/);
    // What is left are answers: digits and fixed letters, no line ends, not more than a hundred a second.
    // biome-ignore lint/suspicious/noControlCharactersInRegex: answers begin with ESC
    const answers = typed.match(/\u001b\[[?0-9;]*[cR]/g) ?? [];
    expect(answers.length).toBeGreaterThan(10);
    expect(answers.length).toBeLessThan(100 * seconds + 200);
    expect(typed).not.toMatch(/[\r\n]/);
  });

  await test.step('TERM-01 TERM-03 the clipboard stays ours, and a link shows where it leads before it does', async () => {
    const link = (target: string, text: string): string => `\u001b]8;;${target}\u0007${text}\u001b]8;;\u0007\r\n`;
    const leadsTo = 'https://evil.example/take?all=1';
    plant(
      stack,
      'lure',
      [
        clearScreen,
        ...['c;dG91Y2ggb3duZWQK', 'c;?', 'p;?'].map((what) => `\u001b]52;${what}\u0007`),
        link('javascript:alert(1)', 'a script'),
        link('file:///etc/passwd', 'a file'),
        link(`curfew://request/req_${'a'.repeat(26)}`, 'a place'),
        link(leadsTo, 'https://bank.example'),
        'lured-all',
      ].join(''),
    );
    await mira.app.evaluate(({ clipboard }) => clipboard.writeText('mine'));
    await terminal.evaluate(() => {
      Reflect.set(window, 'clipboardUsed', []);
      const used = (what: string): void => Reflect.get(window, 'clipboardUsed').push(what);
      for (const name of ['read', 'readText', 'write', 'writeText']) {
        Reflect.set(Clipboard.prototype, name, () => Promise.resolve(used(name)));
      }
      document.addEventListener('copy', () => used('copy'), true);
    });
    await mira.typeLine('clear; cat lure; read -r said; echo "got-[$said]"');
    await mira.sees('lured-all');

    const click = async (text: string): Promise<void> => {
      const row = terminal.locator('[role="tabpanel"]:not([hidden]) .xterm-rows > div').filter({ hasText: text });
      const box = await row.first().boundingBox();
      if (box === null) throw new Error(`no row shows ${text}`);
      const [x, y] = [box.x + 20, box.y + box.height / 2];
      // xterm looks for links when the pointer comes to a line: the last one it finds, of the others it makes none.
      await until(`the pointer on ${text}`, async () => {
        await terminal.mouse.move(x, y + 10 * box.height);
        await terminal.mouse.move(x, y);
        return !text.startsWith('https:') || (await terminal.locator('.xterm-cursor-pointer').count()) > 0 || null;
      });
      await terminal.mouse.click(x, y);
    };
    const question = terminal.getByRole('dialog', { name: 'Open this link?' });
    const openedNow = (): Promise<number> =>
      mira.app.evaluate(() => {
        const opened: unknown = Reflect.get(globalThis, 'openedOutside');
        return Array.isArray(opened) ? opened.length : -1;
      });
    for (const text of ['a script', 'a file', 'a place']) await click(text);
    await expect(terminal.getByRole('dialog')).toHaveCount(0);
    await click('https://bank.example');
    await expect(question.locator('pre')).toHaveText(leadsTo);
    expect(await openedNow()).toBe(0);
    await question.getByRole('button', { name: 'Open in the browser' }).click();
    await expect(question).toHaveCount(0);
    expect(await mira.openedOutside()).toBe(leadsTo);
    expect(await openedNow()).toBe(0);
    // Had anything been answered, it would stand before what is typed.
    await expect(terminal.locator('[role="tabpanel"]:not([hidden]) textarea').first()).toBeFocused();
    await mira.typeLine('enough');
    await mira.sees('got-[enough]');
    expect(await terminal.evaluate(() => Reflect.get(window, 'clipboardUsed'))).toEqual([]);
    expect(await mira.app.evaluate(({ clipboard }) => clipboard.readText())).toBe('mine');
  });

  await test.step('no report hands remote text to the shell', async () => {
    plant(
      stack,
      'ask',
      ['\u001b]2;\rtouch owned\r\u0007', '\u001b[21t', '\u001b[20t', '\u0005', '\u001bP$qm\rtouch owned\r\u001b\\']
        .concat(['\u001b]52;c;?\u0007', '\u001b]10;?\u0007', '\u001bP+q544e\u001b\\', '\u001b[>q', 'asked-all'])
        .join(''),
    );
    await mira.typeLine('clear; cat ask; sleep 1; echo; ls');
    const screen = await mira.sees(/asked-all[\s\S]*typed/);
    expect(screen).not.toContain('owned\n');
  });
});

test('TERM-05 bombs neither freeze the window nor stop anybody from ending the access', async ({
  person,
  picture,
  stack,
  aws,
}) => {
  test.setTimeout(300_000);
  const mira = await person('Mira Okafor');
  const terminal = await connect(mira, 'Throw every bomb');

  await test.step('the window answers while each bomb comes', async () => {
    const bombs = ['S', 'L', 'M', 'T', 'Z', 'b', 'I', 'P', '@', 'X', ' @', ' A', "'}"];
    plant(stack, 'bombs', bombs.map((final) => `x\u001b[2147483647${final}`.repeat(500)).join(''));
    plant(
      stack,
      'big',
      [
        "printf '\\033]52;c;'; head -c 60000000 /dev/zero | tr '\\0' A; printf '\\007'",
        "printf '\\033P$q'; head -c 10000000 /dev/zero | tr '\\0' A; printf '\\033\\\\'",
        'clear; echo big-over',
      ].join('\n'),
    );
    plant(
      stack,
      'links',
      [
        'awk \'BEGIN { for (n = 0; n < 100000; n++) printf "\\033]8;;https://x.example/%d\\007l\\033]8;;\\007", n }\'',
        'clear; echo links-over',
      ].join('\n'),
    );
    await watch(terminal);
    await mira.typeLine('cat bombs; clear; echo bombs-over');
    await mira.sees(/^bombs-over/m);
    await mira.typeLine('sh big');
    await mira.sees(/^big-over/m, 90_000);
    await mira.typeLine('sh links');
    await mira.sees(/^links-over/m, 90_000);
    // The machine of a test is busy with the whole stack: times to the millisecond are the unit tests' affair.
    expect(await longestStall(terminal)).toBeLessThan(1500);
    await mira.typeLine('clear; echo alive-$((40 + 2))');
    await mira.sees('alive-42');
    await picture(terminal, 'alive');
  });

  await test.step('a window that hangs can be closed, and the access ended from the tray’s way', async () => {
    const debuggee = await terminal.context().newCDPSession(terminal);
    await terminal.evaluate(() => {
      setTimeout(() => {
        for (;;);
      }, 0);
    });
    await mira.goTo('My access');
    const grant = mira.window.getByRole('article', { name: /^payments-sim-d1/ });
    await grant.getByRole('button', { name: 'End', exact: true }).click();
    await mira.window
      .getByRole('dialog')
      .getByRole('button', { name: /^End access/ })
      .click();
    await until('no session', async () =>
      (await aws.activeSessions('Mira Okafor', accounts.dev)).length === 0 ? true : null,
    );
    // It hangs all the while.
    const answer = terminal.evaluate(() => 'answers').catch(() => 'gone');
    expect(await Promise.race([answer, mira.window.waitForTimeout(1000).then(() => 'hangs')])).toBe('hangs');
    const shown = await mira.app.evaluate(({ BrowserWindow }) => {
      const window = BrowserWindow.getAllWindows().find((one) => one.webContents.getURL().includes('terminal-window'));
      window?.close();
      return window !== undefined && !window.isDestroyed() && window.isVisible();
    });
    expect(shown).toBe(false);
    await debuggee.send('Runtime.terminateExecution');
  });
});

test('TERM-06 a flood leaves memory bounded, and Ctrl-C ends it', async ({ person, stack }) => {
  const mira = await person('Mira Okafor');
  const terminal = await connect(mira, 'Flood the window');
  plant(stack, 'flood', `${'0123456789 \u001b[31mflood\u001b[0m '.repeat(8)}\n`.repeat(4000));
  const pid = await mira.app.evaluate(() => process.pid);
  const heapOf = (): Promise<number> =>
    terminal.evaluate(() => {
      const memory: unknown = Reflect.get(performance, 'memory');
      return typeof memory === 'object' && memory !== null ? Number(Reflect.get(memory, 'usedJSHeapSize')) : 0;
    });
  const countOutput = (): Promise<number> => terminal.evaluate(() => Number(Reflect.get(window, 'drawnCharacters')));
  await terminal.evaluate(() => {
    const bridge: unknown = Reflect.get(window, 'curfewTerminal');
    const listen: unknown = typeof bridge === 'object' && bridge !== null ? Reflect.get(bridge, 'onOutput') : null;
    if (typeof listen !== 'function') throw new Error('the terminal window has no bridge');
    Reflect.set(window, 'drawnCharacters', 0);
    listen((_tab: string, chunk: string) =>
      Reflect.set(window, 'drawnCharacters', Number(Reflect.get(window, 'drawnCharacters')) + chunk.length),
    );
  });
  const before = { main: memoryOf(pid), heap: await heapOf() };
  // 500 MB when the machine is fast enough; what a busy one draws in a while otherwise.
  await mira.typeLine('for n in $(seq 1 500); do cat flood; done; echo flood-over');
  const most = { main: 0, heap: 0 };
  const since = performance.now();
  for (let enough = false; !enough; ) {
    await terminal.waitForTimeout(1000);
    most.main = Math.max(most.main, memoryOf(pid));
    most.heap = Math.max(most.heap, await heapOf());
    const drawn = await countOutput();
    enough = drawn > 400_000_000 || (drawn > 20_000_000 && performance.now() - since > 45_000);
  }
  const drawn = await countOutput();
  test.info().annotations.push({
    type: 'measured',
    description: `${Math.round(drawn / 1e6)} MB drawn, main +${Math.round((most.main - before.main) / 1e6)} MB, window heap +${Math.round((most.heap - before.heap) / 1e6)} MB`,
  });
  expect(drawn).toBeGreaterThan(20_000_000);
  expect(most.main - before.main).toBeLessThan(250_000_000);
  expect(most.heap - before.heap).toBeLessThan(250_000_000);
  await terminal.keyboard.press('Control+c');
  await mira.typeLine('clear; echo after-$((40 + 2))');
  await mira.sees(/^after-42/m, 60_000);
});

test('TERM-07 2,000 pasted lines are shown first, then arrive exactly', async ({ person, picture, stack }) => {
  const mira = await person('Mira Okafor');
  const terminal = await connect(mira, 'Paste a file');
  const paste = (text: string): Promise<void> =>
    terminal.evaluate((given) => {
      const area = document.querySelector('[role="tabpanel"]:not([hidden]) textarea');
      const data = new DataTransfer();
      data.setData('text/plain', given);
      area?.dispatchEvent(new ClipboardEvent('paste', { clipboardData: data, bubbles: true, cancelable: true }));
    }, text);
  /** The question gives the keys back to the terminal when it is gone, not before. */
  const hasKeys = (): Promise<void> =>
    expect(terminal.locator('[role="tabpanel"]:not([hidden]) textarea').first()).toBeFocused();

  await test.step('the end of the bracket is taken out, and nothing runs', async () => {
    await paste('echo one\u001b[201~; touch owned-by-paste\r');
    await mira.sees('[201~');
    await terminal.keyboard.press('Control+c');
    // Between two prompts the shell takes no brackets.
    await mira.sees(/\^C\s[^\n]*\$$/);
    await paste('echo two\u001b[201~\rtouch owned-by-paste\r');
    await terminal.getByRole('dialog').getByRole('button', { name: 'Paste', exact: true }).click();
    await hasKeys();
    await mira.sees(/two\[201~\s+touch owned-by-paste/);
    await terminal.keyboard.press('Control+c');
    await mira.typeLine('clear; ls | grep -c owned-by-paste');
    await mira.sees(/^0$/m);
  });

  await test.step('many lines ask first, with a preview', async () => {
    const lines = Array.from({ length: 2000 }, (_, number) => `line ${number} ünï 漢字 🚀 ${'x'.repeat(number % 40)}`);
    await mira.typeLine('clear; echo taking-$((40 + 2)); cat > pasted');
    await mira.sees('taking-42');
    await paste(`${lines.join('\r\n')}\r\n`);
    const question = terminal.getByRole('dialog', { name: 'Paste 2,000 lines?' });
    await expect(question).toContainText('line 0 ünï 漢字 🚀');
    await picture(terminal, 'asked');
    await question.getByRole('button', { name: 'Paste', exact: true }).click();
    await hasKeys();
    await mira.sees('line 1999', 60_000);
    await terminal.keyboard.press('Control+d');
    await mira.typeLine('clear; echo kept-$((40 + 2))');
    await mira.sees('kept-42', 30_000);
    expect(fs.readFileSync(path.join(homeOf(stack, instance), 'pasted'), 'utf8')).toBe(`${lines.join('\n')}\n`);
  });

  await test.step('a no pastes nothing', async () => {
    await paste('echo never\necho ever\n');
    await terminal.getByRole('dialog').getByRole('button', { name: 'Do not paste' }).click();
    await hasKeys();
    await mira.typeLine('clear; echo still-$((40 + 2))');
    expect(await mira.sees('still-42')).not.toContain('never');
  });
});

const script = 'window.hostileRan=1';
const payloads = {
  person: `Elin <img src=x onerror="${script}">`,
  instance: `"><svg onload=${script}>&amp;<b id=hostile>d1</b>`,
  production: `<script>${script}</script>{{7*7}}`,
  tag: `<iframe srcdoc="<script>parent.${script}</script>">`,
  reason: `<a id=hostile href="javascript:${script}">click</a> & <b>now</b> =1+1`,
  comment: `<style>*{display:none}</style><img src=x onerror=${script}>`,
};

/** The same stack, in a world where everything that other people name is markup. */
const hostile = test.extend<object, { sharedStack: Stack }>({
  sharedStack: [
    // biome-ignore lint/correctness/noEmptyPattern: Playwright reads what a fixture needs from this pattern
    async ({}, use) => {
      const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'curfew-e2e-hostile-'));
      const world: unknown = parse(fs.readFileSync(new URL('../dev/local-aws/world.yml', import.meta.url), 'utf8'));
      const mark = (list: string, where: [string, string], change: Record<string, unknown>): void => {
        const all: unknown = typeof world === 'object' && world !== null ? Reflect.get(world, list) : null;
        const one = (Array.isArray(all) ? all : []).find((each: object) => Reflect.get(each, where[0]) === where[1]);
        Object.assign(one, change);
      };
      mark('people', ['displayName', 'Elin Strand'], { displayName: payloads.person });
      const tags = { team: 'payments', service: payloads.tag };
      mark('instances', ['name', 'payments-sim-d1'], {
        name: payloads.instance,
        tags: { env: 'development', ...tags },
      });
      mark('instances', ['name', 'payments-api-1'], {
        name: payloads.production,
        tags: { env: 'production', ...tags },
      });
      const worldFile = path.join(folder, 'world.yml');
      fs.writeFileSync(worldFile, stringify(world));
      try {
        const stack = await startStack({ folder, worldFile, say: () => undefined, durable: false });
        await use(stack).finally(stack.stop);
      } finally {
        fs.rmSync(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
      }
    },
    { scope: 'worker', timeout: 180_000 },
  ],
});

/** No script ran and no element was made of a payload; links lead to https only. */
const expectHarmless = async (people: readonly Person[]): Promise<void> => {
  for (const page of people.flatMap(({ app }) => app.windows())) {
    const found = await page.evaluate(() => ({
      ran: Reflect.get(window, 'hostileRan') !== undefined,
      made: document.querySelectorAll('#hostile, img[src="x"], svg[onload], iframe, [onerror], [onload], body script')
        .length,
      links: [...document.querySelectorAll('a[href]')]
        .map((link) => link.getAttribute('href') ?? '')
        .filter((href) => !href.startsWith('https:') && !href.startsWith('#')),
    }));
    expect(found).toEqual({ ran: false, made: page.url().includes('-window') ? await ownScripts(page) : 0, links: [] });
  }
};
/** The page's own module script stands in its body. */
const ownScripts = (page: Page): Promise<number> => page.locator('body script[src]').count();

hostile('APP-08 markup in names, tags, reasons and comments is text everywhere', async ({ person, picture }) => {
  hostile.setTimeout(240_000);
  const elin = await person(payloads.person);
  const jonas = await person('Jonas Lindqvist');
  const shows = (page: Page, text: string) =>
    expect(page.getByText(text).filter({ visible: true }).first()).toBeVisible();

  await hostile.step('instances, request form and my access', async () => {
    await elin.goTo('Instances');
    await shows(elin.window, payloads.instance);
    await shows(elin.window, payloads.production);
    await elin.selectInstances([payloads.production]);
    await elin.fillRequest(payloads.reason, '30m');
    await shows(elin.window, payloads.production);
    await picture(elin.window, 'form');
    await elin.sendRequest();
    await elin.goTo('My access');
    await shows(elin.window, payloads.production);
    await expectHarmless([elin, jonas]);
  });

  await hostile.step('notification, card and decision', async () => {
    const notice = await jonas.waitForNotification(/asks for/);
    expect(notice.title).toContain(payloads.production);
    if (process.platform === 'linux') expect(notice.body).not.toMatch(/<|&(?!amp;|lt;|gt;)/);
    await jonas.clickNotification(/asks for/);
    await shows(jonas.window, payloads.reason);
    await expect(jonas.window.getByRole('heading', { name: payloads.production }).first()).toContainText(
      payloads.person,
    );
    await picture(jonas.window, 'card');
    await expectHarmless([elin, jonas]);
    await jonas.window.getByRole('button', { name: 'Deny' }).click();
    await jonas.window.getByRole('main').getByRole('textbox').last().fill(payloads.comment);
    await jonas.window.getByRole('button', { name: /^Deny/ }).last().click();
    const told = await elin.waitForNotification(/^Not approved/);
    if (process.platform === 'linux') expect(told.body).not.toMatch(/<|&(?!amp;|lt;|gt;)/);
    await elin.clickNotification(/^Not approved/);
    await shows(elin.window, payloads.comment);
    await expectHarmless([elin, jonas]);
  });

  await hostile.step('audit and its story', async () => {
    await jonas.goTo('Audit');
    await jonas.window.getByRole('row').filter({ hasText: 'Elin' }).first().click();
    await shows(jonas.window, payloads.reason);
    await picture(jonas.window, 'story');
    await expectHarmless([elin, jonas]);
  });

  await hostile.step('terminal window, tray and its tooltip', async () => {
    await elin.request([payloads.instance], payloads.reason, '30m');
    const terminal = await elin.terminal();
    await expect(terminal.getByText('Connected')).toBeVisible({ timeout: 60_000 });
    await expect(terminal.getByRole('tab').first()).toContainText(payloads.instance);
    await picture(terminal, 'terminal');
    await expectHarmless([elin, jonas]);
    const tray = await elin.app.evaluate(({ Tray }) => {
      const all: unknown = Reflect.get(Tray, 'all');
      const labels = (menu: Electron.Menu | null | undefined): string[] =>
        (menu?.items ?? []).flatMap((item) => [item.label, ...labels(item.submenu)]);
      return (all instanceof Set ? [...all] : []).flatMap((one) => [
        String(Reflect.get(one, 'toolTip')),
        ...labels(Reflect.get(one, 'contextMenu')),
      ]);
    });
    for (const text of tray) {
      // A lone & would mark a key, a line break would make a second line.
      expect(text.replaceAll('&&', ''), text).not.toMatch(/[&\r\n]/);
    }
  });
});
