/**
 * A person at the app: launches one instance of the built app and uses it by visible text and roles, as the tour and the end-to-end tests
 * do. Works the same on Electron's own binary and on the stand-in.
 */
import fs from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Browser, chromium, type ElectronApplication, _electron as electron, type Page } from 'playwright-core';
import { findChromium } from '../electron-standin/chromium.ts';
import type { ElectronExecutable } from '../electron-standin/find-electron.ts';

export type LaunchOptions = {
  /** Names the user data folder. */
  name: string;
  folder: string;
  runtime: ElectronExecutable;
  appEnv: Record<string, string>;
};

export type NoticeSeen = { title: string; body: string };

/** Enough for a machine that is busy with other things. */
const patienceMs = 60_000;

/** The system browser of this machine: where a person signs in. */
export const openSystemBrowser = async (): Promise<Browser> => {
  const executablePath = findChromium();
  return await chromium.launch({
    ...(executablePath === null ? {} : { executablePath }),
    args: [
      '--no-first-run',
      '--test-type',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
    chromiumSandbox: process.getuid?.() !== 0,
  });
};

/**
 * Does what the organisation's page asks in the system browser: chooses the person and the answer.
 * @returns the heading of the page that the browser ends on.
 */
export const answerBrowser = async (
  browser: Browser,
  { url, displayName, answer }: { url: string; displayName: string; answer: 'Allow access' | 'Deny' },
): Promise<string> => {
  const page = await browser.newPage();
  try {
    await page.goto(url);
    await page.getByRole('radio', { name: displayName, exact: true }).check();
    await page.getByRole('button', { name: answer }).click();
    await page.waitForURL((now) => now.origin !== new URL(url).origin);
    return (await page.getByRole('heading').first().textContent()) ?? '';
  } finally {
    await page.close();
  }
};

/** Repeats until the answer is one. @throws Error saying what was waited for. */
export const until = async <T>(what: string, look: () => Promise<T | null>, withinMs = patienceMs): Promise<T> => {
  for (const end = Date.now() + withinMs; ; await sleep(50)) {
    const found = await look();
    if (found !== null) return found;
    if (Date.now() > end) throw new Error(`Waited ${withinMs / 1000} s for ${what}.`);
  }
};

export class Person {
  readonly app: ElectronApplication;
  readonly window: Page;
  readonly userData: string;

  constructor(app: ElectronApplication, window: Page, userData: string) {
    this.app = app;
    this.window = window;
    this.userData = userData;
  }

  static async launch({ name, folder, runtime, appEnv }: LaunchOptions): Promise<Person> {
    const userData = path.join(folder, 'apps', name);
    fs.mkdirSync(userData, { recursive: true, mode: 0o700 });
    const env: Record<string, string> = {};
    // The caller's own AWS set-up is none of the app's business.
    const inherited = Object.entries(process.env).filter(([name]) => !/^(AWS_|CURFEW_)/.test(name));
    for (const [name, value] of [...inherited, ...Object.entries({ ...runtime.env, ...appEnv })]) {
      if (value !== undefined) env[name] = value;
    }
    const app = await electron.launch({
      executablePath: runtime.path,
      args: [...runtime.args, `--user-data-dir=${userData}`],
      env,
      timeout: patienceMs,
    });
    app.context().setDefaultTimeout(patienceMs);
    // On a display the stand-in shows its tray as a window too.
    const window = await until(
      'the main window',
      async () => app.windows().find((page) => page.url().includes('/main-window/')) ?? null,
    );
    // The system browser is ours to play: what the app would open there is kept instead.
    await app.evaluate(({ shell }) => {
      const opened: string[] = [];
      Reflect.set(globalThis, 'openedOutside', opened);
      shell.openExternal = async (url: string) => {
        opened.push(url);
      };
    });
    await app.evaluate(({ Notification }) => {
      if (Array.isArray(Reflect.get(Notification, 'shown'))) return;
      // Electron's own Notification keeps no list: note each one as it is shown.
      const shown: unknown[] = [];
      Reflect.set(Notification, 'shown', shown);
      const show = Notification.prototype.show;
      Notification.prototype.show = function remember(this: Electron.Notification) {
        shown.push(this);
        show.call(this);
      };
    });
    return new Person(app, window, userData);
  }

  /** Signs in through the system browser: chooses who they are on the organisation's page and allows it. */
  async signIn(browser: Browser, displayName: string): Promise<void> {
    await this.window.getByRole('button', { name: /^(Continue in the browser|Sign in again)/ }).click();
    await answerBrowser(browser, { url: await this.openedOutside(), displayName, answer: 'Allow access' });
    await this.window.getByRole('navigation', { name: 'Places' }).waitFor({ timeout: patienceMs });
  }

  /** The last address that the app has opened outside; waits for one, and takes it. */
  async openedOutside(): Promise<string> {
    return await until('an address opened in the system browser', () =>
      this.app.evaluate(() => {
        const opened: unknown = Reflect.get(globalThis, 'openedOutside');
        const url: unknown = Array.isArray(opened) ? opened.pop() : undefined;
        return typeof url === 'string' ? url : null;
      }),
    );
  }

  async goTo(place: 'Instances' | 'My access' | 'Approvals' | 'Audit'): Promise<void> {
    await this.window.getByRole('navigation', { name: 'Places' }).getByRole('button', { name: place }).first().click();
    await this.window.getByRole('heading', { name: place, level: 1 }).waitFor();
  }

  async selectInstances(names: readonly string[]): Promise<void> {
    await this.goTo('Instances');
    for (const name of names) {
      await this.window.getByRole('checkbox', { name: `Select ${name}`, exact: true }).click();
    }
  }

  /**
   * Opens the form on what is selected and fills it in.
   * @param duration what one types: "2m", "1h 30m".
   */
  async fillRequest(reason: string, duration: string): Promise<void> {
    await this.window.getByRole('button', { name: 'Request access' }).first().click();
    await this.#form().getByLabel('Why').fill(reason);
    await this.#form().getByLabel('Another duration').fill(duration);
  }

  async sendRequest(): Promise<void> {
    await this.#form().getByRole('button').last().click();
    await this.#form().waitFor({ state: 'detached' });
  }

  /** Selects, fills in and sends. */
  async request(names: readonly string[], reason: string, duration: string): Promise<void> {
    await this.selectInstances(names);
    await this.fillRequest(reason, duration);
    await this.sendRequest();
  }

  /** Asks for what a rule gives at once, and waits for the prompt of the terminal that opens by itself. */
  async openTerminal(instance: string, wish: { reason: string; duration: string }): Promise<Page> {
    await this.request([instance], wish.reason, wish.duration);
    const terminal = await this.terminal();
    await terminal.getByText('Connected').waitFor({ timeout: 2 * patienceMs });
    await this.sees('$');
    return terminal;
  }

  #form() {
    return this.window.getByRole('complementary', { name: 'Request access' });
  }

  /** Native notifications so far, oldest first. */
  async notifications(): Promise<NoticeSeen[]> {
    return await this.app.evaluate(({ Notification }) => {
      const shown: unknown = Reflect.get(Notification, 'shown');
      return (Array.isArray(shown) ? shown : []).map((one: { title: string; body: string }) => ({
        title: one.title,
        body: one.body,
      }));
    });
  }

  async waitForNotification(title: RegExp): Promise<NoticeSeen> {
    return await until(
      `a notification ${title}`,
      async () => (await this.notifications()).find((one) => title.test(one.title)) ?? null,
    );
  }

  async clickNotification(title: RegExp): Promise<void> {
    await this.waitForNotification(title);
    await this.app.evaluate(({ Notification }, source) => {
      const shown: unknown = Reflect.get(Notification, 'shown');
      const all: Array<Electron.Notification> = Array.isArray(shown) ? shown : [];
      all.findLast((one) => new RegExp(source).test(one.title))?.emit('click');
    }, title.source);
  }

  /** The terminal window, once there is one. */
  async terminal(): Promise<Page> {
    return await until('the terminal window', async () => {
      return this.app.windows().find((page) => page.url().includes('terminal-window')) ?? null;
    });
  }

  /** The visible text of the active terminal, without the blanks at the ends of lines and below the last one. */
  async screenText(): Promise<string> {
    const terminal = await this.terminal();
    const rows = await terminal.locator('[role="tabpanel"]:not([hidden]) .xterm-rows > div').allTextContents();
    return rows
      .map((row) => row.replaceAll('\u00a0', ' ').trimEnd())
      .join('\n')
      .trimEnd();
  }

  /** Types a line into the active terminal and presses Enter. */
  async typeLine(line: string): Promise<void> {
    const terminal = await this.terminal();
    await terminal.keyboard.type(line);
    await terminal.keyboard.press('Enter');
  }

  /** Waits until the terminal shows it. */
  async sees(text: string | RegExp, withinMs = patienceMs): Promise<string> {
    const shows = (screen: string): boolean => (typeof text === 'string' ? screen.includes(text) : text.test(screen));
    let last = '';
    try {
      return await until(
        `the terminal to show ${text}`,
        async () => {
          last = await this.screenText();
          return shows(last) ? last : null;
        },
        withinMs,
      );
    } catch (cause) {
      throw new Error(`The terminal never showed ${text}. It shows:\n${last.slice(-1500)}`, { cause });
    }
  }

  async close(): Promise<void> {
    await this.app.close();
  }
}
