/** Kill switches on a whole stack: real sessions end, a backend that is killed in between changes nothing about it (RQ-18). */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { TRPCClientError } from '@trpc/client';
import pg from 'pg';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import type { InstanceRef } from '../../src/shared/access.ts';
import type { KillSwitch } from '../../src/shared/kill-switch.ts';
import { accessPolicyOf, activeSessions, controlOf, type LocalAwsControl } from '../driver/local-aws-control.ts';
import { type Stack, startStack } from '../start/stack.ts';
import { type ApiPerson, connectAtOnce, grantOf, openSession, signInAtApi } from './testing/api-person.ts';

vi.setConfig({ testTimeout: 240_000, hookTimeout: 180_000 });

const account = '739164205518';
const miraId = 'c2c5d4e4-1021-70aa-8b10-1f2e3d4c5b01';
const elinId = 'c2c5d4e4-1021-70aa-8b10-1f2e3d4c5b04';

const folder = mkdtempSync(path.join(tmpdir(), 'curfew-kill-'));
let stack: Stack;
let control: LocalAwsControl;
let database: pg.Client;
let staging: InstanceRef[];

const until = async <T>(what: string, ask: () => Promise<T | null>, ms = 90_000): Promise<T> => {
  for (const end = Date.now() + ms; ; ) {
    const answer = await ask();
    if (answer !== null) return answer;
    if (Date.now() > end) throw new Error(`Never came: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
};

beforeAll(async () => {
  stack = await startStack({ folder, say: () => undefined, durable: false });
  control = controlOf(stack.localAwsUrl);
  await control.call('changeSettings', { spreadingDelayMs: 0 });
  database = new pg.Client({ connectionString: stack.databaseUrl });
  await database.connect();
  // The first look at the world may still be on its way.
  staging = await until('two staging machines of Payments', async () => {
    const { rows } = await database.query<InstanceRef>(
      `select account_id as "accountId", region, instance_id as "instanceId" from instances
       where name in ('payments-api-s1', 'payments-worker-s1') order by name`,
    );
    return rows.length === 2 ? rows : null;
  });
});
afterAll(async () => {
  await database?.end();
  await stack?.stop();
  rmSync(folder, { recursive: true, force: true });
});

const refusalOf = async (call: Promise<unknown>): Promise<unknown> => {
  const error: unknown = await call.then(
    () => null,
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof TRPCClientError)) throw new Error(`Not refused: ${String(error)}`);
  return error.data?.refusal?.code;
};

/** Access with a session open in it. */
const live = async (person: ApiPerson, instance: InstanceRef): Promise<string> => {
  const { grant, connection } = await connectAtOnce(person, instance);
  await until('the access is active', async () => ((await grantOf(person, grant.id)).state === 'active' ? true : null));
  await openSession(stack, person, { connection, instance });
  return grant.id;
};

const isOver = async (person: ApiPerson, grantId: string): Promise<void> => {
  const grant = await until('the access has ended', async () => {
    const now = await grantOf(person, grantId);
    return now.state === 'ended' ? now : null;
  });
  expect(grant.cause).toMatchObject({ kind: 'kill', person: { displayName: 'Dele Adeyemi' } });
  expect(grant.receipt.sessionsTerminated).toHaveLength(1);
};

test('RQ-18 a switch over several grants, with the backend killed in between: all of it ends, and stays stopped', async () => {
  const [first, second] = staging;
  if (first === undefined || second === undefined) throw new Error('The world has two staging machines of Payments.');
  const mira = await signInAtApi(stack, 'mira.okafor@harborline.example');
  const elin = await signInAtApi(stack, 'elin.strand@harborline.example');
  const dele = await signInAtApi(stack, 'dele.adeyemi@harborline.example');
  const grants: Array<[ApiPerson, string]> = [
    [mira, await live(mira, first)],
    [mira, await live(mira, second)],
    [elin, await live(elin, first)],
  ];
  const waiting = await mira.client.submit.mutate({
    instances: [first],
    capability: 'shell',
    durationSeconds: 8 * 3600,
    reason: 'whole-job-reason',
    ticket: null,
  });
  expect(waiting.state).toBe('waiting');

  // Whether it was answered or not: what counts is what was committed.
  const pulled = dele.client.pullSwitch
    .mutate({ scope: { kind: 'account', accountId: account }, reason: 'drill', typed: 'payments-dev' })
    .catch((error: unknown) => error);
  await until('the switch is on record', async () =>
    (await database.query('select 1 from kill_switches')).rowCount === 1 ? true : null,
  );
  await stack.backend.kill();
  await pulled;
  await stack.backend.start();

  for (const [person, id] of grants) await isOver(person, id);
  for (const personId of [miraId, elinId]) {
    expect(await accessPolicyOf(control, { account, personId })).toBeNull();
    expect(await activeSessions(control, { account, personId })).toEqual([]);
  }
  const done = await until<KillSwitch>('the switch has its receipt', async () => {
    const [one] = await dele.client.switches.query();
    return one?.done === null || one === undefined ? null : one;
  });
  expect(done.progress).toEqual({ grants: 3, verified: 3, sessions: 0, requests: 1 });

  expect(await refusalOf(connectAtOnce(elin, first))).toBe('paused');
  expect(await refusalOf(mira.client.liftSwitch.mutate({ switchId: done.id }))).toBe('own_request');
  await dele.client.liftSwitch.mutate({ switchId: done.id });
  expect((await connectAtOnce(elin, first)).grant.state).not.toBe('ended');
});
