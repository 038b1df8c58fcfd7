/** Users and groups: what can be read of them, and renaming users. They come from the world. */
import { z } from 'zod';
import { callerOfUser, entityArn } from '../authorization/caller.ts';
import type { CredentialStore } from '../authorization/credential-store.ts';
import { AwsError, type Caller } from '../service.ts';
import * as rule from './input.ts';
import { alreadyExists, findHolder, type IamDeps, type Operation, tagList } from './lookups.ts';
import { holderArn, holderKey, type IamGroup, type IamState, type IamUser } from './state.ts';

const describedUser = (one: IamUser) => ({
  Path: one.path,
  UserName: one.name,
  UserId: one.id,
  Arn: holderArn(one),
  CreateDate: one.createdAt,
});
const describedGroup = (one: IamGroup) => ({
  Path: one.path,
  GroupName: one.name,
  GroupId: one.id,
  Arn: holderArn(one),
  CreateDate: one.createdAt,
});

export type UserDeps = IamDeps & { credentials: Pick<CredentialStore, 'renameUser'> };

const listInput = z.object({ PathPrefix: rule.pathPrefix.default('/'), ...rule.pageShape });
const updateInput = z.object({
  UserName: rule.userName,
  NewPath: rule.path.optional(),
  NewUserName: rule.userName.optional(),
});
const userInput = z.object({ UserName: rule.userName.optional() });
const groupsInput = z.object({ UserName: rule.userName, ...rule.pageShape });
const membersInput = z.object({ GroupName: rule.groupName, ...rule.pageShape });

/** Under another name or path: id, groups, policies, boundary and keys go along. @throws AwsError when the name is another's. */
export const moveUser = (
  { state, credentials }: Pick<UserDeps, 'state' | 'credentials'>,
  one: IamUser,
  place: Partial<Pick<IamUser, 'name' | 'path'>>,
): void => {
  const changed = { ...one, ...place };
  const [from, to] = [holderKey(one.accountId, one.name), holderKey(one.accountId, changed.name)];
  if (from !== to && state.users.get(to)) throw alreadyExists(`User with name ${changed.name} already exists.`);
  if (from !== to) state.users.remove(from);
  // Rights are judged by the user's id: it goes on with what it has.
  state.users.put(to, changed, 'at once');
  credentials.renameUser(callerOfUser(changed));
};

/** Under another name: id, members and policies go along, as by UpdateGroup. */
export const moveGroup = (state: IamState, one: IamGroup, name: string): void => {
  const { accountId } = one;
  const [from, to] = [holderKey(accountId, one.name), holderKey(accountId, name)];
  if (state.groups.get(to)) throw alreadyExists(`Group with name ${name} already exists.`);
  state.groups.remove(from);
  state.groups.put(to, { ...one, name }, 'at once');
  for (const user of state.users.all()) {
    if (user.accountId !== accountId || !user.groups.includes(one.name)) continue;
    const groups = user.groups.map((group) => (group === one.name ? name : group));
    state.users.put(holderKey(accountId, user.name), { ...user, groups }, 'at once');
  }
};

export const createUserOperations = (deps: UserDeps): Record<string, Operation> => {
  const { state, authorise } = deps;

  /** Without a name GetUser tells who is asking; only users can ask that. */
  const ownName = (caller: Caller): string => {
    if (caller.entity.kind === 'user') return caller.entity.name;
    throw new AwsError('ValidationError', 'Must specify userName when calling with non-User credentials', 400);
  };

  return {
    GetUser: (raw, caller) => {
      const input = rule.parseInput(userInput, raw);
      const name = input.UserName ?? ownName(caller);
      const one = findHolder(deps, caller, { kind: 'user', name, action: 'iam:GetUser' });
      if (one.kind !== 'user') throw new Error('A user was looked up and something else was found');
      const boundary =
        one.boundary === undefined
          ? undefined
          : { PermissionsBoundaryType: 'Policy', PermissionsBoundaryArn: one.boundary };
      const tags = Object.keys(one.tags).length === 0 ? undefined : tagList(one.tags);
      return { User: { ...describedUser(one), PermissionsBoundary: boundary, Tags: tags } };
    },

    /** Boundary and tags are told by GetUser, not by ListUsers. */
    ListUsers: (raw, caller) => {
      const input = rule.parseInput(listInput, raw);
      const arn = `arn:aws:iam::${caller.accountId}:user${input.PathPrefix}`;
      authorise(caller, { action: 'iam:ListUsers', resources: [{ arn }] });
      const users = state.users
        .all()
        .filter((one) => one.accountId === caller.accountId && one.path.startsWith(input.PathPrefix));
      const { items, more } = rule.pageOf(users, input);
      return { Users: items.map(describedUser), ...more };
    },

    /** Whoever renames must be allowed it on both names. */
    UpdateUser: (raw, caller) => {
      const input = rule.parseInput(updateInput, raw);
      const action = 'iam:UpdateUser';
      const one = findHolder(deps, caller, { kind: 'user', name: input.UserName, action });
      if (one.kind !== 'user') throw new Error('A user was looked up and something else was found');
      const place = { name: input.NewUserName ?? one.name, path: input.NewPath ?? one.path };
      authorise(caller, { action, resources: [{ arn: entityArn('user', { ...one, ...place }) }] });
      moveUser(deps, one, place);
      return {};
    },

    ListGroupsForUser: (raw, caller) => {
      const input = rule.parseInput(groupsInput, raw);
      const one = findHolder(deps, caller, { kind: 'user', name: input.UserName, action: 'iam:ListGroupsForUser' });
      const names = one.kind === 'user' ? one.groups : [];
      const groups = names.flatMap((name) => state.groups.get(holderKey(caller.accountId, name)) ?? []);
      const { items, more } = rule.pageOf(groups, input);
      return { Groups: items.map(describedGroup), ...more };
    },

    GetGroup: (raw, caller) => {
      const input = rule.parseInput(membersInput, raw);
      const one = findHolder(deps, caller, { kind: 'group', name: input.GroupName, action: 'iam:GetGroup' });
      if (one.kind !== 'group') throw new Error('A group was looked up and something else was found');
      const members = state.users
        .all()
        .filter((user) => user.accountId === one.accountId && user.groups.includes(one.name));
      const { items, more } = rule.pageOf(members, input);
      return { Group: describedGroup(one), Users: items.map(describedUser), ...more };
    },
  };
};
