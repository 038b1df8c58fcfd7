/**
 * How the parts of local-aws meet: one HTTP server reads a request, `authorization/` finds out whose it is, and a service answers.
 * local-aws is a development tool: it behaves like AWS for what Curfew uses and is never packed into the app.
 */
/** One HTTP request, read whole. Header names are lower case; `path` has no query. */
export type AwsRequest = {
    method: string;
    path: string;
    query: URLSearchParams;
    headers: Record<string, string>;
    body: Buffer;
    now: Date;
};
export type AwsResponse = {
    status: number;
    headers: Record<string, string>;
    body: string | Buffer;
};
/** Whose signature it was. `contextKeys` are condition keys of this caller (aws:PrincipalArn, aws:userid, identitystore:UserId, ...). */
export type Caller = {
    accountId: string;
    /** As GetCallerIdentity tells it: user ARN, or assumed-role ARN (which omits the role's path). */
    arn: string;
    /** `AIDA...` or `AROA...:session`. */
    userId: string;
    /** The IAM entity whose policies and boundary count. */
    entity: {
        kind: 'user' | 'role';
        accountId: string;
        name: string;
    };
    contextKeys: Record<string, string[]>;
    /** JSON text of the session policy given to AssumeRole; access is then what both allow. */
    sessionPolicy?: string | undefined;
};
/** A request whose signature was verified: region and service are those of its credential scope. */
export type SignedRequest = AwsRequest & {
    service: string;
    region: string;
    requestId: string;
    operation: string;
};
/** A service with AWS JSON 1.1 (`X-Amz-Target: <targetPrefix>.<Operation>`). Operations get the parsed body. */
export type JsonService = {
    service: string;
    protocol: 'json';
    operations: Record<string, (input: unknown, caller: Caller, request: SignedRequest) => Promise<unknown> | unknown>;
};
/** What a query operation answers: written as XML elements; arrays become `<member>` (EC2: `<item>`) lists. */
export type XmlValue = string | number | boolean | Date | undefined | XmlValue[] | {
    [name: string]: XmlValue;
};
/**
 * A service with the AWS query protocol (form in, XML out). Operations get the form as nested plain values:
 * `Tags.member.1.Key=a` is `{ Tags: [{ Key: 'a' }] }`, `Filter.1.Value.1=x` is `{ Filter: [{ Value: ['x'] }] }`.
 */
export type QueryService = {
    service: string;
    protocol: 'query';
    /** XML namespace of answers, and the shape of lists and errors (EC2 has its own). */
    namespace: string;
    dialect: 'query' | 'ec2';
    operations: Record<string, (input: Record<string, unknown>, caller: Caller, request: SignedRequest) => Promise<{
        [name: string]: XmlValue;
    }> | {
        [name: string]: XmlValue;
    }>;
};
export type SignedService = JsonService | QueryService;
/** A route without SigV4 (sign-in pages, OIDC, portal, control). Asked before anything signed, first match answers. */
export type UnsignedRoute = {
    match(request: AwsRequest): boolean;
    handle(request: AwsRequest): Promise<AwsResponse>;
};
/** Faults on demand and the list of calls made: asked around every signed call. */
export type FaultHooks = {
    /** Before the call is authorised and done: may wait, may throw an AwsError (Throttling, injected errors). */
    beforeCall(call: {
        service: string;
        operation: string;
        accountId: string;
        region: string;
    }): Promise<void>;
    /** After the call is done: true cuts the socket without an answer. */
    loseAnswer?(call: {
        service: string;
        operation: string;
        accountId: string;
        region: string;
    }): boolean;
};
/** What is about to be done, for the evaluator: every resource must be allowed. */
export type Action = {
    action: string;
    /** `shownAs`: what a denial calls the resource where AWS does not tell the ARN. */
    resources: Array<{
        arn: string;
        contextKeys?: Record<string, string[]>;
        shownAs?: string;
    }>;
    contextKeys?: Record<string, string[]>;
};
/** Asks the evaluator; throws AwsError with AWS's own wording and the service's code for a denial. */
export type Authorise = (caller: Caller, action: Action) => void;
/** An error as AWS answers it. The transport (query XML, JSON 1.1, REST JSON) gives it its shape. */
export declare class AwsError extends Error {
    readonly code: string;
    readonly status: number;
    constructor(code: string, message: string, status?: number);
}
/** Temporary credentials as handed out by STS and by the portal. */
export type IssuedCredentials = {
    accessKeyId: string;
    secretAccessKey: string;
    sessionToken: string;
    expiration: Date;
};
