/** Which runtime there is for the built application: Electron's own binary, or the stand-in. */
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';

const root = path.resolve(import.meta.dirname, '..', '..');

export type ElectronExecutable = {
  /** Absolute path for Playwright's `executablePath` or for `spawn`. */
  path: string;
  runtime: 'electron' | 'stand-in';
  /** Add to the environment of the start. */
  env: Record<string, string>;
  /** Arguments that start the application itself (its folder first); append switches such as `--user-data-dir=`. */
  args: string[];
};

const ownBinary = (): string | null => {
  const packaged = path.join(root, 'node_modules', 'electron');
  const named = path.join(packaged, 'path.txt');
  if (!existsSync(named)) return null;
  const binary = path.join(packaged, 'dist', readFileSync(named, 'utf8').trim());
  return existsSync(binary) ? binary : null;
};

/**
 * How to start the built application (`out/` must exist).
 * @param options.headed show windows on the display, where there is one; the stand-in is headless otherwise. Electron always shows them.
 * @param options.keyring on the stand-in, play a desktop that has a keychain, so that a sign-in survives a restart.
 */
export const electronExecutable = (options: { headed?: boolean; keyring?: boolean } = {}): ElectronExecutable => {
  const binary = ownBinary();
  if (binary !== null) {
    const args = process.getuid?.() === 0 ? ['--no-sandbox', root] : [root];
    return { path: binary, runtime: 'electron', env: {}, args };
  }
  return {
    path: path.join(import.meta.dirname, 'electron'),
    runtime: 'stand-in',
    env: options.keyring === true ? { ELECTRON_STANDIN_KEYRING: '1' } : {},
    args: options.headed === true ? [root, '--headed'] : [root],
  };
};
