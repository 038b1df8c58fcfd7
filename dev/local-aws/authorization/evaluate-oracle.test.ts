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
  `arn:aws:ssm:*:${account}:session/\${aws:PrincipalTag/team, 'none'}*`,
  `arn:aws:ssm:eu-central-1:${account}:session/*`,
);

/** A policy variable as it is written in a document. */
const variable = (name: string): string => `\${${name}}`;
const orgPaths = ['o-h4rb0rl1ne/r-ab12/ou-prod/', 'o-h4rb0rl1ne/r-ab12/ou-dev/', 'o-other/r-zz99/'];

type Family = { operators: string[]; keys: string[]; values: string[] };
/** Operators, keys and values that fit each other, so that the other evaluator accepts the document. */
const families: Record<string, Family> = {
  date: {
    operators: [
      'DateLessThan',
      'DateGreaterThan',
      'DateLessThanEquals',
      'DateGreaterThanEquals',
      'DateEquals',
      'DateNotEquals',
    ],
    keys: ['aws:CurrentTime', 'aws:TokenIssueTime'],
    values: ['2026-11-22T10:00:00Z', '2026-11-22T10:00:01Z', '2026-11-22T09:00:00Z', '2026-11-21T10:00:00Z'],
  },
  text: {
    operators: ['StringEquals', 'StringEqualsIgnoreCase'],
    keys: ['aws:ResourceTag/env', 'aws:PrincipalTag/team', 'aws:userid'],
    values: [
      'production',
      'PRODUCTION',
      'payments',
      userId,
      '*',
      variable('aws:PrincipalTag/team'),
      variable('aws:userid'),
    ],
  },
  pattern: {
    operators: ['StringLike'],
    keys: ['aws:ResourceTag/env', 'aws:PrincipalTag/team', 'aws:userid'],
    values: [
      'production',
      'prod*',
      'p?oduction',
      '*',
      '*:alice.*',
      `${variable('aws:PrincipalTag/team')}*`,
      variable('*'),
      `pay${variable('*')}`,
    ],
  },
  // Only variables that have a value: what a negated test of one without is, AWS does not say.
  otherText: {
    operators: ['StringNotEquals', 'StringNotEqualsIgnoreCase'],
    keys: ['aws:ResourceTag/env', 'aws:PrincipalTag/team', 'aws:userid'],
    values: ['production', 'PRODUCTION', 'payments', userId, '*', variable('aws:userid')],
  },
  otherPattern: {
    operators: ['StringNotLike'],
    keys: ['aws:ResourceTag/env', 'aws:PrincipalTag/team', 'aws:userid'],
    values: [
      'production',
      'prod*',
      'p?oduction',
      '*',
      '*:alice.*',
      `${variable('aws:userid')}*`,
      variable('*'),
      `pay${variable('*')}`,
    ],
  },
  arn: {
    operators: ['ArnLike', 'ArnEquals', 'ArnNotLike', 'ArnNotEquals'],
    keys: ['aws:PrincipalArn', 'aws:SourceArn'],
    values: [
      roleArn,
      'arn:aws:iam::*:role/curfew/*',
      'arn:aws:iam::*:role/BreakGlass',
      `arn:aws:iam::${account}:role/*/curfew-?`,
      `arn:aws:sns:*:${account}:alarms`,
    ],
  },
  address: {
    operators: ['IpAddress', 'NotIpAddress'],
    keys: ['aws:SourceIp'],
    values: ['127.0.0.0/8', '10.0.0.0/8', '127.0.0.1/32'],
  },
  number: {
    operators: [
      'NumericLessThan',
      'NumericLessThanEquals',
      'NumericGreaterThan',
      'NumericGreaterThanEquals',
      'NumericEquals',
      'NumericNotEquals',
    ],
    keys: ['aws:MultiFactorAuthAge'],
    values: ['300', '3600', '60'],
  },
};

const single = Object.values(families).map(({ operators, keys, values }) =>
  fc.record({
    operator: fc
      .tuple(fc.constantFrom(...operators), fc.constantFrom('', '', 'IfExists'))
      .map(([name, suffix]) => name + suffix),
    key: fc.constantFrom(...keys),
    values: fc.subarray(values, { minLength: 1, maxLength: 3 }),
  }),
);
const tests = fc.oneof(
  ...single,
  fc.record({
    operator: fc.constantFrom('Bool', 'BoolIfExists'),
    key: fc.constantFrom('aws:SecureTransport', 'aws:MultiFactorAuthPresent'),
    values: fc.constantFrom(['true'], ['false']),
  }),
  fc.record({
    operator: fc.constant('Null'),
    key: fc.constantFrom(
      'aws:ResourceTag/env',
      'aws:PrincipalTag/team',
      'aws:MultiFactorAuthPresent',
      'aws:userid',
      'aws:SourceArn',
      'aws:PrincipalOrgPaths',
    ),
    values: fc.constantFrom(['true'], ['false']),
  }),
  fc.record({
    operator: fc
      .tuple(
        fc.constantFrom('ForAllValues:', 'ForAnyValue:'),
        fc.constantFrom('StringEquals', 'StringLike', 'StringNotEquals', 'StringNotLike', 'StringEqualsIgnoreCase'),
        fc.constantFrom('', '', 'IfExists'),
      )
      // Whether ForAnyValue with IfExists holds without the key, AWS does not say; the two evaluators read it differently.
      .map(([qualifier, name, suffix]) => qualifier + name + (qualifier === 'ForAnyValue:' ? '' : suffix)),
    key: fc.constant('aws:PrincipalOrgPaths'),
    values: fc.subarray([...orgPaths, 'o-h4rb0rl1ne/*', '*/ou-dev/', 'O-OTHER/R-ZZ99/'], {
      minLength: 1,
      maxLength: 3,
    }),
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
    'aws:PrincipalOrgPaths': fc.subarray(orgPaths, { minLength: 1 }),
    'aws:SourceArn': fc.constantFrom(`arn:aws:sns:eu-west-1:${account}:alarms`, 'arn:aws:sns:eu-west-1:444455556666:x'),
    'aws:TokenIssueTime': fc.constantFrom('2026-11-22T09:30:00Z', '2026-11-22T09:00:00Z'),
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

const decisions = { Allowed: 'allow', ImplicitlyDenied: 'implicit-deny', ExplicitlyDenied: 'explicit-deny' } as const;
/** The run is the same each time; a failure prints the seed and the path of its smallest case anyway. */
const seed = 20_261_122;

type Document = { Version: string; Statement: Array<Record<string, unknown>> };
type Case = {
  identity: Document[];
  boundary: Document | null;
  session: Document | null;
  request: (typeof requests)[number];
  context: Record<string, string | string[]>;
};
const cases: fc.Arbitrary<Case> = fc.record({
  identity: fc.array(document, { minLength: 1, maxLength: 2 }),
  boundary: fc.option(document, { nil: null, freq: 3 }),
  session: fc.option(document, { nil: null, freq: 2 }),
  request: fc.constantFrom(...requests),
  context: contexts.map((extra) =>
    Object.fromEntries(
      Object.entries({ ...fixed, ...extra }).flatMap(([key, value]) => (value === undefined ? [] : [[key, value]])),
    ),
  ),
});

/** What the other evaluator says, and the keys that it left out because the action does not know them. */
const theirAnswer = async ({ identity, boundary, session, request, context }: Case) => {
  const theirs = await runSimulation(
    {
      request: {
        principal: sessionArn,
        action: request.action,
        resource: { resource: request.resource, accountId: account },
        contextVariables: context,
      },
      identityPolicies: identity.map((policy, index) => ({ name: `p${index}`, policy })),
      serviceControlPolicies: [],
      resourceControlPolicies: [],
      ...(boundary ? { permissionBoundaryPolicies: [{ name: 'boundary', policy: boundary }] } : {}),
      ...(session ? { sessionPolicy: session } : {}),
    },
    { simulationMode: 'Strict' },
  );
  if (theirs.resultType !== 'single') throw new Error(`No single answer: ${JSON.stringify(theirs).slice(0, 500)}`);
  const { analysis, ignoredContextKeys } = theirs.result;
  return { decision: decisions[analysis.result], ignored: ignoredContextKeys ?? [] };
};

const parsed = (one: unknown) => parsePolicyDocument(JSON.stringify(one), 'identity');

/** We know no table of which action knows which key, so those are left out for both. */
const ourAnswer = (one: Case, ignored: readonly string[]) =>
  evaluate({
    ...one.request,
    context: requestContext(
      Object.fromEntries(Object.entries(valuesOf(one.context)).filter(([key]) => !ignored.includes(key))),
    ),
    identity: one.identity.map(parsed),
    boundary: one.boundary ? [parsed(one.boundary)] : null,
    session: one.session ? [parsed(one.session)] : null,
  }).decision;

/** Every operator as it is written, once for each statement that has it. */
const operatorsOf = (documents: readonly Document[]): string[] =>
  documents.flatMap(({ Statement }) => Statement.flatMap(({ Condition }) => Object.keys(Condition ?? {})));

test('says the same as an independent evaluator, 2,500 times', { timeout: 120_000 }, async () => {
  const decided = { allow: 0, 'implicit-deny': 0, 'explicit-deny': 0 };
  const used = new Map<string, number>();
  let layered = 0;
  await fc.assert(
    fc.asyncProperty(cases, async (one) => {
      const { decision, ignored } = await theirAnswer(one);
      const ours = ourAnswer(one, ignored);
      decided[ours] += 1;
      if (one.boundary && one.session) layered += 1;
      const documents = [...one.identity, one.boundary, one.session].filter((document) => document !== null);
      for (const operator of operatorsOf(documents)) used.set(operator, (used.get(operator) ?? 0) + 1);
      expect(ours).toBe(decision);
    }),
    { numRuns: 2500, seed },
  );
  // The generator must reach every answer and every operator often, or the comparison says little.
  for (const count of Object.values(decided)) expect(count).toBeGreaterThan(200);
  expect(layered).toBeGreaterThan(200);
  expect(used.size).toBe(66);
  for (const [operator, count] of used) expect.soft(count, operator).toBeGreaterThan(10);
});
