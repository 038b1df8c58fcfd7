/**
 * People as IAM users, for shops without Identity Center: who is in the configured groups of the sign-in accounts may use Curfew.
 * Known by UserId (`AIDA…`, never given twice), remembered for a minute at most (threats RQ-06, ID-12).
 */
import { GetGroupCommand, GetUserCommand, ListGroupsForUserCommand, type Tag, type User } from '@aws-sdk/client-iam';
import type { GroupReach } from '../../src/shared/group-reach.ts';
import { type PersonFacts, standingOf } from '../store/people.ts';
import type { Broker } from './broker.ts';
import { type Directory, remembering, standingsOneByOne } from './directory.ts';
import { AwsProblem } from './errors.ts';
import { allPages } from './pages.ts';

/** Whoever may tag users can name them here: `deploy/` lets nobody but admins do it. */
const displayNameTag = 'curfew:display-name';
const emailTag = 'curfew:email';

/** How many members are named; all are counted. */
const namesShown = 20;

export type IamUsers = Directory & {
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
  remember: (person: PersonFacts) => Promise<void>;
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
    return found.flatMap(({ GroupName }) => GroupName ?? []).sort();
  };

  const readPerson = async (member: Member): Promise<PersonFacts | null> => {
    const { iam, call } = broker.account(member.accountId);
    const input = { UserName: member.name };
    const [answer, inGroups] = await Promise.all([
      orNull(call('iam:GetUser', 'iam-read', () => iam.send(new GetUserCommand(input)))),
      orNull(readGroups(member)),
    ]);
    // Deleted, or deleted and made again under the same name, since the group was read.
    if (answer?.User?.UserId !== member.id || inGroups === null) return null;
    const person: PersonFacts = {
      id: member.id,
      userName: member.name,
      displayName: tagOf(answer.User.Tags, displayNameTag) ?? member.name,
      email: tagOf(answer.User.Tags, emailTag),
      enabled: inGroups.some((group) => groups.includes(group)),
      groups: inGroups,
      checkedAt: now(),
    };
    await remember(person);
    return person;
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

  const person = remembering(async (personId: string) => {
    const member = (await everybody(remembered)).get(personId);
    return member === undefined ? null : readPerson(member);
  }, now);

  return {
    // A name alone names nobody: two accounts may have a user of the same one.
    byUserName: async () => null,
    person,
    groupsOf: async (personId) => {
      const known = await person(personId);
      return known?.enabled === true ? known.groups : [];
    },
    membersOf: async (group) => {
      const lists = await Promise.all(accounts.map((accountId) => remembered(accountId, group)));
      const people = await Promise.all(lists.flat().map(({ id }) => person(id)));
      return people.filter((one) => one !== null).filter(({ enabled }) => enabled);
    },
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
      return { accountId, group, members: names.length, names: names.slice(0, namesShown) };
    },
  };
};
