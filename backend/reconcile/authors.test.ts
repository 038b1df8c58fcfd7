/** Who did what was found: by a trail that is played, for its timing, and by local-aws' CloudTrail over real SDK calls. */
import {
  CreateRoleCommand,
  DeleteRoleCommand,
  DeleteRolePolicyCommand,
  IAMClient,
  PutRolePolicyCommand,
} from '@aws-sdk/client-iam';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { Finding, FindingKind } from '../../src/shared/views.ts';
import { accessPolicyName, peoplePath, personalRoleArn } from '../access-policy/principal.ts';
import type { CloudTrail, TrailEvent } from '../aws/cloudtrail.ts';
import {
  addGrant,
  apiOne,
  callList,
  endGrant,
  jonas,
  mira,
  openScene,
  prod,
  roleNameOf,
  type Scene,
} from '../provisioner/testing/scene.ts';
import { findAuthors } from './authors.ts';
import { listFindings, noteFinding } from './findings.ts';
import type { Reconciler } from './reconciler.ts';
import { oneAccount, reconcilerOver } from './testing/over-scene.ts';

let scene: Scene;
let reconciler: Reconciler | null = null;
beforeAll(async () => {
  scene = await openScene();
});
afterAll(() => scene.close());
afterEach(async () => {
  await reconciler?.stop();
  reconciler = null;
  await scene.control('reset');
  await scene.store.db.deleteFrom('findings').execute();
  await scene.store.db.deleteFrom('sweeps').execute();
});

const minute = 60_000;
const roleArn = personalRoleArn('aws', prod, roleNameOf(mira));
const breakGlass = `arn:aws:iam::${prod}:user/break-glass`;

/** One round, `later` ms from now, whoever had the last one. */
const round = async (trail: CloudTrail, later: number): Promise<Finding[]> => {
  const { db } = scene.store;
  await db.deleteFrom('duties').execute();
  await db
    .updateTable('findings')
    .set({ author_due_at: new Date(0) })
    .where('author_due_at', 'is not', null)
    .execute();
  await findAuthors({ db, trail, config: oneAccount, now: () => new Date(Date.now() + later), log: scene.log });
  return listFindings(db, { openOnly: false, limit: 100 });
};
const dueOf = async (): Promise<Array<Date | null>> =>
  (await scene.store.db.selectFrom('findings').select('author_due_at').execute()).map((row) => row.author_due_at);
const trailOf = async (findingId: string) =>
  (await scene.store.db.selectFrom('audit').select('event').orderBy('sequence').execute()).flatMap(({ event }) =>
    event.kind === 'finding_author' && event.findingId === findingId ? [event] : [],
  );

describe('what is believed, and for how long it is asked', () => {
  const changed = { kind: 'role_not_ours' as const, accountId: prod, region: null, subject: roleArn };
  const words = { accountName: 'payments-prod', what: 'It is not as it was made.', advice: 'Find out.' };
  const found = (kind: FindingKind = 'role_not_ours') =>
    noteFinding(scene.store.db, { ...changed, kind, ...words }, { at: new Date(), adminGroup: null });
  const event = (before: number, more: Partial<TrailEvent> = {}): TrailEvent => ({
    name: 'UpdateAssumeRolePolicy',
    at: new Date(Date.now() - before),
    who: breakGlass,
    role: null,
    from: '203.0.113.7',
    parameters: { roleName: roleNameOf(mira) },
    ...more,
  });
  /** Answers as CloudTrail would: the newest that is wanted, of these. */
  const trailWith = (...events: TrailEvent[]): CloudTrail => ({
    newestAbout: async (_account, _about, wanted) =>
      events.toSorted((a, b) => b.at.getTime() - a.at.getTime()).find(wanted) ?? null,
  });

  test('AWS-13 a change right before it was found is its author’s, with when, from where and how', async () => {
    await found();
    const trail = trailWith(event(5_000), event(50_000, { who: 'somebody-before' }));
    const [one] = await round(trail, 0);
    expect(one?.author).toMatchObject({
      kind: 'known',
      who: breakGlass,
      from: '203.0.113.7',
      did: 'UpdateAssumeRolePolicy',
    });
    expect(await trailOf(one?.id ?? '')).toMatchObject([{ who: breakGlass, did: 'UpdateAssumeRolePolicy' }]);
    // Said once, however often it is asked.
    await round(trail, minute);
    expect(await trailOf(one?.id ?? '')).toHaveLength(1);
  });

  test('AWS-13 nobody is blamed for what they did hours before, until CloudTrail has had its time', async () => {
    await found();
    const old = trailWith(event(180 * minute));
    expect((await round(old, minute))[0]?.author).toEqual({ kind: 'waiting' });
    expect((await round(old, 21 * minute))[0]?.author).toMatchObject({ kind: 'known', who: breakGlass });
    expect(await dueOf()).toEqual([null]);
  });

  test('AWS-13 what Curfew did later puts right what others did before it', async () => {
    await found('changed_document');
    const parameters = { roleName: roleNameOf(mira), policyName: accessPolicyName };
    const [own] = oneAccount.accounts;
    const ours = event(30 * minute, { name: 'PutRolePolicy', role: own?.brokerRoleArn ?? '', parameters });
    const theirs = event(40 * minute, { name: 'PutRolePolicy', parameters });
    const mending = event(-1000, { name: 'PutRolePolicy', role: own?.brokerRoleArn ?? '', parameters });
    expect((await round(trailWith(ours, theirs, mending), 30 * minute))[0]?.author).toEqual({ kind: 'waiting' });
    expect((await round(trailWith(theirs, mending), 30 * minute))[0]?.author).toMatchObject({ who: breakGlass });
  });

  test('AWS-13 it is asked for an hour, less and less often, and then given up', async () => {
    await found();
    const asked: number[] = [];
    for (const age of [0, 10 * minute, 40 * minute]) {
      await round(trailWith(), age);
      const [due] = await dueOf();
      asked.push(Math.round(((due?.getTime() ?? 0) - Date.now() - age) / minute));
    }
    expect(asked).toEqual([1, 5, 20]);
    expect((await round(trailWith(), 61 * minute))[0]?.author).toEqual({ kind: 'unknown' });
    expect(await dueOf()).toEqual([null]);
  });
});

describe('over local-aws', () => {
  const [region] = [apiOne.region];
  const byHand = {
    region,
    credentials: { accessKeyId: 'AKIACURFEWBREAKGLASS', secretAccessKey: 'local-aws/break-glass/opens-all-of-it' },
  };
  const start = (): Reconciler => {
    reconciler ??= reconcilerOver(scene, { timing: { sealMs: 100, appTellsMs: 0 } });
    return reconciler;
  };
  const any = { Effect: 'Allow', Action: 'ssm:StartSession', Resource: '*' };
  const PolicyDocument = JSON.stringify({ Version: '2012-10-17', Statement: [any] });

  test('AWS-13 a foreign policy and a role that nobody made: reported at once, their author when CloudTrail knows', async () => {
    const iam = new IAMClient(byHand);
    const trusted = { Effect: 'Allow', Principal: { AWS: breakGlass }, Action: 'sts:AssumeRole' };
    const stranger = 'curfew-00000000000000000000';
    const put = { RoleName: roleNameOf(jonas), PolicyName: 'somebody-elses' };
    await scene.control('changeSettings', { trailDelayMs: 600_000 });
    await iam.send(
      new CreateRoleCommand({
        RoleName: stranger,
        Path: peoplePath,
        AssumeRolePolicyDocument: JSON.stringify({ Version: '2012-10-17', Statement: [trusted] }),
      }),
    );
    await iam.send(new PutRolePolicyCommand({ ...put, PolicyDocument }));
    // Tried by somebody who may not: that is in CloudTrail too, and did nothing.
    const provisioner = {
      region,
      credentials: {
        accessKeyId: 'AKIACURFEWPROVISIONR',
        secretAccessKey: 'local-aws/curfew-provisioner/opens-none',
      },
    };
    await expect(
      new IAMClient(provisioner).send(new PutRolePolicyCommand({ ...put, PolicyDocument })),
    ).rejects.toThrow();
    try {
      await start().sweep();
      const waiting = await round(scene.trail, 0);
      expect(waiting.map(({ kind, author }) => [kind, author?.kind]).sort()).toEqual([
        ['leftover_policy', 'waiting'],
        ['role_not_ours', 'waiting'],
      ]);
      await scene.control('changeSettings', { trailDelayMs: 0 });
      const known = await round(scene.trail, minute);
      const at = { kind: 'known', who: breakGlass, from: '127.0.0.1' };
      expect(known.find(({ kind }) => kind === 'leftover_policy')?.author).toMatchObject({
        ...at,
        did: 'PutRolePolicy',
      });
      expect(known.find(({ kind }) => kind === 'role_not_ours')?.author).toMatchObject({ ...at, did: 'CreateRole' });
    } finally {
      await iam.send(new DeleteRolePolicyCommand(put));
      await iam.send(new DeleteRoleCommand({ RoleName: stranger }));
    }
  });

  test('AWS-13 a changed document is mended before anybody knows who it was; what is refused is no error', async () => {
    const grantId = await addGrant(scene, { instances: [apiOne] });
    const active = async () =>
      scene.store.db.selectFrom('grants').select('state').where('id', '=', grantId).executeTakeFirst();
    start().nudge();
    await expect.poll(active, { timeout: 30_000, interval: 50 }).toEqual({ state: 'active' });
    await scene.control('changeSettings', { trailDelayMs: 0 });
    const name = { RoleName: roleNameOf(mira), PolicyName: accessPolicyName };
    await new IAMClient(byHand).send(new PutRolePolicyCommand({ ...name, PolicyDocument }));
    await start().sweep();
    await start().idle();
    const match = { service: 'cloudtrail', operation: 'LookupEvents' };
    const effect = { kind: 'error', code: 'AccessDeniedException', status: 400 };
    await scene.control('addFault', { match, times: 1, effect });
    const [refused] = await round(scene.trail, 0);
    expect(refused).toMatchObject({ kind: 'changed_document', author: { kind: 'refused' } });
    expect(refused?.mendedAt).not.toBeNull();
    const [known] = await round(scene.trail, minute);
    expect(known?.author).toMatchObject({ kind: 'known', who: breakGlass, did: 'PutRolePolicy' });
    const lookups = callList.parse(await scene.control('calls', match));
    expect(new Set(lookups.map(({ accountId }) => accountId))).toEqual(new Set([prod]));
    await endGrant(scene, grantId);
    await start().idle();
  });
});
