/**
 * The policy evaluator: identity policies, permissions boundary and session policy must each allow, and one explicit deny
 * ends it. Pure. Source: "Policy evaluation logic" in the IAM User Guide.
 */
import type { Caller } from '../service.ts';
import { conditionHolds } from './conditions.ts';
import { matchesArn, matchesPattern, type RequestContext } from './match-pattern.ts';
import type { Patterns, PolicyDocument, PrincipalPattern, Statement } from './policy-document.ts';

export type Layer = 'identity-based policy' | 'permissions boundary' | 'session policy';

export type EvaluateInput = {
  action: string;
  /** ARN, or `*` for actions that know no resource. */
  resource: string;
  context: RequestContext;
  identity: PolicyDocument[];
  /** Null: none is set. An empty list: one is set and it allows nothing. */
  boundary: PolicyDocument[] | null;
  session: PolicyDocument[] | null;
};

/** `why` names the layer that said no (or, for `allow`, the Sid of the identity statement that said yes, where it has one). */
export type Evaluation =
  | { decision: 'allow'; why: string | null }
  | { decision: 'implicit-deny' | 'explicit-deny'; why: Layer };

type Request = Pick<EvaluateInput, 'action' | 'resource' | 'context'>;

const actionMatches = ({ negated, patterns }: Patterns, action: string): boolean =>
  patterns.some((pattern) => matchesPattern(pattern.toLowerCase(), action.toLowerCase(), null)) !== negated;

const resourceMatches = (statement: Statement, request: Request, variables: boolean): boolean => {
  if (!statement.resources) return true;
  const { negated, patterns } = statement.resources;
  const context = variables ? request.context : null;
  return patterns.some((pattern) => matchesArn(pattern, request.resource, context)) !== negated;
};

const applies = (statement: Statement, request: Request, variables: boolean): boolean =>
  actionMatches(statement.actions, request.action) &&
  resourceMatches(statement, request, variables) &&
  statement.conditions.every((condition) => conditionHolds(condition, request.context, variables));

type Verdict = { effect: 'Allow' | 'Deny'; sid: string | null } | null;

const verdict = (documents: PolicyDocument[], request: Request): Verdict => {
  const met = documents.flatMap((document) =>
    document.statements.filter((statement) => applies(statement, request, document.variables)),
  );
  const decisive = met.find((statement) => statement.effect === 'Deny') ?? met[0];
  return decisive ? { effect: decisive.effect, sid: decisive.sid } : null;
};

/** Decides one action on one resource. */
export const evaluate = (input: EvaluateInput): Evaluation => {
  const layers: Array<[Layer, PolicyDocument[] | null]> = [
    ['identity-based policy', input.identity],
    ['permissions boundary', input.boundary],
    ['session policy', input.session],
  ];
  const verdicts = layers.flatMap(([layer, documents]) =>
    documents === null ? [] : [{ layer, verdict: verdict(documents, input) }],
  );
  const denied = verdicts.find((one) => one.verdict?.effect === 'Deny');
  if (denied) return { decision: 'explicit-deny', why: denied.layer };
  const silent = verdicts.find((one) => one.verdict === null);
  if (silent) return { decision: 'implicit-deny', why: silent.layer };
  return { decision: 'allow', why: verdicts[0]?.verdict?.sid ?? null };
};

/**
 * How a trust policy answers a caller. `names-principal`: it names the caller's role or user or session itself;
 * `delegates`: it names the account (or everybody), so the caller's own policies must allow too.
 */
export type TrustAnswer = 'explicit-deny' | 'implicit-deny' | 'delegates' | 'names-principal';

const nameMatch = (pattern: PrincipalPattern, caller: Caller): 'delegates' | 'names-principal' | null => {
  if (pattern.type !== 'AWS') return null;
  const account = [caller.accountId, `arn:aws:iam::${caller.accountId}:root`];
  if (pattern.value === '*' || account.includes(pattern.value)) return 'delegates';
  const own = [caller.arn, ...(caller.contextKeys['aws:PrincipalArn'] ?? [])];
  return own.includes(pattern.value) ? 'names-principal' : null;
};

/** Judges a role's trust policy for a caller. `context` holds the caller's keys and those of the call. */
export const evaluateTrust = (
  trust: PolicyDocument,
  call: { action: string; caller: Caller; context: RequestContext },
): TrustAnswer => {
  const request: Request = { action: call.action, resource: '*', context: call.context };
  const met = trust.statements.flatMap((statement) => {
    if (!statement.principals || !applies(statement, request, trust.variables)) return [];
    const { list, negated } = statement.principals;
    const found = list.flatMap((one) => nameMatch(one, call.caller) ?? []);
    if (negated) return found.length === 0 ? [{ effect: statement.effect, by: 'delegates' as const }] : [];
    const by = found.find((one) => one === 'names-principal') ?? found[0];
    return by ? [{ effect: statement.effect, by }] : [];
  });
  if (met.some((one) => one.effect === 'Deny')) return 'explicit-deny';
  if (met.length === 0) return 'implicit-deny';
  return met.some((one) => one.by === 'names-principal') ? 'names-principal' : 'delegates';
};
