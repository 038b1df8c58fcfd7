/**
 * The policy evaluator: identity policies, permissions boundary and session policy must each allow, and one explicit deny
 * ends it. Pure. Source: "Policy evaluation logic" in the IAM User Guide.
 */
import type { Caller } from '../service.ts';
import { type RequestContext } from './match-pattern.ts';
import type { PolicyDocument } from './policy-document.ts';
export type Layer = 'identity-based policy' | 'permissions boundary' | 'session policy';
export type EvaluateInput = {
    action: string;
    /** ARN, or `*` for actions that know no resource. */
    resource: string;
    context: RequestContext;
    identity: PolicyDocument[];
    /** Null: none is set. An empty list: one is set and it allows nothing. */
    boundary: PolicyDocument[] | null;
    session: PolicyDocument[] | null;
};
/** `why` names the layer that said no (or, for `allow`, the Sid of the identity statement that said yes, where it has one). */
export type Evaluation = {
    decision: 'allow';
    why: string | null;
} | {
    decision: 'implicit-deny' | 'explicit-deny';
    why: Layer;
};
/** Decides one action on one resource. */
export declare const evaluate: (input: EvaluateInput) => Evaluation;
/**
 * How a trust policy answers a caller. `names-principal`: it names the caller's role or user or session itself;
 * `delegates`: it names the account (or everybody), so the caller's own policies must allow too.
 */
export type TrustAnswer = 'explicit-deny' | 'implicit-deny' | 'delegates' | 'names-principal';
/** Judges a role's trust policy for a caller. `context` holds the caller's keys and those of the call. */
export declare const evaluateTrust: (trust: PolicyDocument, call: {
    action: string;
    caller: Caller;
    context: RequestContext;
}) => TrustAnswer;
