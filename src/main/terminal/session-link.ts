/**
 * The link to one session client (src/shared/session-launch.ts): a local socket in a private folder, for one client that knows the
 * one-time word. Phases come in, fresh credentials go out, until it is closed.
 */
import { randomBytes, randomUUID, timingSafeEqual } from 'node:crypto';
import { chmodSync, lstatSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
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
const folderPrefix = 'curfew-link-';
const socketName = 'link';
/** A folder without a socket is one that is being made right now, unless it is older than this. */
const makingMs = 60_000;

export type SessionLink = { path: string; word: string; close: () => void };

const sameWord = (given: string, word: string): boolean => {
  const [left, right] = [Buffer.from(given), Buffer.from(word)];
  return left.length === right.length && timingSafeEqual(left, right);
};

/** Where the socket lives: a folder of mode 0700 made fresh, or a named pipe on Windows. */
const socketPath = (): string =>
  process.platform === 'win32'
    ? `\\\\.\\pipe\\curfew-${randomUUID()}`
    : join(mkdtempSync(join(tmpdir(), folderPrefix)), socketName);

type Handlers = {
  onLine: (line: Exclude<LinkFromClient, { type: 'hello' } | { type: 'credentials-wanted' }>) => void;
  /** Null: none for this session any more. */
  credentials: () => Promise<SessionCredentials | null>;
  onProblem: (what: string) => void;
};

/** @param isOurs says once, and to one alone, that this is the word. */
const serveClient = (socket: Socket, isOurs: (word: string) => boolean, handlers: Handlers): void => {
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
      known = known || isOurs(line.word);
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
  let spoken = false;
  // Whoever reads it later, out of the client's environment say, comes too late.
  const isOurs = (given: string): boolean => {
    if (spoken || !sameWord(given, word)) return false;
    spoken = true;
    return true;
  };
  const server = createServer((socket) => {
    clients.add(socket);
    socket.once('close', () => clients.delete(socket));
    serveClient(socket, isOurs, handlers);
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

/** What answers at a socket: somebody, nobody any more, or there is no such socket. */
const whoAnswers = (path: string): Promise<'somebody' | 'nobody' | 'no-socket'> =>
  new Promise((resolve) => {
    const knock = connect(path);
    knock.once('connect', () => {
      knock.destroy();
      resolve('somebody');
    });
    knock.once('error', (error) => {
      const code = 'code' in error ? error.code : null;
      if (code === 'ECONNREFUSED') resolve('nobody');
      else resolve(code === 'ENOENT' ? 'no-socket' : 'somebody');
    });
  });

/**
 * Takes away what links of this person's apps were killed and left behind (threats APP-14). Folders of others, links that somebody planted
 * under such a name, and what still answers are left alone: several apps of one person may run beside each other.
 * @returns how many were taken away. @param now only for how old a folder is.
 */
export const sweepSessionLinks = async (now: () => Date): Promise<number> => {
  if (process.platform === 'win32') return 0;
  let swept = 0;
  for (const name of readdirSync(tmpdir()).filter((each) => each.startsWith(folderPrefix))) {
    const folder = join(tmpdir(), name);
    const facts = lstatSync(folder, { throwIfNoEntry: false });
    if (facts === undefined || !facts.isDirectory() || facts.uid !== process.getuid?.()) continue;
    const answering = await whoAnswers(join(folder, socketName));
    const left = answering === 'nobody' || (answering === 'no-socket' && now().getTime() - facts.mtimeMs > makingMs);
    if (!left) continue;
    rmSync(folder, { recursive: true, force: true });
    swept += 1;
  }
  return swept;
};
