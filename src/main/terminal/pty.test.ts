import { expect, it } from 'vitest';
import { openPty } from './pty.ts';

/** A program as node-pty shows it on Windows: it throws at the name of a signal. */
const onWindows = () => {
  const kills: Array<string | undefined> = [];
  let exit: (of: { exitCode: number }) => void = () => undefined;
  let failing = false;
  const pty = openPty({
    command: 'client.exe',
    args: [],
    env: {},
    size: { cols: 80, rows: 24 },
    onOutput: () => undefined,
    platform: 'win32',
    start: () => ({
      onData: () => ({ dispose: () => undefined }),
      onExit: (listener) => {
        exit = listener;
        return { dispose: () => undefined };
      },
      write: () => undefined,
      resize: () => undefined,
      pause: () => undefined,
      resume: () => undefined,
      kill: (signal) => {
        kills.push(signal);
        if (signal !== undefined) throw new Error('Signals not supported on windows.');
        if (failing) throw new Error('Cannot close the console.');
        exit({ exitCode: 0 });
      },
    }),
  });
  return {
    pty,
    kills,
    failNow: (now: boolean) => {
      failing = now;
    },
  };
};

it('TERM-10 ends a program on Windows, where there are no signals', async () => {
  const { pty, kills } = onWindows();
  await pty.kill();
  expect(await pty.exited).toBe(0);
  await pty.kill();
  expect(kills).toEqual([undefined]);
});

it('TERM-10 says when a program could not be ended, and ends it at the next try', async () => {
  const { pty, failNow } = onWindows();
  failNow(true);
  await expect(pty.kill()).rejects.toThrow('Cannot close the console.');
  failNow(false);
  await pty.kill();
  expect(await pty.exited).toBe(0);
});

it.skipIf(process.platform === 'win32')('TERM-10 ends a real program by a hang-up', async () => {
  const { kill, exited } = openPty({
    command: process.execPath,
    args: ['-e', 'setInterval(() => {}, 1000)'],
    env: {},
    size: { cols: 80, rows: 24 },
    onOutput: () => undefined,
  });
  await kill();
  expect(typeof (await exited)).toBe('number');
});
