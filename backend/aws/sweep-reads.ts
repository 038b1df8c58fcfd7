/** What the sweep reads of IAM, beyond what the reconciler needs for one principal. */
import { ListAttachedRolePoliciesCommand, ListPoliciesCommand } from '@aws-sdk/client-iam';
import { grantsPath } from '../access-policy/principal.ts';
import type { Broker } from './broker.ts';
import { AwsProblem } from './errors.ts';
import { allPages } from './pages.ts';

/** A managed policy under the path of spilled access policies. */
export type GrantPolicy = { arn: string; name: string };

/** All of it throws AwsProblem when AWS says no for good. */
export type SweepReads = {
  /** ARNs of the managed policies attached to a role; empty when the role is not there. */
  attachedPolicies: (accountId: string, roleName: string) => Promise<string[]>;
  /** Every managed policy that Curfew made for access, attached or not. */
  grantPolicies: (accountId: string) => Promise<GrantPolicy[]>;
};

export const createSweepReads = (broker: Broker): SweepReads => ({
  attachedPolicies: async (accountId, roleName) => {
    const { iam, call } = broker.account(accountId);
    try {
      return await allPages(async (token) => {
        const input = { RoleName: roleName, ...(token === undefined ? {} : { Marker: token }) };
        const page = await call('iam:ListAttachedRolePolicies', 'iam-read', () =>
          iam.send(new ListAttachedRolePoliciesCommand(input)),
        );
        const items = (page.AttachedPolicies ?? []).flatMap(({ PolicyArn }) =>
          PolicyArn === undefined ? [] : [PolicyArn],
        );
        return { items, next: page.IsTruncated ? page.Marker : undefined };
      });
    } catch (error) {
      if (error instanceof AwsProblem && error.kind === 'gone') return [];
      throw error;
    }
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
