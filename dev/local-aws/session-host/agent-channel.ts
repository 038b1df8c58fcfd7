/**
 * The agent's half of the data channel, written from the protocol text and not from our client: two independent readings of one
 * text find more mistakes than one. It behaves like amazon-ssm-agent: one acknowledge per frame, seen frames acknowledged again,
 * only the oldest unacknowledged frame repeated, new frames held while publication is paused.
 */
import { randomUUID } from 'node:crypto';
import { z } from 'zod';
import {
  type AgentMessage,
  acknowledgeFlags,
  encodeMessage,
  messageTypes,
  payloadTypes,
} from '../../../src/session-client/codec.ts';

const inboundFrames = 100_000;
const acknowledged = z.object({ AcknowledgedMessageSequenceNumber: z.int() });

/** What to do with input: `taken` is acknowledged; `not-ready` is not, so that the client repeats it. */
export type InputVerdict = 'taken' | 'not-ready';

export type AgentChannel = {
  /** Numbers, records and (unless paused) sends one payload. */
  publish: (payloadType: number, payload: Buffer) => void;
  receive: (message: AgentMessage) => void;
  /** Looks at the oldest unacknowledged frame and repeats it when it is overdue. Every 100 ms. */
  tick: () => void;
  /** pause_publication: the client's connection is gone. Input or an acknowledge also ends the pause. */
  pause: () => void;
  start: () => void;
  paused: () => boolean;
  unacknowledged: () => number;
};

type Recorded = { sequenceNumber: number; frame: Buffer; sentMs: number | null; repeated: boolean };

export const createAgentChannel = (deps: {
  now: () => Date;
  transmit: (frame: Buffer) => void;
  takeInput: (payloadType: number, payload: Buffer) => InputVerdict;
  /** Called after each acknowledge that took a frame off the list. */
  onDrained: () => void;
}): AgentChannel => {
  // Insertion order is sequence order, so the first entry is the head of the agent's list.
  const outgoing = new Map<number, Recorded>();
  const incoming = new Map<number, AgentMessage>();
  let publishNumber = 0;
  let expectedNumber = 0;
  let pausedNow = true;
  const timing = { rtt: 100, variance: 0, timeout: 200 };

  const milliseconds = () => deps.now().getTime();

  const transmit = (record: Recorded) => {
    record.repeated = record.sentMs !== null;
    record.sentMs = milliseconds();
    deps.transmit(record.frame);
  };

  /** The oldest frames, those of them that are overdue. */
  const repeatOldest = (count: number) => {
    if (pausedNow) return;
    let looked = 0;
    for (const record of outgoing.values()) {
      looked += 1;
      if (looked > count) return;
      if (record.sentMs === null || milliseconds() - record.sentMs > timing.timeout) transmit(record);
    }
  };

  const confirm = (message: AgentMessage) => {
    deps.transmit(
      encodeMessage({
        messageType: messageTypes.acknowledge,
        createdMs: milliseconds(),
        sequenceNumber: 0,
        flags: acknowledgeFlags,
        messageId: randomUUID(),
        payloadType: payloadTypes.none,
        payload: Buffer.from(
          JSON.stringify({
            AcknowledgedMessageType: message.messageType,
            AcknowledgedMessageId: message.messageId,
            AcknowledgedMessageSequenceNumber: message.sequenceNumber,
            IsSequentialMessage: true,
          }),
        ),
      }),
    );
  };

  const settle = (message: AgentMessage) => {
    const parsed = acknowledged.safeParse(JSON.parse(message.payload.toString('utf8')));
    const record = parsed.success ? outgoing.get(parsed.data.AcknowledgedMessageSequenceNumber) : undefined;
    if (record === undefined) return;
    outgoing.delete(record.sequenceNumber);
    const sample = record.sentMs === null ? 0 : milliseconds() - record.sentMs;
    timing.variance = 0.75 * timing.variance + 0.25 * Math.abs(timing.rtt - sample);
    timing.rtt = 0.875 * timing.rtt + 0.125 * sample;
    timing.timeout = Math.min(1000, timing.rtt + Math.max(10, 4 * timing.variance));
    // The real agent waits for its next tick, 100 ms a frame. After a cut that is half a minute for a full list: go on at once.
    if (record.repeated) repeatOldest(8);
    deps.onDrained();
  };

  const takeInOrder = (message: AgentMessage): boolean => {
    if (deps.takeInput(message.payloadType, message.payload) === 'not-ready') return false;
    expectedNumber += 1;
    return true;
  };

  const receiveInput = (message: AgentMessage) => {
    if (message.sequenceNumber < expectedNumber) return confirm(message);
    if (message.sequenceNumber > expectedNumber) {
      if (incoming.size >= inboundFrames) return;
      incoming.set(message.sequenceNumber, message);
      return confirm(message);
    }
    if (!takeInOrder(message)) return;
    confirm(message);
    let next = incoming.get(expectedNumber);
    while (next !== undefined && takeInOrder(next)) {
      incoming.delete(next.sequenceNumber);
      next = incoming.get(expectedNumber);
    }
  };

  const start = () => {
    if (!pausedNow) return;
    pausedNow = false;
    for (const record of outgoing.values()) if (record.sentMs === null) transmit(record);
  };

  return {
    publish: (payloadType, payload) => {
      const sequenceNumber = publishNumber;
      publishNumber += 1;
      const frame = encodeMessage({
        messageType: messageTypes.output,
        createdMs: milliseconds(),
        sequenceNumber,
        flags: sequenceNumber === 0 ? 1 : 0,
        messageId: randomUUID(),
        payloadType,
        payload,
      });
      const record: Recorded = { sequenceNumber, frame, sentMs: null, repeated: false };
      outgoing.set(sequenceNumber, record);
      if (!pausedNow) transmit(record);
    },
    receive: (message) => {
      if (message.messageType === messageTypes.acknowledge) {
        start();
        settle(message);
      } else if (message.messageType === messageTypes.input) {
        start();
        receiveInput(message);
      }
    },
    tick: () => repeatOldest(1),
    pause: () => {
      pausedNow = true;
    },
    start,
    paused: () => pausedNow,
    unacknowledged: () => outgoing.size,
  };
};

const largestPayload = 1024;

/**
 * Cuts a byte stream into payloads of at most 1024 bytes (three more when a character was carried over) that end between UTF-8 characters.
 * An incomplete character at the end waits for its rest; bytes that are no UTF-8 pass unchanged.
 */
export const createUtf8Cutter = (
  emit: (payload: Buffer) => void,
): { push: (bytes: Buffer) => void; flush: () => void } => {
  let rest = Buffer.alloc(0);
  return {
    push: (bytes) => {
      let open = rest.length === 0 ? bytes : Buffer.concat([rest, bytes]);
      while (open.length > 0) {
        const piece = open.subarray(0, largestPayload);
        const cut = piece.length - unfinishedBytes(piece);
        if (cut === 0) break;
        emit(Buffer.from(piece.subarray(0, cut)));
        open = open.subarray(cut);
      }
      rest = Buffer.from(open);
    },
    flush: () => {
      if (rest.length > 0) emit(rest);
      rest = Buffer.alloc(0);
    },
  };
};

/** How many bytes at the end belong to a character whose rest is missing: 0 to 3. */
const unfinishedBytes = (piece: Buffer): number => {
  for (let back = 1; back <= Math.min(3, piece.length); back++) {
    const byte = piece[piece.length - back] ?? 0;
    if (byte < 0x80) return 0;
    if (byte >= 0xc0) {
      const wanted = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : 2;
      return byte < 0xf8 && wanted > back ? back : 0;
    }
  }
  return 0;
};
