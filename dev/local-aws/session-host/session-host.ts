/**
 * The far end of SSM sessions for local-aws: AWS's message gateway, the agent and the machine's shell in one. Client and shell speak
 * through the real data channel, so our session client and the official plugin both work against it unchanged.
 */
import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { type WebSocket, WebSocketServer } from 'ws';
import { z } from 'zod';
import { noFaults } from './faulty-link.ts';
import type { EndedSession, OpenSession, SessionHost, SessionHostOptions, UpgradeVerdict } from './host-types.ts';
import { createHostedSession, type HostedSession } from './hosted-session.ts';

const openDataChannel = z.object({
  MessageSchemaVersion: z.string(),
  RequestId: z.string(),
  TokenValue: z.string(),
  ClientId: z.string(),
});

const pathPattern = /^\/v1\/data-channel\/([A-Za-z0-9._@+=,-]{1,96})$/;
/** A connection that does not say its token within this time is cut. */
const tokenMs = 10_000;

export const createSessionHost = (options: SessionHostOptions): SessionHost => {
  const sessions = new Map<string, HostedSession>();
  // Hashes only, and gone once used: a token opens one connection.
  const tokens = new Map<string, Buffer>();
  const listeners = new Set<(ended: EndedSession) => void>();
  const server = new WebSocketServer({ noServer: true, maxPayload: 256 * 1024, perMessageDeflate: false });
  const report =
    options.onFault ??
    ((error: unknown, sessionId: string) => {
      process.stderr.write(
        `local-aws: session ${sessionId}: ${error instanceof Error ? error.stack : String(error)}\n`,
      );
    });
  let faults = { ...noFaults, ...options.faults };

  const newToken = (sessionId: string): { tokenValue: string } => {
    const tokenValue = randomBytes(48).toString('base64');
    tokens.set(sessionId, hashOf(tokenValue));
    return { tokenValue };
  };

  const open = (session: OpenSession): { tokenValue: string } => {
    if (sessions.has(session.sessionId)) throw new Error(`Session ${session.sessionId} exists already.`);
    const hosted = createHostedSession(session, {
      now: options.now,
      runFolder: options.runFolder,
      idleMs: options.idleMs ?? 20 * 60_000,
      lingerMs: options.lingerMs ?? 1000,
      resendTickMs: options.resendTickMs ?? 100,
      faults: () => faults,
      random: options.random ?? Math.random,
      onFault: (error) => report(error, session.sessionId),
      onEnded: (ended) => {
        tokens.delete(ended.sessionId);
        for (const listener of listeners) listener(ended);
      },
    });
    sessions.set(session.sessionId, hosted);
    return newToken(session.sessionId);
  };

  /** The token is the first text frame; there is no answer to it, only the end of the connection when it is wrong. */
  const admit = (socket: WebSocket, sessionId: string, hosted: HostedSession) => {
    socket.on('error', (error) => {
      // A peer that breaks the websocket's own rules or the line; `close` follows and the session lives on.
      if (!('code' in error)) report(error, sessionId);
    });
    const late = setTimeout(() => socket.close(1008, 'no token'), tokenMs);
    socket.once('close', () => clearTimeout(late));
    socket.once('message', (data: Buffer, isBinary: boolean) => {
      clearTimeout(late);
      const opened = isBinary ? null : openDataChannel.safeParse(jsonOf(data));
      if (opened?.success !== true || !takeToken(sessionId, opened.data.TokenValue) || !hosted.isUp()) {
        socket.close(1008, 'the token is not valid for this session');
        return;
      }
      hosted.attach(socket);
    });
  };

  const takeToken = (sessionId: string, tokenValue: string): boolean => {
    const wanted = tokens.get(sessionId);
    if (wanted === undefined || !timingSafeEqual(wanted, hashOf(tokenValue))) return false;
    tokens.delete(sessionId);
    return true;
  };

  const upgrade = async (request: IncomingMessage, socket: Duplex, found: { sessionId: string; head: Buffer }) => {
    const { sessionId, head } = found;
    const hosted = sessions.get(sessionId);
    let verdict: UpgradeVerdict = { allow: false, status: 404, body: 'There is no such session.' };
    if (hosted?.isUp() === true) verdict = (await options.verifyUpgrade?.(request, sessionId)) ?? { allow: true };
    if (!verdict.allow || hosted === undefined) {
      refuse(socket, verdict.allow ? { status: 404, body: '' } : verdict);
      return;
    }
    server.handleUpgrade(request, socket, head, (accepted) => admit(accepted, sessionId, hosted));
  };

  return {
    open,
    renewToken: (sessionId) => (sessions.get(sessionId)?.isUp() === true ? newToken(sessionId) : null),
    terminate: (sessionId, reason) => {
      void sessions.get(sessionId)?.end('terminated', reason);
    },
    isUp: (sessionId) => sessions.get(sessionId)?.isUp() ?? false,
    isConnected: (sessionId) => sessions.get(sessionId)?.isConnected() ?? false,
    handleUpgrade: (request, socket, head) => {
      const url = new URL(request.url ?? '/', 'http://host');
      const sessionId = pathPattern.exec(url.pathname)?.[1];
      if (sessionId === undefined) return false;
      socket.on('error', () => socket.destroy());
      if (url.searchParams.get('role') !== 'publish_subscribe') {
        refuse(socket, { status: 400, body: 'The role must be publish_subscribe.' });
        return true;
      }
      upgrade(request, socket, { sessionId, head }).catch((error) => {
        report(error, sessionId);
        socket.destroy();
      });
      return true;
    },
    dropConnections: (sessionId) => {
      if (sessionId !== undefined) sessions.get(sessionId)?.dropConnection();
      else for (const hosted of sessions.values()) hosted.dropConnection();
    },
    setFaults: (changed) => {
      faults = { ...faults, ...changed };
    },
    onEnded: (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    close: async () => {
      await Promise.all([...sessions.values()].map((hosted) => hosted.end('host-closed', 'local-aws was stopped.')));
      for (const client of server.clients) client.terminate();
      await new Promise<void>((done) => server.close(() => done()));
    },
  };
};

const hashOf = (tokenValue: string): Buffer => createHash('sha256').update(tokenValue).digest();

const refuse = (socket: Duplex, { status, body }: { status: number; body: string }) => {
  const head = `HTTP/1.1 ${status} Refused\r\nConnection: close\r\nContent-Type: text/plain\r\nContent-Length: ${Buffer.byteLength(body)}`;
  socket.end(`${head}\r\n\r\n${body}`);
};

const jsonOf = (data: Buffer): unknown => {
  try {
    return JSON.parse(data.toString('utf8'));
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
};
