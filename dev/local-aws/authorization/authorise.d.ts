/** Asks the evaluator on behalf of a service and words the denial as AWS does. */
import type { IamState } from '../iam/state.ts';
import { type Authorise, AwsError, type Caller } from '../service.ts';
import { type Evaluation } from './evaluate.ts';
import { type RequestContext } from './match-pattern.ts';
/** Condition keys that every request has. */
export declare const globalContextKeys: (now: Date) => Record<string, string[]>;
type Denial = Exclude<Evaluation, {
    decision: 'allow';
}>;
/** The end of AWS's sentence: which layer said no, and how. */
export declare const denialReason: (denial: Denial, action: string) => string;
/** AWS's words and the service's code for a denied action (aws-facts 10). `because` is left out where AWS gives no reason. */
export declare const deniedError: (caller: Caller, denied: {
    action: string;
    resource: string;
    because?: string | undefined;
}) => AwsError;
export type Judge = (caller: Caller, request: {
    action: string;
    resource: string;
    context: RequestContext;
}, 
/** `false` leaves the identity policies out: a trust policy that names the caller has allowed in their place. */
identityMustAllow?: boolean) => Evaluation;
/** Evaluates a caller's policies as the policy engine sees them now. */
export declare const createJudge: (state: IamState) => Judge;
/** Makes what services call before they do anything: throws the service's own denial, or returns. */
export declare const createAuthorise: (options: {
    state: IamState;
    now: () => Date;
}) => Authorise;
export {};
