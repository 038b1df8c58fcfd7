/**
 * One program on a PTY with flow control: output is sent in lumps, and the PTY is paused while the window has too much that it has not
 * drawn, so a flood neither freezes the window nor grows memory. No Electron here.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { type IPty, spawn } from 'node-pty';

/** Characters not yet acknowledged: pause above, resume below. */
const highWater = 100_000;
const lowWater = 5_000;
const lumpCharacters = 64 * 1024;
/** A frame: longer is seen, shorter is only more messages. */
const lumpAfterMs = 8;
const killAfterMs = 4_000;

export type Pty = {
  write: (data: string) => void;
  resize: (cols: number, rows: number) => void;
  acknowledge: (characters: number) => void;
  /** The program is about to end: everything it still has is read, whatever the window has drawn. */
  drain: () => void;
  /** Asks the program to end (hang-up), and kills it when it has not after 4 s. @throws Error when it lives on: to be tried again. */
  kill: () => Promise<void>;
  /** Resolves with the exit code when it has ended and all output has been handed on. */
  exited: Promise<number>;
};

/** Windows knows no signals: node-pty throws at the name of one there, and closes the console without. */
const signalsOf = (platform: NodeJS.Platform): Array<string | undefined> =>
  platform === 'win32' ? [undefined, undefined] : ['SIGHUP', 'SIGKILL'];

type Program = Pick<IPty, 'onData' | 'onExit' | 'write' | 'resize' | 'pause' | 'resume' | 'kill'>;

/**
 * @param options.env the whole environment of the child: nothing of ours is inherited.
 * @param options.onOutput output in order, as text.
 * @param options.platform where it runs; this computer's unless told otherwise. @param options.start node-pty's unless told otherwise.
 */
export const openPty = (options: {
  command: string;
  args: string[];
  env: Record<string, string>;
  size: { cols: number; rows: number };
  onOutput: (text: string) => void;
  platform?: NodeJS.Platform;
  start?: (...of: Parameters<typeof spawn>) => Program;
}): Pty => {
  const { onOutput, size, platform = process.platform, start = spawn } = options;
  const child = start(options.command, options.args, {
    name: 'xterm-256color',
    cols: size.cols,
    rows: size.rows,
    env: options.env,
    // Without this, node-pty on Windows starts our own executable as Node to end a console (threats 6.1).
    useConptyDll: platform === 'win32',
  });
  let unread = 0;
  let paused = false;
  let lump = '';
  let timer: NodeJS.Timeout | undefined;
  let over = false;
  let draining = false;

  const handOn = (): void => {
    clearTimeout(timer);
    timer = undefined;
    if (lump === '') return;
    const text = lump;
    lump = '';
    onOutput(text);
  };

  child.onData((data) => {
    unread += data.length;
    lump += data;
    if (unread > highWater && !paused && !draining) {
      paused = true;
      child.pause();
    }
    if (lump.length >= lumpCharacters) handOn();
    else timer ??= setTimeout(handOn, lumpAfterMs);
  });

  const exited = new Promise<number>((resolve) => {
    child.onExit(({ exitCode }) => {
      over = true;
      handOn();
      resolve(exitCode);
    });
  });

  return {
    write: (data) => {
      if (!over) child.write(data);
    },
    resize: (cols, rows) => {
      if (!over) child.resize(cols, rows);
    },
    acknowledge: (characters) => {
      unread = Math.max(0, unread - characters);
      if (!paused || over || unread > lowWater) return;
      paused = false;
      child.resume();
    },
    drain: () => {
      draining = true;
      paused = false;
      if (!over) child.resume();
    },
    kill: async () => {
      if (over) return;
      // A paused PTY delivers no end either.
      child.resume();
      for (const signal of signalsOf(platform)) {
        child.kill(signal);
        const waiting = new AbortController();
        const late = sleep(killAfterMs, null, { signal: waiting.signal }).catch(() => null);
        await Promise.race([exited, late]);
        waiting.abort();
        if (over) return;
      }
      throw new Error('A program on a PTY does not end.');
    },
    exited,
  };
};
