/** IAM as the backend uses it: the one access policy on a personal role, and reading the roles it hangs on. */
import {
  DeleteRolePolicyCommand,
  GetRoleCommand,
  GetRolePolicyCommand,
  ListRolePoliciesCommand,
  ListRolesCommand,
  PutRolePolicyCommand,
  type Role,
} from '@aws-sdk/client-iam';
import type { PersonalRole } from '../../src/shared/views.ts';
import {
  personalRoleTemplate,
  type RolePerson,
  type RoleSetting,
  roleAdvice,
  roleDifferences,
  type SeenRole,
} from '../access-policy/personal-role.ts';
import { accessPolicyName, peoplePath, personalRoleArn } from '../access-policy/principal.ts';
import { type Config, identityStoreOf } from '../config.ts';
import type { Broker } from './broker.ts';
import { AwsProblem } from './errors.ts';
import { allPages } from './pages.ts';

/** All of it throws AwsProblem when AWS says no for good. Role names come without their path. */
export type Iam = {
  /** The role as it is now; null when there is none of that name. */
  readRole: (accountId: string, roleName: string) => Promise<SeenRole | null>;
  /** The access policy's text as IAM holds it; null when the role or the policy is not there. */
  readAccessPolicy: (accountId: string, roleName: string) => Promise<string | null>;
  writeAccessPolicy: (accountId: string, roleName: string, document: string) => Promise<void>;
  /** Does nothing when it is gone already. */
  deleteAccessPolicy: (accountId: string, roleName: string) => Promise<void>;
  /** Names of all inline policies; empty when the role is not there. */
  inlinePolicies: (accountId: string, roleName: string) => Promise<string[]>;
  /** Names of all roles under the path of personal roles. */
  personalRoles: (accountId: string) => Promise<string[]>;
  /** RoleId (`AROA…`) of an Identity Center role of that name, if it stands under the reserved path (threats ID-07). */
  reservedRoleId: (accountId: string, roleName: string) => Promise<string | null>;
};

const seenRole = (role: Role): SeenRole => ({
  name: role.RoleName ?? '',
  path: role.Path ?? '',
  // IAM gives documents back URL-encoded (aws-facts 3.4).
  trust: decodeURIComponent(role.AssumeRolePolicyDocument ?? ''),
  boundaryArn: role.PermissionsBoundary?.PermissionsBoundaryArn ?? null,
  tags: Object.fromEntries((role.Tags ?? []).map(({ Key, Value }) => [Key ?? '', Value ?? ''])),
});

/** The value, or `otherwise` when AWS says that what was named does not exist. */
const unlessGone = async <T, F>(work: Promise<T>, otherwise: F): Promise<T | F> => {
  try {
    return await work;
  } catch (error) {
    if (error instanceof AwsProblem && error.kind === 'gone') return otherwise;
    throw error;
  }
};

type RoleRef = { accountId: string; roleName: string };

export const createIam = (broker: Broker): Iam => {
  const rolesUnder = (accountId: string, path: string): Promise<Role[]> => {
    const { iam, call } = broker.account(accountId);
    return allPages(async (token) => {
      const input = { PathPrefix: path, ...(token === undefined ? {} : { Marker: token }) };
      const page = await call('iam:ListRoles', 'iam-read', () => iam.send(new ListRolesCommand(input)));
      return { items: page.Roles ?? [], next: page.IsTruncated ? page.Marker : undefined };
    });
  };

  const personalRoles = async (accountId: string): Promise<string[]> =>
    (await rolesUnder(accountId, peoplePath)).flatMap(({ RoleName }) => (RoleName === undefined ? [] : [RoleName]));

  /**
   * The value, or `otherwise` when there is no such role or nothing of that name on it. IAM judges a role that is not there by
   * an ARN without path, which our rights do not cover, and answers AccessDenied: then the list of roles tells.
   */
  const unlessRoleGone = async <T, F>(role: RoleRef, work: Promise<T>, otherwise: F): Promise<T | F> => {
    try {
      return await unlessGone(work, otherwise);
    } catch (error) {
      const denied = error instanceof AwsProblem && error.code === 'AccessDenied';
      if (denied && !(await personalRoles(role.accountId)).includes(role.roleName)) return otherwise;
      throw error;
    }
  };

  return {
    readRole: async (accountId, roleName) => {
      const { iam, call } = broker.account(accountId);
      const work = call('iam:GetRole', 'iam-read', () => iam.send(new GetRoleCommand({ RoleName: roleName })));
      const answer = await unlessRoleGone({ accountId, roleName }, work, null);
      return answer?.Role === undefined ? null : seenRole(answer.Role);
    },
    readAccessPolicy: async (accountId, roleName) => {
      const { iam, call } = broker.account(accountId);
      const input = { RoleName: roleName, PolicyName: accessPolicyName };
      const work = call('iam:GetRolePolicy', 'iam-read', () => iam.send(new GetRolePolicyCommand(input)));
      const answer = await unlessRoleGone({ accountId, roleName }, work, null);
      return answer === null ? null : decodeURIComponent(answer.PolicyDocument ?? '');
    },
    writeAccessPolicy: async (accountId, roleName, document) => {
      const { iam, call } = broker.account(accountId);
      const input = { RoleName: roleName, PolicyName: accessPolicyName, PolicyDocument: document };
      await call('iam:PutRolePolicy', 'iam-write', () => iam.send(new PutRolePolicyCommand(input)));
    },
    deleteAccessPolicy: async (accountId, roleName) => {
      const { iam, call } = broker.account(accountId);
      const input = { RoleName: roleName, PolicyName: accessPolicyName };
      const work = call('iam:DeleteRolePolicy', 'iam-write', () => iam.send(new DeleteRolePolicyCommand(input)));
      await unlessRoleGone({ accountId, roleName }, work, null);
    },
    inlinePolicies: (accountId, roleName) => {
      const { iam, call } = broker.account(accountId);
      const work = allPages(async (token) => {
        const input = { RoleName: roleName, ...(token === undefined ? {} : { Marker: token }) };
        const page = await call('iam:ListRolePolicies', 'iam-read', () => iam.send(new ListRolePoliciesCommand(input)));
        return { items: page.PolicyNames ?? [], next: page.IsTruncated ? page.Marker : undefined };
      });
      return unlessRoleGone({ accountId, roleName }, work, []);
    },
    personalRoles,
    reservedRoleId: async (accountId, roleName) => {
      const roles = await rolesUnder(accountId, '/aws-reserved/sso.amazonaws.com/');
      return roles.find(({ RoleName }) => RoleName === roleName)?.RoleId ?? null;
    },
  };
};

/** What the template of personal roles takes from the configuration. @throws when the account is not configured. */
export const roleSetting = (
  config: Pick<Config, 'partition' | 'signIn' | 'directory' | 'accounts'>,
  accountId: string,
): RoleSetting => {
  const account = config.accounts.find(({ id }) => id === accountId);
  if (account === undefined) throw new Error(`Account ${accountId} is not configured`);
  return {
    partition: config.partition,
    accountId,
    identityStoreId: identityStoreOf(config).identityStoreId,
    ssoRegion: config.signIn.ssoRegion,
    permissionSet: config.signIn.permissionSet,
    signInAccounts: config.signIn.accounts,
    boundaryArn: account.boundaryArn,
  };
};

const checkLivesMs = 60_000;

export type RoleCheck = (accountId: string, person: RolePerson) => Promise<PersonalRole>;

/**
 * Has this person a role of ours in this account? Ready answers are kept for 60 s (the reconciler checks anew before every
 * write anyway); missing ones are asked again each time, because somebody is about to mend them.
 */
export const createRoleCheck = (options: {
  config: Config;
  iam: Pick<Iam, 'readRole'>;
  now: () => Date;
}): RoleCheck => {
  const { config, iam, now } = options;
  const known = new Map<string, { until: number; role: PersonalRole }>();
  return async (accountId, person) => {
    const key = `${accountId}/${person.id}`;
    const remembered = known.get(key);
    if (remembered !== undefined && remembered.until > now().getTime()) return remembered.role;
    known.delete(key);
    const setting = roleSetting(config, accountId);
    const template = personalRoleTemplate(setting, person);
    const accountName = config.accounts.find(({ id }) => id === accountId)?.name ?? accountId;
    const seen = await iam.readRole(accountId, template.name);
    if (seen === null) {
      const advice =
        `${person.userName} has no personal role in ${accountName} yet. An AWS admin makes it by running the Curfew ` +
        'provisioner (npm run provision); the person must be in one of its configured groups.';
      return { accountId, accountName, state: 'missing', advice };
    }
    const differences = roleDifferences(template, seen);
    if (differences.length > 0) {
      return { accountId, accountName, state: 'not-ours', advice: roleAdvice(template, accountName, differences) };
    }
    const roleArn = personalRoleArn(setting.partition, accountId, template.name);
    const role: PersonalRole = { accountId, accountName, state: 'ready', roleArn };
    known.set(key, { until: now().getTime() + checkLivesMs, role });
    return role;
  };
};
