/**
 * The statements that access policies are made of, and what they may hold. Pure.
 *
 * IAM authorises the instance and the document of one StartSession separately, so a principal carries exactly one session
 * document: the shortest that fits its longest grant (threats AWS-01). Every StartSession and ResumeSession statement
 * carries its own window, so access ends even when Curfew is down (aws-facts 4.1, threats AWS-03).
 */
import { type InstanceRef, instanceRef } from '../../src/shared/access.ts';

/**
 * Whose sessions are one's own. A personal role's bear its fixed role session name (`principal.ts`); those of IAM users are
 * known by the tag that holds the user's id, because `alice-*` would be `alice-bob`'s too (threats AWS-04).
 */
export type Holder = { kind: 'role'; sessionName: string } | { kind: 'user' | 'group' };

/** Where a principal is, and whose its sessions are. */
export type Owner = { partition: string; accountId: string } & Holder;

/** From when until when, as they stand in the conditions: instants, or words for a preview that is never written. */
export type StatementWindow = { from: string; until: string };

type Condition = Record<string, Record<string, string | string[]>>;
export type Statement = {
  Sid?: string;
  Effect: 'Allow';
  Action: string | string[];
  Resource: string | string[];
  Condition?: Condition;
};
export type PolicyDocument = { Version: '2012-10-17'; Statement: Statement[] };

const targetTag = 'ssm:resourceTag/aws:ssmmessages:target-id';
/** `AIDA…` for IAM users: of one length, so no id begins another (aws-facts 4.4). */
const ownTag = { StringLike: { 'ssm:resourceTag/aws:ssmmessages:session-id': '$' + '{aws:userid}*' } };

/** The second lock of RQ-01: whatever slipped through before, no resource of a grant widens by itself. */
const assertExact = (resource: string): string => {
  if (/[*?$]/.test(resource))
    throw new Error(`A resource of an access policy holds a wildcard: ${resource.slice(0, 120)}`);
  return resource;
};

/** @throws Error when a partition, account or session name could widen a document. */
export const checkOwner = (owner: Owner): void => {
  const { partition, accountId } = owner;
  if (!/^aws[a-z-]*$/.test(partition) || !/^\d{12}$/.test(accountId)) throw new Error('Not a partition and an account');
  // No `-`: it is what parts the name from the rest of a session id (threats AWS-04).
  if (owner.kind === 'role' && !/^[a-z0-9.]{2,64}$/.test(owner.sessionName))
    throw new Error('Not a role session name that Curfew made');
};

/** The ARN that IAM judges a start on this instance by. @throws Error when it is not a well-formed one of this account. */
export const instanceArn = ({ partition, accountId }: Owner, ref: InstanceRef): string => {
  const { accountId: account, region, instanceId } = instanceRef.parse(ref);
  if (account !== accountId) throw new Error(`${instanceId} is not in account ${accountId}`);
  const arn = instanceId.startsWith('mi-')
    ? `arn:${partition}:ssm:${region}:${account}:managed-instance/${instanceId}`
    : `arn:${partition}:ec2:${region}:${account}:instance/${instanceId}`;
  return assertExact(arn);
};

export const documentArn = ({ partition, accountId }: Owner, region: string, name: string): string =>
  assertExact(`arn:${partition}:ssm:${region}:${accountId}:document/${name}`);

const ownSessions = (owner: Owner, region: string): string => {
  const sessions = `arn:${owner.partition}:ssm:${region}:${owner.accountId}:session/`;
  return owner.kind === 'role' ? `${sessions}${owner.sessionName}-*` : `${sessions}*`;
};

/** What a principal needs besides its grants; once in all its documents. */
export const baseStatements = (owner: Owner): Statement[] => [
  // SAR lists no resource types for OpenDataChannel, so only `*` matches (aws-facts 4.2); the session's token limits it.
  { Sid: 'OpenOwnChannel', Effect: 'Allow', Action: 'ssmmessages:OpenDataChannel', Resource: '*' },
  {
    Sid: 'EndOwnSessions',
    Effect: 'Allow',
    Action: 'ssm:TerminateSession',
    Resource: ownSessions(owner, '*'),
    ...(owner.kind === 'role' ? {} : { Condition: ownTag }),
  },
];

const dates = ({ from, until }: StatementWindow): Condition => ({
  DateGreaterThanEquals: { 'aws:CurrentTime': from },
  DateLessThan: { 'aws:CurrentTime': until },
});

/** Starting on these instances and documents, by their ARNs, in this window. */
export const startStatement = (window: StatementWindow, resources: string[]): Statement => ({
  Effect: 'Allow',
  Action: ['ssm:StartSession', 'ssm:GetConnectionStatus'],
  Resource: resources,
  Condition: { BoolIfExists: { 'ssm:SessionDocumentAccessCheck': 'true' }, ...dates(window) },
});

/** Which of one's own sessions may be resumed: those on these instances, or all but those on these. */
export type ResumeTargets = { only: string[] } | { allBut: string[] };

const targetConditions = (targets: ResumeTargets): Condition => {
  if ('only' in targets) return { StringEquals: { [targetTag]: targets.only } };
  // A negated test holds for a session without the tag too, which the second condition keeps out.
  return targets.allBut.length === 0
    ? {}
    : { StringNotEquals: { [targetTag]: targets.allBut }, Null: { [targetTag]: 'false' } };
};

/** Resuming one's own sessions in these regions in this window. */
export const resumeStatement = (
  owner: Owner,
  { window, regions, targets }: { window: StatementWindow; regions: readonly string[]; targets: ResumeTargets },
): Statement => ({
  Effect: 'Allow',
  Action: 'ssm:ResumeSession',
  // A wildcard outside the base, but only for what bears the person's own fixed name (checked above) or own id.
  Resource: regions.map((region) => ownSessions(owner, region)),
  Condition: { ...(owner.kind === 'role' ? {} : ownTag), ...targetConditions(targets), ...dates(window) },
});
