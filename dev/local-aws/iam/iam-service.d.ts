/** IAM as local-aws knows it: every operation of roles, inline and managed policies, attachments, users and groups. */
import type { QueryService } from '../service.ts';
import type { IamDeps } from './lookups.ts';
/** `authorise` comes from `createAuthorise` over the same state. */
export declare const createIamService: (deps: IamDeps) => QueryService;
