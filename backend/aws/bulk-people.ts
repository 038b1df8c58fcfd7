/**
 * Facts of thousands of people, read in bulk. One by one they are two calls each, of an API that takes 20 a second (aws-facts 1.9): four
 * minutes for 2,500. In pages of a hundred those are 25 calls for the people and, in 300 groups, some 330 for who is in which.
 */
import {
  AccessDeniedException,
  DescribeGroupCommand,
  DescribeUserCommand,
  ListGroupMembershipsForMemberCommand,
  ListGroupsCommand,
  ListUsersCommand,
  type User,
} from '@aws-sdk/client-identitystore';
import type { PersonFacts } from '../store/people.ts';
import { type IdentityStore, orNull, personFactsOf, readMemberIds, type StoreGroup } from './identity-store.ts';
import { allPages } from './pages.ts';

/** Names of the groups of each person, by UserId. */
type GroupNames = ReadonlyMap<string, ReadonlySet<string>>;

/** What `read` made, or `otherwise` without the right to it: an older set of rights lists neither users nor groups. */
const unlessDenied = async <T>(read: Promise<T>, otherwise: T): Promise<T> => {
  try {
    return await read;
  } catch (error) {
    if (error instanceof AccessDeniedException) return otherwise;
    throw error;
  }
};

/** Lists users until all that are wanted were found, or until asking about each would have cost no more. */
const listUsers = async (store: IdentityStore, wanted: ReadonlySet<string>): Promise<Map<string, User>> => {
  const input = { IdentityStoreId: store.identityStoreId, MaxResults: 100 };
  const found = new Map<string, User>();
  let pages = 0;
  await allPages(async (NextToken) => {
    await store.pace();
    const page = await store.client.send(
      new ListUsersCommand(NextToken === undefined ? input : { ...input, NextToken }),
    );
    pages += 1;
    for (const user of page.Users ?? []) {
      // A list that tells no status would make everybody enabled.
      if (user.UserId === undefined || user.UserStatus === undefined || !wanted.has(user.UserId)) continue;
      found.set(user.UserId, user);
    }
    const done = found.size === wanted.size || pages >= wanted.size;
    return { items: [], next: done ? undefined : page.NextToken };
  });
  return found;
};

/** The users of these ids. Who moved from page to page while they were listed is asked about; who is gone is left out. */
const readUsers = async (store: IdentityStore, wanted: ReadonlySet<string>): Promise<Partial<User>[]> => {
  const listed = await unlessDenied(listUsers(store, wanted), new Map<string, User>());
  const users: Partial<User>[] = [...listed.values()];
  for (const UserId of wanted) {
    if (listed.has(UserId)) continue;
    await store.pace();
    const input = { IdentityStoreId: store.identityStoreId, UserId };
    const user = await orNull(store.client.send(new DescribeUserCommand(input)));
    if (user !== null) users.push(user);
  }
  return users;
};

/** Id to name of all groups; null when there are more than `most`. */
const listGroups = async (store: IdentityStore, most: number): Promise<Map<string, string> | null> => {
  const input = { IdentityStoreId: store.identityStoreId, MaxResults: 100 };
  const names = new Map<string, string>();
  await allPages(async (NextToken) => {
    await store.pace();
    const page = await store.client.send(
      new ListGroupsCommand(NextToken === undefined ? input : { ...input, NextToken }),
    );
    for (const { GroupId, DisplayName } of page.Groups ?? []) {
      if (GroupId !== undefined && DisplayName !== undefined) names.set(GroupId, DisplayName);
    }
    return { items: [], next: names.size > most ? undefined : page.NextToken };
  });
  return names.size > most ? null : names;
};

/** A call (or a few) for each group. What was read already is not asked for again. */
const namesByGroup = async (
  store: IdentityStore,
  { all, read }: { all: ReadonlyMap<string, string>; read: readonly StoreGroup[] },
): Promise<GroupNames> => {
  const known = new Map(read.map((group) => [group.id, group.memberIds]));
  const names = new Map<string, Set<string>>();
  for (const [groupId, name] of all) {
    for (const id of known.get(groupId) ?? (await readMemberIds(store, groupId))) {
      names.set(id, (names.get(id) ?? new Set()).add(name));
    }
  }
  return names;
};

/** A call (or a few) for each person, and one for each group that turns up. */
const namesByPerson = async (store: IdentityStore, wanted: ReadonlySet<string>): Promise<GroupNames> => {
  const IdentityStoreId = store.identityStoreId;
  const known = new Map<string, string | null>();
  const nameOf = async (GroupId: string): Promise<string | null> => {
    const held = known.get(GroupId);
    if (held !== undefined) return held;
    await store.pace();
    const group = await orNull(store.client.send(new DescribeGroupCommand({ IdentityStoreId, GroupId })));
    const name = group?.DisplayName ?? null;
    known.set(GroupId, name);
    return name;
  };
  const names = new Map<string, Set<string>>();
  for (const UserId of wanted) {
    const input = { IdentityStoreId, MemberId: { UserId }, MaxResults: 100 };
    const groupIds = await orNull(
      allPages(async (NextToken) => {
        await store.pace();
        const page = await store.client.send(
          new ListGroupMembershipsForMemberCommand(NextToken === undefined ? input : { ...input, NextToken }),
        );
        return { items: (page.GroupMemberships ?? []).flatMap(({ GroupId }) => GroupId ?? []), next: page.NextToken };
      }),
    );
    const found = new Set<string>();
    for (const groupId of groupIds ?? []) {
      const name = await nameOf(groupId);
      if (name !== null) found.add(name);
    }
    names.set(UserId, found);
  }
  return names;
};

/**
 * The members of these groups with all groups that each is in, as rules may name any. Which group has whom is asked by group or by person,
 * whichever is fewer calls: a company of 300 people may well have 20,000 groups.
 * @param checkedAt when the reading began: nothing in it is older.
 */
export const readPeople = async (
  store: IdentityStore,
  groups: readonly StoreGroup[],
  checkedAt: Date,
): Promise<PersonFacts[]> => {
  const wanted = new Set(groups.flatMap(({ memberIds }) => memberIds));
  const users = await readUsers(store, wanted);
  const all = await unlessDenied(listGroups(store, wanted.size), null);
  const names = all === null ? await namesByPerson(store, wanted) : await namesByGroup(store, { all, read: groups });
  return users.flatMap((user) => {
    const inGroups = user.UserId === undefined ? undefined : names.get(user.UserId);
    return personFactsOf(user, { groups: [...(inGroups ?? [])].sort(), checkedAt }) ?? [];
  });
};
