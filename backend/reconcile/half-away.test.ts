import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest';
import { AwsProblem } from '../aws/errors.ts';
import {
  addGrant,
  apiOne,
  apiThree,
  endGrant,
  jonas,
  mira,
  openScene,
  roleNameOf,
  type Scene,
} from '../provisioner/testing/scene.ts';
import type { ReconcileAws } from './pass.ts';
import type { Reconciler } from './reconciler.ts';
import {
  grantRow,
  liveSessions,
  openSession,
  reconcilerOver,
  until,
  untilGone,
  untilIn,
  untilSealed,
} from './testing/over-scene.ts';

// Each test takes a few seconds; a machine that is busy with other tests may need much more.
vi.setConfig({ testTimeout: 120_000 });

let scene: Scene;
let reconciler: Reconciler | null = null;
/** While true, what a test has broken is away. */
let away = false;
/** Lets go on what a test holds up. */
let answer = (): void => undefined;

beforeAll(async () => {
  scene = await openScene();
  await scene.control('changeSettings', { spreadingDelayMs: 0, rateLimits: false });
});
afterAll(() => scene.close());
afterEach(async () => {
  away = false;
  answer();
  await reconciler?.stop();
  reconciler = null;
});

const problem = (call: string, kind: 'retry' | 'permanent' = 'retry') =>
  new AwsProblem({ kind, code: 'ServiceUnavailable', advice: 'Try again.', call });
/** The sweep at the start finds two people and no sessions of strangers: it is nobody's business here. */
const start = (change: { iam?: Partial<ReconcileAws['iam']>; ssm?: Partial<ReconcileAws['ssm']> }): Reconciler => {
  const { iam, ssm, reads } = scene.aws;
  const personalRoles = async () => [roleNameOf(mira), roleNameOf(jonas)];
  const aws: ReconcileAws = { iam: { ...iam, personalRoles, ...change.iam }, ssm: { ...ssm, ...change.ssm }, reads };
  reconciler = reconcilerOver(scene, { aws, random: () => 0 });
  return reconciler;
};
const open = (ref = apiOne): Promise<string> => openSession(scene, ref);
const gone = (session: string) => untilGone(scene, session);
const live = async (instances = [apiOne]): Promise<string> => {
  const id = await addGrant(scene, { instances });
  reconciler?.nudge();
  await untilIn(scene, id, 'active');
  return id;
};
const end = async (id: string) => {
  await endGrant(scene, id);
  reconciler?.nudge();
};
const back = async (id: string) => {
  away = false;
  reconciler?.nudge();
  const { receipt } = await untilIn(scene, id, 'ended');
  await untilSealed(scene, id);
  return receipt;
};

test('AWS-03 a region that does not answer keeps no session of another region alive, and no receipt is written', async () => {
  let asked = 0;
  const { activeSessions } = scene.aws.ssm;
  start({
    ssm: {
      activeSessions: async (...input) => {
        if (!away || input[1] !== apiOne.region) return activeSessions(...input);
        asked += 1;
        throw problem('ssm:DescribeSessions');
      },
    },
  });
  const id = await live([apiOne, apiThree]);
  const [hidden, session] = [await open(), await open(apiThree)];
  away = true;
  await end(id);
  await gone(session);
  const before = asked;
  await until(scene, 'another pass', async () => asked > before + 1);
  expect((await grantRow(scene, id)).state).toBe('ending');
  expect(await liveSessions(scene)).toEqual([hidden]);
  const receipt = await back(id);
  expect(receipt?.sessionsTerminated.toSorted()).toEqual([hidden, session].toSorted());
});

/** Holds up whatever awaits it until the test says `answer()`, or is over. */
const hangs = (): Promise<void> =>
  new Promise<void>((resolve) => {
    answer = resolve;
  });

test('AWS-03 a region that hangs keeps no session of another region alive', async () => {
  const hanging = hangs();
  const { activeSessions } = scene.aws.ssm;
  start({
    ssm: {
      activeSessions: async (...input) => {
        if (away && input[1] === apiOne.region) await hanging;
        return activeSessions(...input);
      },
    },
  });
  const id = await live([apiOne, apiThree]);
  const session = await open(apiThree);
  away = true;
  await end(id);
  await gone(session);
  expect((await grantRow(scene, id)).state).toBe('ending');
  answer();
  expect((await back(id))?.sessionsTerminated).toEqual([session]);
});

test('AWS-03 a session that AWS does not end keeps no other one alive, and no receipt is written', async () => {
  let refused = 0;
  let stuck = '';
  const { terminate } = scene.aws.ssm;
  start({
    ssm: {
      terminate: async (...input) => {
        if (!away || input[2] !== stuck) return terminate(...input);
        refused += 1;
        throw problem('ssm:TerminateSession', 'permanent');
      },
    },
  });
  const id = await live();
  const sessions = [await open(), await open(), await open()];
  stuck = sessions[0] ?? '';
  away = true;
  await end(id);
  await until(scene, 'only it is left', async () => (await liveSessions(scene)).join() === stuck);
  const before = refused;
  await until(scene, 'another pass', async () => refused > before + 1);
  expect((await grantRow(scene, id)).state).toBe('ending');
  const receipt = await back(id);
  expect(receipt?.sessionsTerminated.toSorted()).toEqual(sessions.toSorted());
});

test('AWS-03 while IAM is away the session of what ends is ended, again and again, and no receipt is written', async () => {
  let asked = 0;
  const { documents } = scene.aws.iam;
  const unlessAway = async <T>(work: () => Promise<T>): Promise<T> => {
    if (!away) return work();
    asked += 1;
    throw problem('iam:GetRolePolicy');
  };
  start({
    iam: {
      documents: {
        read: (...input) => unlessAway(() => documents.read(...input)),
        write: (...input) => unlessAway(() => documents.write(...input)),
      },
    },
  });
  const id = await live();
  const first = await open();
  away = true;
  await end(id);
  await gone(first);
  // The policy still stands, so whoever wants can begin another one.
  const second = await open();
  await gone(second);
  const before = asked;
  await until(scene, 'another pass', async () => asked > before + 1);
  expect(await grantRow(scene, id)).toMatchObject({ state: 'ending', policy_gone_at: null, receipt: null });
  expect((await back(id))?.sessionsTerminated).toEqual([first, second]);
});

test.each(['refuses', 'hangs'])('AWS-03 a beginning in a region whose SSM %s keeps no ending waiting', async (how) => {
  let asked = 0;
  const hanging = hangs();
  const { sessionDocument } = scene.aws.ssm;
  start({
    ssm: {
      sessionDocument: async (...input) => {
        if (!away || input[1] !== apiThree.region) return sessionDocument(...input);
        asked += 1;
        if (how === 'hangs') await hanging;
        throw problem('ssm:GetDocument');
      },
    },
  });
  const id = await live();
  const session = await open();
  away = true;
  const begins = await addGrant(scene, { instances: [apiThree] });
  reconciler?.nudge();
  await until(scene, 'it begins', async () => asked > 0);
  await end(id);
  expect((await untilIn(scene, id, 'ended')).receipt?.sessionsTerminated).toEqual([session]);
  expect((await grantRow(scene, begins)).state).toBe('granting');
  away = false;
  answer();
  await untilIn(scene, begins, 'active');
  await end(begins);
  await back(begins);
});

test('a session that AWS does not end keeps nothing from beginning', async () => {
  const { terminate } = scene.aws.ssm;
  start({
    ssm: {
      terminate: async (...input) => {
        if (away) throw problem('ssm:TerminateSession', 'permanent');
        return terminate(...input);
      },
    },
  });
  const id = await live();
  const session = await open();
  away = true;
  const begins = await addGrant(scene, { instances: [apiThree] });
  await end(id);
  await untilIn(scene, begins, 'active');
  expect((await grantRow(scene, id)).state).toBe('ending');
  expect((await back(id))?.sessionsTerminated).toEqual([session]);
  await end(begins);
  await back(begins);
});
