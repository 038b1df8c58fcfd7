/**
 * The client's half of the data channel's reliability: sequence numbers, acknowledges, repeats, order.
 *
 * Numbers go on over reconnects, so one channel lives as long as the session and the frames go through whatever connection there is.
 * Two things are done better than the official client does them: a frame that was seen before is acknowledged **again** (its
 * acknowledge was lost, and the agent repeats nothing else until it gets one), and every overdue frame is repeated, not only the oldest.
 */
import { randomUUID } from 'node:crypto';
import { z } from 'zod';
import { type AgentMessage, acknowledgeFlags, encodeMessage, messageTypes, payloadTypes } from './codec.ts';

/** How far ahead of the expected number a frame may be and still be kept, and how much is kept at most. */
const reorderFrames = 10_000;
const reorderBytes = 16 * 1024 * 1024;
/** Repeats a tick: enough to recover quickly, too few to flood a line that just came back. */
const repeatsPerTick = 32;
const firstRtoMs = 200;
const longestRtoMs = 1000;
/** Unanswered this long, a frame will never be answered: the far end is gone although the line is there. */
const giveUpMs = 5 * 60_000;

const acknowledgeContent = z.object({ AcknowledgedMessageSequenceNumber: z.int().min(0) });

export type StreamData = { payloadType: number; payload: Buffer };

export type ReliableChannel = {
  /** Numbers, keeps and sends one payload (at most 1024 bytes for terminal input). */
  send: (payloadType: number, payload: Buffer) => void;
  /** Takes output_stream_data and acknowledge frames; every other type is not for this module. */
  receive: (message: AgentMessage) => void;
  /** Repeats what is overdue. Call about every 100 ms. Answers false when a frame went unanswered for 5 minutes. */
  tick: () => boolean;
  /** After a reconnect: sends everything unacknowledged again, in order. */
  resend: () => void;
  /** Frames sent and not yet acknowledged. */
  unacknowledged: () => number;
  /** Milliseconds since the oldest unacknowledged frame was first sent; 0 when there is none. */
  oldestWaitMs: () => number;
};

type Sent = { frame: Buffer; firstSentMs: number; lastSentMs: number; repeats: number };

/**
 * @param wire.transmit hands a frame to the connection of the moment; with none, the frame is lost and repeated later.
 * @param wire.deliver gets the stream data in order, each exactly once.
 * @param wire.now only differences are used.
 */
export const createReliableChannel = (wire: {
  transmit: (frame: Buffer) => void;
  deliver: (data: StreamData) => void;
  now: () => Date;
}): ReliableChannel => {
  const sent = new Map<number, Sent>();
  const early = new Map<number, StreamData>();
  let earlyBytes = 0;
  let nextToSend = 0;
  let expected = 0;
  let rttMs = 100;
  let rttVarianceMs = 0;
  let rtoMs = firstRtoMs;

  const nowMs = () => wire.now().getTime();

  const acknowledge = (message: AgentMessage) => {
    const content = {
      AcknowledgedMessageType: message.messageType,
      AcknowledgedMessageId: message.messageId,
      AcknowledgedMessageSequenceNumber: message.sequenceNumber,
      IsSequentialMessage: true,
    };
    wire.transmit(
      encodeMessage({
        messageType: messageTypes.acknowledge,
        createdMs: nowMs(),
        sequenceNumber: 0,
        flags: acknowledgeFlags,
        messageId: randomUUID(),
        payloadType: payloadTypes.none,
        payload: Buffer.from(JSON.stringify(content)),
      }),
    );
  };

  /** Round trips of repeated frames are not measured: which of the copies was answered is unknown (Karn). */
  const measure = (entry: Sent) => {
    if (entry.repeats > 0) return;
    const sample = Math.max(0, nowMs() - entry.lastSentMs);
    rttVarianceMs = 0.75 * rttVarianceMs + 0.25 * Math.abs(rttMs - sample);
    rttMs = 0.875 * rttMs + 0.125 * sample;
    rtoMs = Math.min(longestRtoMs, rttMs + Math.max(10, 4 * rttVarianceMs));
  };

  const takeAcknowledge = (message: AgentMessage) => {
    const content = acknowledgeContent.safeParse(jsonOf(message.payload));
    if (!content.success) return;
    const sequenceNumber = content.data.AcknowledgedMessageSequenceNumber;
    const entry = sent.get(sequenceNumber);
    if (entry === undefined) return;
    sent.delete(sequenceNumber);
    measure(entry);
  };

  const takeStreamData = (message: AgentMessage) => {
    const { sequenceNumber, payloadType, payload } = message;
    if (sequenceNumber < expected) return acknowledge(message);
    if (sequenceNumber > expected) return keepEarly(message);
    expected += 1;
    wire.deliver({ payloadType, payload });
    acknowledge(message);
    for (let next = early.get(expected); next !== undefined; next = early.get(expected)) {
      early.delete(expected);
      earlyBytes -= next.payload.length;
      expected += 1;
      wire.deliver(next);
    }
  };

  const keepEarly = (message: AgentMessage) => {
    const { sequenceNumber, payloadType } = message;
    if (early.has(sequenceNumber)) return acknowledge(message);
    const room = sequenceNumber < expected + reorderFrames && earlyBytes + message.payload.length <= reorderBytes;
    // Not acknowledged, so the far end sends it again when it is due.
    if (!room) return;
    // A copy: the view would keep the whole websocket buffer alive.
    early.set(sequenceNumber, { payloadType, payload: Buffer.from(message.payload) });
    earlyBytes += message.payload.length;
    acknowledge(message);
  };

  const repeat = (entry: Sent) => {
    entry.lastSentMs = nowMs();
    entry.repeats += 1;
    wire.transmit(entry.frame);
  };

  return {
    send: (payloadType, payload) => {
      const at = nowMs();
      const frame = encodeMessage({
        messageType: messageTypes.input,
        createdMs: at,
        sequenceNumber: nextToSend,
        flags: 0,
        messageId: randomUUID(),
        payloadType,
        payload,
      });
      // Kept before it is sent: the answer may be faster than the rest of this function.
      sent.set(nextToSend, { frame, firstSentMs: at, lastSentMs: at, repeats: 0 });
      nextToSend += 1;
      wire.transmit(frame);
    },
    receive: (message) => {
      if (message.messageType === messageTypes.acknowledge) takeAcknowledge(message);
      else if (message.messageType === messageTypes.output) takeStreamData(message);
    },
    tick: () => {
      const at = nowMs();
      let repeats = 0;
      for (const entry of sent.values()) {
        if (at - entry.firstSentMs > giveUpMs) return false;
        if (repeats >= repeatsPerTick) break;
        const dueMs = Math.min(longestRtoMs, rtoMs * 2 ** Math.min(entry.repeats, 4));
        if (at - entry.lastSentMs <= dueMs) continue;
        repeats += 1;
        repeat(entry);
      }
      return true;
    },
    resend: () => {
      for (const entry of sent.values()) {
        // The time without a line does not count against the far end.
        entry.firstSentMs = nowMs();
        repeat(entry);
      }
    },
    unacknowledged: () => sent.size,
    oldestWaitMs: () => {
      for (const entry of sent.values()) return Math.max(0, nowMs() - entry.firstSentMs);
      return 0;
    },
  };
};

const jsonOf = (payload: Buffer): unknown => {
  try {
    return JSON.parse(payload.toString('utf8'));
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
};
