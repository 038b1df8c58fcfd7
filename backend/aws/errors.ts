/** What an AWS error means for us: one table for IAM, STS, SSM and EC2 (aws-facts 10). Branches on name and code only. */

/** `retry`: it may go away by itself. `gone`: what was named does not exist. `permanent`: a person must act. */
export type AwsErrorKind = 'retry' | 'gone' | 'permanent';

/** A call that failed for good, or that was retried as often as makes sense. The message is for logs. */
export class AwsProblem extends Error {
  readonly kind: AwsErrorKind;
  /** AWS's name of the error, e.g. `AccessDenied`. */
  readonly code: string;
  /** One or two sentences for the person who waits, and for the admin who can mend it. */
  readonly advice: string;

  constructor(facts: { kind: AwsErrorKind; code: string; advice: string; call: string }, options?: ErrorOptions) {
    super(`${facts.call}: ${facts.code}`, options);
    this.name = 'AwsProblem';
    this.kind = facts.kind;
    this.code = facts.code;
    this.advice = facts.advice;
  }
}

/** Too many calls: the budget is lowered for a while. */
const throttling = new Set([
  'Throttling',
  'ThrottlingException',
  'ThrottledException',
  'TooManyRequestsException',
  'RequestLimitExceeded',
  'SlowDown',
  'PriorRequestNotComplete',
  'RequestThrottled',
  'RequestThrottledException',
]);

const retried = new Set([
  ...throttling,
  'ConcurrentModification',
  'ConcurrentModificationException',
  'ServiceFailure',
  'ServiceFailureException',
  'ServiceUnavailable',
  'ServiceUnavailableException',
  'InternalFailure',
  'InternalError',
  'InternalServerError',
  'InternalServerException',
  'RequestTimeout',
  'RequestTimeoutException',
  'TimeoutError',
  'ExpiredToken',
  'ExpiredTokenException',
  'RequestExpired',
]);

const gone = new Set(['NoSuchEntity', 'NoSuchEntityException', 'DoesNotExistException', 'ResourceNotFoundException']);

const setup = 'An AWS admin compares the roles in this account with deploy/curfew-account.yml.';

const adviceByCode: Record<string, string> = {
  AccessDenied: `AWS does not let Curfew do this in this account. ${setup}`,
  AccessDeniedException: `AWS does not let Curfew do this in this account. ${setup}`,
  UnauthorizedOperation: `AWS does not let Curfew read instances in this account. ${setup}`,
  LimitExceeded: 'The access policy has no room left in AWS. End other access first.',
  LimitExceededException: 'The access policy has no room left in AWS. End other access first.',
  MalformedPolicyDocument: 'AWS did not take the access policy. This is a fault in Curfew: tell its admin.',
  MalformedPolicyDocumentException: 'AWS did not take the access policy. This is a fault in Curfew: tell its admin.',
  UnmodifiableEntity: `This role belongs to AWS and cannot carry access. ${setup}`,
  UnmodifiableEntityException: `This role belongs to AWS and cannot carry access. ${setup}`,
  InvalidClientTokenId: 'AWS does not know the credentials of the Curfew backend. Its admin gives it new ones.',
  UnrecognizedClientException: 'AWS does not know the credentials of the Curfew backend. Its admin gives it new ones.',
  AuthFailure: 'AWS does not know the credentials of the Curfew backend. Its admin gives it new ones.',
  SignatureDoesNotMatch: 'AWS refused the backend’s signature. Its admin checks its clock and its credentials.',
  InvalidSignatureException: 'AWS refused the backend’s signature. Its admin checks its clock and its credentials.',
  CredentialsProviderError: 'The Curfew backend has no AWS credentials. Its admin gives it some.',
  RegionDisabledException: 'This region is not enabled in this account.',
};

const codeOf = (error: unknown): string => {
  if (!(error instanceof Error)) return 'Unknown';
  // IAM's model names differ from its codes ("NoSuchEntityException", "NoSuchEntity"): both are in the tables.
  return error.name;
};

/** Did AWS say that there were too many calls? */
export const isThrottling = (problem: AwsProblem): boolean => throttling.has(problem.code);

const statusOf = (error: unknown): number | null => {
  if (typeof error !== 'object' || error === null || !('$metadata' in error)) return null;
  const { $metadata: metadata } = error;
  if (typeof metadata !== 'object' || metadata === null || !('httpStatusCode' in metadata)) return null;
  return typeof metadata.httpStatusCode === 'number' ? metadata.httpStatusCode : null;
};

const lostConnection = (error: unknown): boolean => {
  if (!(error instanceof Error) || !('code' in error) || typeof error.code !== 'string') return false;
  return /^(E(CONNRESET|CONNREFUSED|PIPE|TIMEDOUT|HOSTUNREACH|NETUNREACH|AI_AGAIN)|UND_ERR_.*)$/.test(error.code);
};

/** Puts any error of an SDK call into the table. `call` names it for the log, e.g. `iam:PutRolePolicy`. */
export const awsProblem = (call: string, error: unknown): AwsProblem => {
  if (error instanceof AwsProblem) return error;
  const code = codeOf(error);
  const status = statusOf(error);
  const kind = ((): AwsErrorKind => {
    if (gone.has(code)) return 'gone';
    if (retried.has(code) || lostConnection(error)) return 'retry';
    return status !== null && status >= 500 ? 'retry' : 'permanent';
  })();
  const advice = adviceByCode[code] ?? `AWS answered ${code} to ${call}. Curfew’s admin finds the details in its log.`;
  return new AwsProblem({ kind, code, advice, call }, { cause: error });
};
