/** Names of a person's principal, derived from ids only, so that a crash orphans nothing (aws-facts 3.2, threats AWS-04). */
import { createHash } from 'node:crypto';

export const peoplePath = '/curfew/people/';
/** The one inline policy on a personal role. */
export const accessPolicyName = 'curfew-access';
export const personTag = 'curfew:person';
export const userNameTag = 'curfew:user-name';

const sha256Hex = (text: string): string => createHash('sha256').update(text).digest('hex');

/** Role name: a hash of identity store id and UserId, so no user name can collide with another's. */
export const personalRoleName = (identityStoreId: string, personId: string): string =>
  `curfew-${sha256Hex(`${identityStoreId}|${personId}`).slice(0, 20)}`;

/** Could a role of this name be somebody's personal role? */
export const isPersonalRoleName = (name: string): boolean => /^curfew-[0-9a-f]{20}$/.test(name);

export const personalRoleArn = (partition: string, accountId: string, roleName: string): string =>
  `arn:${partition}:iam::${accountId}:role${peoplePath}${roleName}`;

/**
 * The fixed role session name: the reduced user name, a dot and 8 hex of the UserId's hash. Session ids start with it;
 * the ending keeps `alice` apart from `alice-bob`.
 */
export const roleSessionName = (userName: string, personId: string): string => {
  const reduced = userName
    .toLowerCase()
    .replaceAll(/[^a-z0-9.]/g, '.')
    .slice(0, 40);
  return `${reduced}.${sha256Hex(personId).slice(0, 8)}`;
};

/** The owner of SSM sessions started by a person: the assumed-role ARN, which omits the role's path. */
export const sessionOwnerArn = (options: {
  partition: string;
  accountId: string;
  roleName: string;
  sessionName: string;
}): string =>
  `arn:${options.partition}:sts::${options.accountId}:assumed-role/${options.roleName}/${options.sessionName}`;

/** Whose access policy it is: a role, user or group of an account, by its name without path. */
export type PolicyHolder = {
  accountId: string;
  kind: 'role' | 'user' | 'group';
  name: string;
  /** What a renamed IAM user was called when its managed policies were made: they keep the names that they got from it. */
  formerName?: string;
};

/** Where managed policies with access stand: never where the boundary is (threats AWS-07). */
export const grantsPath = '/curfew/grants/';

/**
 * Name of a principal's managed policy by its number, 1 and up. Derived from the principal only, so that a crash orphans
 * nothing: whoever looks for it knows its name.
 */
export const managedPolicyName = (holder: PolicyHolder, number: number): string => {
  const { accountId, kind, name, formerName = name } = holder;
  // A personal role's name is a hash already, and an admin who reads the policy's name finds the role.
  const stem = kind === 'role' ? name : `curfew-${sha256Hex(`${accountId}|${kind}|${formerName}`).slice(0, 20)}`;
  return `${stem}-${number}`;
};

export const managedPolicyArn = (partition: string, holder: PolicyHolder, number: number): string =>
  `arn:${partition}:iam::${holder.accountId}:policy${grantsPath}${managedPolicyName(holder, number)}`;

/** The owner of an IAM user's sessions as we compare it: user names are unique in an account whatever their path. */
export const userOwnerArn = (partition: string, accountId: string, userName: string): string =>
  `arn:${partition}:iam::${accountId}:user/${userName}`;

/** An owner as SSM tells it, in the form in which we compare it: an IAM user's without its path. */
export const comparableOwner = (owner: string): string =>
  owner.replace(/^(arn:[^:]+:iam::\d{12}:user\/)(?:.*\/)?([^/]+)$/, '$1$2');
