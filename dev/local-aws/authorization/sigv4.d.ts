import { AwsError, type AwsRequest, type Caller } from '../service.ts';
import type { CredentialStore } from './credential-store.ts';
export type VerifiedSignature = {
    caller: Caller;
    service: string;
    region: string;
    signedHeaders: string[];
};
type RefusalKind = 'missing' | 'incomplete' | 'unknown-key' | 'expired-token' | 'late' | 'mismatch' | 'wrong-scope';
/** Why a signature was not accepted, before a service's protocol gives it a code (`signatureError`). */
export declare class SignatureRefusal extends Error {
    readonly kind: RefusalKind;
    constructor(kind: RefusalKind, message: string);
}
/**
 * Finds out whose request this is. The host counts as received, whatever address the socket went to. The hash of the
 * body is always computed, never taken from `x-amz-content-sha256`.
 * Throws `SignatureRefusal` when the signature is missing, malformed, late, wrong, or the credentials are.
 */
export declare const verifySignature: (request: AwsRequest, credentials: CredentialStore) => VerifiedSignature;
/** The refusal as a service of this kind words it: IAM and STS (`query`), EC2 (`ec2`), SSM and identity store (`json`). */
export declare const signatureError: (refusal: SignatureRefusal, dialect: "query" | "ec2" | "json") => AwsError;
export {};
