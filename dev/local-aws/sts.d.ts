import type { CredentialStore } from './authorization/credential-store.ts';
import { type IamState } from './iam/state.ts';
import { type QueryService } from './service.ts';
/** STS over the same IAM state and credential store as the rest. Condition keys that local-aws does not play are refused, not ignored. */
export declare const createStsService: (deps: {
    state: IamState;
    credentials: CredentialStore;
    now: () => Date;
}) => QueryService;
