/** The session client against a line that goes silent: in this process, with short times, through a relay that can freeze. */
import { createServer, connect as dial, type Socket } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { createSessionService } from '../../../src/session-client/aws.ts';
import { systemClock } from '../../../src/session-client/clock.ts';
import { productTimes, runSession, type SessionTimes } from '../../../src/session-client/session.ts';
import type { Terminal, TerminalListeners } from '../../../src/session-client/terminal.ts';
import type { LinkFromClient, SessionLaunch } from '../../../src/shared/session-launch.ts';
import { madeUpCredentials, startBench, until } from './testing/bench.ts';

const closers: Array<() => unknown> = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

const startRelay = async (toPort: number) => {
  let frozen = false;
  const sockets = new Set<Socket>();
  const server = createServer((near) => {
    const far = dial(toPort, '127.0.0.1');
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(from);
      from.on('data', (bytes: Buffer) => {
        // As a dead network: taken and never delivered.
        if (!frozen) to.write(bytes);
      });
      from.on('close', () => to.destroy());
      from.on('error', () => to.destroy());
    }
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('The relay has no port.');
  closers.push(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return {
    port: address.port,
    freeze: (on: boolean) => {
      frozen = on;
    },
  };
};

const fakeTerminal = () => {
  const shown: Buffer[] = [];
  let listeners: TerminalListeners | null = null;
  const terminal: Terminal = {
    write: (bytes) => shown.push(bytes) > 0,
    size: () => ({ cols: 80, rows: 24 }),
    begin: (wanted) => {
      listeners = wanted;
    },
    pauseInput: () => {},
    resumeInput: () => {},
    drained: async () => true,
    restore: () => {},
  };
  return {
    terminal,
    text: () => Buffer.concat(shown).toString('utf8'),
    type: (text: string) => listeners?.onInput(Buffer.from(text)),
  };
};

const start = (launch: SessionLaunch, times: Partial<SessionTimes>) => {
  const { terminal, text, type } = fakeTerminal();
  const lines: LinkFromClient[] = [];
  const session = runSession({
    launch,
    clock: systemClock,
    times: { ...productTimes, ...times },
    terminal,
    link: { tell: (line) => lines.push(line), credentials: async () => madeUpCredentials, close: async () => {} },
    service: createSessionService(launch),
  });
  closers.push(() => session.stop('the test is over'));
  return { session, text, type, lines, phases: () => lines.map((line) => line.type) };
};

test('the product looks every 30 s and takes 10 s of silence for the end of the line', () => {
  expect(productTimes).toMatchObject({ pingEveryMs: 30_000, deadAfterMs: 10_000, tickMs: 100 });
});

test('a line that goes silent is noticed by the ping and resumed; nothing is lost', async () => {
  const bench = await startBench();
  closers.push(bench.close);
  const relay = await startRelay(bench.port);
  const launch = bench.open();
  const streamUrl = launch.streamUrl.replace(/:\d+\//, `:${relay.port}/`);
  const { text, type, phases } = start({ ...launch, streamUrl }, { pingEveryMs: 200, deadAfterMs: 150, retryMs: 20 });
  await until('the prompt is there', () => text().includes('$ '));
  relay.freeze(true);
  type('echo still-$((40+2))\n');
  await until('the silence is noticed', () => phases().includes('reconnecting'));
  relay.freeze(false);
  await until('the answer is there', () => text().includes('still-42'));
  expect(phases().at(-1)).toBe('live');
});

test('a typed key without an answer asks for a sign of life before the next ping is due', async () => {
  const bench = await startBench();
  closers.push(bench.close);
  const relay = await startRelay(bench.port);
  const launch = bench.open();
  const streamUrl = launch.streamUrl.replace(/:\d+\//, `:${relay.port}/`);
  const { text, type, phases } = start(
    { ...launch, streamUrl },
    { pingEveryMs: 600_000, deadAfterMs: 200, retryMs: 20 },
  );
  await until('the prompt is there', () => text().includes('$ '));
  relay.freeze(true);
  type('x');
  await until('the silence is noticed', () => phases().includes('reconnecting'));
  relay.freeze(false);
  await until('it lives again', () => phases().at(-1) === 'live');
});

test('a line that stays silent is given up', async () => {
  const bench = await startBench();
  closers.push(bench.close);
  const relay = await startRelay(bench.port);
  const launch = bench.open();
  const streamUrl = launch.streamUrl.replace(/:\d+\//, `:${relay.port}/`);
  const times = { pingEveryMs: 100, deadAfterMs: 100, retryMs: 20, giveUpMs: 300 };
  const { session, text, lines } = start({ ...launch, streamUrl }, times);
  await until('the prompt is there', () => text().includes('$ '));
  bench.host.dropConnections();
  bench.service.resumed = () => ({ TokenValue: 'never valid' });
  const ended = await session.ended;
  expect(ended.end).toBe('connection-lost');
  const tries = lines.flatMap((line) => (line.type === 'reconnecting' ? [line.tries] : []));
  expect(tries.length).toBeGreaterThan(1);
});
