/** A login shell on a PTY that believes it is on the instance: own home folder, own prompt, clean environment. */
import { randomUUID } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { spawn } from 'node-pty';
import type { HostedInstance } from './host-types.ts';

export type Shell = {
  write: (bytes: Buffer) => void;
  resize: (cols: number, rows: number) => void;
  /** Stops and goes on reading the PTY: back pressure for a slow or absent client. */
  pause: () => void;
  resume: () => void;
  /** Ends the shell and every process it started; resolves when none is left. Safe to repeat. */
  kill: () => Promise<void>;
};

/** Marks every process of a session, also those that left its process group and terminal, so that none outlives it. */
const markVariable = 'LOCAL_AWS_SESSION';

const standardPath = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/**
 * @param sessionId marks the processes.
 * @param program null: `bash -l` where there is one, else `sh -l`.
 * @param onExit is called once, after all output was handed over.
 * @throws Error when the home folder cannot be made or the PTY cannot be opened.
 */
export const startShell = (
  where: { instance: HostedInstance; runFolder: string; sessionId: string },
  program: string[] | null,
  handlers: { onOutput: (bytes: Buffer) => void; onExit: () => void },
): Shell => {
  const home = homeOf(where.instance, where.runFolder);
  // Another local-aws on this machine may use the same session id.
  const mark = `${where.sessionId}/${randomUUID()}`;
  const [file = loginShell(), ...args] = program ?? [loginShell(), '-l'];
  const pty = spawn(file, args, {
    name: 'xterm-256color',
    cols: 80,
    rows: 24,
    cwd: home,
    encoding: null,
    env: {
      HOME: home,
      PATH: standardPath,
      SHELL: loginShell(),
      USER: 'ssm-user',
      LOGNAME: 'ssm-user',
      HOSTNAME: where.instance.name,
      TERM: 'xterm-256color',
      LANG: 'C.UTF-8',
      [markVariable]: mark,
    },
  });

  // node-pty types its data as text, but hands out bytes when it has no encoding.
  pty.onData((data: string | Buffer) => handlers.onOutput(typeof data === 'string' ? Buffer.from(data) : data));

  // When the program ends while reading is paused, node-pty throws the unread rest away after 200 ms. So look, and read on in time.
  let watch: NodeJS.Timeout | undefined;
  const resume = () => {
    clearInterval(watch);
    watch = undefined;
    pty.resume();
  };
  let exited = false;
  pty.onExit(() => {
    exited = true;
    clearInterval(watch);
    handlers.onExit();
  });

  const strike = (name: NodeJS.Signals, others: number[]) => {
    for (const pid of others) signal(pid, name);
    if (exited) return;
    signalGroup(pty.pid, name);
    signalGroup(pty.pid, 'SIGCONT');
  };

  return {
    write: (bytes) => {
      if (!exited) pty.write(bytes);
    },
    resize: (cols, rows) => {
      if (!exited) pty.resize(cols, rows);
    },
    pause: () => {
      if (exited || watch !== undefined) return;
      pty.pause();
      watch = setInterval(() => {
        if (!isAlive(pty.pid)) resume();
      }, 40);
    },
    resume,
    kill: async () => {
      resume();
      if (!exited) strike('SIGHUP', []);
      for (let look = 0; look < 100; look++) {
        const left = processesOf(pty.pid, mark);
        if (left.length === 0 && exited) return;
        if (look > 0) strike('SIGKILL', left);
        await new Promise((done) => setTimeout(done, 20));
      }
      throw new Error(`Processes of session ${where.sessionId} are still there 2 s after they were killed.`);
    },
  };
};

const loginShell = (): string => (existsSync('/bin/bash') ? '/bin/bash' : '/bin/sh');

const homeOf = (instance: HostedInstance, runFolder: string): string => {
  const folder = `${instance.accountId}-${instance.region}-${instance.instanceId}`;
  const home = join(runFolder, 'instances', folder, 'home');
  mkdirSync(home, { recursive: true });
  const name = instance.name.replaceAll(/[^A-Za-z0-9._-]/g, '-');
  const bashProfile = [
    '# Made by local-aws when this instance was first used; edit it as you like.',
    // A plain $ and not bash's own sign: the developer may be root, ssm-user is not.
    `PS1='ssm-user@${name}:\\w$ '`,
    'HISTFILE="$HOME/.bash_history"',
    `hostname() { echo '${name}'; }`,
    '',
  ];
  writeOnce(join(home, '.bash_profile'), bashProfile.join('\n'));
  writeOnce(join(home, '.profile'), `PS1='ssm-user@${name}:~$ '\n`);
  return home;
};

const writeOnce = (file: string, text: string) => {
  if (!existsSync(file)) writeFileSync(file, text);
};

/** False when there is no such process any more; a process that we may not signal is alive. */
const isAlive = (pid: number): boolean => signal(pid, 0);

const signal = (pid: number, name: NodeJS.Signals | 0): boolean => {
  try {
    return process.kill(pid, name);
  } catch (error) {
    if (error instanceof Error && 'code' in error) {
      if (error.code === 'ESRCH') return false;
      if (error.code === 'EPERM') return true;
    }
    throw error;
  }
};

const signalGroup = (leader: number, name: NodeJS.Signals) => signal(-leader, name);

/** Every process that belongs to the session of this terminal or carries its mark. Without /proc (macOS): none is seen, the group's signals do it. */
const processesOf = (leader: number, mark: string): number[] => {
  if (!existsSync('/proc/self/stat')) return [];
  const variable = `\0${markVariable}=${mark}\0`;
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => {
      const stat = readProc(pid, 'stat');
      // Fields after the name in parentheses: state, parent, group, session. A zombie is dead already.
      const [state, , , session] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
      if (stat === '' || state === 'Z') return false;
      return Number(session) === leader || `\0${readProc(pid, 'environ')}`.includes(variable);
    });
};

/** Empty when the process went away meanwhile or belongs to somebody else. */
const readProc = (pid: number, name: 'stat' | 'environ'): string => {
  try {
    return readFileSync(`/proc/${pid}/${name}`, 'utf8');
  } catch (error) {
    if (
      error instanceof Error &&
      'code' in error &&
      ['ENOENT', 'ESRCH', 'EACCES', 'EPERM'].includes(String(error.code))
    ) {
      return '';
    }
    throw error;
  }
};
