/**
 * Finds a Chromium for the Electron stand-in and for tests, and installs Debian's where it is missing and we may (root and apt).
 */
import { findChromium } from '../electron-standin/chromium.ts';
import { installPackages, mayInstall } from './debian.ts';

/** Debian's packages: the browser, and fonts without which pictures show boxes for CJK and emoji. */
const packages = ['chromium', 'fonts-noto-cjk'];

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
  await installPackages(packages);
  const installed = findChromium();
  if (installed === null) throw new Error('apt-get installed Chromium, but it is not in any of the usual places.');
  return installed;
};
