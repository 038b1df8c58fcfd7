/**
 * AWS-07: every template of deploy/ against every call that Curfew makes, and against all that it must never make: the whole of
 * AWS's lists of IAM, STS and SSM actions. Judged by two evaluators, ours and an independent one (AGPL, for tests only).
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { runSimulation } from '@cloud-copilot/iam-simulate';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { z } from 'zod';
import { sessionDocumentContent, sessionDocuments } from '../../../backend/access-policy/session-document.ts';
import { deployed, deployFolder, type Policy, policiesOf } from './deploy-template.ts';
import { evaluate } from './evaluate.ts';
import { requestContext } from './match-pattern.ts';
import { parsePolicyDocument } from './policy-document.ts';

const accountId = '444455556666';
const iam = `arn:aws:iam::${accountId}`;
const ssm = `arn:aws:ssm:eu-central-1:${accountId}`;
const at = {
  person: `${iam}:role/curfew/people/curfew-0123456789abcdef0123`,
  broker: `${iam}:role/curfew/broker/CurfewBroker`,
  provisioner: `${iam}:role/curfew/provisioner/CurfewProvisioner`,
  boundary: `${iam}:policy/curfew/boundary/CurfewBoundary`,
  grant: `${iam}:policy/curfew/grants/curfew-0123456789abcdef0123-1`,
  admin: 'arn:aws:iam::aws:policy/AdministratorAccess',
  otherRole: `${iam}:role/Admin`,
  user: `${iam}:user/engineers/alice`,
  otherUser: `${iam}:user/root-like`,
  group: `${iam}:group/shells`,
  otherGroup: `${iam}:group/admins`,
  instance: `arn:aws:ec2:eu-central-1:${accountId}:instance/i-0123456789abcdef0`,
  session: `${ssm}:session/alice.1a2b3c4d-abcdefghijklmnopqrstuvwxyz`,
  document: `${ssm}:document/Curfew-Shell-060`,
} as const;
const fenced = { 'iam:PermissionsBoundary': at.boundary };
const spilled = { 'iam:PolicyARN': at.grant };

const parameters = {
  BackendPrincipalArn: 'arn:aws:iam::111122223333:role/curfew-backend',
  ProvisionerPrincipalArn: 'arn:aws:iam::111122223333:role/curfew-provisioner',
  ExternalId: 'an-external-id-of-this-account',
};
const account = deployed('curfew-account.yml', accountId, parameters);
const withUsers = deployed('curfew-account.yml', accountId, { ...parameters, UserPattern: 'engineers/*' });
const withGroup = deployed('curfew-account.yml', accountId, { ...parameters, GroupName: 'shells' });
const identities = deployed('curfew-identities.yml', '111122223333', { OperatorArn: at.otherRole });
const actors = {
  broker: policiesOf(account, 'Broker'),
  'broker on users': policiesOf(withUsers, 'Broker'),
  'broker on a group': policiesOf(withGroup, 'Broker'),
  provisioner: policiesOf(account, 'Provisioner'),
  backend: policiesOf(identities, 'Backend'),
  'provisioner’s process': policiesOf(identities, 'Provisioner'),
} satisfies Record<string, Policy[]>;
type Actor = keyof typeof actors;

type Question = { action: string; resource: string; context?: Record<string, string> };
const ours = (policies: readonly Policy[], { action, resource, context = {} }: Question): boolean =>
  evaluate({
    action,
    resource,
    context: requestContext(Object.fromEntries(Object.entries(context).map(([key, value]) => [key, [value]]))),
    identity: policies.map((policy) => parsePolicyDocument(JSON.stringify(policy), 'identity')),
    boundary: null,
    session: null,
  }).decision === 'allow';
const theirs = async (policies: readonly Policy[], { action, resource, context = {} }: Question): Promise<boolean> => {
  const result = await runSimulation(
    {
      request: {
        principal: `arn:aws:sts::${accountId}:assumed-role/X/x`,
        action,
        resource: { resource, accountId },
        contextVariables: context,
      },
      identityPolicies: policies.map((policy, index) => ({ name: `p${index}`, policy })),
      serviceControlPolicies: [],
      resourceControlPolicies: [],
    },
    {},
  );
  if (result.resultType === 'error') throw new Error(`${action} ${resource}: ${JSON.stringify(result.errors)}`);
  return result.overallResult === 'Allowed';
};
/** What both say; that they differ is a fault of one of them. */
const judge = async (actor: Actor, question: Question): Promise<boolean> => {
  const [a, b] = [ours(actors[actor], question), await theirs(actors[actor], question)];
  expect([actor, question, a]).toEqual([actor, question, b]);
  return a;
};

type Use = { by: readonly Actor[] } & Question;
const use = (
  by: readonly Actor[] | Actor,
  action: string,
  resource: string,
  context?: Record<string, string>,
): Use => ({
  by: [by].flat(),
  action,
  resource,
  ...(context === undefined ? {} : { context }),
});
const brokers = ['broker', 'broker on users', 'broker on a group'] as const;
const directory = ['backend', 'provisioner’s process'] as const;

/**
 * Every AWS command in the backend's code, by its SDK name, and what it needs of whom. A command that is not here fails the test: give
 * its caller the right in deploy/ (and in dev/local-aws/world.yml), or take the command out.
 */
const commands: Record<string, readonly Use[]> = {
  AssumeRole: [
    use('backend', 'sts:AssumeRole', at.broker),
    use('provisioner’s process', 'sts:AssumeRole', at.provisioner),
  ],
  // Need no right.
  GetCallerIdentity: [],
  RegisterClient: [],
  PutRolePolicy: [use(brokers, 'iam:PutRolePolicy', at.person, fenced)],
  DeleteRolePolicy: [use([...brokers, 'provisioner'], 'iam:DeleteRolePolicy', at.person)],
  GetRolePolicy: [use(brokers, 'iam:GetRolePolicy', at.person)],
  ListRolePolicies: [use([...brokers, 'provisioner'], 'iam:ListRolePolicies', at.person)],
  ListAttachedRolePolicies: [use(brokers, 'iam:ListAttachedRolePolicies', at.person)],
  GetAccountAuthorizationDetails: [use(brokers, 'iam:GetAccountAuthorizationDetails', '*')],
  AttachRolePolicy: [use(brokers, 'iam:AttachRolePolicy', at.person, { ...fenced, ...spilled })],
  // Also from a role whose boundary somebody took off.
  DetachRolePolicy: [use(brokers, 'iam:DetachRolePolicy', at.person, spilled)],
  GetRole: [use([...brokers, 'provisioner'], 'iam:GetRole', at.person)],
  ListRoles: [use([...brokers, 'provisioner'], 'iam:ListRoles', '*')],
  CreateRole: [use('provisioner', 'iam:CreateRole', at.person, fenced), use('provisioner', 'iam:TagRole', at.person)],
  DeleteRole: [use('provisioner', 'iam:DeleteRole', at.person)],
  CreatePolicy: [use(brokers, 'iam:CreatePolicy', at.grant)],
  CreatePolicyVersion: [use(brokers, 'iam:CreatePolicyVersion', at.grant)],
  DeletePolicy: [use(brokers, 'iam:DeletePolicy', at.grant)],
  DeletePolicyVersion: [use(brokers, 'iam:DeletePolicyVersion', at.grant)],
  GetPolicy: [use(brokers, 'iam:GetPolicy', at.grant), use(brokers, 'iam:GetPolicy', at.boundary)],
  GetPolicyVersion: [use(brokers, 'iam:GetPolicyVersion', at.grant), use(brokers, 'iam:GetPolicyVersion', at.boundary)],
  ListPolicyVersions: [use(brokers, 'iam:ListPolicyVersions', at.grant)],
  ListPolicies: [use(brokers, 'iam:ListPolicies', '*')],
  ...Object.fromEntries(
    (
      [
        ['User', 'broker on users', at.user],
        ['Group', 'broker on a group', at.group],
      ] as const
    ).flatMap(([Kind, by, arn]) =>
      [
        ...[`Put${Kind}Policy`, `Delete${Kind}Policy`, `Get${Kind}Policy`, `ListAttached${Kind}Policies`].map(
          (name) => [name, [use(by, `iam:${name}`, arn, fenced)]] as const,
        ),
        ...[`Attach${Kind}Policy`, `Detach${Kind}Policy`].map(
          (name) => [name, [use(by, `iam:${name}`, arn, { ...fenced, ...spilled })]] as const,
        ),
      ].map(([name, uses]): [string, readonly Use[]] => [name, uses]),
    ),
  ),
  GetUser: [use(['broker on users', 'broker on a group'], 'iam:GetUser', at.otherUser)],
  ListGroupsForUser: [use(['broker on users', 'broker on a group'], 'iam:ListGroupsForUser', at.otherUser)],
  GetGroup: [use(['broker on users', 'broker on a group'], 'iam:GetGroup', at.otherGroup)],
  DescribeSessions: [use(brokers, 'ssm:DescribeSessions', '*')],
  TerminateSession: [use(brokers, 'ssm:TerminateSession', at.session)],
  DescribeInstanceInformation: [use(brokers, 'ssm:DescribeInstanceInformation', '*')],
  GetDocument: [use(brokers, 'ssm:GetDocument', at.document)],
  DescribeInstances: [use(brokers, 'ec2:DescribeInstances', '*')],
  // IAM’s events, and those of session documents in their own regions.
  LookupEvents: ['us-east-1', 'eu-central-1'].map((region) =>
    use(brokers, 'cloudtrail:LookupEvents', '*', { 'aws:RequestedRegion': region }),
  ),
  GetUserId: [use('backend', 'identitystore:GetUserId', '*')],
  DescribeUser: [use(directory, 'identitystore:DescribeUser', '*')],
  // Of the identity store, and of IAM: who was renamed is found by id.
  ListUsers: [use('backend', 'identitystore:ListUsers', '*'), use('broker on users', 'iam:ListUsers', '*')],
  ListGroups: [use('backend', 'identitystore:ListGroups', '*')],
  GetGroupId: [use(directory, 'identitystore:GetGroupId', '*')],
  DescribeGroup: [use(directory, 'identitystore:DescribeGroup', '*')],
  ListGroupMemberships: [use(directory, 'identitystore:ListGroupMemberships', '*')],
  ListGroupMembershipsForMember: [use(directory, 'identitystore:ListGroupMembershipsForMember', '*')],
};

const backendFolder = resolve(import.meta.dirname, '../../../backend');
const shippedFiles = (folder: string): string[] =>
  readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return entry.name === 'testing' ? [] : shippedFiles(path);
    return entry.name.endsWith('.ts') && !entry.name.endsWith('.test.ts') ? [path] : [];
  });
const commandsInCode = (): Set<string> => {
  const found = new Set<string>();
  for (const file of shippedFiles(backendFolder)) {
    const text = readFileSync(file, 'utf8');
    for (const [, command] of text.matchAll(/\bnew ([A-Z]\w*)Command\(/g))
      if (command !== undefined) found.add(command);
    for (const [, command] of text.matchAll(/\bpaginate([A-Z]\w*)\(/g)) if (command !== undefined) found.add(command);
  }
  return found;
};

const lists = z
  .object({ source: z.string(), iam: z.string(), sts: z.string(), ssm: z.string(), ssmmessages: z.string() })
  .parse(JSON.parse(readFileSync(join(import.meta.dirname, 'cases/aws-actions.json'), 'utf8')));
const everyAction = (['iam', 'sts', 'ssm', 'ssmmessages'] as const).flatMap((service) =>
  lists[service].split(' ').map((name) => `${service}:${name}`),
);
/** Reads that the templates allow and no command uses now: the console's and support's view of the same things. */
const harmlessReads = new Set([
  // AWS lets everybody.
  'sts:GetCallerIdentity',
  'iam:ListRoleTags',
  'ssm:DescribeDocument',
  'ssm:GetConnectionStatus',
  'ssm:ListTagsForResource',
]);

describe('AWS-07 deploy/ against what Curfew does', () => {
  test('every command in the backend’s code is in the table, and nothing else is', () => {
    const inCode = commandsInCode();
    expect([...inCode].filter((name) => !(name in commands))).toEqual([]);
    expect(Object.keys(commands).filter((name) => !inCode.has(name))).toEqual([]);
  });

  test('whoever makes a call may make it', async () => {
    for (const [name, uses] of Object.entries(commands)) {
      for (const { by, ...question } of uses) {
        for (const actor of by) expect([name, actor, await judge(actor, question)]).toEqual([name, actor, true]);
      }
    }
  });

  test('AWS-07 nobody makes any other call of IAM, STS and SSM, on anything', async () => {
    for (const actor of Object.keys(actors).filter((name): name is Actor => name in actors)) {
      const used = new Set(
        Object.values(commands)
          .flat()
          .flatMap(({ by, action }) => (by.includes(actor) ? [action] : [])),
      );
      const context = { ...fenced, ...spilled };
      for (const action of everyAction) {
        if (used.has(action) || harmlessReads.has(action)) continue;
        const allowed = Object.values(at).filter((resource) => ours(actors[actor], { action, resource, context }));
        expect([actor, action, allowed]).toEqual([actor, action, []]);
        expect([actor, action, await theirs(actors[actor], { action, resource: '*', context })]).toEqual([
          actor,
          action,
          false,
        ]);
      }
    }
  }, 120_000);

  test('AWS-07 the calls it makes reach nothing but fenced roles and spilled access', async () => {
    const writes = ['PutRolePolicy', 'AttachRolePolicy', 'DeleteRolePolicy', 'DetachRolePolicy'].map((n) => `iam:${n}`);
    const policyWrites = ['CreatePolicy', 'CreatePolicyVersion', 'DeletePolicy', 'DeletePolicyVersion'].map(
      (n) => `iam:${n}`,
    );
    const both = { ...fenced, ...spilled };
    const otherFence = { ...both, 'iam:PermissionsBoundary': `${iam}:policy/other` };
    const never: Question[] = [
      ...writes.flatMap((action) =>
        [at.broker, at.provisioner, at.otherRole].map((resource) => ({ action, resource, context: both })),
      ),
      ...policyWrites.flatMap((action) =>
        [at.boundary, at.admin, `${iam}:policy/other`].map((resource) => ({ action, resource, context: both })),
      ),
      // Without the boundary, with another, and any policy but a spilled one.
      ...['iam:PutRolePolicy', 'iam:AttachRolePolicy'].flatMap((action) =>
        [spilled, otherFence].map((context) => ({ action, resource: at.person, context })),
      ),
      ...[at.admin, at.boundary, `${iam}:policy/other`].map((policy) => ({
        action: 'iam:AttachRolePolicy',
        resource: at.person,
        context: { ...fenced, 'iam:PolicyARN': policy },
      })),
      { action: 'iam:AttachRolePolicy', resource: at.person, context: fenced },
      { action: 'iam:GetRole', resource: at.otherRole },
      { action: 'iam:GetPolicy', resource: `${iam}:policy/other` },
      { action: 'ssm:GetDocument', resource: `${ssm}:document/SSM-SessionManagerRunShell` },
      ...['CreateDocument', 'UpdateDocument', 'UpdateDocumentDefaultVersion', 'DeleteDocument'].map((name) => ({
        action: `ssm:${name}`,
        resource: at.document,
      })),
      { action: 'cloudtrail:StopLogging', resource: `arn:aws:cloudtrail:eu-central-1:${accountId}:trail/all` },
      {
        action: 'ssm:TerminateSession',
        resource: 'arn:aws:ssm:eu-central-1:999988887777:session/alice-0123456789abcdef0',
      },
    ];
    for (const actor of brokers) {
      for (const question of never) {
        // Reading is not writing: what it may read of the fence is listed above.
        expect([actor, question, await judge(actor, question)]).toEqual([actor, question, false]);
      }
    }
    const users: Array<[Actor, Question]> = [
      ['broker', { action: 'iam:PutUserPolicy', resource: at.user }],
      ['broker', { action: 'iam:PutGroupPolicy', resource: at.group }],
      ['broker', { action: 'iam:GetUser', resource: at.user }],
      ['broker', { action: 'iam:ListUsers', resource: '*' }],
      ['broker on a group', { action: 'iam:ListUsers', resource: '*' }],
      ['broker on users', { action: 'iam:UpdateUser', resource: at.user }],
      ['broker on users', { action: 'iam:PutUserPolicy', resource: at.user }],
      ['broker on users', { action: 'iam:AttachUserPolicy', resource: at.user, context: spilled }],
      ['broker on users', { action: 'iam:PutUserPolicy', resource: at.otherUser, context: fenced }],
      ['broker on users', { action: 'iam:AttachUserPolicy', resource: at.otherUser, context: spilled }],
      [
        'broker on users',
        { action: 'iam:AttachUserPolicy', resource: at.user, context: { ...fenced, 'iam:PolicyARN': at.admin } },
      ],
      ['broker on users', { action: 'iam:PutGroupPolicy', resource: at.group }],
      ['broker on a group', { action: 'iam:PutGroupPolicy', resource: at.otherGroup }],
      [
        'broker on a group',
        { action: 'iam:AttachGroupPolicy', resource: at.group, context: { 'iam:PolicyARN': at.admin } },
      ],
      ['broker on a group', { action: 'iam:PutUserPolicy', resource: at.user }],
      ['provisioner', { action: 'iam:CreateRole', resource: at.person }],
      ['provisioner', { action: 'iam:CreateRole', resource: at.otherRole, context: fenced }],
      ['provisioner', { action: 'iam:DeleteRole', resource: at.broker }],
      ['backend', { action: 'sts:AssumeRole', resource: at.provisioner }],
      ['backend', { action: 'sts:AssumeRole', resource: at.person }],
      ['provisioner’s process', { action: 'sts:AssumeRole', resource: at.broker }],
    ];
    for (const [actor, question] of users) {
      expect([actor, question, await judge(actor, question)]).toEqual([actor, question, false]);
    }
  });

  test('AWS-06 AWS-11 the requester’s set enters personal roles of our organisation and sees nothing', async () => {
    const organisation = deployed('curfew-organisation.yml', accountId, { OrganisationId: 'o-abcdef1234' });
    const policy = z.looseObject({ Statement: z.array(z.looseObject({ Effect: z.string() })) });
    const requester = [policy.parse(organisation['Requester']?.properties['InlinePolicy'])];
    const enter = { action: 'sts:AssumeRole', resource: at.person };
    const home = { 'aws:ResourceOrgID': 'o-abcdef1234' };
    for (const [question, allowed] of [
      [{ ...enter, context: home }, true],
      [{ ...enter, context: { 'aws:ResourceOrgID': 'o-stranger123' } }, false],
      [enter, false],
      [{ ...enter, resource: at.broker, context: home }, false],
    ] as const) {
      expect([question, ours(requester, question)]).toEqual([question, allowed]);
      expect([question, await theirs(requester, question)]).toEqual([question, allowed]);
    }
    for (const action of everyAction.filter((name) => name !== 'sts:AssumeRole')) {
      const allowed = Object.values(at).filter((resource) => ours(requester, { action, resource, context: home }));
      expect([action, allowed]).toEqual([action, []]);
    }
  });

  test('the service control policy in the template is the one of scp.json, within AWS’s size, and keeps others out', async () => {
    const scp: unknown = JSON.parse(readFileSync(join(deployFolder, 'scp.json'), 'utf8'));
    const made = deployed('curfew-organisation.yml', accountId, { PolicyTargets: 'ou-1' });
    expect(made['OnlyThroughCurfew']?.properties['Content']).toEqual(scp);
    expect(deployed('curfew-organisation.yml', accountId, {})['OnlyThroughCurfew']).toBeUndefined();
    // Characters, aws-facts 5.
    expect(JSON.stringify(scp).length).toBeLessThanOrEqual(5120);
    const all = { Version: '2012-10-17', Statement: [{ Effect: 'Allow', Action: '*', Resource: '*' }] };
    const policy = z.looseObject({ Statement: z.array(z.looseObject({ Effect: z.string() })) }).parse(scp);
    const may = async (arn: string, action: string, resource: string): Promise<boolean> => {
      const question = { action, resource, context: { 'aws:PrincipalArn': arn } };
      const [a, b] = [ours([all, policy], question), await theirs([all, policy], question)];
      expect([question, a]).toEqual([question, b]);
      return a;
    };
    const deployment = `${iam}:role/CurfewDeployment`;
    for (const [action, resource, allowed] of [
      ['ssm:StartSession', at.instance, [at.person]],
      ['iam:PutRolePolicy', at.person, [at.broker, at.provisioner]],
      ['iam:CreatePolicyVersion', at.grant, [at.broker]],
      ['iam:CreatePolicyVersion', at.boundary, [deployment]],
      ['iam:UpdateAssumeRolePolicy', at.broker, [deployment]],
      ['ssm:UpdateDocument', at.document, [deployment]],
    ] as const) {
      for (const arn of [at.person, at.broker, at.provisioner, at.otherRole, deployment]) {
        const wanted = allowed.some((one) => one === arn);
        expect([action, arn, await may(arn, action, resource)]).toEqual([action, arn, wanted]);
      }
    }
  });

  test('AWS-12 session documents say what the sweep compares them with', () => {
    for (const [given, setting] of [
      [{}, { idleMinutes: 15, logBucket: '' }],
      [
        { IdleMinutes: '5', SessionLogBucket: 'logs' },
        { idleMinutes: 5, logBucket: 'logs' },
      ],
    ] as const) {
      const made = deployed('curfew-account.yml', accountId, { ...parameters, ...given });
      for (const { name, minutes } of sessionDocuments) {
        const document = Object.values(made).find(({ properties }) => properties['Name'] === name);
        expect(document?.properties['Content']).toEqual(sessionDocumentContent(minutes, setting));
      }
    }
  });

  const role = z.looseObject({ name: z.string(), inlinePolicies: z.record(z.string(), z.unknown()) });
  const inWorld = (name: string): Record<string, unknown> => {
    const text = readFileSync(resolve(import.meta.dirname, '../world.yml'), 'utf8').replaceAll('{account}', accountId);
    const world = z.looseObject({ everyAccount: z.looseObject({ roles: z.array(role) }) }).parse(parse(text));
    return world.everyAccount.roles.find((one) => one.name === name)?.inlinePolicies ?? {};
  };

  test('local-aws’ world gives its broker and provisioner exactly what the template gives', () => {
    for (const [actor, name] of [
      ['broker', 'CurfewBroker'],
      ['provisioner', 'CurfewProvisioner'],
    ] as const) {
      expect(inWorld(name)[name]).toEqual(actors[actor][0]);
    }
  });

  test('local-aws’ world lets its broker do on users and groups of our path what the templates let it', () => {
    const policy = z.looseObject({ Statement: z.array(z.looseObject({ Effect: z.string() })) });
    const policies = Object.values(inWorld('CurfewBroker')).map((one) => policy.parse(one));
    const here = new Map<string, string>([
      [at.user, `${iam}:user/curfew/people/alice`],
      [at.group, `${iam}:group/curfew/people/shells`],
    ]);
    for (const { by, action, resource, ...more } of Object.values(commands).flat()) {
      if (!by.some((actor) => actor === 'broker on users' || actor === 'broker on a group')) continue;
      const question = { action, resource: here.get(resource) ?? resource, ...more };
      expect([question, ours(policies, question)]).toEqual([question, true]);
    }
  });

  test('AWS-10 both roles trust exactly one principal, and only with the external id', () => {
    for (const [name, principal] of [
      ['Broker', parameters.BackendPrincipalArn],
      ['Provisioner', parameters.ProvisionerPrincipalArn],
    ] as const) {
      expect(account[name]?.properties['AssumeRolePolicyDocument']).toEqual({
        Version: '2012-10-17',
        Statement: [
          expect.objectContaining({
            Effect: 'Allow',
            Principal: { AWS: principal },
            Action: 'sts:AssumeRole',
            Condition: { StringEquals: { 'sts:ExternalId': parameters.ExternalId } },
          }),
        ],
      });
    }
  });
});
