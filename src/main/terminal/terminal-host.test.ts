import http from 'node:http';
import { afterEach, expect, it, vi } from 'vitest';
import type { Connection } from '../../shared/access.ts';
import { active, grant, instance, minutes } from '../testing/snapshots.ts';
import type { Pty } from './pty.ts';
import { createTerminalHost } from './terminal-host.ts';

/** Generous: nothing here is a promise about time. */
const patience = { timeout: 20_000 };
const closing: Array<() => void> = [];
afterEach(() => {
  vi.unstubAllEnvs();
  for (const close of closing.splice(0)) close();
});

const answers: Record<string, unknown> = {
  GetConnectionStatus: { Status: 'connected', Target: 'x' },
  StartSession: { SessionId: 's-1', TokenValue: 't', StreamUrl: 'wss://x' },
  TerminateSession: { SessionId: 's-1' },
};

/** Enough of Systems Manager to start a session. */
const systemsManager = async (asked: string[]): Promise<void> => {
  const server = http.createServer((request, response) => {
    const action = String(request.headers['x-amz-target']).split('.').at(-1) ?? '';
    request.resume();
    request.on('end', () => {
      asked.push(action);
      response.writeHead(200, { 'content-type': 'application/x-amz-json-1.1' });
      response.end(JSON.stringify(answers[action] ?? {}));
    });
  });
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  closing.push(() => {
    server.closeAllConnections();
    server.close();
  });
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  vi.stubEnv('AWS_ENDPOINT_URL', `http://127.0.0.1:${port}`);
};

const target = instance('x');
const connection: Connection = {
  as: 'iam-user',
  userArn: `arn:aws:iam::${target.accountId}:user/mira`,
  grantId: 'g',
  accountId: target.accountId,
  documentName: 'curfew-shell',
  reason: 'Checkout latency doubled',
};

/** A host with one terminal on its way. Each kill of its program meets the next of `kills`, and succeeds when there is none. */
const opened = async (options: { onStarted?: (end: () => void) => void; kills?: Error[] } = {}) => {
  const asked: string[] = [];
  await systemsManager(asked);
  const one = grant('g', ['x'], active(30 * minutes));
  const told: string[] = [];
  let programs = 0;
  let exit: (code: number) => void = () => undefined;
  const program = (): Pty => {
    programs += 1;
    return {
      write: () => undefined,
      resize: () => undefined,
      acknowledge: () => undefined,
      drain: () => undefined,
      kill: async () => {
        const failure = options.kills?.shift();
        if (failure !== undefined) throw failure;
        exit(0);
      },
      exited: new Promise((resolve) => {
        exit = resolve;
      }),
    };
  };
  const host = createTerminalHost({
    credentialsFor: async () => ({
      accessKeyId: 'a',
      secretAccessKey: 'b',
      sessionToken: 'c',
      expiration: new Date(Date.now() + 3_600_000),
    }),
    backend: {
      overview: () => Promise.reject(new Error('not asked')),
      sessionStarted: async ({ sessionId }) => {
        told.push(`started ${sessionId}`);
        options.onStarted?.(() => host.endAllOf('g', 'grant-over'));
      },
      sessionEnded: async ({ sessionId }) => void told.push(`ended ${sessionId}`),
      spreadingMeasured: async () => undefined,
    },
    grant: () => one,
    usualSpreadingMs: () => null,
    clock: () => null,
    settings: () => ({ sessionClient: 'built-in', officialPluginPath: null }),
    sessionClient: { command: 'never-run', args: [], env: {} },
    notAws: [],
    now: () => new Date(),
    log: () => undefined,
    openPty: program,
  });
  await host.open(one, connection, target);
  return { host, asked, told, programs: () => programs, phase: () => host.tabs()[0]?.phase };
};

it('TERM-10 an end between the start of a session and that of its program leaves neither', async () => {
  const { asked, told, programs, phase } = await opened({ onStarted: (end) => end() });
  await vi.waitFor(() => expect(asked).toContain('TerminateSession'), patience);
  await vi.waitFor(() => expect(told).toEqual(['started s-1', 'ended s-1']), patience);
  expect(programs()).toBe(0);
  expect(phase()).toBe('ended');
});

it('TERM-10 a program that could not be ended is no ended terminal, and the next beat ends it', async () => {
  const { host, told, programs, phase } = await opened({ kills: [new Error('Cannot close the console.')] });
  await vi.waitFor(() => expect(programs()).toBe(1), patience);
  host.endAllOf('g', 'grant-over');
  await new Promise((resolve) => setImmediate(resolve));
  expect(phase()).not.toBe('ended');
  host.endAllOf('g', 'grant-over');
  await vi.waitFor(() => expect(phase()).toBe('ended'), patience);
  await vi.waitFor(() => expect(told).toEqual(['started s-1', 'ended s-1']), patience);
});
