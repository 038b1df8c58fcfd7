/**
 * AgentMessage, byte by byte: the one frame format of the SSM data channel (agent and plugin sources; big-endian throughout).
 *
 *     0  HeaderLength u32     4  MessageType, 32 bytes, padded with spaces     36  SchemaVersion u32     40  CreatedDate u64, ms
 *    48  SequenceNumber i64   56  Flags u64   64  MessageId, UUID with its two halves swapped   80  SHA-256 of the payload
 *   112  PayloadType u32     116  PayloadLength u32     120  payload
 *
 * The frame comes from a machine that may be hostile (threats TERM-08): every length is compared with the bytes that are
 * there, nothing is allocated by a claimed size, and a frame that does not add up is dropped whole.
 */
import { createHash } from 'node:crypto';

const headerBytes = 116;
const lengthBytes = 4;
const typeBytes = 32;
/** Larger frames are dropped: terminal data come in about 1 KiB, a handshake in a few. */
export const largestFrameBytes = 256 * 1024;

export const payloadTypes = {
  none: 0,
  output: 1,
  error: 2,
  size: 3,
  handshakeRequest: 5,
  handshakeResponse: 6,
  handshakeComplete: 7,
  challengeRequest: 8,
  challengeResponse: 9,
  flag: 10,
  stdErr: 11,
  exitCode: 12,
} as const;

export const messageTypes = {
  input: 'input_stream_data',
  output: 'output_stream_data',
  acknowledge: 'acknowledge',
  channelClosed: 'channel_closed',
  startPublication: 'start_publication',
  pausePublication: 'pause_publication',
} as const;

/** Flags of acknowledge frames: SYN and FIN. */
export const acknowledgeFlags = 3;

export type AgentMessage = {
  /** One of `messageTypes`, or a type we do not know. */
  messageType: string;
  /** Milliseconds since 1970; never 0. */
  createdMs: number;
  sequenceNumber: number;
  flags: number;
  /** UUID in its usual lower-case form. */
  messageId: string;
  payloadType: number;
  payload: Buffer;
};

export type Decoded = { ok: true; message: AgentMessage } | { ok: false; problem: string };

/** @throws RangeError when a field does not fit: the caller made it up wrongly, it is no input from outside. */
export const encodeMessage = (message: AgentMessage): Buffer => {
  const type = Buffer.from(message.messageType, 'utf8');
  if (type.length === 0 || type.length > typeBytes) throw new RangeError('The message type is empty or too long.');
  const frame = Buffer.alloc(headerBytes + lengthBytes + message.payload.length);
  frame.writeUInt32BE(headerBytes, 0);
  frame.fill(0x20, 4, 36);
  type.copy(frame, 4);
  frame.writeUInt32BE(1, 36);
  frame.writeBigUInt64BE(BigInt(message.createdMs), 40);
  frame.writeBigInt64BE(BigInt(message.sequenceNumber), 48);
  frame.writeBigUInt64BE(BigInt(message.flags), 56);
  const id = Buffer.from(message.messageId.replaceAll('-', ''), 'hex');
  if (id.length !== 16) throw new RangeError('The message id is no UUID.');
  id.copy(frame, 64, 8, 16);
  id.copy(frame, 72, 0, 8);
  digestOf(message.payload).copy(frame, 80);
  frame.writeUInt32BE(message.payloadType, 112);
  frame.writeUInt32BE(message.payload.length, 116);
  message.payload.copy(frame, 120);
  return frame;
};

/**
 * Reads one frame. The payload is a view into `frame`, not a copy. pause_publication and start_publication skip the checks of
 * date, digest and payload, as both official ends do.
 */
export const decodeMessage = (frame: Buffer): Decoded => {
  const problem = (text: string): Decoded => ({ ok: false, problem: text });
  if (frame.length > largestFrameBytes) return problem('the frame is too large');
  if (frame.length < headerBytes) return problem('the frame is shorter than its header');
  const messageType = trimmed(frame.subarray(4, 36));
  if (messageType === '') return problem('the message type is empty');
  const createdMs = Number(frame.readBigUInt64BE(40));
  const sequenceNumber = Number(frame.readBigInt64BE(48));
  if (!Number.isSafeInteger(createdMs)) return problem('the date is out of range');
  if (!Number.isSafeInteger(sequenceNumber) || sequenceNumber < 0)
    return problem('the sequence number is out of range');
  const head = {
    messageType,
    createdMs,
    sequenceNumber,
    // Only the two lowest bits have a meaning; the rest may be anything.
    flags: Number(frame.readBigUInt64BE(56) & 3n),
    messageId: uuidText(frame),
    payloadType: frame.readUInt32BE(112),
  };
  if (messageType === messageTypes.startPublication || messageType === messageTypes.pausePublication) {
    return { ok: true, message: { ...head, payload: Buffer.alloc(0) } };
  }
  if (createdMs === 0) return problem('the date is missing');
  const payload = payloadOf(frame);
  if (payload === null) return problem('the lengths do not add up');
  if (payload.length > 0 && !digestOf(payload).equals(frame.subarray(80, 112))) return problem('the digest is wrong');
  return { ok: true, message: { ...head, payload } };
};

/** The payload starts where HeaderLength says, not at a constant. */
const payloadOf = (frame: Buffer): Buffer | null => {
  const headerLength = frame.readUInt32BE(0);
  if (headerLength < headerBytes || headerLength + lengthBytes > frame.length) return null;
  const payload = frame.subarray(headerLength + lengthBytes);
  return payload.length === frame.readUInt32BE(headerLength) ? payload : null;
};

const digestOf = (payload: Uint8Array): Buffer => createHash('sha256').update(payload).digest();

const trimmed = (bytes: Buffer): string =>
  bytes
    .toString('utf8')
    // As the official readers do: NULs first, then white space.
    .replaceAll(/^\0+|\0+$/g, '')
    .trim();

const uuidText = (frame: Buffer): string => {
  const hex = frame.toString('hex', 72, 80) + frame.toString('hex', 64, 72);
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-');
};
