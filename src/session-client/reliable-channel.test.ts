import { expect, test } from 'vitest';
import { type AgentMessage, decodeMessage, encodeMessage, messageTypes, payloadTypes } from './codec.ts';
import { createReliableChannel } from './reliable-channel.ts';

const start = Date.UTC(2026, 10, 22);

const bench = () => {
  let nowMs = start;
  const frames: AgentMessage[] = [];
  const delivered: string[] = [];
  const channel = createReliableChannel({
    now: () => new Date(nowMs),
    transmit: (frame) => {
      const decoded = decodeMessage(frame);
      if (!decoded.ok) throw new Error(decoded.problem);
      frames.push(decoded.message);
    },
    deliver: ({ payload }) => delivered.push(payload.toString('utf8')),
  });
  const message = (messageType: string, sequenceNumber: number, text: string) => {
    const decoded = decodeMessage(
      encodeMessage({
        messageType,
        createdMs: nowMs,
        sequenceNumber,
        flags: 0,
        messageId: '00112233-4455-6677-8899-aabbccddeeff',
        payloadType: payloadTypes.output,
        payload: Buffer.from(text),
      }),
    );
    if (decoded.ok) channel.receive(decoded.message);
  };
  const numbersOf = (type: string) =>
    frames
      .filter((frame) => frame.messageType === type)
      .map((frame) =>
        type === messageTypes.acknowledge
          ? Number(JSON.parse(frame.payload.toString('utf8')).AcknowledgedMessageSequenceNumber)
          : frame.sequenceNumber,
      );
  return {
    channel,
    delivered,
    frames,
    output: (sequenceNumber: number, text: string) => message(messageTypes.output, sequenceNumber, text),
    acknowledge: (content: unknown) => message(messageTypes.acknowledge, 0, JSON.stringify(content)),
    acknowledged: () => numbersOf(messageTypes.acknowledge),
    sent: () => numbersOf(messageTypes.input),
    advance: (ms: number) => {
      nowMs += ms;
    },
  };
};

test('a frame that was seen before is acknowledged again and delivered once', () => {
  const { output, delivered, acknowledged } = bench();
  output(0, 'a');
  output(0, 'a');
  output(0, 'a');
  expect(delivered).toEqual(['a']);
  expect(acknowledged()).toEqual([0, 0, 0]);
});

test('frames out of order are acknowledged at once and delivered in order', () => {
  const { output, delivered, acknowledged } = bench();
  output(2, 'c');
  output(1, 'b');
  expect(delivered).toEqual([]);
  output(0, 'a');
  expect(delivered).toEqual(['a', 'b', 'c']);
  expect(acknowledged()).toEqual([2, 1, 0]);
});

test('TERM-08 frames far ahead are neither kept nor acknowledged', () => {
  const { output, acknowledged, delivered } = bench();
  output(10_000, 'far');
  output(Number.MAX_SAFE_INTEGER, 'farther');
  expect(acknowledged()).toEqual([]);
  output(9_999, 'near');
  expect(acknowledged()).toEqual([9_999]);
  expect(delivered).toEqual([]);
});

test('TERM-08 what is kept ahead is bounded in bytes', () => {
  const { output, acknowledged } = bench();
  const large = 'x'.repeat(200 * 1024);
  for (let n = 1; n <= 200; n++) output(n, large);
  expect(acknowledged().length).toBeLessThanOrEqual(81);
});

test.each([
  ['not JSON', 'nonsense'],
  ['a negative number', { AcknowledgedMessageSequenceNumber: -1 }],
  ['a number never sent', { AcknowledgedMessageSequenceNumber: 99 }],
  ['a number as text', { AcknowledgedMessageSequenceNumber: '0' }],
])('TERM-08 an acknowledge with %s changes nothing', (_name, content) => {
  const { channel, acknowledge } = bench();
  channel.send(payloadTypes.output, Buffer.from('a'));
  acknowledge(content);
  expect(channel.unacknowledged()).toBe(1);
});

test('unacknowledged frames are repeated byte for byte, not only the oldest', () => {
  const { channel, acknowledge, sent, frames, advance } = bench();
  for (const text of ['a', 'b', 'c']) channel.send(payloadTypes.output, Buffer.from(text));
  acknowledge({ AcknowledgedMessageSequenceNumber: 1 });
  advance(1100);
  expect(channel.tick()).toBe(true);
  expect(sent()).toEqual([0, 1, 2, 0, 2]);
  expect(frames[3]).toEqual(frames[0]);
});

test('nothing is repeated before it is due, and repeats wait longer and longer', () => {
  const { channel, sent, advance } = bench();
  channel.send(payloadTypes.output, Buffer.from('a'));
  advance(150);
  channel.tick();
  expect(sent()).toHaveLength(1);
  advance(100);
  channel.tick();
  expect(sent()).toHaveLength(2);
  advance(250);
  channel.tick();
  expect(sent()).toHaveLength(2);
  advance(200);
  channel.tick();
  expect(sent()).toHaveLength(3);
});

test('after a reconnect everything unacknowledged goes again, in order, and the numbers go on', () => {
  const { channel, acknowledge, sent } = bench();
  for (const text of ['a', 'b', 'c']) channel.send(payloadTypes.output, Buffer.from(text));
  acknowledge({ AcknowledgedMessageSequenceNumber: 0 });
  channel.resend();
  channel.send(payloadTypes.output, Buffer.from('d'));
  expect(sent()).toEqual([0, 1, 2, 1, 2, 3]);
});

test('five minutes without an answer are the end, time without a line not counted', () => {
  const { channel, advance } = bench();
  channel.send(payloadTypes.output, Buffer.from('a'));
  advance(4 * 60_000);
  channel.resend();
  advance(4 * 60_000);
  expect(channel.tick()).toBe(true);
  advance(61_000);
  expect(channel.tick()).toBe(false);
});
