import { createServer, type Server } from 'node:http';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { z } from 'zod';
import { createDirectory, type Directory } from './directory.ts';

/** An identity store that always answers with this error. */
let server: Server;
let missing: string | null = null;
let calls = 0;
let directory: Directory;
let time = new Date('2026-11-22T10:00:00.000Z');
const directoryOf = (options: { answerMs?: number }): Directory =>
  createDirectory({
    identityStoreId: 'd-0123456789',
    region: 'eu-central-1',
    groups: ['curfew-users'],
    adminGroup: 'curfew-admins',
    now: () => time,
    remember: async () => undefined,
    ...options,
  });
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
  directory = directoryOf({});
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

describe('ID-12 an identity store that takes a call and says nothing', () => {
  const silent = (spoken: 'nothing' | 'half an answer', times: number): void => {
    let left = times;
    const answering = server.listeners('request');
    server.removeAllListeners('request');
    server.on('request', (request, response) => {
      left -= 1;
      if (left < 0) for (const one of answering) one.call(server, request, response);
      else if (spoken === 'half an answer') {
        response.writeHead(200, { 'content-type': 'application/x-amz-json-1.1', 'content-length': '100' });
        response.write('{"UserId":');
      }
    });
  };
  beforeEach(() => {
    missing = 'USER';
    return () => server.closeAllConnections();
  });

  test.each(['nothing', 'half an answer'] as const)('(%s): it counts as unknown, not as waiting', async (spoken) => {
    silent(spoken, Number.POSITIVE_INFINITY);
    directory = directoryOf({ answerMs: 100 });
    const { known, failure } = await directory.standings(['c2c5d4e4-1021']);
    expect(known.size).toBe(0);
    expect(failure?.error).toBeInstanceOf(Error);
    await expect(directory.person('c2c5d4e4-1021')).rejects.toThrow();
  });

  test.each(['nothing', 'half an answer'] as const)('(%s): it is asked again on another connection', async (spoken) => {
    silent(spoken, 1);
    directory = directoryOf({ answerMs: 1_000 });
    const { known, failure } = await directory.standings(['c2c5d4e4-1021']);
    expect({ known: [...known], failure }).toEqual({ known: [['c2c5d4e4-1021', 'gone']], failure: null });
  });
});

describe('ID-12 many at once', () => {
  const idOf = (number: number): string => `c2c5d4e4-${number}`;
  const asInput = z.object({
    UserId: z.string().optional(),
    NextToken: z.string().optional(),
    MaxResults: z.number().optional(),
  });
  /** A store of so many users; each hundredth is disabled. It counts what it is asked by operation. */
  const storeOf = (users: number, options: { mayList?: boolean; tellsStatus?: boolean } = {}) => {
    const asked = new Map<string, number>();
    const all = Array.from({ length: users }, (_, number) => ({
      UserId: idOf(number),
      UserName: `user-${number}`,
      UserStatus: number % 100 === 99 ? 'DISABLED' : 'ENABLED',
    }));
    const answers = (operation: string, input: z.output<typeof asInput>) => {
      if (operation === 'DescribeUser') return all.find(({ UserId }) => UserId === input.UserId) ?? null;
      if (options.mayList === false) return 'AccessDeniedException';
      const from = Number(input.NextToken ?? 0);
      const to = from + (input.MaxResults ?? 0);
      const Users = all.slice(from, to).map(({ UserStatus, ...user }) => ({
        ...user,
        ...(options.tellsStatus === false ? {} : { UserStatus }),
      }));
      return { Users, ...(to < users ? { NextToken: String(to) } : {}) };
    };
    server.removeAllListeners('request');
    server.on('request', (request, response) => {
      const parts: Buffer[] = [];
      request.on('data', (part: Buffer) => parts.push(part));
      request.on('end', () => {
        const operation = String(request.headers['x-amz-target']).replace('AWSIdentityStore.', '');
        asked.set(operation, (asked.get(operation) ?? 0) + 1);
        const answer = answers(operation, asInput.parse(JSON.parse(Buffer.concat(parts).toString('utf8'))));
        response.writeHead(answer === null || typeof answer === 'string' ? 400 : 200, {
          'content-type': 'application/x-amz-json-1.1',
        });
        const none = { __type: 'ResourceNotFoundException', Message: 'no', ResourceType: 'USER' };
        response.end(JSON.stringify(answer ?? none).replace(/^"(\w+)"$/, '{"__type":"$1"}'));
      });
    });
    return asked;
  };
  const everyone = (users: number): string[] => Array.from({ length: users + 1 }, (_, number) => idOf(number));

  test('ID-12 2,500 people cost 25 calls and one for whoever is not listed, so 20 a second are enough for each minute', async () => {
    const asked = storeOf(2500);
    const { known, failure } = await directory.standings(everyone(2500));
    expect(failure).toBeNull();
    expect(Object.fromEntries(asked)).toEqual({ ListUsers: 25, DescribeUser: 1 });
    const of = (standing: string) => [...known.values()].filter((one) => one === standing).length;
    expect([of('enabled'), of('disabled'), of('gone')]).toEqual([2475, 25, 1]);
    expect(known.get(idOf(2500))).toBe('gone');
  });

  test.each([{ mayList: false }, { tellsStatus: false }])(
    'ID-12 a list that says nothing (%o) makes nobody a leaver, and hides none',
    async (options) => {
      const asked = storeOf(120, options);
      const { known } = await directory.standings(everyone(120));
      expect(asked.get('DescribeUser')).toBe(121);
      expect([...known].filter(([, standing]) => standing !== 'enabled')).toEqual([
        [idOf(99), 'disabled'],
        [idOf(120), 'gone'],
      ]);
    },
  );

  test('ID-12 a list with more pages than there are people to ask about is begun once and then left alone', async () => {
    const asked = storeOf(6300);
    await directory.standings(everyone(61));
    // It is seen to be too long with the first page that would have cost more.
    expect(Object.fromEntries(asked)).toEqual({ ListUsers: 63, DescribeUser: 62 });
    const { known } = await directory.standings(everyone(61));
    expect(Object.fromEntries(asked)).toEqual({ ListUsers: 63, DescribeUser: 124 });
    expect(known.size).toBe(62);
    await directory.standings(everyone(99));
    expect(Object.fromEntries(asked)).toEqual({ ListUsers: 126, DescribeUser: 124 });
  });

  test('ID-12 a few are asked about one by one, and nothing is remembered', async () => {
    const asked = storeOf(60);
    await directory.standings(everyone(10));
    await directory.standings(everyone(10));
    expect(Object.fromEntries(asked)).toEqual({ DescribeUser: 22 });
  });

  test('ID-12 one who cannot be asked about is unknown, not gone', async () => {
    storeOf(10);
    const answering = server.listeners('request');
    server.removeAllListeners('request');
    server.on('request', (request, response) => {
      if (request.headers['x-amz-target'] === 'AWSIdentityStore.DescribeUser') {
        response.writeHead(400, { 'content-type': 'application/x-amz-json-1.1' });
        response.end(JSON.stringify({ __type: 'AccessDeniedException' }));
      } else for (const one of answering) one.call(server, request, response);
    });
    const { known, failure } = await directory.standings(everyone(3));
    expect(known.size).toBe(0);
    expect(failure?.error).toMatchObject({ name: 'AccessDeniedException' });
  });
});
