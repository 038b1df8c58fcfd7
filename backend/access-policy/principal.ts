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
