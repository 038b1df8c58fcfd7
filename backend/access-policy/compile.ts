/**
 * The access policy compiler (design 6, decision 8): all live grants of one principal in as few documents as possible. Pure.
 *
 * Statements are grouped by end. What is always so: a start is allowed exactly where and while a live grant allows it, and a
 * session is never resumed where or when none does. How long a session can be resumed depends on the room (`PolicyForm`).
 */
import type { InstanceRef } from '../../src/shared/access.ts';
import { type Costs, type Piece, place, type Slot, type Unit } from './place.ts';
import {
  baseStatements,
  checkOwner,
  documentArn,
  instanceArn,
  type Owner,
  type PolicyDocument,
  resumeStatement,
  type Statement,
  type StatementWindow,
  startStatement,
} from './statements.ts';

/** Characters that IAM allows in all inline policies together, white space not counted (aws-facts 5). */
export const inlineLimits = { role: 10_240, user: 2048, group: 5120 } as const;
/** Characters of one managed policy. */
const managedLimit = 6144;

/** Lengths of the session documents that `deploy/` makes in every region, minutes. */
export const documentMinutes = [15, 30, 60, 120, 240, 480, 720] as const;

/**
 * The session document for a grant of this many seconds: the shortest that is not shorter. `Curfew-Shell-060`.
 * @throws when it is longer than the longest document; limits.ts never lets it come to that.
 */
export const documentNameFor = (seconds: number): string => {
  const minutes = documentMinutes.find((length) => seconds <= length * 60);
  if (minutes === undefined) throw new Error(`No session document is as long as ${seconds} s`);
  return `Curfew-Shell-${String(minutes).padStart(3, '0')}`;
};

/** An instant as IAM reads it: whole seconds, rounded down, so the end is never late. */
export const policyInstant = (at: Date): string => `${at.toISOString().slice(0, 19)}Z`;

/** What a principal's grants look like to the compiler. Both instants are cut to whole seconds, as IAM compares them. */
export type CompiledGrant = { id: string; instances: InstanceRef[]; notBefore: Date; endsAt: Date };

/**
 * Whose documents they are and where they may hang: inline, or in managed policies from the start. `managedPolicies`: how
 * many of those Curfew may attach, 0 to 10; for `inline` they take what has no room inline.
 */
export type PolicyCarrier = Owner & { carrier: 'inline' | 'managed'; managedPolicies: number };

/** A carrier of the default kind: one inline document on a personal role. */
export const personalCarrier = (role: {
  partition: string;
  accountId: string;
  sessionName: string;
}): Extract<PolicyCarrier, { kind: 'role' }> => ({ ...role, kind: 'role', carrier: 'inline', managedPolicies: 0 });

/** One grant with the texts of its window; compiled documents and previews are built from these. */
export type StatementGrant = {
  id: string;
  instances: InstanceRef[];
  window: StatementWindow;
  seconds: number;
  /** False for a preview, whose window cannot be compared with instants. */
  dated: boolean;
};

/**
 * How sessions may be resumed. `exact`: each as long as its instance is granted. `first-end`: all of one's own until the first
 * of the instances is granted no more (then it is compiled anew; with the backend away nobody resumes past it). `none`: not at
 * all. The next form is taken only when there is no room for the one before; starting is exact in all of them.
 */
export type PolicyForm = 'exact' | 'first-end' | 'none';
const forms: readonly PolicyForm[] = ['exact', 'first-end', 'none'];

/** One document as minified JSON. Slot 0 is the inline policy, 1 and up are the managed policies by number. */
export type SlotDocument = { slot: number; document: string };

export type CompiledPolicy = {
  /** By slot; empty when no grant is left: then the principal carries no access policy at all. */
  documents: SlotDocument[];
  /** Characters as IAM counts them, of all documents. */
  characters: number;
  /** Characters that all documents together may have. */
  limit: number;
  form: PolicyForm;
  /** False: no form has room. Then `documents` is empty, and `characters` what the shortest form would need. */
  fits: boolean;
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

const byText = (a: string, b: string): number => (a < b ? -1 : Number(a > b));
const unique = (texts: Iterable<string>): string[] => [...new Set(texts)].sort(byText);

/**
 * Each instance once, in the window that ends last: while documents are compiled all their grants have begun, so that one
 * covers the others. The latest window comes first.
 */
const unitsOf = (owner: Owner, grants: readonly StatementGrant[]): Unit[] => {
  const units = new Map<string, Unit>();
  for (const { window, instances, dated } of grants) {
    for (const ref of instances) {
      const arn = instanceArn(owner, ref);
      const key = dated ? arn : `${arn} ${window.until}`;
      const known = units.get(key)?.window;
      const wins =
        known === undefined || known.until < window.until || (known.until === window.until && window.from < known.from);
      if (wins) units.set(key, { arn, instanceId: ref.instanceId, region: ref.region, window });
    }
  }
  return [...units.values()].sort((a, b) => byText(b.window.until, a.window.until) || byText(a.arn, b.arn));
};

/** Characters of a statement and its comma. */
const lengthOf = (statement: Statement): number => JSON.stringify(statement).length + 1;
const entry = (text: string): number => text.length + 3;

/** What is the same for all documents of one compilation. */
type Plan = {
  owner: Owner;
  form: PolicyForm;
  units: Unit[];
  /** ARNs of the session document, one a region. */
  sessionDocuments: string[];
  /** Instances whose grants have ended, with sessions that may not be gone yet; what is granted again is not among them. */
  past: string[];
};

const firstEnd = ({ owner, units, past }: Plan): Statement =>
  resumeStatement(owner, {
    window: {
      from: units.map(({ window }) => window.from).reduce((a, b) => (a < b ? b : a)),
      until: units.map(({ window }) => window.until).reduce((a, b) => (a < b ? a : b)),
    },
    regions: unique(units.map(({ region }) => region)),
    targets: { allBut: past },
  });

/** What stands once in all documents, in the first of them. */
const sharedStatements = (plan: Plan): Statement[] => [
  ...(plan.form === 'first-end' ? [firstEnd(plan)] : []),
  ...baseStatements(plan.owner),
];

const exactResume = (owner: Owner, { window, units }: Piece): Statement =>
  resumeStatement(owner, {
    window,
    regions: unique(units.map(({ region }) => region)),
    targets: { only: unique(units.map(({ instanceId }) => instanceId)) },
  });

const costsOf = ({ owner, form, sessionDocuments }: Plan): Costs => {
  const exact = form === 'exact';
  return {
    piece: (window) =>
      lengthOf(startStatement(window, [])) + (exact ? lengthOf(exactResume(owner, { window, units: [] })) : 0),
    unit: ({ arn, instanceId }) => entry(arn) + (exact ? entry(instanceId) : 0),
    region: (region) => {
      if (!exact) return 0;
      const with1 = resumeStatement(owner, {
        window: { from: '', until: '' },
        regions: [region],
        targets: { only: [] },
      });
      const with0 = resumeStatement(owner, { window: { from: '', until: '' }, regions: [], targets: { only: [] } });
      return lengthOf(with1) - lengthOf(with0) + 1;
    },
    first: sessionDocuments.reduce((sum, arn) => sum + entry(arn), 0),
  };
};

const emptyDocument = JSON.stringify({ Version: '2012-10-17', Statement: [] }).length;

const pieceStatements = ({ owner, form, units, sessionDocuments }: Plan, piece: Piece): Statement[] => {
  const documents = units[0] !== undefined && piece.units.includes(units[0]) ? sessionDocuments : [];
  const start = startStatement(piece.window, [...piece.units.map(({ arn }) => arn), ...documents]);
  return form === 'exact' ? [start, exactResume(owner, piece)] : [start];
};

/** What each document has room for besides what stands in it in any case. */
const roomsOf = (plan: Plan, slots: readonly Slot[]): Slot[] => {
  const sharedLength = sharedStatements(plan).reduce((sum, statement) => sum + lengthOf(statement), 0);
  return slots.map(({ index, room }, at) => ({ index, room: room - emptyDocument - (at === 0 ? sharedLength : 0) }));
};

/** @param slots with the characters that their documents may have. @returns null when there is no room. */
const fill = (plan: Plan, slots: readonly Slot[]): Array<{ slot: number; document: PolicyDocument }> | null => {
  const shared = sharedStatements(plan);
  const rooms = roomsOf(plan, slots);
  const costs = costsOf(plan);
  const windows = new Map(plan.units.map(({ window }) => [window.until, window]));
  const least =
    plan.units.reduce((sum, unit) => sum + costs.unit(unit), costs.first) +
    [...windows.values()].reduce((sum, window) => sum + costs.piece(window), 0);
  if (least > rooms.reduce((sum, { room }) => sum + room, 0)) return null;
  const pieces = place(plan.units, rooms, costs);
  if (pieces === null) return null;
  return slots.flatMap(({ index }, at) => {
    // What a yes is about comes first, what ends first at the top: an approver reads from there.
    const ordered = (pieces.get(index) ?? []).toSorted((a, b) => byText(a.window.until, b.window.until));
    const Statement = [...ordered.flatMap((piece) => pieceStatements(plan, piece)), ...(at === 0 ? shared : [])];
    return Statement.length === 0 ? [] : [{ slot: index, document: { Version: '2012-10-17', Statement } }];
  });
};

/** All slots that a carrier may fill, in the order in which they are taken into use. */
const slotsOf = ({ kind, carrier, managedPolicies }: PolicyCarrier): Slot[] => [
  ...(carrier === 'inline' ? [{ index: 0, room: inlineLimits[kind] }] : []),
  ...Array.from({ length: managedPolicies }, (_, at) => ({ index: at + 1, room: managedLimit })),
];

const planOf = (
  carrier: PolicyCarrier,
  grants: readonly StatementGrant[],
  past: readonly InstanceRef[],
): Omit<Plan, 'form'> => {
  checkOwner(carrier);
  const units = unitsOf(carrier, grants);
  const granted = new Set(units.map(({ arn }) => arn));
  const documentName = documentNameFor(Math.max(0, ...grants.map(({ seconds }) => seconds)));
  return {
    owner: carrier,
    units,
    sessionDocuments: unique(units.map(({ region }) => region)).map((region) =>
      documentArn(carrier, region, documentName),
    ),
    past: unique(past.flatMap((ref) => (granted.has(instanceArn(carrier, ref)) ? [] : [ref.instanceId]))),
  };
};

export type BuiltPolicy = {
  documents: Array<{ slot: number; document: PolicyDocument }>;
  form: PolicyForm;
  fits: boolean;
};

/**
 * The documents of these grants as objects; without grants there are none. What has no room at all comes as one document in
 * the shortest form, with `fits` false.
 * @param past instances of grants that have ended, whose sessions may not all be gone (they are not to be resumed).
 * @throws when an instance is not of this account, or an id or a name could widen a document (threats RQ-01).
 */
export const buildDocuments = (
  carrier: PolicyCarrier,
  grants: readonly StatementGrant[],
  past: readonly InstanceRef[] = [],
): BuiltPolicy => {
  const plan = planOf(carrier, grants, past);
  if (plan.units.length === 0) return { documents: [], form: 'exact', fits: true };
  const slots = slotsOf(carrier);
  for (const form of forms) {
    for (let count = 1; count <= slots.length; count += 1) {
      const documents = fill({ ...plan, form }, slots.slice(0, count));
      if (documents !== null) return { documents, form, fits: true };
    }
  }
  const all = fill({ ...plan, form: 'none' }, [{ index: slots[0]?.index ?? 0, room: Number.POSITIVE_INFINITY }]);
  return { documents: all ?? [], form: 'none', fits: false };
};

/** What instances and windows take up at least, in the form that needs the fewest characters. */
export type LeastNeeds = {
  /** Characters of all documents together, and of each, without what stands in it in any case. */
  limit: number;
  rooms: number[];
  /** Of all these instances together, each once, and of the session documents that stand with the first of them. */
  entries: number;
  sessionDocuments: number;
  /** Of one window's statement without entries. */
  window: number;
  /** Of one instance: the longest of these, and one more in the region of the first (without the session document there). */
  entry: { widest: number; oneMore: number };
};

/**
 * What room is measured by (`headroom.ts`). Texts of windows and names of session documents are of one length each, so it is
 * the same whenever grants begin and end.
 * @throws when an instance is not of this account (threats RQ-01).
 */
export const leastNeeds = (carrier: PolicyCarrier, instances: readonly InstanceRef[]): LeastNeeds => {
  const epoch = policyInstant(new Date(0));
  const window = { from: epoch, until: epoch };
  const measured = { id: 'measured', instances: [...instances], window, seconds: 0, dated: true };
  const plan: Plan = { ...planOf(carrier, [measured], []), form: 'none' };
  const costs = costsOf(plan);
  const entries = plan.units.map(costs.unit);
  const region = instances[0]?.region ?? 'eu-central-1';
  const instanceId = 'i-00000000000000000';
  const arn = instanceArn(carrier, { accountId: carrier.accountId, region, instanceId });
  return {
    limit: slotsOf(carrier).reduce((sum, { room }) => sum + room, 0),
    rooms: roomsOf(plan, slotsOf(carrier)).map(({ room }) => room),
    entries: entries.reduce((sum, characters) => sum + characters, 0),
    sessionDocuments: costs.first,
    window: costs.piece(window),
    entry: { widest: Math.max(0, ...entries), oneMore: costs.unit({ arn, instanceId, region, window }) },
  };
};

/** Characters as IAM counts them: without white space. */
const countCharacters = (document: string): number => document.replaceAll(/\s/g, '').length;

/** A grant with its window as it stands in the document. */
export const statementGrant = (grant: CompiledGrant): StatementGrant => ({
  id: grant.id,
  instances: grant.instances,
  window: { from: policyInstant(grant.notBefore), until: policyInstant(grant.endsAt) },
  seconds: secondsOf(grant),
  dated: true,
});

/**
 * Compiles all live grants of one principal. The caller leaves out what has ended; nothing is filtered by time here. What
 * does not fit is said, not thrown: whoever asks (a request, the reconciler) refuses in its own words.
 * @throws when an instance is not of this account, or a resource would hold a wildcard (threats RQ-01).
 */
export const compileAccessPolicy = (
  input: PolicyCarrier & { grants: readonly CompiledGrant[]; past?: readonly InstanceRef[] },
): CompiledPolicy => {
  const { documents, form, fits } = buildDocuments(input, input.grants.map(statementGrant), input.past);
  const written = documents.map(({ slot, document }) => ({ slot, document: JSON.stringify(document) }));
  return {
    documents: fits ? written : [],
    characters: written.reduce((sum, { document }) => sum + countCharacters(document), 0),
    limit: slotsOf(input).reduce((sum, { room }) => sum + room, 0),
    form,
    fits,
  };
};
