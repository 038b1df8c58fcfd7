/**
 * People as IAM users, for shops without Identity Center: who is in the configured groups of the sign-in accounts may use Curfew.
 * Known by UserId (`AIDA…`, never given twice), remembered for a minute at most (threats RQ-06, ID-12).
 */
import { createHash } from 'node:crypto';
import {
  GetAccountAuthorizationDetailsCommand,
  GetGroupCommand,
  GetUserCommand,
  ListGroupsForUserCommand,
  type Tag,
  type User,
  type UserDetail,
} from '@aws-sdk/client-iam';
import type { GroupReach } from '../../src/shared/group-reach.ts';
import { type PersonFacts, standingOf } from '../store/people.ts';
import type { Broker } from './broker.ts';
import { type Directory, remembering, standingsOneByOne } from './directory.ts';
import { AwsProblem } from './errors.ts';
import { byGroup, createKeptMembers, type KeptMembers, type KeptMembersDeps, mostOneByOne } from './kept-members.ts';
import { allPages } from './pages.ts';

/** Whoever may tag users can name them here: `deploy/` lets nobody but admins do it. */
const displayNameTag = 'curfew:display-name';
const emailTag = 'curfew:email';

/** How many members are named; all are counted. */
const namesShown = 20;

export type IamUsers = Directory & {
  keptMembers: Pick<KeptMembers, 'refresh' | 'used'>;
  /** Asked anew, nothing remembered: sign-in must not trust a user who was just taken out of a group. */
  afresh: (accountId: string, userId: string) => Promise<PersonFacts | null>;
  /** All members of a group, whether or not they may use Curfew: each of them gets what the group gets. */
  reach: (accountId: string, group: string) => Promise<Omit<GroupReach, 'accountName'>>;
};

export type IamUsersOptions = {
  broker: Broker;
  /** Accounts whose users may sign in. */
  accounts: readonly string[];
  /** Names of IAM groups, the same in each account. */
  groups: readonly string[];
  now: () => Date;
  /** Called with what was read, before it is answered: keeps our own rows of people. */
  remember: (people: readonly PersonFacts[]) => Promise<void>;
  wait?: KeptMembersDeps['wait'];
};

type Member = { accountId: string; id: string; name: string };

/** Null when there is no such user or group. Anything else, and a denial above all, is a fault: nobody has left (ID-12). */
const orNull = async <T>(call: Promise<T>): Promise<T | null> => {
  try {
    return await call;
  } catch (error) {
    if (error instanceof AwsProblem && error.kind === 'gone') return null;
    throw error;
  }
};

const tagOf = (tags: readonly Tag[] | undefined, key: string): string | null =>
  tags?.find((tag) => tag.Key === key)?.Value?.trim() || null;

const memberOf = (accountId: string, { UserId, UserName }: User): Member[] =>
  UserId === undefined || UserName === undefined ? [] : [{ accountId, id: UserId, name: UserName }];

const hashOfAll = (members: readonly Member[]): string =>
  createHash('sha256')
    .update(JSON.stringify(members.map(({ id, name }) => [name, id]).sort()))
    .digest('hex');

type UserFacts = { tags: readonly Tag[] | undefined; inGroups: readonly string[]; checkedAt: Date };

/** Reads by the broker role of each account, within its budgets. */
export const createIamUsers = (options: IamUsersOptions): IamUsers => {
  const { broker, accounts, groups, now, remember } = options;

  const readMembers = async (accountId: string, GroupName: string): Promise<Member[]> => {
    const { iam, call } = broker.account(accountId);
    const members = await orNull(
      allPages(async (Marker) => {
        const input = Marker === undefined ? { GroupName } : { GroupName, Marker };
        const page = await call('iam:GetGroup', 'iam-read', () => iam.send(new GetGroupCommand(input)));
        return { items: page.Users ?? [], next: page.IsTruncated ? page.Marker : undefined };
      }),
    );
    return (members ?? []).flatMap((user) => memberOf(accountId, user));
  };

  const readGroups = async ({ accountId, name: UserName }: Member): Promise<string[]> => {
    const { iam, call } = broker.account(accountId);
    const found = await allPages(async (Marker) => {
      const input = Marker === undefined ? { UserName } : { UserName, Marker };
      const page = await call('iam:ListGroupsForUser', 'iam-read', () => iam.send(new ListGroupsForUserCommand(input)));
      return { items: page.Groups ?? [], next: page.IsTruncated ? page.Marker : undefined };
    });
    return found.flatMap(({ GroupName }) => GroupName ?? []);
  };

  const factsOf = ({ id, name }: Member, { tags, inGroups, checkedAt }: UserFacts): PersonFacts => ({
    id,
    userName: name,
    displayName: tagOf(tags, displayNameTag) ?? name,
    email: tagOf(tags, emailTag),
    enabled: inGroups.some((group) => groups.includes(group)),
    groups: inGroups.toSorted(),
    checkedAt,
  });

  const askPerson = async (member: Member): Promise<PersonFacts | null> => {
    const { iam, call } = broker.account(member.accountId);
    const input = { UserName: member.name };
    const [answer, inGroups] = await Promise.all([
      orNull(call('iam:GetUser', 'iam-read', () => iam.send(new GetUserCommand(input)))),
      orNull(readGroups(member)),
    ]);
    // Deleted, or deleted and made again under the same name, since the group was read.
    if (answer?.User?.UserId !== member.id || inGroups === null) return null;
    return factsOf(member, { tags: answer.User.Tags, inGroups, checkedAt: now() });
  };

  const readPerson = async (member: Member): Promise<PersonFacts | null> => {
    const found = await askPerson(member);
    if (found !== null) await remember([found]);
    return found;
  };

  /** All users of an account with tags and groups, 200 a call; null without the right to it. */
  const readAllUsers = async (accountId: string): Promise<UserDetail[] | null> => {
    const { iam, call } = broker.account(accountId);
    try {
      return await allPages(async (Marker) => {
        const input = { Filter: ['User' as const], MaxItems: 200, ...(Marker === undefined ? {} : { Marker }) };
        const send = () => iam.send(new GetAccountAuthorizationDetailsCommand(input));
        const page = await call('iam:GetAccountAuthorizationDetails', 'iam-read', send);
        return { items: page.UserDetailList ?? [], next: page.IsTruncated ? page.Marker : undefined };
      });
    } catch (error) {
      if (error instanceof AwsProblem && error.code === 'AccessDenied') return null;
      throw error;
    }
  };

  const readManyOf = async (accountId: string, wanted: readonly Member[], pace: () => Promise<void>) => {
    const checkedAt = now();
    const users = wanted.length <= mostOneByOne ? null : await readAllUsers(accountId);
    const details = new Map(users?.map((user) => [user.UserId, user]));
    const people: PersonFacts[] = [];
    for (const member of wanted) {
      const user = details.get(member.id);
      if (user === undefined) await pace();
      const found =
        user === undefined
          ? await askPerson(member)
          : factsOf(member, { tags: user.Tags, inGroups: user.GroupList ?? [], checkedAt });
      if (found !== null) people.push(found);
    }
    return people;
  };

  /** Key: account id and group name, parted by a slash, which neither can hold. */
  const members = remembering((key) => {
    const [accountId = '', group = ''] = key.split('/');
    return readMembers(accountId, group);
  }, now);

  const everybody = async (
    read: (accountId: string, group: string) => Promise<Member[]>,
    among: readonly string[] = accounts,
  ): Promise<Map<string, Member>> => {
    const lists = await Promise.all(among.flatMap((accountId) => groups.map((group) => read(accountId, group))));
    return new Map(lists.flat().map((member) => [member.id, member]));
  };
  const remembered = (accountId: string, group: string) => members(`${accountId}/${group}`);

  const kept = createKeptMembers({
    groups,
    count: async () => (await everybody(remembered)).size,
    read: async (pace) => {
      const wanted = new Map<string, Member>();
      const lists = new Map<string, string[]>();
      for (const group of groups) {
        for (const accountId of accounts) {
          await pace();
          const found = await readMembers(accountId, group);
          for (const member of found) wanted.set(member.id, member);
          lists.set(group, [...(lists.get(group) ?? []), ...found.map(({ id }) => id)]);
        }
      }
      if (wanted.size <= mostOneByOne) return null;
      const read: PersonFacts[][] = [];
      for (const accountId of accounts) {
        const here = [...wanted.values()].filter((member) => member.accountId === accountId);
        read.push(await readManyOf(accountId, here, pace));
      }
      const people = read.flat();
      await remember(people);
      return byGroup(lists, people);
    },
    ...(options.wait === undefined ? {} : { wait: options.wait }),
  });

  const person = remembering(async (personId: string) => {
    const member = (await everybody(remembered)).get(personId);
    return member === undefined ? null : readPerson(member);
  }, now);

  return {
    // A name alone names nobody: two accounts may have a user of the same one.
    byUserName: async () => null,
    person,
    reader: person,
    groupsOf: async (personId) => {
      const known = await person(personId);
      return known?.enabled === true ? known.groups : [];
    },
    membersOf: async (group) => {
      const copy = await kept.of(group);
      if (copy !== null) return copy;
      const lists = await Promise.all(accounts.map((accountId) => remembered(accountId, group)));
      const people = await Promise.all(lists.flat().map(({ id }) => person(id)));
      return people.filter((one) => one !== null).filter(({ enabled }) => enabled);
    },
    keptMembers: kept,
    standings: async (personIds) => {
      // One question for all: who is in the groups now. It is asked only when there is somebody to ask about.
      let asked: Promise<Map<string, Member>> | null = null;
      return standingsOneByOne(personIds, async (id) => {
        asked ??= everybody(readMembers);
        return standingOf((await asked).has(id) ? { enabled: true } : null);
      });
    },
    afresh: async (accountId, userId) => {
      if (!accounts.includes(accountId)) return null;
      const member = (await everybody(readMembers, [accountId])).get(userId);
      const found = member === undefined ? null : await readPerson(member);
      return found?.enabled === true ? found : null;
    },
    reach: async (accountId, group) => {
      const found = await remembered(accountId, group);
      const names = found.map(({ name }) => name).sort();
      const reach = { accountId, group, members: names.length, names: names.slice(0, namesShown) };
      // Whoever is exchanged behind the names that are shown is noticed all the same.
      return names.length <= namesShown ? reach : { ...reach, membersHash: hashOfAll(found) };
    },
  };
};
