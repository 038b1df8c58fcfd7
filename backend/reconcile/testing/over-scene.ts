/** A reconciler over a scene, and what tests wait for there. */
import type { Selectable } from 'kysely';
import type { InstanceRef } from '../../../src/shared/access.ts';
import { roleSessionName, sessionOwnerArn } from '../../access-policy/principal.ts';
import { sessionOn, ssmOf } from '../../provisioner/testing/person.ts';
import {
  addGrant,
  apiOne,
  endGrant,
  mira,
  prod,
  roleNameOf,
  type Scene,
  sceneConfig,
  sessionList,
} from '../../provisioner/testing/scene.ts';
import type { Schema } from '../../store/schema.ts';
import { type Reconciler, type ReconcilerDeps, startReconciler } from '../reconciler.ts';

/** Every start sweeps: where a test is not about the sweep, one account is enough. */
export const oneAccount = { ...sceneConfig, accounts: sceneConfig.accounts.slice(0, 1) };

/** Its waits are short; nothing is swept after the start. @param change of what it is started with; of `timing` any part. */
export const reconcilerOver = (scene: Scene, change: Partial<ReconcilerDeps> = {}): Reconciler =>
  startReconciler({
    db: scene.store.db,
    aws: scene.aws,
    config: oneAccount,
    sealKey: scene.sealKey,
    log: scene.log,
    now: () => new Date(),
    ...change,
    timing: { sealMs: 200, lookEveryMs: 50, lookAgainMs: 50, pollMs: 50, sweepMs: 3_600_000, ...change.timing },
  });

export type GrantRow = Selectable<Schema['grants']>;

export const grantRow = (scene: Scene, id: string): Promise<GrantRow> =>
  scene.store.db.selectFrom('grants').selectAll().where('id', '=', id).executeTakeFirstOrThrow();

/** Sessions that are not over, as AWS has them. */
export const liveSessions = async (scene: Scene): Promise<string[]> =>
  sessionList
    .parse(await scene.control('sessions'))
    .filter(({ status }) => status !== 'Terminated')
    .map(({ sessionId }) => sessionId);

/** AWS as it was at the beginning of the file, and nothing found or swept yet. */
export const forgetSweeps = async (scene: Scene): Promise<void> => {
  await scene.control('reset');
  await scene.store.db.deleteFrom('findings').execute();
  await scene.store.db.deleteFrom('sweeps').execute();
};

/** Asks until there is an answer. @throws Error after a minute, with the last thing that was logged as an error. */
export const until = async <T>(scene: Scene, what: string, ask: () => Promise<T | false>): Promise<T> => {
  for (const end = Date.now() + 60_000; ; await new Promise((resolve) => setTimeout(resolve, 20))) {
    const answer = await ask();
    if (answer !== false) return answer;
    if (Date.now() > end) throw new Error(`Never came: ${what}. ${JSON.stringify(scene.errors.at(-1) ?? null)}`);
  }
};

export const untilIn = (scene: Scene, id: string, state: GrantRow['state']): Promise<GrantRow> =>
  until(scene, `${id} ${state}`, async () => {
    const row = await grantRow(scene, id);
    return row.state === state && row;
  });

/** Until nothing looks after this grant any more: what follows is about other sessions only. */
export const untilSealed = (scene: Scene, id: string): Promise<GrantRow> =>
  until(scene, `${id} sealed`, async () => {
    const row = await grantRow(scene, id);
    return row.receipt?.stage === 'sealed' && row;
  });

/** Gives Mira a grant and ends it. @returns its id, when it has ended; its receipt is not sealed unless `reconciler` was quick. */
export const giveAndEnd = async (scene: Scene, reconciler: Pick<Reconciler, 'nudge'>): Promise<string> => {
  const id = await addGrant(scene);
  reconciler.nudge();
  await untilIn(scene, id, 'active');
  await endGrant(scene, id);
  reconciler.nudge();
  await untilIn(scene, id, 'ended');
  return id;
};

/** Mira starts a session on one of her instances in `prod`, as soon as AWS lets her. @returns its id. */
export const openSession = async (scene: Scene, instance: InstanceRef = apiOne): Promise<string> => {
  const ssm = await ssmOf(scene.endpoint, mira);
  return until(scene, 'a session', async () => (await sessionOn(ssm(instance.region), instance)) ?? false);
};

/** A session of Mira's that AWS lists although nothing of Curfew's let it begin. @returns its id. */
export const addHollowSession = async (scene: Scene): Promise<string> => {
  const whose = { roleName: roleNameOf(mira), sessionName: roleSessionName(mira.userName, mira.id) };
  const owner = sessionOwnerArn({ partition: 'aws', accountId: prod, ...whose });
  const session = { owner, target: apiOne.instanceId, documentName: 'Curfew-Shell-060', maxSessionMinutes: 60 };
  await scene.control('addHollowSessions', { sessions: [session] });
  const [sessionId] = await liveSessions(scene);
  if (sessionId === undefined) throw new Error('AWS lists no session');
  return sessionId;
};

export const untilGone = (scene: Scene, sessionId: string): Promise<true> =>
  until(scene, `${sessionId} gone`, async () => !(await liveSessions(scene)).includes(sessionId));

/** Until AWS has refused the principal of this grant something for good. */
export const untilRefused = async (scene: Scene, id: string): Promise<void> => {
  const { principal_id: principalId } = await grantRow(scene, id);
  const problem = scene.store.db.selectFrom('principals').select('problem').where('id', '=', principalId);
  await until(scene, 'a refusal', async () => (await problem.executeTakeFirst())?.problem?.includes('Denied') ?? false);
};
