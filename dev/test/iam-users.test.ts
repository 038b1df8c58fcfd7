/** The directory of IAM users over local-aws: real SDK calls, the broker's own rights. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { type Broker, openBroker } from '../../backend/aws/broker.ts';
import { createIam, createRoleCheck } from '../../backend/aws/iam.ts';
import { createIamUsers, type IamUsers } from '../../backend/aws/iam-users.ts';
import type { Finding } from '../../backend/doctor/finding.ts';
import { checkIamGroups, type Members } from '../../backend/doctor/identity.ts';
import type { PersonFacts } from '../../backend/store/people.ts';
import { devAccount, testConfig } from '../../backend/testing/test-backend.ts';
import { type LocalAws, startLocalAws } from '../local-aws/start.ts';

const folder = mkdtempSync(join(tmpdir(), 'curfew-iam-users-'));
let aws: LocalAws;
let broker: Broker;
let users: IamUsers;
let at: Date;
let remembered: PersonFacts[];

const idOf = (name: string): string => aws.control.user({ account: devAccount, name }).id;
const later = (seconds: number) => {
  at = new Date(at.getTime() + seconds * 1000);
};

beforeAll(async () => {
  aws = await startLocalAws({
    worldFile: fileURLToPath(new URL('../local-aws/world.yml', import.meta.url)),
    stateFile: null,
    port: 0,
    runFolder: folder,
  });
  const key = aws.world.accounts.flatMap((account) => account.users).find(({ name }) => name === 'curfew-backend')
    ?.accessKeys[0];
  vi.stubEnv('AWS_ENDPOINT_URL', aws.endpoint);
  vi.stubEnv('AWS_ACCESS_KEY_ID', key?.accessKeyId);
  vi.stubEnv('AWS_SECRET_ACCESS_KEY', key?.secretAccessKey);
  const accounts = testConfig.accounts.map((account) => ({ ...account, externalId: `curfew-${account.id}-local` }));
  broker = openBroker({ config: { ...testConfig, accounts }, as: 'broker' });
});
afterAll(async () => {
  vi.unstubAllEnvs();
  broker.close();
  await aws.close();
  rmSync(folder, { recursive: true, force: true });
});
beforeEach(() => {
  at = new Date('2026-11-22T10:00:00.000Z');
  remembered = [];
  users = createIamUsers({
    broker,
    accounts: [devAccount],
    groups: ['curfew-users'],
    now: () => at,
    remember: async (people) => {
      remembered.push(...people);
    },
  });
});
afterEach(() => {
  aws.control.changeUser({
    account: devAccount,
    name: 'dana',
    groups: ['curfew-users', 'payments-engineers', 'oncall'],
  });
});

test('people are the members of the configured groups, by UserId, named by their tags', async () => {
  const people = await users.membersOf('curfew-users');
  expect(people.map(({ userName }) => userName).sort()).toEqual(['dana', 'ravi']);
  const dana = await users.person(idOf('dana'));
  expect(dana).toEqual({
    id: expect.stringMatching(/^AIDA[A-Z2-7]{17}$/),
    userName: 'dana',
    displayName: 'Dana Whitfield',
    email: 'dana@harborline.example',
    enabled: true,
    groups: ['curfew-users', 'oncall', 'payments-engineers'],
    checkedAt: at,
  });
  expect(remembered).toContainEqual(dana);
  expect(await users.person(idOf('noor'))).toBeNull();
  expect(await users.groupsOf(idOf('noor'))).toEqual([]);
  expect(await users.membersOf('no-such-group')).toEqual([]);
});

describe('ID-12 who leaves the groups is gone', () => {
  test('within half a minute for what goes on, at once for a sign-in', async () => {
    const dana = idOf('dana');
    expect((await users.person(dana))?.enabled).toBe(true);
    aws.control.changeUser({ account: devAccount, name: 'dana', groups: ['oncall'] });
    expect(await users.afresh(devAccount, dana)).toBeNull();
    expect((await users.person(dana))?.enabled).toBe(true);
    later(31);
    expect(await users.person(dana)).toBeNull();
  });

  test('IAM that cannot be asked makes nobody a leaver, and is asked again', async () => {
    const dana = idOf('dana');
    aws.control.addFault({
      match: { service: 'iam', operation: 'GetGroup' },
      times: 1,
      effect: { kind: 'error', code: 'AccessDenied' },
    });
    await expect(users.person(dana)).rejects.toThrow('AccessDenied');
    expect((await users.person(dana))?.enabled).toBe(true);
  });
});

test('ID-08 a user who was made anew under the same name is somebody else', async () => {
  const former = idOf('dana');
  aws.control.changeUser({ account: devAccount, name: 'dana', madeAnew: true, groups: ['curfew-users'] });
  expect(idOf('dana')).not.toBe(former);
  expect(await users.afresh(devAccount, former)).toBeNull();
  expect(await users.person(former)).toBeNull();
  expect((await users.afresh(devAccount, idOf('dana')))?.groups).toEqual(['curfew-users']);
});

test('ID-06 an account that is not for signing in has nobody', async () => {
  const before = aws.control.calls({ service: 'iam' }).length;
  expect(await users.afresh('482011773306', idOf('dana'))).toBeNull();
  expect(aws.control.calls({ service: 'iam' })).toHaveLength(before);
});

test('RQ-20 a group reaches all of its members, also those who may not use Curfew', async () => {
  const reach = await users.reach(devAccount, 'oncall');
  expect(reach).toEqual({ accountId: devAccount, group: 'oncall', members: 3, names: ['dana', 'noor', 'ravi'] });
  aws.control.changeUser({ account: devAccount, name: 'dana', groups: ['curfew-users'] });
  expect((await users.reach(devAccount, 'oncall')).members).toBe(3);
  later(31);
  expect((await users.reach(devAccount, 'oncall')).members).toBe(2);
});

describe('what carries access in an account', () => {
  const boundaryArn = `arn:aws:iam::${devAccount}:policy/curfew/boundary/CurfewBoundary`;
  const checkOf = (principal: (typeof testConfig)['accounts'][number]['principal'], boundary = boundaryArn) => {
    const [account] = testConfig.accounts;
    if (account === undefined) throw new Error('no account');
    const accounts = [{ ...account, principal, boundaryArn: boundary }];
    return createRoleCheck({ config: { ...testConfig, accounts }, iam: createIam(broker), now: () => at });
  };
  const person = (name: string) => ({ id: idOf(name), userName: name });

  test('AWS-09 an IAM user who is the person and has the boundary', async () => {
    const check = checkOf({ kind: 'user', carrier: 'inline' });
    const arn = `arn:aws:iam::${devAccount}:user/curfew/people/dana`;
    expect(await check(devAccount, person('dana'))).toMatchObject({ state: 'ready', roleArn: arn });
    const somebodyElse = await check(devAccount, { id: 'AIDAANOTHERANOTHERAN', userName: 'dana' });
    expect(somebodyElse).toMatchObject({ state: 'not-ours', advice: expect.stringContaining('is not who signed in') });
    expect((await check(devAccount, { id: 'AIDANOBODYNOBODYNOBO', userName: 'nobody' })).state).toBe('missing');
    const unfenced = checkOf({ kind: 'user', carrier: 'inline' }, boundaryArn.replace('CurfewBoundary', 'Another'));
    expect(await unfenced(devAccount, person('dana'))).toMatchObject({
      state: 'not-ours',
      advice: expect.stringContaining('permissions boundary'),
    });
  });

  test('RQ-20 the configured group, for its members only', async () => {
    const check = checkOf({ kind: 'group', carrier: 'inline', group: 'oncall' });
    const arn = `arn:aws:iam::${devAccount}:group/curfew/people/oncall`;
    expect(await check(devAccount, person('dana'))).toMatchObject({ state: 'ready', roleArn: arn });
    const outside = { id: 'AIDAANOTHERANOTHERAN', userName: 'eve' };
    expect(await check(devAccount, outside)).toMatchObject({
      advice: expect.stringContaining('is not in the IAM group'),
    });
    const nowhere = checkOf({ kind: 'group', carrier: 'inline', group: 'nobody' });
    expect(await nowhere(devAccount, person('dana'))).toMatchObject({
      advice: expect.stringContaining('There is no IAM'),
    });
  });
});

describe('the doctor', () => {
  const findings = async (groups: string[], adminGroup: string) => {
    const members: Members = new Map();
    const config = { ...testConfig, directory: { kind: 'iam-users' as const, groups, adminGroup } };
    const found: Finding[] = [];
    for await (const finding of checkIamGroups(config, broker, members)) found.push(finding);
    return { found, members: [...members.values()].map(({ userName }) => userName).sort() };
  };

  test('looks into the IAM groups and knows their people', async () => {
    const { found, members } = await findings(['curfew-users'], 'payments-leads');
    expect(found).toMatchObject([
      { check: 'group curfew-users', state: 'ok', found: '2 users' },
      { check: 'group payments-leads', state: 'ok', found: '1 user' },
    ]);
    expect(members).toEqual(['dana', 'ravi']);
  });

  test('says which group is missing or empty, and what to do', async () => {
    const { found } = await findings(['curfew-users'], 'curfew-admins');
    expect(found[1]).toMatchObject({ state: 'not-ok', advice: expect.stringContaining('Make the IAM group in') });
  });
});
