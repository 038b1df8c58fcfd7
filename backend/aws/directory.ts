/** People and groups of Identity Center's identity store, remembered for a minute at most (threats RQ-06, ID-12). */
import {
  DescribeGroupCommand,
  DescribeUserCommand,
  GetGroupIdCommand,
  GetUserIdCommand,
  IdentitystoreClient,
  paginateListGroupMemberships,
  paginateListGroupMembershipsForMember,
  paginateListUsers,
  ResourceNotFoundException,
} from '@aws-sdk/client-identitystore';
import { type PersonFacts, type Standing, type Standings, standingOf } from '../store/people.ts';

export type Directory = {
  /** The person of a userName now, or null. Always asks: sign-in must not trust a name that was re-used. */
  byUserName: (userName: string) => Promise<PersonFacts | null>;
  /** At most a minute old. Null: there is no such person (any more). */
  person: (personId: string) => Promise<PersonFacts | null>;
  /** Names of a person's groups, at most a minute old; none for a person who is gone or disabled. */
  groupsOf: (personId: string) => Promise<string[]>;
  /** Enabled members of a group by its name, at most a minute old; none when there is no such group. */
  membersOf: (group: string) => Promise<PersonFacts[]>;
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
  now: () => Date;
  /** Called with what was read from the identity store, before it is answered: keeps our own rows of people. */
  remember: (person: PersonFacts) => Promise<void>;
};

/**
 * So many people are asked about one by one; for more the store is listed, a hundred a call: each of its APIs takes 20 calls a second
 * (aws-facts 1.5), and a leaver may keep nothing for longer than a minute (ID-12).
 */
const mostOneByOne = 60;

/** Answers are made of remembered answers at most once, so this is half of the minute that is promised. */
const freshMs = 30_000;

/** Remembers answers for `freshMs`; those who ask at once share one call; failures are not remembered. */
export const remembering = <T>(read: (key: string) => Promise<T>, now: () => Date): ((key: string) => Promise<T>) => {
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

/** Null when there is no such person or group. A whole identity store that is not there is a fault: nobody has left (ID-12). */
const orNull = async <T>(call: Promise<T>): Promise<T | null> => {
  try {
    return await call;
  } catch (error) {
    if (error instanceof ResourceNotFoundException && error.ResourceType !== 'IDENTITY_STORE') return null;
    throw error;
  }
};

/** Reads by the SDK; where it connects is decided by the SDK's own endpoint settings alone. */
export const createDirectory = (options: DirectoryOptions): Directory => {
  const { identityStoreId: IdentityStoreId, now, remember } = options;
  const client = new IdentitystoreClient({ region: options.region, maxAttempts: 4 });

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
    if (user?.UserId === undefined || user.UserName === undefined) return null;
    const emails = user.Emails ?? [];
    const person: PersonFacts = {
      id: user.UserId,
      userName: user.UserName,
      displayName: user.DisplayName ?? user.UserName,
      email: (emails.find((email) => email.Primary === true) ?? emails[0])?.Value ?? null,
      enabled: user.UserStatus !== 'DISABLED',
      groups: await readGroups(UserId),
      checkedAt: now(),
    };
    await remember(person);
    return person;
  };

  const person = remembering(readPerson, now);

  const askStanding = async (UserId: string): Promise<Standing> => {
    const user = await orNull(client.send(new DescribeUserCommand({ IdentityStoreId, UserId })));
    return standingOf(user === null ? null : { enabled: user.UserStatus !== 'DISABLED' });
  };

  /** Those of whom the list tells a status. Who is missing on it may just have moved from page to page. */
  const listed = async (): Promise<Map<string, Standing>> => {
    const found = new Map<string, Standing>();
    for await (const { Users } of paginateListUsers({ client, pageSize: 100 }, { IdentityStoreId })) {
      for (const { UserId, UserStatus } of Users ?? []) {
        if (UserId === undefined || UserStatus === undefined) continue;
        found.set(UserId, standingOf({ enabled: UserStatus !== 'DISABLED' }));
      }
    }
    return found;
  };

  const standings = async (personIds: readonly string[]): Promise<Standings> => {
    // Without the right to list (an older set of rights), or when listing breaks, each is asked about all the same.
    const list = personIds.length <= mostOneByOne ? null : await listed().catch(() => null);
    return standingsOneByOne(personIds, async (id) => list?.get(id) ?? (await askStanding(id)));
  };

  const membersOf = remembering(async (group: string) => {
    const found = await orNull(
      client.send(
        new GetGroupIdCommand({
          IdentityStoreId,
          AlternateIdentifier: { UniqueAttribute: { AttributePath: 'displayName', AttributeValue: group } },
        }),
      ),
    );
    if (found?.GroupId === undefined) return [];
    const members: PersonFacts[] = [];
    for await (const page of paginateListGroupMemberships({ client }, { IdentityStoreId, GroupId: found.GroupId })) {
      for (const { MemberId } of page.GroupMemberships ?? []) {
        const member = MemberId?.UserId === undefined ? null : await person(MemberId.UserId);
        if (member?.enabled === true) members.push(member);
      }
    }
    return members;
  }, now);

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
    groupsOf: async (personId) => {
      const known = await person(personId);
      return known?.enabled === true ? known.groups : [];
    },
    membersOf,
    standings,
  };
};
