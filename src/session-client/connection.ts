/** One websocket to the message gateway: where it may go, how it opens, how a dead peer is noticed. */

import { WebSocket } from 'ws';
import type { SessionLaunch } from '../shared/session-launch.ts';
import type { Clock } from './clock.ts';
import { largestFrameBytes } from './codec.ts';

/** Frames for a line that does not take them are dropped above this; the reliable channel repeats them later. */
const largestBacklogBytes = 1024 * 1024;
/** The close code for "you may not" (RFC 6455, 7.4.1). */
const policyViolation = 1008;

/** Why a websocket is gone. `refused`: by the far end's decision, so that the same attempt would fail again. */
export type Down = { refused: boolean; what: string };

export type Connection = {
  send: (frame: Buffer) => void;
  /** Asks for a sign of life now; silence for `deadAfterMs` ends the connection. */
  probe: () => void;
  /** Back pressure: stops and goes on reading. */
  pause: () => void;
  resume: () => void;
  close: () => void;
};

/** 30 s and 10 s in the product. */
export type PingTimes = { pingEveryMs: number; deadAfterMs: number };

const loopbackHosts = new Set(['127.0.0.1', '[::1]', 'localhost']);

/**
 * StreamUrl decides to whom the session's token goes, and the machine's output comes from there: only TLS, only the region's own
 * `ssmmessages` host, only this session's path (threats TERM-09). Loopback, also without TLS, only when the launch says so.
 * @throws Error with a text for people when the address is foreign.
 */
export const checkStreamUrl = (
  streamUrl: string,
  launch: Pick<SessionLaunch, 'sessionId' | 'region' | 'loopbackAllowed'>,
): URL => {
  const foreign = (why: string) => new Error(`The session's address is not where AWS keeps sessions: ${why}.`);
  if (!URL.canParse(streamUrl)) throw foreign('it is no address');
  const url = new URL(streamUrl);
  if (url.username !== '' || url.password !== '' || url.hash !== '') throw foreign('it has a name or a fragment');
  const onLoopback = launch.loopbackAllowed && loopbackHosts.has(url.hostname);
  if (!onLoopback) {
    if (url.protocol !== 'wss:') throw foreign('it is not encrypted');
    if (url.port !== '') throw foreign('it has a port of its own');
    if (!regionHosts(launch.region).includes(url.hostname)) throw foreign('the host is not the one of this region');
  } else if (url.protocol !== 'wss:' && url.protocol !== 'ws:') throw foreign('it is no websocket');
  if (decodeURIComponent(url.pathname) !== `/v1/data-channel/${launch.sessionId}`)
    throw foreign('the path is not this session');
  return url;
};

const regionHosts = (region: string): string[] => {
  const names = [`ssmmessages.${region}`, `ssmmessages-fips.${region}`];
  const domains = region.startsWith('cn-')
    ? ['amazonaws.com.cn', 'api.amazonwebservices.com.cn']
    : ['amazonaws.com', 'api.aws'];
  return names.flatMap((name) => domains.map((domain) => `${name}.${domain}`));
};

/**
 * Dials at once. `firstText` is the frame with the token, sent as soon as the websocket is open.
 * @param events.onHeard the far end gave a sign of life for the first time: the connection works.
 * @param events.onDown is called exactly once, unless `close` was called before.
 */
export const openConnection = (
  to: { url: URL; headers: Record<string, string>; firstText: string; clock: Clock; times: PingTimes },
  events: { onOpen: () => void; onHeard: () => void; onFrame: (frame: Buffer) => void; onDown: (down: Down) => void },
): Connection => {
  const { clock, times } = to;
  const socket = new WebSocket(to.url, {
    headers: to.headers,
    perMessageDeflate: false,
    maxPayload: largestFrameBytes,
    handshakeTimeout: times.deadAfterMs,
    followRedirects: false,
    // Said aloud, so that no environment variable switches the check off.
    rejectUnauthorized: true,
  });
  let over = false;
  let heard = false;
  let paused = false;
  let stopWaiting: (() => void) | null = null;
  const stopPings = clock.every(times.pingEveryMs, () => probe());

  const stop = () => {
    over = true;
    stopPings();
    stopWaiting?.();
  };
  const down = (why: Down) => {
    if (over) return;
    stop();
    socket.terminate();
    events.onDown(why);
  };
  const sign = () => {
    stopWaiting?.();
    stopWaiting = null;
    if (over || heard) return;
    heard = true;
    events.onHeard();
  };
  const probe = () => {
    // While we do not read, silence proves nothing.
    if (over || paused || stopWaiting !== null || socket.readyState !== WebSocket.OPEN) return;
    stopWaiting = clock.after(times.deadAfterMs, () => down({ refused: false, what: 'the far end does not answer' }));
    socket.ping('keepalive');
  };

  socket.on('open', () => {
    socket.send(to.firstText);
    probe();
    events.onOpen();
  });
  socket.on('pong', sign);
  socket.on('ping', sign);
  socket.on('message', (data) => {
    sign();
    if (!over && Buffer.isBuffer(data)) events.onFrame(data);
  });
  socket.on('unexpected-response', (_request, response) => {
    const status = response.statusCode ?? 0;
    response.resume();
    // 5xx and 429 pass; other answers are a decision.
    down({ refused: status >= 400 && status < 500 && status !== 429, what: `the gateway answered HTTP ${status}` });
  });
  socket.on('error', (error) => down({ refused: false, what: error.message.slice(0, 200) }));
  socket.on('close', (code) =>
    down({ refused: code === policyViolation, what: code === 1006 ? 'the line was cut' : `closed with code ${code}` }),
  );

  return {
    send: (frame) => {
      if (over || socket.readyState !== WebSocket.OPEN || socket.bufferedAmount > largestBacklogBytes) return;
      socket.send(frame);
    },
    probe,
    pause: () => {
      paused = true;
      stopWaiting?.();
      stopWaiting = null;
      socket.pause();
    },
    resume: () => {
      paused = false;
      socket.resume();
    },
    close: () => {
      if (over) return;
      stop();
      if (socket.readyState === WebSocket.OPEN) socket.close(1000);
      else socket.terminate();
    },
  };
};
