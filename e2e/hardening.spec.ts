import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { expect, type Page, test } from '@playwright/test';
import { startStack } from '../dev/start/stack.ts';
import { mainIntents } from '../src/shared/desktop.ts';
import { launchCurfew, type RunningApp, windowPreferences } from './app-fixture.ts';
import { refused, sendFromInside, strictWindow } from './window-from-inside.ts';

/**
 * A taken-over window: scripts of the test run in the page's own world, where a hostile script would run. No backend is needed: what is
 * tried must fail before anything is asked of it.
 */
test.describe('a window that is taken over', () => {
  let app: RunningApp;
  test.beforeAll(async () => {
    app = await launchCurfew();
  });
  test.afterAll(async () => {
    await app.quit();
    await app.remove();
  });

  const send = (page: Page, intent: string, input: unknown) => sendFromInside(page, 'curfew', intent, input);

  test('APP-09 every window that was made is isolated, sandboxed and without Node', async () => {
    const windows = await windowPreferences(app.electron);
    expect(windows.length).toBeGreaterThan(0);
    for (const { url, preferences } of windows) {
      expect(url).toMatch(/^file:.*\/out\/renderer\/(main|terminal)-window\/index\.html$/);
      expect(preferences).toMatchObject(strictWindow);
      expect(String(preferences['preload'])).toMatch(/(main|terminal)-window\.cjs$/);
    }
  });

  test('APP-09 the page sees the bridge and nothing of Node or Electron', async () => {
    const seen = await app.window.evaluate(() => {
      const names = ['require', 'process', 'module', 'Buffer', 'global', 'ipcRenderer', 'electron', 'curfewTerminal'];
      const bridge: unknown = Reflect.get(window, 'curfew');
      const keysOf = (value: unknown) => (typeof value === 'object' && value !== null ? Object.keys(value).sort() : []);
      return {
        leaked: names.filter((name) => Reflect.get(window, name) !== undefined),
        keys: keysOf(bridge),
        intents: keysOf(typeof bridge === 'object' && bridge !== null ? Reflect.get(bridge, 'send') : null),
      };
    });
    expect(seen.leaked).toEqual([]);
    expect(seen.keys).toEqual(['onState', 'send']);
    expect(seen.intents).toEqual(Object.keys(mainIntents).sort());
  });

  test('APP-09 odd, huge and foreign messages are refused', async () => {
    expect(await send(app.window, 'refreshInventory', { extra: true })).toEqual(refused('invalid_input'));
    expect(await send(app.window, 'connect', 'all')).toEqual(refused('invalid_input'));
    const draft = { instances: [], durationSeconds: 60, reason: 'x'.repeat(300 * 1024), ticket: '' };
    expect(await send(app.window, 'saveDraft', { draft })).toEqual(refused('too_large'));
    await expect(send(app.window, 'keystrokes', {})).rejects.toThrow(/no intent keystrokes/);
  });

  test('APP-09 script alone can neither end access nor sign out; a click just before it can ask', async () => {
    // Whatever was really clicked before is older than two seconds by then.
    await app.window.waitForTimeout(2100);
    const grantId = `grt_${'a'.repeat(26)}`;
    await app.window.evaluate(() => {
      for (const kind of ['keydown', 'mousedown', 'click'])
        document.body.dispatchEvent(new Event(kind, { bubbles: true }));
      document.body.click();
    });
    expect(await send(app.window, 'endGrant', { grantId, comment: null })).toEqual(refused('not_allowed'));
    expect(await send(app.window, 'signOut', { endGrants: true })).toEqual(refused('not_allowed'));
    // The door is passed; there is no organisation yet, and that is what it says now. A busy machine may need more than one click.
    await expect(async () => {
      await app.window.mouse.click(3, 3);
      expect(await send(app.window, 'endGrant', { grantId, comment: null })).toEqual(refused('sign_in_needed'));
    }).toPass();
  });

  test('APP-10 the window goes nowhere and opens nothing', async () => {
    const { window: page, electron } = app;
    const url = page.url();
    const before = electron.windows().length;
    for (const target of ['https://evil.example/', 'file:///etc/passwd', 'data:text/html,x']) {
      await page.evaluate((to) => {
        window.location.href = to;
      }, target);
      await page.waitForTimeout(300);
      expect(page.url()).toBe(url);
    }
    await page.evaluate(() => {
      window.open('https://evil.example/');
      const link = Object.assign(document.createElement('a'), { href: 'https://evil.example/', target: '_blank' });
      document.body.append(link);
      link.click();
      link.remove();
    });
    await page.waitForTimeout(500);
    expect(electron.windows().length).toBe(before);
    expect(page.url()).toBe(url);
    await expect(page.locator('#root > :not(style)').first()).toBeVisible();
  });

  test('APP-10 no inline script, eval, frame, remote image or request runs', async () => {
    const tried = await app.window.evaluate(async () => {
      const blocked: string[] = [];
      document.addEventListener('securitypolicyviolation', (event) => blocked.push(event.effectiveDirective));
      const inline = Object.assign(document.createElement('script'), { textContent: 'window.inlineRan = true' });
      const image = Object.assign(document.createElement('img'), { src: 'https://evil.example/x.png' });
      const frame = Object.assign(document.createElement('iframe'), { src: 'https://evil.example/' });
      document.body.append(inline, image, frame);
      // The debugger lifts the policy for what it runs itself: try it from a task of the page.
      await new Promise((resolve) => setTimeout(resolve, 0));
      const evaluated = (() => {
        try {
          // biome-ignore lint/security/noGlobalEval: the point is that it does not run.
          return globalThis.eval('1 + 1') === 2;
        } catch {
          return false;
        }
      })();
      const fetched = await fetch('https://evil.example/').then(
        () => true,
        () => false,
      );
      await new Promise((resolve) => setTimeout(resolve, 300));
      for (const element of [inline, image, frame]) element.remove();
      return {
        evaluated,
        fetched,
        inlineRan: Reflect.get(window, 'inlineRan') === true,
        blocked: [...new Set(blocked)].sort(),
      };
    });
    expect(tried).toMatchObject({ evaluated: false, fetched: false, inlineRan: false });
    expect(tried.blocked).toEqual(expect.arrayContaining(['connect-src', 'frame-src', 'img-src', 'script-src-elem']));
  });

  test('APP-10 permissions are denied without asking', async () => {
    const states = await app.window.evaluate(async () => {
      const camera = await navigator.mediaDevices?.getUserMedia({ video: true }).then(
        () => 'given',
        () => 'denied',
      );
      const place = await new Promise((resolve) =>
        navigator.geolocation.getCurrentPosition(
          () => resolve('given'),
          () => resolve('denied'),
          { timeout: 2000 },
        ),
      );
      return { camera: camera ?? 'denied', place, notification: await Notification.requestPermission() };
    });
    expect(states).toEqual({ camera: 'denied', place: 'denied', notification: 'denied' });
  });
});

test('a second start shows the first instance and ends', async () => {
  const app = await launchCurfew();
  try {
    const { electronExecutable } = await import('../dev/electron-standin/find-electron.ts');
    const { spawn } = await import('node:child_process');
    const executable = electronExecutable();
    const second = spawn(executable.path, [...executable.args, `--user-data-dir=${app.userData}`], { stdio: 'ignore' });
    const code = await new Promise((resolve) => second.once('exit', resolve));
    expect(code).toBe(0);
    await expect(app.window.locator('#root > :not(style)').first()).toBeVisible();
    expect(app.electron.windows()).toHaveLength(1);
  } finally {
    await app.quit();
    await app.remove();
  }
});

test('a settings file that cannot be read is put aside, not overwritten', async () => {
  const userData = await mkdtemp(path.join(os.tmpdir(), 'curfew-e2e-'));
  await writeFile(path.join(userData, 'settings.json'), '{"favourites": [');
  const app = await launchCurfew({ userData });
  try {
    const aside = (await readdir(userData)).find((name) => name.startsWith('settings.json.broken-')) ?? '';
    expect(await readFile(path.join(userData, aside), 'utf8')).toBe('{"favourites": [');
    await expect(app.window.locator('#root > :not(style)').first()).toBeVisible();
  } finally {
    await app.quit();
    await app.remove();
  }
});

test('ports that are taken: the start says which ones it uses instead', async () => {
  const taken = await Promise.all(
    [1, 2].map(
      () =>
        new Promise<net.Server>((resolve) => {
          const server = net.createServer();
          server.listen(0, '127.0.0.1', () => resolve(server));
        }),
    ),
  );
  const [localAws = 0, backend = 0] = taken.map((server) => {
    const address = server.address();
    return typeof address === 'object' && address !== null ? address.port : 0;
  });
  const folder = await mkdtemp(path.join(os.tmpdir(), 'curfew-e2e-ports-'));
  const said: string[] = [];
  try {
    const stack = await startStack({
      folder,
      say: (line) => said.push(line),
      durable: false,
      ports: { localAws, backend },
    });
    await stack.stop();
    const portOf = (url: string): string => new URL(url).port;
    expect(said).toContain(`Port ${localAws} is taken, so local-aws uses ${portOf(stack.localAwsUrl)}.`);
    expect(said).toContain(`Port ${backend} is taken, so the backend uses ${portOf(stack.backendUrl)}.`);
  } finally {
    for (const server of taken) server.close();
    await rm(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
  }
});
