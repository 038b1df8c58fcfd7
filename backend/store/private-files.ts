/** Keys lie in a folder and in files that nobody but their owner may look into (threats API-15). Windows has no modes: there it is up to the account. */
import { mkdirSync, statSync } from 'node:fs';

const openTo = (path: string): string | null => {
  const mode = statSync(path).mode & 0o777;
  return process.platform === 'win32' || (mode & 0o077) === 0 ? null : mode.toString(8).padStart(4, '0');
};

/** Makes the folder (0700) when it is missing. @throws Error when others may look into it, or change what is in it. */
export const openPrivateFolder = (folder: string): void => {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const mode = openTo(folder);
  if (mode === null) return;
  throw new Error(`The folder ${folder} is open to others (mode ${mode}): make it 0700, and think about new keys.`);
};

/** @throws Error when others than its owner may read or change the file. */
export const assertPrivateFile = (file: string): void => {
  const mode = openTo(file);
  if (mode === null) return;
  throw new Error(
    `${file} can be read by others (mode ${mode}): make it 0600, and change the key if somebody may have read it.`,
  );
};
