import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { decodeMessage, messageTypes, payloadTypes } from '../../../src/session-client/codec.ts';
import { createReliableChannel } from '../../../src/session-client/reliable-channel.ts';
import { createAgentChannel, createUtf8Cutter } from './agent-channel.ts';
import { seeded } from './testing/bench.ts';

/** Both ends in time that only moves when told: 5 ms one way, and a judge who decides what happens to each frame. */
const twoEnds = (judge: (frame: Buffer, direction: 'down' | 'up') => 'pass' | 'lose' | 'twice' | 'late') => {
  let nowMs = Date.UTC(2026, 10, 22);
  const now = () => new Date(nowMs);
  const queue: Array<{ atMs: number; arrive: () => void }> = [];
  const got = { client: [] as number[], agent: [] as number[] };

  const carry = (direction: 'down' | 'up', take: (frame: Buffer) => void) => (frame: Buffer) => {
    const verdict = judge(frame, direction);
    if (verdict === 'lose') return;
    const delayMs = verdict === 'late' ? 40 : 5;
    for (let copy = 0; copy < (verdict === 'twice' ? 2 : 1); copy++) {
      queue.push({ atMs: nowMs + delayMs, arrive: () => take(frame) });
    }
  };
  const taker = (receive: (message: Parameters<typeof client.receive>[0]) => void) => (frame: Buffer) => {
    const decoded = decodeMessage(frame);
    if (decoded.ok) receive(decoded.message);
  };
  const client = createReliableChannel({
    now,
    transmit: carry(
      'up',
      taker((message) => agent.receive(message)),
    ),
    deliver: ({ payload }) => got.client.push(payload.readUInt32BE(0)),
  });
  const agent = createAgentChannel({
    now,
    transmit: carry(
      'down',
      taker((message) => client.receive(message)),
    ),
    takeInput: (_type, payload) => {
      got.agent.push(payload.readUInt32BE(0));
      return 'taken';
    },
    onDrained: () => {},
  });
  agent.start();
  const advance = (ms: number) => {
    for (let passed = 0; passed < ms; passed += 5) {
      nowMs += 5;
      const due = queue.filter((entry) => entry.atMs <= nowMs);
      for (const entry of due) queue.splice(queue.indexOf(entry), 1);
      for (const entry of due) entry.arrive();
      if (passed % 100 === 0) {
        client.tick();
        agent.tick();
      }
    }
  };
  return { client, agent, got, advance };
};

const numbered = (number: number) => {
  const payload = Buffer.alloc(4);
  payload.writeUInt32BE(number);
  return payload;
};

const kindOf = (frame: Buffer) => {
  const decoded = decodeMessage(frame);
  return decoded.ok ? decoded.message : null;
};

test('over any line that lets something through, both directions arrive whole, once and in order', () => {
  fc.assert(
    fc.property(
      fc.integer(),
      fc.integer({ min: 1, max: 60 }),
      fc.double({ min: 0, max: 0.4, noNaN: true }),
      (seed, count, badness) => {
        const random = seeded(seed);
        const { client, agent, got, advance } = twoEnds(() => {
          if (random() >= badness) return 'pass';
          return (['lose', 'twice', 'late'] as const)[Math.floor(random() * 3)] ?? 'lose';
        });
        for (let number = 0; number < count; number++) {
          agent.publish(payloadTypes.output, numbered(number));
          client.send(payloadTypes.output, numbered(number));
        }
        for (let look = 0; look < 600 && client.unacknowledged() + agent.unacknowledged() > 0; look++) advance(100);
        const all = Array.from({ length: count }, (_value, number) => number);
        expect(got).toEqual({ client: all, agent: all });
        expect(client.unacknowledged()).toBe(0);
        expect(agent.unacknowledged()).toBe(0);
      },
    ),
    { numRuns: 60 },
  );
});

test('a lost acknowledge and then lost data do not hang the session', () => {
  let acknowledges = 0;
  let lostData = 0;
  const { agent, got, advance } = twoEnds((frame, direction) => {
    const message = kindOf(frame);
    if (direction === 'up' && message?.messageType === messageTypes.acknowledge) {
      acknowledges += 1;
      // The first acknowledge of frame 0: the official client never gives it another.
      if (acknowledges === 1) return 'lose';
    }
    if (direction === 'down' && message?.sequenceNumber === 5 && lostData === 0) {
      lostData += 1;
      return 'lose';
    }
    return 'pass';
  });
  for (let number = 0; number < 10; number++) agent.publish(payloadTypes.output, numbered(number));
  advance(3000);
  expect(got.client).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
  expect(agent.unacknowledged()).toBe(0);
});

test('while paused the agent numbers and keeps, but sends nothing; input ends the pause', () => {
  const { client, agent, got, advance } = twoEnds(() => 'pass');
  agent.pause();
  agent.publish(payloadTypes.output, numbered(0));
  advance(1000);
  expect(got.client).toEqual([]);
  client.send(payloadTypes.output, numbered(0));
  advance(1000);
  expect(got.client).toEqual([0]);
});

describe('cutting output', () => {
  const cut = (pieces: Buffer[]) => {
    const payloads: Buffer[] = [];
    const cutter = createUtf8Cutter((payload) => payloads.push(payload));
    for (const piece of pieces) cutter.push(piece);
    cutter.flush();
    return payloads;
  };
  test('no payload is larger than 1024 bytes, none ends inside a character, nothing is lost', () => {
    const text = fc.string({ unit: 'grapheme', maxLength: 3000 });
    fc.assert(
      fc.property(text, fc.array(fc.integer({ min: 1, max: 1500 }), { maxLength: 10 }), (content, lengths) => {
        const bytes = Buffer.from(content, 'utf8');
        const pieces: Buffer[] = [];
        let at = 0;
        for (const length of lengths) {
          pieces.push(bytes.subarray(at, at + length));
          at += length;
        }
        pieces.push(bytes.subarray(at));
        const payloads = cut(pieces);
        expect(Buffer.concat(payloads).equals(bytes)).toBe(true);
        for (const payload of payloads) {
          expect(payload.length).toBeLessThanOrEqual(1024);
          expect(Buffer.from(payload.toString('utf8'), 'utf8').equals(payload)).toBe(true);
        }
      }),
    );
  });
  test('bytes that are no UTF-8 pass unchanged', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 5000 }), (bytes) => {
        expect(Buffer.concat(cut([Buffer.from(bytes)])).equals(Buffer.from(bytes))).toBe(true);
      }),
    );
  });
});
