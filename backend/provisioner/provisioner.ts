/** Makes missing personal roles and names what it finds; see main.ts. */
import { CreateRoleCommand, DeleteRoleCommand, DeleteRolePolicyCommand } from '@aws-sdk/client-iam';
import { personalRoleTemplate, type RoleTemplate, roleDifferences } from '../access-policy/personal-role.ts';
import { peoplePath, personTag } from '../access-policy/principal.ts';
import { type Broker, openBroker } from '../aws/broker.ts';
import { createDirectory } from '../aws/directory.ts';
import { AwsProblem } from '../aws/errors.ts';
import { createIam, type Iam, roleSetting } from '../aws/iam.ts';
import { type AccountConfig, type Config, identityStoreOf } from '../config.ts';
import type { PersonFacts } from '../store/people.ts';

export type ProvisionerConfig = Pick<Config, 'partition' | 'signIn' | 'directory' | 'accounts'>;

/** One thing done or found. `different`: a role that is not as the template has it; it is left alone. */
export type ProvisionerLine =
  | { event: 'made'; accountId: string; role: string; personId: string; userName: string }
  | { event: 'different'; accountId: string; role: string; personId: string; differences: string[] }
  | { event: 'leaver' | 'removed'; accountId: string; role: string; personId: string | null }
  | { event: 'failed'; accountId: string | null; role: string | null; code: string; what: string }
  | { event: 'done'; people: number; made: number; present: number; leavers: number };

export type Provisioner = {
  /** One round over all groups and accounts. What fails is told and does not keep the rest from being done. */
  run: (options: { removeLeavers: boolean }) => AsyncGenerator<ProvisionerLine, void, void>;
  close: () => void;
};

const failure = (error: unknown, accountId: string | null, role: string | null): ProvisionerLine =>
  error instanceof AwsProblem
    ? { event: 'failed', accountId, role, code: error.code, what: error.advice }
    : {
        event: 'failed',
        accountId,
        role,
        code: 'Fault',
        what: error instanceof Error ? error.message : 'not an error',
      };

type Deps = { config: ProvisionerConfig; broker: Broker; iam: Iam };

/** Makes the role unless it is there. Never changes one that is (threats AWS-09). */
const ensureRole = async (deps: Deps, accountId: string, template: RoleTemplate, person: PersonFacts) => {
  const { broker, iam } = deps;
  const existing = await iam.readRole(accountId, template.name);
  if (existing !== null) return roleDifferences(template, existing);
  const access = broker.account(accountId);
  await access.call('iam:CreateRole', 'iam-write', () =>
    access.iam.send(
      new CreateRoleCommand({
        RoleName: template.name,
        Path: template.path,
        AssumeRolePolicyDocument: template.trust,
        PermissionsBoundary: template.boundaryArn,
        Description: `Curfew: shells of ${person.userName.replaceAll(/[^\w+=,.@ -]/g, '_')}`,
        Tags: Object.entries(template.tags).map(([Key, Value]) => ({ Key, Value })),
      }),
    ),
  );
  return null;
};

const removeRole = async ({ broker, iam }: Deps, accountId: string, roleName: string): Promise<void> => {
  const access = broker.account(accountId);
  for (const PolicyName of await iam.inlinePolicies(accountId, roleName)) {
    await access.call('iam:DeleteRolePolicy', 'iam-write', () =>
      access.iam.send(new DeleteRolePolicyCommand({ RoleName: roleName, PolicyName })),
    );
  }
  await access.call('iam:DeleteRole', 'iam-write', () =>
    access.iam.send(new DeleteRoleCommand({ RoleName: roleName })),
  );
};

/** Roles of ours that belong to nobody in the groups: by name first, then by the tag that says whose they are. */
const leaversOf = async (deps: Deps, account: AccountConfig, expected: ReadonlySet<string>) => {
  const names = await deps.iam.personalRoles(account.id);
  const leavers: Array<{ role: string; personId: string | null; ours: boolean }> = [];
  for (const role of names.filter((name) => !expected.has(name))) {
    const seen = await deps.iam.readRole(account.id, role);
    if (seen === null) continue;
    const ours = seen.path === peoplePath && seen.boundaryArn === account.boundaryArn;
    leavers.push({ role, personId: seen.tags[personTag] ?? null, ours });
  }
  return leavers;
};

const readPeople = async (config: ProvisionerConfig): Promise<PersonFacts[]> => {
  const { identityStoreId, region, groups, adminGroup } = identityStoreOf(config);
  // Roles are made and removed by what is read here, with no right to more than one by one.
  const options = { identityStoreId, region, groups: [], adminGroup, now: () => new Date(), remember: async () => {} };
  const directory = createDirectory(options);
  const people = new Map<string, PersonFacts>();
  for (const group of groups) for (const person of await directory.membersOf(group)) people.set(person.id, person);
  return [...people.values()];
};

type Tally = { made: number; present: number; leavers: number };

async function* provisionAccount(
  deps: Deps,
  account: AccountConfig,
  people: readonly PersonFacts[],
  tally: Tally,
): AsyncGenerator<ProvisionerLine, void, void> {
  for (const person of people) {
    let role: string | null = null;
    try {
      const template = personalRoleTemplate(roleSetting(deps.config, account.id), person);
      role = template.name;
      const differences = await ensureRole(deps, account.id, template, person);
      const who = { accountId: account.id, role, personId: person.id };
      if (differences === null) {
        tally.made += 1;
        yield { event: 'made', ...who, userName: person.userName };
      } else {
        tally.present += 1;
        if (differences.length > 0) yield { event: 'different', ...who, differences };
      }
    } catch (error) {
      yield failure(error, account.id, role);
    }
  }
}

async function* sweepLeavers(
  deps: Deps,
  account: AccountConfig,
  options: { expected: ReadonlySet<string>; remove: boolean },
  tally: Tally,
): AsyncGenerator<ProvisionerLine, void, void> {
  try {
    for (const { role, personId, ours } of await leaversOf(deps, account, options.expected)) {
      tally.leavers += 1;
      const removed = options.remove && ours;
      if (removed) await removeRole(deps, account.id, role);
      yield { event: removed ? 'removed' : 'leaver', accountId: account.id, role, personId };
    }
  } catch (error) {
    yield failure(error, account.id, null);
  }
}

/** Opens nothing yet. Credentials come from the SDK's own chain and must be the provisioner's, not the backend's. */
export const openProvisioner = (config: ProvisionerConfig): Provisioner => {
  const broker = openBroker({ config, as: 'provisioner' });
  const deps: Deps = { config, broker, iam: createIam(broker) };
  return {
    close: broker.close,
    run: async function* ({ removeLeavers }) {
      const tally: Tally = { made: 0, present: 0, leavers: 0 };
      let people: PersonFacts[];
      try {
        people = await readPeople(config);
      } catch (error) {
        yield failure(error, null, null);
        return;
      }
      for (const account of config.accounts) {
        yield* provisionAccount(deps, account, people, tally);
        const expected = new Set(people.map((one) => personalRoleTemplate(roleSetting(config, account.id), one).name));
        // Nobody at all is more likely a wrong group name than a company without people: then nothing is removed.
        const options = { expected, remove: removeLeavers && people.length > 0 };
        yield* sweepLeavers(deps, account, options, tally);
      }
      yield { event: 'done', people: people.length, ...tally };
    },
  };
};
