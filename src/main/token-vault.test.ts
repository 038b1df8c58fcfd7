import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { TokenVaultDeps } from './ports.ts';
import { createTokenVault } from './token-vault.ts';

let folder = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'curfew-vault-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

/** A keychain that holds one key in memory. */
const keychain = (backend: string): TokenVaultDeps['safeStorage'] => {
  const key = randomBytes(32);
  const iv = randomBytes(16);
  return {
    isEncryptionAvailable: () => true,
    getSelectedStorageBackend: () => backend,
    encryptString: (text) => {
      const cipher = createCipheriv('aes-256-cbc', key, iv);
      return Buffer.concat([cipher.update(text, 'utf8'), cipher.final()]);
    },
    decryptString: (sealed) => {
      const decipher = createDecipheriv('aes-256-cbc', key, iv);
      return Buffer.concat([decipher.update(sealed), decipher.final()]).toString('utf8');
    },
  };
};

const secret = 'canary-0f9c2d7e41b8';
const open = (safeStorage: TokenVaultDeps['safeStorage'], platform: NodeJS.Platform = 'linux') => {
  const problems: unknown[] = [];
  const vault = createTokenVault({ safeStorage, folder, platform, onProblem: (error) => problems.push(error) });
  return { vault, problems };
};
const anywhere = (): boolean => readdirSync(folder).some((name) => readFileSync(join(folder, name)).includes(secret));

describe('the token vault', () => {
  it('APP-15 keeps secrets over a restart, sealed by the keychain, for the owner only', () => {
    const storage = keychain('gnome_libsecret');
    open(storage).vault.put('sign-in', secret);
    expect(anywhere()).toBe(false);
    expect(statSync(join(folder, 'vault')).mode & 0o777).toBe(0o600);
    const { vault } = open(storage);
    expect(vault.persists).toBe(true);
    expect(vault.get('sign-in')).toBe(secret);
    vault.delete('sign-in');
    expect(existsSync(join(folder, 'vault'))).toBe(false);
  });

  it('APP-15 counts basic_text as no keychain: memory only, and an older file goes', () => {
    writeFileSync(join(folder, 'vault'), 'from a time with a keychain');
    const { vault } = open(keychain('basic_text'));
    expect(vault.persists).toBe(false);
    vault.put('sign-in', secret);
    expect(vault.get('sign-in')).toBe(secret);
    expect(readdirSync(folder)).toEqual([]);
    expect(open(keychain('basic_text')).vault.get('sign-in')).toBeNull();
  });

  it('APP-15 writes nothing where encryption is not available', () => {
    const { vault } = open({ ...keychain('x'), isEncryptionAvailable: () => false }, 'win32');
    vault.put('sign-in', secret);
    expect(vault.persists).toBe(false);
    expect(readdirSync(folder)).toEqual([]);
  });

  it('a file of another keychain is put away, and the person signs in again', () => {
    open(keychain('gnome_libsecret')).vault.put('sign-in', secret);
    const { vault } = open(keychain('gnome_libsecret'));
    expect(vault.get('sign-in')).toBeNull();
    expect(existsSync(join(folder, 'vault'))).toBe(false);
  });

  it('a full disk costs the file, not the sign-in', () => {
    const { vault, problems } = open(keychain('gnome_libsecret'));
    // Nothing can be written where a folder stands.
    mkdirSync(join(folder, 'vault.new'));
    vault.put('sign-in', secret);
    expect(vault.get('sign-in')).toBe(secret);
    expect(problems).toHaveLength(1);
    rmSync(join(folder, 'vault.new'), { recursive: true });
    vault.put('other', 'x');
    expect(existsSync(join(folder, 'vault'))).toBe(true);
  });
});
