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

export type AwsResponse = { status: number; headers: Record<string, string>; body: string | Buffer };

/** Whose signature it was. `contextKeys` are condition keys of this caller (aws:PrincipalArn, aws:userid, identitystore:UserId, ...). */
export type Caller = {
  accountId: string;
  /** As GetCallerIdentity tells it: user ARN, or assumed-role ARN (which omits the role's path). */
  arn: string;
  /** `AIDA...` or `AROA...:session`. */
  userId: string;
  /** The IAM entity whose policies and boundary count. */
  entity: { kind: 'user' | 'role'; accountId: string; name: string };
  contextKeys: Record<string, string[]>;
};

/** What is about to be done, for the evaluator: every resource must be allowed. */
export type Action = {
  action: string;
  resources: Array<{ arn: string; contextKeys?: Record<string, string[]> }>;
  contextKeys?: Record<string, string[]>;
};

/** Asks the evaluator; throws AwsError with AWS's own wording and the service's code for a denial. */
export type Authorise = (caller: Caller, action: Action) => void;

/** An error as AWS answers it. The transport (query XML, JSON 1.1, REST JSON) gives it its shape. */
export class AwsError extends Error {
  readonly code: string;
  readonly status: number;

  constructor(code: string, message: string, status = 400) {
    super(message);
    this.name = 'AwsError';
    this.code = code;
    this.status = status;
  }
}

/** Temporary credentials as handed out by STS and by the portal. */
export type IssuedCredentials = { accessKeyId: string; secretAccessKey: string; sessionToken: string; expiration: Date };
