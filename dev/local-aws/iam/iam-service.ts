/** IAM as local-aws knows it: every operation of roles, inline and managed policies, attachments, users and groups. */
import type { QueryService } from '../service.ts';
import { createAttachmentOperations } from './attachments.ts';
import { createInlinePolicyOperations } from './inline-policies.ts';
import { createManagedPolicyOperations } from './managed-policies.ts';
import { createRoleOperations } from './roles.ts';
import { createUserOperations, type UserDeps } from './users.ts';

/** `authorise` comes from `createAuthorise` over the same state; `credentials` are the ones that callers sign with. */
export const createIamService = (deps: UserDeps): QueryService => ({
  service: 'iam',
  protocol: 'query',
  namespace: 'https://iam.amazonaws.com/doc/2010-05-08/',
  dialect: 'query',
  operations: {
    ...createRoleOperations(deps),
    ...createInlinePolicyOperations(deps),
    ...createManagedPolicyOperations(deps),
    ...createAttachmentOperations(deps),
    ...createUserOperations(deps),
  },
});
