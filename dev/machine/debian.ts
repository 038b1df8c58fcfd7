/** Installs Debian's packages where that is possible and allowed: as root, with apt. */
import { spawn } from 'node:child_process';
import fs from 'node:fs';

const run = (command: string, args: string[]): Promise<number> =>
  new Promise((resolve, reject) => {
    const child = spawn(command, args, {
      stdio: ['ignore', 'ignore', 'inherit'],
      env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
    });
    child.once('error', reject);
    child.once('exit', (code) => resolve(code ?? 1));
  });

export const mayInstall = (): boolean => process.getuid?.() === 0 && fs.existsSync('/usr/bin/apt-get');

/** @throws Error when apt-get could not do it; its own messages went to standard error. */
export const installPackages = async (packages: readonly string[]): Promise<void> => {
  const install = ['install', '-y', '--no-install-recommends', ...packages];
  if ((await run('apt-get', install)) === 0) return;
  // The package lists of a fresh image are often empty or old.
  await run('apt-get', ['update']);
  if ((await run('apt-get', install)) !== 0) {
    throw new Error(`apt-get could not install ${packages.join(' ')}: see its messages above.`);
  }
};
