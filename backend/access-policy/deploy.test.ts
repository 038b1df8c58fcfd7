/** The templates in deploy/, judged by an independent evaluator: what the roles can do, and what they must never. */
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { runSimulation } from '@cloud-copilot/iam-simulate';
import { describe, expect, test } from 'vitest';
import { parse, type ScalarTag } from 'yaml';
import { z } from 'zod';
import { defaultTrustedTags, readConfigFile } from '../config.ts';
import { compileAccessPolicy, documentMinutes, documentNameFor, personalCarrier } from './compile.ts';

const folder = resolve(import.meta.dirname, '../../deploy');
const accountId = '444455556666';

const text = (value: string): string =>
  value.replaceAll('$' + '{AWS::Partition}', 'aws').replaceAll('$' + '{AWS::AccountId}', accountId);
const scalar = (tag: string, resolveTag: (value: string) => unknown): ScalarTag => ({ tag, resolve: resolveTag });
const parameters: Record<string, string> = {
  BackendPrincipalArn: 'arn:aws:iam::111122223333:role/curfew-backend',
  ProvisionerPrincipalArn: 'arn:aws:iam::111122223333:role/curfew-provisioner',
  ExternalId: 'an-external-id-of-this-account',
};
const customTags = [
  scalar('!Sub', text),
  scalar('!Ref', (name) => parameters[name] ?? name),
  scalar('!GetAtt', (name) => name),
  ...['!Equals', '!Not', '!If'].map((tag) => ({ tag, collection: 'seq' as const })),
];

const policy = z.looseObject({ Statement: z.array(z.looseObject({ Effect: z.string() })) });
const template = z
  .object({ Resources: z.record(z.string(), z.object({ Type: z.string(), Properties: z.looseObject({}) })) })
  .parse(parse(readFileSync(resolve(folder, 'curfew-account.yml'), 'utf8'), { customTags, logLevel: 'silent' }));
const properties = (name: string) => template.Resources[name]?.Properties ?? {};
const inline = (name: string) =>
  z.object({ Policies: z.array(z.object({ PolicyDocument: policy })).length(1) }).parse(properties(name)).Policies[0]
    ?.PolicyDocument;
const boundary = policy.parse(properties('Boundary')['PolicyDocument']);
const boundaryArn = `arn:aws:iam::${accountId}:policy/curfew/boundary/CurfewBoundary`;

type Question = { action: string; resource: string; context?: Record<string, string | string[]> };
const judge = async (identity: unknown, question: Question, fence?: unknown): Promise<boolean> => {
  const result = await runSimulation(
    {
      request: {
        principal: `arn:aws:sts::${accountId}:assumed-role/X/x`,
        action: question.action,
        resource: { resource: question.resource, accountId },
        contextVariables: question.context ?? {},
      },
      identityPolicies: [{ name: 'p', policy: identity }],
      serviceControlPolicies: [],
      resourceControlPolicies: [],
      ...(fence === undefined ? {} : { permissionBoundaryPolicies: [{ name: 'b', policy: fence }] }),
    },
    {},
  );
  if (result.resultType === 'error') throw new Error(JSON.stringify(result.errors));
  return result.overallResult === 'Allowed';
};

const person = `arn:aws:iam::${accountId}:role/curfew/people/curfew-0123456789abcdef0123`;
const fenced = { 'iam:PermissionsBoundary': boundaryArn };
const instance = `arn:aws:ec2:eu-central-1:${accountId}:instance/i-0123456789abcdef0`;
const session = `arn:aws:ssm:eu-central-1:${accountId}:session/alice.1a2b3c4d-abcdefghijklmnopqrstuvwxyz`;

const never: Question[] = [
  ...['AttachRolePolicy', 'UpdateAssumeRolePolicy', 'PutRolePermissionsBoundary', 'DeleteRolePermissionsBoundary'].map(
    (name) => ({ action: `iam:${name}`, resource: person, context: fenced }),
  ),
  { action: 'iam:CreatePolicyVersion', resource: boundaryArn },
  { action: 'iam:SetDefaultPolicyVersion', resource: boundaryArn },
  { action: 'iam:DeletePolicy', resource: boundaryArn },
  { action: 'iam:PassRole', resource: person },
  { action: 'sts:AssumeRole', resource: person },
  { action: 'ssm:StartSession', resource: instance },
  { action: 'ssm:ResumeSession', resource: session },
  { action: 'ssm:SendCommand', resource: instance },
  ...['broker/CurfewBroker', 'provisioner/CurfewProvisioner'].map((role) => ({
    action: 'iam:PutRolePolicy',
    resource: `arn:aws:iam::${accountId}:role/curfew/${role}`,
    context: fenced,
  })),
];

describe('deploy/', () => {
  test('AWS-07 the broker does its job and nothing else', async () => {
    const broker = inline('Broker');
    const job: Question[] = [
      { action: 'iam:PutRolePolicy', resource: person, context: fenced },
      { action: 'iam:GetRolePolicy', resource: person },
      { action: 'iam:DeleteRolePolicy', resource: person },
      { action: 'iam:GetRole', resource: person },
      { action: 'ssm:TerminateSession', resource: session },
      { action: 'ssm:DescribeSessions', resource: '*' },
    ];
    for (const question of job)
      expect([question.action, await judge(broker, question)]).toEqual([question.action, true]);
    const unfenced: Question = { action: 'iam:PutRolePolicy', resource: person };
    const otherFence = { 'iam:PermissionsBoundary': `arn:aws:iam::${accountId}:policy/other` };
    expect(await judge(broker, unfenced)).toBe(false);
    expect(await judge(broker, { ...unfenced, context: otherFence })).toBe(false);
    expect(await judge(broker, { action: 'iam:CreateRole', resource: person, context: fenced })).toBe(false);
    for (const question of never)
      expect([question.action, await judge(broker, question)]).toEqual([question.action, false]);
  });

  test('AWS-09 the provisioner makes fenced roles and never changes whom one trusts, nor writes access', async () => {
    const provisioner = inline('Provisioner');
    expect(await judge(provisioner, { action: 'iam:CreateRole', resource: person, context: fenced })).toBe(true);
    expect(await judge(provisioner, { action: 'iam:CreateRole', resource: person })).toBe(false);
    expect(await judge(provisioner, { action: 'iam:PutRolePolicy', resource: person, context: fenced })).toBe(false);
    for (const question of never) {
      expect([question.action, await judge(provisioner, question)]).toEqual([question.action, false]);
    }
  });

  test('the boundary lets what the compiler writes through, and nothing wider', async () => {
    const grant = {
      id: 'a',
      instances: [{ accountId, region: 'eu-central-1', instanceId: 'i-0123456789abcdef0' }],
      notBefore: new Date('2026-11-22T09:00:00Z'),
      endsAt: new Date('2026-11-22T10:00:00Z'),
    };
    const { documents } = compileAccessPolicy({
      ...personalCarrier({ partition: 'aws', accountId, sessionName: 'alice.1a2b3c4d' }),
      grants: [grant],
    });
    const written: unknown = JSON.parse(documents[0]?.document ?? 'null');
    const now = { 'aws:CurrentTime': '2026-11-22T09:30:00Z', 'ssm:SessionDocumentAccessCheck': 'true' };
    const start = { action: 'ssm:StartSession', resource: instance, context: now };
    expect(await judge(written, start, boundary)).toBe(true);
    const anything = { Version: '2012-10-17', Statement: [{ Effect: 'Allow', Action: '*', Resource: '*' }] };
    const shell = `arn:aws:ssm:eu-central-1:${accountId}:document/SSM-SessionManagerRunShell`;
    expect(await judge(anything, { action: 'ssm:StartSession', resource: shell }, boundary)).toBe(false);
    expect(await judge(anything, { action: 'ssm:SendCommand', resource: instance }, boundary)).toBe(false);
    expect(await judge(anything, { action: 'iam:PutRolePolicy', resource: person }, boundary)).toBe(false);
    const custody = { ...start, context: { ...now, 'ssm:resourceTag/curfew': 'never' } };
    expect(await judge(anything, custody, boundary)).toBe(false);
  });

  test('AWS-10 both roles trust exactly one principal, and only with the external id', () => {
    for (const [name, principal] of [
      ['Broker', parameters['BackendPrincipalArn']],
      ['Provisioner', parameters['ProvisionerPrincipalArn']],
    ] as const) {
      expect(properties(name)['AssumeRolePolicyDocument']).toMatchObject({
        Statement: [
          {
            Principal: { AWS: principal },
            Condition: { StringEquals: { 'sts:ExternalId': parameters['ExternalId'] } },
          },
        ],
      });
    }
  });

  test('every session document that the compiler may name is there, with its own longest duration', () => {
    for (const minutes of documentMinutes) {
      const name = documentNameFor(minutes * 60);
      const made = Object.values(template.Resources).find(({ Properties }) => Properties['Name'] === name);
      expect(made?.Properties).toMatchObject({
        DocumentType: 'Session',
        Content: { inputs: { maxSessionDuration: String(minutes) } },
      });
    }
  });

  test('the service control policy denies sessions to everybody but personal roles', async () => {
    const scp: unknown = JSON.parse(readFileSync(resolve(folder, 'scp.json'), 'utf8'));
    const all = { Effect: 'Allow', Action: '*', Resource: '*' };
    const identity = { Version: '2012-10-17', Statement: [...policy.parse(scp).Statement, all] };
    const as = (arn: string) => ({ 'aws:PrincipalArn': arn });
    const start = { action: 'ssm:StartSession', resource: instance };
    expect(await judge(identity, { ...start, context: as(person) })).toBe(true);
    expect(await judge(identity, { ...start, context: as(`arn:aws:iam::${accountId}:role/Admin`) })).toBe(false);
  });

  test('RQ-07 the service control policy reserves exactly the tags that rules trust, and the one that keeps Curfew out', async () => {
    const scp: unknown = JSON.parse(readFileSync(resolve(folder, 'scp.json'), 'utf8'));
    const { trustedTags } = readConfigFile(resolve(folder, 'curfew.example.yml'));
    expect(trustedTags).toEqual(defaultTrustedTags);
    const keys = z.looseObject({
      Sid: z.literal('TagsThatRulesTrust'),
      Condition: z.looseObject({
        'ForAnyValue:StringEquals': z.strictObject({ 'aws:TagKeys': z.array(z.string()) }),
      }),
    });
    const reserved = policy.parse(scp).Statement.flatMap((statement) => {
      const read = keys.safeParse(statement);
      return read.success ? read.data.Condition['ForAnyValue:StringEquals']['aws:TagKeys'] : [];
    });
    expect(reserved.toSorted()).toEqual(['curfew', ...defaultTrustedTags].toSorted());

    const all = { Effect: 'Allow', Action: '*', Resource: '*' };
    const identity = { Version: '2012-10-17', Statement: [...policy.parse(scp).Statement, all] };
    const may = (role: string, action: string, tags: string[] | null) => {
      const hybrid = action.startsWith('ssm:');
      return judge(identity, {
        action,
        resource: hybrid ? `arn:aws:ssm:eu-central-1:${accountId}:managed-instance/mi-0123456789abcdef0` : instance,
        context: {
          'aws:PrincipalArn': `arn:aws:iam::${accountId}:role/${role}`,
          ...(tags === null ? {} : { 'aws:TagKeys': tags }),
        },
      });
    };
    for (const action of ['ec2:CreateTags', 'ec2:DeleteTags', 'ssm:AddTagsToResource', 'ssm:RemoveTagsFromResource']) {
      for (const key of reserved) {
        expect([action, key, await may('Admin', action, ['Backup', key])]).toEqual([action, key, false]);
        expect([action, key, await may('DeploymentPipeline', action, [key])]).toEqual([action, key, true]);
      }
      expect([action, await may('Admin', action, ['Backup'])]).toEqual([action, true]);
    }
    // Without keys it takes all tags off, the reserved ones among them (EC2 API, DeleteTags).
    expect(await may('Admin', 'ec2:DeleteTags', null)).toBe(false);
    expect(await may('DeploymentPipeline', 'ec2:DeleteTags', null)).toBe(true);
  });

  test('the example configuration is a whole and valid one', () => {
    const config = readConfigFile(resolve(folder, 'curfew.example.yml'));
    expect(config.accounts).toHaveLength(1);
  });
});
