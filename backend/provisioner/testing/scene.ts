/**
 * A scene for tests of everything that touches AWS: a database of its own, local-aws as a process, personal roles made by the
 * real provisioner, and grants written and sealed as the backend does it.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { createSecretKey, randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { vi } from 'vitest';
import { z } from 'zod';
import type { InstanceRef } from '../../../src/shared/access.ts';
import { personalRoleArn, personalRoleName, roleSessionName } from '../../access-policy/principal.ts';
import { appendAudit } from '../../audit/chain.ts';
import { openBroker } from '../../aws/broker.ts';
import { realTiming } from '../../aws/budget.ts';
import { type CloudTrail, createCloudTrail } from '../../aws/cloudtrail.ts';
import { createIam } from '../../aws/iam.ts';
import { createSsm } from '../../aws/ssm.ts';
import { createSweepReads, type SweepReads } from '../../aws/sweep-reads.ts';
import { type Config, identityStoreOf } from '../../config.ts';
import type { Log } from '../../log.ts';
import { newId } from '../../store/ids.ts';
import type { Db } from '../../store/open.ts';
import { savePerson } from '../../store/people.ts';
import { type SealKey, sealDecision, sealGrant } from '../../store/seal.ts';
import { type FreshStore, freshStore } from '../../testing/fresh-store.ts';
import * as harborline from '../../testing/harborline.ts';
import { openProvisioner, type ProvisionerLine } from '../provisioner.ts';
import { type OtherPrincipal, putPrincipal } from './other-principal.ts';

export const prod = harborline.prod;
export const dev = harborline.dev;

export const apiOne: InstanceRef = { accountId: prod, region: 'eu-central-1', instanceId: 'i-0f3a9c1d7b24e8a61' };
export const apiTwo: InstanceRef = { accountId: prod, region: 'eu-central-1', instanceId: 'i-05d81b70c9e3f4a22' };
export const apiThree: InstanceRef = { accountId: prod, region: 'eu-west-1', instanceId: 'i-0be47716a0d95c3f8' };

export const mira = {
  id: 'c2c5d4e4-1021-70aa-8b10-1f2e3d4c5b01',
  userName: 'mira.okafor@harborline.example',
  displayName: 'Mira Okafor',
};
export const jonas = {
  id: 'c2c5d4e4-1021-70aa-8b10-1f2e3d4c5b02',
  userName: 'jonas.lindqvist@harborline.example',
  displayName: 'Jonas Lindqvist',
};

const regions = ['eu-central-1', 'eu-west-1'];
export const sceneConfig: Config = harborline.harborlineConfig([
  harborline.harborlineAccount({ id: prod, name: 'payments-prod', regions }),
  harborline.harborlineAccount({ id: dev, name: 'payments-dev', regions }),
]);

const asUser = (accessKeyId: string, secretAccessKey: string): void => {
  vi.stubEnv('AWS_ACCESS_KEY_ID', accessKeyId);
  vi.stubEnv('AWS_SECRET_ACCESS_KEY', secretAccessKey);
};

const startLocalAws = async (runFolder: string): Promise<{ child: ChildProcess; endpoint: string }> => {
  const cli = resolve(import.meta.dirname, '../../../dev/local-aws/cli.ts');
  const child = spawn(process.execPath, [cli, 'serve', '--port', '0', '--run', runFolder], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const lines = createInterface({ input: child.stdout });
  for await (const line of lines) {
    const endpoint = /http:\/\/127\.0\.0\.1:\d+/.exec(line)?.[0];
    if (endpoint !== undefined) return { child, endpoint };
  }
  throw new Error('local-aws did not start');
};

export type LoggedError = { facts: object; message: string };

/** A log that keeps what was told as an error. */
const quietLog = (errors: LoggedError[]): Log => {
  const keep = (facts: unknown, message?: unknown): void => {
    errors.push({ facts: typeof facts === 'object' && facts !== null ? facts : {}, message: String(message ?? facts) });
  };
  const drop = (): void => {};
  return { info: drop, debug: drop, warn: drop, error: keep };
};

export const roleDump = z.object({
  trust: z.unknown(),
  inlinePolicies: z.record(z.string(), z.object({ Statement: z.array(z.record(z.string(), z.unknown())) })),
});
export const callList = z.array(z.object({ service: z.string(), operation: z.string(), accountId: z.string() }));
export const sessionList = z.array(z.object({ sessionId: z.string(), status: z.string() }));

export type Scene = {
  store: FreshStore;
  endpoint: string;
  sealKey: SealKey;
  errors: LoggedError[];
  log: Log;
  aws: { iam: ReturnType<typeof createIam>; ssm: ReturnType<typeof createSsm>; reads: SweepReads };
  trail: CloudTrail;
  provisioned: ProvisionerLine[];
  /** One method of local-aws' control API. */
  control: (method: string, body?: object) => Promise<unknown>;
  close: () => Promise<void>;
};

/** Starts it all: some two seconds. Environment variables are stubbed until `close`. */
export const openScene = async (): Promise<Scene> => {
  const runFolder = mkdtempSync(join(tmpdir(), 'curfew-scene-'));
  const store = await freshStore();
  const { child, endpoint } = await startLocalAws(runFolder);
  vi.stubEnv('AWS_ENDPOINT_URL', endpoint);
  asUser('AKIACURFEWPROVISIONR', 'local-aws/curfew-provisioner/opens-none');
  const provisioner = openProvisioner(sceneConfig);
  const provisioned: ProvisionerLine[] = [];
  for await (const line of provisioner.run({ removeLeavers: false })) provisioned.push(line);
  provisioner.close();
  asUser('AKIACURFEWBACKENDDEV', 'local-aws/curfew-backend/opens-nothing-0');
  // Our budgets are ten times wider: their clock runs ten times as fast. AWS's own limits are local-aws' business.
  const opened = Date.now();
  const timing = {
    ...realTiming,
    now: () => new Date(opened + (Date.now() - opened) * 10),
    sleep: (ms: number) => realTiming.sleep(ms / 10),
  };
  const broker = openBroker({ config: sceneConfig, as: 'broker', timing });
  const errors: LoggedError[] = [];
  for (const person of [mira, jonas]) {
    await savePerson(store.db, {
      ...person,
      email: null,
      enabled: true,
      groups: ['curfew-users'],
      checkedAt: new Date(),
    });
  }
  return {
    store,
    endpoint,
    sealKey: createSecretKey(randomBytes(32)),
    errors,
    log: quietLog(errors),
    trail: createCloudTrail(broker),
    aws: { iam: createIam(broker), ssm: createSsm(broker), reads: createSweepReads(broker) },
    provisioned,
    control: async (method, body = {}) => {
      const response = await fetch(`${endpoint}/_control/${method}`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(body),
      });
      const text = await response.text();
      if (!response.ok) throw new Error(`${method}: ${text}`);
      return text === '' ? null : JSON.parse(text);
    },
    close: async () => {
      broker.close();
      const ended = new Promise((done) => child.once('exit', done));
      child.kill('SIGTERM');
      await ended;
      vi.unstubAllEnvs();
      await store.close();
      rmSync(runFolder, { recursive: true, force: true });
    },
  };
};

export const roleNameOf = (person: { id: string }): string =>
  personalRoleName(identityStoreOf(sceneConfig).identityStoreId, person.id);

const keepInstance = async (db: Db, ref: InstanceRef): Promise<void> => {
  const now = new Date();
  await db
    .insertInto('instances')
    .values({
      account_id: ref.accountId,
      region: ref.region,
      instance_id: ref.instanceId,
      account_name: 'payments-prod',
      name: ref.instanceId,
      kind: 'ec2',
      platform: 'Linux',
      tags: '{}',
      online: true,
      first_seen_at: now,
      checked_at: now,
      gone_at: null,
    })
    .onConflict((conflict) => conflict.doNothing())
    .execute();
};

const ensurePrincipal = async (db: Db, person: typeof mira): Promise<{ id: string; arn: string }> => {
  const name = roleNameOf(person);
  const row = { id: `${prod}/${person.id}/1`, arn: personalRoleArn('aws', prod, name) };
  await db
    .insertInto('principals')
    .values({
      ...row,
      account_id: prod,
      person_id: person.id,
      kind: 'role',
      carrier: 'inline',
      name,
      session_name: roleSessionName(person.userName, person.id),
      document_hash: null,
      document_at: null,
      due_at: null,
      problem: null,
    })
    .onConflict((conflict) => conflict.doNothing())
    .execute();
  return row;
};

export type GrantWish = {
  person?: typeof mira;
  principal?: OtherPrincipal;
  instances?: InstanceRef[];
  /** `ready` until somebody connects; else granted from now on. */
  state?: 'ready' | 'granting';
  endsAt?: Date;
  activateBy?: Date;
  /** What the key of somebody without the key would give. */
  sealKey?: SealKey;
};

const aboutOf = (id: string, requestId: string, owner: typeof mira, accountId = prod) => ({
  grantId: id,
  requestId,
  owner,
  accountId,
  actor: { kind: 'curfew' as const },
});

/** Writes a request that a rule approved, and its grant: everything is sealed and audited. Its principal is due. */
export const addGrant = async (scene: Scene, wish: GrantWish = {}): Promise<string> => {
  const { db } = scene.store;
  const { person = mira, instances = [apiOne], state = 'granting', sealKey = scene.sealKey } = wish;
  const now = new Date();
  for (const ref of instances) await keepInstance(db, ref);
  if (wish.principal !== undefined) await putPrincipal(db, wish.principal);
  const principal = wish.principal ?? (await ensurePrincipal(db, person));
  const accountId = wish.principal?.accountId ?? prod;
  const [requestId, grantId, decisionId] = [newId('req'), newId('grt'), newId('dec')];
  const connectedAt = state === 'granting' ? now : null;
  const endsAt = state === 'granting' ? (wish.endsAt ?? new Date(now.getTime() + 3_600_000)) : null;
  const activateBy = wish.activateBy ?? new Date(now.getTime() + 3_600_000);
  const shared = { capability: 'shell' as const, duration_seconds: 3600 };
  const decision = {
    id: decisionId,
    requestId,
    requesterId: person.id,
    ruleId: 'own-team',
    personId: null,
    verdict: 'yes' as const,
    instances,
    durationSeconds: 3600,
    at: now,
    ruleSetHash: 'r',
    seenHash: null,
  };
  const content = {
    id: grantId,
    requestId,
    personId: person.id,
    accountId,
    principalArn: principal.arn,
    capability: 'shell',
    durationSeconds: 3600,
    instances,
    approvedAt: now,
    activateBy,
    connectedAt,
    endsAt,
  };
  await db.transaction().execute(async (tx) => {
    const made = { kind: 'grant_made' as const, instances, durationSeconds: 3600, principal: principal.arn };
    const sequence = await appendAudit(tx, {
      ...made,
      at: now.toISOString(),
      activateBy: activateBy.toISOString(),
      ...aboutOf(grantId, requestId, person, accountId),
    });
    await tx
      .insertInto('requests')
      .values({
        id: requestId,
        requester_id: person.id,
        extends_grant_id: null,
        ...shared,
        reason: 'latency',
        ticket: null,
        state: 'approved',
        submitted_at: now,
        lapses_at: activateBy,
        closed_at: now,
        approvals_needed: 0,
        rule_id: 'own-team',
        rule_set_hash: 'r',
        audit_sequence: sequence,
      })
      .execute();
    await tx
      .insertInto('decisions')
      .values({
        id: decisionId,
        request_id: requestId,
        requester_id: person.id,
        rule_id: 'own-team',
        person_id: null,
        verdict: 'yes',
        instances: JSON.stringify(instances),
        duration_seconds: 3600,
        comment: null,
        at: now,
        rule_set_hash: 'r',
        seen_hash: null,
        mac: sealDecision(sealKey, decision),
        audit_sequence: sequence,
      })
      .execute();
    await tx
      .insertInto('grants')
      .values({
        id: grantId,
        request_id: requestId,
        person_id: person.id,
        principal_id: principal.id,
        account_id: accountId,
        ...shared,
        state,
        approved_at: now,
        activate_by: activateBy,
        connected_at: connectedAt,
        active_at: null,
        ends_at: endsAt,
        cause: null,
        policy_gone_at: null,
        sessions_left: null,
        closed_at: null,
        receipt: null,
        failed_code: null,
        failed_advice: null,
        mac: sealGrant(sealKey, content),
        audit_sequence: sequence,
      })
      .execute();
    await tx
      .insertInto('grant_instances')
      .values(
        instances.map((ref, position) => ({
          grant_id: grantId,
          position,
          account_id: ref.accountId,
          region: ref.region,
          instance_id: ref.instanceId,
        })),
      )
      .execute();
    // In the same transaction as the grant: the reconciler must never see the one without the other.
    await tx.updateTable('principals').set({ due_at: new Date() }).where('id', '=', principal.id).execute();
  });
  return grantId;
};

/** Ends a grant as its owner does: now, and its principal is due. */
export const endGrant = async (scene: Scene, grantId: string): Promise<void> => {
  const now = new Date();
  await scene.store.db.transaction().execute(async (tx) => {
    const grant = await tx.selectFrom('grants').selectAll().where('id', '=', grantId).executeTakeFirstOrThrow();
    const cause = { kind: 'owner' as const, person: mira };
    const about = aboutOf(grantId, grant.request_id, mira);
    const sequence = await appendAudit(tx, { kind: 'grant_ending', cause, at: now.toISOString(), ...about });
    await tx
      .updateTable('grants')
      .set({ state: 'ending', cause: JSON.stringify(cause), ends_at: now, audit_sequence: sequence })
      .where('id', '=', grantId)
      .execute();
    await tx.updateTable('principals').set({ due_at: now }).where('id', '=', grant.principal_id).execute();
  });
};
