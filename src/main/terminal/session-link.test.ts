/** How the session client gets its credentials: there is no file of them, but a socket for one program that knows one word. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { SessionCredentials } from '../../shared/session-launch.ts';
import { openSessionLink, type SessionLink, sweepSessionLinks } from './session-link.ts';

const canary: SessionCredentials = {
  accessKeyId: 'ASIACANARYCANARYCANA',
  secretAccessKey: 'canary-secret',
  sessionToken: 'canary-token',
};
let folder = '';
beforeEach(() => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), 'curfew-links-test-'));
  vi.stubEnv('TMPDIR', folder);
});
const links: SessionLink[] = [];
afterEach(() => {
  for (const link of links.splice(0)) link.close();
  vi.unstubAllEnvs();
  fs.rmSync(folder, { recursive: true, force: true });
});

const open = async (credentials: () => SessionCredentials | null = () => canary) => {
  const problems: string[] = [];
  const link = await openSessionLink({
    onLine: () => undefined,
    credentials: async () => credentials(),
    onProblem: (what) => problems.push(what),
  });
  links.push(link);
  return { ...link, problems };
};

/** Says lines on the link; ends with the first line that is answered, or when it is thrown out. */
const say = async (link: SessionLink, ...lines: object[]): Promise<string> => {
  const socket = net.connect(link.path).setEncoding('utf8');
  let heard = '';
  const over = new Promise<void>((resolve) => {
    socket.on('data', (text) => {
      heard += text;
      if (heard.includes('\n')) resolve();
    });
    socket.on('close', () => resolve());
    socket.on('error', () => resolve());
  });
  await once(socket, 'connect');
  socket.write(lines.map((line) => `${JSON.stringify(line)}\n`).join(''));
  await over;
  socket.destroy();
  return heard;
};
const wanted = { type: 'credentials-wanted', id: 1 };
const hello = (word: string) => ({ type: 'hello', word });

describe.runIf(process.platform !== 'win32')('the link of a session client', () => {
  test('APP-14 lies in a fresh folder of its owner alone, with nothing beside it that holds a secret', async () => {
    const [one, other] = [await open(), await open()];
    const home = path.dirname(one.path);
    expect(path.dirname(home)).toBe(folder);
    expect(home).not.toBe(path.dirname(other.path));
    expect(fs.statSync(home).mode & 0o777).toBe(0o700);
    expect(fs.statSync(one.path).mode & 0o777).toBe(0o600);
    expect(fs.statSync(one.path).isSocket()).toBe(true);
    expect(fs.readdirSync(home)).toEqual([path.basename(one.path)]);
    expect(one.word).not.toBe(other.word);
    one.close();
    expect(fs.existsSync(home)).toBe(false);
  });

  test('APP-14 answers the one that knows the word, once: no stranger, nobody before it, nobody after it', async () => {
    const link = await open();
    const other = await open();
    expect(await say(link, wanted)).toBe('');
    expect(await say(link, hello(other.word), wanted)).toBe('');
    expect(await say(link, hello(link.word.slice(1)), wanted)).toBe('');
    expect(JSON.parse(await say(link, hello(link.word), wanted))).toEqual({
      type: 'credentials',
      id: 1,
      credentials: canary,
    });
    expect(await say(link, hello(link.word), wanted)).toBe('');
    expect(link.problems).toEqual([
      'a line came on the session link before its word',
      ...['', '', ''].map(() => 'a stranger spoke on the session link'),
    ]);
  });

  test('APP-14 has none to give when the grant is over', async () => {
    const link = await open(() => null);
    expect(JSON.parse(await say(link, hello(link.word), wanted))).toMatchObject({ credentials: null });
  });

  test('APP-14 what a killed app left is swept at the next start; what lives or is not ours stays', async () => {
    const program = `import { openSessionLink } from ${JSON.stringify(path.join(import.meta.dirname, 'session-link.ts'))};
      const link = await openSessionLink({ onLine() {}, credentials: async () => null, onProblem() {} });
      console.log(link.path);`;
    const child = spawn(process.execPath, ['--input-type=module', '-e', program], {
      stdio: ['ignore', 'pipe', 'inherit'],
      env: { TMPDIR: folder },
    });
    const [said] = await once(child.stdout, 'data');
    const dead = path.dirname(String(said).trim());
    child.kill('SIGKILL');
    await once(child, 'exit');
    expect(fs.existsSync(path.join(dead, 'link'))).toBe(true);

    const living = await open();
    const making = fs.mkdtempSync(path.join(folder, 'curfew-link-'));
    const precious = path.join(folder, 'precious');
    fs.mkdirSync(precious);
    fs.writeFileSync(path.join(precious, 'link'), 'mine');
    fs.symlinkSync(precious, path.join(folder, 'curfew-link-planted'));
    fs.writeFileSync(path.join(folder, 'curfew-link-file'), '');

    expect(await sweepSessionLinks(() => new Date())).toBe(1);
    expect(fs.existsSync(dead)).toBe(false);
    expect(fs.readdirSync(folder).sort()).toEqual(
      [path.basename(path.dirname(living.path)), path.basename(making)]
        .concat('curfew-link-file', 'curfew-link-planted', 'precious')
        .sort(),
    );
    expect(fs.readFileSync(path.join(precious, 'link'), 'utf8')).toBe('mine');
    expect(JSON.parse(await say(living, hello(living.word), wanted))).toMatchObject({ credentials: canary });
    // A folder whose socket never came.
    expect(await sweepSessionLinks(() => new Date(Date.now() + 120_000))).toBe(1);
    expect(fs.existsSync(making)).toBe(false);
  });
});
