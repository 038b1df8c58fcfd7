/** The AWS query protocol: forms in, XML (or, where asked for, JSON) out. */
import type { AwsError, AwsRequest, AwsResponse, QueryService, XmlValue } from './service.ts';
/** Every form field as sent, body and query together. */
export declare const readForm: (request: AwsRequest) => URLSearchParams;
/** Flat names to nested values: `Tags.member.1.Key` becomes `Tags[0].Key`; `Action` and `Version` are left out. */
export declare const readInput: (form: URLSearchParams) => Record<string, unknown>;
type AnswerContext = {
    service: QueryService;
    operation: string;
    requestId: string;
    request: AwsRequest;
};
/** A result in the service's envelope; JSON for `accept: application/json` (aws-facts 2.2 no. 6), never for EC2. */
export declare const queryAnswer: (result: {
    [name: string]: XmlValue;
}, context: AnswerContext) => AwsResponse;
/** An error in the service's own shape. */
export declare const queryError: (error: AwsError, context: Omit<AnswerContext, "operation">) => AwsResponse;
export {};
