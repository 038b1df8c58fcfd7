/** The companies of histories: the same people and machines, and all that may carry access by design 6, two kinds in each. */
import path from 'node:path';
import { personalRoleTemplate } from '../../backend/access-policy/personal-role.ts';
import { peoplePath, personalRoleName, roleSessionName } from '../../backend/access-policy/principal.ts';
import { roleSetting } from '../../backend/aws/iam.ts';
import type { AccountConfig, Config } from '../../backend/config.ts';
import type { PersonFacts } from '../../backend/store/people.ts';
import { dev, harborlineAccount, harborlineConfig, identityStoreId, prod } from '../../backend/testing/harborline.ts';
import { callerOfSession, callerOfUser } from '../local-aws/authorization/caller.ts';
import { holderKey, type IamState, type PolicyHolder } from '../local-aws/iam/state.ts';
import type { Caller } from '../local-aws/service.ts';

export const startsAt = new Date('2026-11-22T10:00:00.000Z');

const staff = {
  mira: ['payments-engineers'],
  jonas: ['payments-leads'],
  aiko: ['payments-leads'],
  kofi: ['search-engineers'],
  dele: ['curfew-admins'],
} as const;
export type Name = keyof typeof staff;
export const names: readonly Name[] = ['mira', 'jonas', 'aiko', 'kofi', 'dele'];

export const officeNames = ['roles', 'iam-users', 'iam-users-managed'] as const;
export type OfficeName = (typeof officeNames)[number];

type Principal = AccountConfig['principal'];
const iamGroup = 'oncall';

/** In prod and dev. */
const carriers: Record<OfficeName, readonly [Principal, Principal]> = {
  roles: [
    { kind: 'role', carrier: 'inline' },
    { kind: 'role', carrier: 'managed', managedPolicies: 2 },
  ],
  'iam-users': [
    { kind: 'user', carrier: 'inline', managedPolicies: 1 },
    { kind: 'group', carrier: 'inline', group: iamGroup },
  ],
  'iam-users-managed': [
    { kind: 'group', carrier: 'managed', managedPolicies: 1, group: iamGroup },
    { kind: 'user', carrier: 'managed', managedPolicies: 2 },
  ],
};

const configOf = (office: OfficeName): Config => {
  const [inProd, inDev] = carriers[office];
  const config = harborlineConfig([
    harborlineAccount({ id: prod, name: 'payments-prod', regions: ['eu-central-1', 'eu-west-1'], principal: inProd }),
    harborlineAccount({ id: dev, name: 'payments-dev', regions: ['eu-central-1'], principal: inDev }),
  ]);
  const { adminGroup, groups } = config.directory;
  return {
    ...config,
    ...(office === 'roles' ? {} : { directory: { kind: 'iam-users', groups, adminGroup } }),
    rulesFolder: path.resolve(import.meta.dirname, '..', '..', 'deploy', 'rules'),
    intervals: { ...config.intervals, sweepSeconds: 3600, sealSeconds: 30 },
  };
};

export type Office = {
  name: OfficeName;
  config: Config;
  /** As they are on the first day. */
  person: (name: Name) => PersonFacts;
  /** Puts into IAM what the provisioner, or an admin, would have made. */
  hire: (iam: IamState) => void;
  /** What a person's access in an account hangs on, as IAM has it newest. @throws when IAM has it not. */
  holder: (iam: IamState, accountId: string, name: Name) => PolicyHolder;
  /** As whom a person asks Systems Manager. */
  caller: (iam: IamState, accountId: string, name: Name) => Caller;
  /** Whether everybody in this account has what any of them was granted. */
  shared: (accountId: string) => boolean;
};

const number = (name: Name): number => names.indexOf(name);

export const openOffice = (office: OfficeName): Office => {
  const config = configOf(office);
  const people = (name: Name): PersonFacts => ({
    id:
      office === 'roles' ? `c2c5d4e4-1021-70aa-8b10-1f2e3d4c7b0${number(name)}` : `AIDACHAOS0000000000${number(name)}`,
    userName: office === 'roles' ? `${name}@harborline.example` : name,
    displayName: name.charAt(0).toUpperCase() + name.slice(1),
    email: `${name}@harborline.example`,
    enabled: true,
    groups: [...staff[name], ...config.directory.groups],
    checkedAt: startsAt,
  });
  const kindIn = (accountId: string): Principal['kind'] | undefined =>
    config.accounts.find(({ id }) => id === accountId)?.principal.kind;
  const roleOf = (iam: IamState, accountId: string, name: Name) => {
    const role = iam.role(accountId, personalRoleName(identityStoreId, people(name).id));
    if (role === undefined) throw new Error(`${name} has no role in ${accountId}.`);
    return role;
  };
  const userOf = (iam: IamState, accountId: string, name: Name) => {
    const user = iam.user(accountId, name);
    if (user === undefined) throw new Error(`${name} is no user of ${accountId}.`);
    return user;
  };
  const hireRole = (iam: IamState, accountId: string, name: Name): void => {
    const { path: rolePath, ...template } = personalRoleTemplate(roleSetting(config, accountId), people(name));
    const { boundaryArn: boundary, tags, trust } = template;
    iam.putRole({ accountId, name: template.name, path: rolePath, trust, boundary, tags });
  };
  /** One id in both accounts: here a person is known by it, and has access in both. */
  const hireUser = (iam: IamState, { id: accountId, boundaryArn: boundary }: AccountConfig, name: Name): void => {
    const user = iam.putUser({ accountId, name, path: peoplePath, boundary, groups: [iamGroup] });
    iam.users.put(holderKey(accountId, name), { ...user, id: people(name).id }, 'at once');
  };
  return {
    name: office,
    config,
    person: people,
    hire: (iam) => {
      for (const one of config.accounts) {
        if (one.principal.kind === 'group') iam.putGroup({ accountId: one.id, name: iamGroup, path: peoplePath });
        for (const name of names) {
          if (office === 'roles') hireRole(iam, one.id, name);
          else hireUser(iam, one, name);
        }
      }
    },
    holder: (iam, accountId, name) => {
      if (kindIn(accountId) === 'role') return roleOf(iam, accountId, name);
      if (kindIn(accountId) === 'user') return userOf(iam, accountId, name);
      const group = iam.groups.get(holderKey(accountId, iamGroup));
      if (group === undefined) throw new Error(`${accountId} has no group.`);
      return group;
    },
    caller: (iam, accountId, name) => {
      if (office !== 'roles') return callerOfUser(userOf(iam, accountId, name));
      const { id, userName } = people(name);
      return callerOfSession({ role: roleOf(iam, accountId, name), sessionName: roleSessionName(userName, id) });
    },
    shared: (accountId) => kindIn(accountId) === 'group',
  };
};
