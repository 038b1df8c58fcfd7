/** Asks the evaluator on behalf of a service and words the denial as AWS does. */
import type { IamState } from '../iam/state.ts';
import { type Action, type Authorise, AwsError, type Caller } from '../service.ts';
import { isTemporary } from './caller.ts';
import { type Evaluation, evaluate } from './evaluate.ts';
import { type RequestContext, requestContext } from './match-pattern.ts';
import { type PolicyDocument, parsePolicyDocument } from './policy-document.ts';

/** Condition keys that every request has. */
export const globalContextKeys = (now: Date): Record<string, string[]> => ({
  'aws:CurrentTime': [now.toISOString().replace(/\.\d{3}Z$/, 'Z')],
  'aws:EpochTime': [String(Math.floor(now.getTime() / 1000))],
  'aws:SecureTransport': ['true'],
  'aws:SourceIp': ['127.0.0.1'],
});

type Denial = Exclude<Evaluation, { decision: 'allow' }>;

const article = (layer: Denial['why']): string => (layer === 'identity-based policy' ? 'an' : 'a');

/** The end of AWS's sentence: which layer said no, and how. */
export const denialReason = (denial: Denial, action: string): string =>
  denial.decision === 'explicit-deny'
    ? `with an explicit deny in ${article(denial.why)} ${denial.why}`
    : `because no ${denial.why} allows the ${action} action`;

/** AWS's words and the service's code for a denied action (aws-facts 10). `because` is left out where AWS gives no reason. */
export const deniedError = (
  caller: Caller,
  denied: { action: string; resource: string; because?: string | undefined },
): AwsError => {
  const { action, resource } = denied;
  const because = denied.because === undefined ? '' : ` ${denied.because}`;
  const service = action.split(':')[0];
  const who = `User: ${caller.arn} is not authorized to perform: ${action}`;
  if (service === 'ec2') {
    const message = `You are not authorized to perform this operation. ${who}${because}`;
    return new AwsError('UnauthorizedOperation', message, 403);
  }
  const message = `${who} on resource: ${resource}${because}`;
  return service === 'iam' || service === 'sts'
    ? new AwsError('AccessDenied', message, 403)
    : new AwsError('AccessDeniedException', message, 400);
};

export type Judge = (
  caller: Caller,
  request: { action: string; resource: string; context: RequestContext },
  /** `false` leaves the identity policies out: a trust policy that names the caller has allowed in their place. */
  identityMustAllow?: boolean,
) => Evaluation;

/** Evaluates a caller's policies as the policy engine sees them now. */
export const createJudge = (state: IamState): Judge => {
  const parsed = new Map<string, PolicyDocument>();
  /** The same few texts are judged again and again; the newest thousand are kept. */
  const parse = (text: string): PolicyDocument => {
    const known = parsed.get(text);
    if (known) return known;
    if (parsed.size >= 1000) parsed.clear();
    const document = parsePolicyDocument(text, 'identity');
    parsed.set(text, document);
    return document;
  };

  return (caller, request, identityMustAllow = true) => {
    const seen = state.seenPolicies(caller);
    const identity = seen.identity.map(({ document }) => parse(document));
    const given: PolicyDocument = parse(
      '{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}',
    );
    const boundary = seen.boundary?.document ?? null;
    return evaluate({
      ...request,
      identity: identityMustAllow ? identity : [...identity, given],
      boundary: seen.boundary === null ? null : boundary === null ? [] : [parse(boundary)],
      session: caller.sessionPolicy === undefined ? null : [parse(caller.sessionPolicy)],
    });
  };
};

/** Makes what services call before they do anything: throws the service's own denial, or returns. */
export const createAuthorise = (options: { state: IamState; now: () => Date }): Authorise => {
  const judge = createJudge(options.state);
  return (caller: Caller, wanted: Action) => {
    // What GetSessionToken gives without MFA opens nothing of IAM.
    if (wanted.action.startsWith('iam:') && caller.entity.kind === 'user' && isTemporary(caller)) {
      throw new AwsError('InvalidClientTokenId', 'The security token included in the request is invalid', 403);
    }
    for (const { arn, contextKeys, shownAs } of wanted.resources) {
      const context = requestContext(
        caller.contextKeys,
        globalContextKeys(options.now()),
        wanted.contextKeys,
        contextKeys,
      );
      const result = judge(caller, { action: wanted.action, resource: arn, context });
      if (result.decision !== 'allow') {
        const because = denialReason(result, wanted.action);
        throw deniedError(caller, { action: wanted.action, resource: shownAs ?? arn, because });
      }
    }
  };
};
