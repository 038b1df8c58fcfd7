/**
 * The link to one session client (src/shared/session-launch.ts): a local socket in a private folder, for one client that knows the
 * one-time word. Phases come in, fresh credentials go out, until it is closed.
 */
import { randomBytes, randomUUID, timingSafeEqual } from 'node:crypto';
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import {
  type LinkFromApp,
  type LinkFromClient,
  linkFromClient,
  linkLineBytes,
  type SessionCredentials,
} from '../../shared/session-launch.ts';

const helloWithinMs = 2_000;

export type SessionLink = { path: string; word: string; close: () => void };

const sameWord = (given: string, word: string): boolean => {
  const [left, right] = [Buffer.from(given), Buffer.from(word)];
  return left.length === right.length && timingSafeEqual(left, right);
};

/** Where the socket lives: a folder of mode 0700 made fresh, or a named pipe on Windows. */
const socketPath = (): string =>
  process.platform === 'win32'
    ? `\\\\.\\pipe\\curfew-${randomUUID()}`
    : join(mkdtempSync(join(tmpdir(), 'curfew-link-')), 'link');

type Handlers = {
  onLine: (line: Exclude<LinkFromClient, { type: 'hello' } | { type: 'credentials-wanted' }>) => void;
  /** Null: none for this session any more. */
  credentials: () => Promise<SessionCredentials | null>;
  onProblem: (what: string) => void;
};

const serveClient = (socket: Socket, word: string, handlers: Handlers): void => {
  let rest = '';
  let known = false;
  const late = setTimeout(() => {
    if (!known) socket.destroy();
  }, helloWithinMs);
  const answer = async (id: number): Promise<void> => {
    const credentials = await handlers.credentials().catch((error: unknown) => {
      handlers.onProblem(error instanceof Error ? error.message : String(error));
      return null;
    });
    const line: LinkFromApp = { type: 'credentials', id, credentials };
    if (!socket.destroyed) socket.write(`${JSON.stringify(line)}\n`);
  };
  const take = (text: string): void => {
    const parsed = linkFromClient.safeParse(JSON.parse(text));
    if (!parsed.success) throw new Error('a line on the session link is not understood');
    const line = parsed.data;
    if (line.type === 'hello') {
      known = sameWord(line.word, word);
      if (!known) throw new Error('a stranger spoke on the session link');
      return;
    }
    if (!known) throw new Error('a line came on the session link before its word');
    if (line.type === 'credentials-wanted') void answer(line.id);
    else handlers.onLine(line);
  };
  socket.setEncoding('utf8');
  socket.on('error', () => socket.destroy());
  socket.on('close', () => clearTimeout(late));
  socket.on('data', (text: string) => {
    const lines = (rest + text).split('\n');
    rest = lines.pop() ?? '';
    try {
      for (const line of lines) take(line);
      if (rest.length > linkLineBytes) throw new Error('a line on the session link is too long');
    } catch (error) {
      handlers.onProblem(error instanceof Error ? error.message : String(error));
      socket.destroy();
    }
  });
};

/** Listens before it resolves, so the client can be started at once. */
export const openSessionLink = async (handlers: Handlers): Promise<SessionLink> => {
  const path = socketPath();
  const word = randomBytes(32).toString('base64url');
  const clients = new Set<Socket>();
  const server = createServer((socket) => {
    clients.add(socket);
    socket.once('close', () => clients.delete(socket));
    serveClient(socket, word, handlers);
  });
  await new Promise<void>((listening, failed) => {
    server.once('error', failed);
    server.listen(path, listening);
  });
  if (process.platform !== 'win32') chmodSync(path, 0o600);
  return {
    path,
    word,
    close: () => {
      server.close();
      for (const socket of clients) socket.destroy();
      if (process.platform !== 'win32') rmSync(dirname(path), { recursive: true, force: true });
    },
  };
};
