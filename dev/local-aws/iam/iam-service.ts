/** IAM as local-aws knows it: every operation of roles, inline and managed policies, attachments, users and groups. */
import type { QueryService } from '../service.ts';
import { createAttachmentOperations } from './attachments.ts';
import { createInlinePolicyOperations } from './inline-policies.ts';
import type { IamDeps } from './lookups.ts';
import { createManagedPolicyOperations } from './managed-policies.ts';
import { createRoleOperations } from './roles.ts';
import { createUserOperations } from './users.ts';

/** `authorise` comes from `createAuthorise` over the same state. */
export const createIamService = (deps: IamDeps): QueryService => ({
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
