import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { expect, type Page } from '@playwright/test';
import pg from 'pg';
import { Person, until } from '../dev/driver/person.ts';
import { electronExecutable } from '../dev/electron-standin/find-electron.ts';
import { terminalIntents } from '../src/shared/desktop.ts';
import { sessionVariable } from '../src/shared/session-launch.ts';
import { windowPreferences } from './app-fixture.ts';
import { accounts, homeOf, test } from './stack-fixture.ts';
import { refused, sendFromInside, strictWindow } from './window-from-inside.ts';

/** What an attacker on the laptop, or in the terminal window, tries against a running session. */
const connect = async (who: Person, reason: string): Promise<Page> => {
  await who.request(['payments-sim-d1'], reason, '30 min');
  const terminal = await who.terminal();
  await expect(terminal.getByText('Connected')).toBeVisible({ timeout: 60_000 });
  await who.sees('$');
  return terminal;
};

const strings = (value: unknown): string[] => {
  if (typeof value === 'string') return [value];
  return typeof value === 'object' && value !== null ? Object.values(value).flatMap(strings) : [];
};

/** Every secret that Identity Center has given out so far: client secrets, access and refresh tokens. */
const secretsOfIdentityCenter = async (stackFolder: string): Promise<string[]> =>
  await until('the tokens in the state of local-aws', async () => {
    const text = fs.readFileSync(path.join(stackFolder, 'local-aws.json'), 'utf8');
    const found = [...new Set(strings(JSON.parse(text)).filter((one) => /^[\w-]{100,}$/.test(one)))];
    return found.length >= 2 ? found : null;
  });

/** Command lines or environments of all processes, as far as they can be read. */
const ofProcesses = (what: 'cmdline' | 'environ'): Map<number, string> => {
  const found = new Map<number, string>();
  for (const name of fs.readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    try {
      found.set(Number(name), fs.readFileSync(`/proc/${name}/${what}`, 'utf8'));
    } catch {
      // It has ended meanwhile, or is somebody else's.
    }
  }
  return found;
};

const filesUnder = (folder: string): string[] =>
  fs
    .readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => path.join(entry.parentPath, entry.name));

const writings = (secret: string): Buffer[] => [
  Buffer.from(secret),
  Buffer.from(secret, 'utf16le'),
  Buffer.from(Buffer.from(secret).toString('base64').slice(0, 60)),
  Buffer.from(Buffer.from(secret).toString('hex').slice(0, 60)),
];

test('APP-13 nothing secret is in any command line or in the environment of the shell', async ({ person, stack }) => {
  // biome-ignore lint/suspicious/noSkippedTests: there is no /proc elsewhere
  test.skip(process.platform !== 'linux', 'reads /proc');
  const mira = await person('Mira Okafor');
  await connect(mira, 'Look at the processes');
  const clients = [...ofProcesses('environ')].filter(([, text]) => text.includes(`${sessionVariable}=`));
  // Of all session clients of this machine, ours knows our local-aws.
  const ours = clients.filter(([, text]) => text.includes(new URL(stack.localAwsUrl).host));
  expect(ours.length).toBeGreaterThan(0);
  const environment = ours.map(([, text]) => text).join('\0');
  const launch: unknown = JSON.parse(
    environment
      .split('\0')
      .find((one) => one.startsWith(`${sessionVariable}=`))
      ?.slice(sessionVariable.length + 1) ?? 'null',
  );
  const token: unknown = typeof launch === 'object' && launch !== null ? Reflect.get(launch, 'tokenValue') : null;
  const link: unknown = typeof launch === 'object' && launch !== null ? Reflect.get(launch, 'link') : null;
  const word: unknown = typeof link === 'object' && link !== null ? Reflect.get(link, 'word') : null;
  const secrets = [String(token), String(word), ...(await secretsOfIdentityCenter(stack.folder))];
  for (const secret of secrets) expect(secret.length).toBeGreaterThan(16);

  await test.step('in no command line, seen by ourselves and by another user', () => {
    const mine = [...ofProcesses('cmdline').values()].join('\n');
    for (const secret of secrets) expect(mine.includes(secret)).toBe(false);
    if (process.getuid?.() !== 0) return;
    const nobody = { uid: 65_534, gid: 65_534, encoding: 'utf8', cwd: '/', env: { PATH: '/usr/bin:/bin' } } as const;
    const theirs = execFileSync('/bin/sh', ['-c', 'cat /proc/[0-9]*/cmdline 2>/dev/null; true'], nobody);
    for (const secret of secrets) expect(theirs.includes(secret)).toBe(false);
    // The other user sees our processes, but not what they were started with.
    expect(theirs).toContain('session-client');
    const pids = ours.map(([pid]) => pid).join(' ');
    const script = `for pid in ${pids}; do cat /proc/$pid/environ 2>/dev/null && echo read; done; true`;
    expect(execFileSync('/bin/sh', ['-c', script], nobody)).toBe('');
  });

  await test.step('nor in what the session client inherits, nor in the shell', async () => {
    for (const secret of secrets.slice(2)) expect(environment.includes(secret)).toBe(false);
    expect(environment).not.toMatch(/\0(AWS_SECRET|AWS_SESSION_TOKEN|CURFEW_BACKEND)/);
    await mira.typeLine(
      'env > environment; tr "\\0" "\\n" < /proc/self/environ >> environment; echo looked-$((40 + 2))',
    );
    await mira.sees('looked-42');
    const shell = fs.readFileSync(path.join(homeOf(stack, 'payments-sim-d1'), 'environment'), 'utf8');
    expect(shell).toContain('HOSTNAME=payments-sim-d1');
    for (const secret of secrets) expect(shell.includes(secret)).toBe(false);
    expect(shell).not.toMatch(/^(AWS_|CURFEW_)/m);
  });
});

test('APP-09 a taken-over terminal window has keys, sizes and its own tabs, and nothing else', async ({
  person,
  aws,
}) => {
  const mira = await person('Mira Okafor');
  const terminal = await connect(mira, 'Take the window over');

  await test.step('it was made as strictly as the main window', async () => {
    const windows = await windowPreferences(mira.app);
    expect(windows.map(({ url }) => /(main|terminal)-window/.exec(url)?.[0]).sort()).toEqual([
      'main-window',
      'terminal-window',
    ]);
    for (const { preferences } of windows) {
      expect(preferences).toMatchObject(strictWindow);
    }
  });

  await test.step('its bridge is this list, and nothing of Node, Electron or the main window', async () => {
    const seen = await terminal.evaluate(() => {
      const keysOf = (value: unknown) => (typeof value === 'object' && value !== null ? Object.keys(value).sort() : []);
      const bridge: unknown = Reflect.get(window, 'curfewTerminal');
      const names = ['require', 'process', 'module', 'Buffer', 'global', 'ipcRenderer', 'electron', 'curfew'];
      return {
        leaked: names.filter((name) => Reflect.get(window, name) !== undefined),
        keys: keysOf(bridge),
        intents: keysOf(typeof bridge === 'object' && bridge !== null ? Reflect.get(bridge, 'send') : null),
      };
    });
    expect(seen).toEqual({
      leaked: [],
      keys: ['onOutput', 'onState', 'send'],
      intents: Object.keys(terminalIntents).sort(),
    });
  });

  const send = (intent: string, input: unknown) => sendFromInside(terminal, 'curfewTerminal', intent, input);
  const tabId = await terminal.evaluate(
    () => document.querySelector('[role="tab"]')?.id.replace('tab-', '') ?? 'no tab is there',
  );

  await test.step('script alone cannot end, and odd or huge messages are refused', async () => {
    await terminal.waitForTimeout(2100);
    await terminal.evaluate(() => {
      for (const kind of ['keydown', 'mousedown', 'pointerdown', 'click'])
        document.body.dispatchEvent(new Event(kind, { bubbles: true }));
      document.querySelectorAll('button').forEach((button) => {
        button.focus();
      });
    });
    expect(await send('end', { tabId })).toEqual(refused('not_allowed'));
    expect(await aws.activeSessions('Mira Okafor', accounts.dev)).not.toEqual([]);
    expect(await send('keystrokes', { tabId, data: 'x'.repeat(65_537) })).toEqual(refused('invalid_input'));
    expect(await send('keystrokes', { tabId, data: 'x'.repeat(300 * 1024) })).toEqual(refused('too_large'));
    expect(await send('resize', { tabId, cols: 0, rows: 1e9 })).toEqual(refused('invalid_input'));
    expect(await send('selectTab', { tabId: '7f8c1c0e-6b1e-4f0c-9f51-0a4b5c6d7e8f' })).toEqual(refused('not_found'));
    for (const url of ['http://x.example/', 'file:///etc/passwd', 'javascript:alert(1)', 'curfew://grant/x']) {
      expect(await send('openLink', { url }), url).toEqual(refused('invalid_input'));
    }
    for (const intent of ['decide', 'signOut', 'connect', 'setOrganisation']) {
      await expect(send(intent, {})).rejects.toThrow(`no intent ${intent}`);
    }
  });

  await test.step('APP-10 it goes nowhere, and loads nothing from outside', async () => {
    const before = { url: terminal.url(), windows: mira.app.windows().length };
    const tried = await terminal.evaluate(async () => {
      const blocked: string[] = [];
      document.addEventListener('securitypolicyviolation', (event) => blocked.push(event.effectiveDirective));
      const made = [
        Object.assign(document.createElement('script'), { textContent: 'window.inlineRan = true' }),
        Object.assign(document.createElement('img'), { src: 'https://evil.example/x.png' }),
        Object.assign(document.createElement('iframe'), { src: 'https://evil.example/' }),
      ];
      document.body.append(...made);
      window.open('https://evil.example/');
      window.location.href = 'https://evil.example/';
      const fetched = await fetch('https://evil.example/').then(
        () => true,
        () => false,
      );
      await new Promise((resolve) => setTimeout(resolve, 500));
      for (const element of made) element.remove();
      return { fetched, inlineRan: Reflect.get(window, 'inlineRan') === true, blocked: [...new Set(blocked)] };
    });
    expect(tried).toMatchObject({ fetched: false, inlineRan: false });
    expect(tried.blocked).toEqual(expect.arrayContaining(['connect-src', 'frame-src', 'img-src', 'script-src-elem']));
    expect({ url: terminal.url(), windows: mira.app.windows().length }).toEqual(before);
  });

  await test.step('a person ends with the keyboard alone: the key is the input that main wants to have seen', async () => {
    await terminal.waitForTimeout(2100);
    const end = terminal.getByRole('button', { name: 'End', exact: true });
    await end.focus();
    await terminal.keyboard.press('Enter');
    const sure = terminal.getByRole('alertdialog').getByRole('button', { name: 'End access' });
    await sure.focus();
    // Whatever pressed the first button is too old by now: only this key counts.
    await terminal.waitForTimeout(2100);
    await terminal.keyboard.press('Space');
    await expect(terminal.getByText('Read only')).toBeVisible({ timeout: 30_000 });
  });
});

for (const keyring of [true, false]) {
  test(`APP-15 no secret is in the profile ${keyring ? 'beside the vault of the keychain' : 'where there is no keychain'}`, async ({
    stack,
    systemBrowser,
  }) => {
    const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'curfew-e2e-profile-'));
    const runtime = electronExecutable({ keyring });
    const mira = await Person.launch({ name: 'profile', folder, runtime, appEnv: stack.appEnv });
    try {
      // The backend's token, as the app sends it.
      await mira.app.evaluate(() => {
        const seen = new Set<string>();
        Reflect.set(globalThis, 'tokensSeen', seen);
        const real = globalThis.fetch;
        globalThis.fetch = (input, init) => {
          const token = new Headers(init?.headers).get('authorization');
          if (token !== null) seen.add(token.replace('Bearer ', ''));
          return real(input, init);
        };
      });
      await mira.signIn(systemBrowser, 'Mira Okafor');
      await connect(mira, 'Leave no secret behind');
      const bearer = await until('the token of the backend', () =>
        mira.app.evaluate(() => {
          const seen: unknown = Reflect.get(globalThis, 'tokensSeen');
          const tokens = seen instanceof Set ? [...seen].map(String) : [];
          return tokens.length > 0 ? tokens : null;
        }),
      );
      const canaries = [...bearer, ...(await secretsOfIdentityCenter(stack.folder))];
      const search = (): string[] =>
        filesUnder(mira.userData).filter((file) => {
          if (!fs.existsSync(file)) return false;
          const content = fs.readFileSync(file);
          return canaries.some((secret) => writings(secret).some((written) => content.includes(written)));
        });
      expect(search()).toEqual([]);
      expect(fs.existsSync(path.join(mira.userData, 'vault'))).toBe(keyring);
      const settings = fs.existsSync(path.join(mira.userData, 'settings.json'))
        ? fs.readFileSync(path.join(mira.userData, 'settings.json'), 'utf8')
        : '{}';
      expect(Object.keys(JSON.parse(settings)).sort()).toEqual(
        expect.not.arrayContaining(['token', 'accessToken', 'refreshToken', 'vault']),
      );
      const stored = await mira.window.evaluate(() => ({
        cookies: document.cookie,
        local: Object.keys(localStorage).filter((key) => key !== 'mantine-color-scheme-value'),
        session: Object.keys(sessionStorage),
      }));
      expect(stored).toEqual({ cookies: '', local: [], session: [] });
      if (!keyring) {
        await mira.window.getByRole('button', { name: 'Settings' }).click();
        await expect(mira.window.getByText(/in memory only: there is no key store here/)).toBeVisible();
      }
      await mira.close();
      expect(search()).toEqual([]);
    } finally {
      await mira.close().catch(() => undefined);
      fs.rmSync(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
    }
  });
}

test('a sign-in that ends while a terminal runs names the organisation and touches no terminal', async ({
  person,
  control,
  picture,
  stack,
}) => {
  const elin = await person('Elin Strand');
  const terminal = await elin.openTerminal('payments-api-s1', { reason: 'Work while signed out', duration: '30m' });
  // Identity Center ends the portal session, and the backend forgets its token: only a person can help now.
  await control.call('endSignIns');
  const database = new pg.Client({ connectionString: stack.databaseUrl });
  await database.connect();
  await database.query('update tokens set revoked_at = now() where revoked_at is null').finally(() => database.end());
  const again = elin.window.getByRole('heading', { name: 'Sign in again to Harborline' });
  await expect(again).toBeVisible({ timeout: 90_000 });
  await expect(elin.window.getByText('It stays connected and ends on time.')).toBeVisible();
  await elin.waitForNotification(/^Sign in again to Harborline$/);
  await elin.typeLine('clear; echo untouched-$((40 + 2))');
  await elin.sees('untouched-42');
  await expect(terminal.getByText('Connected')).toBeVisible();
  await expect(terminal.getByRole('timer').first()).toHaveAccessibleName(/left/);
  await picture(elin.window, 'again');
});

test('a settings file that cannot be written any more: a sentence, the draft stays, the request goes out', async ({
  person,
}) => {
  const mira = await person('Mira Okafor');
  // What a full disk does to the store, for root too: the file cannot be replaced.
  const file = path.join(mira.userData, 'settings.json');
  fs.rmSync(file, { force: true });
  fs.mkdirSync(path.join(file, 'full'), { recursive: true });
  await mira.selectInstances(['payments-worker-s1']);
  await mira.fillRequest('Written on a full disk', '15m');
  const log = path.join(mira.userData, 'logs', 'curfew.log');
  await until('the app to have tried to keep the draft', async () =>
    fs.readFileSync(log, 'utf8').includes('main:saveDraft') ? true : null,
  );
  await mira.goTo('Audit');
  await mira.goTo('Instances');
  const form = mira.window.getByRole('complementary', { name: 'Request access' });
  await expect(form.getByLabel('Why')).toHaveValue('Written on a full disk');
  await mira.sendRequest();
  await expect((await mira.terminal()).getByText('Connected')).toBeVisible({ timeout: 60_000 });
  await mira.window.getByRole('button', { name: 'Settings' }).click();
  await mira.window.getByText('Dark', { exact: true }).click();
  await expect(mira.window.getByText(/could not be saved.*disk full/i)).toBeVisible();
});
