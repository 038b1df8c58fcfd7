/** Builds callers, so that STS and the portal describe the same person with the same condition keys. */
import type { Caller } from '../service.ts';

/** What a caller is made from: see `iam/state.ts` for users and roles. */
type Principal = { accountId: string; name: string; path: string; id: string; tags: Record<string, string> };

const tagKeys = (tags: Record<string, string>): Record<string, string[]> =>
  Object.fromEntries(Object.entries(tags).map(([key, value]) => [`aws:PrincipalTag/${key}`, [value]]));

/** The ARN of a user, role or group, path included, as IAM tells it. */
export const entityArn = (kind: 'user' | 'role' | 'group', entity: Omit<Principal, 'id' | 'tags'>): string =>
  `arn:aws:iam::${entity.accountId}:${kind}${entity.path}${entity.name}`;

/** Signed with credentials that STS or the portal gave. */
export const isTemporary = (caller: Caller): boolean => caller.contextKeys['aws:TokenIssueTime'] !== undefined;

/** An IAM user who signs with a long-lived key. */
export const callerOfUser = (user: Principal): Caller => {
  const arn = entityArn('user', user);
  return {
    accountId: user.accountId,
    arn,
    userId: user.id,
    entity: { kind: 'user', accountId: user.accountId, name: user.name },
    contextKeys: {
      ...tagKeys(user.tags),
      'aws:PrincipalArn': [arn],
      'aws:PrincipalAccount': [user.accountId],
      'aws:PrincipalType': ['User'],
      'aws:userid': [user.id],
      'aws:username': [user.name],
    },
  };
};

/**
 * A session of a role. `contextKeys` are what the session carries besides (the portal adds `identitystore:UserId`).
 * The session ARN omits the role's path, `aws:PrincipalArn` is the role's ARN with its path (aws-facts 1.9, 3.2).
 */
export const callerOfSession = (options: {
  role: Principal;
  sessionName: string;
  contextKeys?: Record<string, string[]>;
  sessionPolicy?: string | undefined;
}): Caller => {
  const { role, sessionName } = options;
  const userId = `${role.id}:${sessionName}`;
  return {
    accountId: role.accountId,
    arn: `arn:aws:sts::${role.accountId}:assumed-role/${role.name}/${sessionName}`,
    userId,
    entity: { kind: 'role', accountId: role.accountId, name: role.name },
    contextKeys: {
      ...tagKeys(role.tags),
      ...options.contextKeys,
      'aws:PrincipalArn': [entityArn('role', role)],
      'aws:PrincipalAccount': [role.accountId],
      'aws:PrincipalType': ['AssumedRole'],
      'aws:userid': [userId],
    },
    ...(options.sessionPolicy === undefined ? {} : { sessionPolicy: options.sessionPolicy }),
  };
};
