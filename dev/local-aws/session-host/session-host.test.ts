import { spawn as spawnProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { sessionExitCodes } from '../../../src/shared/session-launch.ts';
import type { EndedSession } from './host-types.ts';
import { clientProgram, madeUpCredentials, runClient, seeded, startBench, startLink, until } from './testing/bench.ts';

const closers: Array<() => unknown> = [];
const kept = <T extends { close: () => unknown }>(thing: T): T => {
  closers.push(thing.close);
  return thing;
};
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

const prompt = 'ssm-user@web-1:~$ ';
const allProcesses = () => readdirSync('/proc').filter((name) => /^\d+$/.test(name));
const readProc = (pid: string | number, name: string) => {
  try {
    return readFileSync(`/proc/${pid}/${name}`, 'utf8');
  } catch {
    return '';
  }
};
const processesOfSession = (sessionId: string) =>
  allProcesses().filter((pid) => readProc(pid, 'environ').includes(`LOCAL_AWS_SESSION=${sessionId}/`));

describe('a shell on an instance', () => {
  test('has its prompt, home, size, terminal type and exit', async () => {
    const bench = kept(await startBench());
    const link = kept(await startLink(bench.folder, () => madeUpCredentials));
    const client = runClient({ ...bench.open(), link: link.link });
    await client.shows(prompt);
    client.type('stty size; echo "$TERM $LANG $(pwd)" ; hostname; printf "gr\\303\\274n \\360\\237\\214\\262\\n"\r');
    await client.shows('30 100\r\n');
    await client.shows(
      /xterm-256color C\.UTF-8 .*\/111122223333-eu-central-1-i-0123456789abcdef0\/home\r\nweb-1\r\ngrün 🌲\r\n/,
    );
    client.type('exit 7\r');
    expect(await client.exited).toBe(sessionExitCodes['shell-exited']);
    await until('the app is told', () => link.phases().at(-1) === 'ended');
    expect(link.phases()).toEqual(['hello', 'starting', 'credentials-wanted', 'live', 'ended']);
  });

  test('keeps its files from session to session', async () => {
    const bench = kept(await startBench());
    const first = runClient(bench.open());
    await first.shows(prompt);
    first.type('echo kept > note; exit\r');
    await first.exited;
    const second = runClient(bench.open());
    await second.shows(prompt);
    second.type('cat note\r');
    await second.shows(/\rkept\r\n/);
  });

  test('hears of a new size at once', async () => {
    const bench = kept(await startBench());
    const shell = ['/bin/sh', '-c', 'trap "stty size" WINCH; echo ready; while :; do sleep 0.02; done'];
    const client = runClient(bench.open({ shell }));
    await client.shows('30 100\r\n');
    const askedMs = Date.now();
    client.pty.resize(77, 22);
    await client.shows('22 77\r\n');
    // The official client looks every 500 ms.
    expect(Date.now() - askedMs).toBeLessThan(400);
  });

  test('gets Ctrl-C, Ctrl-D and a paste of 200 KB unchanged', async () => {
    const bench = kept(await startBench());
    const client = runClient(bench.open());
    await client.shows(prompt);
    client.type('sleep 100\r');
    client.type('\x03');
    await client.shows('^C');
    client.type('stty raw -echo; head -c 200000 | sha1sum; stty sane\r');
    await client.shows('sha1sum');
    await new Promise((done) => setTimeout(done, 300));
    client.type('x'.repeat(200_000));
    await client.shows('62951f943c41cdd326e5ce2b53a779e7916a820d  -');
    // Ctrl-D is for the prompt, not for a terminal still in raw mode.
    await client.shows(/ {2}-[^$]*\$ $/);
    client.type('\x04');
    expect(await client.exited).toBe(0);
  });
});

describe('every byte arrives, in order, once', () => {
  const pour = [
    '/bin/sh',
    '-c',
    'stty raw -echo; printf ready; head -c 1 >/dev/null; cat pour.bin; head -c 1 >/dev/null',
  ];
  const homeOf = (folder: string) => join(folder, 'instances', '111122223333-eu-central-1-i-0123456789abcdef0', 'home');
  const prepare = async (options: Parameters<typeof startBench>[0], count: number) => {
    const bench = kept(await startBench(options));
    const first = bench.open({ shell: ['/bin/true'] });
    await until('the home is there', () => !bench.host.isUp(first.sessionId));
    const content = randomBytes(count * 1024 * 1024);
    writeFileSync(join(homeOf(bench.folder), 'pour.bin'), content);
    return { bench, content };
  };

  /** Waits for all of it before it lets the program end: the agent gives unacknowledged output no more than 2 s after that. */
  const allOf = async (client: ReturnType<typeof runClient>, content: Buffer) => {
    // As the agent does: up to three bytes that look like the start of a character wait for more, here for the end.
    await until('all has come', () => client.bytes().length >= content.length + 2, 150_000);
    client.type('q');
    expect(await client.exited).toBe(0);
    expect(client.bytes().subarray(5).equals(content)).toBe(true);
  };

  test('5 MB over a good line', async () => {
    const { bench, content } = await prepare({}, 5);
    const client = runClient(bench.open({ shell: pour }));
    await client.shows('ready');
    client.type('g');
    await allOf(client, content);
  }, 180_000);

  test('5 MB over a line that loses, corrupts, repeats and reorders frames both ways', async () => {
    const faults = { loseShare: 0.01, corruptShare: 0.01, duplicateShare: 0.02, reorderShare: 0.05 };
    const { bench, content } = await prepare({ faults, random: seeded(42) }, 5);
    const client = runClient(bench.open({ shell: pour }));
    await client.shows('ready');
    client.type('g');
    await allOf(client, content);
  }, 180_000);

  test('5 MB with the connection cut in the middle of every one of them', async () => {
    const { bench, content } = await prepare({ faults: { latencyMs: 2 } }, 5);
    const link = kept(await startLink(bench.folder, () => madeUpCredentials));
    const part = 'head -c 1 >/dev/null; dd if=pour.bin bs=1048576 count=1 2>/dev/null skip=';
    const script = `stty raw -echo; printf ready; ${[0, 1, 2, 3, 4].map((n) => part + n).join('; ')}`;
    const launch = { ...bench.open({ shell: ['/bin/sh', '-c', script] }), link: link.link };
    const client = runClient(launch);
    await client.shows('ready');
    for (let cut = 0; cut < 5; cut++) {
      client.type('g');
      await until('a part has come', () => client.bytes().length > cut * 1024 * 1024 + 100_000);
      bench.host.dropConnections(launch.sessionId);
      // As the agent does: up to three bytes that look like the start of a character wait for the next part.
      await until('the part is complete', () => client.bytes().length >= (cut + 1) * 1024 * 1024 + 2);
    }
    expect(await client.exited).toBe(0);
    expect(client.bytes().subarray(5).equals(content)).toBe(true);
    expect(bench.calls.map((call) => call.operation)).toEqual(Array(5).fill('ResumeSession'));
    expect(link.phases().filter((phase) => phase === 'reconnecting')).toHaveLength(5);
  }, 180_000);

  test('3 MB into a terminal that stops reading for a while', async () => {
    const { bench, content } = await prepare({}, 3);
    const client = runClient(bench.open({ shell: pour }));
    await client.shows('ready');
    client.type('g');
    await until('the output has begun', () => client.bytes().length > 100_000);
    client.pty.pause();
    await new Promise((done) => setTimeout(done, 400));
    client.pty.resume();
    await allOf(client, content);
  }, 180_000);
});

describe('a cut connection', () => {
  test('is resumed by itself: what was typed meanwhile arrives, the shell is the same, the size is new', async () => {
    const bench = kept(await startBench());
    const link = kept(await startLink(bench.folder, () => madeUpCredentials));
    const launch = { ...bench.open(), link: link.link };
    const client = runClient(launch);
    await client.shows(prompt);
    client.type('mark=before\r');
    await client.shows('mark=before');
    const cutMs = Date.now();
    bench.host.dropConnections(launch.sessionId);
    client.type('echo "$mark-cut"\r');
    client.pty.resize(90, 40);
    await client.shows('before-cut\r\n');
    expect(Date.now() - cutMs).toBeLessThan(3000);
    client.type('stty size\r');
    await client.shows('40 90\r\n');
    expect(link.phases().slice(-5)).toEqual([
      'live',
      'reconnecting',
      'credentials-wanted',
      'credentials-wanted',
      'live',
    ]);
    client.type('exit\r');
    expect(await client.exited).toBe(0);
  });

  test.each([
    ['access is gone', 'refused', { status: 400 }],
    ['the session is over', 'terminated', { resumed: () => ({}) }],
    [
      'the answer points elsewhere (TERM-09)',
      'refused',
      { resumed: () => ({ TokenValue: 't', StreamUrl: 'wss://evil.example/' }) },
    ],
  ] as const)('ends the session when %s', async (_name, end, service) => {
    const bench = kept(await startBench());
    const link = kept(await startLink(bench.folder, () => madeUpCredentials));
    const launch = { ...bench.open(), link: link.link };
    const client = runClient(launch);
    await client.shows(prompt);
    Object.assign(bench.service, service);
    bench.host.dropConnections(launch.sessionId);
    expect(await client.exited).toBe(sessionExitCodes[end]);
    expect(link.lines.at(-1)).toMatchObject({ type: 'ended', end });
  });

  test('without credentials it is the end', async () => {
    const bench = kept(await startBench());
    const launch = bench.open();
    const client = runClient(launch);
    await client.shows(prompt);
    bench.host.dropConnections(launch.sessionId);
    expect(await client.exited).toBe(sessionExitCodes['connection-lost']);
  });
});

describe('ways to end', () => {
  test('by the service: the reason is shown, the exit code says so, shell and children are gone', async () => {
    const bench = kept(await startBench());
    const ends: EndedSession[] = [];
    bench.host.onEnded((ended) => ends.push(ended));
    const launch = bench.open();
    const client = runClient(launch);
    await client.shows(prompt);
    client.type('sleep 1000 & (setsid sleep 1001 &) ; echo started\r');
    await client.shows('\nstarted\r\n');
    await until('the children run', () => processesOfSession(launch.sessionId).length >= 3);
    bench.host.terminate(launch.sessionId, 'The grant is over.');
    bench.host.terminate(launch.sessionId, 'again');
    expect(bench.host.isUp(launch.sessionId)).toBe(false);
    expect(await client.exited).toBe(sessionExitCodes.terminated);
    expect(client.text()).toContain('The session was ended: The grant is over.');
    await until('the end is told', () => ends.length === 1);
    expect(ends[0]).toMatchObject({ why: 'terminated', reason: 'The grant is over.' });
    expect(processesOfSession(launch.sessionId)).toEqual([]);
    expect(bench.host.renewToken(launch.sessionId)).toBeNull();
  });

  test.each([
    ['idleness', 'idle', { host: { idleMs: 200 }, session: {} }, 'idle'],
    ['its maximum duration', 'max-duration', { host: {}, session: { maxSessionMinutes: 0.005 } }, 'maximum duration'],
  ] as const)('by %s', async (_name, why, options, words) => {
    const bench = kept(await startBench(options.host));
    const ends: EndedSession[] = [];
    bench.host.onEnded((ended) => ends.push(ended));
    const launch = bench.open(options.session);
    expect(bench.host.isUp(launch.sessionId)).toBe(true);
    await until('it has ended', () => ends.length === 1);
    expect(ends[0]).toMatchObject({ why, sessionId: launch.sessionId });
    expect(ends[0]?.reason).toContain(words);
    expect(processesOfSession(launch.sessionId)).toEqual([]);
  });

  test('by a hang-up: AWS is told with the credentials of the link', async () => {
    const bench = kept(await startBench());
    const link = kept(await startLink(bench.folder, () => madeUpCredentials));
    const launch = { ...bench.open(), link: link.link };
    const client = runClient(launch);
    await client.shows(prompt);
    client.pty.kill('SIGHUP');
    expect(await client.exited).toBe(sessionExitCodes['terminal-lost']);
    expect(bench.calls.map((call) => call.operation)).toEqual(['TerminateSession']);
    expect(bench.calls[0]?.authorization).toContain(madeUpCredentials.accessKeyId);
    expect(bench.host.isUp(launch.sessionId)).toBe(false);
  });

  test('a wrong or used token is refused', async () => {
    const bench = kept(await startBench());
    const launch = bench.open();
    expect(await runClient({ ...launch, tokenValue: 'wrong' }).exited).toBe(sessionExitCodes.refused);
    const first = runClient(launch);
    await first.shows(prompt);
    expect(await runClient(launch).exited).toBe(sessionExitCodes.refused);
  });

  test('TERM-09 a foreign StreamUrl is never dialled', async () => {
    const client = runClient({
      sessionId: 'alice-1',
      tokenValue: 'secret-canary-token',
      streamUrl:
        'wss://ssmmessages.eu-central-1.amazonaws.com.evil.example/v1/data-channel/alice-1?role=publish_subscribe',
      region: 'eu-central-1',
      target: 'i-0123456789abcdef0',
    });
    expect(await client.exited).toBe(sessionExitCodes.refused);
    expect(client.text()).toContain('not where AWS keeps sessions');
    expect(client.text()).not.toContain('canary');
  });

  test('a launch that is not understood opens nothing and says no value', async () => {
    const client = runClient({ tokenValue: 'secret-canary-token', region: 'nowhere' });
    expect(await client.exited).toBe(sessionExitCodes['bad-launch']);
    expect(client.text()).toContain('sessionId');
    expect(client.text()).not.toContain('canary');
  });
});

describe('the signed upgrade', () => {
  test('is signed for ssmmessages whenever there are credentials, and the host may insist', async () => {
    const seen: string[] = [];
    const bench = kept(
      await startBench({
        verifyUpgrade: (request) => {
          const authorization = request.headers.authorization ?? '';
          seen.push(`${authorization} ${request.headers['x-amz-security-token']}`);
          return authorization === '' ? { allow: false, status: 403, body: 'unsigned' } : { allow: true };
        },
      }),
    );
    const launch = bench.open();
    expect(await runClient(launch).exited).toBe(sessionExitCodes.refused);
    const signed = runClient({ ...launch, credentials: madeUpCredentials });
    await signed.shows(prompt);
    expect(seen[1]).toMatch(
      /^AWS4-HMAC-SHA256 Credential=ASIAEXAMPLEEXAMPLE00\/\d{8}\/eu-central-1\/ssmmessages\/aws4_request/,
    );
    expect(seen[1]).toContain(madeUpCredentials.sessionToken ?? 'none');
  });
});

describe('the greeting', () => {
  test('a shell with a handshake works', async () => {
    const bench = kept(await startBench());
    const handshake = [
      { ActionType: 'SessionType', ActionParameters: { SessionType: 'Standard_Stream', Properties: null } },
    ];
    const client = runClient(bench.open({ handshake }));
    await client.shows(prompt);
    client.type('stty size\r');
    await client.shows('30 100\r\n');
  });

  test('TERM-08 KMS encryption is declined and the session ends with a clear word', async () => {
    const bench = kept(await startBench());
    const handshake = [
      { ActionType: 'KMSEncryption', ActionParameters: { KMSKeyId: 'arn:aws:kms:x:999999999999:key/1' } },
    ];
    const client = runClient(bench.open({ handshake }));
    expect(await client.exited).toBe(sessionExitCodes.terminated);
    expect(client.text()).toContain('Unsupported action KMSEncryption');
  });
});

test('APP-13 nothing secret is in any argv, nor in the environment of a child', async () => {
  const bench = kept(await startBench());
  const launch = { ...bench.open(), tokenValue: '', credentials: madeUpCredentials };
  launch.tokenValue = bench.host.renewToken(launch.sessionId)?.tokenValue ?? '';
  const client = runClient(launch);
  await client.shows(prompt);
  const secrets = [launch.tokenValue, madeUpCredentials.secretAccessKey, madeUpCredentials.sessionToken ?? ''];
  for (const pid of allProcesses()) {
    const line = readProc(pid, 'cmdline');
    for (const secret of secrets) expect(line.includes(secret)).toBe(false);
  }
  const shells = processesOfSession(launch.sessionId);
  expect(shells.length).toBeGreaterThan(0);
  for (const pid of shells) expect(secrets.some((secret) => readProc(pid, 'environ').includes(secret))).toBe(false);
});

describe('the terminal is as it was before', () => {
  const wrapped = `stty -g; "$0" "$1"; code=$?; stty -g; echo "code=$code"; sleep 0.1`;
  const run = (launch: unknown) => runClient(launch, ['/bin/sh', '-c', wrapped, process.execPath, clientProgram]);
  const clientPid = (parent: number) =>
    allProcesses().find(
      (pid) =>
        readProc(pid, 'stat').split(' ')[3] === String(parent) && readProc(pid, 'cmdline').includes('session-client'),
    );
  const modes = (text: string) => text.match(/[0-9a-f]+(:[0-9a-f]+){10,}/g) ?? [];

  test.each([
    ['the shell exited', 'code=0', async (client: ReturnType<typeof run>) => client.type('exit\r')],
    [
      'SIGTERM',
      'code=24',
      async (client: ReturnType<typeof run>) => process.kill(Number(clientPid(client.pty.pid)), 'SIGTERM'),
    ],
    [
      'SIGINT from outside',
      'code=24',
      async (client: ReturnType<typeof run>) => process.kill(Number(clientPid(client.pty.pid)), 'SIGINT'),
    ],
  ])('after %s', async (_name, code, act) => {
    const bench = kept(await startBench());
    const client = run(bench.open());
    await client.shows(prompt);
    await act(client);
    await client.shows(code);
    const [before, after] = modes(client.text());
    expect(before).toBeDefined();
    expect(after).toBe(before);
    await client.exited;
  });

  test('after the service ended the session', async () => {
    const bench = kept(await startBench());
    const launch = bench.open();
    const client = run(launch);
    await client.shows(prompt);
    bench.host.terminate(launch.sessionId, 'over');
    await client.shows('code=22');
    const [before, after] = modes(client.text());
    expect(after).toBe(before);
  });
});

test('close leaves no process and no connection behind', async () => {
  const bench = await startBench();
  const launch = bench.open();
  const client = runClient(launch);
  await client.shows(prompt);
  client.type('trap "" HUP TERM; sleep 1000 & nohup setsid sleep 1001 >/dev/null 2>&1 & echo started\r');
  await client.shows('started\r\n');
  await until('the children run', () => processesOfSession(launch.sessionId).length >= 3);
  await bench.close();
  expect(processesOfSession(launch.sessionId)).toEqual([]);
  expect(await client.exited).not.toBe(0);
});

test('in a plain pipe the client works too', async () => {
  const bench = kept(await startBench());
  const child = spawnProcess(process.execPath, [clientProgram], {
    env: { PATH: process.env['PATH'], CURFEW_SESSION: JSON.stringify(bench.open()) },
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  let text = '';
  child.stdout.on('data', (chunk: Buffer) => {
    text += chunk.toString('utf8');
  });
  await until('the prompt is there', () => text.includes(prompt));
  child.stdin.write('stty size; exit\n');
  const code = await new Promise((done) => child.on('exit', done));
  expect(code).toBe(0);
  expect(text).toContain('24 80');
});
