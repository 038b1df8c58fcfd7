import { spawn } from 'node:child_process';
import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { z } from 'zod';
import { startPostgres } from './supervisor.ts';

let home = '';
beforeAll(() => {
  home = fs.mkdtempSync(path.join(os.tmpdir(), 'curfew-supervisor-'));
  fs.chmodSync(home, 0o755);
});
afterAll(() => fs.rmSync(home, { recursive: true, force: true }));

const query = async (url: string, sql: string): Promise<unknown[]> => {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query(sql)).rows;
  } finally {
    await client.end();
  }
};

/** What somebody else on this machine hears at the door: a user that nobody has. Needs root, who can be anybody. */
const knock = (socket: string): Promise<string> => {
  process.seteuid?.(61_234);
  try {
    // The system is asked before this returns.
    const caller = net.connect(socket);
    return new Promise<string>((resolve) => {
      caller.once('connect', () => resolve('let in'));
      caller.once('error', (error) => resolve('code' in error ? String(error.code) : error.message));
    }).finally(() => caller.destroy());
  } finally {
    process.seteuid?.(0);
  }
};

test('API-15 a cluster keeps its rows over a stop, listens on no TCP port, and is open to nobody else here', async () => {
  const folder = path.join(home, 'kept');
  const first = await startPostgres({ folder });
  const socket = new URL(first.url('postgres')).searchParams.get('host') ?? '';
  expect(fs.statSync(socket).mode & 0o777).toBe(0o700);
  const door = path.join(socket, '.s.PGSQL.5432');
  expect(fs.statSync(door).mode & 0o777).toBe(0o700);
  const [place] = await query(first.url('postgres'), "select current_setting('data_directory') as data");
  const { data } = z.object({ data: z.string() }).parse(place);
  expect(fs.statSync(data).mode & 0o777).toBe(0o700);
  if (process.getuid?.() === 0) {
    expect(await knock(door)).toBe('EACCES');
    // With the folder open to all it is the socket's own mode that keeps them out: so the knock was heard at all.
    fs.chmodSync(socket, 0o755);
    expect(await knock(door)).toBe('EACCES');
    fs.chmodSync(door, 0o777);
    expect(await knock(door)).toBe('let in');
    fs.chmodSync(door, 0o700);
    fs.chmodSync(socket, 0o700);
  }
  await query(first.url('postgres'), 'create table kept as select 7 as n');
  expect(await query(first.url('postgres'), "select setting from pg_settings where name = 'listen_addresses'")).toEqual(
    [{ setting: '' }],
  );
  await first.stop();
  const second = await startPostgres({ folder });
  expect(await query(second.url('postgres'), 'select n from kept')).toEqual([{ n: 7 }]);
  await second.stop();
});

test('it dies with a parent that is killed, and starts again', async () => {
  const folder = path.join(home, 'orphan');
  const program = `import { startPostgres } from ${JSON.stringify(path.resolve('dev/postgres/supervisor.ts'))};
    const postgres = await startPostgres({ folder: ${JSON.stringify(folder)} }); console.log(postgres.pid); setInterval(() => {}, 1e6);`;
  const parent = spawn(process.execPath, ['--input-type=module', '-e', program], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const pid = await new Promise<number>((resolve) =>
    parent.stdout.once('data', (d: Buffer) => resolve(Number(d.toString()))),
  );
  parent.kill('SIGKILL');
  const gone = (): boolean => {
    try {
      process.kill(pid, 0);
      return false;
    } catch {
      return true;
    }
  };
  for (let tries = 0; !gone() && tries < 400; tries += 1) await sleep(25);
  expect(gone()).toBe(true);
  const again = await startPostgres({ folder });
  expect(await query(again.url('postgres'), 'select 1 as one')).toEqual([{ one: 1 }]);
  await again.stop();
});

test.runIf(process.getuid?.() === 0)(
  'root with data in a private folder: the unprivileged server still reaches it',
  async () => {
    const closed = path.join(home, 'private');
    fs.mkdirSync(closed, { mode: 0o700 });
    const started = await startPostgres({ folder: path.join(closed, 'postgres') });
    const [place] = await query(started.url('postgres'), "select current_setting('data_directory') as data");
    await started.stop();
    expect(place).toEqual({ data: expect.stringMatching(/^\/var\/lib\/curfew\/data-[0-9a-f]{12}$/) });
    if (typeof place === 'object' && place !== null && 'data' in place)
      fs.rmSync(String(place.data), { recursive: true });
  },
);
