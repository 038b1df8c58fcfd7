/**
 * A child process tied to ours: it ends when we do, even when we are killed outright, because a small shell beside it waits for the
 * end of its standard input. It gets a process group of its own, so Ctrl-C in the terminal reaches only us and we stop children in order.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';

export type TiedProcess = {
  child: ChildProcess;
  /** Resolves with the exit code when the program has ended, however it came. */
  ended: Promise<number>;
  /** Asks it to end with the given signal, waits, and kills its whole group after the deadline. */
  stop: () => Promise<void>;
};

const wrapper = (signal: string): string =>
  [
    'exec 3<&0',
    'trap "" INT TERM HUP',
    '(trap - INT TERM HUP; exec "$@") </dev/null 3<&- & program=$!',
    `(cat <&3 >/dev/null; kill -${signal} $program 2>/dev/null) & watcher=$!`,
    'wait $program; code=$?',
    // Signals are ignored here and in the watcher; only KILL ends it.
    'kill -KILL $watcher 2>/dev/null',
    'exit $code',
  ].join('\n');

/**
 * @param options.signal what asks the program to end: TERM, or INT for a Postgres fast shutdown.
 * @param options.stopMs how long it may take to end before its group is killed.
 */
export const spawnTied = (
  command: [program: string, ...args: string[]],
  options: {
    env: NodeJS.ProcessEnv;
    cwd?: string;
    uid?: number;
    gid?: number;
    signal?: 'TERM' | 'INT';
    stopMs?: number;
    stdout?: 'pipe' | 'ignore';
  },
): TiedProcess => {
  const { signal = 'TERM', stopMs = 10_000, stdout = 'pipe', ...rest } = options;
  const child = spawn('/bin/sh', ['-c', wrapper(signal), 'sh', ...command], {
    ...rest,
    detached: true,
    stdio: ['pipe', stdout, 'pipe'],
  });
  child.stdin?.on('error', () => undefined); // already gone: nothing to tie
  const ended = new Promise<number>((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (code, by) => {
      child.stdin?.destroy();
      resolve(code ?? (by === null ? 1 : 128));
    });
  });
  const killGroup = (): void => {
    if (child.pid === undefined) return;
    try {
      process.kill(-child.pid, 'SIGKILL');
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'ESRCH')) throw error;
    }
  };
  return {
    child,
    ended,
    stop: async () => {
      child.stdin?.end();
      const late = Symbol('late');
      const first = await Promise.race([ended, sleep(stopMs, late, { ref: false })]);
      if (first === late) killGroup();
      await ended;
    },
  };
};
