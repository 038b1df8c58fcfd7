/** What the sweep reads of IAM, beyond what the reconciler needs for one principal. */
import {
  type AttachedPolicy,
  GetAccountAuthorizationDetailsCommand,
  type GroupDetail,
  ListPoliciesCommand,
  type PolicyDetail,
  type RoleDetail,
  type UserDetail,
} from '@aws-sdk/client-iam';
import type { SeenRole } from '../access-policy/personal-role.ts';
import { accessPolicyName, grantsPath, peoplePath } from '../access-policy/principal.ts';
import type { Broker } from './broker.ts';
import { allPages } from './pages.ts';

/** A managed policy under the path of spilled access policies. */
export type GrantPolicy = { arn: string; name: string };

/** A personal role with everything that hangs on it. Documents are decoded. */
export type PersonalRoleDetail = {
  role: SeenRole;
  /** Inline policies: name to document. */
  inline: ReadonlyMap<string, string>;
  /** ARNs of attached managed policies. */
  attached: string[];
};

/** An IAM user or group as far as access on it needs: what else hangs there is not ours to know. */
export type CarrierDetail = {
  name: string;
  arn: string;
  /** UserId or GroupId. */
  id: string;
  boundaryArn: string | null;
  /** The inline access policy, decoded; null: there is none. */
  document: string | null;
  /** ARNs of attached managed policies under the path of spilled access policies. */
  spilled: string[];
};

/** All of it throws AwsProblem when AWS says no for good. */
export type SweepReads = {
  /**
   * All personal roles of an account by name, in one paged read: looking at each by itself would take longer than the time between two
   * sweeps. IAM gives the account's other roles with them; they are dropped here.
   */
  personalRoleDetails: (accountId: string) => Promise<Map<string, PersonalRoleDetail>>;
  /** All IAM users or all groups of an account by name, in one paged read. */
  carrierDetails: (accountId: string, kind: 'user' | 'group') => Promise<Map<string, CarrierDetail>>;
  /** Every managed policy that Curfew made for access, attached or not. */
  grantPolicies: (accountId: string) => Promise<GrantPolicy[]>;
};

/** IAM gives documents back URL-encoded (aws-facts 3.4). */
const decoded = (document: string | undefined): string => decodeURIComponent(document ?? '');

const detailOf = (one: RoleDetail): PersonalRoleDetail => ({
  role: {
    name: one.RoleName ?? '',
    path: one.Path ?? '',
    trust: decoded(one.AssumeRolePolicyDocument),
    boundaryArn: one.PermissionsBoundary?.PermissionsBoundaryArn ?? null,
    tags: Object.fromEntries((one.Tags ?? []).map(({ Key, Value }) => [Key ?? '', Value ?? ''])),
  },
  inline: new Map(
    (one.RolePolicyList ?? []).map(({ PolicyName, PolicyDocument }) => [PolicyName ?? '', decoded(PolicyDocument)]),
  ),
  attached: (one.AttachedManagedPolicies ?? []).flatMap(({ PolicyArn }) => PolicyArn ?? []),
});

type Hanging = { inline: readonly PolicyDetail[] | undefined; attached: readonly AttachedPolicy[] | undefined };

const accessOf = ({ inline, attached }: Hanging): Pick<CarrierDetail, 'document' | 'spilled'> => {
  const own = inline?.find(({ PolicyName }) => PolicyName === accessPolicyName);
  const arns = (attached ?? []).flatMap(({ PolicyArn }) => PolicyArn ?? []);
  return {
    document: own === undefined ? null : decoded(own.PolicyDocument),
    spilled: arns.filter((arn) => arn.includes(`:policy${grantsPath}`)),
  };
};

const userOf = (one: UserDetail): CarrierDetail => ({
  name: one.UserName ?? '',
  arn: one.Arn ?? '',
  id: one.UserId ?? '',
  boundaryArn: one.PermissionsBoundary?.PermissionsBoundaryArn ?? null,
  ...accessOf({ inline: one.UserPolicyList, attached: one.AttachedManagedPolicies }),
});

const groupOf = (one: GroupDetail): CarrierDetail => ({
  name: one.GroupName ?? '',
  arn: one.Arn ?? '',
  id: one.GroupId ?? '',
  boundaryArn: null,
  ...accessOf({ inline: one.GroupPolicyList, attached: one.AttachedManagedPolicies }),
});

export const createSweepReads = (broker: Broker): SweepReads => ({
  personalRoleDetails: async (accountId) => {
    const { iam, call } = broker.account(accountId);
    const roles = await allPages(async (token) => {
      const input = { Filter: ['Role' as const], MaxItems: 200, ...(token === undefined ? {} : { Marker: token }) };
      const send = () => iam.send(new GetAccountAuthorizationDetailsCommand(input));
      const page = await call('iam:GetAccountAuthorizationDetails', 'iam-read', send);
      const items = (page.RoleDetailList ?? []).filter(({ Path }) => Path === peoplePath);
      return { items, next: page.IsTruncated ? page.Marker : undefined };
    });
    return new Map(roles.map((role) => [role.RoleName ?? '', detailOf(role)]));
  },
  carrierDetails: async (accountId, kind) => {
    const { iam, call } = broker.account(accountId);
    const Filter = [kind === 'user' ? ('User' as const) : ('Group' as const)];
    const carriers = await allPages(async (Marker) => {
      const input = { Filter, MaxItems: 200, ...(Marker === undefined ? {} : { Marker }) };
      const send = () => iam.send(new GetAccountAuthorizationDetailsCommand(input));
      const page = await call('iam:GetAccountAuthorizationDetails', 'iam-read', send);
      const items = [...(page.UserDetailList ?? []).map(userOf), ...(page.GroupDetailList ?? []).map(groupOf)];
      return { items, next: page.IsTruncated ? page.Marker : undefined };
    });
    return new Map(carriers.map((one) => [one.name, one]));
  },
  grantPolicies: (accountId) => {
    const { iam, call } = broker.account(accountId);
    return allPages(async (token) => {
      const scope = { Scope: 'Local' as const, PathPrefix: grantsPath };
      const input = { ...scope, ...(token === undefined ? {} : { Marker: token }) };
      const page = await call('iam:ListPolicies', 'iam-read', () => iam.send(new ListPoliciesCommand(input)));
      const items = (page.Policies ?? []).flatMap(({ Arn: arn, PolicyName: name }) =>
        arn === undefined || name === undefined ? [] : [{ arn, name }],
      );
      return { items, next: page.IsTruncated ? page.Marker : undefined };
    });
  },
});
