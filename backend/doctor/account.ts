/** One configured account: the roles that are entered, the fence, session documents, instances and personal roles. */
import { personalRoleTemplate, roleDifferences } from '../access-policy/personal-role.ts';
import {
  sessionDocumentDifferences,
  sessionDocumentSetting,
  sessionDocuments,
} from '../access-policy/session-document.ts';
import type { EnteredAs } from '../aws/broker.ts';
import type { CloudTrail, TrailLookup } from '../aws/cloudtrail.ts';
import { AwsProblem } from '../aws/errors.ts';
import { createRoleCheck, type Iam, roleSetting } from '../aws/iam.ts';
import type { Probe } from '../aws/probe.ts';
import type { Ssm } from '../aws/ssm.ts';
import type { AccountConfig, Config } from '../config.ts';
import { boundaryWidenings } from './boundary.ts';
import { type Answer, counted, type Finding, look, notOk, ok, someOf, unchecked } from './finding.ts';
import type { Members } from './identity.ts';

export type AccountDeps = {
  config: Pick<Config, 'partition' | 'signIn' | 'directory' | 'accounts'>;
  /** Whose credentials these are. */
  as: EnteredAs;
  probe: Probe;
  iam: Iam;
  ssm: Ssm;
  members: Members;
  trail: CloudTrail;
  now: () => Date;
};

const template = 'deploy/curfew-account.yml';
const sessionNames = { broker: 'curfew-backend', provisioner: 'curfew-provisioner' } as const;
const principalParameter = { broker: 'BackendPrincipalArn', provisioner: 'ProvisionerPrincipalArn' } as const;

const areaOf = ({ id, name }: AccountConfig): string => `${name} (${id})`;
const roleArnOf = (account: AccountConfig, as: EnteredAs): string =>
  as === 'broker' ? account.brokerRoleArn : account.provisionerRoleArn;
const roleNameOf = (arn: string): string => arn.slice(arn.lastIndexOf('/') + 1);

const enterRole = async ({ as, probe }: AccountDeps, account: AccountConfig): Promise<Answer> => {
  const arn = roleArnOf(account, as);
  const entered = await probe.enter({ arn, sessionName: sessionNames[as], externalId: account.externalId });
  if (entered === 'open') return ok(arn);
  return notOk(
    `AWS refused AssumeRole into ${arn}`,
    `Compare three things: the parameters ${principalParameter[as]} (exactly these credentials’ role or user) and ExternalId ` +
      `(externalId in the configuration) of the ${template} stack in ${account.id}, and that these credentials may sts:AssumeRole on that ARN.`,
  );
};

/** Which the role must refuse (threats AWS-09, AWS-10). */
const checkDoors = async (deps: AccountDeps, account: AccountConfig): Promise<Finding[]> => {
  const { as, probe } = deps;
  const area = areaOf(account);
  const other = as === 'broker' ? 'provisioner' : 'broker';
  const mend = `Deploy ${template} anew in ${account.id}: CloudFormation console, Stacks, Update, then Detect drift.`;
  const withoutId = look({ area, check: `${as} asks for its external id` }, mend, async () => {
    const arn = roleArnOf(account, as);
    const door = await probe.enter({ arn, sessionName: sessionNames[as], externalId: null });
    if (door === 'refused') return ok('refused without it');
    return notOk(
      `${arn} can be entered without the external id`,
      `Its trust policy was changed (threat AWS-10). ${mend}`,
    );
  });
  const otherRole = look({ area, check: `the ${other} stays closed` }, mend, async () => {
    const arn = roleArnOf(account, other);
    const door = await probe.enter({ arn, sessionName: sessionNames[as], externalId: account.externalId });
    if (door === 'refused') return ok(`these credentials cannot enter the ${other}`);
    return notOk(
      `these credentials can enter ${arn} too`,
      `Nobody may hold both roles (threat AWS-09): give backend and provisioner different identities and set ${principalParameter[other]}.`,
    );
  });
  return [await withoutId, await otherRole];
};

const checkReach = ({ as, probe }: AccountDeps, account: AccountConfig): Promise<Finding> =>
  look(
    { area: areaOf(account), check: `rights of the ${as}` },
    `Compare the policies of ${roleArnOf(account, as)} with ${template}.`,
    async () => {
      const { read, write } = await probe.reachesBeyond(account.id, roleNameOf(roleArnOf(account, as)));
      if (read === 'refused' && write === 'refused') return ok('it reads and writes no role outside /curfew/people/');
      return notOk(
        `it may ${write === 'open' ? 'write policies on' : 'read'} roles outside /curfew/people/`,
        `Its policies are wider than ${template} has them: deploy that anew and take other policies off the role.`,
      );
    },
  );

const checkBoundary = ({ probe }: AccountDeps, account: AccountConfig): Promise<Finding> =>
  look(
    { area: areaOf(account), check: 'boundary' },
    `The broker may not read the boundary: deploy this version’s ${template} in ${account.id} and mend boundaryArn.`,
    async () => {
      const document = await probe.boundary(account.id, account.boundaryArn);
      if (document === null) {
        return notOk(
          `there is no ${account.boundaryArn}`,
          `Deploy ${template} with WithRoles=yes in one region of ${account.id}, or mend boundaryArn.`,
        );
      }
      const wider = boundaryWidenings(document);
      if (wider.length === 0) return ok(account.boundaryArn);
      return notOk(
        wider.join('; '),
        `Somebody changed the fence: find out who (CloudTrail, CreatePolicyVersion), then deploy ${template} anew.`,
      );
    },
  );

/** Wanted, not needed: without it a finding does not say who did it. */
const checkTrailReads = ({ trail, now }: AccountDeps, account: AccountConfig): Promise<Finding> =>
  look(
    { area: areaOf(account), check: 'CloudTrail' },
    `Allow cloudtrail:LookupEvents to ${account.brokerRoleArn}: ${template} has it.`,
    async () => {
      const until = now();
      const time = { from: new Date(until.getTime() - 3_600_000), until };
      // IAM’s events are in one region, those of session documents in their own.
      const lookups: Array<[string, TrailLookup]> = [
        ['IAM', { resource: roleNameOf(account.brokerRoleArn) }],
        ...account.regions.map((region): [string, TrailLookup] => [region, { operation: 'UpdateDocument', region }]),
      ];
      const refused: string[] = [];
      for (const [where, lookup] of lookups) {
        try {
          await trail.newestAbout(account.id, { ...lookup, ...time }, () => true);
        } catch (error) {
          if (!(error instanceof AwsProblem && error.kind === 'permanent')) throw error;
          refused.push(`${where} (${error.code})`);
        }
      }
      if (refused.length === 0) return ok('findings say who did it');
      return ok(
        `not allowed for ${refused.join(', ')}, so findings there do not say who did it; ${template} allows it`,
      );
    },
  );

const checkPermissionSet = ({ config, probe }: AccountDeps, account: AccountConfig): Promise<Finding> => {
  const set = config.signIn.permissionSet;
  const mend = `Assign ${set} in ${account.id} to ${config.directory.groups.join(', ')} (IAM Identity Center console, AWS accounts, Assign users or groups).`;
  return look({ area: areaOf(account), check: `permission set ${set}` }, mend, async () => {
    const names = await probe.reservedRoles(account.id, set);
    return names.length > 0 ? ok(names.join(', ')) : notOk(`there is no role AWSReservedSSO_${set}_*`, mend);
  });
};

const checkDocuments = ({ ssm }: AccountDeps, account: AccountConfig, region: string): Promise<Finding> => {
  const mend =
    `Deploy ${template} in ${region} of ${account.id} (WithRoles=no where another region made the roles); where the stack has other ` +
    'parameters than the defaults, say so in sessionDocuments of the account.';
  return look({ area: `${areaOf(account)} ${region}`, check: 'session documents' }, mend, async () => {
    const wrong: string[] = [];
    for (const { name, minutes } of sessionDocuments) {
      const text = await ssm.sessionDocument(account.id, region, name);
      const differences = sessionDocumentDifferences(text, minutes, sessionDocumentSetting(account));
      if (differences.length > 0) wrong.push(`${name} (${differences.join(', ')})`);
    }
    if (wrong.length === 0) return ok(counted(sessionDocuments.length, 'Curfew-Shell document'));
    return notOk(`not as the template has them: ${someOf(wrong, 3)}`, mend);
  });
};

const onlineAdvice =
  'An instance comes online when the SSM agent runs on it, its instance profile has AmazonSSMManagedInstanceCore (or Default ' +
  'Host Management is on) and it reaches the SSM endpoints: Systems Manager console, Fleet Manager.';

const checkInstances = ({ ssm }: AccountDeps, account: AccountConfig, region: string): Promise<Finding> =>
  look(
    { area: `${areaOf(account)} ${region}`, check: 'instances' },
    `Compare the policies of ${account.brokerRoleArn} with ${template}.`,
    async () => {
      const found = await ssm.managedInstances(account.id, region);
      // Asked of all of them: what the inventory may not read would be told as its problem otherwise.
      const tags = await ssm.tagsOf(
        ...([account.id, region] as const),
        found.flatMap(({ kind, instanceId }) => (kind === 'ec2' ? [instanceId] : [])),
      );
      const offline = found
        .filter(({ online }) => !online)
        .map(({ instanceId, name }) => tags.get(instanceId)?.['Name'] ?? name);
      const online = found.length - offline.length;
      if (online === 0) {
        return notOk(
          found.length === 0 ? 'SSM knows no instance here' : `all offline: ${someOf(offline)}`,
          onlineAdvice,
        );
      }
      return ok(`${online} of ${found.length} online${offline.length === 0 ? '' : `; offline: ${someOf(offline)}`}`);
    },
  );

const provisionCommand = 'npm run provision (with the provisioner’s credentials)';

type RolesSeen = { missing: string[]; different: string[]; unknown: number };

/** Compares the role of every member with its template; `unknown`: roles of people who are in no group. */
const readPersonalRoles = async ({ config, iam, members }: AccountDeps, account: AccountConfig): Promise<RolesSeen> => {
  const there = new Set(await iam.personalRoles(account.id));
  const [missing, different]: [string[], string[]] = [[], []];
  for (const person of members.values()) {
    const wanted = personalRoleTemplate(roleSetting(config, account.id), person);
    const seen = there.delete(wanted.name) ? await iam.readRole(account.id, wanted.name) : null;
    const differences = seen === null ? [] : roleDifferences(wanted, seen);
    if (seen === null) missing.push(person.userName);
    if (differences.length > 0) different.push(`${person.userName} (${differences.join(', ')})`);
  }
  return { missing, different, unknown: there.size };
};

const checkPersonalRoles = (deps: AccountDeps, account: AccountConfig): Promise<Finding> =>
  look(
    { area: areaOf(account), check: 'personal roles' },
    `Compare the policies of the Curfew roles in ${account.id} with ${template}.`,
    async () => {
      const all = deps.members.size;
      if (all === 0) return unchecked('nobody is in the groups', 'Mend the groups first.');
      const { missing, different, unknown } = await readPersonalRoles(deps, account);
      if (different.length > 0) {
        return notOk(
          `not as Curfew makes them: ${someOf(different)}${missing.length === 0 ? '' : `; missing: ${someOf(missing)}`}`,
          `Find out who changed them (CloudTrail), delete them, then ${provisionCommand}.`,
        );
      }
      if (missing.length > 0) {
        return notOk(`${missing.length} of ${all} missing: ${someOf(missing)}`, `Run ${provisionCommand}.`);
      }
      const left = unknown === 0 ? '' : `; ${unknown} of people who are in no group (--remove-leavers)`;
      return ok(`${counted(all, 'role')} as Curfew makes them${left}`);
    },
  );

/** Where IAM users or a group carry the access: can they, for everybody who may ask? */
const checkCarriers = ({ config, iam, members }: AccountDeps, account: AccountConfig): Promise<Finding> => {
  const what = account.principal.kind === 'group' ? `IAM group ${account.principal.group}` : 'IAM users';
  const mend = `Compare the policies of ${account.brokerRoleArn} with ${template}.`;
  return look({ area: areaOf(account), check: what }, mend, async () => {
    if (members.size === 0) return unchecked('nobody is in the groups', 'Mend the groups first.');
    const check = createRoleCheck({ config, iam, now: () => new Date() });
    const answers = await Promise.all([...members.values()].map((person) => check(account.id, person)));
    const advice = answers.flatMap((answer) => (answer.state === 'ready' ? [] : [answer.advice]));
    const [first] = advice;
    if (first === undefined) return ok(`${counted(answers.length, 'user')} can get access`);
    return notOk(`${advice.length} of ${answers.length} cannot get access`, first);
  });
};

/** Wanted, not needed: without it a user who was renamed is found by reading all there is about all users. */
const checkUserLists = ({ iam, members }: AccountDeps, account: AccountConfig): Promise<Finding> =>
  look(
    { area: areaOf(account), check: 'renamed users' },
    `Allow iam:ListUsers to ${account.brokerRoleArn}: ${template} has it.`,
    async () => {
      const [anybody = 'nobody'] = members.keys();
      try {
        await iam.findUser(account.id, anybody);
        return ok('are found by their id');
      } catch (error) {
        if (!(error instanceof AwsProblem && error.kind === 'permanent')) throw error;
        return ok(`iam:ListUsers: ${error.code}, so they are found more slowly; ${template} allows it`);
      }
    },
  );

/** Everything about one account. What needs the role is not looked at when it cannot be entered. */
export async function* checkAccount(deps: AccountDeps, account: AccountConfig): AsyncGenerator<Finding, void, void> {
  const area = areaOf(account);
  const entering = await look({ area, check: `enter the ${deps.as}` }, 'Mend what STS says.', () =>
    enterRole(deps, account),
  );
  yield entering;
  if (entering.state !== 'ok') {
    const why = 'the role could not be entered';
    yield { area, check: 'everything else here', ...unchecked(why, 'Mend that first, then run the doctor again.') };
    return;
  }
  yield* await checkDoors(deps, account);
  yield await checkReach(deps, account);
  if (deps.as === 'broker') {
    yield await checkBoundary(deps, account);
    yield await checkTrailReads(deps, account);
    const byRole = account.principal.kind === 'role';
    if (byRole && deps.config.signIn.accounts.includes(account.id)) yield await checkPermissionSet(deps, account);
  }
  yield await (account.principal.kind === 'role' ? checkPersonalRoles(deps, account) : checkCarriers(deps, account));
  if (deps.as === 'provisioner') return;
  if (account.principal.kind === 'user') yield await checkUserLists(deps, account);
  for (const region of account.regions) {
    yield await checkDocuments(deps, account, region);
    yield await checkInstances(deps, account, region);
  }
}

/** Accounts that vouch for people but are not configured: the backend cannot look at their roles (threats ID-07). */
export const checkSignInAccounts = ({ config }: Pick<AccountDeps, 'config'>): Finding => {
  const where = { area: 'configuration', check: 'sign-in accounts' };
  const known = new Set(config.accounts.map(({ id }) => id));
  const strange = config.signIn.accounts.filter((id) => !known.has(id));
  if (strange.length === 0) return { ...where, ...ok(config.signIn.accounts.join(', ')) };
  return {
    ...where,
    ...notOk(
      `${strange.join(', ')} not in accounts`,
      `Deploy ${template} there and add it to accounts: the backend verifies the permission set’s role in the account that somebody signs in through.`,
    ),
  };
};
