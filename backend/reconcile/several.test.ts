/** Many principals and several reconcilers at once, on one Postgres and local-aws with AWS's own rates. */
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest';
import { openBroker } from '../aws/broker.ts';
import { sharedBuckets } from '../aws/budget.ts';
import { createIam } from '../aws/iam.ts';
import { createSsm } from '../aws/ssm.ts';
import {
  addGrant,
  callList,
  endGrant,
  openScene,
  prod,
  roleNameOf,
  type Scene,
  sceneConfig,
} from '../provisioner/testing/scene.ts';
import { savePerson } from '../store/people.ts';
import type { ReconcileAws } from './pass.ts';
import type { Reconciler, ReconcilerDeps } from './reconciler.ts';
import { grantRow, reconcilerOver } from './testing/over-scene.ts';

// Each test takes a few seconds; a machine that is busy with other tests may need much more.
vi.setConfig({ testTimeout: 120_000 });

/** Of the world of local-aws: all of them have personal roles. */
const people = [
  'mira.okafor',
  'jonas.lindqvist',
  'aiko.brandt',
  'elin.strand',
  'kofi.vance',
  'rhea.nakamura',
  'idris.bello',
].map((name, at) => ({
  id: `c2c5d4e4-1021-70aa-8b10-1f2e3d4c5b0${at + 1}`,
  userName: `${name}@harborline.example`,
  displayName: name,
}));
const [mira] = people;
if (mira === undefined) throw new Error('nobody');

let scene: Scene;
let running: Array<{ stop: () => Promise<void> }> = [];
beforeAll(async () => {
  scene = await openScene();
  const more = { email: null, enabled: true, groups: ['curfew-users'], checkedAt: new Date() };
  for (const person of people) await savePerson(scene.store.db, { ...person, ...more });
});
afterAll(() => scene.close());
afterEach(async () => {
  for (const one of running) await one.stop();
  running = [];
});

/** A start sweeps; here that is nobody's business. */
const withoutSweep = (aws: ReconcileAws): ReconcileAws => ({
  ...aws,
  iam: { ...aws.iam, personalRoles: async () => [] },
  ssm: {
    ...aws.ssm,
    activeSessions: async (accountId, region, owner) =>
      owner === null ? [] : aws.ssm.activeSessions(accountId, region, owner),
  },
});
const start = (change: Partial<ReconcilerDeps> & Pick<ReconcilerDeps, 'aws'>): Reconciler => {
  const reconciler = reconcilerOver(scene, change);
  running.push(reconciler);
  return reconciler;
};
/** A backend of its own: its own clients, and the rates that it shares with the others. */
const backend = (holder: number): Reconciler => {
  const broker = openBroker({ config: sceneConfig, as: 'broker', buckets: sharedBuckets(scene.store.db) });
  const aws = withoutSweep({ ...scene.aws, iam: createIam(broker), ssm: createSsm(broker) });
  const reconciler = start({ aws, holder: () => holder });
  running.push({ stop: async () => broker.close() });
  return reconciler;
};

const stateOf = async (id: string) => (await grantRow(scene, id)).state;
const inState = (id: string, state: string) => expect.poll(() => stateOf(id), { timeout: 60_000 }).toBe(state);
const calls = async (operation: string): Promise<number> =>
  callList.parse(await scene.control('calls', { operation })).filter(({ accountId }) => accountId === prod).length;

test('two backends share the principals: each access policy is written and taken away once', async () => {
  await scene.control('forgetCalls');
  const all = [backend(1), backend(2)];
  const nudge = () => {
    for (const one of all) one.nudge();
  };
  const grants: string[] = [];
  for (const person of people) grants.push(await addGrant(scene, { person }));
  nudge();
  for (const id of grants) await inState(id, 'active');
  expect(await calls('PutRolePolicy')).toBe(people.length);
  for (const id of grants) await endGrant(scene, id);
  nudge();
  for (const id of grants) await inState(id, 'ended');
  expect(await calls('DeleteRolePolicy')).toBe(people.length);
  const { db } = scene.store;
  const kinds = ['access_policy_written', 'grant_active', 'grant_ended', 'access_policy_mended'];
  const rows = await db.selectFrom('audit').select('kind').where('kind', 'in', kinds).execute();
  const times = Object.fromEntries(kinds.map((kind) => [kind, rows.filter((row) => row.kind === kind).length]));
  expect(times).toEqual({
    access_policy_written: people.length,
    grant_active: people.length,
    grant_ended: people.length,
    access_policy_mended: 0,
  });
  await expect
    .poll(async () => (await db.selectFrom('principals').select('id').where('holder', 'is not', null).execute()).length)
    .toBe(0);
});

test('beginnings that hang, more than there is room for, keep no ending waiting', async () => {
  const own = { workers: { ending: 1, beginning: 2, looking: 1 } };
  const ending = await addGrant(scene, { person: mira });
  const first = start({ aws: withoutSweep(scene.aws), ...own });
  await inState(ending, 'active');
  await first.stop();
  let letGo = (): void => undefined;
  const hanging = new Promise<void>((resolve) => {
    letGo = resolve;
  });
  let hung = 0;
  const { readRole } = scene.aws.iam;
  const aws: ReconcileAws = withoutSweep({
    ...scene.aws,
    iam: {
      ...scene.aws.iam,
      readRole: async (accountId, name) => {
        if (name !== roleNameOf(mira)) {
          hung += 1;
          await hanging;
        }
        return readRole(accountId, name);
      },
    },
  });
  const begun: string[] = [];
  for (const person of people.slice(1)) begun.push(await addGrant(scene, { person }));
  const reconciler = start({ aws, ...own });
  try {
    await expect.poll(() => hung, { timeout: 30_000 }).toBeGreaterThanOrEqual(2);
    await endGrant(scene, ending);
    reconciler.nudge();
    await inState(ending, 'ended');
    expect(await Promise.all(begun.map(stateOf))).toEqual(begun.map(() => 'granting'));
  } finally {
    letGo();
  }
  for (const id of begun) await inState(id, 'active');
  for (const id of begun) await endGrant(scene, id);
  reconciler.nudge();
  for (const id of begun) await inState(id, 'ended');
});

test('a backend that is not sure to live any more calls AWS no more, and another one goes on', async () => {
  let number: number | null = 11;
  let letGo = (): void => undefined;
  const hanging = new Promise<void>((resolve) => {
    letGo = resolve;
  });
  const broker = openBroker({ config: sceneConfig, as: 'broker' });
  const iam = createIam(broker);
  let reading = false;
  const unsure = start({
    aws: withoutSweep({
      ...scene.aws,
      iam: {
        ...iam,
        readRole: async (...input) => {
          reading = true;
          await hanging;
          return iam.readRole(...input);
        },
      },
    }),
    holder: () => number,
  });
  const id = await addGrant(scene, { person: mira });
  unsure.nudge();
  await expect.poll(() => reading, { timeout: 30_000 }).toBe(true);
  number = null;
  // What the others do with the dead (store/backends.ts).
  await scene.store.db
    .updateTable('principals')
    .set({ holder: null, due_at: new Date() })
    .where('holder', '=', 11)
    .execute();
  const sure = backend(12);
  sure.nudge();
  await inState(id, 'active');
  // It may look once more after that.
  await sure.idle();
  await scene.control('forgetCalls');
  letGo();
  await unsure.stop();
  expect(await calls('GetRole')).toBe(0);
  expect(await calls('PutRolePolicy')).toBe(0);
  broker.close();
  await endGrant(scene, id);
  sure.nudge();
  await inState(id, 'ended');
});

test('failures are tried again after a random while that grows, and an ending sooner than anything else', async () => {
  const waits: Array<{ attempts: number; ms: number }> = [];
  const failing = async (): Promise<never> => {
    throw new Error('AWS is away');
  };
  const id = await addGrant(scene, { person: mira });
  await endGrant(scene, id);
  // The clock stands still, so what is due later is never due.
  const now = new Date(Date.now() + 1_000);
  const { db } = scene.store;
  const principal = () =>
    db
      .selectFrom('principals')
      .innerJoin('grants', 'grants.principal_id', 'principals.id')
      .select(['principals.id', 'attempts', 'due_at', 'problem', 'holder'])
      .where('grants.id', '=', id)
      .executeTakeFirstOrThrow();
  const broken = start({
    aws: withoutSweep({ ...scene.aws, ssm: { ...scene.aws.ssm, activeSessions: failing } }),
    now: () => now,
    random: () => 0.999,
  });
  for (let attempts = 1; attempts <= 8; attempts += 1) {
    await expect
      .poll(
        async () => {
          const { attempts: made, holder } = await principal();
          return made >= attempts && holder === null;
        },
        { timeout: 30_000 },
      )
      .toBe(true);
    const { id: principalId, due_at, problem } = await principal();
    expect(problem).toBe('AWS is away');
    waits.push({ attempts, ms: (due_at?.getTime() ?? 0) - now.getTime() });
    if (attempts < 8) await db.updateTable('principals').set({ due_at: now }).where('id', '=', principalId).execute();
    broken.nudge();
  }
  const ms = waits.map((wait) => wait.ms);
  expect(ms).toEqual(ms.toSorted((a, b) => a - b));
  expect(ms[0]).toBeGreaterThan(500);
  expect(ms.at(-1)).toBeGreaterThan(4_000);
  // 0.1 s, and the random part of at most 5 s.
  expect(ms.at(-1)).toBeLessThanOrEqual(5_100);
  await broken.stop();
  await db.updateTable('principals').set({ due_at: new Date() }).where('attempts', '>', 0).execute();
  start({ aws: withoutSweep(scene.aws) }).nudge();
  await inState(id, 'ended');
});

test('AWS-13 sweeps go on when the database’s clock is set back', async () => {
  const { db } = scene.store;
  const timing = { sealMs: 100, lookEveryMs: 50, lookAgainMs: 50, pollMs: 50, sweepMs: 300, appTellsMs: 0 };
  await start({ aws: withoutSweep(scene.aws), timing }).sweep();
  // What was written before the step is ahead now.
  const ahead = new Date(Date.now() + 600_000);
  await db.updateTable('sweeps').set({ began_at: ahead }).execute();
  const begun = async (): Promise<boolean[]> =>
    (await db.selectFrom('sweeps').select('began_at').execute()).map(({ began_at }) => began_at < ahead);
  await expect.poll(begun, { timeout: 30_000 }).not.toContain(false);
});
