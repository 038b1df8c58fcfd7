import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type AgentMessage, decodeMessage, encodeMessage, largestFrameBytes, messageTypes } from './codec.ts';

const someMessage: AgentMessage = {
  messageType: messageTypes.output,
  createdMs: 1_700_000_000_000,
  sequenceNumber: 7,
  flags: 0,
  messageId: '00112233-4455-6677-8899-aabbccddeeff',
  payloadType: 1,
  payload: Buffer.from('hello'),
};

const messages: fc.Arbitrary<AgentMessage> = fc.record({
  messageType: fc.constantFrom(...Object.values(messageTypes)).filter((type) => !type.endsWith('_publication')),
  createdMs: fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }),
  sequenceNumber: fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER }),
  flags: fc.integer({ min: 0, max: 3 }),
  messageId: fc.uuid(),
  payloadType: fc.integer({ min: 0, max: 0xffff_ffff }),
  payload: fc.uint8Array({ maxLength: 2000 }).map((bytes) => Buffer.from(bytes)),
});

test('what is encoded is read back the same', () => {
  fc.assert(
    fc.property(messages, (message) => {
      expect(decodeMessage(encodeMessage(message))).toEqual({ ok: true, message });
    }),
  );
});

test('the bytes are where the protocol puts them', () => {
  const frame = encodeMessage(someMessage);
  expect(frame.readUInt32BE(0)).toBe(116);
  expect(frame.toString('latin1', 4, 36)).toBe('output_stream_data'.padEnd(32, ' '));
  expect(frame.readUInt32BE(36)).toBe(1);
  expect(frame.toString('hex', 64, 80)).toBe('8899aabbccddeeff0011223344556677');
  expect(frame.readUInt32BE(116)).toBe(5);
  expect(frame.toString('utf8', 120)).toBe('hello');
});

test('a longer header is followed to its payload', () => {
  const frame = encodeMessage(someMessage);
  const longer = Buffer.concat([frame.subarray(0, 116), Buffer.alloc(8), frame.subarray(116)]);
  longer.writeUInt32BE(124, 0);
  expect(decodeMessage(longer)).toEqual({ ok: true, message: someMessage });
});

test('publication messages pass without date, digest and payload', () => {
  const frame = Buffer.alloc(120);
  frame.write(messageTypes.pausePublication, 4);
  expect(decodeMessage(frame)).toMatchObject({ ok: true, message: { messageType: 'pause_publication' } });
});

describe('TERM-08 frames from a hostile machine', () => {
  const altered = (change: (frame: Buffer) => void): Buffer => {
    const frame = encodeMessage(someMessage);
    change(frame);
    return frame;
  };
  const cases: Array<[string, Buffer]> = [
    ['HeaderLength 2^32 - 1', altered((frame) => frame.writeUInt32BE(0xffff_ffff, 0))],
    ['HeaderLength 0', altered((frame) => frame.writeUInt32BE(0, 0))],
    ['HeaderLength inside the header', altered((frame) => frame.writeUInt32BE(80, 0))],
    ['HeaderLength at the very end', altered((frame) => frame.writeUInt32BE(122, 0))],
    ['PayloadLength 4 GiB', altered((frame) => frame.writeUInt32BE(0xffff_ffff, 116))],
    ['PayloadLength one too many', altered((frame) => frame.writeUInt32BE(6, 116))],
    ['PayloadLength one too few', altered((frame) => frame.writeUInt32BE(4, 116))],
    ['a wrong digest', altered((frame) => frame.writeUInt8(frame.readUInt8(80) ^ 1, 80))],
    ['a changed payload', altered((frame) => frame.write('j', 120))],
    ['no date', altered((frame) => frame.writeBigUInt64BE(0n, 40))],
    ['a negative sequence number', altered((frame) => frame.writeBigInt64BE(-1n, 48))],
    ['a sequence number past 2^53', altered((frame) => frame.writeBigInt64BE(2n ** 60n, 48))],
    ['no type', altered((frame) => frame.fill(0x20, 4, 36))],
    ['nothing', Buffer.alloc(0)],
    ['half a header', encodeMessage(someMessage).subarray(0, 60)],
    ['too large', Buffer.alloc(largestFrameBytes + 1, encodeMessage(someMessage))],
  ];
  test.each(cases)('%s is dropped', (_name, frame) => {
    expect(decodeMessage(frame).ok).toBe(false);
  });

  test('random bytes and random changes of a real frame never throw, and nothing is made up', () => {
    const mutated = fc
      .tuple(messages, fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 8 }), fc.nat())
      .map(([message, changes, cut]) => {
        const frame = encodeMessage(message);
        for (const [at, value] of changes) frame[at % frame.length] = value;
        return cut % 3 === 0 ? frame.subarray(0, cut % frame.length) : frame;
      });
    const garbage = fc.uint8Array({ maxLength: 400 }).map((bytes) => Buffer.from(bytes));
    fc.assert(
      fc.property(fc.oneof(garbage, mutated), (frame) => {
        const decoded = decodeMessage(frame);
        if (decoded.ok) expect(decoded.message.payload.length).toBeLessThanOrEqual(Math.max(0, frame.length - 120));
      }),
      { numRuns: 2000 },
    );
  });

  test('a claimed size allocates nothing', () => {
    const frame = encodeMessage(someMessage);
    frame.writeUInt32BE(0xffff_ffff, 116);
    const before = process.memoryUsage().arrayBuffers;
    for (let n = 0; n < 1000; n++) decodeMessage(frame);
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(16 * 1024 * 1024);
  });
});
