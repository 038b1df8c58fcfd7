/** Inline policies of roles, users and groups: the same four operations with three names and three quotas. */
import { z } from 'zod';
import { parsePolicyDocument } from '../authorization/policy-document.ts';
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
  urlEncoded,
} from './lookups.ts';

/** `quota`: characters without white space over all inline policies together (aws-facts 5). */
const kinds = [
  { kind: 'role', Kind: 'Role', field: 'RoleName', name: rule.roleName, quota: 10_240 },
  { kind: 'user', Kind: 'User', field: 'UserName', name: rule.userName, quota: 2048 },
  { kind: 'group', Kind: 'Group', field: 'GroupName', name: rule.groupName, quota: 5120 },
] as const satisfies ReadonlyArray<{ kind: HolderKind; Kind: string; field: string; name: z.ZodString; quota: number }>;

const pageInput = z.object(rule.pageShape);

const operationsOf = (deps: IamDeps, { kind, Kind, field, name, quota }: (typeof kinds)[number]) => {
  const holderInput = z.object({ [field]: name });
  const holderName = (raw: Record<string, unknown>): string => rule.parseInput(holderInput, raw)[field] ?? '';
  const onePolicy = z.object({ PolicyName: rule.policyName });
  const missing = (policyName: string) => noSuchEntity(`The ${kind} policy with name ${policyName} cannot be found.`);

  const put: Operation = (raw, caller) => {
    const input = rule.parseInput(onePolicy.extend({ PolicyDocument: rule.document }), raw);
    const one = findHolder(deps, caller, { kind, name: holderName(raw), action: `iam:Put${Kind}Policy` });
    refuseProtected(one);
    parsePolicyDocument(input.PolicyDocument, 'identity');
    const inline = { ...one.inline, [input.PolicyName]: input.PolicyDocument };
    const size = Object.values(inline).reduce((sum, text) => sum + rule.countedCharacters(text), 0);
    if (size > quota) throw limitExceeded(`Maximum policy size of ${quota} bytes exceeded for ${kind} ${one.name}`);
    saveHolder(deps.state, { ...one, inline });
    return {};
  };

  const get: Operation = (raw, caller) => {
    const input = rule.parseInput(onePolicy, raw);
    const one = findHolder(deps, caller, { kind, name: holderName(raw), action: `iam:Get${Kind}Policy` });
    const document = one.inline[input.PolicyName];
    if (document === undefined) throw missing(input.PolicyName);
    return { [field]: one.name, PolicyName: input.PolicyName, PolicyDocument: urlEncoded(document) };
  };

  const list: Operation = (raw, caller) => {
    const input = rule.parseInput(pageInput, raw);
    const one = findHolder(deps, caller, { kind, name: holderName(raw), action: `iam:List${Kind}Policies` });
    const { items, more } = rule.pageOf(Object.keys(one.inline).sort(), input);
    return { PolicyNames: items, ...more };
  };

  const remove: Operation = (raw, caller) => {
    const input = rule.parseInput(onePolicy, raw);
    const one = findHolder(deps, caller, { kind, name: holderName(raw), action: `iam:Delete${Kind}Policy` });
    refuseProtected(one);
    if (one.inline[input.PolicyName] === undefined) throw missing(input.PolicyName);
    const inline = Object.fromEntries(Object.entries(one.inline).filter(([policy]) => policy !== input.PolicyName));
    saveHolder(deps.state, { ...one, inline });
    return {};
  };

  return {
    [`Put${Kind}Policy`]: put,
    [`Get${Kind}Policy`]: get,
    [`List${Kind}Policies`]: list,
    [`Delete${Kind}Policy`]: remove,
  };
};

export const createInlinePolicyOperations = (deps: IamDeps): Record<string, Operation> =>
  Object.assign({}, ...kinds.map((kind) => operationsOf(deps, kind)));
