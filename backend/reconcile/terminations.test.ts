import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest';
import { endFound } from '../access/found-session.ts';
import { AwsProblem } from '../aws/errors.ts';
import type { Ssm } from '../aws/ssm.ts';
import { addGrant, apiOne, endGrant, jonas, mira, openScene, prod, type Scene } from '../provisioner/testing/scene.ts';
import { endFoundSessions } from './end-found.ts';
import { listFindings } from './findings.ts';
import type { Reconciler } from './reconciler.ts';
import { announceEndings, begunOnPrincipal, recordTerminated } from './terminations.ts';
import {
  addHollowSession,
  forgetSweeps,
  grantRow,
  oneAccount,
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

beforeAll(async () => {
  scene = await openScene();
});
afterAll(() => scene.close());
afterEach(async () => {
  await reconciler?.stop();
  reconciler = null;
  await forgetSweeps(scene);
});

const { region } = apiOne;
const start = (ssm: Partial<Ssm> = {}): Reconciler => {
  reconciler = reconcilerOver(scene, { aws: { ...scene.aws, ssm: { ...scene.aws.ssm, ...ssm } } });
  return reconciler;
};
const lost = () =>
  new AwsProblem({ kind: 'retry', code: 'TimeoutError', advice: 'Try again.', call: 'ssm:TerminateSession' });
/** AWS ends it, and nobody hears of it. */
const unheard: Ssm['terminate'] = async (...input) => {
  await scene.aws.ssm.terminate(...input);
  throw lost();
};
const rest = async () => {
  await reconciler?.stop();
  reconciler = null;
};
const granted = async (): Promise<string> => {
  const id = await addGrant(scene, { instances: [apiOne] });
  reconciler?.nudge();
  await untilIn(scene, id, 'active');
  return id;
};
const trailOf = async (sessionId: string): Promise<string[]> =>
  (await scene.store.db.selectFrom('audit').select('event').orderBy('sequence').execute()).flatMap(({ event }) =>
    'sessionId' in event && event.sessionId === sessionId ? [event.kind] : [],
  );
const left = () => scene.store.db.selectFrom('terminations').select('session_id').execute();

test('AWS-03 a session whose end nobody heard of is in the receipt and in the trail, once', async () => {
  start({ terminate: unheard });
  const id = await granted();
  const session = await openSession(scene);
  await endGrant(scene, id);
  reconciler?.nudge();
  await untilGone(scene, session);
  const { receipt } = await untilIn(scene, id, 'ended');
  expect(receipt?.sessionsTerminated).toEqual([session]);
  await untilSealed(scene, id);
  expect(await trailOf(session)).toEqual(['session_terminated']);
  expect(await left()).toEqual([]);
});

test('AWS-03 another backend writes down what one ended that died before its first look was over', async () => {
  let told = 0;
  start({
    terminate: async (...input) => {
      await scene.aws.ssm.terminate(...input);
      told += 1;
      throw lost();
    },
    // From the end on it sees nothing any more.
    activeSessions: async (...input) => {
      if (told > 0) throw lost();
      return scene.aws.ssm.activeSessions(...input);
    },
  });
  const id = await granted();
  const session = await openSession(scene);
  await endGrant(scene, id);
  reconciler?.nudge();
  await untilGone(scene, session);
  await rest();
  expect(await trailOf(session)).toEqual([]);
  const { principal_id: principalId } = await grantRow(scene, id);
  expect(await begunOnPrincipal(scene.store.db, principalId)).toMatchObject([
    { accountId: prod, session: { id: session, target: apiOne.instanceId }, why: { for: 'grant', grantId: id } },
  ]);
  start().nudge();
  expect((await untilIn(scene, id, 'ended')).receipt?.sessionsTerminated).toEqual([session]);
  await untilSealed(scene, id);
  expect(await trailOf(session)).toEqual(['session_terminated']);
});

test('what AWS refuses for good was not begun, and is claimed by nobody', async () => {
  let refused = 0;
  start({
    terminate: async () => {
      refused += 1;
      throw new AwsProblem({ kind: 'permanent', code: 'AccessDenied', advice: 'Ask.', call: 'ssm:TerminateSession' });
    },
  });
  const id = await granted();
  const session = await openSession(scene);
  await endGrant(scene, id);
  reconciler?.nudge();
  await until(scene, 'it was tried', async () => refused > 0);
  await rest();
  expect(await left()).toEqual([]);
  await scene.aws.ssm.terminate(prod, region, session);
  await untilGone(scene, session);
  start().nudge();
  expect((await untilIn(scene, id, 'ended')).receipt?.sessionsTerminated).toEqual([]);
  await untilSealed(scene, id);
  expect(await trailOf(session)).toEqual([]);
});

test('AWS-02 a sweep writes down what the one before ended and did not hear of', async () => {
  const session = await addHollowSession(scene);
  start({ terminate: unheard });
  await untilGone(scene, session);
  await until(scene, 'the next sweep', async () => {
    await reconciler?.sweep().catch(() => undefined);
    return (await trailOf(session)).length > 0;
  });
  expect(await trailOf(session)).toEqual(['session_unexplained']);
  const found = await listFindings(scene.store.db, { openOnly: false, limit: 10 });
  expect(found).toMatchObject([{ kind: 'session_without_grant', subject: session }]);
  expect(await left()).toEqual([]);
});

test('AWS-02 a session that an admin asked to end is told as ended, though nobody heard of it', async () => {
  start();
  const grantId = await granted();
  const session = await openSession(scene);
  await rest();
  const { db } = scene.store;
  reconciler = reconcilerOver(scene, { timing: { appTellsMs: 0 } });
  await reconciler.sweep();
  await rest();
  const [found] = await listFindings(db, { openOnly: true, limit: 10 });
  const person = { id: jonas.id, userName: jonas.userName, displayName: jonas.displayName };
  const reader = { person, isAdmin: true, groups: [], decidable: [] };
  await endFound({ db, now: () => new Date() }, reader, { findingId: found?.id ?? '', reason: 'Not recorded' });
  const endAsked = (ssm: Pick<Ssm, 'activeSessions' | 'terminate'>) =>
    endFoundSessions({
      db,
      aws: { iam: scene.aws.iam, ssm },
      config: oneAccount,
      now: () => new Date(),
      log: scene.log,
    });
  let asked = 0;
  const terminate: Ssm['terminate'] = async (...input) => {
    asked += 1;
    await unheard(...input);
  };
  await until(scene, 'it was tried', async () => {
    await endAsked({ ...scene.aws.ssm, terminate });
    return asked > 0;
  });
  await untilGone(scene, session);
  expect(await trailOf(session)).not.toContain('found_session_ended');
  await until(scene, 'nothing is open', async () => (await endAsked(scene.aws.ssm)) === 0);
  expect((await trailOf(session)).filter((kind) => kind === 'found_session_ended')).toHaveLength(1);
  const notices = await db.selectFrom('notices').select('person_id').where('target_id', '=', grantId).execute();
  expect(notices).toEqual([{ person_id: mira.id }]);
  expect(await left()).toEqual([]);
});

test('two who end the same session write it down once', async () => {
  const { db } = scene.store;
  const session = { region, id: 'mira-0a1b2c', target: apiOne.instanceId, owner: 'arn:aws:iam::482011773306:user/x' };
  const why = { for: 'nobody', what: 'It was open.', advice: 'Ask.' } as const;
  const ending = { accountId: prod, principalId: null, session, why };
  const at = new Date();
  await announceEndings(db, [ending], at);
  await announceEndings(db, [ending], at);
  await recordTerminated(db, ending, null, at);
  await recordTerminated(db, ending, null, at);
  expect(await trailOf(session.id)).toEqual(['session_unexplained']);
});
