/**
 * The access policy compiler (design 6): all live grants of one principal in one IAM document. Pure.
 *
 * IAM authorises the instance and the document of one StartSession separately, so a principal carries exactly one session
 * document: the shortest that fits its longest grant (threats AWS-01). Every StartSession and ResumeSession statement
 * carries its own end, so access ends even when Curfew is down (aws-facts 4.1, threats AWS-03).
 */
import { type InstanceRef, instanceRef } from '../../src/shared/access.ts';

/** Characters that IAM allows in all inline policies of a role together, white space not counted (aws-facts 5). */
export const roleInlineLimit = 10_240;

/** Lengths of the session documents that `deploy/` makes in every region, minutes. */
export const documentMinutes = [15, 30, 60, 120, 240, 480, 720] as const;

/** What a principal's grants look like to the compiler. Both instants are cut to whole seconds, as IAM compares them. */
export type CompiledGrant = { id: string; instances: InstanceRef[]; notBefore: Date; endsAt: Date };

/** Whose document it is. The session name is the fixed role session name of `principal.ts`. */
export type PolicyCarrier = { partition: string; accountId: string; sessionName: string };

/** From when until when, as they stand in the conditions: instants, or words for a preview that is never written. */
export type StatementWindow = { from: string; until: string };

/** One grant with the texts of its window; compiled documents and previews are built from these. */
export type StatementGrant = { id: string; instances: InstanceRef[]; window: StatementWindow; seconds: number };

type Condition = Record<string, Record<string, string | string[]>>;
export type Statement = {
  Sid?: string;
  Effect: 'Allow';
  Action: string | string[];
  Resource: string | string[];
  Condition?: Condition;
};
export type PolicyDocument = { Version: '2012-10-17'; Statement: Statement[] };

export type CompiledPolicy = {
  /** Minified JSON; null when no grant is left: then the principal carries no access policy at all. */
  document: string | null;
  /** Characters as IAM counts them. */
  characters: number;
  limit: number;
};

/**
 * The session document for a grant of this many seconds: the shortest that is not shorter. `Curfew-Shell-060`.
 * @throws when it is longer than the longest document; limits.ts never lets it come to that.
 */
export const documentNameFor = (seconds: number): string => {
  const minutes = documentMinutes.find((length) => seconds <= length * 60);
  if (minutes === undefined) throw new Error(`No session document is as long as ${seconds} s`);
  return `Curfew-Shell-${String(minutes).padStart(3, '0')}`;
};

const secondsOf = (grant: Pick<CompiledGrant, 'notBefore' | 'endsAt'>): number =>
  Math.ceil((grant.endsAt.getTime() - grant.notBefore.getTime()) / 1000);

/**
 * The one session document of a principal: what `StartSession` must name while exactly these grants live.
 * @throws when there is no grant.
 */
export const sessionDocumentFor = (grants: ReadonlyArray<Pick<CompiledGrant, 'notBefore' | 'endsAt'>>): string => {
  if (grants.length === 0) throw new Error('A principal without a grant has no session document');
  return documentNameFor(Math.max(...grants.map(secondsOf)));
};

/** An instant as IAM reads it: whole seconds, rounded down, so the end is never late. */
export const policyInstant = (at: Date): string => `${at.toISOString().slice(0, 19)}Z`;

const instanceArn = (partition: string, { accountId, region, instanceId }: InstanceRef): string =>
  instanceId.startsWith('mi-')
    ? `arn:${partition}:ssm:${region}:${accountId}:managed-instance/${instanceId}`
    : `arn:${partition}:ec2:${region}:${accountId}:instance/${instanceId}`;

const unique = (texts: Iterable<string>): string[] => [...new Set(texts)].sort();

const oneOrMany = (texts: string[]): string | string[] => {
  const [first] = texts;
  return texts.length === 1 && first !== undefined ? first : texts;
};

const baseStatements = ({ partition, accountId, sessionName }: PolicyCarrier): Statement[] => [
  // SAR lists no resource types for OpenDataChannel, so only `*` matches (aws-facts 4.2); the session's token limits it.
  { Sid: 'OpenOwnChannel', Effect: 'Allow', Action: 'ssmmessages:OpenDataChannel', Resource: '*' },
  {
    Sid: 'EndOwnSessions',
    Effect: 'Allow',
    Action: 'ssm:TerminateSession',
    Resource: `arn:${partition}:ssm:*:${accountId}:session/${sessionName}-*`,
  },
];

const checkCarrier = ({ partition, accountId, sessionName }: PolicyCarrier): void => {
  if (!/^aws[a-z-]*$/.test(partition) || !/^\d{12}$/.test(accountId)) throw new Error('Not a partition and an account');
  // No `-`: it is what parts the name from the rest of a session id (threats AWS-04).
  if (!/^[a-z0-9.]{2,64}$/.test(sessionName)) throw new Error('Not a role session name that Curfew made');
};

/** The second lock of RQ-01: whatever slipped through before, no resource of a grant widens by itself. */
const assertExact = (resource: string): string => {
  if (/[*?$]/.test(resource))
    throw new Error(`A resource of an access policy holds a wildcard: ${resource.slice(0, 120)}`);
  return resource;
};

const windowStatements = (
  carrier: PolicyCarrier,
  window: StatementWindow,
  instances: InstanceRef[],
  documentName: string,
): Statement[] => {
  const { partition, accountId, sessionName } = carrier;
  const regions = unique(instances.map(({ region }) => region));
  const targets = unique(instances.map((ref) => instanceArn(partition, ref)));
  const documents = regions.map((region) => `arn:${partition}:ssm:${region}:${accountId}:document/${documentName}`);
  const dates: Condition = {
    DateGreaterThanEquals: { 'aws:CurrentTime': window.from },
    DateLessThan: { 'aws:CurrentTime': window.until },
  };
  return [
    {
      Effect: 'Allow',
      Action: ['ssm:StartSession', 'ssm:GetConnectionStatus'],
      Resource: [...targets, ...documents].map(assertExact),
      Condition: { BoolIfExists: { 'ssm:SessionDocumentAccessCheck': 'true' }, ...dates },
    },
    {
      Effect: 'Allow',
      Action: 'ssm:ResumeSession',
      // The one wildcard outside the base: sessions that bear the person's own fixed name, checked above.
      Resource: oneOrMany(
        regions.map(
          (region) => `${assertExact(`arn:${partition}:ssm:${region}:${accountId}:session/${sessionName}`)}-*`,
        ),
      ),
      Condition: {
        StringEquals: {
          'ssm:resourceTag/aws:ssmmessages:target-id': oneOrMany(unique(instances.map(({ instanceId }) => instanceId))),
        },
        ...dates,
      },
    },
  ];
};

const byText = (a: string, b: string): number => (a < b ? -1 : Number(a > b));

/**
 * The document of these grants as an object, or null without any. Grants with the same window share their statements;
 * the order depends on the content only, so the same grants give the same bytes.
 * @throws when an instance is not of this account, or an id or a name could widen the document.
 */
export const buildDocument = (carrier: PolicyCarrier, grants: readonly StatementGrant[]): PolicyDocument | null => {
  checkCarrier(carrier);
  if (grants.length === 0) return null;
  const documentName = documentNameFor(Math.max(...grants.map(({ seconds }) => seconds)));
  const groups = new Map<string, { window: StatementWindow; instances: InstanceRef[] }>();
  for (const { window, instances } of grants) {
    const key = `${window.until} ${window.from}`;
    const group = groups.get(key) ?? { window, instances: [] };
    for (const ref of instances) {
      const exact = instanceRef.parse(ref);
      if (exact.accountId !== carrier.accountId)
        throw new Error(`${exact.instanceId} is not in account ${carrier.accountId}`);
      group.instances.push(exact);
    }
    groups.set(key, group);
  }
  const ordered = [...groups].sort(([a], [b]) => byText(a, b)).map(([, group]) => group);
  return {
    Version: '2012-10-17',
    Statement: [
      // What a yes is about comes first: an approver reads the change from the top.
      ...ordered.flatMap((group) => windowStatements(carrier, group.window, group.instances, documentName)),
      ...baseStatements(carrier),
    ],
  };
};

/** Characters as IAM counts them: without white space. */
export const countCharacters = (document: string | null): number => document?.replaceAll(/\s/g, '').length ?? 0;

/** A grant with its window as it stands in the document. */
export const statementGrant = (grant: CompiledGrant): StatementGrant => ({
  id: grant.id,
  instances: grant.instances,
  window: { from: policyInstant(grant.notBefore), until: policyInstant(grant.endsAt) },
  seconds: secondsOf(grant),
});

/**
 * Compiles all live grants of one principal. The caller leaves out what has ended; nothing is filtered by time here.
 * A document over the limit is returned as it is: whoever asks (a request, the reconciler) refuses in its own words.
 * @throws when an instance is not of this account, or a resource would hold a wildcard (threats RQ-01).
 */
export const compileAccessPolicy = (input: PolicyCarrier & { grants: readonly CompiledGrant[] }): CompiledPolicy => {
  const built = buildDocument(input, input.grants.map(statementGrant));
  const document = built === null ? null : JSON.stringify(built);
  return { document, characters: countCharacters(document), limit: roleInlineLimit };
};
