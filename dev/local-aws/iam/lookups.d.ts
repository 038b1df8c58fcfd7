/** Finds the entity an operation is about and asks whether the caller may: what every IAM operation begins with. */
import { type Authorise, AwsError, type Caller, type QueryService } from '../service.ts';
import { type IamState, type ManagedPolicy, type PolicyHolder } from './state.ts';
export type IamDeps = {
    state: IamState;
    authorise: Authorise;
    now: () => Date;
};
export type Operation = QueryService['operations'][string];
export type HolderKind = PolicyHolder['kind'];
export declare const noSuchEntity: (message: string) => AwsError;
export declare const limitExceeded: (message: string) => AwsError;
export declare const alreadyExists: (message: string) => AwsError;
export declare const deleteConflict: (message: string) => AwsError;
/** Condition keys of tags that a call brings along. */
export declare const requestTagKeys: (tags: Record<string, string>) => Record<string, string[]>;
/**
 * The named holder of the caller's account, after asking for `action` on it.
 * What does not exist has no path: IAM then asks about the bare name and calls it "role NAME" in a denial, so a caller
 * whose rights name a path gets AccessDenied and not NoSuchEntity.
 */
export declare const findHolder: (deps: IamDeps, caller: Caller, target: {
    kind: HolderKind;
    name: string;
    action: string;
}, contextKeys?: Record<string, string[]>) => PolicyHolder;
/** Writes a changed holder; it spreads as every write does. */
export declare const saveHolder: (state: IamState, one: PolicyHolder) => void;
/** Roles of Identity Center belong to AWS (aws-facts 3.0). */
export declare const refuseProtected: (one: PolicyHolder) => void;
/** A managed policy that the caller's account may use: its own, or one of AWS's. */
export declare const usablePolicy: (state: IamState, caller: Caller, arn: string) => ManagedPolicy | undefined;
/** As answers tell tags. */
export declare const tagList: (tags: Record<string, string>) => Array<{
    Key: string;
    Value: string;
}>;
/** Tags of an input as a record; a key given twice (in any case) is refused. */
export declare const tagRecord: (list: ReadonlyArray<{
    Key: string;
    Value: string;
}>) => Record<string, string>;
/** RFC 3986, as IAM answers every policy document. */
export declare const urlEncoded: (text: string) => string;
