/**
 * This side's terminal: raw while the session lives, as it was before at every way out; output with back pressure; size at once.
 *
 * Two habits of Node are worked around. Its raw mode keeps OPOST and ONLCR, which would put a carriage return before each line feed
 * of the remote program, so `stty` takes them off. And its stdout blocks the whole process while the terminal's reader is slow, so
 * on a terminal we write by file descriptor from the thread pool: pings and input go on while output waits.
 */
import { spawnSync } from 'node:child_process';
import { createWriteStream, existsSync } from 'node:fs';
import type { Writable } from 'node:stream';
import type { ReadStream, WriteStream } from 'node:tty';

export type TerminalSize = { cols: number; rows: number };

export type Terminal = {
  /** False: full; write no more than you must until `onDrain`. */
  write: (bytes: Buffer) => boolean;
  size: () => TerminalSize;
  /** Raw mode on, and the listeners from now on. */
  begin: (listeners: TerminalListeners) => void;
  pauseInput: () => void;
  resumeInput: () => void;
  /** Resolves to true when all output is written, to false after `withinMs`. */
  drained: (withinMs: number) => Promise<boolean>;
  /** Takes raw mode back. Synchronous, safe to repeat and at any time: also in an exit handler. */
  restore: () => void;
};

export type TerminalListeners = {
  onInput: (bytes: Buffer) => void;
  onSize: (size: TerminalSize) => void;
  onDrain: () => void;
  /** Input ended or output failed: nobody is there any more. */
  onLost: (what: string) => void;
};

const outputBytes = 256 * 1024;

/** @param stdin, stdout the process's own; pipes instead of a terminal work too, then there is no raw mode and the size is 80 x 24. */
export const createTerminal = (stdin: ReadStream, stdout: WriteStream): Terminal => {
  const onTerminal = stdout.isTTY && process.platform !== 'win32';
  const output: Writable = onTerminal
    ? createWriteStream('', { fd: 1, autoClose: false, highWaterMark: outputBytes })
    : stdout;
  let savedMode: string | null = null;
  let raw = false;

  const enterRaw = () => {
    if (!stdin.isTTY) return;
    savedMode ??= stty(['-g']);
    raw = true;
    stdin.setRawMode(true);
    if (savedMode !== null) stty(['-opost']);
  };
  const restore = () => {
    if (!raw) return;
    raw = false;
    stdin.setRawMode(false);
    if (savedMode !== null) stty([savedMode]);
  };

  return {
    write: (bytes) => output.write(bytes),
    size: () => ({ cols: stdout.columns || 80, rows: stdout.rows || 24 }),
    begin: (listeners) => {
      enterRaw();
      stdin.on('data', (bytes: Buffer) => listeners.onInput(bytes));
      stdin.on('end', () => listeners.onLost('the input ended'));
      stdin.on('error', (error) => listeners.onLost(error.message));
      output.on('error', (error) => listeners.onLost(error.message));
      output.on('drain', listeners.onDrain);
      const sendSize = () => listeners.onSize({ cols: stdout.columns || 80, rows: stdout.rows || 24 });
      stdout.on('resize', sendSize);
      // After a stop and a continue another program may have changed mode and size.
      process.on('SIGCONT', () => {
        if (raw) enterRaw();
        sendSize();
      });
    },
    pauseInput: () => stdin.pause(),
    resumeInput: () => stdin.resume(),
    drained: (withinMs) =>
      new Promise((resolve) => {
        const late = setTimeout(() => resolve(false), withinMs);
        output.write('', () => {
          clearTimeout(late);
          resolve(true);
        });
      }),
    restore,
  };
};

/** Runs stty on our standard input with an empty environment; null where there is none or it fails. */
const stty = (args: string[]): string | null => {
  const program = ['/bin/stty', '/usr/bin/stty'].find((path) => existsSync(path));
  if (program === undefined) return null;
  const ran = spawnSync(program, args, { stdio: [0, 'pipe', 'ignore'], env: {}, timeout: 1000, encoding: 'utf8' });
  return ran.status === 0 ? ran.stdout.trim() : null;
};
