/**
 * `app`: the application's life. Holds the one Chromium; windows are made in `browser-window.ts`.
 */
import { randomUUID } from 'node:crypto';
import { EventEmitter } from 'node:events';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, watch, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { Chromium, type Facts, findChromium, isFacts, textAt } from './chromium.ts';

/** The first parameter of an event that may be prevented, as Electron's events have it. */
export const preventable = () => ({
  defaultPrevented: false,
  preventDefault() {
    this.defaultPrevented = true;
  },
});

const isAlive = (pid: number): boolean => {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
};

const switchValue = (name: string): string | null =>
  process.argv.find((argument) => argument.startsWith(`--${name}=`))?.slice(name.length + 3) ?? null;

const readFacts = (file: string): Facts => {
  const parsed: unknown = existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : {};
  return isFacts(parsed) ? parsed : {};
};

export type Closable = { close(): void; isDestroyed(): boolean };

class App extends EventEmitter {
  readonly isPackaged = false;
  readonly commandLine = {
    hasSwitch: (name: string) =>
      process.argv.some((argument) => argument === `--${name}` || argument.startsWith(`--${name}=`)),
    getSwitchValue: (name: string) => switchValue(name) ?? '',
    appendSwitch: () => undefined,
  };
  /** Set by boot.mjs, before the application's main module runs. */
  appPath = process.cwd();
  /** Open windows, kept by `BrowserWindow`. */
  readonly windows = new Set<Closable>();
  #chromium: Chromium | null = null;
  #facts: Facts = {};
  #name: string | null = null;
  #paths = new Map<string, string>();
  #isReady = false;
  #quitting = false;
  #loginItem = { openAtLogin: false };
  #begin: () => void = () => undefined;
  readonly #begun = new Promise<void>((resolve) => {
    this.#begin = resolve;
  });
  readonly #ready = this.#begun.then(() => this.#start());

  /** Whether windows are seen on a display: `--headed` was given and there is one. */
  get headed(): boolean {
    const display = process.env['DISPLAY'] ?? process.env['WAYLAND_DISPLAY'] ?? '';
    return process.argv.includes('--headed') && display !== '';
  }

  begin(appPath: string): void {
    this.appPath = appPath;
    this.#facts = readFacts(path.join(appPath, 'package.json'));
    // As in Electron, `ready` comes only after the main module has run once.
    setImmediate(this.#begin);
  }

  async #start(): Promise<void> {
    const executable = findChromium();
    if (executable === null) {
      process.stderr.write('electron stand-in: no Chromium. On Debian: apt-get install chromium\n');
      process.exit(1);
    }
    mkdirSync(this.getPath('userData'), { recursive: true });
    const chromium = new Chromium({
      executable,
      profile: path.join(this.getPath('userData'), 'chromium'),
      headed: this.headed,
      debuggingPort: switchValue('remote-debugging-port'),
    });
    chromium.once('closed', () => this.#ended(this.#quitting ? 0 : 1));
    await chromium.send('', 'Browser.getVersion');
    // No permission for any page, no download: what Electron's application decides by handlers is refused here from the start.
    await chromium.send('', 'Browser.grantPermissions', { permissions: [] });
    await chromium.send('', 'Browser.setDownloadBehavior', { behavior: 'deny' });
    this.#chromium = chromium;
    this.#isReady = true;
    this.emit('ready');
  }

  /** The running Chromium; only after `whenReady`. */
  get chromium(): Chromium {
    if (this.#chromium === null) throw new Error('Cannot create BrowserWindow before app is ready');
    return this.#chromium;
  }

  whenReady(): Promise<void> {
    return this.#ready;
  }
  isReady(): boolean {
    return this.#isReady;
  }
  getName(): string {
    return this.#name ?? (textAt(this.#facts, 'productName') || textAt(this.#facts, 'name') || 'Electron');
  }
  setName(name: string): void {
    this.#name = name;
  }
  get name(): string {
    return this.getName();
  }
  getVersion(): string {
    return textAt(this.#facts, 'version') || '0.0.0';
  }
  getAppPath(): string {
    return this.appPath;
  }
  getLocale(): string {
    return 'en-GB';
  }
  setPath(name: string, folder: string): void {
    this.#paths.set(name, folder);
  }
  getPath(name: string): string {
    const appData = process.env['XDG_CONFIG_HOME'] ?? path.join(os.homedir(), '.config');
    const known: Record<string, () => string> = {
      home: () => os.homedir(),
      appData: () => appData,
      userData: () => path.resolve(switchValue('user-data-dir') ?? path.join(appData, this.getName())),
      sessionData: () => this.getPath('userData'),
      temp: () => os.tmpdir(),
      downloads: () => path.join(os.homedir(), 'Downloads'),
      logs: () => path.join(this.getPath('userData'), 'logs'),
      exe: () => process.execPath,
    };
    const found = this.#paths.get(name) ?? known[name]?.();
    if (found === undefined) throw new Error(`Failed to get '${name}' path`);
    return found;
  }
  setAppUserModelId(): void {
    // Windows only.
  }
  enableSandbox(): void {
    // Windows here are Chromium pages: they never have Node.
  }
  setAsDefaultProtocolClient(): boolean {
    return false;
  }
  setLoginItemSettings(settings: { openAtLogin: boolean }): void {
    this.#loginItem = { openAtLogin: settings.openAtLogin };
  }
  getLoginItemSettings(): { openAtLogin: boolean } {
    return this.#loginItem;
  }
  setBadgeCount(): boolean {
    return false;
  }

  /** One instance a user data folder. A later one leaves its command line for the first and gets false. */
  requestSingleInstanceLock(): boolean {
    const folder = path.join(this.getPath('userData'), 'instance');
    mkdirSync(folder, { recursive: true });
    const lock = path.join(folder, 'pid');
    try {
      writeFileSync(lock, String(process.pid), { flag: 'wx' });
    } catch {
      const holder = Number(readFileSync(lock, 'utf8'));
      if (holder !== process.pid && Number.isInteger(holder) && isAlive(holder)) {
        const call = path.join(folder, `call-${randomUUID()}`);
        writeFileSync(`${call}.part`, JSON.stringify({ argv: process.argv, workingDirectory: process.cwd() }));
        renameSync(`${call}.part`, `${call}.json`);
        return false;
      }
      writeFileSync(lock, String(process.pid));
    }
    process.once('exit', () => rmSync(lock, { force: true }));
    const hear = () => {
      for (const name of readdirSync(folder).filter((entry) => entry.endsWith('.json'))) {
        const call = readFacts(path.join(folder, name));
        rmSync(path.join(folder, name), { force: true });
        this.emit('second-instance', preventable(), call['argv'] ?? [], textAt(call, 'workingDirectory'), null);
      }
    };
    watch(folder, { persistent: false }, hear);
    return true;
  }

  quit(): void {
    if (this.#quitting) return;
    const before = preventable();
    this.emit('before-quit', before);
    if (before.defaultPrevented) return;
    this.#quitting = true;
    for (const window of [...this.windows]) window.close();
    this.windowClosed();
  }

  /** A window has gone, or `quit` has begun: ends the application when none is left. */
  windowClosed(): void {
    if ([...this.windows].some((window) => !window.isDestroyed())) return;
    if (!this.#quitting) {
      if (!this.emit('window-all-closed')) this.quit();
      return;
    }
    const will = preventable();
    this.emit('will-quit', will);
    if (will.defaultPrevented) this.#quitting = false;
    else this.exit(0);
  }
  /** A window refused to close: the application stays. */
  closeRefused(): void {
    this.#quitting = false;
  }

  exit(code = 0): void {
    this.#quitting = true;
    if (this.#chromium === null) process.exit(code);
    this.#chromium.removeAllListeners('closed');
    this.#chromium.close().finally(() => this.#ended(code));
  }

  #ended(code: number): void {
    this.emit('quit', {}, code);
    process.exit(code);
  }
}

export const app = new App();

/** Called by boot.mjs with the folder of the application. */
export const beginApp = (options: { appPath: string }): void => {
  app.begin(options.appPath);
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => app.quit());
};
