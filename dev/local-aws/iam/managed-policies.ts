/** Customer-managed policies and their versions. */
import { z } from 'zod';
import { uniqueId } from '../authorization/credential-store.ts';
import { parsePolicyDocument } from '../authorization/policy-document.ts';
import { AwsError, type Caller } from '../service.ts';
import * as rule from './input.ts';
import {
  alreadyExists,
  deleteConflict,
  type IamDeps,
  limitExceeded,
  noSuchEntity,
  type Operation,
  requestTagKeys,
  tagList,
  tagRecord,
  urlEncoded,
  usablePolicy,
} from './lookups.ts';
import type { IamState, ManagedPolicy } from './state.ts';

const documentLimit = 6144;
const versionLimit = 5;

const policy = z.object({ PolicyArn: rule.arn });
const version = policy.extend({ VersionId: rule.versionId });
const listInput = z.object({
  Scope: z.enum(['All', 'AWS', 'Local']).default('All'),
  OnlyAttached: rule.flag.default(false),
  PathPrefix: rule.pathPrefix.default('/'),
  ...rule.pageShape,
});
const createInput = z.object({
  PolicyName: rule.policyName,
  Path: rule.path.default('/'),
  PolicyDocument: rule.document,
  Description: rule.description,
  Tags: rule.tags.default([]),
});

const checkDocument = (document: string): void => {
  parsePolicyDocument(document, 'identity');
  if (rule.countedCharacters(document) > documentLimit) {
    throw limitExceeded(`Cannot exceed quota for PolicySize: ${documentLimit}`);
  }
};

const uses = (state: IamState, accountId: string, arn: string): { attachments: number; boundaries: number } => {
  const roles = state.roles.all().filter((one) => one.accountId === accountId);
  const users = state.users.all().filter((one) => one.accountId === accountId);
  const groups = state.groups.all().filter((one) => one.accountId === accountId);
  return {
    attachments: [...roles, ...users, ...groups].filter((one) => one.attached.includes(arn)).length,
    boundaries: [...roles, ...users].filter((one) => one.boundary === arn).length,
  };
};

const described = (state: IamState, caller: Caller, one: ManagedPolicy) => {
  const { attachments, boundaries } = uses(state, caller.accountId, one.arn);
  return {
    PolicyName: one.name,
    PolicyId: one.id,
    Arn: one.arn,
    Path: one.path,
    DefaultVersionId: one.defaultVersionId,
    AttachmentCount: attachments,
    PermissionsBoundaryUsageCount: boundaries,
    IsAttachable: true,
    CreateDate: one.createdAt,
    UpdateDate: one.updatedAt,
  };
};

const describedVersion = (one: ManagedPolicy, given: ManagedPolicy['versions'][number]) => ({
  VersionId: given.id,
  IsDefaultVersion: given.id === one.defaultVersionId,
  CreateDate: given.createdAt,
});

export const createManagedPolicyOperations = (deps: IamDeps): Record<string, Operation> => {
  const { state, authorise } = deps;

  const find = (caller: Caller, arn: string, action: string): ManagedPolicy => {
    authorise(caller, { action: `iam:${action}`, resources: [{ arn }] });
    const one = usablePolicy(state, caller, arn);
    if (!one) throw noSuchEntity(`Policy ${arn} was not found.`);
    return one;
  };

  /** For a write: policies of AWS's own are not the account's. */
  const findOwn = (caller: Caller, arn: string, action: string): ManagedPolicy => {
    const one = find(caller, arn, action);
    if (one.accountId !== caller.accountId) {
      throw new AwsError('AccessDenied', `Policy ${arn} is AWS managed and cannot be changed.`, 403);
    }
    return one;
  };

  const findVersion = (one: ManagedPolicy, id: string): ManagedPolicy['versions'][number] => {
    const found = one.versions.find((given) => given.id === id);
    if (!found) {
      throw noSuchEntity(`Policy ${one.arn} version ${id} does not exist or is not attachable.`);
    }
    return found;
  };

  const save = (one: ManagedPolicy): void => state.policies.put(one.arn, one);

  return {
    CreatePolicy: (raw, caller) => {
      const input = rule.parseInput(createInput, raw);
      const tags = tagRecord(input.Tags);
      const { accountId } = caller;
      const arn = `arn:aws:iam::${accountId}:policy${input.Path}${input.PolicyName}`;
      authorise(caller, { action: 'iam:CreatePolicy', resources: [{ arn, contextKeys: requestTagKeys(tags) }] });
      checkDocument(input.PolicyDocument);
      const sameName = (one: ManagedPolicy): boolean =>
        one.accountId === accountId && one.name.toLowerCase() === input.PolicyName.toLowerCase();
      if (state.policies.all().some(sameName)) {
        throw alreadyExists(`A policy called ${input.PolicyName} already exists. Duplicate names are not allowed.`);
      }
      const at = deps.now();
      const made: ManagedPolicy = {
        accountId,
        name: input.PolicyName,
        path: input.Path,
        id: uniqueId('ANPA', 17),
        arn,
        description: input.Description,
        createdAt: at,
        updatedAt: at,
        tags,
        versions: [{ id: 'v1', document: input.PolicyDocument, createdAt: at }],
        defaultVersionId: 'v1',
        lastVersion: 1,
      };
      save(made);
      return { Policy: described(state, caller, made) };
    },

    GetPolicy: (raw, caller) => {
      const one = find(caller, rule.parseInput(policy, raw).PolicyArn, 'GetPolicy');
      return { Policy: { ...described(state, caller, one), Description: one.description, Tags: tagList(one.tags) } };
    },

    ListPolicies: (raw, caller) => {
      const input = rule.parseInput(listInput, raw);
      const arn = `arn:aws:iam::${caller.accountId}:policy${input.PathPrefix}`;
      authorise(caller, { action: 'iam:ListPolicies', resources: [{ arn }] });
      const owners = { All: ['aws', caller.accountId], AWS: ['aws'], Local: [caller.accountId] }[input.Scope];
      const found = state.policies
        .all()
        .filter((one) => owners.includes(one.accountId) && one.path.startsWith(input.PathPrefix))
        .map((one) => described(state, caller, one))
        .filter((one) => !input.OnlyAttached || one.AttachmentCount > 0);
      const { items, more } = rule.pageOf(found, input);
      return { Policies: items, ...more };
    },

    DeletePolicy: (raw, caller) => {
      const one = findOwn(caller, rule.parseInput(policy, raw).PolicyArn, 'DeletePolicy');
      const { attachments, boundaries } = uses(state, caller.accountId, one.arn);
      if (attachments + boundaries > 0) throw deleteConflict('Cannot delete a policy attached to entities.');
      if (one.versions.length > 1) {
        throw deleteConflict(
          "This policy has more than one version. Before you delete a policy, you must delete the policy's versions. The default version is deleted with the policy.",
        );
      }
      state.policies.remove(one.arn);
      return {};
    },

    CreatePolicyVersion: (raw, caller) => {
      const input = rule.parseInput(
        policy.extend({ PolicyDocument: rule.document, SetAsDefault: rule.flag.default(false) }),
        raw,
      );
      const one = findOwn(caller, input.PolicyArn, 'CreatePolicyVersion');
      checkDocument(input.PolicyDocument);
      if (one.versions.length >= versionLimit) {
        throw limitExceeded(
          `A managed policy can have up to ${versionLimit} versions. Before you create a new version, you must delete an existing version.`,
        );
      }
      const at = deps.now();
      const number = one.lastVersion + 1;
      const made = { id: `v${number}`, document: input.PolicyDocument, createdAt: at };
      const changed: ManagedPolicy = {
        ...one,
        versions: [made, ...one.versions],
        lastVersion: number,
        updatedAt: at,
        defaultVersionId: input.SetAsDefault ? made.id : one.defaultVersionId,
      };
      save(changed);
      return { PolicyVersion: describedVersion(changed, made) };
    },

    GetPolicyVersion: (raw, caller) => {
      const input = rule.parseInput(version, raw);
      const one = find(caller, input.PolicyArn, 'GetPolicyVersion');
      const found = findVersion(one, input.VersionId);
      return { PolicyVersion: { Document: urlEncoded(found.document), ...describedVersion(one, found) } };
    },

    ListPolicyVersions: (raw, caller) => {
      const input = rule.parseInput(policy.extend(rule.pageShape), raw);
      const one = find(caller, input.PolicyArn, 'ListPolicyVersions');
      const { items, more } = rule.pageOf(one.versions, input);
      return { Versions: items.map((given) => describedVersion(one, given)), ...more };
    },

    SetDefaultPolicyVersion: (raw, caller) => {
      const input = rule.parseInput(version, raw);
      const one = findOwn(caller, input.PolicyArn, 'SetDefaultPolicyVersion');
      save({ ...one, defaultVersionId: findVersion(one, input.VersionId).id, updatedAt: deps.now() });
      return {};
    },

    DeletePolicyVersion: (raw, caller) => {
      const input = rule.parseInput(version, raw);
      const one = findOwn(caller, input.PolicyArn, 'DeletePolicyVersion');
      const found = findVersion(one, input.VersionId);
      if (found.id === one.defaultVersionId) throw deleteConflict('Cannot delete the default version of a policy.');
      save({ ...one, versions: one.versions.filter((given) => given !== found) });
      return {};
    },
  };
};
