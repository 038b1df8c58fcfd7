/** The app's log: JSON lines in the user data folder. Callers give facts by name and never a secret; long texts are cut. */
import { appendFileSync, mkdirSync, renameSync, statSync } from 'node:fs';
import path from 'node:path';

export type Log = (level: 'info' | 'warn' | 'error', what: string, facts?: Record<string, unknown>) => void;

const largestFile = 2 * 1024 * 1024;
const longestText = 2000;

const plain = (_key: string, value: unknown): unknown => {
  if (value instanceof Error) {
    return { name: value.name, message: value.message, stack: value.stack, cause: value.cause };
  }
  return typeof value === 'string' && value.length > longestText ? `${value.slice(0, longestText)}…` : value;
};

/** A log in `folder/curfew.log` (0600); one older file is kept. A full disk loses lines, never the app. */
export const createLog = (folder: string, now: () => Date): Log => {
  const file = path.join(folder, 'curfew.log');
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  return (level, what, facts = {}) => {
    const line = `${JSON.stringify({ at: now().toISOString(), level, what, ...facts }, plain)}\n`;
    try {
      if ((statSync(file, { throwIfNoEntry: false })?.size ?? 0) > largestFile) renameSync(file, `${file}.1`);
      appendFileSync(file, line, { mode: 0o600 });
    } catch {
      // Nowhere left to say it: standard error is the last place.
      process.stderr.write(line);
    }
  };
};
