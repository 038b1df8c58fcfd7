/** Roles: create, read, list, tag, trust, permissions boundary, delete. */
import { z } from 'zod';
import { entityArn } from '../authorization/caller.ts';
import { uniqueId } from '../authorization/credential-store.ts';
import { parsePolicyDocument } from '../authorization/policy-document.ts';
import { AwsError, type Caller } from '../service.ts';
import * as rule from './input.ts';
import {
  alreadyExists,
  deleteConflict,
  findHolder,
  type IamDeps,
  limitExceeded,
  noSuchEntity,
  type Operation,
  refuseProtected,
  requestTagKeys,
  tagList,
  tagRecord,
  urlEncoded,
  usablePolicy,
} from './lookups.ts';
import { holderArn, holderKey, type IamGroup, type IamRole, type IamUser, type PolicyHolder } from './state.ts';

const trustLimit = 2048;
const rolesPerAccount = 1000;
const tagsPerRole = 50;

const listInput = z.object({ PathPrefix: rule.pathPrefix.default('/'), ...rule.pageShape });
const role = z.object({ RoleName: rule.roleName });
const createInput = role.extend({
  Path: rule.path.default('/'),
  AssumeRolePolicyDocument: rule.document,
  Description: rule.description,
  MaxSessionDuration: rule.sessionDuration.default(3600),
  PermissionsBoundary: rule.arn.optional(),
  Tags: rule.tags.default([]),
});

const detailsInput = z.object({ Filter: z.array(z.enum(['Role', 'User', 'Group'])).length(1), ...rule.pageShape });

const described = (one: IamRole) => ({
  Path: one.path,
  RoleName: one.name,
  RoleId: one.id,
  Arn: holderArn(one),
  CreateDate: one.createdAt,
  AssumeRolePolicyDocument: urlEncoded(one.trust),
  Description: one.description,
  MaxSessionDuration: one.maxSessionSeconds,
});

const boundaryOf = ({ boundary }: IamRole | IamUser) =>
  boundary === undefined ? undefined : { PermissionsBoundaryType: 'Policy', PermissionsBoundaryArn: boundary };

/** Boundary and tags are told by GetRole and CreateRole, not by ListRoles. */
const describedFully = (one: IamRole) => ({
  ...described(one),
  PermissionsBoundary: boundaryOf(one),
  Tags: Object.keys(one.tags).length === 0 ? undefined : tagList(one.tags),
});

const inlinePolicies = (one: PolicyHolder) =>
  Object.entries(one.inline).map(([PolicyName, text]) => ({ PolicyName, PolicyDocument: urlEncoded(text) }));
const attachedPolicies = (one: PolicyHolder) =>
  one.attached.map((PolicyArn) => ({ PolicyName: PolicyArn.split('/').at(-1) ?? '', PolicyArn }));

/** A role with everything that hangs on it. */
const detailed = (one: IamRole) => {
  const { Description: _, MaxSessionDuration: __, ...rest } = describedFully(one);
  return { ...rest, RolePolicyList: inlinePolicies(one), AttachedManagedPolicies: attachedPolicies(one) };
};

/** A user with its groups and everything that hangs on it. */
const detailedUser = (one: IamUser) => ({
  Path: one.path,
  UserName: one.name,
  UserId: one.id,
  Arn: holderArn(one),
  CreateDate: one.createdAt,
  UserPolicyList: inlinePolicies(one),
  GroupList: one.groups,
  AttachedManagedPolicies: attachedPolicies(one),
  PermissionsBoundary: boundaryOf(one),
  Tags: Object.keys(one.tags).length === 0 ? undefined : tagList(one.tags),
});

/** A group with everything that hangs on it; its members are told by GetGroup alone. */
const detailedGroup = (one: IamGroup) => ({
  Path: one.path,
  GroupName: one.name,
  GroupId: one.id,
  Arn: holderArn(one),
  CreateDate: one.createdAt,
  GroupPolicyList: inlinePolicies(one),
  AttachedManagedPolicies: attachedPolicies(one),
});

export const createRoleOperations = (deps: IamDeps): Record<string, Operation> => {
  const { state, authorise } = deps;

  const find = (caller: Caller, name: string, action: string, keys?: Record<string, string[]>): IamRole => {
    const one = findHolder(deps, caller, { kind: 'role', name, action: `iam:${action}` }, keys);
    if (one.kind !== 'role') throw new Error('A role was looked up and something else was found');
    return one;
  };

  const save = (one: IamRole): void => state.roles.put(holderKey(one.accountId, one.name), one);

  /** A role or user must be there, as far as IAM has heard; a session is taken on trust. */
  const isPrincipal = (value: string): boolean => {
    if (value === '*' || /^(?:\d{12}|arn:aws:iam::\d{12}:root)$/.test(value)) return true;
    if (/^arn:aws:sts::\d{12}:assumed-role\/[^*?/]+\/[^*?/]+$/.test(value)) return true;
    const [, accountId, kind, name] = /^arn:aws:iam::(\d{12}):(role|user)\/(?:[^*?]+\/)?([^*?/]+)$/.exec(value) ?? [];
    if (!accountId || !name) return false;
    const found = (kind === 'role' ? state.roles : state.users).seen(holderKey(accountId, name));
    return found !== undefined && holderArn(found) === value;
  };

  const checkTrust = (document: string): void => {
    const trust = parsePolicyDocument(document, 'trust');
    if (rule.countedCharacters(document) > trustLimit) {
      throw limitExceeded(`Cannot exceed quota for ACLSizePerRole: ${trustLimit}`);
    }
    for (const { type, value } of trust.statements.flatMap(({ principals }) => principals?.list ?? [])) {
      if (type === 'AWS' && !isPrincipal(value)) {
        throw new AwsError('MalformedPolicyDocument', `Invalid principal in policy: "${type}":"${value}"`, 400);
      }
    }
  };

  const checkBoundary = (caller: Caller, boundary: string): void => {
    if (!usablePolicy(state, caller, boundary)) {
      throw noSuchEntity(`Scope ARN: ${boundary} does not exist or is not attachable.`);
    }
  };

  return {
    CreateRole: (raw, caller) => {
      const input = rule.parseInput(createInput, raw);
      const tags = tagRecord(input.Tags);
      const { accountId } = caller;
      const arn = entityArn('role', { accountId, name: input.RoleName, path: input.Path });
      const boundary = input.PermissionsBoundary;
      const contextKeys = {
        ...requestTagKeys(tags),
        ...(boundary === undefined ? {} : { 'iam:PermissionsBoundary': [boundary] }),
      };
      authorise(caller, { action: 'iam:CreateRole', resources: [{ arn, contextKeys }] });
      // Tags at creation need the right to tag, too.
      if (input.Tags.length > 0) authorise(caller, { action: 'iam:TagRole', resources: [{ arn, contextKeys }] });
      if (input.Path.startsWith('/aws-reserved/')) {
        throw new AwsError('InvalidInput', `The path ${input.Path} is reserved for AWS.`, 400);
      }
      checkTrust(input.AssumeRolePolicyDocument);
      if (boundary !== undefined) checkBoundary(caller, boundary);
      if (state.role(accountId, input.RoleName)) {
        throw alreadyExists(`Role with name ${input.RoleName} already exists.`);
      }
      if (state.roles.all().filter((one) => one.accountId === accountId).length >= rolesPerAccount) {
        throw limitExceeded(`Cannot exceed quota for RolesPerAccount: ${rolesPerAccount}`);
      }
      const made: IamRole = {
        kind: 'role',
        accountId,
        name: input.RoleName,
        path: input.Path,
        id: uniqueId('AROA', 17),
        createdAt: deps.now(),
        tags,
        inline: {},
        attached: [],
        trust: input.AssumeRolePolicyDocument,
        description: input.Description,
        maxSessionSeconds: input.MaxSessionDuration,
        boundary,
      };
      save(made);
      return { Role: describedFully(made) };
    },

    GetRole: (raw, caller) => {
      const input = rule.parseInput(role, raw);
      return { Role: describedFully(find(caller, input.RoleName, 'GetRole')) };
    },

    ListRoles: (raw, caller) => {
      const input = rule.parseInput(listInput, raw);
      const arn = `arn:aws:iam::${caller.accountId}:role${input.PathPrefix}`;
      authorise(caller, { action: 'iam:ListRoles', resources: [{ arn }] });
      const roles = state.roles
        .all()
        .filter((one) => one.accountId === caller.accountId && one.path.startsWith(input.PathPrefix));
      const { items, more } = rule.pageOf(roles, input);
      return { Roles: items.map(described), ...more };
    },

    /** Of what there is, only roles or only users: `Filter` must say so. */
    GetAccountAuthorizationDetails: (raw, caller) => {
      const input = rule.parseInput(detailsInput, raw);
      authorise(caller, { action: 'iam:GetAccountAuthorizationDetails', resources: [{ arn: '*' }] });
      if (input.Filter[0] === 'User') {
        const users = state.users.all().filter((one) => one.accountId === caller.accountId);
        const { items, more } = rule.pageOf(users, input);
        return { UserDetailList: items.map(detailedUser), ...more };
      }
      if (input.Filter[0] === 'Group') {
        const groups = state.groups.all().filter((one) => one.accountId === caller.accountId);
        const { items, more } = rule.pageOf(groups, input);
        return { GroupDetailList: items.map(detailedGroup), ...more };
      }
      const roles = state.roles.all().filter((one) => one.accountId === caller.accountId);
      const { items, more } = rule.pageOf(roles, input);
      return { RoleDetailList: items.map(detailed), ...more };
    },

    UpdateRole: (raw, caller) => {
      const schema = role.extend({
        Description: rule.description,
        MaxSessionDuration: rule.sessionDuration.optional(),
      });
      const input = rule.parseInput(schema, raw);
      const one = find(caller, input.RoleName, 'UpdateRole');
      refuseProtected(one);
      save({
        ...one,
        description: input.Description ?? one.description,
        maxSessionSeconds: input.MaxSessionDuration ?? 3600,
      });
      return {};
    },

    DeleteRole: (raw, caller) => {
      const input = rule.parseInput(role, raw);
      const one = find(caller, input.RoleName, 'DeleteRole');
      refuseProtected(one);
      if (one.attached.length > 0) throw deleteConflict('Cannot delete entity, must detach all policies first.');
      if (Object.keys(one.inline).length > 0) throw deleteConflict('Cannot delete entity, must delete policies first.');
      state.roles.remove(holderKey(one.accountId, one.name));
      return {};
    },

    UpdateAssumeRolePolicy: (raw, caller) => {
      const input = rule.parseInput(role.extend({ PolicyDocument: rule.document }), raw);
      const one = find(caller, input.RoleName, 'UpdateAssumeRolePolicy');
      refuseProtected(one);
      checkTrust(input.PolicyDocument);
      save({ ...one, trust: input.PolicyDocument });
      return {};
    },

    PutRolePermissionsBoundary: (raw, caller) => {
      const input = rule.parseInput(role.extend({ PermissionsBoundary: rule.arn }), raw);
      // The condition key is the boundary to be set, so that a fence can demand which one.
      const keys = { 'iam:PermissionsBoundary': [input.PermissionsBoundary] };
      const one = find(caller, input.RoleName, 'PutRolePermissionsBoundary', keys);
      refuseProtected(one);
      checkBoundary(caller, input.PermissionsBoundary);
      save({ ...one, boundary: input.PermissionsBoundary });
      return {};
    },

    DeleteRolePermissionsBoundary: (raw, caller) => {
      const input = rule.parseInput(role, raw);
      const one = find(caller, input.RoleName, 'DeleteRolePermissionsBoundary');
      refuseProtected(one);
      if (one.boundary === undefined) {
        throw noSuchEntity(`The role with name ${one.name} does not have a permissions boundary.`);
      }
      save({ ...one, boundary: undefined });
      return {};
    },

    TagRole: (raw, caller) => {
      const input = rule.parseInput(role.extend({ Tags: rule.tags }), raw);
      const added = tagRecord(input.Tags);
      const one = find(caller, input.RoleName, 'TagRole', requestTagKeys(added));
      refuseProtected(one);
      const tags = { ...one.tags, ...added };
      if (Object.keys(tags).length > tagsPerRole) {
        throw limitExceeded(`The number of tags has reached the maximum limit: ${tagsPerRole}`);
      }
      save({ ...one, tags });
      return {};
    },

    UntagRole: (raw, caller) => {
      const input = rule.parseInput(role.extend({ TagKeys: z.array(rule.tagKey).max(50) }), raw);
      const one = find(caller, input.RoleName, 'UntagRole', { 'aws:TagKeys': input.TagKeys });
      refuseProtected(one);
      const tags = Object.fromEntries(Object.entries(one.tags).filter(([key]) => !input.TagKeys.includes(key)));
      save({ ...one, tags });
      return {};
    },

    ListRoleTags: (raw, caller) => {
      const input = rule.parseInput(role.extend(rule.pageShape), raw);
      const one = find(caller, input.RoleName, 'ListRoleTags');
      const { items, more } = rule.pageOf(tagList(one.tags), input);
      return { Tags: items, ...more };
    },
  };
};
