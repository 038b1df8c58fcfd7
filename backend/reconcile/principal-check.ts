/**
 * Is what carries access still what Curfew may write on (threats AWS-09)? A personal role as the provisioner made it; an IAM
 * user who is the person and has the boundary; the configured IAM group, which nothing can fence (aws-facts 3.1).
 */
import type { Person } from '../../src/shared/access.ts';
import { personalRoleTemplate, type RoleSetting, roleAdvice, roleDifferences } from '../access-policy/personal-role.ts';
import type { Iam } from '../aws/iam.ts';
import type { AccountConfig } from '../config.ts';
import type { PrincipalRow } from './wished.ts';

export type CheckDeps = {
  aws: { iam: Pick<Iam, 'readRole' | 'readUser' | 'readGroup'> };
  /** @throws when the account is not configured. */
  roleSetting: (accountId: string) => RoleSetting;
  /** @throws when the account is not configured. */
  account: (accountId: string) => AccountConfig;
};

/** Why nothing may hang on a principal: a code for the log, words for the audit, and what an AWS admin does. */
export type Trouble = { code: string; what: string; advice: string; differences: string[] };

const roleTrouble = async (deps: CheckDeps, principal: PrincipalRow, owner: Person): Promise<Trouble | null> => {
  const { account_id: accountId } = principal;
  const { name } = deps.account(accountId);
  const template = personalRoleTemplate(deps.roleSetting(accountId), owner, principal.session_name);
  const role = await deps.aws.iam.readRole(accountId, principal.name);
  const differences = role === null || template.name !== principal.name ? null : roleDifferences(template, role);
  if (differences?.length === 0) return null;
  const code = role === null ? 'role_missing' : 'role_not_ours';
  const advice =
    role === null
      ? `Your personal role in ${name} is gone. An AWS admin makes it again by running the Curfew provisioner.`
      : roleAdvice(template, name, differences ?? ['its name belongs to somebody else']);
  return { code, advice, what: `the personal role in ${name}: ${code}`, differences: differences ?? [] };
};

/** What to ask when the name of a user is not theirs any more: its name of now, as far as it is known. */
type RenamedTo = { renamedTo: () => Promise<string | null> };

const userTrouble = async (
  deps: CheckDeps & RenamedTo,
  principal: PrincipalRow,
  owner: Person,
): Promise<Trouble | null> => {
  const account = deps.account(principal.account_id);
  const called = `the IAM user ${principal.name} in ${account.name}`;
  const user = await deps.aws.iam.readUser(principal.account_id, principal.name);
  const trouble = (code: string, how: string, mend: string): Trouble => ({
    code,
    what: `${called}: ${code}`,
    advice: `${called.replace('the', 'The')} ${how}. ${mend}`,
    differences: [how],
  });
  const newName = user?.userId === owner.id ? null : await deps.renamedTo();
  if (newName !== null) return trouble('user_renamed', `was renamed to ${newName}`, `Ask again as ${newName}.`);
  if (user === null) return trouble('user_missing', 'is gone', 'An AWS admin finds out why.');
  if (user.userId !== owner.id || user.arn !== principal.arn) {
    return trouble('user_not_ours', 'is not the one who was granted this', 'Ask again as the user that is there now.');
  }
  if (user.boundaryArn === account.boundaryArn) return null;
  const how =
    user.boundaryArn === null ? 'has no permissions boundary' : `has another permissions boundary, ${user.boundaryArn}`;
  return trouble('user_not_fenced', how, `An AWS admin sets ${account.boundaryArn} as its permissions boundary.`);
};

const groupTrouble = async (deps: CheckDeps, principal: PrincipalRow): Promise<Trouble | null> => {
  const { name } = deps.account(principal.account_id);
  const group = await deps.aws.iam.readGroup(principal.account_id, principal.name);
  if (group?.arn === principal.arn) return null;
  const code = group === null ? 'group_missing' : 'group_not_ours';
  const how = group === null ? 'is gone' : `is now ${group.arn}`;
  return {
    code,
    what: `the IAM group ${principal.name} in ${name}: ${code}`,
    advice: `The IAM group ${principal.name} in ${name} ${how}. An AWS admin makes it again, or changes Curfew’s configuration.`,
    differences: [how],
  };
};

const isConfigured = ({ principal }: AccountConfig, row: PrincipalRow): boolean =>
  principal.kind === row.kind && (principal.kind !== 'group' || principal.group === row.name);

/**
 * @param owner of a grant on it; without one nobody has anything there.
 * @returns null when it is as it should be.
 * @throws AwsProblem when IAM cannot be asked.
 */
export const principalTrouble = (
  deps: CheckDeps & RenamedTo,
  principal: PrincipalRow,
  owner: Person | undefined,
): Promise<Trouble | null> | null => {
  if (owner === undefined) return null;
  const account = deps.account(principal.account_id);
  if (!isConfigured(account, principal)) {
    return Promise.resolve({
      code: 'principal_not_configured',
      what: `access in ${account.name} is no longer on the ${principal.kind} ${principal.name}`,
      advice: `Access in ${account.name} hangs on something else now by Curfew’s configuration. Ask again.`,
      differences: [`${principal.kind} ${principal.name} is not configured`],
    });
  }
  if (principal.kind === 'role') return roleTrouble(deps, principal, owner);
  return principal.kind === 'user' ? userTrouble(deps, principal, owner) : groupTrouble(deps, principal);
};
