/** What the sweep reads of IAM, beyond what the reconciler needs for one principal. */
import { ListAttachedRolePoliciesCommand } from '@aws-sdk/client-iam';
import type { Broker } from './broker.ts';
import { AwsProblem } from './errors.ts';
import { allPages } from './pages.ts';

/** Where access policies that did not fit into one document are spilled to; nothing else of Curfew stands there (threats AWS-07). */
export const grantPolicyPath = '/curfew/grants/';

/** All of it throws AwsProblem when AWS says no for good. */
export type SweepReads = {
  /** ARNs of the managed policies attached to a role; empty when the role is not there. */
  attachedPolicies: (accountId: string, roleName: string) => Promise<string[]>;
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
});
