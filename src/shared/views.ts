/** What the backend answers, made for drawing: composed of the nouns of access.ts. */
import { z } from 'zod';
import {
  type AccessRequest,
  accountId,
  type Because,
  type DecidedBy,
  durationSeconds,
  type Grant,
  type Instance,
  type InstanceRef,
  type Instant,
  instanceRef,
  instant,
  type Notice,
  type Person,
  regionName,
  requestId,
  type TagChange,
} from './access.ts';
import type { GroupReach } from './group-reach.ts';
import type { KillSwitch } from './kill-switch.ts';
import { commentText, reasonText } from './text.ts';

/** Where the backend's tRPC endpoint is, below its origin. */
export const apiPath = '/trpc';

export type SignInWith = 'identity-center' | 'aws-profile';

/** Public facts before sign-in. */
export type BackendInfo = {
  version: string;
  serverTime: Instant;
  organisationName: string;
  /** Permission set whose role credentials sign the proof (`CurfewUser`) and the accounts that may vouch. */
  requesterPermissionSet: string;
  signInAccounts: string[];
  stsRegion: string;
  deviceCodeAllowed: boolean;
  /** How people prove who they are: in the browser, or (shops without Identity Center) with the credentials of an AWS profile. */
  signInWith: SignInWith;
};

export type PersonalRole =
  | { accountId: string; accountName: string; state: 'ready'; roleArn: string }
  | { accountId: string; accountName: string; state: 'missing' | 'not-ours'; advice: string };

export type Me = {
  person: Person;
  /** Names of the Identity Center groups that the rules see. */
  groups: string[];
  isAdmin: boolean;
  mayApproveSomething: boolean;
  roles: PersonalRole[];
  tokenExpiresAt: Instant;
};

export type InventoryHealth = {
  refreshedAt: Instant | null;
  places: Array<{
    accountId: string;
    accountName: string;
    region: string;
    state: 'ok' | 'failed' | 'never';
    checkedAt: Instant | null;
    problem: string | null;
  }>;
};

/** How long IAM takes to spread a write in an account: median of what was measured, and how many measurements. */
export type SpreadingTime = { accountId: string; medianMs: number; samples: number };

/** All the app needs for tray, badge, countdowns and lists: fetched whole after every change. */
/** A sign-in that stands: a bearer token, known by its times alone. */
export type StandingSignIn = { since: Instant; until: Instant };

export type Overview = {
  serverTime: Instant;
  me: Me;
  /** Mine: all waiting, and those of the last 30 days, newest first (100 at most). */
  requests: AccessRequest[];
  /** Mine: all live, and those that ended in the last 7 days. */
  grants: Grant[];
  /** Waiting requests that I may decide, oldest first. */
  toDecide: AccessRequest[];
  /** Requests I could have decided and that were decided in the last 24 h, newest first. */
  decided: AccessRequest[];
  notices: Notice[];
  inventory: InventoryHealth;
  /** Of the accounts in which I have live access. */
  spreading: SpreadingTime[];
  /** Kill switches that are on: all of them for admins, for others those that stop them. */
  switches?: KillSwitch[];
  /** My sign-ins that stand besides the one that asks, newest first: other computers of mine, or whoever has a token of mine. */
  otherSignIns?: StandingSignIn[];
};

export const instanceQuery = z.strictObject({
  search: z.string().max(200).default(''),
  accounts: z.array(accountId).max(50).default([]),
  regions: z.array(regionName).max(50).default([]),
  /** Tag filters: any of the values of each key. Keys and values as AWS allows them (128 and 256 characters). */
  tags: z.record(z.string().max(128), z.array(z.string().max(256)).max(20)).default({}),
  onlineOnly: z.boolean().default(false),
  sort: z.enum(['name', '-name']).default('name'),
  cursor: z.string().max(2000).nullable().default(null),
  limit: z.int().min(1).max(200).default(100),
});
export type InstanceQuery = z.infer<typeof instanceQuery>;

export type InstancePage = {
  items: Instance[];
  nextCursor: string | null;
  /** How many match, and how many this person may ask for at all. */
  matching: number;
  askable: number;
  /** Values to filter by, over all that this person may ask for. */
  facets: {
    accounts: Array<{ accountId: string; accountName: string }>;
    regions: string[];
    tags: Record<string, string[]>;
  };
};

/** What the rules say about one instance for the given draft. */
export type Verdict =
  | { kind: 'at-once'; ruleId: string; advice: string | null }
  | {
      kind: 'person';
      ruleId: string;
      approvalsNeeded: number;
      approvers: Person[];
      advice: string | null;
      /** Why, though a rule would give it at once; missing: none would. */
      because?: Because[];
    }
  | { kind: 'no'; ruleId: string | null; advice: string };

/** A kill switch, or a database that was set back, keeps these instances from being given now. */
export type Paused = {
  /** Who stopped what, and why: a sentence. */
  message: string;
  /** Null: nobody, the backend by itself. */
  by: string | null;
  at: Instant;
  /** Those of the draft that it holds. */
  instances: InstanceRef[];
};

export type Preview = {
  /** The draft as a whole: the strictest of the instances. */
  verdict: Verdict;
  perInstance: Array<{ instance: InstanceRef; verdict: Verdict }>;
  /** The nearest that would be given at once or at all, when the draft as it stands is not. */
  nearest: { durationSeconds: number; kind: 'at-once' | 'person' } | null;
  /** Longest duration that any rule gives for these instances, seconds. */
  longestSeconds: number;
  roleMissing: PersonalRole[];
  /** IAM groups whose members would all get it (threats RQ-20); empty but where groups are configured. */
  wider: GroupReach[];
  /** Missing: nothing is stopped, or the backend is of the version before. */
  paused?: Paused;
};

export type DocumentLine = { change: 'same' | 'added' | 'removed'; text: string };

/** The exact access policy change a yes would make, per account. */
export type PolicyChange = {
  accountId: string;
  accountName: string;
  principal: string;
  /** Plain words: what becomes possible, and what still is not. */
  allows: string[];
  stillNot: string[];
  diff: DocumentLine[];
  whole: string;
  /** Characters without white space: now, after the yes, and IAM's limit. */
  room: { now: number; after: number; limit: number; moreInstances: number };
};

export type RequestCard = {
  request: AccessRequest;
  /** SHA-256 (hex) over what is shown; `decide` must carry it (threats RQ-10). */
  seenHash: string;
  /** IAM groups whose members all get it with a yes (threats RQ-20). */
  wider: GroupReach[];
  /** Tags that rules trust and that changed in the last 24 h, of the request's instances (threats RQ-07); missing: none. */
  tagChanges?: Array<{ instance: InstanceRef; name: string; changes: TagChange[] }>;
  change: PolicyChange[];
  why: { ruleId: string; text: string; approvers: Person[]; approvalsNeeded: number };
  /** What the requester asked of these instances in 30 days: all of it for who may decide, else what the caller sees of it. */
  history: {
    asked: number;
    approved: number;
    denied: number;
    lastAt: Instant | null;
    usedSeconds: number;
    endedEarly: number;
  };
  /** What the requester has, while the request waits: all of it for who may decide, else what the caller sees of it. */
  hasNow: Grant[];
  /** When the caller said yes to something that has changed since, so that it counts no more; missing: they did not. */
  changedSinceYes?: Instant;
  /** May the caller decide it now, and if not, why. */
  mayDecide: { yes: true } | { yes: false; why: string };
};

export const decideInput = z.discriminatedUnion('verdict', [
  z.strictObject({
    requestId,
    seenHash: z.string().regex(/^[0-9a-f]{64}$/),
    verdict: z.literal('yes'),
    /** Null: all that was asked. */
    less: z.strictObject({ instances: z.array(instanceRef).min(1).max(20), durationSeconds }).nullable(),
    comment: commentText.nullable(),
  }),
  z.strictObject({
    requestId,
    seenHash: z.string().regex(/^[0-9a-f]{64}$/),
    verdict: z.literal('no'),
    comment: commentText.refine((text) => text.length > 0, { message: 'is empty: say why not' }),
  }),
]);
export type DecideInput = z.infer<typeof decideInput>;

export type ExtendOutcome =
  | { kind: 'extended'; grant: Grant; by: DecidedBy }
  | { kind: 'asked'; request: AccessRequest };

export const auditQuery = z.strictObject({
  search: z.string().max(200).default(''),
  kinds: z.array(z.string().max(60)).max(40).default([]),
  person: z.string().max(60).nullable().default(null),
  from: instant.nullable().default(null),
  until: instant.nullable().default(null),
  /** Rows with a sequence number below this one, newest first. */
  before: z.int().positive().nullable().default(null),
  limit: z.int().min(1).max(200).default(50),
});
export type AuditQuery = z.infer<typeof auditQuery>;

/** One audit event as it is drawn; `sentence` is made by the backend from the event. */
export type AuditRow = {
  sequence: number;
  at: Instant;
  kind: string;
  actor: string;
  sentence: string;
  requestId: string | null;
  grantId: string | null;
  instances: string[];
  hash: string;
};

export type ChainState = {
  /** Rows that were verified. */
  rows: number;
  head: string;
  headAt: Instant | null;
  /** Rows after those that the backend has not come to yet, for a while after its start; missing: none. */
  unchecked?: number;
  verified: { ok: true; at: Instant } | { ok: false; at: Instant; sequence: number; what: string };
};

export type AuditPage = { rows: AuditRow[]; nextBefore: number | null; chain: ChainState };

export const exportWish = z.strictObject({ format: z.enum(['jsonl', 'csv']), requestId: requestId.nullable() });
export type ExportWish = z.infer<typeof exportWish>;

/** Where an export goes on. */
export const exportCursor = z.strictObject({
  part: z.enum(['rows', 'heads']),
  /** The last row of the export, by its sequence number, and how many rows it has. */
  to: z.int().min(0),
  rows: z.int().min(0),
  /** What comes next follows this sequence number. */
  after: z.int().min(0),
});
export type ExportCursor = z.infer<typeof exportCursor>;

/** One part of an export's text; `rows` are in it `of` all that will be. */
export type ExportPart = { text: string; rows: number; of: number; next: ExportCursor | null };

/** One request from asking to receipt. */
export type Story = { request: AccessRequest; grants: Grant[]; rows: AuditRow[] };

/** Sent over the event stream: no content, only what to fetch again. */
export type ChangeEvent = { topic: 'requests' | 'grants' | 'notices' | 'inventory' | 'me'; id: string | null };

/** What the sweep and the reconciler find that no row explains, or that takes longer than it should. */
export const findingKinds = [
  'leftover_policy',
  'changed_document',
  'role_not_ours',
  'session_without_grant',
  'session_outside_app',
  'bypass',
  'session_document_changed',
  'leaver_role',
  'slow_ending',
  'clock_skew',
] as const;
export const findingKind = z.enum(findingKinds);
export type FindingKind = z.infer<typeof findingKind>;

const findingId = z.string().regex(/^fnd_[a-z2-7]{26}$/);

/** An admin wants the session that a finding is about to be ended (threats AWS-02). */
export const endFoundInput = z.strictObject({ findingId, reason: reasonText });
export type EndFoundInput = z.infer<typeof endFoundInput>;

/** How far that is: asked for by whom and why, when AWS took it, or why Curfew gave it up. */
const foundEnding = z.strictObject({
  by: z.string(),
  at: instant,
  reason: z.string(),
  terminatedAt: instant.nullable(),
  problem: z.string().nullable(),
});

/** Who did it, by CloudTrail: known; not yet (it comes minutes late); kept from us; or never told within an hour. */
const foundAuthor = z.discriminatedUnion('kind', [
  /** `who`: an ARN as a rule; `did`: the call; `from`: an address. */
  z.strictObject({
    kind: z.literal('known'),
    who: z.string(),
    at: instant,
    from: z.string().nullable(),
    did: z.string(),
  }),
  z.strictObject({ kind: z.enum(['waiting', 'refused', 'unknown']) }),
]);
export type FoundAuthor = z.infer<typeof foundAuthor>;

/** One thing for admins: open until it is mended, kept afterwards. */
export const finding = z.strictObject({
  id: z.string(),
  kind: findingKind,
  /** Null: of the installation, not of one account. */
  accountId: accountId.nullable(),
  accountName: z.string().nullable(),
  region: regionName.nullable(),
  /** An ARN or a session id. */
  subject: z.string().min(1).max(300),
  /** A sentence: what was found, and what Curfew did about it. */
  what: z.string(),
  advice: z.string(),
  since: instant,
  lastSeen: instant,
  mendedAt: instant.nullable(),
  /** Missing: nobody asked, or the backend is of the version before. */
  ending: foundEnding.optional(),
  /** Missing: CloudTrail was not asked. */
  author: foundAuthor.optional(),
});
export type Finding = z.infer<typeof finding>;

/** How the backends on one database fare, as one of them tells it. */
export type SystemHealth = {
  /** Those that say they live, oldest first. `clockAheadMs`: of the database's clock, which judges ends. */
  backends: Array<{ name: string; version: string; since: Instant; clockAheadMs: number }>;
  /** AWS's clock, which judges the dates in access policies, against the database's; empty before AWS was first asked. */
  clocks: Array<{ accountId: string; accountName: string; aheadMs: number; unsureMs: number }>;
  /** Principals that wait to be worked on, by what is most urgent about them. */
  due: { ending: number; beginning: number; looking: number };
};
