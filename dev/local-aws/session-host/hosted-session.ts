/** One session on the far end: shell, channel, handshake, clocks, and the websocket of the moment (or none). */
import { randomUUID } from 'node:crypto';
import type { WebSocket } from 'ws';
import { z } from 'zod';
import { decodeMessage, encodeMessage, messageTypes, payloadTypes } from '../../../src/session-client/codec.ts';
import { createAgentChannel, createUtf8Cutter, type InputVerdict } from './agent-channel.ts';
import { createFaultyLink, type FaultyLink, type LinkFaults } from './faulty-link.ts';
import type { EndedSession, OpenSession } from './host-types.ts';
import { type Shell, startShell } from './shell.ts';

const size = z.object({ cols: z.int().min(1).max(5000), rows: z.int().min(1).max(5000) });
const handshakeResponse = z.object({
  ProcessedClientActions: z.array(
    z.object({ ActionType: z.string(), ActionStatus: z.int(), Error: z.string().nullish().default('') }),
  ),
});

/** Reading the PTY stops at this many unacknowledged frames and goes on below a quarter of it. */
const windowFrames = 256;
/** Without a client little is read ahead, as the agent under pause_publication. */
const windowFramesPaused = 64;

const handshakeMs = 15_000;
const drainMs = 2000;

export type HostedSession = {
  attach: (socket: WebSocket) => void;
  dropConnection: () => void;
  isUp: () => boolean;
  isConnected: () => boolean;
  /** Ends it; the promise resolves when shell, children and connection are gone. */
  end: (why: EndedSession['why'], reason: string) => Promise<void>;
};

export type HostedSessionDeps = {
  now: () => Date;
  runFolder: string;
  idleMs: number;
  lingerMs: number;
  resendTickMs: number;
  faults: () => LinkFaults;
  random: () => number;
  onEnded: (ended: EndedSession) => void;
  onFault: (error: unknown) => void;
};

export const createHostedSession = (session: OpenSession, deps: HostedSessionDeps): HostedSession => {
  let shell: Shell | null = null;
  let connection: { socket: WebSocket; down: FaultyLink; up: FaultyLink } | null = null;
  let greeting: 'not-begun' | 'waiting' | 'done' = session.handshake === undefined ? 'done' : 'not-begun';
  let ending: Promise<void> | null = null;
  let activeMs = deps.now().getTime();
  let readingPaused = false;
  const timers = new Set<NodeJS.Timeout>();

  const after = (ms: number, run: () => void) => {
    const timer = setTimeout(() => {
      timers.delete(timer);
      run();
    }, ms);
    timers.add(timer);
  };

  const channel = createAgentChannel({
    now: deps.now,
    transmit: (frame) => connection?.down.send(frame),
    takeInput: (payloadType, payload) => takeInput(payloadType, payload),
    onDrained: () => regulate(),
  });
  const output = createUtf8Cutter((payload) => channel.publish(payloadTypes.output, payload));
  const ticker = setInterval(channel.tick, deps.resendTickMs);

  const regulate = () => {
    const window = channel.paused() ? windowFramesPaused : windowFrames;
    const waiting = channel.unacknowledged();
    if (!readingPaused && waiting >= window) {
      readingPaused = true;
      shell?.pause();
    } else if (readingPaused && waiting < window / 4) {
      readingPaused = false;
      shell?.resume();
    }
  };

  const startProgram = () => {
    shell = startShell(
      { instance: session.instance, runFolder: deps.runFolder, sessionId: session.sessionId },
      session.shell ?? null,
      {
        onOutput: (bytes) => {
          output.push(bytes);
          regulate();
        },
        onExit: () => {
          output.flush();
          whenAcknowledged(deps.now().getTime() + drainMs);
        },
      },
    );
  };

  /** As the agent: after the program's end its last output may take 2 s to be acknowledged. */
  const whenAcknowledged = (untilMs: number) => {
    if (ending !== null) return;
    if (channel.unacknowledged() === 0 || deps.now().getTime() >= untilMs) void end('shell-exited', '');
    else after(10, () => whenAcknowledged(untilMs));
  };

  const takeInput = (payloadType: number, payload: Buffer): InputVerdict => {
    activeMs = deps.now().getTime();
    if (payloadType === payloadTypes.handshakeResponse) takeHandshake(payload);
    // What comes before HandshakeComplete is acknowledged and thrown away.
    else if (greeting === 'done') takeShellInput(payloadType, payload);
    return 'taken';
  };

  const takeShellInput = (payloadType: number, payload: Buffer) => {
    if (payloadType === payloadTypes.output) shell?.write(payload);
    if (payloadType === payloadTypes.size) {
      const wanted = size.safeParse(JSON.parse(payload.toString('utf8')));
      if (wanted.success) shell?.resize(wanted.data.cols, wanted.data.rows);
    }
  };

  const greet = () => {
    greeting = 'waiting';
    const request = { AgentVersion: '3.3.0.0', RequestedClientActions: session.handshake ?? [] };
    channel.publish(payloadTypes.handshakeRequest, Buffer.from(JSON.stringify(request)));
    after(handshakeMs, () => {
      if (greeting !== 'waiting') return;
      const advice = 'Please ensure that you have the latest version of the session manager plugin.';
      void end('unable-to-start', `Handshake timed out. ${advice}`);
    });
  };

  const takeHandshake = (payload: Buffer) => {
    if (greeting !== 'waiting') return;
    const answer = handshakeResponse.parse(JSON.parse(payload.toString('utf8')));
    const failed = answer.ProcessedClientActions.find((action) => action.ActionStatus !== 1);
    if (failed !== undefined) {
      const what = `${failed.ActionType} failed on client with status ${failed.ActionStatus} error: ${failed.Error}`;
      void end('unable-to-start', `Encountered error while initiating handshake. ${what}`);
      return;
    }
    greeting = 'done';
    const complete = { HandshakeTimeToComplete: 1_000_000, CustomerMessage: '' };
    channel.publish(payloadTypes.handshakeComplete, Buffer.from(JSON.stringify(complete)));
    startProgram();
  };

  const takeFrame = (bytes: Buffer) => {
    const decoded = decodeMessage(bytes);
    if (!decoded.ok || ending !== null) return;
    try {
      channel.receive(decoded.message);
    } catch (error) {
      // A client that sends nonsense JSON; a real agent logs it and goes on.
      if (!(error instanceof SyntaxError || error instanceof z.ZodError)) deps.onFault(error);
    }
    regulate();
  };

  const detach = (socket: WebSocket) => {
    if (connection?.socket !== socket) return;
    connection.down.close();
    connection.up.close();
    connection = null;
    channel.pause();
  };

  const attach = (socket: WebSocket) => {
    if (connection !== null) {
      const old = connection.socket;
      detach(old);
      old.close(1000, 'replaced by a newer connection');
    }
    connection = {
      socket,
      down: createFaultyLink(deps.faults, deps.random, (frame) => socket.send(frame)),
      up: createFaultyLink(deps.faults, deps.random, takeFrame),
    };
    const { up } = connection;
    socket.on('message', (data: Buffer) => up.send(data));
    socket.on('close', () => detach(socket));
    activeMs = deps.now().getTime();
    if (greeting === 'not-begun') greet();
    channel.start();
    regulate();
  };

  const idleCheck = setInterval(
    () => {
      if (deps.now().getTime() - activeMs > deps.idleMs) void end('idle', 'Session timed out after it was idle.');
    },
    Math.max(20, Math.min(deps.idleMs / 4, 15_000)),
  );
  if (session.maxSessionMinutes !== null) {
    const minutes = session.maxSessionMinutes;
    const reason = `Session reached its maximum duration of ${minutes} ${minutes === 1 ? 'minute' : 'minutes'}.`;
    after(minutes * 60_000, () => void end('max-duration', reason));
  }

  const sayClosed = (reason: string) => {
    const content = {
      MessageId: randomUUID(),
      CreatedDate: deps.now().toISOString(),
      DestinationId: session.instance.instanceId,
      SessionId: session.sessionId,
      MessageType: messageTypes.channelClosed,
      SchemaVersion: 1,
      Output: reason,
    };
    // The gateway's own word: it does not pass through the faults between client and agent.
    connection?.socket.send(
      encodeMessage({
        messageType: messageTypes.channelClosed,
        createdMs: deps.now().getTime(),
        sequenceNumber: 0,
        flags: 3,
        messageId: randomUUID(),
        payloadType: payloadTypes.none,
        payload: Buffer.from(JSON.stringify(content)),
      }),
    );
  };

  const end = (why: EndedSession['why'], reason: string): Promise<void> => {
    ending ??= finish(why, reason).catch(deps.onFault);
    return ending;
  };

  const finish = async (why: EndedSession['why'], reason: string) => {
    clearInterval(ticker);
    clearInterval(idleCheck);
    for (const timer of timers) clearTimeout(timer);
    sayClosed(reason);
    const { sessionId, owner } = session;
    const closing = linger(connection?.socket ?? null, why === 'host-closed' ? 0 : deps.lingerMs);
    try {
      await shell?.kill();
    } finally {
      deps.onEnded({ sessionId, owner, why, reason, at: deps.now() });
    }
    await closing;
  };

  if (greeting === 'done') startProgram();

  return {
    attach,
    dropConnection: () => connection?.socket.terminate(),
    isUp: () => ending === null,
    isConnected: () => connection !== null,
    end,
  };
};

/** Keeps the connection open so that channel_closed is read, then closes it; gives a silent client 1 s more. */
const linger = async (socket: WebSocket | null, ms: number): Promise<void> => {
  if (socket === null || socket.readyState === socket.CLOSED) return;
  const closed = new Promise<void>((done) => socket.once('close', () => done()));
  const close = setTimeout(() => socket.close(1000), ms);
  const cut = setTimeout(() => socket.terminate(), ms + 1000);
  await closed;
  clearTimeout(close);
  clearTimeout(cut);
};
