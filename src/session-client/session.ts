/**
 * One shell session from the token to its end: opens the data channel, greets, carries bytes between terminal and shell, resumes
 * after a cut (ResumeSession, the same StreamUrl, numbers go on), and says in one word how it ended.
 */
import { randomUUID } from 'node:crypto';
import type { SessionEnd, SessionLaunch } from '../shared/session-launch.ts';
import type { AppLink } from './app-link.ts';
import { type ResumeAnswer, type SessionService, signUpgrade } from './aws.ts';
import type { Clock } from './clock.ts';
import { decodeMessage, messageTypes, payloadTypes } from './codec.ts';
import { type Connection, checkStreamUrl, type Down, openConnection, type PingTimes } from './connection.ts';
import { answerHandshake, closingReason, customerMessage } from './handshake.ts';
import { createReliableChannel, type StreamData } from './reliable-channel.ts';
import type { Terminal, TerminalSize } from './terminal.ts';

const inputBytes = 1024;
/** Reading the keyboard stops at this many unanswered frames (a paste into a dead line) and goes on below a quarter. */
const inputWindow = 256;
/** A typed key unanswered this long asks the line for a sign of life, ahead of the next ping. */
const suspiciousMs = 2000;
/** A program that says nothing never sends the first frame that tells a shell; after this it is taken for one. */
const silentShellMs = 2000;
/** Frames in a row that do not parse: more is not a bad line but another protocol. */
const badFrames = 1000;

export type SessionTimes = PingTimes & {
  tickMs: number;
  /** Between tries of resuming: the first is at once, then from this on doubled, with jitter, up to 5 s. */
  retryMs: number;
  /** A cut that lasts longer is the end. */
  giveUpMs: number;
};

export const productTimes: SessionTimes = {
  pingEveryMs: 30_000,
  deadAfterMs: 10_000,
  tickMs: 100,
  retryMs: 200,
  giveUpMs: 3 * 60_000,
};

export type Ended = { end: SessionEnd; what: string };

export type SessionDeps = {
  launch: SessionLaunch;
  clock: Clock;
  times: SessionTimes;
  terminal: Terminal;
  link: AppLink;
  service: SessionService;
};

export type RunningSession = {
  ended: Promise<Ended>;
  /** Ends it from this side (hang-up, signal) and tells AWS so, within 1.5 s if it answers. */
  stop: (what: string) => void;
};

const terminateMs = 1500;
const longestRetryMs = 5000;
/** An idle connection that held this long counts as good. */
const steadyMs = 5000;

export const runSession = (deps: SessionDeps): RunningSession => {
  const { launch, clock, times, terminal, link, service } = deps;
  const clientId = randomUUID();
  let connection: Connection | null = null;
  let phase: 'starting' | 'live' | 'reconnecting' | 'ended' = 'starting';
  let live = false;
  let greeted = false;
  let tries = 0;
  let cutAtMs = 0;
  let upSinceMs: number | null = null;
  let bad = 0;
  let inputPaused = false;
  let cancelRetry = () => {};
  let cancelSilence = () => {};
  let tellEnd: (ended: Ended) => void = () => {};
  /** Set while this side ends the session: channel_closed is then only the echo of it. */
  let stopping: Ended | null = null;
  const ended = new Promise<Ended>((resolve) => {
    tellEnd = resolve;
  });

  const channel = createReliableChannel({
    now: clock.now,
    transmit: (frame) => connection?.send(frame),
    deliver: (data) => deliver(data),
  });

  const finish = (end: SessionEnd, what: string) => {
    if (phase === 'ended') return;
    phase = 'ended';
    stopTicks();
    cancelRetry();
    cancelSilence();
    connection?.close();
    connection = null;
    tellEnd(stopping ?? { end, what });
  };

  /** Not awaited by anybody's work: an error in it must end the session, not vanish. */
  const inBackground = (work: Promise<void>) => {
    work.catch((error: unknown) => finish('connection-lost', error instanceof Error ? error.message : String(error)));
  };

  // From the far end

  const takeFrame = (frame: Buffer) => {
    const decoded = decodeMessage(frame);
    if (!decoded.ok) {
      bad += 1;
      if (bad > badFrames) finish('protocol', `The far end sends frames that cannot be read: ${decoded.problem}.`);
      return;
    }
    bad = 0;
    tries = 0;
    if (decoded.message.messageType === messageTypes.channelClosed) takeClosed(decoded.message.payload);
    else channel.receive(decoded.message);
    regulateInput();
  };

  const takeClosed = (payload: Buffer) => {
    const reason = closingReason(payload);
    finish(reason === '' ? 'shell-exited' : 'terminated', reason);
  };

  const deliver = ({ payloadType, payload }: StreamData) => {
    switch (payloadType) {
      case payloadTypes.output:
      case payloadTypes.error:
      case payloadTypes.stdErr:
        // No greeting came first, so it is a plain shell.
        if (!greeted) goLive();
        print(payload);
        break;
      case payloadTypes.handshakeRequest:
        greet(payload);
        break;
      case payloadTypes.handshakeComplete: {
        const message = customerMessage(payload);
        if (message !== '') print(Buffer.from(`${message}\r\n`));
        greeted = false;
        live = false;
        goLive();
        break;
      }
      default:
        // Flags, challenges and exit codes are for sessions that this client does not do.
        break;
    }
  };

  const greet = (payload: Buffer) => {
    cancelSilence();
    const answer = answerHandshake(payload);
    if (answer === null) return finish('protocol', 'The agent greeted in a way that this client does not understand.');
    greeted = true;
    channel.send(payloadTypes.handshakeResponse, answer.response);
    // The agent ends the session with a reason of its own; ours is clearer.
    if (answer.problem !== null) print(Buffer.from(`Curfew cannot serve this session: ${answer.problem}.\r\n`));
  };

  const goLive = () => {
    cancelSilence();
    if (live || phase === 'ended') return;
    live = true;
    phase = 'live';
    link.tell({ type: 'live' });
    sendSize(terminal.size());
  };

  const print = (bytes: Buffer) => {
    if (!terminal.write(bytes)) connection?.pause();
  };

  // From the terminal

  const sendSize = ({ cols, rows }: TerminalSize) => {
    if (live) channel.send(payloadTypes.size, Buffer.from(JSON.stringify({ cols, rows })));
  };

  const sendInput = (bytes: Buffer) => {
    // Before the shell is there the agent throws input away.
    if (!live || phase === 'ended') return;
    for (let at = 0; at < bytes.length; at += inputBytes) {
      channel.send(payloadTypes.output, bytes.subarray(at, at + inputBytes));
    }
    regulateInput();
  };

  const regulateInput = () => {
    const waiting = channel.unacknowledged();
    if (!inputPaused && waiting >= inputWindow) {
      inputPaused = true;
      terminal.pauseInput();
    } else if (inputPaused && waiting < inputWindow / 4) {
      inputPaused = false;
      terminal.resumeInput();
    }
  };

  const stopTicks = clock.every(times.tickMs, () => {
    if (connection === null) return;
    if (!channel.tick()) stop('connection-lost', 'The instance has not answered for five minutes.');
    else if (channel.oldestWaitMs() > suspiciousMs) connection.probe();
  });

  // The connection

  const open = async (tokenValue: string) => {
    const url = checkStreamUrl(launch.streamUrl, launch);
    const credentials = await link.credentials();
    const by = { region: launch.region, now: clock.now() };
    const headers = credentials === null ? {} : await signUpgrade(url, { ...by, credentials });
    if (phase === 'ended') return;
    const firstText = JSON.stringify({
      MessageSchemaVersion: '1.0',
      RequestId: randomUUID(),
      TokenValue: tokenValue,
      ClientId: clientId,
      ClientVersion: '1.2.764.0',
    });
    connection = openConnection(
      { url, headers, firstText, clock, times },
      { onOpen: opened, onHeard: heard, onFrame: takeFrame, onDown: lost },
    );
  };

  const opened = () => {
    channel.resend();
    if (!live && !greeted) {
      cancelSilence();
      cancelSilence = clock.after(silentShellMs, () => {
        if (!greeted && connection !== null) goLive();
      });
    }
  };

  // A sign of life alone does not reset the tries: a gateway that refuses the token answers pings too, until it hangs up.
  const heard = () => {
    upSinceMs = clock.now().getTime();
    if (phase !== 'reconnecting') return;
    phase = live ? 'live' : 'starting';
    link.tell({ type: phase });
    // The window may have changed its size meanwhile.
    sendSize(terminal.size());
  };

  const lost = (down: Down) => {
    connection = null;
    cancelSilence();
    if (upSinceMs !== null && clock.now().getTime() - upSinceMs > steadyMs) tries = 0;
    upSinceMs = null;
    if (phase === 'starting' && down.refused) return finish('refused', `AWS refused the session: ${down.what}.`);
    retry(down.what);
  };

  const retry = (what: string) => {
    if (phase === 'ended') return;
    const nowMs = clock.now().getTime();
    if (tries === 0) cutAtMs = nowMs;
    if (nowMs - cutAtMs > times.giveUpMs) return finish('connection-lost', `The connection was lost: ${what}.`);
    tries += 1;
    phase = 'reconnecting';
    link.tell({ type: 'reconnecting', tries });
    const doubled = Math.min(longestRetryMs, times.retryMs * 2 ** Math.min(tries - 2, 10));
    const delayMs = tries === 1 ? 0 : doubled * (0.5 + Math.random() / 2);
    cancelRetry = clock.after(delayMs, () => inBackground(resume(what)));
  };

  const resume = async (what: string) => {
    const credentials = await link.credentials();
    if (phase === 'ended') return;
    if (credentials === null)
      return finish('connection-lost', `The connection was lost (${what}) and access to resume it is gone.`);
    await takeResumed(await service.resume(credentials));
  };

  const takeResumed = async (answer: ResumeAnswer) => {
    if (phase === 'ended') return;
    switch (answer.kind) {
      case 'over':
        return finish('terminated', 'The session ended while the connection was lost.');
      case 'refused':
        return finish('refused', `AWS refused to resume the session: ${answer.what}.`);
      case 'later':
        return retry(answer.what);
      case 'resumed': {
        const problem = foreignAddress(answer.streamUrl);
        if (problem !== null) return finish('refused', problem);
        return open(answer.tokenValue);
      }
    }
  };

  /** The first address is dialled again; a foreign one in the answer still means that somebody else is answering. */
  const foreignAddress = (streamUrl: string | null): string | null => {
    try {
      if (streamUrl !== null) checkStreamUrl(streamUrl, launch);
      return null;
    } catch (error) {
      return error instanceof Error ? error.message : String(error);
    }
  };

  const stop = (end: SessionEnd, what: string) => {
    if (phase === 'ended' || stopping !== null) return;
    stopping = { end, what };
    const late = clock.after(terminateMs, () => finish(end, what));
    const terminate = async () => {
      const credentials = await link.credentials();
      if (credentials !== null) await service.terminate(credentials);
    };
    const done = () => {
      late();
      finish(end, what);
    };
    terminate().then(done, (error: unknown) => {
      // Without an answer the backend and the end of the grant close the session; here it is only said.
      stopping = { end, what: `${what}; AWS was not told: ${error instanceof Error ? error.name : String(error)}` };
      done();
    });
  };

  const start = async () => {
    link.tell({ type: 'starting' });
    const problem = foreignAddress(launch.streamUrl);
    if (problem !== null) return finish('refused', problem);
    terminal.begin({
      onInput: sendInput,
      onSize: sendSize,
      onDrain: () => connection?.resume(),
      onLost: (what) => stop('terminal-lost', what),
    });
    await open(launch.tokenValue);
  };
  inBackground(start());

  return { ended, stop: (what) => stop('terminal-lost', what) };
};
