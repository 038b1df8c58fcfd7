/**
 * Every switch of local-aws seen from Curfew's side: a real backend and the app's own modules, and what a person meets when AWS throttles,
 * loses answers, cuts connections or changes its mind. What each switch does by itself is tested beside it.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest';
import type { Grant, Instance } from '../../src/shared/access.ts';
import type { TerminalTab } from '../../src/shared/desktop.ts';
import { accessPolicyOf, activeSessions, controlOf, type LocalAwsControl } from '../driver/local-aws-control.ts';
import { type OpenTerminal, openTerminal, type PersonAtApi, personAtApi, until } from '../driver/person-at-api.ts';
import { type Stack, startStack } from '../start/stack.ts';

const devAccount = '739164205518';
const elinId = 'c2c5d4e4-1021-70aa-8b10-1f2e3d4c5b04';
const miraId = 'c2c5d4e4-1021-70aa-8b10-1f2e3d4c5b01';
const names = {
  mira: 'mira.okafor@harborline.example',
  jonas: 'jonas.lindqvist@harborline.example',
  elin: 'elin.strand@harborline.example',
};
const quickSpreadingMs = 200;

let folder: string;
let stack: Stack;
let control: LocalAwsControl;
let mira: PersonAtApi;
const people: PersonAtApi[] = [];
/** Ends by themselves after a minute, while the other tests run. */
let capped: { tab: () => TerminalTab; person: PersonAtApi };

const signIn = async (userName: string): Promise<PersonAtApi> => {
  const person = await personAtApi(stack, { userName });
  people.push(person);
  return person;
};

type Opened = { grant: Grant; instance: Instance; terminal: OpenTerminal; tab: () => TerminalTab };

/**
 * Asks, connects and opens a terminal; what the terminal goes through is not waited for.
 * @param between done when the person has connected and no terminal is open yet.
 */
const open = async (
  person: PersonAtApi,
  name = 'payments-sim-d1',
  between: (grant: Grant) => Promise<unknown> = async () => undefined,
): Promise<Opened> => {
  const instance = await person.instance(name);
  const { grant, connection } = await person.connect(await person.submit(instance, 900));
  await between(grant);
  const terminal = await openTerminal(person, grant, connection);
  const tab = (): TerminalTab => {
    const found = terminal.phase();
    if (found === undefined) throw new Error('The tab is gone.');
    return found;
  };
  return { grant, instance, terminal, tab };
};

/** Types a command and gives what it printed between its marks. */
const answerOf = async (person: PersonAtApi, { terminal }: Opened, command: string): Promise<string> => {
  const mark = `m${Math.random().toString(36).slice(2, 8)}`;
  terminal.type(`echo ${mark}-$((40 + 2)); ${command}; echo ${mark}-$((40 + 3))\r`);
  const between = new RegExp(`${mark}-42\\r\\n([\\s\\S]*)${mark}-43`);
  return await until(`the answer of ${command}`, () => between.exec(person.host.scrollback(terminal.id))?.[1] ?? null);
};

const phasesOf = (person: PersonAtApi, opened: Opened): TerminalTab['phase'][] => {
  const phases: TerminalTab['phase'][] = [];
  person.host.onChange(() => {
    const now = opened.terminal.phase()?.phase;
    if (now !== undefined && now !== phases.at(-1)) phases.push(now);
  });
  return phases;
};

beforeAll(async () => {
  folder = await mkdtemp(path.join(os.tmpdir(), 'curfew-switches-'));
  stack = await startStack({
    folder,
    say: () => undefined,
    durable: false,
    configure: { intervals: { inventorySeconds: 1, tagsSeconds: 1, sweepSeconds: 60, auditHeadSeconds: 60 } },
  });
  for (const [name, value] of Object.entries(stack.appEnv)) vi.stubEnv(name, value);
  control = controlOf(stack.localAwsUrl);
  await control.call('changeSettings', { spreadingDelayMs: quickSpreadingMs });

  // AWS caps a session by its document, whatever Curfew granted: here somebody cuts it to a minute after the last look at it (AWS-12).
  const jonas = await signIn(names.jonas);
  const short = await open(jonas, 'payments-api-s1', async ({ id }) => {
    await jonas.grantIn(id, 'active');
    await control.call('changeDocument', { account: devAccount, name: 'Curfew-Shell-015', maxSessionMinutes: 1 });
  });
  await short.terminal.prompt();
  capped = { tab: short.tab, person: jonas };
  await control.call('changeDocument', { account: devAccount, name: 'Curfew-Shell-015', maxSessionMinutes: 15 });

  const elin = await signIn(names.elin);
  const hers = await open(elin, 'payments-worker-s1');
  await hers.terminal.prompt();
  const whose = { account: devAccount, personId: elinId };
  expect(await accessPolicyOf(control, whose)).not.toBeNull();
  await control.call('changePerson', { userName: names.elin, enabled: false });

  mira = await signIn(names.mira);
}, 120_000);

afterEach(async () => {
  await control.call('changeLink', {});
  await control.call('changeSettings', { spreadingDelayMs: quickSpreadingMs, rateLimits: true });
  await control.call('changeLifetimes', { accessTokenSeconds: 3600 });
  await control.call('forgetCalls');
  for (const grant of mira.overview().grants) {
    if (grant.state !== 'active' && grant.state !== 'granting' && grant.state !== 'ready') continue;
    await mira.backend.end({ grantId: grant.id, comment: null });
    if (grant.state !== 'ready') await mira.grantIn(grant.id, 'ended');
  }
}, 60_000);

afterAll(async () => {
  for (const person of people) await person.close();
  await stack.stop();
  vi.unstubAllEnvs();
  await rm(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
}, 60_000);

test('error: IAM that throttles makes the grant late, not failed', async () => {
  await control.call('forgetCalls');
  await control.call('addFault', {
    match: { service: 'iam', operation: 'PutRolePolicy' },
    times: 3,
    effect: { kind: 'error', code: 'Throttling', status: 400 },
  });
  const opened = await open(mira);
  await opened.terminal.prompt();
  const writes = await control.call('calls', { service: 'iam', operation: 'PutRolePolicy' });
  expect(writes.map(({ outcome }) => outcome)).toEqual([
    'error-injected',
    'error-injected',
    'error-injected',
    'let-through',
  ]);
});

test('error: a no from IAM for good is told in the terminal, with what to do', async () => {
  await control.call('addFault', {
    match: { service: 'iam', operation: 'PutRolePolicy' },
    effect: { kind: 'error', code: 'AccessDenied', status: 403 },
  });
  const opened = await open(mira);
  const tab = await until('a failure', () => {
    const now = opened.tab();
    return now.phase === 'failed' ? now : null;
  });
  expect(tab.what).not.toMatch(/undefined|Error:/);
  expect(tab.advice.length).toBeGreaterThan(20);
  expect(await accessPolicyOf(control, { account: devAccount, personId: miraId })).toBeNull();
});

test('lost answer: an access policy that was written is found, not written twice over or given up', async () => {
  await control.call('addFault', {
    match: { service: 'iam', operation: 'PutRolePolicy' },
    effect: { kind: 'lose-answer' },
  });
  const opened = await open(mira);
  await opened.terminal.prompt();
  const audit = await mira.backend.story({ requestId: opened.grant.requestId });
  expect(audit.rows.filter(({ kind }) => kind === 'grant_active')).toHaveLength(1);
  expect(audit.rows.filter(({ kind }) => kind === 'access_policy_written')).toHaveLength(1);
  expect(await activeSessions(control, { account: devAccount, personId: miraId })).toHaveLength(1);
});

test('latency: a slow StartSession shows as starting, and is not sent again', async () => {
  await control.call('addFault', {
    match: { service: 'ssm', operation: 'StartSession' },
    effect: { kind: 'latency', ms: 1500 },
  });
  const opened = await open(mira);
  await until('starting', () => (opened.tab().phase === 'starting' ? true : null));
  const since = performance.now();
  await opened.terminal.prompt();
  expect(performance.now() - since).toBeGreaterThan(1000);
  expect(await control.call('calls', { service: 'ssm', operation: 'StartSession' })).toHaveLength(1);
});

test('rate limits: terminals beyond three a second are late, and all open', async () => {
  const first = await open(mira);
  await first.terminal.prompt();
  const { connection } = await mira.backend.connect({ grantId: first.grant.id });
  const more = await Promise.all(Array.from({ length: 4 }, () => openTerminal(mira, first.grant, connection)));
  await Promise.all(more.map((terminal) => terminal.prompt()));
  const starts = await control.call('calls', { service: 'ssm', operation: 'StartSession' });
  expect(starts.filter(({ outcome }) => outcome === 'throttled').length).toBeGreaterThan(0);
  expect(await activeSessions(control, { account: devAccount, personId: miraId })).toHaveLength(5);
});

test('spreading delay: the wait is told as it happens, and measured', async () => {
  await control.call('changeSettings', { spreadingDelayMs: 2000 });
  const opened = await open(mira);
  const phases = phasesOf(mira, opened);
  const waiting = await until('more than one look', () => {
    const now = opened.tab();
    return now.phase === 'spreading' && now.tries > 1 ? now : null;
  });
  expect(waiting.tries).toBeGreaterThan(1);
  await opened.terminal.prompt();
  expect(phases).toEqual(expect.arrayContaining(['spreading', 'starting', 'live']));
  const measured = await until(
    'the measurement',
    async () => (await mira.backend.overview()).spreading.find(({ accountId }) => accountId === devAccount) ?? null,
    200,
  );
  expect(measured.samples).toBeGreaterThan(0);
});

const troubles = {
  latency: { latencyMs: 120 },
  loss: { loseShare: 0.1 },
  corruption: { corruptShare: 0.1 },
  repetition: { duplicateShare: 0.3 },
  disorder: { reorderShare: 0.3 },
  'everything at once': { latencyMs: 20, loseShare: 0.05, corruptShare: 0.05, duplicateShare: 0.1, reorderShare: 0.1 },
};
test('link: through latency, loss, corruption, repetition and disorder all output arrives whole', async () => {
  const opened = await open(mira);
  await opened.terminal.prompt();
  for (const [name, link] of Object.entries(troubles)) {
    await control.call('changeLink', link);
    const lines = (await answerOf(mira, opened, 'seq 1 3000')).split('\r\n').slice(0, -1);
    expect(lines, name).toEqual(Array.from({ length: 3000 }, (_, at) => String(at + 1)));
    expect(opened.tab().phase).toBe('live');
  }
});

test('drop: the terminal says so, resumes the same session, and nothing in the shell is lost', async () => {
  const opened = await open(mira);
  await opened.terminal.prompt();
  await answerOf(mira, opened, 'kept=still-here');
  const before = opened.tab();
  const phases = phasesOf(mira, opened);
  await control.call('drop');
  await until('live again', () => (phases.at(-1) === 'live' ? true : null));
  expect(phases).toEqual(['reconnecting', 'live']);
  expect(opened.tab()).toMatchObject({ sessionId: before.phase === 'live' ? before.sessionId : 'none' });
  expect(await answerOf(mira, opened, 'echo $kept')).toContain('still-here');
});

test('lifetimes: an access token near its end is refreshed without asking anybody', async () => {
  await control.call('changeLifetimes', { accessTokenSeconds: 60 });
  const short = await signIn(names.mira);
  await control.call('forgetCalls');
  const tokens = async (): Promise<number> =>
    (await control.call('calls', { service: 'sso-oidc', operation: 'CreateToken' })).length;
  expect(await tokens()).toBe(0);
  // A minute is below the quarter of an hour that must be left.
  await short.signIn.credentialsFor(devAccount);
  expect(await tokens()).toBe(1);
  expect(short.signIn.state().state).toBe('signed-in');
});

test('instance offline: the list says it, and a terminal fails with clear words instead of waiting', async () => {
  const { instanceId } = await mira.instance('payments-fraud-s1');
  const { grant, connection } = await mira.connect(await mira.submit(await mira.instance('payments-fraud-s1'), 900));
  await control.call('changeInstance', { id: instanceId, online: false });
  try {
    const terminal = await openTerminal(mira, grant, connection);
    const failed = await until('a failure', () => {
      const now = terminal.phase();
      return now?.phase === 'failed' ? now : null;
    });
    expect(failed.what).toContain(instanceId);
    expect(failed.what).toContain('offline');
    const isOffline = async () => ((await mira.instance('payments-fraud-s1')).online ? null : true);
    await until('the list to say offline', isOffline, 200);
  } finally {
    await control.call('changeInstance', { id: instanceId, online: true });
  }
});

test('person left: cannot sign in any more, and what they had is ended', async () => {
  await expect(personAtApi(stack, { userName: names.elin })).rejects.toThrow();
  const hers = { account: devAccount, personId: elinId };
  const isGone = async () => ((await accessPolicyOf(control, hers)) === null ? true : null);
  await until('the end of her access', isGone, 200);
  const noSession = async () => ((await activeSessions(control, hers)).length === 0 ? true : null);
  await until('the end of her session', noSession, 200);
}, 100_000);

test('document: a session that AWS caps earlier than the grant ends as such, and can be opened again', async () => {
  const tab = await until('the end of the session', () => {
    const now = capped.tab();
    return now.phase === 'ended' ? now : null;
  });
  expect(tab.why).not.toBe('grant-over');
  expect(capped.person.overview().grants.find(({ id }) => id === tab.grantId)?.state).toBe('active');
}, 100_000);
