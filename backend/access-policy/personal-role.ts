/**
 * What a person's role in one account looks like. The provisioner makes it so, and the backend compares it before every
 * write (threats AWS-09): one template for both, pure.
 */
import { peoplePath, personalRoleName, personTag, roleSessionName, userNameTag } from './principal.ts';

/** What the template needs to know of the installation; all of it is configuration. */
export type RoleSetting = {
  partition: string;
  accountId: string;
  identityStoreId: string;
  /** Home region of Identity Center: part of the path of its roles, except in us-east-1 (aws-facts 1.9). */
  ssoRegion: string;
  permissionSet: string;
  /** Accounts whose Identity Center sessions may enter the role; its own account always may. */
  signInAccounts: readonly string[];
  boundaryArn: string;
};

export type RolePerson = { id: string; userName: string };

export type RoleTemplate = {
  name: string;
  path: string;
  sessionName: string;
  /** The trust policy as minified JSON. */
  trust: string;
  boundaryArn: string;
  tags: Record<string, string>;
};

/** A role as IAM shows it. The trust policy is decoded. */
export type SeenRole = {
  name: string;
  path: string;
  trust: string;
  boundaryArn: string | null;
  tags: Record<string, string>;
};

const reservedPath = (ssoRegion: string): string =>
  ssoRegion === 'us-east-1' ? 'aws-reserved/sso.amazonaws.com' : `aws-reserved/sso.amazonaws.com/${ssoRegion}`;

/**
 * The role of this person in this account.
 * @param sessionName the one a principal already has (it stays when a person is renamed); else made from the user name.
 * @throws when an id could widen the trust policy.
 */
export const personalRoleTemplate = (
  setting: RoleSetting,
  person: RolePerson,
  sessionName = roleSessionName(person.userName, person.id),
): RoleTemplate => {
  if (!/^[0-9a-f-]{1,47}$/.test(person.id)) throw new Error('Not an Identity Center UserId');
  if (!/^[\w+=,.@-]{2,64}$/.test(sessionName)) throw new Error('Not a role session name');
  const { partition } = setting;
  const accounts = [...new Set([setting.accountId, ...setting.signInAccounts])].sort();
  const roots = accounts.map((account) => `arn:${partition}:iam::${account}:root`);
  const trust = {
    Version: '2012-10-17',
    Statement: [
      {
        Sid: 'OnlyThisPersonFromIdentityCenter',
        Effect: 'Allow',
        Principal: { AWS: roots.length === 1 ? roots[0] : roots },
        Action: 'sts:AssumeRole',
        Condition: {
          ArnLike: {
            'aws:PrincipalArn': accounts.map(
              (account) =>
                `arn:${partition}:iam::${account}:role/${reservedPath(setting.ssoRegion)}/AWSReservedSSO_${setting.permissionSet}_*`,
            ),
          },
          StringEquals: { 'identitystore:UserId': person.id, 'sts:RoleSessionName': sessionName },
        },
      },
    ],
  };
  return {
    name: personalRoleName(setting.identityStoreId, person.id),
    path: peoplePath,
    sessionName,
    trust: JSON.stringify(trust),
    boundaryArn: setting.boundaryArn,
    // Tag values allow letters, digits, space and _.:/=+-@ only.
    tags: {
      [personTag]: person.id,
      [userNameTag]: person.userName.replaceAll(/[^\p{L}\p{N}\s_.:/=+\-@]/gu, '_').slice(0, 256),
    },
  };
};

/** JSON with sorted keys and one-element lists as their element: IAM gives policies back in its own form. */
const normal = (value: unknown): unknown => {
  if (Array.isArray(value)) return value.length === 1 ? normal(value[0]) : value.map(normal).sort(byJson);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, part]) => [key, normal(part)]),
  );
};
const byJson = (a: unknown, b: unknown): number => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1);

const sameDocument = (a: string, b: string): boolean => {
  try {
    return JSON.stringify(normal(JSON.parse(a))) === JSON.stringify(normal(JSON.parse(b)));
  } catch {
    return false;
  }
};

/**
 * How a role differs from its template; empty when it is ours. The user name tag is for people to read and is not
 * compared: a renamed person keeps the role.
 */
export const roleDifferences = (template: RoleTemplate, seen: SeenRole): string[] => {
  const differences: string[] = [];
  if (seen.path !== template.path) differences.push(`its path is ${seen.path}, not ${template.path}`);
  if (seen.boundaryArn !== template.boundaryArn) {
    differences.push(
      seen.boundaryArn === null ? 'it has no permissions boundary' : `its permissions boundary is ${seen.boundaryArn}`,
    );
  }
  if (!sameDocument(seen.trust, template.trust)) differences.push('its trust policy is not the one Curfew gives');
  if (seen.tags[personTag] !== template.tags[personTag]) differences.push(`its tag ${personTag} names somebody else`);
  return differences;
};

/** What an admin can do about a role that is not as it should be. */
export const roleAdvice = (template: RoleTemplate, accountName: string, differences: readonly string[]): string =>
  `Your personal role ${template.name} in ${accountName} is not as Curfew made it: ${differences.join('; ')}. ` +
  'An AWS admin finds out who changed it, deletes it and runs the Curfew provisioner.';
