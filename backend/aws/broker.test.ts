import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { personalRoleArn } from '../access-policy/principal.ts';
import {
  callList,
  dev,
  mira,
  openScene,
  prod,
  roleNameOf,
  type Scene,
  sceneConfig,
} from '../provisioner/testing/scene.ts';
import { openBroker } from './broker.ts';
import { type Buckets, localBuckets } from './budget.ts';
import { createCloudTrail } from './cloudtrail.ts';
import { onErrand } from './errand.ts';
import { createIam, createRoleCheck } from './iam.ts';

let scene: Scene;
beforeAll(async () => {
  scene = await openScene();
});
afterAll(() => scene.close());

describe('openBroker', () => {
  test('AWS-10 a role that leads into another account than the configured one is refused', async () => {
    const [first] = sceneConfig.accounts;
    if (first === undefined) throw new Error('no account');
    const broker = openBroker({ config: { ...sceneConfig, accounts: [{ ...first, id: dev }] }, as: 'broker' });
    await expect(createIam(broker).readRole(dev, roleNameOf(mira))).rejects.toMatchObject({ code: 'WrongAccount' });
    broker.close();
  });

  test('AWS-10 without the external id nobody gets in; an account that is not configured is a fault', async () => {
    const accounts = sceneConfig.accounts.map((account) => ({ ...account, externalId: 'not-the-id-of-this-account' }));
    const broker = openBroker({ config: { ...sceneConfig, accounts }, as: 'broker' });
    await expect(createIam(broker).readRole(prod, roleNameOf(mira))).rejects.toMatchObject({ code: 'AccessDenied' });
    expect(() => broker.account('111122223333')).toThrow('not configured');
    broker.close();
  });

  test('enters an account once for many calls, and each call is made once when it works', async () => {
    const broker = openBroker({ config: sceneConfig, as: 'broker' });
    const iam = createIam(broker);
    await scene.control('forgetCalls');
    await Promise.all([1, 2, 3].map(() => iam.readRole(prod, roleNameOf(mira))));
    await iam.readRole(prod, roleNameOf(mira));
    const calls = callList.parse(await scene.control('calls'));
    expect(calls.filter(({ operation }) => operation === 'GetRole')).toHaveLength(4);
    expect(calls.filter(({ operation }) => operation === 'AssumeRole')).toHaveLength(1);
    broker.close();
  });
});

test('AWS that does not answer is given up and asked again: a call that hangs would hold its principal', async () => {
  await scene.control('addFault', {
    match: { service: 'iam', operation: 'ListRoles' },
    times: 1,
    effect: { kind: 'latency', ms: 600_000 },
  });
  const broker = openBroker({ config: sceneConfig, as: 'broker', answerMs: 1_000 });
  expect((await createIam(broker).personalRoles(prod)).length).toBeGreaterThan(0);
  broker.close();
});

test('work that is another backend’s by now calls AWS no more', async () => {
  const broker = openBroker({ config: sceneConfig, as: 'broker' });
  const stillMine = (): void => {
    throw new Error('taken over');
  };
  await scene.control('forgetCalls');
  const work = onErrand({ urgency: 'ending', stillMine }, () => createIam(broker).personalRoles(prod));
  await expect(work).rejects.toThrow('taken over');
  expect(callList.parse(await scene.control('calls'))).toEqual([]);
  broker.close();
});

test('AWS-12 lookups in CloudTrail’s history of one region cost those of another nothing', async () => {
  const kept: string[] = [];
  const buckets: Buckets = (name, rate) => {
    kept.push(name);
    return localBuckets(() => new Date())(name, rate);
  };
  const broker = openBroker({ config: sceneConfig, as: 'broker', buckets });
  const trail = createCloudTrail(broker);
  const time = { from: new Date(0), until: new Date() };
  await trail.newestAbout(prod, { resource: roleNameOf(mira), ...time }, () => true);
  for (const region of ['eu-west-1', 'us-east-1'])
    await trail.newestAbout(prod, { operation: 'UpdateDocument', region, ...time }, () => true);
  broker.close();
  // IAM’s region is one of them, whatever is asked about there.
  expect(kept).toEqual([`lookup-events/${prod}/us-east-1`, `lookup-events/${prod}/eu-west-1`]);
});

describe('createRoleCheck', () => {
  test('says ready with the ARN and remembers it; says what is missing and who mends it', async () => {
    let reads = 0;
    const readRole: typeof scene.aws.iam.readRole = (...input) => {
      reads += 1;
      return scene.aws.iam.readRole(...input);
    };
    let now = 0;
    const check = createRoleCheck({
      config: sceneConfig,
      iam: { ...scene.aws.iam, readRole },
      now: () => new Date(now),
    });
    const ready = await check(prod, mira);
    expect(ready).toEqual({
      accountId: prod,
      accountName: 'payments-prod',
      state: 'ready',
      roleArn: personalRoleArn('aws', prod, roleNameOf(mira)),
    });
    await check(prod, mira);
    expect(reads).toBe(1);
    now = 60_001;
    await check(prod, mira);
    expect(reads).toBe(2);
    const missing = await check(prod, {
      id: '00000000-0000-4000-8000-000000000000',
      userName: 'new@harborline.example',
    });
    expect(missing.state).toBe('missing');
    expect('advice' in missing && missing.advice).toContain('npm run provision');
  });

  test('to show, what is ready is asked about every 15 minutes and what is missing every minute; to act, as ever', async () => {
    let [reads, now, there] = [0, 0, true];
    const readRole: typeof scene.aws.iam.readRole = (...input) => {
      reads += 1;
      return there ? scene.aws.iam.readRole(...input) : Promise.resolve(null);
    };
    const iam = { ...scene.aws.iam, readRole };
    const check = createRoleCheck({ config: sceneConfig, iam, now: () => new Date(now) });
    const shown = async () => (await check(prod, mira, 'to-show')).state;
    for (now = 0; now < 15 * 60_000; now += 60_000) expect(await shown()).toBe('ready');
    expect(reads).toBe(1);
    there = false;
    expect(await shown()).toBe('missing');
    expect(reads).toBe(2);
    now += 59_999;
    expect(await shown()).toBe('missing');
    expect(reads).toBe(2);
    // Who asks to act is asked about each time until it is there, and then it is shown at once.
    expect((await check(prod, mira)).state).toBe('missing');
    there = true;
    expect((await check(prod, mira)).state).toBe('ready');
    expect(reads).toBe(4);
    expect(await shown()).toBe('ready');
    now += 60_000;
    expect(await shown()).toBe('ready');
    expect(reads).toBe(4);
    await check(prod, mira);
    expect(reads).toBe(5);
    there = false;
    now += 15 * 60_000;
    expect(await shown()).toBe('missing');
    now += 60_000;
    there = true;
    expect(await shown()).toBe('ready');
    expect(reads).toBe(7);
  });

  test('AWS-09 a role with another trust policy is not ours, and the advice says why', async () => {
    const readRole: typeof scene.aws.iam.readRole = async (accountId, name) => {
      const seen = await scene.aws.iam.readRole(accountId, name);
      return seen === null ? null : { ...seen, trust: seen.trust.replaceAll(mira.id, 'somebody-else') };
    };
    const check = createRoleCheck({ config: sceneConfig, iam: { ...scene.aws.iam, readRole }, now: () => new Date() });
    const role = await check(prod, mira);
    expect(role.state).toBe('not-ours');
    expect('advice' in role && role.advice).toContain('trust policy');
  });
});

describe('createIam', () => {
  test('ID-07 knows the RoleId of Identity Center’s roles, and of no other', async () => {
    const { iam } = scene.aws;
    expect(await iam.reservedRoleId(prod, 'AWSReservedSSO_CurfewUser_4be1c07a92d3f658')).toMatch(/^AROA[A-Z0-9]+$/);
    expect(await iam.reservedRoleId(prod, 'AWSReservedSSO_CurfewUser_0000000000000000')).toBeNull();
    expect(await iam.reservedRoleId(prod, 'CurfewBroker')).toBeNull();
  });
});
