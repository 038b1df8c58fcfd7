/**
 * Secrets over a restart, encrypted by the operating system's keychain through `safeStorage`. Where there is none (Linux's
 * `basic_text` counts as none) secrets stay in memory and are gone with the process (threats APP-15).
 */
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { TokenVault, TokenVaultDeps } from './ports.ts';

const hasKeychain = ({ safeStorage, platform }: TokenVaultDeps): boolean => {
  if (!safeStorage.isEncryptionAvailable()) return false;
  return platform !== 'linux' || safeStorage.getSelectedStorageBackend?.() !== 'basic_text';
};

const isRecord = (value: unknown): value is Record<string, string> =>
  typeof value === 'object' && value !== null && Object.values(value).every((item) => typeof item === 'string');

/** Opens the vault. A file that cannot be decrypted any more (another keychain) is put away: the person signs in again. */
export const createTokenVault = (deps: TokenVaultDeps): TokenVault => {
  const persists = hasKeychain(deps);
  const file = join(deps.folder, 'vault');

  const read = (): Record<string, string> => {
    if (!persists || !existsSync(file)) return {};
    try {
      const kept: unknown = JSON.parse(deps.safeStorage.decryptString(readFileSync(file)));
      return isRecord(kept) ? kept : {};
    } catch {
      rmSync(file, { force: true });
      return {};
    }
  };

  const secrets = new Map(Object.entries(read()));
  // A vault of a time when there was a keychain must not lie about.
  if (!persists) rmSync(file, { force: true });

  const writeFile = (): void => {
    if (secrets.size === 0) {
      rmSync(file, { force: true });
      return;
    }
    mkdirSync(deps.folder, { recursive: true, mode: 0o700 });
    const sealed = deps.safeStorage.encryptString(JSON.stringify(Object.fromEntries(secrets)));
    writeFileSync(`${file}.new`, sealed, { mode: 0o600 });
    renameSync(`${file}.new`, file);
  };
  const write = (): void => {
    if (!persists) return;
    try {
      writeFile();
    } catch (error) {
      // A sign-in that stands is not thrown away because a disk is full.
      deps.onProblem(error);
    }
  };

  return {
    persists,
    get: (name) => secrets.get(name) ?? null,
    put: (name, secret) => {
      secrets.set(name, secret);
      write();
    },
    delete: (name) => {
      if (secrets.delete(name)) write();
    },
  };
};
