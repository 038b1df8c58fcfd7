import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { z } from 'zod';
import { globalContextKeys } from './authorise.ts';
import { callerOfSession } from './caller.ts';
import { evaluate, evaluateTrust } from './evaluate.ts';
import { requestContext } from './match-pattern.ts';
import { parsePolicyDocument } from './policy-document.ts';

const now = new Date('2026-11-22T10:00:00Z');
const statements = z.array(z.record(z.string(), z.unknown()));
const context = z.record(z.string(), z.array(z.string())).default({});
const version = z.string().default('2012-10-17');

const cases = <T>(file: string, schema: z.ZodType<T>): T[] =>
  z.array(schema).parse(parse(readFileSync(new URL(`cases/${file}`, import.meta.url), 'utf8')));

const documents = (list: z.infer<typeof statements>, Version = '2012-10-17') =>
  list.length === 0 ? [] : [parsePolicyDocument(JSON.stringify({ Version, Statement: list }), 'identity')];

const alice = callerOfSession({
  role: { accountId: '111122223333', name: 'curfew-1', path: '/curfew/people/', id: 'AROAEXAMPLE', tags: {} },
  sessionName: 'alice.1a2b3c4d',
});
const standard = { ...alice.contextKeys, ...globalContextKeys(now) };

describe('identity, boundary and session policy', () => {
  const schema = z.strictObject({
    name: z.string(),
    version,
    identity: statements,
    boundary: statements.optional(),
    session: statements.optional(),
    action: z.string(),
    resource: z.string(),
    context,
    expect: z.unknown(),
  });
  test.each(cases('identity.yml', schema))('$name', (one) => {
    const result = evaluate({
      action: one.action,
      resource: one.resource,
      context: requestContext(standard, one.context),
      identity: documents(one.identity, one.version),
      boundary: one.boundary ? documents(one.boundary) : null,
      session: one.session ? documents(one.session) : null,
    });
    expect(result).toEqual(one.expect);
  });
});

describe('conditions', () => {
  const schema = z.strictObject({
    name: z.string(),
    condition: z.record(z.string(), z.unknown()),
    context,
    holds: z.boolean(),
  });
  test.each(cases('conditions.yml', schema))('$name', (one) => {
    const result = evaluate({
      action: 'ssm:StartSession',
      resource: '*',
      context: requestContext(standard, one.context),
      identity: documents([{ Effect: 'Allow', Action: '*', Resource: '*', Condition: one.condition }]),
      boundary: null,
      session: null,
    });
    expect(result.decision).toBe(one.holds ? 'allow' : 'implicit-deny');
  });
});

describe('trust', () => {
  const schema = z.strictObject({ name: z.string(), statements, expect: z.string() });
  const mira = callerOfSession({
    role: {
      accountId: '111122223333',
      name: 'AWSReservedSSO_CurfewUser_0123456789abcdef',
      path: '/aws-reserved/sso.amazonaws.com/eu-central-1/',
      id: 'AROASSO',
      tags: {},
    },
    sessionName: 'mira.okafor@harborline.example',
    contextKeys: { 'identitystore:UserId': ['33333333-3333-4333-8333-333333333333'] },
  });
  test.each(cases('trust.yml', schema))('$name', (one) => {
    const trust = parsePolicyDocument(JSON.stringify({ Version: '2012-10-17', Statement: one.statements }), 'trust');
    const call = { 'sts:RoleSessionName': ['mira.okafor.1a2b3c4d'] };
    const keys = requestContext(mira.contextKeys, globalContextKeys(now), call);
    expect(evaluateTrust(trust, { action: 'sts:AssumeRole', caller: mira, context: keys })).toBe(one.expect);
  });
});

describe('documents that IAM does not take', () => {
  const allow = { Effect: 'Allow', Action: 'ssm:StartSession', Resource: '*' };
  test.each([
    ['{"Version":"2012-10-17",', 'This policy contains invalid Json'],
    [{ Version: '2020-01-01', Statement: [allow] }, 'Policy document must be version 2012-10-17 or greater.'],
    [{ Version: '2012-10-17', Statement: [] }, 'Syntax errors in policy.'],
    [{ Version: '2012-10-17', Statement: [{ ...allow, Effekt: 'Allow' }] }, 'Syntax errors in policy.'],
    [
      { Version: '2012-10-17', Statement: { Effect: 'Allow', Resource: '*' } },
      'Policy statement must contain actions.',
    ],
    [
      { Version: '2012-10-17', Statement: { Effect: 'Allow', Action: 'ssm:*' } },
      'Policy statement must contain resources.',
    ],
    [
      { Version: '2012-10-17', Statement: { ...allow, Action: 'StartSession' } },
      'Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.',
    ],
    [
      { Version: '2012-10-17', Statement: { ...allow, Resource: 'i-0123456789abcdef0' } },
      'Resource i-0123456789abcdef0 must be in ARN format or "*".',
    ],
    [
      { Version: '2012-10-17', Statement: { ...allow, Principal: '*' } },
      'Policy document should not specify a principal.',
    ],
    [
      { Version: '2012-10-17', Statement: { ...allow, Condition: { StringEqual: { k: 'a' } } } },
      'Invalid Condition type : StringEqual',
    ],
    [
      {
        Version: '2012-10-17',
        Statement: [
          { ...allow, Sid: 'A' },
          { ...allow, Sid: 'A' },
        ],
      },
      'Statement IDs (SID) in a single policy must be unique.',
    ],
  ])('%j: %s', (document, message) => {
    const text = typeof document === 'string' ? document : JSON.stringify(document);
    expect(() => parsePolicyDocument(text, 'identity')).toThrow(message);
  });

  test('a trust policy has principals and no resource', () => {
    const trust = { Effect: 'Allow', Action: 'sts:AssumeRole' };
    const parsed = (statement: unknown) => () =>
      parsePolicyDocument(JSON.stringify({ Version: '2012-10-17', Statement: statement }), 'trust');
    expect(parsed(trust)).toThrow('Missing required field Principal');
    expect(parsed({ ...trust, Principal: '*', Resource: '*' })).toThrow('Has prohibited field Resource');
  });
});

test('a pattern of many stars is judged in time that stays small', () => {
  const pattern = `arn:aws:s3:::${'a*'.repeat(200)}b`;
  const started = performance.now();
  const result = evaluate({
    action: 's3:GetObject',
    resource: `arn:aws:s3:::${'a'.repeat(5000)}`,
    context: requestContext(standard),
    identity: documents([{ Effect: 'Allow', Action: 's3:GetObject', Resource: pattern }]),
    boundary: null,
    session: null,
  });
  expect(result.decision).toBe('implicit-deny');
  expect(performance.now() - started).toBeLessThan(2000);
});
