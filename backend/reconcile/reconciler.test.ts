import { StartSessionCommand } from '@aws-sdk/client-ssm';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { accessPolicyName } from '../access-policy/principal.ts';
import { openBroker } from '../aws/broker.ts';
import { realTiming } from '../aws/budget.ts';
import { createIam } from '../aws/iam.ts';
import { createSsm } from '../aws/ssm.ts';
import { createSweepReads } from '../aws/sweep-reads.ts';
import { ssmOf } from '../provisioner/testing/person.ts';
import {
  addGrant,
  apiOne,
  apiThree,
  apiTwo,
  callList,
  dev,
  endGrant,
  jonas,
  mira,
  openScene,
  prod,
  roleDump,
  roleNameOf,
  type Scene,
  sceneConfig,
} from '../provisioner/testing/scene.ts';
import type { ReconcileAws } from './pass.ts';
import type { Reconciler, ReconcilerDeps } from './reconciler.ts';
import {
  type GrantRow,
  grantRow,
  liveSessions,
  reconcilerOver,
  until,
  untilIn,
  untilSealed,
} from './testing/over-scene.ts';

let scene: Scene;
let reconciler: Reconciler | null = null;

beforeAll(async () => {
  scene = await openScene();
});
afterAll(() => scene.close());
afterEach(async () => {
  await scene.control('reset');
  const ids = await scene.store.db
    .selectFrom('grants')
    .select('id')
    .where('state', 'in', ['ready', 'granting', 'active'])
    .execute();
  for (const { id } of ids) await endGrant(scene, id);
  if ((await unsettled()) > 0) {
    start().nudge();
    await settled();
  }
  await reconciler?.stop();
  reconciler = null;
});

/** Every start sweeps: where a test is not about the sweep, one account and the two people of the scene are enough. */
const near = (): ReconcileAws => ({
  ...scene.aws,
  iam: { ...scene.aws.iam, personalRoles: async () => [roleNameOf(mira), roleNameOf(jonas)] },
});
const everywhere = (): Partial<ReconcilerDeps> => ({ aws: scene.aws, config: sceneConfig });

const start = (change: Partial<ReconcilerDeps> = {}): Reconciler => {
  reconciler ??= reconcilerOver(scene, { aws: near(), timing: { sealMs: 300 }, ...change });
  return reconciler;
};

const row = (id: string) => grantRow(scene, id);
const kinds = async (grantId: string): Promise<string[]> => {
  const rows = await scene.store.db
    .selectFrom('audit')
    .select('kind')
    .where('grant_id', '=', grantId)
    .orderBy('sequence')
    .execute();
  return rows.map(({ kind }) => kind);
};
const inState = (id: string, state: GrantRow['state']) => untilIn(scene, id, state);
const sealed = (id: string) => untilSealed(scene, id);
/** How many grants are neither live nor over and sealed. */
const unsettled = async (): Promise<number> => {
  const open = await scene.store.db
    .selectFrom('grants')
    .select('id')
    .where((eb) =>
      eb.or([
        eb('state', 'in', ['granting', 'ending']),
        eb.and([eb('state', '=', 'ended'), eb(eb.ref('receipt', '->>').key('stage'), '=', 'gone')]),
      ]),
    )
    .execute();
  return open.length;
};
const settled = () => until(scene, 'everything settled', async () => (await unsettled()) === 0);
const policyOf = async (person = mira) => {
  const role = roleDump.parse(await scene.control('role', { account: prod, name: roleNameOf(person) }));
  return role.inlinePolicies[accessPolicyName] ?? null;
};
/** Past Curfew's back: an access policy on a role as it is held, and put there. */
const roleOf = (name: string) => ({ accountId: prod, kind: 'role' as const, name });
const held = async (name: string) => (await scene.aws.iam.documents.read(roleOf(name), 0))[0]?.document;
const plant = (name: string, document: string) =>
  scene.aws.iam.documents.write(roleOf(name), { do: 'put', slot: 0, document, known: false });
const writesTo = async (operation: string): Promise<number> =>
  callList.parse(await scene.control('calls', { service: 'iam', operation })).length;
const open = async (
  ssm: Awaited<ReturnType<typeof ssmOf>>,
  ref = apiOne,
  document = 'Curfew-Shell-060',
): Promise<string> => {
  const send = () =>
    ssm(ref.region).send(
      new StartSessionCommand({ Target: ref.instanceId, DocumentName: document, Reason: 'Curfew test' }),
    );
  return until(scene, 'a session', async () => {
    try {
      return (await send()).SessionId ?? false;
    } catch {
      return false;
    }
  });
};

describe('granting and ending', () => {
  test('the provisioner made the roles, and a second round finds them as they should be', () => {
    const made = scene.provisioned.filter(({ event }) => event === 'made');
    expect(made.length).toBeGreaterThanOrEqual(2 * 9);
    expect(scene.provisioned.filter(({ event }) => event === 'failed' || event === 'different')).toEqual([]);
  });

  test('writes the access policy, reads it back, tells; ends it, verifies, seals', async () => {
    start();
    const id = await addGrant(scene);
    start().nudge();
    await inState(id, 'active');
    expect((await policyOf())?.Statement).toHaveLength(4);
    await endGrant(scene, id);
    start().nudge();
    const ended = await inState(id, 'ended');
    expect(await policyOf()).toBeNull();
    expect(ended.receipt).toMatchObject({ stage: 'gone', sessionsTerminated: [] });
    expect((await sealed(id)).receipt?.looks).toBeGreaterThan(1);
    expect(await kinds(id)).toEqual([
      'grant_made',
      'access_policy_written',
      'grant_active',
      'grant_ending',
      'grant_ended',
      'grant_sealed',
    ]);
    const notices = await scene.store.db.selectFrom('notices').selectAll().where('target_id', '=', id).execute();
    expect(notices.map(({ kind, person_id }) => [kind, person_id])).toEqual([['ended', mira.id]]);
    const changes = await scene.store.db.selectFrom('changes').selectAll().where('ref', '=', id).execute();
    expect(changes.length).toBeGreaterThan(2);
    expect(changes.every(({ audience }) => audience?.includes(mira.id) && !audience.includes(jonas.id))).toBe(true);
  });

  test('ends by time, within a second, and ends the session that was open', async () => {
    const endsAt = new Date(Date.now() + 5000);
    const id = await addGrant(scene, { endsAt });
    start().nudge();
    await inState(id, 'active');
    const session = await open(await ssmOf(scene.endpoint, mira), apiOne, 'Curfew-Shell-015');
    const ended = await inState(id, 'ended');
    expect(ended.cause).toEqual({ kind: 'time' });
    expect(ended.receipt?.policyGoneMs).toBeLessThan(1500);
    expect(ended.receipt?.sessionsTerminated).toEqual([session]);
    expect(await liveSessions(scene)).toEqual([]);
  });

  test('a grant that nobody connects to lapses', async () => {
    const id = await addGrant(scene, { state: 'ready', activateBy: new Date(Date.now() + 300) });
    start().nudge();
    await inState(id, 'lapsed');
    expect(await kinds(id)).toEqual(['grant_made', 'grant_lapsed']);
  });

  test('RQ-21 ending one of two overlapping grants keeps what the other covers, in both orders', async () => {
    for (const endFirst of [true, false]) {
      const wide = await addGrant(scene, { instances: [apiOne, apiTwo] });
      const narrow = await addGrant(scene, { instances: [apiOne, apiThree] });
      start().nudge();
      await inState(wide, 'active');
      await inState(narrow, 'active');
      const ssm = await ssmOf(scene.endpoint, mira);
      const kept = await open(ssm, apiOne);
      const dropped = await open(ssm, endFirst ? apiTwo : apiThree);
      const [first, second] = endFirst ? [wide, narrow] : [narrow, wide];
      await endGrant(scene, first);
      start().nudge();
      const receipt = (await inState(first, 'ended')).receipt;
      expect(receipt?.sessionsTerminated).toEqual([dropped]);
      expect(await liveSessions(scene)).toEqual([kept]);
      expect((await row(second)).state).toBe('active');
      await endGrant(scene, second);
      start().nudge();
      expect((await inState(second, 'ended')).receipt?.sessionsTerminated).toEqual([kept]);
    }
  });
});

describe('threats', () => {
  test('AWS-03 a client that starts sessions every 100 ms through the end: none lives on, none is missing in the trail', async () => {
    await scene.control('changeSettings', { spreadingDelayMs: 400, rateLimits: false });
    start({ timing: { sealMs: 2000, lookEveryMs: 200, lookAgainMs: 100, pollMs: 50, sweepMs: 3_600_000 } });
    const id = await addGrant(scene);
    start().nudge();
    await inState(id, 'active');
    const ssm = (await ssmOf(scene.endpoint, mira))(apiOne.region);
    const opened: string[] = [];
    let going = true;
    const client = (async () => {
      while (going) {
        const command = new StartSessionCommand({ Target: apiOne.instanceId, DocumentName: 'Curfew-Shell-060' });
        const answer = await ssm.send(command).catch(() => null);
        if (answer?.SessionId !== undefined) opened.push(answer.SessionId);
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
    })();
    await until(scene, 'some sessions', async () => opened.length > 2);
    await endGrant(scene, id);
    start().nudge();
    const { receipt } = await sealed(id);
    going = false;
    await client;
    expect(await liveSessions(scene)).toEqual([]);
    expect(receipt?.sessionsTerminated.toSorted()).toEqual(opened.toSorted());
    expect(await policyOf()).toBeNull();
  });

  test('AWS-04 ends sessions of exactly the owner, not of somebody whose name begins alike', async () => {
    const [ours, theirs] = [await addGrant(scene), await addGrant(scene, { person: jonas })];
    start().nudge();
    await inState(ours, 'active');
    await inState(theirs, 'active');
    await open(await ssmOf(scene.endpoint, mira));
    const kept = await open(await ssmOf(scene.endpoint, jonas));
    await endGrant(scene, ours);
    start().nudge();
    await inState(ours, 'ended');
    expect(await liveSessions(scene)).toEqual([kept]);
  });

  test('AU-05 a grant that somebody put into the database opens nothing, and is told', async () => {
    const { createSecretKey, randomBytes } = await import('node:crypto');
    await scene.control('forgetCalls');
    const forged = await addGrant(scene, { sealKey: createSecretKey(randomBytes(32)) });
    start().nudge();
    const failed = await inState(forged, 'failed');
    expect(failed.failed_code).toBe('seal_broken');
    expect(await writesTo('PutRolePolicy')).toBe(0);
    expect(await policyOf()).toBeNull();
    const told = await scene.store.db.selectFrom('audit').selectAll().where('kind', '=', 'seal_broken').execute();
    expect(told.at(-1)?.event).toMatchObject({ rowId: forged, table: 'grants' });
  });

  test('AU-05 a grant whose end was moved in the database ends', async () => {
    const id = await addGrant(scene, { endsAt: new Date(Date.now() + 60_000) });
    start().nudge();
    await inState(id, 'active');
    await scene.store.db.transaction().execute(async (tx) => {
      const { sql } = await import('kysely');
      await sql`set local session_replication_role = replica`.execute(tx);
      await tx
        .updateTable('grants')
        .set({ ends_at: new Date(Date.now() + 8_000_000) })
        .where('id', '=', id)
        .execute();
      await tx.updateTable('principals').set({ due_at: new Date() }).execute();
    });
    start().nudge();
    await inState(id, 'ended');
    expect(await policyOf()).toBeNull();
    expect(await kinds(id)).toContain('grant_ending');
  });

  test('AWS-09 a role that somebody changed gets no access policy: trust, boundary, tags', async () => {
    const real = near().iam;
    const seen = await real.readRole(prod, roleNameOf(mira));
    if (seen === null) throw new Error('no role');
    const tampered = [
      { ...seen, trust: seen.trust.replace(mira.id, jonas.id) },
      { ...seen, boundaryArn: null },
      { ...seen, boundaryArn: `arn:aws:iam::${prod}:policy/Other` },
      { ...seen, tags: {} },
      { ...seen, path: '/' },
    ];
    await scene.control('forgetCalls');
    for (const role of tampered) {
      const aws: ReconcileAws = { ...near(), iam: { ...real, readRole: async () => role } };
      start({ aws });
      const id = await addGrant(scene);
      start().nudge();
      const failed = await inState(id, 'failed');
      expect(failed.failed_code).toBe('role_not_ours');
      expect(failed.failed_advice).toContain('AWS admin');
      await reconciler?.stop();
      reconciler = null;
    }
    expect(await writesTo('PutRolePolicy')).toBe(0);
  });

  test('AWS-09 access ends when somebody changes whom its role trusts while it is live', async () => {
    const real = near().iam;
    let trust: string | null = null;
    const readRole: typeof real.readRole = async (accountId, name) => {
      const seen = await real.readRole(accountId, name);
      return seen === null || trust === null ? seen : { ...seen, trust };
    };
    const timing = { sealMs: 300, lookEveryMs: 100, lookAgainMs: 100, pollMs: 50, sweepMs: 300 };
    const { reads } = scene.aws;
    const personalRoleDetails: typeof reads.personalRoleDetails = async (accountId) => {
      const details = await reads.personalRoleDetails(accountId);
      const changed = [...details].map(([name, detail]) => {
        const role = trust === null || name !== roleNameOf(mira) ? detail.role : { ...detail.role, trust };
        return [name, { ...detail, role }] as const;
      });
      return new Map(changed);
    };
    start({ aws: { ...scene.aws, iam: { ...real, readRole }, reads: { ...reads, personalRoleDetails } }, timing });
    const id = await addGrant(scene);
    start().nudge();
    await inState(id, 'active');
    trust = ((await real.readRole(prod, roleNameOf(mira)))?.trust ?? '').replace(mira.id, jonas.id);
    const ended = await inState(id, 'ended');
    expect(ended.cause).toMatchObject({ kind: 'inventory' });
    expect(await policyOf()).toBeNull();
  });

  test('AWS-13 mends what is ours and reports the rest, once', async () => {
    const name = roleNameOf(jonas);
    const statement = { Effect: 'Allow', Action: 'ssm:StartSession', Resource: '*' };
    const leftover = JSON.stringify({ Version: '2012-10-17', Statement: [statement] });
    await plant(name, leftover);
    const { reads } = scene.aws;
    const personalRoleDetails: typeof reads.personalRoleDetails = async (accountId) => {
      const details = await reads.personalRoleDetails(accountId);
      const his = details.get(name);
      if (accountId !== prod || his === undefined) return details;
      return details.set(name, { ...his, inline: new Map([...his.inline, ['somebody-elses', leftover]]) });
    };
    const sweeping = start({ ...everywhere(), aws: { ...scene.aws, reads: { ...reads, personalRoleDetails } } });
    await sweeping.sweep();
    await sweeping.sweep();
    await until(scene, 'it is gone', async () => (await policyOf(jonas)) === null);
    const rows = await scene.store.db.selectFrom('audit').selectAll().execute();
    expect(rows.filter(({ kind }) => kind === 'access_policy_mended').length).toBeGreaterThan(0);
    const told = rows.flatMap(({ event }) => (event.kind === 'finding_reported' ? [event] : []));
    const foreign = told.filter(({ subject }) => subject.endsWith(' somebody-elses'));
    expect(foreign.map(({ finding }) => finding)).toEqual(['leftover_policy']);
  });
});

describe('the sweep', () => {
  test('writes a role that the provisioner made into the trail, once', async () => {
    await start(everywhere()).sweep();
    await start().sweep();
    const told = await scene.store.db.selectFrom('audit').selectAll().where('kind', '=', 'role_provisioned').execute();
    const hers = told.filter(({ event }) => event.kind === 'role_provisioned' && event.personId === mira.id);
    expect(hers.map(({ event }) => event.kind === 'role_provisioned' && event.accountId).toSorted()).toEqual(
      [prod, dev].toSorted(),
    );
  });

  test('AWS-13 ends and writes down a session on a role of ours that no grant explains; a live one is left alone', async () => {
    const id = await addGrant(scene, { instances: [apiOne] });
    start(everywhere()).nudge();
    await inState(id, 'active');
    const kept = await open(await ssmOf(scene.endpoint, mira));
    // Somebody with rights of their own lets Jonas in, behind Curfew's back.
    const statement = { Effect: 'Allow', Action: ['ssm:StartSession', 'ssmmessages:OpenDataChannel'], Resource: '*' };
    const leftover = JSON.stringify({ Version: '2012-10-17', Statement: [statement] });
    await plant(roleNameOf(jonas), leftover);
    const foreign = await open(await ssmOf(scene.endpoint, jonas), apiTwo);
    await start().sweep();
    await until(scene, 'only the explained one lives', async () => (await liveSessions(scene)).join() === kept);
    const told = await scene.store.db
      .selectFrom('audit')
      .selectAll()
      .where('kind', '=', 'session_unexplained')
      .execute();
    expect(told.map(({ event }) => event)).toContainEqual(
      expect.objectContaining({ sessionId: foreign, target: apiTwo.instanceId, terminated: true }),
    );
    await until(scene, 'its policy is gone', async () => (await policyOf(jonas)) === null);
  });

  test('a document that somebody changed is put right and told', async () => {
    const id = await addGrant(scene);
    start(everywhere()).nudge();
    await inState(id, 'active');
    const written = await held(roleNameOf(mira));
    const wider = (written ?? '').replace(apiOne.instanceId, apiTwo.instanceId);
    await plant(roleNameOf(mira), wider);
    await start().sweep();
    await until(scene, 'it is as written', async () => (await held(roleNameOf(mira))) === written);
    const mended = await scene.store.db
      .selectFrom('audit')
      .selectAll()
      .where('kind', '=', 'access_policy_mended')
      .execute();
    expect(mended.at(-1)?.event).toMatchObject({ what: 'the access policy was not the one that was last read back' });
    expect((await row(id)).state).toBe('active');
  });
});

describe('promise 5', () => {
  /** AWS that fails at the n-th call from now on, either before or after it had its effect; and for good after that. */
  const failing = (real: ReconcileAws, at: number, when: 'before' | 'after') => {
    let calls = 0;
    const broken = async <T>(work: () => Promise<T>): Promise<T> => {
      calls += 1;
      if (calls > at || (calls === at && when === 'before')) throw new Error('killed');
      const answer = await work();
      if (calls === at) throw new Error('killed');
      return answer;
    };
    const aws: ReconcileAws = {
      iam: {
        readRole: (...input) => broken(() => real.iam.readRole(...input)),
        readUser: (...input) => broken(() => real.iam.readUser(...input)),
        findUser: (...input) => broken(() => real.iam.findUser(...input)),
        readGroup: (...input) => broken(() => real.iam.readGroup(...input)),
        documents: {
          read: (...input) => broken(() => real.iam.documents.read(...input)),
          write: (...input) => broken(() => real.iam.documents.write(...input)),
        },
        inlinePolicies: (...input) => real.iam.inlinePolicies(...input),
        personalRoles: (...input) => real.iam.personalRoles(...input),
      },
      ssm: {
        activeSessions: (...input) =>
          input[2] === null ? real.ssm.activeSessions(...input) : broken(() => real.ssm.activeSessions(...input)),
        terminate: (...input) => broken(() => real.ssm.terminate(...input)),
        sessionDocument: (...input) => real.ssm.sessionDocument(...input),
      },
      reads: real.reads,
    };
    return { aws, reached: () => calls >= at };
  };

  const stopAndForget = async () => {
    await reconciler?.stop();
    reconciler = null;
  };

  const quick = { sealMs: 100, lookEveryMs: 30, lookAgainMs: 20, pollMs: 20, sweepMs: 3_600_000 };
  /** AWS's rate limits are switched off here, and our budgets below them are ten times wider: their clock runs ten times as fast. */
  const hurried = (): { aws: ReconcileAws; close: () => void } => {
    const opened = Date.now();
    const now = (): Date => new Date(opened + (Date.now() - opened) * 10);
    const timing = { ...realTiming, now, sleep: (ms: number) => realTiming.sleep(ms / 10) };
    const broker = openBroker({ config: sceneConfig, as: 'broker', timing });
    const iam = { ...createIam(broker), personalRoles: async () => [roleNameOf(mira)] };
    return { aws: { iam, ssm: createSsm(broker), reads: createSweepReads(broker) }, close: broker.close };
  };
  type Cut = ReturnType<typeof failing>;
  /** Grants, opens a session and ends, as far as it comes. */
  const untilCut = async (id: string, cut: Cut, ssm: Awaited<ReturnType<typeof ssmOf>>) => {
    start({ aws: cut.aws, timing: quick }).nudge();
    await until(scene, 'cut or active', async () => cut.reached() || (await row(id)).state === 'active');
    if (!cut.reached()) {
      await open(ssm);
      await endGrant(scene, id);
      reconciler?.nudge();
      await until(scene, 'cut or ended', async () => cut.reached() || (await row(id)).state === 'ended');
    }
    await stopAndForget();
  };
  /** The next start: whatever was half done is done, and then everything ends. */
  const repair = async (id: string, aws: ReconcileAws) => {
    start({ aws, timing: quick }).nudge();
    await until(scene, 'no longer granting', async () => (await row(id)).state !== 'granting');
    if ((await row(id)).state === 'active') await endGrant(scene, id);
    reconciler?.nudge();
    await sealed(id);
    await stopAndForget();
  };

  test.each(['before', 'after'] as const)(
    'cut off at any call of granting and ending, %s its effect: the next start repairs',
    async (when) => {
      await scene.control('changeSettings', { spreadingDelayMs: 0, rateLimits: false });
      const ssm = await ssmOf(scene.endpoint, mira);
      const hurry = hurried();
      for (let at = 1, reached = true; reached && at < 20; at += 1) {
        const id = await addGrant(scene);
        const cut = failing(hurry.aws, at, when);
        await untilCut(id, cut, ssm);
        reached = cut.reached();
        await repair(id, hurry.aws);
        expect(await policyOf()).toBeNull();
        expect(await liveSessions(scene)).toEqual([]);
        const trail = await kinds(id);
        expect(trail.filter((kind) => kind === 'grant_active')).toHaveLength(1);
        expect(trail.filter((kind) => kind === 'grant_ended')).toHaveLength(1);
      }
      hurry.close();
    },
    90_000,
  );

  test('an answer that is lost on the way is no harm', async () => {
    await scene.control('addFault', {
      match: { service: 'iam', operation: 'PutRolePolicy' },
      effect: { kind: 'lose-answer' },
    });
    await scene.control('addFault', {
      match: { service: 'iam', operation: 'DeleteRolePolicy' },
      effect: { kind: 'lose-answer' },
    });
    await scene.control('addFault', {
      match: { service: 'ssm', operation: 'TerminateSession' },
      effect: { kind: 'lose-answer' },
    });
    const id = await addGrant(scene);
    start().nudge();
    await inState(id, 'active');
    const session = await open(await ssmOf(scene.endpoint, mira));
    await endGrant(scene, id);
    start().nudge();
    expect((await inState(id, 'ended')).receipt?.sessionsTerminated).toEqual([session]);
    expect(await policyOf()).toBeNull();
  });

  test('a permanent no from IAM fails the grant with advice; throttling does not', async () => {
    await scene.control('addFault', {
      match: { service: 'iam', operation: 'PutRolePolicy' },
      times: 1,
      effect: { kind: 'error', code: 'AccessDenied', status: 403 },
    });
    const denied = await addGrant(scene);
    start().nudge();
    expect((await inState(denied, 'failed')).failed_code).toBe('AccessDenied');
    await scene.control('addFault', {
      match: { service: 'iam', operation: 'PutRolePolicy' },
      times: 2,
      effect: { kind: 'error', code: 'Throttling', status: 400 },
    });
    const slow = await addGrant(scene);
    start().nudge();
    await inState(slow, 'active');
  });
});
