/** The whole job at the API of a whole stack, each part a process of its own: then what it left behind is searched, and it is killed. */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { z } from 'zod';
import { verifyExport } from '../../backend/audit/verify.ts';
import type { Grant, InstanceRef } from '../../src/shared/access.ts';
import { accessPolicyOf, activeSessions, controlOf, type LocalAwsControl } from '../driver/local-aws-control.ts';
import { type Stack, startStack } from '../start/stack.ts';
import { type ApiPerson, connectAtOnce, grantOf, openSession, signInAtApi } from './testing/api-person.ts';

// A stack takes some seconds to start, and each start of the backend another two.
vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 });

const dev = '739164205518';
const worker: InstanceRef = { accountId: dev, region: 'eu-central-1', instanceId: 'i-06fc0b9d28a5e1374' };
const api: InstanceRef = { accountId: dev, region: 'eu-central-1', instanceId: 'i-0d3b8a7e14f6295cc' };
const miraId = 'c2c5d4e4-1021-70aa-8b10-1f2e3d4c5b01';
const mirasRole = { account: dev, personId: miraId };

const folder = mkdtempSync(path.join(tmpdir(), 'curfew-whole-job-'));
let stack: Stack;
let control: LocalAwsControl;
beforeAll(async () => {
  stack = await startStack({ folder, say: () => undefined, durable: false });
  control = controlOf(stack.localAwsUrl);
  await control.call('changeSettings', { spreadingDelayMs: 0 });
});
afterAll(async () => {
  await stack?.stop();
  rmSync(folder, { recursive: true, force: true });
});

const signIn = (name: 'mira.okafor' | 'dele.adeyemi'): Promise<ApiPerson> =>
  signInAtApi(stack, `${name}@harborline.example`);

/** Waits for the inventory, too: a backend that has just started knows no instance yet. */
const ready = async (person: ApiPerson): Promise<void> => {
  await expect
    .poll(async () => (await person.client.instances.query({ search: 'payments' })).matching, { timeout: 30_000 })
    .toBeGreaterThan(1);
};
const inState = async (person: ApiPerson, id: string, states: ReadonlyArray<Grant['state']>): Promise<Grant> => {
  await expect.poll(async () => states.includes((await grantOf(person, id)).state), { timeout: 30_000 }).toBe(true);
  return grantOf(person, id);
};

/** Every column of every row of the database, as text. */
const databaseDump = async (): Promise<string> => {
  const client = new pg.Client({ connectionString: stack.databaseUrl });
  await client.connect();
  try {
    const tables = await client.query("select tablename as name from pg_tables where schemaname = 'public'");
    const texts: string[] = [];
    for (const { name } of z.array(z.object({ name: z.string() })).parse(tables.rows)) {
      const { rows } = await client.query(`select t::text as row from ${client.escapeIdentifier(name)} t`);
      texts.push(
        name,
        ...z
          .array(z.object({ row: z.string() }))
          .parse(rows)
          .map(({ row }) => row),
      );
    }
    return texts.join('\n');
  } finally {
    await client.end();
  }
};

/** What local-aws gave to anybody: it writes its state down each second. */
const minted = async (): Promise<string[]> => {
  await sleep(1_500);
  const state = z.object({
    credentials: z.array(z.object({ secretAccessKey: z.string(), session: z.object({ token: z.string() }) })),
  });
  const { credentials } = state.parse(JSON.parse(readFileSync(path.join(folder, 'local-aws.json'), 'utf8')));
  const lasting = stack.world.accounts.flatMap(({ users }) => users.flatMap(({ accessKeys }) => accessKeys));
  return [
    ...credentials.flatMap(({ secretAccessKey, session }) => [secretAccessKey, session.token]),
    ...lasting.map(({ secretAccessKey }) => secretAccessKey),
  ];
};

test('AU-09 ID-11 RQ-15 the whole job, ended by signing out: a receipt, and no secret in any log, row or export', async () => {
  const mira = await signIn('mira.okafor');
  await ready(mira);
  const { grant, connection } = await connectAtOnce(mira, worker);
  await inState(mira, grant.id, ['active']);
  const session = await openSession(stack, mira, { connection, instance: worker });
  const [live, ...others] = await activeSessions(control, mirasRole);
  expect(others).toEqual([]);
  // RQ-15: what people type is in no access policy and in no field of AWS.
  const atAws = JSON.stringify([live, await accessPolicyOf(control, mirasRole)]);
  expect(atAws).toContain(worker.instanceId);
  expect(atAws).not.toContain('whole-job-reason');
  const faulty = { ...mira.credentials, secretAccessKey: 'x' };
  await expect(
    openSession(stack, { ...mira, credentials: faulty }, { connection, instance: worker }),
  ).rejects.toThrow();

  // Sign-out ends what lives, and the token is worth nothing from then on.
  await mira.client.signOut.mutate({ endGrants: true });
  await expect(mira.client.overview.query()).rejects.toThrow('sign_in_needed');
  const again = await signIn('mira.okafor');
  const ended = await inState(again, grant.id, ['ended']);
  if (ended.state !== 'ended') throw new Error('not ended');
  expect(ended.cause).toMatchObject({ kind: 'signed-out' });
  expect(ended.receipt.sessionsTerminated).toEqual([session.sessionId]);
  expect(await accessPolicyOf(control, mirasRole)).toBeNull();
  expect(await activeSessions(control, mirasRole)).toEqual([]);

  const admin = await signIn('dele.adeyemi');
  const whole = { requestId: null, cursor: null };
  const jsonl = await admin.client.exportAudit.mutate({ format: 'jsonl', ...whole });
  const heads = await admin.client.exportAudit.mutate({ format: 'jsonl', requestId: null, cursor: jsonl.next });
  const csv = await admin.client.exportAudit.mutate({ format: 'csv', ...whole });
  expect(verifyExport(`${jsonl.text}${heads.text}`.split('\n'), null)).toMatchObject({ ok: true, scope: 'whole' });
  const logs = readdirSync(path.join(folder, 'logs')).map((name) =>
    readFileSync(path.join(folder, 'logs', name), 'utf8'),
  );
  const told = { logs: logs.join('\n'), database: await databaseDump(), jsonl: jsonl.text, csv: csv.text };
  // The search is worth something only if it can find.
  expect(told.logs).toContain('"listening"');
  for (const place of [told.database, told.jsonl, told.csv]) expect(place).toContain('whole-job-reason');

  const people = [mira, again, admin].flatMap(({ secrets }) => secrets);
  const keys = ['decision.key', 'audit.key'].map((name) => readFileSync(path.join(folder, 'keys', name)));
  const secrets = [...people, ...session.secrets, ...(await minted())];
  expect(secrets.length).toBeGreaterThan(25);
  expect(secrets.every((secret) => secret.length >= 20)).toBe(true);
  const written = (secret: string) => [
    secret,
    encodeURIComponent(secret),
    Buffer.from(secret).toString('base64'),
    Buffer.from(secret).toString('hex'),
  ];
  for (const [place, text] of Object.entries(told)) {
    const found = secrets.flatMap(written).filter((secret) => text.includes(secret));
    expect([place, found]).toEqual([place, []]);
    for (const key of keys) {
      for (const form of ['base64', 'base64url', 'hex'] as const) expect(text.includes(key.toString(form))).toBe(false);
    }
  }
});

const isOver = (grant: Grant): boolean => ['ended', 'failed', 'lapsed'].includes(grant.state);

/** Begins work and kills the backend at a random moment of the time that it usually takes; then it is started again. */
const killWithin = async (usualMs: number, work: () => Promise<unknown>): Promise<number> => {
  const moment = Math.round(Math.random() * usualMs);
  // What is under way may fail with it: the person asks again.
  const settled = work().catch(() => undefined);
  await sleep(moment);
  await stack.backend.kill();
  await settled;
  await stack.backend.start();
  return moment;
};

test('promise 5: killed at random moments of granting and ending, nothing is lost and no policy is left', async () => {
  const mira = await signIn('mira.okafor');
  await ready(mira);
  const since = performance.now();
  const first = await connectAtOnce(mira, worker);
  await inState(mira, first.grant.id, ['active']);
  const grantingMs = performance.now() - since;
  const end = (grant: Grant) => mira.client.end.mutate({ grantId: grant.id, comment: null });
  await end(first.grant);
  await inState(mira, first.grant.id, ['ended']);
  const endingMs = performance.now() - since - grantingMs;

  const seen: string[] = [];
  for (const instance of [worker, api, worker]) {
    const before = new Set((await mira.client.overview.query()).grants.map(({ id }) => id));
    const fresh = async () => (await mira.client.overview.query()).grants.filter(({ id }) => !before.has(id));
    const granting = await killWithin(grantingMs, () => connectAtOnce(mira, instance));
    // Nothing was on record yet when it died: the person asks again, and this one is killed while it ends.
    if ((await fresh()).length === 0) await connectAtOnce(mira, instance);
    const live = (await fresh()).filter((grant) => !isOver(grant));
    seen.push(...live.map(({ state }) => state));
    const ending = await killWithin(endingMs, () => Promise.all(live.map(end)));
    const moments = `killed ${granting} ms into granting (${seen.at(-1)} after it), ${ending} ms into ending`;
    for (const grant of await fresh()) {
      if (!isOver(grant) && grant.state !== 'ending') await end(grant);
      const over = await inState(mira, grant.id, ['ended', 'failed', 'lapsed']);
      expect(over.state, moments).toBe('ended');
      if (over.state === 'ended') expect(over.receipt.looks, moments).toBeGreaterThan(0);
    }
    expect(await accessPolicyOf(control, mirasRole), moments).toBeNull();
    expect(await activeSessions(control, mirasRole), moments).toEqual([]);
  }
  expect(seen).toHaveLength(3);

  // AU-07: every state has its row, and the trail holds through all of it.
  const admin = await signIn('dele.adeyemi');
  const { text } = await admin.client.exportAudit.mutate({ format: 'jsonl', requestId: null, cursor: null });
  expect(verifyExport(text.split('\n'), null)).toMatchObject({ ok: true, scope: 'whole' });
  const kinds = [...text.matchAll(/"kind":"(grant_made|grant_ended)"/g)].map(([, kind]) => kind);
  const grants = (await mira.client.overview.query()).grants.length;
  expect(kinds.filter((kind) => kind === 'grant_made')).toHaveLength(grants);
  expect(kinds.filter((kind) => kind === 'grant_ended')).toHaveLength(grants);
});
