/**
 * Which findings somebody in AWS did, and what CloudTrail is asked about each (threats AWS-12, AWS-13): the one place that says so. A kind
 * that is not here has no author, and nobody is asked.
 */
import type { FindingKind } from '../../src/shared/views.ts';
import { accessPolicyName, grantsPath } from '../access-policy/principal.ts';
import type { TrailEvent, TrailLookup } from '../aws/cloudtrail.ts';

/** What a question is made of. */
type Asked = {
  subject: string;
  region: string | null;
  /** ARNs of the managed policies that carry access of the same principal. */
  managed: readonly string[];
};

/** Where to look, and which calls did it. Of calls in the same second that of the first lookup counts. */
export type Question = {
  lookups: readonly TrailLookup[];
  did: (event: TrailEvent) => boolean;
  /** Curfew's own roles write such things all the time: what they did is no answer. */
  weWriteToo: boolean;
};

const policyWrites = /^(Put|Delete|Attach|Detach)(Role|User|Group)Policy$/;
const policyAdds = /^(Put|Attach)(Role|User|Group)Policy$/;
const versionWrites = /^(Create|Delete)Policy(Version)?$|^SetDefaultPolicyVersion$/;
const roleWrites =
  /^(CreateRole|UpdateAssumeRolePolicy|(Put|Delete)RolePermissionsBoundary|TagRole|UntagRole|UpdateRole)$/;
/** ModifyDocumentPermission shares a document and leaves its content. The one that makes a version count comes first. */
const documentWrites = ['UpdateDocumentDefaultVersion', 'CreateDocument', 'DeleteDocument', 'UpdateDocument'];

const lastPart = (arn: string): string => arn.slice(arn.lastIndexOf('/') + 1);
const isHolder = ({ parameters }: TrailEvent, name: string): boolean =>
  [parameters['roleName'], parameters['userName'], parameters['groupName']].includes(name);

const inIam = (resources: readonly string[], did: Question['did']): Question => ({
  lookups: resources.map((resource) => ({ resource })),
  did,
  weWriteToo: true,
});

/** Whose policy changed: the inline one of our name, or one of ours below the path of spilled access. */
const aboutAccess = ({ subject, managed }: Asked): Question => {
  const name = lastPart(subject);
  return inIam([name, ...managed], (event) => {
    const { policyName, policyArn = '' } = event.parameters;
    if (versionWrites.test(event.name)) return managed.includes(policyArn);
    const ours = policyName === accessPolicyName || policyArn.includes(`:policy${grantsPath}`);
    return policyWrites.test(event.name) && isHolder(event, name) && ours;
  });
};

/** Who put it there: on one of our roles (`<role ARN> <policy>`), or a managed policy below our path. */
const aboutLeftover = ({ subject }: Asked): Question => {
  const [holder = '', policy] = subject.split(' ');
  const name = lastPart(holder);
  if (policy === undefined) {
    return inIam(
      [holder, name],
      ({ name: did, parameters: { policyArn, policyName } }) =>
        (policyArn === holder && (policyAdds.test(did) || did === 'CreatePolicyVersion')) ||
        (policyName === name && did === 'CreatePolicy'),
    );
  }
  return inIam([name], (event) => {
    const { policyName, policyArn } = event.parameters;
    const that = policyName === policy || policyArn === policy;
    return policyAdds.test(event.name) && isHolder(event, name) && that;
  });
};

const aboutRole = ({ subject }: Asked): Question => {
  const name = lastPart(subject);
  return inIam([name], (event) => roleWrites.test(event.name) && event.parameters['roleName'] === name);
};

/**
 * Who changed, replaced or deleted a session document, in the history of its own region. AWS documents the shape by a DeleteDocument alone
 * (Systems Manager user guide, Logging API calls with CloudTrail: `requestParameters.name`, the document among the event's resources).
 * Not verified against AWS: that the other three have `name` too, whether it may be an ARN as the API takes, and whether LookupEvents finds
 * them by resource; so they are looked up by operation, and both ways to name it are read. Neither is it verified that UpdateDocument
 * alone never changes what a session uses (AWS changes the default version by the other call), so it counts as well.
 * Curfew writes no session document. If its own role did, somebody else used it, and that is the answer.
 */
const aboutDocument = ({ subject, region }: Asked): Question => {
  const names: unknown[] = [subject, lastPart(subject)];
  return {
    lookups: region === null ? [] : documentWrites.map((operation) => ({ operation, region })),
    did: ({ name, source, parameters }) =>
      documentWrites.includes(name) && source.startsWith('ssm.') && names.includes(parameters['name']),
    weWriteToo: false,
  };
};

const questions: Partial<Record<FindingKind, (asked: Asked) => Question>> = {
  changed_document: aboutAccess,
  leftover_policy: aboutLeftover,
  role_not_ours: aboutRole,
  session_document_changed: aboutDocument,
};

/** Is CloudTrail asked who did it? */
export const hasAuthor = ({ kind, accountId }: { kind: FindingKind; accountId: string | null }): boolean =>
  accountId !== null && questions[kind] !== undefined;

/** What to ask about a finding; null: nobody did it. */
export const questionOf = ({ kind, ...asked }: Asked & { kind: FindingKind }): Question | null =>
  questions[kind]?.(asked) ?? null;
