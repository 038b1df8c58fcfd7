/** Who did what was found: by a trail that is played, for its timing, and by local-aws' CloudTrail over real SDK calls. */
import {
  CreateRoleCommand,
  DeleteRoleCommand,
  DeleteRolePolicyCommand,
  IAMClient,
  PutRolePolicyCommand,
} from '@aws-sdk/client-iam';
import {
  CreateDocumentCommand,
  DeleteDocumentCommand,
  GetDocumentCommand,
  SSMClient,
  UpdateDocumentCommand,
  UpdateDocumentDefaultVersionCommand,
} from '@aws-sdk/client-ssm';
import { AssumeRoleCommand, STSClient } from '@aws-sdk/client-sts';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { z } from 'zod';
import type { Finding, FindingKind } from '../../src/shared/views.ts';
import { accessPolicyName, peoplePath, personalRoleArn } from '../access-policy/principal.ts';
import type { CloudTrail, TrailEvent, TrailLookup } from '../aws/cloudtrail.ts';
import {
  addGrant,
  apiOne,
  apiThree,
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
import { forgetSweeps, oneAccount, reconcilerOver } from './testing/over-scene.ts';

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
    source: 'iam.amazonaws.com',
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

  const [elsewhere, document] = ['eu-west-1', 'Curfew-Shell-060'];
  const documentArn = `arn:aws:ssm:${elsewhere}:${prod}:document/${document}`;
  const foundDocument = () => {
    const about = {
      kind: 'session_document_changed' as const,
      accountId: prod,
      region: elsewhere,
      subject: documentArn,
    };
    return noteFinding(scene.store.db, { ...about, ...words }, { at: new Date(), adminGroup: null });
  };
  const written = (more: Partial<TrailEvent> = {}): TrailEvent =>
    event(5_000, { name: 'UpdateDocument', source: 'ssm.amazonaws.com', parameters: { name: document }, ...more });

  test('AWS-12 of a session document each way to write it is looked up in its own region, by its name or its ARN', async () => {
    await foundDocument();
    const asked: TrailLookup[] = [];
    const trail: CloudTrail = {
      newestAbout: async (_account, { from: _from, until: _until, ...lookup }, wanted) => {
        asked.push(lookup);
        return [written({ parameters: { name: documentArn } })].find(wanted) ?? null;
      },
    };
    expect((await round(trail, 0))[0]?.author).toMatchObject({ kind: 'known', who: breakGlass, did: 'UpdateDocument' });
    const writes = ['UpdateDocumentDefaultVersion', 'CreateDocument', 'DeleteDocument', 'UpdateDocument'];
    expect(asked).toEqual(writes.map((operation) => ({ operation, region: elsewhere })));
  });

  test('AWS-12 another document, a namesake elsewhere, another service and what leaves the content are no author', async () => {
    await foundDocument();
    const others = [
      written({ parameters: { name: 'Curfew-Shell-015' } }),
      written({ parameters: { name: documentArn.replace(elsewhere, 'eu-central-1') } }),
      written({ source: 'workdocs.amazonaws.com' }),
      written({ name: 'ModifyDocumentPermission' }),
      written({ parameters: {} }),
    ];
    expect((await round(trailWith(...others), 30 * minute))[0]?.author).toEqual({ kind: 'waiting' });
  });

  test('AWS-12 Curfew writes no session document: who did it with its role is named', async () => {
    await foundDocument();
    const role = oneAccount.accounts[0]?.brokerRoleArn ?? '';
    const who = `arn:aws:sts::${prod}:assumed-role/CurfewBroker/somebody`;
    expect((await round(trailWith(written({ who, role })), 0))[0]?.author).toMatchObject({ kind: 'known', who });
  });

  test('AWS-12 while one backend looks through the lookups of a finding, another does not', async () => {
    await foundDocument();
    let asked = 0;
    const trail: CloudTrail = {
      newestAbout: async () => {
        asked += 1;
        if (asked > 1) return null;
        await scene.store.db.deleteFrom('duties').execute();
        const now = () => new Date();
        await findAuthors({ db: scene.store.db, trail, config: oneAccount, now, log: scene.log });
        return null;
      },
    };
    await round(trail, 0);
    expect(asked).toBe(4);
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
  const calledLookups = { service: 'cloudtrail', operation: 'LookupEvents' };
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

  /** As somebody who took over the backend would: with its role’s credentials. */
  const asBroker = async (): Promise<SSMClient> => {
    const [account] = oneAccount.accounts;
    const { Credentials: given } = await new STSClient({ region }).send(
      new AssumeRoleCommand({
        RoleArn: account?.brokerRoleArn,
        RoleSessionName: 'curfew-backend',
        ExternalId: account?.externalId,
      }),
    );
    const [accessKeyId, secretAccessKey] = [given?.AccessKeyId ?? '', given?.SecretAccessKey ?? ''];
    const sessionToken = given?.SessionToken ?? '';
    return new SSMClient({ region: apiThree.region, credentials: { accessKeyId, secretAccessKey, sessionToken } });
  };

  test('AWS-12 a changed and a deleted session document: their author is found where they are, or it is said that nobody may look', async () => {
    const ssm = new SSMClient({ ...byHand, region: apiThree.region });
    const [changed, deleted] = ['Curfew-Shell-060', 'Curfew-Shell-720'];
    const contentOf = async (Name: string): Promise<string> =>
      (await ssm.send(new GetDocumentCommand({ Name }))).Content ?? '';
    const kept = await contentOf(deleted);
    const Content = (await contentOf(changed)).replace('"runAsDefaultUser":""', '"runAsDefaultUser":"root"');
    // Our budgets run ten times as fast here.
    await scene.control('changeSettings', { trailDelayMs: 0, rateLimits: false });
    await ssm.send(new UpdateDocumentCommand({ Name: changed, Content, DocumentVersion: '$LATEST' }));
    await ssm.send(new UpdateDocumentDefaultVersionCommand({ Name: changed, DocumentVersion: '2' }));
    await ssm.send(new DeleteDocumentCommand({ Name: deleted }));
    const ours = await asBroker();
    for (const Name of [changed, deleted])
      await expect(ours.send(new DeleteDocumentCommand({ Name }))).rejects.toThrow('not authorized');
    try {
      await start().sweep();
      const match = { service: 'cloudtrail', operation: 'LookupEvents', region: apiThree.region };
      const effect = { kind: 'error', code: 'AccessDeniedException', status: 400 };
      await scene.control('addFault', { match, times: null, effect });
      await scene.control('forgetCalls');
      const refused = await round(scene.trail, 0);
      expect(refused.map(({ kind, region: where, author }) => [kind, where, author])).toEqual(
        [1, 2].map(() => ['session_document_changed', apiThree.region, { kind: 'refused' }]),
      );
      await scene.control('clearFaults');
      const known = await round(scene.trail, minute);
      const by = { kind: 'known', who: breakGlass, from: '127.0.0.1' };
      const authorOf = (name: string) => known.find(({ subject }) => subject.endsWith(`/${name}`))?.author;
      expect(authorOf(changed)).toMatchObject({ ...by, did: 'UpdateDocumentDefaultVersion' });
      expect(authorOf(deleted)).toMatchObject({ ...by, did: 'DeleteDocument' });
      const lookups = z.array(z.object({ region: z.string() })).parse(await scene.control('calls', calledLookups));
      expect(new Set(lookups.map(({ region: where }) => where))).toEqual(new Set([apiThree.region]));
    } finally {
      await ssm.send(new UpdateDocumentDefaultVersionCommand({ Name: changed, DocumentVersion: '1' }));
      await ssm.send(new CreateDocumentCommand({ Name: deleted, Content: kept, DocumentType: 'Session' }));
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
    const match = calledLookups;
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
