/** STS: GetCallerIdentity, GetSessionToken and AssumeRole. */
import { z } from 'zod';
import { createJudge, denialReason, deniedError, globalContextKeys } from './authorization/authorise.ts';
import { callerOfSession, isTemporary } from './authorization/caller.ts';
import type { CredentialStore } from './authorization/credential-store.ts';
import { evaluateTrust } from './authorization/evaluate.ts';
import { requestContext } from './authorization/match-pattern.ts';
import { parsePolicyDocument } from './authorization/policy-document.ts';
import { countedCharacters, document, parseInput } from './iam/input.ts';
import { holderArn, holderKey, type IamRole, type IamState } from './iam/state.ts';
import { AwsError, type Caller, type QueryService } from './service.ts';

const sessionPolicyLimit = 2048;
const chainedSessionSeconds = 3600;

const assumeRoleInput = z.object({
  RoleArn: z
    .string()
    .min(20, 'Member must have length greater than or equal to 20')
    .max(2048, 'Member must have length less than or equal to 2048')
    .regex(/^arn:aws:iam::\d{12}:role\/[\u0021-\u007e]+$/, 'Member must be the ARN of a role'),
  RoleSessionName: z
    .string()
    .min(2, 'Member must have length greater than or equal to 2')
    .max(64, 'Member must have length less than or equal to 64')
    .regex(/^[\w+=,.@-]*$/, 'Member must satisfy regular expression pattern: [\\w+=,.@-]*'),
  DurationSeconds: z.coerce
    .number()
    .int()
    .min(900, 'Member must have value greater than or equal to 900')
    .max(43_200, 'Member must have value less than or equal to 43200')
    .default(3600),
  ExternalId: z
    .string()
    .min(2, 'Member must have length greater than or equal to 2')
    .max(1224, 'Member must have length less than or equal to 1224')
    .regex(/^[\w+=,.@:/-]*$/, 'Member must satisfy regular expression pattern: [\\w+=,.@:\\/-]*')
    .optional(),
  Policy: document.optional(),
});
/** AWS's own bounds and default for an IAM user; MFA is not played. */
const sessionTokenInput = z.object({
  DurationSeconds: z.coerce
    .number()
    .int()
    .min(900, 'Member must have value greater than or equal to 900')
    .max(129_600, 'Member must have value less than or equal to 129600')
    .default(43_200),
});
const unknownFields = ['PolicyArns', 'Tags', 'TransitiveTagKeys', 'SourceIdentity', 'SerialNumber', 'TokenCode'];

const checkDuration = (caller: Caller, role: IamRole, seconds: number): void => {
  if (caller.entity.kind === 'role' && seconds > chainedSessionSeconds) {
    const message = 'The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining';
    throw new AwsError('ValidationError', message, 400);
  }
  if (seconds > role.maxSessionSeconds) {
    const message = 'The requested DurationSeconds exceeds the MaxSessionDuration set for this role.';
    throw new AwsError('ValidationError', message, 400);
  }
};

const checkSessionPolicy = (policy: string | undefined): void => {
  if (policy === undefined) return;
  parsePolicyDocument(policy, 'identity');
  if (countedCharacters(policy) > sessionPolicyLimit) {
    throw new AwsError('PackedPolicyTooLarge', 'Packed policy consumes more than 100% of allotted space.', 400);
  }
};

/** STS over the same IAM state and credential store as the rest. Condition keys that local-aws does not play are refused, not ignored. */
export const createStsService = (deps: {
  state: IamState;
  credentials: CredentialStore;
  now: () => Date;
}): QueryService => {
  const judge = createJudge(deps.state);

  /** The role as the policy engine has heard of it; throws AccessDenied where it, its trust or the caller's policies say no. */
  const permittedRole = (caller: Caller, input: z.infer<typeof assumeRoleInput>): IamRole => {
    const action = 'sts:AssumeRole';
    const denied = { action, resource: input.RoleArn };
    const [, accountId = '', name = ''] = /^arn:aws:iam::(\d{12}):role\/(?:.*\/)?([^/]+)$/.exec(input.RoleArn) ?? [];
    const role = deps.state.roles.seen(holderKey(accountId, name));
    if (!role || holderArn(role) !== input.RoleArn) throw deniedError(caller, denied);
    const roleTags = Object.entries(role.tags).map(([key, value]) => [`aws:ResourceTag/${key}`, [value]]);
    const context = requestContext(
      caller.contextKeys,
      globalContextKeys(deps.now()),
      Object.fromEntries(roleTags),
      { 'sts:RoleSessionName': [input.RoleSessionName] },
      input.ExternalId === undefined ? undefined : { 'sts:ExternalId': [input.ExternalId] },
    );
    const trust = evaluateTrust(parsePolicyDocument(role.trust, 'trust'), { action, caller, context });
    if (trust === 'implicit-deny' || trust === 'explicit-deny') throw deniedError(caller, denied);
    // A trust policy of the same account that names the caller is enough; over accounts both sides must allow.
    const named = trust === 'names-principal' && caller.accountId === accountId;
    const result = judge(caller, { action, resource: input.RoleArn, context }, !named);
    if (result.decision !== 'allow') {
      throw deniedError(caller, { ...denied, because: denialReason(result, action) });
    }
    return role;
  };

  const issuedTo = (caller: Caller, seconds: number) => {
    const expiresAt = new Date(deps.now().getTime() + seconds * 1000);
    const issued = deps.credentials.mint({ caller, expiresAt });
    return {
      Credentials: {
        AccessKeyId: issued.accessKeyId,
        SecretAccessKey: issued.secretAccessKey,
        SessionToken: issued.sessionToken,
        Expiration: issued.expiration,
      },
    };
  };

  return {
    service: 'sts',
    protocol: 'query',
    namespace: 'https://sts.amazonaws.com/doc/2011-06-15/',
    dialect: 'query',
    operations: {
      // Needs no permission, even under an explicit deny (aws-facts 2.2).
      GetCallerIdentity: (_input, caller) => ({ Arn: caller.arn, UserId: caller.userId, Account: caller.accountId }),

      // Needs no permission either. Only long-lived keys of users get one.
      GetSessionToken: (raw, caller) => {
        const unknown = unknownFields.find((field) => raw[field] !== undefined);
        if (unknown)
          throw new AwsError('ValidationError', `local-aws does not know ${unknown} in GetSessionToken.`, 400);
        if (caller.entity.kind !== 'user' || isTemporary(caller)) {
          throw new AwsError('AccessDenied', 'Cannot call GetSessionToken with session credentials', 403);
        }
        const { DurationSeconds } = parseInput(sessionTokenInput, raw);
        return issuedTo(caller, DurationSeconds);
      },

      AssumeRole: (raw, caller) => {
        const unknown = unknownFields.find((field) => raw[field] !== undefined);
        if (unknown) throw new AwsError('ValidationError', `local-aws does not know ${unknown} in AssumeRole.`, 400);
        const input = parseInput(assumeRoleInput, raw);
        checkSessionPolicy(input.Policy);
        const role = permittedRole(caller, input);
        checkDuration(caller, role, input.DurationSeconds);
        const session = callerOfSession({ role, sessionName: input.RoleSessionName, sessionPolicy: input.Policy });
        return {
          AssumedRoleUser: { AssumedRoleId: session.userId, Arn: session.arn },
          ...issuedTo(session, input.DurationSeconds),
        };
      },
    },
  };
};
