import { createServer, type Server } from 'node:http';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { createDirectory, type Directory } from './directory.ts';

/** An identity store that always answers with this error. */
let server: Server;
let missing: string | null = null;
let calls = 0;
let directory: Directory;
let time = new Date('2026-11-22T10:00:00.000Z');
beforeEach(async () => {
  calls = 0;
  server = createServer((_request, response) => {
    calls += 1;
    response.writeHead(400, { 'content-type': 'application/x-amz-json-1.1' });
    const type = missing === null ? {} : { ResourceType: missing };
    response.end(JSON.stringify({ __type: 'ResourceNotFoundException', Message: 'not found', ...type }));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  vi.stubEnv('AWS_ENDPOINT_URL', `http://127.0.0.1:${address.port}`);
  vi.stubEnv('AWS_ACCESS_KEY_ID', 'AKIAAAAAAAAAAAAAAAAA');
  vi.stubEnv('AWS_SECRET_ACCESS_KEY', 'a-key-of-nobody-at-all');
  directory = createDirectory({
    identityStoreId: 'd-0123456789',
    region: 'eu-central-1',
    now: () => time,
    remember: async () => undefined,
  });
});
afterEach(async () => {
  vi.unstubAllEnvs();
  await new Promise((resolve) => server.close(resolve));
});

test.each(['USER', 'GROUP', null])('ID-12 what is not there (%s) is nobody', async (type) => {
  missing = type;
  expect(await directory.person('c2c5d4e4-1021')).toBeNull();
  expect(await directory.byUserName('mira@example.com')).toBeNull();
  expect(await directory.membersOf('curfew-users')).toEqual([]);
});

test('ID-12 an identity store that is not there does not make everybody a leaver, and is asked again', async () => {
  missing = 'IDENTITY_STORE';
  await expect(directory.person('c2c5d4e4-1021')).rejects.toThrow('not found');
  const before = calls;
  await expect(directory.person('c2c5d4e4-1021')).rejects.toThrow('not found');
  expect(calls).toBeGreaterThan(before);
});

test('ID-12 an answer is remembered for half a minute, not longer', async () => {
  missing = 'USER';
  await directory.person('c2c5d4e4-1021');
  const once = calls;
  time = new Date(time.getTime() + 29_000);
  await directory.person('c2c5d4e4-1021');
  expect(calls).toBe(once);
  time = new Date(time.getTime() + 2_000);
  await directory.person('c2c5d4e4-1021');
  expect(calls).toBe(once + 1);
});
