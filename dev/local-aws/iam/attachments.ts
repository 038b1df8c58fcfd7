/** Managed policies on roles, users and groups: attach, detach, list. */
import { z } from 'zod';
import * as rule from './input.ts';
import {
  findHolder,
  type HolderKind,
  type IamDeps,
  limitExceeded,
  noSuchEntity,
  type Operation,
  refuseProtected,
  saveHolder,
  usablePolicy,
} from './lookups.ts';

const attachmentLimit = 10;

const kinds = [
  { kind: 'role', Kind: 'Role', field: 'RoleName', name: rule.roleName },
  { kind: 'user', Kind: 'User', field: 'UserName', name: rule.userName },
  { kind: 'group', Kind: 'Group', field: 'GroupName', name: rule.groupName },
] as const satisfies ReadonlyArray<{ kind: HolderKind; Kind: string; field: string; name: z.ZodString }>;

const policyInput = z.object({ PolicyArn: rule.arn });
const listInput = z.object({ PathPrefix: rule.pathPrefix.default('/'), ...rule.pageShape });

const operationsOf = (deps: IamDeps, { kind, Kind, field, name }: (typeof kinds)[number]) => {
  const holderInput = z.object({ [field]: name });
  const holderName = (raw: Record<string, unknown>): string => rule.parseInput(holderInput, raw)[field] ?? '';

  const attach: Operation = (raw, caller) => {
    const { PolicyArn } = rule.parseInput(policyInput, raw);
    const target = { kind, name: holderName(raw), action: `iam:Attach${Kind}Policy` };
    const one = findHolder(deps, caller, target, { 'iam:PolicyARN': [PolicyArn] });
    refuseProtected(one);
    if (!usablePolicy(deps.state, caller, PolicyArn)) {
      throw noSuchEntity(`Policy ${PolicyArn} does not exist or is not attachable.`);
    }
    if (one.attached.includes(PolicyArn)) return {};
    if (one.attached.length >= attachmentLimit) {
      throw limitExceeded(`Cannot exceed quota for PoliciesPer${Kind}: ${attachmentLimit}`);
    }
    saveHolder(deps.state, { ...one, attached: [...one.attached, PolicyArn] });
    return {};
  };

  const detach: Operation = (raw, caller) => {
    const { PolicyArn } = rule.parseInput(policyInput, raw);
    const target = { kind, name: holderName(raw), action: `iam:Detach${Kind}Policy` };
    const one = findHolder(deps, caller, target, { 'iam:PolicyARN': [PolicyArn] });
    refuseProtected(one);
    if (!one.attached.includes(PolicyArn)) throw noSuchEntity(`Policy ${PolicyArn} was not found.`);
    saveHolder(deps.state, { ...one, attached: one.attached.filter((arn) => arn !== PolicyArn) });
    return {};
  };

  const list: Operation = (raw, caller) => {
    const input = rule.parseInput(listInput, raw);
    const one = findHolder(deps, caller, { kind, name: holderName(raw), action: `iam:ListAttached${Kind}Policies` });
    const attached = one.attached.flatMap((arn) => {
      const policy = deps.state.policies.get(arn);
      return policy?.path.startsWith(input.PathPrefix) ? [{ PolicyName: policy.name, PolicyArn: arn }] : [];
    });
    const { items, more } = rule.pageOf(attached, input);
    return { AttachedPolicies: items, ...more };
  };

  return {
    [`Attach${Kind}Policy`]: attach,
    [`Detach${Kind}Policy`]: detach,
    [`ListAttached${Kind}Policies`]: list,
  };
};

/** Which roles, users and groups hang on a policy, by attachment or as boundary. */
const listEntities =
  ({ state, authorise }: IamDeps): Operation =>
  (raw, caller) => {
    const schema = policyInput.extend({
      EntityFilter: z.enum(['User', 'Role', 'Group', 'LocalManagedPolicy', 'AWSManagedPolicy']).optional(),
      PathPrefix: rule.pathPrefix.default('/'),
      PolicyUsageFilter: z.enum(['PermissionsPolicy', 'PermissionsBoundary']).default('PermissionsPolicy'),
      ...rule.pageShape,
    });
    const input = rule.parseInput(schema, raw);
    authorise(caller, { action: 'iam:ListEntitiesForPolicy', resources: [{ arn: input.PolicyArn }] });
    if (!usablePolicy(state, caller, input.PolicyArn)) {
      throw noSuchEntity(`Policy ${input.PolicyArn} was not found.`);
    }
    const hangsOn = (attached: string[], boundary: string | undefined): boolean =>
      input.PolicyUsageFilter === 'PermissionsBoundary'
        ? boundary === input.PolicyArn
        : attached.includes(input.PolicyArn);
    const wants = (kind: string): boolean => input.EntityFilter === undefined || input.EntityFilter === kind;
    const here = <T extends { accountId: string; path: string; attached: string[] }>(
      list: T[],
      boundaryOf: (one: T) => string | undefined,
    ): T[] =>
      list.filter(
        (one) =>
          one.accountId === caller.accountId &&
          one.path.startsWith(input.PathPrefix) &&
          hangsOn(one.attached, boundaryOf(one)),
      );
    const found = [
      ...(wants('Role') ? here(state.roles.all(), (one) => one.boundary) : []),
      ...(wants('User') ? here(state.users.all(), (one) => one.boundary) : []),
      ...(wants('Group') ? here(state.groups.all(), () => undefined) : []),
    ];
    const { items, more } = rule.pageOf(found, input);
    return {
      PolicyRoles: items.flatMap((one) => (one.kind === 'role' ? [{ RoleName: one.name, RoleId: one.id }] : [])),
      PolicyUsers: items.flatMap((one) => (one.kind === 'user' ? [{ UserName: one.name, UserId: one.id }] : [])),
      PolicyGroups: items.flatMap((one) => (one.kind === 'group' ? [{ GroupName: one.name, GroupId: one.id }] : [])),
      ...more,
    };
  };

export const createAttachmentOperations = (deps: IamDeps): Record<string, Operation> => ({
  ...Object.assign({}, ...kinds.map((kind) => operationsOf(deps, kind))),
  ListEntitiesForPolicy: listEntities(deps),
});
