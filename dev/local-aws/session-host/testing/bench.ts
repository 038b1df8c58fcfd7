/** For tests: a session host behind a real HTTP server, the two SSM calls the client makes, an app's link, and the client on a PTY. */
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import { type AddressInfo, createServer as createSocketServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { spawn } from 'node-pty';
import {
  type LinkFromClient,
  linkFromClient,
  type SessionCredentials,
  type SessionLaunch,
} from '../../../../src/shared/session-launch.ts';
import type { HostedInstance, OpenSession, SessionHostOptions } from '../host-types.ts';
import { createSessionHost } from '../session-host.ts';

export const clientProgram = fileURLToPath(new URL('../../../../src/session-client/main.ts', import.meta.url));

const webOne: HostedInstance = {
  instanceId: 'i-0123456789abcdef0',
  name: 'web-1',
  accountId: '111122223333',
  region: 'eu-central-1',
};

export const madeUpCredentials: SessionCredentials = {
  accessKeyId: 'ASIAEXAMPLEEXAMPLE00',
  secretAccessKey: 'secret-canary-key',
  sessionToken: 'secret-canary-session-token',
};

/** A reproducible source of chance. */
export const seeded = (seed: number) => {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
};

export type ServiceCall = { operation: string; authorization: string };

export const startBench = async (hostOptions: Partial<SessionHostOptions> = {}) => {
  const folder = await mkdtemp(join(tmpdir(), 'session-host-'));
  const faults: unknown[] = [];
  const host = createSessionHost({
    now: () => new Date(),
    runFolder: folder,
    lingerMs: 100,
    resendTickMs: 10,
    onFault: (error) => faults.push(error),
    ...hostOptions,
  });
  const calls: ServiceCall[] = [];
  /** What ResumeSession answers besides the truth. */
  const service = { resumed: (answer: Record<string, unknown>): Record<string, unknown> => answer, status: 200 };

  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const operation = String(request.headers['x-amz-target']).replace('AmazonSSM.', '');
      calls.push({ operation, authorization: String(request.headers.authorization) });
      const { SessionId } = JSON.parse(Buffer.concat(chunks).toString('utf8'));
      response.setHeader('content-type', 'application/x-amz-json-1.1');
      if (service.status !== 200) {
        response.statusCode = service.status;
        response.end(JSON.stringify({ __type: 'AccessDeniedException', Message: 'no' }));
        return;
      }
      if (operation === 'TerminateSession') host.terminate(SessionId, 'ended by test');
      const token = operation === 'ResumeSession' ? host.renewToken(SessionId) : null;
      const resumed = token === null ? {} : { TokenValue: token.tokenValue, StreamUrl: streamUrl(SessionId) };
      response.end(JSON.stringify({ SessionId, ...service.resumed(resumed) }));
    });
  });
  server.on('upgrade', (request, socket, head) => {
    if (!host.handleUpgrade(request, socket, head)) socket.destroy();
  });
  const port = await listen(server);
  const streamUrl = (sessionId: string) => `ws://127.0.0.1:${port}/v1/data-channel/${sessionId}?role=publish_subscribe`;

  let opened = 0;
  const open = (session: Partial<OpenSession> = {}): SessionLaunch => {
    const sessionId = session.sessionId ?? `alice-${process.pid}-${++opened}`;
    const owner = 'arn:aws:sts::111122223333:assumed-role/u/alice';
    const { tokenValue } = host.open({
      sessionId,
      instance: webOne,
      documentName: 'SSM-SessionManagerRunShell',
      maxSessionMinutes: null,
      owner,
      ...session,
    });
    return {
      sessionId,
      tokenValue,
      streamUrl: streamUrl(sessionId),
      region: webOne.region,
      target: webOne.instanceId,
      ssmEndpoint: `http://127.0.0.1:${port}`,
      loopbackAllowed: true,
    };
  };

  return {
    host,
    folder,
    port,
    calls,
    service,
    open,
    close: async () => {
      await host.close();
      server.closeAllConnections();
      await new Promise((done) => server.close(done));
      await rm(folder, { recursive: true, force: true });
      if (faults.length > 0) throw new AggregateError(faults, 'The session host reported faults.');
    },
  };
};

const listen = async (server: ReturnType<typeof createServer>): Promise<number> => {
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  const address: AddressInfo | string | null = server.address();
  if (address === null || typeof address === 'string') throw new Error('The server has no port.');
  return address.port;
};

/** The app's end of the link: collects lines, answers credentials when the word is right. */
export const startLink = async (folder: string, credentials: () => SessionCredentials | null) => {
  const path = join(folder, `link-${Math.random().toString(36).slice(2)}`);
  const word = 'one-time-word-for-tests';
  const lines: LinkFromClient[] = [];
  const server = createSocketServer((socket) => {
    let rest = '';
    socket.setEncoding('utf8');
    socket.on('data', (text: string) => {
      const parts = (rest + text).split('\n');
      rest = parts.pop() ?? '';
      for (const part of parts) {
        const line = linkFromClient.parse(JSON.parse(part));
        lines.push(line);
        if (line.type === 'hello' && line.word !== word) socket.destroy();
        if (line.type !== 'credentials-wanted') continue;
        socket.write(`${JSON.stringify({ type: 'credentials', id: line.id, credentials: credentials() })}\n`);
      }
    });
  });
  await new Promise<void>((done) => server.listen(path, done));
  return { link: { path, word }, lines, phases: () => lines.map((line) => line.type), close: () => server.close() };
};

/** Runs a program on a PTY with CURFEW_SESSION in its environment; the client itself unless told otherwise. */
export const runClient = (launch: unknown, program: string[] = [process.execPath, clientProgram]) => {
  const [file = process.execPath, ...args] = program;
  const chunks: Buffer[] = [];
  const pty = spawn(file, args, {
    name: 'xterm-256color',
    cols: 100,
    rows: 30,
    encoding: null,
    env: { PATH: process.env['PATH'] ?? '', CURFEW_SESSION: JSON.stringify(launch) },
  });
  const startedMs = Date.now();
  let listeners: Array<() => void> = [];
  pty.onData((data: string | Buffer) => {
    chunks.push(Buffer.from(data));
    for (const listener of listeners) listener();
  });
  const bytes = () => Buffer.concat(chunks);
  const exited = new Promise<number>((done) => pty.onExit(({ exitCode }) => done(exitCode)));
  return {
    pty,
    startedMs,
    bytes,
    text: () => bytes().toString('utf8'),
    type: (text: string) => pty.write(text),
    exited,
    /** Resolves when the output has the text; rejects after 10 s with what there was. */
    shows: (wanted: string | RegExp) =>
      new Promise<void>((done, fail) => {
        const late = setTimeout(() => {
          fail(new Error(`Not shown: ${wanted}. Shown: ${JSON.stringify(bytes().toString('utf8').slice(-2000))}`));
        }, 10_000);
        const look = () => {
          const text = bytes().toString('utf8');
          if (typeof wanted === 'string' ? !text.includes(wanted) : !wanted.test(text)) return;
          clearTimeout(late);
          listeners = listeners.filter((listener) => listener !== look);
          done();
        };
        listeners.push(look);
        look();
      }),
  };
};

/** Looks every 10 ms until it is so; throws after `withinMs`. */
export const until = async (what: string, isSo: () => boolean, withinMs = 10_000): Promise<void> => {
  for (const startedMs = Date.now(); Date.now() - startedMs < withinMs; ) {
    if (isSo()) return;
    await new Promise((done) => setTimeout(done, 10));
  }
  throw new Error(`Not so after ${withinMs} ms: ${what}`);
};
