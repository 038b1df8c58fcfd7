import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { decodeValue, encodeValue } from './codec.ts';

const executable = path.join(import.meta.dirname, 'electron');
const folders: string[] = [];
const running = new Set<ChildProcess>();

const folder = (): string => {
  const made = mkdtempSync(path.join(os.tmpdir(), 'standin-test-'));
  folders.push(made);
  return made;
};

/** An application of one file that prints JSON lines. */
const application = (main: string): string => {
  const made = folder();
  writeFileSync(
    path.join(made, 'package.json'),
    JSON.stringify({ name: 'try', version: '1.2.3', type: 'module', main: 'main.js' }),
  );
  writeFileSync(path.join(made, 'page.html'), '<!doctype html><title>page</title><p>page</p>');
  writeFileSync(path.join(made, 'main.js'), main);
  return made;
};

const start = (app: string, userData: string, env: Record<string, string> = {}) => {
  const child = spawn(executable, [app, `--user-data-dir=${userData}`], { env: { ...process.env, ...env } });
  running.add(child);
  let said = '';
  child.stdout.on('data', (chunk) => {
    said += chunk;
  });
  const ended = new Promise<number | null>((resolve) => child.once('exit', resolve));
  const line = async (): Promise<unknown> => {
    for (let tries = 0; tries < 200; tries += 1) {
      const [first] = said.split('\n').filter((text) => text !== '');
      if (first !== undefined && said.includes('\n')) {
        said = said.slice(said.indexOf('\n') + 1);
        return JSON.parse(first);
      }
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    throw new Error('the application said nothing within 10 s');
  };
  return { child, ended, line };
};

const commandLineOf = (pid: string): string => {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8');
  } catch {
    return '';
  }
};
const chromiumsOf = (userData: string): string[] =>
  readdirSync('/proc').filter(
    (pid) => /^\d+$/.test(pid) && commandLineOf(pid).includes(`--user-data-dir=${userData}/chromium`),
  );

const untilNone = async (userData: string): Promise<string[]> => {
  for (let tries = 0; tries < 100 && chromiumsOf(userData).length > 0; tries += 1) {
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  return chromiumsOf(userData);
};

afterEach(() => {
  for (const child of running) child.kill('SIGKILL');
  running.clear();
  for (const made of folders.splice(0)) rmSync(made, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 });
});

const withWindow = `
  import { app, BrowserWindow, safeStorage } from 'electron';
  import path from 'node:path';
  const say = (value) => console.log(JSON.stringify(value));
  if (!app.requestSingleInstanceLock()) { app.exit(3); }
  else {
    app.on('second-instance', (_event, argv) => say({ second: argv.at(-1) }));
    await app.whenReady();
    const window = new BrowserWindow({ show: false });
    await window.loadFile('page.html');
    say({ version: app.getVersion(), title: await window.webContents.executeJavaScript('document.title'), backend: safeStorage.getSelectedStorageBackend() });
  }`;

describe('values between the application and its pages', () => {
  it('come back as they were', () => {
    const value = {
      at: new Date(5),
      bytes: new Uint8Array([0, 255]),
      list: [1, 'ä\u2028', null],
      error: new Error('x'),
    };
    expect(decodeValue(encodeValue(value))).toEqual(value);
    expect(decodeValue(encodeValue(undefined))).toBeUndefined();
  });

  it('are refused where structured clone would refuse them', () => {
    expect(() => encodeValue({ run: () => 1 })).toThrow('could not be cloned');
  });
});

describe('the stand-in for Electron', () => {
  it('runs an application, and leaves no Chromium when it is asked to end', async () => {
    const userData = folder();
    const { child, ended, line } = start(application(withWindow), userData);
    expect(await line()).toEqual({ version: '1.2.3', title: 'page', backend: 'basic_text' });
    expect(chromiumsOf(userData).length).toBeGreaterThan(0);
    child.kill('SIGTERM');
    expect(await ended).toBe(0);
    expect(await untilNone(userData)).toEqual([]);
  });

  it('leaves no Chromium when it is killed', async () => {
    const userData = folder();
    const { child, ended, line } = start(application(withWindow), userData);
    await line();
    child.kill('SIGKILL');
    await ended;
    expect(await untilNone(userData)).toEqual([]);
  });

  it('lets one instance live in a user data folder, and tells it of the next', async () => {
    const userData = folder();
    const app = application(withWindow);
    const first = start(app, userData, { ELECTRON_STANDIN_KEYRING: '1' });
    expect(await first.line()).toMatchObject({ backend: 'gnome_libsecret' });
    const second = start(app, userData);
    expect(await second.ended).toBe(3);
    expect(await first.line()).toEqual({ second: `--user-data-dir=${userData}` });
    const elsewhere = start(app, folder());
    expect(await elsewhere.line()).toMatchObject({ title: 'page' });
  });
});
