/** Everything IAM knows, per account: roles, users, groups and managed policies, with the delay of spreading. */
import { z } from 'zod';
import type { Caller } from '../service.ts';
import { type SpreadingTable } from './spreading-table.ts';
declare const roleSchema: z.ZodObject<{
    kind: z.ZodLiteral<"role">;
    trust: z.ZodString;
    description: z.ZodOptional<z.ZodString>;
    maxSessionSeconds: z.ZodNumber;
    boundary: z.ZodOptional<z.ZodString>;
    accountId: z.ZodString;
    name: z.ZodString;
    path: z.ZodString;
    id: z.ZodString;
    createdAt: z.ZodCoercedDate<unknown>;
    tags: z.ZodRecord<z.ZodString, z.ZodString>;
    inline: z.ZodRecord<z.ZodString, z.ZodString>;
    attached: z.ZodArray<z.ZodString>;
}, z.core.$strip>;
declare const userSchema: z.ZodObject<{
    kind: z.ZodLiteral<"user">;
    groups: z.ZodArray<z.ZodString>;
    boundary: z.ZodOptional<z.ZodString>;
    accountId: z.ZodString;
    name: z.ZodString;
    path: z.ZodString;
    id: z.ZodString;
    createdAt: z.ZodCoercedDate<unknown>;
    tags: z.ZodRecord<z.ZodString, z.ZodString>;
    inline: z.ZodRecord<z.ZodString, z.ZodString>;
    attached: z.ZodArray<z.ZodString>;
}, z.core.$strip>;
declare const groupSchema: z.ZodObject<{
    kind: z.ZodLiteral<"group">;
    accountId: z.ZodString;
    name: z.ZodString;
    path: z.ZodString;
    id: z.ZodString;
    createdAt: z.ZodCoercedDate<unknown>;
    tags: z.ZodRecord<z.ZodString, z.ZodString>;
    inline: z.ZodRecord<z.ZodString, z.ZodString>;
    attached: z.ZodArray<z.ZodString>;
}, z.core.$strip>;
declare const policySchema: z.ZodObject<{
    accountId: z.ZodString;
    name: z.ZodString;
    path: z.ZodString;
    id: z.ZodString;
    arn: z.ZodString;
    description: z.ZodOptional<z.ZodString>;
    createdAt: z.ZodCoercedDate<unknown>;
    updatedAt: z.ZodCoercedDate<unknown>;
    tags: z.ZodRecord<z.ZodString, z.ZodString>;
    versions: z.ZodArray<z.ZodObject<{
        id: z.ZodString;
        document: z.ZodString;
        createdAt: z.ZodCoercedDate<unknown>;
    }, z.core.$strip>>;
    defaultVersionId: z.ZodString;
    lastVersion: z.ZodNumber;
}, z.core.$strip>;
export type IamRole = z.infer<typeof roleSchema>;
export type IamUser = z.infer<typeof userSchema>;
export type IamGroup = z.infer<typeof groupSchema>;
export type ManagedPolicy = z.infer<typeof policySchema>;
export type PolicyHolder = IamRole | IamUser | IamGroup;
/** Documents are given as JSON text or as plain values, which are written compactly. */
type Document = string | Record<string, unknown>;
type HolderSeed = {
    accountId: string;
    name: string;
    /** Begins and ends with a slash; `/` when left out. */
    path?: string | undefined;
    tags?: Record<string, string> | undefined;
    inline?: Record<string, Document> | undefined;
    /** ARNs of managed policies. */
    attached?: string[] | undefined;
};
export type RoleSeed = HolderSeed & {
    trust: Document;
    /** ARN of the permissions boundary. */
    boundary?: string | undefined;
    description?: string | undefined;
    maxSessionSeconds?: number | undefined;
};
export type UserSeed = HolderSeed & {
    groups?: string[] | undefined;
    boundary?: string | undefined;
};
export type ManagedPolicySeed = {
    accountId: string;
    name: string;
    path?: string | undefined;
    document: Document;
    description?: string | undefined;
};
/** What the policy engine sees of one caller. `boundary: null` = none set; its document is null when it is gone (allows nothing). */
export type SeenPolicies = {
    identity: Array<{
        name: string;
        document: string;
    }>;
    boundary: {
        name: string;
        document: string | null;
    } | null;
};
export type IamState = {
    /** Tables by `holderKey` (policies: by ARN). The IAM operations read and write here. */
    roles: SpreadingTable<IamRole>;
    users: SpreadingTable<IamUser>;
    groups: SpreadingTable<IamGroup>;
    policies: SpreadingTable<ManagedPolicy>;
    /**
     * Load the world, visible at once. An entity that is there already (restored) keeps its id, its creation date and
     * inline policies and attachments that the seed does not name; all else is the seed's.
     */
    putRole(seed: RoleSeed): IamRole;
    putUser(seed: UserSeed): IamUser;
    putGroup(seed: HolderSeed): IamGroup;
    putManagedPolicy(seed: ManagedPolicySeed): ManagedPolicy;
    role(accountId: string, name: string): IamRole | undefined;
    user(accountId: string, name: string): IamUser | undefined;
    /**
     * The policies that count for a caller now, as spread. A session of a role that was deleted, or deleted and made
     * again, sees nothing.
     */
    seenPolicies(caller: Caller): SeenPolicies;
    /** Plain JSON of the newest state; `restore` parses it (ZodError otherwise), visible at once. Restore first, then load the world. */
    snapshot(): unknown;
    restore(snapshot: unknown): void;
};
/** Names are unique in an account without regard to case. */
export declare const holderKey: (accountId: string, name: string) => string;
/** Makes an empty IAM. `spreadingDelayMs` is asked at every write; 0 makes writes visible at once. */
export declare const createIamState: (options: {
    now: () => Date;
    spreadingDelayMs: () => number;
}) => IamState;
/** The ARN of a role, user or group of this state. */
export declare const holderArn: (one: PolicyHolder) => string;
export {};
