/** Builds callers, so that STS and the portal describe the same person with the same condition keys. */
import type { Caller } from '../service.ts';
/** What a caller is made from: see `iam/state.ts` for users and roles. */
type Principal = {
    accountId: string;
    name: string;
    path: string;
    id: string;
    tags: Record<string, string>;
};
/** The ARN of a user, role or group, path included, as IAM tells it. */
export declare const entityArn: (kind: "user" | "role" | "group", entity: Omit<Principal, "id" | "tags">) => string;
/** Signed with credentials that STS or the portal gave. */
export declare const isTemporary: (caller: Caller) => boolean;
/** An IAM user who signs with a long-lived key. */
export declare const callerOfUser: (user: Principal) => Caller;
/**
 * A session of a role. `contextKeys` are what the session carries besides (the portal adds `identitystore:UserId`).
 * The session ARN omits the role's path, `aws:PrincipalArn` is the role's ARN with its path (aws-facts 1.9, 3.2).
 */
export declare const callerOfSession: (options: {
    role: Principal;
    sessionName: string;
    contextKeys?: Record<string, string[]>;
    sessionPolicy?: string | undefined;
}) => Caller;
export {};
