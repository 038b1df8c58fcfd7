/** Users and groups: what can be read of them. They come from the world. */
import { z } from 'zod';
import { AwsError, type Caller } from '../service.ts';
import * as rule from './input.ts';
import { findHolder, type IamDeps, type Operation, tagList } from './lookups.ts';
import { holderArn, holderKey, type IamGroup, type IamUser } from './state.ts';

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

const userInput = z.object({ UserName: rule.userName.optional() });
const groupsInput = z.object({ UserName: rule.userName, ...rule.pageShape });
const membersInput = z.object({ GroupName: rule.groupName, ...rule.pageShape });

export const createUserOperations = (deps: IamDeps): Record<string, Operation> => {
  const { state } = deps;

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
