/** Organisations of thousands: who may have a part in requests is read in bulk and in the background. Counts of calls, never times. */
import { IAMClient } from '@aws-sdk/client-iam';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import type { Broker } from '../../backend/aws/broker.ts';
import { createDirectory } from '../../backend/aws/directory.ts';
import { awsProblem } from '../../backend/aws/errors.ts';
import { createIam } from '../../backend/aws/iam.ts';
import { createIamUsers } from '../../backend/aws/iam-users.ts';
import { keepMembers, paceMs } from '../../backend/aws/kept-members.ts';
import type { PersonFacts } from '../../backend/store/people.ts';
import { harborlineAccount } from '../../backend/testing/harborline.ts';
import { AwsError } from '../local-aws/service.ts';
import { adminKeys, clientOf, prod, type SmallAws, startSmallAws } from '../local-aws/testing/small-aws.ts';

const users = 'curfew-users';
const leads = 'payments-leads';
const uuid = (kind: number, number: number): string =>
  `${String(kind).padStart(8, '0')}-0000-4000-8000-${String(number).padStart(12, '0')}`;
const teamOf = (number: number, teams: number): string => `team${number % teams}-engineers`;
const person = (number: number, groups: string[]) => ({
  id: uuid(1, number),
  userName: `user-${number}@harborline.example`,
  displayName: `User ${number}`,
  email: `user-${number}@harborline.example`,
  enabled: number % 100 !== 99,
  groups,
});

let aws: SmallAws;
let asked: Map<string, number>;
let failing: string | null;
let at: Date;
let waited: number[];
let remembered: PersonFacts[];

beforeAll(async () => {
  aws = await startSmallAws({
    faults: {
      beforeCall: async ({ operation }) => {
        asked.set(operation, (asked.get(operation) ?? 0) + 1);
        if (operation === 'GetAccountAuthorizationDetails' && operation === failing) {
          throw new AwsError('AccessDenied', 'not allowed', 403);
        }
        if (operation === failing) throw new AwsError('ValidationException', 'broken for a test', 400);
      },
    },
  });
  vi.stubEnv('AWS_ENDPOINT_URL', aws.endpoint);
});
afterAll(async () => {
  await aws.close();
  vi.unstubAllEnvs();
});
beforeEach(() => {
  asked = new Map();
  failing = null;
  at = new Date('2026-11-22T10:00:00.000Z');
  waited = [];
  remembered = [];
});
afterEach(() => {
  expect(aws.broken).toEqual([]);
});

const later = (seconds: number): void => {
  at = new Date(at.getTime() + seconds * 1000);
};
const calls = (): number => [...asked.values()].reduce((sum, count) => sum + count, 0);

/** So many people in curfew-users, spread over so many teams; every tenth is a lead. */
const organisation = (people: number, teams: number): void => {
  const groups = [users, leads, ...Array.from({ length: teams }, (_, number) => teamOf(number, teams))];
  aws.world.groups = groups.map((name, number) => ({ name, id: uuid(2, number), description: '' }));
  aws.world.people = Array.from({ length: people }, (_, number) =>
    person(number, [users, teamOf(number, teams), ...(number % 10 === 0 ? [leads] : [])]),
  );
};

const directoryOf = (keys = adminKeys) => {
  vi.stubEnv('AWS_ACCESS_KEY_ID', keys.accessKeyId);
  vi.stubEnv('AWS_SECRET_ACCESS_KEY', keys.secretAccessKey);
  return createDirectory({
    identityStoreId: aws.world.organisation.identityStoreId,
    region: 'eu-central-1',
    groups: [users],
    adminGroup: leads,
    now: () => at,
    remember: async (people) => {
      remembered.push(...people);
    },
    wait: async (ms) => {
      waited.push(ms);
    },
  });
};

describe('2,500 people in 300 groups', () => {
  test('RQ-06 cost 355 calls in the background and none for who asks; who decides is read as ever', async () => {
    organisation(2500, 298);
    const directory = directoryOf();
    await directory.keptMembers.refresh();
    // The members, in pages of a hundred, and one call for each other group (three for the 250 leads).
    const memberships = 25 + 3 + 298;
    expect(Object.fromEntries(asked)).toEqual({
      GetGroupId: 1,
      ListUsers: 25,
      ListGroups: 3,
      ListGroupMemberships: memberships,
    });
    expect(remembered).toHaveLength(2500);
    expect(waited).toEqual(Array.from({ length: calls() }, () => paceMs.first));

    asked.clear();
    later(3600);
    const members = await Promise.all(Array.from({ length: 20 }, () => directory.membersOf(users)));
    expect(members.map((list) => list.length)).toEqual(Array.from({ length: 20 }, () => 2475));
    expect(calls()).toBe(0);

    // One by one says the same of each, and asks each time that half a minute has passed.
    const copy = members[0]?.find(({ id }) => id === uuid(1, 20));
    expect(copy?.groups).toEqual([users, leads, 'team20-engineers']);
    expect(await directory.person(uuid(1, 20))).toEqual({ ...copy, checkedAt: at });
    later(31);
    await directory.person(uuid(1, 20));
    expect(asked.get('DescribeUser')).toBe(2);
    expect(asked.get('ListGroupMembershipsForMember')).toBe(2);

    // Who left is nobody at once for a decision, whatever the copy says until it is read anew.
    const [left] = aws.world.people.splice(20, 1);
    later(31);
    expect(await directory.person(left?.id ?? '')).toBeNull();
    expect((await directory.membersOf(users)).some(({ id }) => id === left?.id)).toBe(true);
  });
});

describe('2,500 open apps', () => {
  test('ID-12 cost a list and the admins’ group each half minute, and a leaver or a former admin is known at the next', async () => {
    organisation(2500, 298);
    const directory = directoryOf();
    await directory.keptMembers.refresh();
    asked.clear();
    const everybody = () => Promise.all(aws.world.people.map(({ id }) => directory.reader(id)));
    const enabled = (await everybody()).filter((one) => one?.enabled === true);
    // Whom the copy does not have, as they were disabled, is asked about singly.
    expect(Object.fromEntries(asked)).toMatchObject({ ListUsers: 25, GetGroupId: 1, DescribeUser: 25 });
    expect(enabled).toHaveLength(2475);
    expect(enabled.filter((one) => one?.groups.includes(leads))).toHaveLength(250);

    const [leaver, formerAdmin] = [aws.world.people[20], aws.world.people[30]];
    if (leaver === undefined || formerAdmin === undefined) throw new Error('There are fewer people.');
    leaver.enabled = false;
    formerAdmin.groups = formerAdmin.groups.filter((name) => name !== leads);
    later(31);
    expect(await directory.reader(leaver.id)).toMatchObject({ enabled: false });
    expect((await directory.reader(formerAdmin.id))?.groups).toEqual([users, 'team30-engineers']);
    // Somebody new is none of the copy's, and asked about.
    aws.world.people.push(person(2500, [users, leads]));
    expect(await directory.reader(uuid(1, 2500))).toMatchObject({ enabled: true, groups: [users, leads] });
  });

  test('in a store of more than 6,000 users, and where it may not be listed, each is asked about', async () => {
    organisation(6100, 20);
    const directory = directoryOf();
    await directory.keptMembers.refresh();
    asked.clear();
    expect(await directory.reader(uuid(1, 1))).toMatchObject({ enabled: true });
    expect(asked.get('DescribeUser')).toBe(1);
    organisation(2500, 20);
    later(31);
    failing = 'ListUsers';
    expect(await directory.reader(uuid(1, 2))).toMatchObject({ enabled: true });
    expect(asked.get('DescribeUser')).toBe(2);
  });
});

describe('IAM users', () => {
  const account = harborlineAccount({ id: prod, name: 'payments-prod', regions: ['eu-central-1'] });
  const elsewhere = (): never => {
    throw new Error('only IAM is asked');
  };
  const broker: Broker = {
    account: () => ({
      account,
      iam: new IAMClient(clientOf(aws)),
      ssm: elsewhere,
      ec2: elsewhere,
      iamRegion: 'us-east-1',
      cloudtrail: elsewhere,
      call: async (name, _budget, send) => {
        try {
          return await send();
        } catch (error) {
          throw awsProblem(name, error);
        }
      },
    }),
    accounts: [account],
    close: () => undefined,
  };
  const usersOf = () =>
    createIamUsers({
      broker,
      accounts: [prod],
      groups: [users],
      now: () => at,
      remember: async (people) => {
        remembered.push(...people);
      },
      wait: async (ms) => {
        waited.push(ms);
      },
    });

  test('many are read with their groups 200 a call, and without the right to that one by one, which says the same', async () => {
    for (const name of [users, 'oncall']) aws.state.putGroup({ accountId: prod, name });
    const tags = { 'curfew:display-name': 'Engineer', 'curfew:email': 'engineer@harborline.example' };
    for (let number = 0; number < 250; number += 1) {
      const groups = number < 150 ? [users, ...(number % 2 === 0 ? ['oncall'] : [])] : [];
      aws.state.putUser({ accountId: prod, name: `engineer-${number}`, groups, ...(number === 0 ? { tags } : {}) });
    }
    const directory = usersOf();
    await directory.keptMembers.refresh();
    expect(Object.fromEntries(asked)).toEqual({ GetGroup: 2, GetAccountAuthorizationDetails: 2 });
    later(3600);
    asked.clear();
    const members = await directory.membersOf(users);
    expect(calls()).toBe(0);
    expect(members).toHaveLength(150);
    expect(members).toEqual(remembered);
    const first = members.find(({ userName }) => userName === 'engineer-0');
    expect(first).toMatchObject({
      displayName: 'Engineer',
      email: tags['curfew:email'],
      groups: [users, 'oncall'].sort(),
    });
    expect(await directory.person(first?.id ?? '')).toEqual({ ...first, checkedAt: at });
    expect(asked.get('GetUser')).toBe(1);

    failing = 'GetAccountAuthorizationDetails';
    const oneByOne = await usersOf().membersOf(users);
    expect(asked.get('GetUser')).toBe(151);
    expect(oneByOne).toEqual(members.map((member) => ({ ...member, checkedAt: at })));
  });

  test('RQ-20 a group of many names twenty, and somebody exchanged behind them is noticed', async () => {
    aws.state.putGroup({ accountId: prod, name: 'rota' });
    const member = (name: string, groups: string[]) => aws.state.putUser({ accountId: prod, name, groups });
    for (let number = 10; number < 32; number += 1) member(`rota-${number}`, ['rota']);
    const directory = usersOf();
    const before = await directory.reach(prod, 'rota');
    expect(before).toMatchObject({ members: 22, membersHash: expect.stringMatching(/^[0-9a-f]{64}$/) });
    expect(before.names.at(-1)).toBe('rota-29');
    expect(await usersOf().reach(prod, 'rota')).toEqual(before);
    member('rota-31', []);
    member('rota-99', ['rota']);
    later(31);
    const after = await directory.reach(prod, 'rota');
    expect([after.members, after.names]).toEqual([before.members, before.names]);
    expect(after.membersHash).not.toBe(before.membersHash);
    member('rota-30', []);
    member('rota-99', []);
    later(31);
    // All are named.
    expect(await directory.reach(prod, 'rota')).not.toHaveProperty('membersHash');
  });

  test('one is found by id a thousand a call, whatever the name is now', async () => {
    const made = Array.from({ length: 1100 }, (_, number) =>
      aws.state.putUser({ accountId: prod, name: `listed-${String(number).padStart(4, '0')}`, path: '/listed/' }),
    );
    const [first, last] = [made[0]?.id ?? '', made.at(-1)?.id ?? ''];
    const { findUser } = createIam(broker);
    const arn = `arn:aws:iam::${prod}:user/listed/listed-1099`;
    expect(await findUser(prod, last)).toEqual({ arn, name: 'listed-1099' });
    expect(asked.get('ListUsers')).toBe(2);
    expect(await findUser(prod, first)).toMatchObject({ name: 'listed-0000' });
    // Nobody is read for who was found already.
    expect(asked.get('ListUsers')).toBe(3);
    expect(await findUser(prod, 'AIDANOBODYNOBODYNOBO')).toBeNull();
    expect(asked.get('ListUsers')).toBe(5);
  });
});

describe('the copy', () => {
  test('has a new member after the next reading, at two calls a second at most; meanwhile the old one answers', async () => {
    organisation(100, 5);
    const directory = directoryOf();
    await directory.keptMembers.refresh();
    aws.world.people.push(person(1000, [users]));
    later(3600);
    [asked, waited] = [new Map(), []];
    const [once, again] = [directory.keptMembers.refresh(), directory.keptMembers.refresh()];
    expect(await directory.membersOf(users)).toHaveLength(99);
    await Promise.all([once, again]);
    expect(asked.get('ListGroups')).toBe(1);
    expect(waited).toEqual(Array.from({ length: calls() }, () => paceMs.later));
    expect(1000 / paceMs.later).toBeLessThanOrEqual(2);
    expect((await directory.membersOf(users)).map(({ id }) => id)).toContain(uuid(1, 1000));
  });

  test('stays when it cannot be read anew', async () => {
    organisation(100, 5);
    const directory = directoryOf();
    await directory.keptMembers.refresh();
    for (const operation of ['GetGroupId', 'ListUsers', 'ListGroups', 'ListGroupMemberships']) {
      failing = operation;
      await expect(directory.keptMembers.refresh()).rejects.toThrow('broken for a test');
      expect(await directory.membersOf(users)).toHaveLength(99);
    }
    failing = null;
    aws.world.people.push(person(1000, [users]));
    await directory.keptMembers.refresh();
    expect(await directory.membersOf(users)).toHaveLength(100);
  });

  test('is waited for by whoever needs it first; they share one reading', async () => {
    organisation(100, 5);
    const directory = directoryOf();
    const lists = await Promise.all([directory.membersOf(users), directory.membersOf(users)]);
    expect(lists.map((list) => list.length)).toEqual([99, 99]);
    expect(asked.get('ListUsers')).toBe(1);
    expect(asked.get('DescribeUser')).toBeUndefined();
  });

  test('is for more than 60 people: fewer are read one by one, fresh within half a minute', async () => {
    organisation(60, 5);
    const directory = directoryOf();
    await directory.keptMembers.refresh();
    expect(await directory.membersOf(users)).toHaveLength(60);
    expect(asked.get('DescribeUser')).toBe(60);
    expect(asked.get('ListUsers')).toBeUndefined();
    const [first] = aws.world.people;
    if (first !== undefined) first.enabled = false;
    later(31);
    expect(await directory.membersOf(users)).toHaveLength(59);
    aws.world.people.push(person(1000, [users]));
    later(31);
    expect(await directory.membersOf(users)).toHaveLength(60);
    expect(asked.get('ListUsers')).toBe(1);
    // And back again.
    aws.world.people.pop();
    later(31);
    await directory.keptMembers.refresh();
    asked.clear();
    await directory.membersOf(users);
    expect(asked.get('DescribeUser')).toBe(60);
  });

  test('is the same without the right to list, or where there are more groups than people, asked person by person', async () => {
    organisation(100, 5);
    const directory = directoryOf();
    const bulk = await directory.membersOf(users);
    const read = ['GetUserId', 'DescribeUser', 'GetGroupId', 'DescribeGroup'];
    const memberships = ['ListGroupMemberships', 'ListGroupMembershipsForMember'];
    const keys = aws.addUser('older', {
      Version: '2012-10-17',
      Statement: [
        { Effect: 'Allow', Action: [...read, ...memberships].map((name) => `identitystore:${name}`), Resource: '*' },
      ],
    });
    asked.clear();
    expect(await directoryOf(keys).membersOf(users)).toEqual(bulk);
    // The status of each, the groups of each, and the names of the seven groups.
    expect(asked.get('DescribeUser')).toBe(100);
    expect(asked.get('ListGroupMembershipsForMember')).toBe(100);
    expect(asked.get('DescribeGroup')).toBe(7);

    for (let number = 0; number < 200; number += 1) {
      aws.world.groups.push({ name: `of-nobody-${number}`, id: uuid(3, number), description: '' });
    }
    asked.clear();
    expect(await directoryOf().membersOf(users)).toEqual(bulk);
    expect(Object.fromEntries(asked)).toEqual({
      GetGroupId: 2,
      ListUsers: 1,
      ListGroups: 2,
      ListGroupMemberships: 2,
      ListGroupMembershipsForMember: 100,
      DescribeGroup: 7,
    });
  });

  test('is read until the backend stops; what fails is logged', async () => {
    const log: unknown[] = [];
    const failure = new Promise<void>((resolve) => {
      const refresh = async (): Promise<void> => {
        throw new Error('away');
      };
      const kept = keepMembers(
        { refresh, used: () => Promise.resolve() },
        {
          warn: (facts: unknown) => {
            log.push(facts);
            resolve(kept.stop());
          },
        },
      );
    });
    await failure;
    expect(log).toMatchObject([{ event: 'members_not_read', error: { message: 'away' } }]);

    organisation(100, 5);
    const directory = createDirectory({
      identityStoreId: aws.world.organisation.identityStoreId,
      region: 'eu-central-1',
      groups: [users],
      adminGroup: leads,
      now: () => at,
      remember: async () => undefined,
      // As a reading that takes minutes: it ends by being stopped.
      wait: (_ms, stopping) =>
        new Promise((_, reject) => stopping?.addEventListener('abort', () => reject(stopping.reason))),
    });
    await keepMembers(directory.keptMembers, { warn: (facts: unknown) => log.push(facts) }).stop();
    expect(log).toHaveLength(1);
    expect(calls()).toBe(0);
  });
});
