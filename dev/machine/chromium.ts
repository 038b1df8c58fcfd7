/**
 * Finds a Chromium for the Electron stand-in and for tests, and installs Debian's where it is missing and we may (root and apt).
 */
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import { findChromium } from '../electron-standin/chromium.ts';

/** Debian's packages: the browser, and fonts without which pictures show boxes for CJK and emoji. */
const packages = ['chromium', 'fonts-noto-cjk'];

const run = (command: string, args: string[]): Promise<number> =>
  new Promise((resolve, reject) => {
    const child = spawn(command, args, {
      stdio: ['ignore', 'ignore', 'inherit'],
      env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
    });
    child.once('error', reject);
    child.once('exit', (code) => resolve(code ?? 1));
  });

const mayInstall = (): boolean => process.getuid?.() === 0 && fs.existsSync('/usr/bin/apt-get');

/**
 * @param say told what is being waited for.
 * @throws Error with the command to type where Chromium is missing and we may not install it.
 */
export const ensureChromium = async (say: (line: string) => void): Promise<string> => {
  const found = findChromium();
  if (found !== null) return found;
  if (!mayInstall()) {
    throw new Error(
      `Chromium is missing. Install it, then run the same command again. On Debian: sudo apt-get install -y ${packages.join(' ')}. Elsewhere set CHROMIUM to its path.`,
    );
  }
  say(`Installing Debian's ${packages.join(' and ')} (about 400 MB, usually one to two minutes) …`);
  const install = ['install', '-y', '--no-install-recommends', ...packages];
  if ((await run('apt-get', install)) !== 0) {
    // The package lists of a fresh image are often empty or old.
    await run('apt-get', ['update']);
    if ((await run('apt-get', install)) !== 0) {
      throw new Error(`apt-get could not install ${packages.join(' ')}: see its messages above.`);
    }
  }
  const installed = findChromium();
  if (installed === null) throw new Error('apt-get installed Chromium, but it is not in any of the usual places.');
  return installed;
};
