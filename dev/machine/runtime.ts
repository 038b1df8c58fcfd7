/**
 * What the app runs on: Electron's own binary where it is installed or can be fetched, otherwise the stand-in over Chromium. A machine that
 * could not reach Electron's downloads is not made to wait for them again for a day.
 */
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { type ElectronExecutable, electronExecutable } from '../electron-standin/find-electron.ts';
import { ensureChromium } from './chromium.ts';
import { ensureNativeParts } from './native-parts.ts';

const askAgainAfterMs = 24 * 3600_000;
const fetchPatienceMs = 180_000;

const fetchElectron = (): Promise<boolean> =>
  new Promise((resolve) => {
    const install = createRequire(import.meta.url).resolve('electron/install.js');
    const child = spawn(process.execPath, [install], { stdio: 'ignore', timeout: fetchPatienceMs });
    child.once('error', () => resolve(false));
    child.once('exit', (code) => resolve(code === 0));
  });

const triedLately = (marker: string): boolean =>
  fs.existsSync(marker) && Date.now() - fs.statSync(marker).mtimeMs < askAgainAfterMs;

/**
 * Finds, makes or fetches what the app can run on, and installs Chromium for the stand-in where it must and may.
 * @param options.folder where the note of a failed fetch is kept.
 */
export const ensureRuntime = async (options: {
  folder: string;
  headed: boolean;
  keyring: boolean;
  say: (line: string) => void;
}): Promise<ElectronExecutable> => {
  const { folder, say, ...how } = options;
  await ensureNativeParts(say);
  const found = electronExecutable(how);
  if (found.runtime === 'electron') return found;
  const marker = path.join(folder, 'electron-not-reached');
  if (!triedLately(marker)) {
    say('Looking for Electron’s own binary (about 120 MB where it can be fetched) …');
    if (await fetchElectron()) return electronExecutable(how);
    fs.mkdirSync(folder, { recursive: true });
    fs.writeFileSync(marker, '');
  }
  await ensureChromium(say);
  return found;
};
