/** IAM policy documents: JSON text in, a checked and evenly shaped value out, with the errors of IAM's own parser. */
import { z } from 'zod';
import { AwsError } from '../service.ts';

export type Patterns = { negated: boolean; patterns: string[] };
export type PrincipalPattern = { type: string; value: string };
export type ConditionTest = {
  /** Without qualifier and `IfExists`. */
  operator: ConditionOperator;
  qualifier: 'ForAllValues' | 'ForAnyValue' | null;
  ifExists: boolean;
  /** Lower case: condition keys have no case. */
  key: string;
  values: string[];
};
export type Statement = {
  sid: string | null;
  effect: 'Allow' | 'Deny';
  actions: Patterns;
  /** Null in trust policies, which have no resource. */
  resources: Patterns | null;
  /** Null in identity policies, which have no principal. */
  principals: { negated: boolean; list: PrincipalPattern[] } | null;
  conditions: ConditionTest[];
};
/** `variables`: only version 2012-10-17 knows `${aws:userid}`; in older documents it is plain text. */
export type PolicyDocument = { variables: boolean; statements: Statement[] };

export const conditionOperators = [
  'StringEquals',
  'StringNotEquals',
  'StringEqualsIgnoreCase',
  'StringNotEqualsIgnoreCase',
  'StringLike',
  'StringNotLike',
  'ArnEquals',
  'ArnNotEquals',
  'ArnLike',
  'ArnNotLike',
  'NumericEquals',
  'NumericNotEquals',
  'NumericLessThan',
  'NumericLessThanEquals',
  'NumericGreaterThan',
  'NumericGreaterThanEquals',
  'DateEquals',
  'DateNotEquals',
  'DateLessThan',
  'DateLessThanEquals',
  'DateGreaterThan',
  'DateGreaterThanEquals',
  'Bool',
  'IpAddress',
  'NotIpAddress',
  'Null',
] as const;
export type ConditionOperator = (typeof conditionOperators)[number];

const oneOrMore = z
  .union([z.string(), z.array(z.string()).min(1)])
  .transform((value) => (typeof value === 'string' ? [value] : value));
const scalar = z.union([z.string(), z.number(), z.boolean()]).transform(String);
const conditionValues = z
  .union([scalar, z.array(scalar)])
  .transform((value) => (typeof value === 'string' ? [value] : value));
const principal = z.union([z.literal('*'), z.record(z.string(), oneOrMore)]);
const statementSchema = z.strictObject({
  Sid: z.string().optional(),
  Effect: z.enum(['Allow', 'Deny']),
  Action: oneOrMore.optional(),
  NotAction: oneOrMore.optional(),
  Resource: oneOrMore.optional(),
  NotResource: oneOrMore.optional(),
  Principal: principal.optional(),
  NotPrincipal: principal.optional(),
  Condition: z.record(z.string(), z.record(z.string(), conditionValues)).optional(),
});
const documentSchema = z.strictObject({
  Version: z.enum(['2012-10-17', '2008-10-17']).default('2008-10-17'),
  Id: z.string().optional(),
  Statement: z.union([statementSchema.transform((one) => [one]), z.array(statementSchema).min(1)]),
});
type RawStatement = z.infer<typeof statementSchema>;

const malformed = (message: string): AwsError => new AwsError('MalformedPolicyDocument', message, 400);

/** Exactly one of a field and its `Not` form. */
const patternsOf = (yes: string[] | undefined, not: string[] | undefined): Patterns | null => {
  if (yes && not) throw malformed('Syntax errors in policy.');
  if (yes) return { negated: false, patterns: yes };
  return not ? { negated: true, patterns: not } : null;
};

const actionsOf = (raw: RawStatement): Patterns => {
  const actions = patternsOf(raw.Action, raw.NotAction);
  if (!actions) throw malformed('Policy statement must contain actions.');
  for (const action of actions.patterns) {
    if (action === '*') continue;
    if (!action.includes(':')) {
      throw malformed('Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.');
    }
    if (!/^[A-Za-z0-9-]+:[A-Za-z0-9*?]+$/.test(action)) {
      throw malformed(`Actions/Condition can contain only one colon. Invalid action: ${action}`);
    }
  }
  return actions;
};

const resourcesOf = (raw: RawStatement): Patterns => {
  const resources = patternsOf(raw.Resource, raw.NotResource);
  if (!resources) throw malformed('Policy statement must contain resources.');
  for (const resource of resources.patterns) {
    if (resource !== '*' && !/^arn:[^:]*:[^:]*:[^:]*:[^:]*:./.test(resource)) {
      throw malformed(`Resource ${resource} must be in ARN format or "*".`);
    }
  }
  return resources;
};

const principalList = (raw: z.infer<typeof principal>): PrincipalPattern[] =>
  raw === '*'
    ? [{ type: 'AWS', value: '*' }]
    : Object.entries(raw).flatMap(([type, values]) => values.map((value) => ({ type, value })));

const principalsOf = (raw: RawStatement): NonNullable<Statement['principals']> => {
  if (raw.Principal !== undefined && raw.NotPrincipal === undefined) {
    return { negated: false, list: principalList(raw.Principal) };
  }
  if (raw.NotPrincipal !== undefined && raw.Principal === undefined) {
    return { negated: true, list: principalList(raw.NotPrincipal) };
  }
  throw malformed('Missing required field Principal');
};

const isOperator = (text: string): text is ConditionOperator => conditionOperators.some((one) => one === text);

const conditionTests = (condition: NonNullable<RawStatement['Condition']>): ConditionTest[] =>
  Object.entries(condition).flatMap(([written, tests]) => {
    const [, qualifier, base = '', ifExists] =
      /^(?:(ForAllValues|ForAnyValue):)?(\w+?)(IfExists)?$/.exec(written) ?? [];
    if (!isOperator(base) || (base === 'Null' && ifExists !== undefined)) {
      throw malformed(`Invalid Condition type : ${written}`);
    }
    return Object.entries(tests).map(([key, values]) => ({
      operator: base,
      qualifier: qualifier === 'ForAllValues' || qualifier === 'ForAnyValue' ? qualifier : null,
      ifExists: ifExists !== undefined,
      key: key.toLowerCase(),
      values,
    }));
  });

const statementOf = (raw: RawStatement, kind: 'identity' | 'trust'): Statement => {
  const common = {
    sid: raw.Sid ?? null,
    effect: raw.Effect,
    actions: actionsOf(raw),
    conditions: conditionTests(raw.Condition ?? {}),
  };
  if (kind === 'trust') {
    if (raw.Resource !== undefined || raw.NotResource !== undefined) throw malformed('Has prohibited field Resource');
    return { ...common, resources: null, principals: principalsOf(raw) };
  }
  if (raw.Principal !== undefined || raw.NotPrincipal !== undefined) {
    throw malformed('Policy document should not specify a principal.');
  }
  return { ...common, resources: resourcesOf(raw), principals: null };
};

const readJson = (text: string): { value: unknown } | null => {
  try {
    return { value: JSON.parse(text) };
  } catch {
    return null;
  }
};

/**
 * Parses a document. `identity`: inline, managed, boundary and session policies; `trust`: a role's trust policy.
 * Throws `AwsError` MalformedPolicyDocument.
 */
export const parsePolicyDocument = (text: string, kind: 'identity' | 'trust'): PolicyDocument => {
  const json = readJson(text);
  if (!json) throw malformed('This policy contains invalid Json');
  const read = documentSchema.safeParse(json.value);
  if (!read.success) {
    const inVersion = read.error.issues.some((issue) => issue.path[0] === 'Version');
    throw malformed(inVersion ? 'Policy document must be version 2012-10-17 or greater.' : 'Syntax errors in policy.');
  }
  const statements = read.data.Statement.map((raw) => statementOf(raw, kind));
  const sids = statements.flatMap(({ sid }) => sid ?? []);
  if (sids.some((sid) => !/^[A-Za-z0-9]*$/.test(sid))) {
    throw malformed(
      'Statement IDs (SID) must be alpha-numeric. Check that your input satisfies the regular expression [0-9A-Za-z]*',
    );
  }
  if (new Set(sids).size < sids.length) {
    throw malformed('Statement IDs (SID) in a single policy must be unique.');
  }
  return { variables: read.data.Version === '2012-10-17', statements };
};
