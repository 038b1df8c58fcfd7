/** Starts the built app (on Electron or the stand-in) with user data of its own, and ends it with the test. */
import { mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { _electron, type ElectronApplication, type Page } from '@playwright/test';
import { electronExecutable } from '../dev/electron-standin/find-electron.ts';

export type RunningApp = {
  electron: ElectronApplication;
  /** The main window, drawn. */
  window: Page;
  userData: string;
  /** Quits the app; user data stays until `remove`. */
  quit(): Promise<void>;
  remove(): Promise<void>;
};

/** The main window, whatever other windows there are (on a display the stand-in shows its tray as one). */
const mainWindow = async (electron: ElectronApplication): Promise<Page> => {
  const isMain = (page: Page) => page.url().includes('/main-window/');
  for (let tries = 0; tries < 100; tries += 1) {
    const found = electron.windows().find(isMain);
    if (found !== undefined) return found;
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
  throw new Error('The app opened no main window within 20 s.');
};

/**
 * @param options.userData a folder of an earlier run, to start again on the same data.
 * @param options.env added to the environment: managed settings, endpoint overrides.
 * @param options.keyring the desktop has a keychain (stand-in only; Electron uses the real one).
 */
export const launchCurfew = async (
  options: { userData?: string; env?: Record<string, string>; keyring?: boolean } = {},
): Promise<RunningApp> => {
  const userData = options.userData ?? (await mkdtemp(path.join(os.tmpdir(), 'curfew-e2e-')));
  const executable = electronExecutable({ keyring: options.keyring ?? false });
  const inherited = Object.entries(process.env).filter(
    (entry): entry is [string, string] => entry[1] !== undefined && !/^(AWS_|CURFEW_)/.test(entry[0]),
  );
  const electron = await _electron.launch({
    executablePath: executable.path,
    args: [...executable.args, `--user-data-dir=${userData}`],
    env: { ...Object.fromEntries(inherited), ...executable.env, ...options.env },
  });
  const window = await mainWindow(electron);
  await window.locator('#root > :not(style)').first().waitFor();
  return {
    electron,
    window,
    userData,
    quit: () => electron.close(),
    remove: () => rm(userData, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 }),
  };
};

export type WindowPreferences = { url: string; preferences: Record<string, unknown> };

/** What every window of the app was really made with. */
export const windowPreferences = (electron: ElectronApplication): Promise<WindowPreferences[]> =>
  electron.evaluate(({ webContents }) =>
    webContents.getAllWebContents().map((contents) => {
      // Electron has this function and does not describe it.
      const read: unknown = Reflect.get(contents, 'getLastWebPreferences');
      const found: unknown = typeof read === 'function' ? read.call(contents) : null;
      return { url: contents.getURL(), preferences: { ...(typeof found === 'object' ? found : {}) } };
    }),
  );
