/** Holds our evaluator against an independent one (AGPL, for tests only) on generated policies and requests. */
import { runSimulation } from '@cloud-copilot/iam-simulate';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { evaluate } from './evaluate.ts';
import { requestContext } from './match-pattern.ts';
import { parsePolicyDocument } from './policy-document.ts';

const account = '111122223333';
const userId = 'AROAEXAMPLEEXAMPLE:alice.1a2b3c4d';
const roleArn = `arn:aws:iam::${account}:role/curfew/people/curfew-1`;
const sessionArn = `arn:aws:sts::${account}:assumed-role/curfew-1/alice.1a2b3c4d`;

const instance = `arn:aws:ec2:eu-west-1:${account}:instance/i-0a1b2c3d4e5f60001`;
const session = `arn:aws:ssm:eu-west-1:${account}:session/${userId}-0123456789abcdef0`;
const requests = [
  { action: 'ssm:StartSession', resource: instance },
  { action: 'ssm:GetConnectionStatus', resource: instance },
  { action: 'ssm:TerminateSession', resource: session },
  { action: 'ssm:ResumeSession', resource: session },
] as const;

const actions = fc.constantFrom(
  '*',
  'ssm:*',
  'ssm:StartSession',
  'SSM:startsession',
  'ssm:*Session',
  'ssm:?erminateSession',
  'ec2:*',
  'ssm:Get*',
);
const resources = fc.constantFrom(
  '*',
  instance,
  'arn:aws:ec2:*:*:instance/*',
  `arn:aws:ec2:eu-*:${account}:instance/i-0a1b2c3d4e5f6000?`,
  `arn:aws:ec2:eu-west-1:${account}:instance/i-0a1b2c3d4e5f60002`,
  `arn:aws:ssm:*:${account}:session/*`,
  `arn:aws:ssm:*:${account}:session/\${aws:userid}-*`,
  `arn:aws:ssm:eu-central-1:${account}:session/*`,
);

/** Operator, key and values that fit each other, so that the other evaluator accepts the document. */
const tests = fc.oneof(
  fc.record({
    operator: fc.constantFrom(
      'DateLessThan',
      'DateGreaterThan',
      'DateLessThanEquals',
      'DateGreaterThanEquals',
      'DateEquals',
      'DateNotEquals',
    ),
    key: fc.constant('aws:CurrentTime'),
    values: fc.subarray(['2026-11-22T10:00:00Z', '2026-11-22T10:00:01Z', '2026-11-22T09:00:00Z'], { minLength: 1 }),
  }),
  fc.record({
    operator: fc.constantFrom(
      'StringEquals',
      'StringNotEquals',
      'StringLike',
      'StringNotLike',
      'StringEqualsIgnoreCase',
      'StringNotEqualsIgnoreCase',
      'StringEqualsIfExists',
      'StringLikeIfExists',
    ),
    key: fc.constantFrom('aws:ResourceTag/env', 'aws:PrincipalTag/team', 'aws:userid'),
    values: fc.subarray(['production', 'prod*', 'PRODUCTION', 'p?oduction', 'payments', userId, '*'], {
      minLength: 1,
      maxLength: 3,
    }),
  }),
  fc.record({
    operator: fc.constantFrom('ArnLike', 'ArnEquals', 'ArnNotLike', 'ArnNotEquals', 'ArnLikeIfExists'),
    key: fc.constant('aws:PrincipalArn'),
    values: fc.subarray(
      [
        roleArn,
        'arn:aws:iam::*:role/curfew/*',
        'arn:aws:iam::*:role/BreakGlass',
        `arn:aws:iam::${account}:role/*/curfew-?`,
      ],
      { minLength: 1 },
    ),
  }),
  fc.record({
    operator: fc.constantFrom('Bool', 'BoolIfExists'),
    key: fc.constantFrom('aws:SecureTransport', 'aws:MultiFactorAuthPresent'),
    values: fc.constantFrom(['true'], ['false']),
  }),
  fc.record({
    operator: fc.constant('Null'),
    key: fc.constantFrom('aws:ResourceTag/env', 'aws:PrincipalTag/team', 'aws:MultiFactorAuthPresent', 'aws:userid'),
    values: fc.constantFrom(['true'], ['false']),
  }),
  fc.record({
    operator: fc.constantFrom(
      'ForAllValues:StringEquals',
      'ForAnyValue:StringEquals',
      'ForAllValues:StringLike',
      'ForAnyValue:StringLike',
    ),
    key: fc.constant('aws:TagKeys'),
    values: fc.subarray(['env', 'team', 'e*', 'service'], { minLength: 1 }),
  }),
  fc.record({
    operator: fc.constantFrom('IpAddress', 'NotIpAddress'),
    key: fc.constant('aws:SourceIp'),
    values: fc.subarray(['127.0.0.0/8', '10.0.0.0/8', '127.0.0.1/32'], { minLength: 1 }),
  }),
  fc.record({
    operator: fc.constantFrom('NumericLessThan', 'NumericGreaterThanEquals', 'NumericEquals', 'NumericNotEquals'),
    key: fc.constant('aws:MultiFactorAuthAge'),
    values: fc.subarray(['300', '3600', '60'], { minLength: 1 }),
  }),
);

const statement = fc
  .record({
    Effect: fc.constantFrom('Allow', 'Allow', 'Allow', 'Deny'),
    actionField: fc.constantFrom('Action', 'Action', 'Action', 'NotAction'),
    actionList: fc.uniqueArray(actions, { minLength: 1, maxLength: 2 }),
    resourceField: fc.constantFrom('Resource', 'Resource', 'Resource', 'NotResource'),
    resourceList: fc.uniqueArray(resources, { minLength: 1, maxLength: 3 }),
    conditions: fc.uniqueArray(tests, { maxLength: 2, selector: ({ operator }) => operator }),
  })
  .map((one) => ({
    Effect: one.Effect,
    [one.actionField]: one.actionList,
    [one.resourceField]: one.resourceList,
    ...(one.conditions.length === 0
      ? {}
      : {
          Condition: Object.fromEntries(
            one.conditions.map(({ operator, key, values }) => [operator, { [key]: values }]),
          ),
        }),
  }));
const document = fc
  .array(statement, { minLength: 1, maxLength: 3 })
  .map((Statement) => ({ Version: '2012-10-17', Statement }));

const contexts = fc.record(
  {
    'aws:ResourceTag/env': fc.constantFrom('production', 'staging', 'PRODUCTION'),
    'aws:PrincipalTag/team': fc.constantFrom('payments', '*'),
    'aws:MultiFactorAuthPresent': fc.constantFrom('true', 'false'),
    'aws:MultiFactorAuthAge': fc.constantFrom('60', '300', '5000'),
    'aws:TagKeys': fc.subarray(['env', 'team', 'x'], { minLength: 1 }),
  },
  { requiredKeys: [] },
);
const fixed = {
  'aws:CurrentTime': '2026-11-22T10:00:00Z',
  'aws:userid': userId,
  'aws:SecureTransport': 'true',
  'aws:SourceIp': '127.0.0.1',
  'aws:PrincipalArn': roleArn,
};

const valuesOf = (context: Record<string, string | string[]>): Record<string, string[]> =>
  Object.fromEntries(Object.entries(context).map(([key, value]) => [key, typeof value === 'string' ? [value] : value]));

test('says the same as an independent evaluator', { timeout: 120_000 }, async () => {
  const decided = { allow: 0, 'implicit-deny': 0, 'explicit-deny': 0 };
  const decisions = { Allowed: 'allow', ImplicitlyDenied: 'implicit-deny', ExplicitlyDenied: 'explicit-deny' };
  await fc.assert(
    fc.asyncProperty(
      fc.array(document, { minLength: 1, maxLength: 2 }),
      fc.option(document, { nil: null }),
      fc.constantFrom(...requests),
      contexts,
      async (identity, boundary, request, extra) => {
        const contextVariables: Record<string, string | string[]> = { ...fixed };
        for (const [key, value] of Object.entries(extra)) if (value !== undefined) contextVariables[key] = value;
        const theirs = await runSimulation(
          {
            request: {
              principal: sessionArn,
              action: request.action,
              resource: { resource: request.resource, accountId: account },
              contextVariables,
            },
            identityPolicies: identity.map((policy, index) => ({ name: `p${index}`, policy })),
            serviceControlPolicies: [],
            resourceControlPolicies: [],
            ...(boundary ? { permissionBoundaryPolicies: [{ name: 'boundary', policy: boundary }] } : {}),
          },
          { simulationMode: 'Strict' },
        );
        if (theirs.resultType !== 'single')
          throw new Error(`No single answer: ${JSON.stringify(theirs).slice(0, 500)}`);
        const { result } = theirs.result.analysis;
        // Keys that an action does not know do not count there; we know no such table, so they are left out for both.
        const ignored = theirs.result.ignoredContextKeys ?? [];
        const keys = Object.entries(valuesOf(contextVariables)).filter(([key]) => !ignored.includes(key));
        const text = (one: unknown) => parsePolicyDocument(JSON.stringify(one), 'identity');
        const ours = evaluate({
          ...request,
          context: requestContext(Object.fromEntries(keys)),
          identity: identity.map(text),
          boundary: boundary ? [text(boundary)] : null,
          session: null,
        });
        decided[ours.decision] += 1;
        expect(ours.decision).toBe(decisions[result]);
      },
    ),
    { numRuns: 600 },
  );
  // The generator must reach every answer often, or the comparison says little.
  for (const count of Object.values(decided)) expect(count).toBeGreaterThan(50);
});
