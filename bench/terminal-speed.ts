/** Terminal throughput and key echo: session client on a PTY, data channel, local-aws' agent with a real shell behind it. */
import { existsSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type OpenTerminal, openTerminal, personAtApi } from '../dev/driver/person-at-api.ts';
import type { Stack } from '../dev/start/stack.ts';
import { checkedPlugin } from '../src/main/terminal/official-plugin.ts';
import { Refusal } from '../src/shared/refusal.ts';
import type { Figure } from './figures.ts';

const megabytes = 50;
const keys = 200;
/** As fast as a quick typist in a burst. */
const betweenKeysMs = 15;

const waitFor = (terminal: OpenTerminal, isLast: (tail: string) => boolean, withinMs: number): Promise<void> =>
  new Promise((resolve, reject) => {
    let tail = '';
    const finish = (settle: () => void): void => {
      clearTimeout(late);
      stop();
      settle();
    };
    const stop = terminal.onOutput((chunk) => {
      tail = (tail + chunk).slice(-300);
      if (isLast(tail)) finish(resolve);
    });
    const late = setTimeout(
      () => finish(() => reject(new Error(`Waited ${withinMs / 1000} s for the terminal; last: ${tail}`))),
      withinMs,
    );
  });

const throughput = async (terminal: OpenTerminal): Promise<number> => {
  const bytes = megabytes * 1_000_000;
  let got = 0;
  const stop = terminal.onOutput((chunk) => {
    got += chunk.length;
  });
  const done = waitFor(terminal, (tail) => tail.includes('all-42'), 240_000);
  const since = performance.now();
  terminal.type(
    `yes 'a line of output as a build would print it, eighty characters long or so' | head -c ${bytes}; echo all-$((40 + 2))\r`,
  );
  await done;
  stop();
  if (got < bytes) throw new Error(`Only ${got} of ${bytes} characters came.`);
  return megabytes / ((performance.now() - since) / 1000);
};

/** Milliseconds from a key to its echo. */
const echoes = async (terminal: OpenTerminal): Promise<number[]> => {
  terminal.type('stty -icanon -echo; clear\r');
  await sleep(1000);
  terminal.type('cat\r');
  await sleep(500);
  const values: number[] = [];
  for (let at = 0; at < keys; at += 1) {
    const key = String.fromCharCode(97 + (at % 26));
    const seen = waitFor(terminal, (tail) => tail.includes(key), 10_000);
    const since = performance.now();
    terminal.type(key);
    await seen;
    values.push(performance.now() - since);
    await sleep(betweenKeysMs);
  }
  terminal.type('\u0003');
  return values;
};

const speedOf = async (stack: Stack, officialPlugin?: string): Promise<Figure[]> => {
  const person = await personAtApi(stack, {
    userName: 'mira.okafor@harborline.example',
    sessionClient: path.resolve(import.meta.dirname, '../out/session-client/main.js'),
    ...(officialPlugin === undefined ? {} : { officialPlugin }),
  });
  const who = officialPlugin === undefined ? 'session client' : 'official plugin';
  try {
    const request = await person.submit(await person.instance('payments-sim-d1'), 900);
    const { grant, connection } = await person.connect(request);
    const terminal = await openTerminal(person, grant, connection);
    await terminal.prompt();
    const speed = await throughput(terminal);
    const echo = await echoes(terminal);
    await person.backend.end({ grantId: grant.id, comment: null });
    await person.grantIn(grant.id, 'ended');
    return [
      { name: `terminal output, ${who}`, unit: 'MB/s', values: [speed], note: `${megabytes} MB through the PTY` },
      { name: `key to echo, ${who}`, unit: 'ms', values: echo, note: 'without a window' },
    ];
  } finally {
    await person.close();
  }
};

/** The official plugin, where one stands in PATH that the app would take too; says why when it would not. */
const officialPlugin = (): string | null => {
  const found = (process.env['PATH'] ?? '')
    .split(path.delimiter)
    .map((folder) => path.resolve(folder, 'session-manager-plugin'))
    .find((file) => existsSync(file));
  if (found === undefined) return null;
  try {
    return checkedPlugin(found);
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    console.error(`The official plugin is left out: ${found} ${error.detail.message ?? ''}.`);
    return null;
  }
};

/** Ours, and the official plugin in the same run where it is in PATH. */
export const terminalSpeed = async (stack: Stack): Promise<Figure[]> => {
  const ours = await speedOf(stack);
  const plugin = officialPlugin();
  return plugin === null ? ours : [...ours, ...(await speedOf(stack, plugin))];
};
