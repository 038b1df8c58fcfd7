/** People and groups of Identity Center's identity store, each person remembered for a minute at most (threats RQ-06, ID-12). */
import {
  DescribeGroupCommand,
  DescribeUserCommand,
  GetUserIdCommand,
  IdentitystoreClient,
  paginateListGroupMembershipsForMember,
  paginateListUsers,
} from '@aws-sdk/client-identitystore';
import { awsLimits } from '../../src/shared/aws-limits.ts';
import { type PersonFacts, type Standing, type Standings, standingOf } from '../store/people.ts';
import { readPeople } from './bulk-people.ts';
import { type IdentityStore, orNull, personFactsOf, readGroupNamed } from './identity-store.ts';
import { byGroup, createKeptMembers, type KeptMembers, type KeptMembersDeps, mostOneByOne } from './kept-members.ts';

export type Directory = {
  /** The person of a userName now, or null. Always asks: sign-in must not trust a name that was re-used. */
  byUserName: (userName: string) => Promise<PersonFacts | null>;
  /** At most a minute old. Null: there is no such person (any more). */
  person: (personId: string) => Promise<PersonFacts | null>;
  /**
   * The person for whoever only reads. Where more than 60 people may use Curfew, whether they are enabled and an admin is at most a minute
   * old, their other groups some minutes: thousands of open apps would ask more than the store answers.
   */
  reader: (personId: string) => Promise<PersonFacts | null>;
  /** Names of a person's groups, at most a minute old; none for a person who is gone or disabled. */
  groupsOf: (personId: string) => Promise<string[]>;
  /**
   * Enabled members of a group by its name, to be told, counted and shown; none when there is no such group. At most a minute old; where
   * more than 60 people may use Curfew, some minutes. Who asks and who decides is read by `person`.
   */
  membersOf: (group: string) => Promise<readonly PersonFacts[]>;
  /** How these people stand now: asked anew, nothing remembered, however many they are. Never throws. */
  standings: (personIds: readonly string[]) => Promise<Standings>;
};

/** Asks about each, one after the other; one who cannot be asked about keeps nobody else from it. */
export const standingsOneByOne = async (
  personIds: readonly string[],
  ask: (personId: string) => Promise<Standing>,
): Promise<Standings> => {
  const known = new Map<string, Standing>();
  let failure: Standings['failure'] = null;
  for (const id of personIds) {
    try {
      known.set(id, await ask(id));
    } catch (error) {
      failure = { error };
    }
  }
  return { known, failure };
};

export type DirectoryOptions = {
  identityStoreId: string;
  region: string;
  /** The groups whose members may use Curfew: together they are read in bulk when they are many. None: each is always asked about. */
  groups: readonly string[];
  /** Its members are admins. */
  adminGroup: string;
  now: () => Date;
  /** Called with what was read from the identity store, before it is answered: keeps our own rows of people. */
  remember: (people: readonly PersonFacts[]) => Promise<void>;
  wait?: KeptMembersDeps['wait'];
  /** How long one attempt of a call may take, milliseconds; 5 s when left out. */
  answerMs?: number;
};

/** Leavers lose all within a minute: silence must be over, with all attempts, before the next round of 25 s is due. */
const mostAnswerMs = 5_000;
const attempts = 4;

/** A store with more pages of users is not listed for those who read: that would be more than two calls a second for nothing else. */
const mostPagesForReaders = 60;

/** Answers are made of remembered answers at most once, so this is half of the minute that is promised. */
const freshMs = 30_000;

/** Remembers answers for `freshMs`; those who ask at once share one call; failures are not remembered. */
export const remembering = <T, K extends string = string>(
  read: (key: K) => Promise<T>,
  now: () => Date,
): ((key: K) => Promise<T>) => {
  const answers = new Map<string, { at: number; answer: Promise<T> }>();
  return (key) => {
    const at = now().getTime();
    for (const [old, { at: since }] of answers) if (at - since >= freshMs) answers.delete(old);
    const held = answers.get(key);
    if (held !== undefined) return held.answer;
    const answer = read(key);
    answers.set(key, { at, answer });
    answer.catch(() => answers.delete(key));
    return answer;
  };
};

/** Reads by the SDK; where it connects is decided by the SDK's own endpoint settings alone. */
export const createDirectory = (
  options: DirectoryOptions,
): Directory & { keptMembers: Pick<KeptMembers, 'refresh' | 'used'> } => {
  const { identityStoreId: IdentityStoreId, groups, adminGroup, now, remember } = options;
  const client = new IdentitystoreClient({
    region: options.region,
    maxAttempts: attempts,
    requestHandler: awsLimits(options.answerMs ?? mostAnswerMs),
  });
  const store: IdentityStore = { client, identityStoreId: IdentityStoreId, pace: async () => undefined };

  const groupName = remembering(async (GroupId: string) => {
    const group = await orNull(client.send(new DescribeGroupCommand({ IdentityStoreId, GroupId })));
    return group?.DisplayName ?? null;
  }, now);

  const readGroups = async (UserId: string): Promise<string[]> => {
    const names: string[] = [];
    const pages = paginateListGroupMembershipsForMember({ client }, { IdentityStoreId, MemberId: { UserId } });
    for await (const page of pages) {
      for (const { GroupId } of page.GroupMemberships ?? []) {
        const name = GroupId === undefined ? null : await groupName(GroupId);
        if (name !== null) names.push(name);
      }
    }
    return names.sort();
  };

  const readPerson = async (UserId: string): Promise<PersonFacts | null> => {
    const user = await orNull(client.send(new DescribeUserCommand({ IdentityStoreId, UserId })));
    if (user === null) return null;
    const person = personFactsOf(user, { groups: await readGroups(UserId), checkedAt: now() });
    if (person !== null) await remember([person]);
    return person;
  };

  const person = remembering(readPerson, now);

  const askStanding = async (UserId: string): Promise<Standing> => {
    const user = await orNull(client.send(new DescribeUserCommand({ IdentityStoreId, UserId })));
    return standingOf(user === null ? null : { enabled: user.UserStatus !== 'DISABLED' });
  };

  /** Those of whom the list tells a status; null: it has more pages. Who is missing on it may just have moved from page to page. */
  const listed = async (mostPages: number): Promise<Map<string, Standing> | null> => {
    const found = new Map<string, Standing>();
    let pages = 0;
    for await (const { Users } of paginateListUsers({ client, pageSize: 100 }, { IdentityStoreId })) {
      pages += 1;
      if (pages > mostPages) return null;
      for (const { UserId, UserStatus } of Users ?? []) {
        if (UserId === undefined || UserStatus === undefined) continue;
        found.set(UserId, standingOf({ enabled: UserStatus !== 'DISABLED' }));
      }
    }
    return found;
  };

  /** For so many people the list was longer than asking about each: a store of 50,000 users has 500 pages. */
  let tooFewToList = mostOneByOne;
  const standings = async (personIds: readonly string[]): Promise<Standings> => {
    const many = personIds.length > tooFewToList;
    // Without the right to list (an older set of rights), or when listing breaks, each is asked about all the same.
    const list = many ? await listed(personIds.length).catch(() => undefined) : undefined;
    if (list === null) tooFewToList = personIds.length;
    return standingsOneByOne(personIds, async (id) => list?.get(id) ?? (await askStanding(id)));
  };

  const groupNamed = remembering((name: string) => readGroupNamed(store, name), now);

  const kept = createKeptMembers({
    groups,
    count: async () => {
      const read = await Promise.all(groups.map(groupNamed));
      return new Set(read.flatMap((group) => group?.memberIds ?? [])).size;
    },
    read: async (pace) => {
      const checkedAt = now();
      const read = [];
      for (const name of groups) read.push((await readGroupNamed({ ...store, pace }, name)) ?? []);
      const found = read.flat();
      if (new Set(found.flatMap(({ memberIds }) => memberIds)).size <= mostOneByOne) return null;
      const people = await readPeople({ ...store, pace }, found, checkedAt);
      await remember(people);
      return byGroup(new Map(found.map(({ name, memberIds }) => [name, memberIds])), people);
    },
    ...(options.wait === undefined ? {} : { wait: options.wait }),
  });

  const everybody = remembering(async (_all: 'all') => listed(mostPagesForReaders).catch(() => null), now);

  const reader = async (id: string): Promise<PersonFacts | null> => {
    const copy = kept.find(id);
    const standing = copy === null ? undefined : (await everybody('all'))?.get(id);
    if (copy === null || standing === undefined) return person(id);
    const admins = await groupNamed(adminGroup);
    const groups = copy.groups.filter((name) => name !== adminGroup);
    if (admins?.memberIds.includes(id) === true) groups.push(adminGroup);
    return { ...copy, groups: groups.sort(), enabled: standing === 'enabled' };
  };

  /** Made of what is remembered, and not remembered itself: else it would be twice as old. */
  const membersOneByOne = async (group: string): Promise<PersonFacts[]> => {
    const found = await groupNamed(group);
    const members: PersonFacts[] = [];
    for (const id of found?.memberIds ?? []) {
      const member = await person(id);
      if (member?.enabled === true) members.push(member);
    }
    return members;
  };

  return {
    byUserName: async (userName) => {
      const found = await orNull(
        client.send(
          new GetUserIdCommand({
            IdentityStoreId,
            AlternateIdentifier: { UniqueAttribute: { AttributePath: 'userName', AttributeValue: userName } },
          }),
        ),
      );
      return found?.UserId === undefined ? null : readPerson(found.UserId);
    },
    person,
    reader,
    groupsOf: async (personId) => {
      const known = await person(personId);
      return known?.enabled === true ? known.groups : [];
    },
    membersOf: async (group) => (await kept.of(group)) ?? membersOneByOne(group),
    keptMembers: kept,
    standings,
  };
};
