import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest';
import { stringify } from 'yaml';
import { type FreshStore, freshStore } from './testing/fresh-store.ts';
import { testConfig } from './testing/test-backend.ts';

const server = fileURLToPath(new URL('server.ts', import.meta.url));
// Each start is a process of its own.
vi.setConfig({ testTimeout: 90_000 });
let fresh: FreshStore;
let folder = '';
let running: ChildProcess | null = null;
beforeAll(async () => {
  fresh = await freshStore();
  folder = mkdtempSync(join(tmpdir(), 'curfew-server-'));
});
afterEach(() => {
  running?.kill('SIGKILL');
  running = null;
});
afterAll(async () => {
  await fresh.close();
  rmSync(folder, { recursive: true, force: true });
});

/** Starts the backend with nobody at AWS's address. */
const start = (changed: Record<string, unknown>, env: Record<string, string> = {}) => {
  const file = join(folder, 'curfew.yml');
  const { databaseUrl: _, ...config } = { ...testConfig, keysFolder: join(folder, 'keys'), ...changed };
  writeFileSync(file, stringify(config));
  const child = spawn(process.execPath, [server], {
    env: {
      PATH: process.env['PATH'] ?? '',
      CURFEW_CONFIG: file,
      DATABASE_URL: fresh.url,
      AWS_ENDPOINT_URL: 'http://127.0.0.1:9',
      AWS_ACCESS_KEY_ID: 'AKIACANARYCANARYCANA',
      AWS_SECRET_ACCESS_KEY: 'canary-of-the-backend',
      AWS_EC2_METADATA_DISABLED: 'true',
      ...env,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  running = child;
  let out = '';
  child.stdout.on('data', (chunk: Buffer) => {
    out += chunk.toString();
  });
  child.stderr.on('data', (chunk: Buffer) => {
    out += chunk.toString();
  });
  const ended = new Promise<number | null>((resolve) => child.on('exit', resolve));
  const lines = (): Array<Record<string, unknown>> =>
    out
      .split('\n')
      .filter(Boolean)
      .map((line) => JSON.parse(line));
  const said = async (event: string): Promise<Record<string, unknown>> => {
    const find = () => lines().find((line) => line['event'] === event);
    await expect.poll(find, { timeout: 20_000 }).toBeDefined();
    return find() ?? {};
  };
  return { child, ended, said, out: () => out };
};

test('starts without AWS, says where it listens, and stops when it is told to', async () => {
  const { child, ended, said, out } = start({});
  const { address } = await said('listening');
  expect((await fetch(`${String(address)}/readyz`)).status).toBe(200);
  expect((await fetch(`${String(address)}/trpc/info`)).status).toBe(200);
  for (const key of ['decision.key', 'audit.key']) expect(statSync(join(folder, 'keys', key)).mode & 0o077).toBe(0);
  child.kill('SIGTERM');
  expect(await ended).toBe(0);
  expect(out()).not.toContain('canary-of-the-backend');
});

test('ID-13 API-09 beyond loopback it starts neither with a made-up STS nor without https', async () => {
  const open = { listen: { host: '0.0.0.0', port: 0 } };
  for (const [changed, env] of [
    [{ ...open, origin: 'http://curfew.example.com' }, {}],
    [open, {}],
    [open, { AWS_ENDPOINT_URL_STS: 'https://sts.evil.example.com' }],
  ] as const) {
    const { ended, out } = start(changed, env);
    expect(await ended).toBe(1);
    expect(out()).toContain('start_failed');
    expect(out()).not.toContain('"listening"');
  }
});

test('a configuration that does not fit names file, line and column', async () => {
  const { ended, out } = start({ signIn: { ...testConfig.signIn, stsRegion: 'aws-global' } });
  expect(await ended).toBe(1);
  const lineOf = readFileSync(join(folder, 'curfew.yml'), 'utf8')
    .split('\n')
    .findIndex((line) => line.includes('aws-global'));
  expect(out()).toContain(`curfew.yml:${lineOf + 1}:`);
});
