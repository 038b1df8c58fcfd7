/**
 * The link to the app that started us (its shape and rules: src/shared/session-launch.ts): a local socket with JSON lines, one line
 * each for a change of phase, and a question for credentials when the connection has to be opened or resumed.
 */
import { connect } from 'node:net';
import {
  type LinkFromClient,
  linkFromApp,
  linkLineBytes,
  type SessionCredentials,
  type SessionLaunch,
} from '../shared/session-launch.ts';
import type { Clock } from './clock.ts';

const answerMs = 15_000;

export type AppLink = {
  tell: (line: LinkFromClient) => void;
  /** Fresh credentials; null when there are none (any more), or the app did not answer within 15 s. */
  credentials: () => Promise<SessionCredentials | null>;
  /** Resolves when everything told has been handed to the system. */
  close: () => Promise<void>;
};

/** Without a link in the launch: tells nobody, and always answers the launch's own credentials. */
export const createAppLink = (launch: Pick<SessionLaunch, 'link' | 'credentials'>, clock: Clock): AppLink => {
  const fixed = launch.credentials ?? null;
  if (launch.link === undefined) return { tell: () => {}, credentials: async () => fixed, close: async () => {} };

  const waiting = new Map<number, (credentials: SessionCredentials | null) => void>();
  let lastId = 0;
  let rest = '';
  let gone = false;
  const socket = connect(launch.link.path);
  socket.setEncoding('utf8');
  // Interest in the app's answers must not keep a finished program alive.
  socket.unref();

  const lose = () => {
    gone = true;
    for (const answer of waiting.values()) answer(null);
    waiting.clear();
  };
  const take = (line: string) => {
    const parsed = linkFromApp.safeParse(jsonOf(line));
    if (!parsed.success) return socket.destroy();
    waiting.get(parsed.data.id)?.(parsed.data.credentials);
    waiting.delete(parsed.data.id);
  };
  const tell = (line: LinkFromClient) => {
    if (!gone) socket.write(`${JSON.stringify(line)}\n`);
  };

  // The app may go away first; then nobody is left to be told, and the terminal's hang-up ends us.
  socket.on('error', lose);
  socket.on('close', lose);
  socket.on('data', (text: string) => {
    const lines = (rest + text).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) take(line);
    if (rest.length > linkLineBytes) socket.destroy();
  });
  tell({ type: 'hello', word: launch.link.word });

  return {
    tell,
    credentials: () => {
      if (gone) return Promise.resolve(fixed);
      const id = ++lastId;
      return new Promise((resolve) => {
        const cancel = clock.after(answerMs, () => {
          waiting.delete(id);
          resolve(null);
        });
        waiting.set(id, (credentials) => {
          cancel();
          resolve(credentials);
        });
        tell({ type: 'credentials-wanted', id });
      });
    },
    close: () =>
      new Promise((done) => {
        if (gone) return done();
        socket.once('close', () => done());
        socket.end(() => done());
      }),
  };
};

const jsonOf = (line: string): unknown => {
  try {
    return JSON.parse(line);
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
};
