/** What `npm ci` takes in: everything by its hash, from the one registry that is configured, and nothing runs by itself. */
import fs from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { z } from 'zod';

const root = path.resolve(import.meta.dirname, '..', '..');
const read = (name: string): string => fs.readFileSync(path.join(root, name), 'utf8');

const entry = z.object({
  version: z.string().optional(),
  /** Left out by .npmrc for what comes from the registry: a URL, a git address or a folder stands here in full. */
  resolved: z.string().optional(),
  integrity: z.string().optional(),
  link: z.boolean().optional(),
  hasInstallScript: z.boolean().optional(),
});
const { packages } = z
  .object({ lockfileVersion: z.literal(3), packages: z.record(z.string(), entry) })
  .parse(JSON.parse(read('package-lock.json')));
const others = Object.entries(packages).filter(([place]) => place !== '');
const ranges = z.record(z.string(), z.string());
const manifest = z
  .object({
    dependencies: ranges,
    devDependencies: ranges,
    optionalDependencies: ranges,
    allowScripts: z.record(z.string(), z.boolean()),
  })
  .parse(JSON.parse(read('package.json')));

test('SUP-01 every package has its SHA-512 and a plain version, and comes from the registry alone', () => {
  expect(others.length).toBeGreaterThan(500);
  for (const [place, { version, resolved, integrity, link }] of others) {
    expect(place, place).toMatch(/^(node_modules\/(@[a-z0-9._-]+\/)?[A-Za-z0-9._-]+\/?)+$/);
    expect(integrity, place).toMatch(/^sha512-[A-Za-z0-9+/]{86}==$/);
    expect(version, place).toMatch(/^\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?$/);
    expect([place, resolved, link]).toEqual([place, undefined, undefined]);
  }
});

test('SUP-01 what we ask for ourselves is one exact version: no range, tag, address, folder or other name', () => {
  const { dependencies, devDependencies, optionalDependencies } = manifest;
  for (const [name, version] of Object.entries({ ...dependencies, ...devDependencies, ...optionalDependencies })) {
    expect([name, version]).toEqual([name, expect.stringMatching(/^\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?$/)]);
    expect([name, packages[`node_modules/${name}`]?.version]).toEqual([name, version]);
  }
});

test('SUP-01 no package runs a script on install, and those that would like to are all named', () => {
  const npmrc = read('.npmrc').split('\n');
  expect(npmrc).toContain('ignore-scripts=true');
  expect(npmrc).toContain('omit-lockfile-registry-resolved=true');
  expect(npmrc.filter((line) => /registry\s*=|_auth|token/i.test(line) && !line.startsWith('omit-'))).toEqual([]);
  const wishing = others.filter(([, { hasInstallScript }]) => hasInstallScript === true).map(([place]) => place);
  const named = Object.keys(manifest.allowScripts).map((name) => `node_modules/${name}`);
  expect(wishing.sort()).toEqual(named.sort());
});
