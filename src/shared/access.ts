/**
 * The nouns of Curfew, each as a schema that parses at the border and a type that the rest of the code trusts.
 *
 * instance: an SSM-managed node · request: an engineer asks · rule: a Cedar policy that decides · decision: a rule's
 * or a person's yes or no · grant: the access a yes creates, with an end · session: one SSM session under a grant ·
 * principal: the IAM role that carries a person's access policy in one account · access policy: the IAM document
 * compiled from all live grants of a principal · receipt: the measured proof that a grant has ended.
 *
 * Instants are ISO 8601 strings in UTC with milliseconds. Durations are whole seconds unless a name ends in `Ms`.
 */
import { z } from 'zod';
import { limits } from './limits.ts';
import { reasonText, ticketId } from './text.ts';

/** An instant, e.g. `2026-11-22T11:00:00.000Z`. */
export const instant = z.iso.datetime({ precision: 3 });
export type Instant = z.infer<typeof instant>;

export const accountId = z.string().regex(/^\d{12}$/);
export const regionName = z.string().regex(/^[a-z]{2}(-[a-z]+){1,3}-\d$/);
/** Anchored on both sides: a `*` or `?` in an id would widen the access policy (aws-facts 7). */
export const instanceId = z.string().regex(/^(?:i-[0-9a-f]{8}(?:[0-9a-f]{9})?|mi-[0-9a-f]{17})$/);
/** Our own ids: a prefix that names the noun and 26 characters of base32 randomness. */
const ownId = (prefix: string) => z.string().regex(new RegExp(`^${prefix}_[a-z2-7]{26}$`));
export const requestId = ownId('req');
export const grantId = ownId('grt');
export const noticeId = ownId('ntc');

export const instanceRef = z.strictObject({ accountId, region: regionName, instanceId });
export type InstanceRef = z.infer<typeof instanceRef>;
/** One string for maps and keys: `account/region/id`. */
export const refKey = (ref: InstanceRef): string => `${ref.accountId}/${ref.region}/${ref.instanceId}`;

export type Instance = InstanceRef & {
  accountName: string;
  name: string;
  kind: 'ec2' | 'hybrid';
  platform: 'Linux' | 'Windows' | 'MacOS';
  tags: Record<string, string>;
  online: boolean;
  firstSeenAt: Instant;
  checkedAt: Instant;
};

/** A tag that rules trust has changed. `from` or `to` is null where there was, or is, none. */
export type TagChange = { key: string; from: string | null; to: string | null; at: Instant };

/**
 * Why a person decides although a rule would give it at once: tags that rules trust have changed lately, or could not be read (threats
 * RQ-07). `name`: of the instance.
 */
export type Because =
  | { kind: 'tag-changed'; name: string; key: string; at: Instant }
  | { kind: 'tags-unread'; name: string };

export type Person = { id: string; userName: string; displayName: string };

export const capability = z.enum(['shell']);
export type Capability = z.infer<typeof capability>;

export const durationSeconds = z.int().min(limits.shortestGrantSeconds).max(limits.longestGrantSeconds);

/** What an engineer fills in. The backend parses the very same schema again. */
export const requestDraft = z.strictObject({
  instances: z.array(instanceRef).min(1).max(limits.instancesPerRequest),
  capability,
  durationSeconds,
  reason: reasonText,
  ticket: ticketId.nullable(),
});
export type RequestDraft = z.infer<typeof requestDraft>;

/** Who said it. A rule is named by its id in the rule set. */
export type DecidedBy = { kind: 'rule'; ruleId: string } | { kind: 'person'; person: Person };

export type Decision = {
  id: string;
  requestId: string;
  by: DecidedBy;
  at: Instant;
  comment: string | null;
  ruleSetHash: string;
} & ({ verdict: 'yes'; instances: InstanceRef[]; durationSeconds: number } | { verdict: 'no' });

export type RequestState =
  | {
      state: 'waiting';
      lapsesAt: Instant;
      approvalsNeeded: number;
      approvers: Person[];
      yeses: Decision[];
      /** Somebody has the card open; others see it until the instant (a hint, not a lock). */
      claim: { by: Person; until: Instant } | null;
    }
  | { state: 'approved'; decisions: Decision[]; grantIds: string[]; at: Instant }
  | { state: 'denied'; decisions: Decision[]; at: Instant }
  | { state: 'withdrawn'; at: Instant }
  | { state: 'lapsed'; at: Instant };

export type AccessRequest = {
  id: string;
  requester: Person;
  /** `extend`: more time on a grant that lives; `new`: everything else. */
  purpose: { kind: 'new' } | { kind: 'extend'; grantId: string };
  instances: Instance[];
  capability: Capability;
  durationSeconds: number;
  reason: string;
  ticket: string | null;
  submittedAt: Instant;
  /** Why a person was asked though a rule would have given it at once; missing: none would have. */
  because?: Because[];
} & RequestState;

/** Why a grant ends before or at its time. */
export type EndCause =
  | { kind: 'time' }
  | { kind: 'owner'; person: Person }
  | { kind: 'revoked'; person: Person; comment: string | null }
  | { kind: 'signed-out'; person: Person }
  /** The identity store says that its owner is disabled or gone (threats ID-12). */
  | { kind: 'left'; person: Person }
  /** An admin or an approver pulled a kill switch. */
  | { kind: 'kill'; person: Person; switchId: string; reason: string }
  | { kind: 'inventory'; what: string };

/** Measured times of an ending. Milliseconds are counted from the instant the grant should have ended. */
export type Receipt = {
  /** `gone`: the access policy was read back without the grant and a look found no active session.
   *  `sealed`: 90 s of further looks found nothing more (a start may race IAM's spreading, aws-facts 6). */
  stage: 'gone' | 'sealed';
  policyGoneAt: Instant;
  policyGoneMs: number;
  sessionsGoneAt: Instant;
  sessionsGoneMs: number;
  sessionsTerminated: string[];
  looks: number;
  sealedAt: Instant | null;
  /** What another grant of the same person kept reachable when this was written: the receipt says nothing about it (RQ-21). */
  stays?: Array<{ instance: InstanceRef; grantId: string; until: Instant }>;
};

/** One of the three locks of a live grant, and since or until when; when it is missing, why. */
export type Lock = { armed: true; at: Instant } | { armed: false; why: string };

/** The three independent ways in which a live grant ends; any one of them may fail. */
export type Locks = {
  /** The access policy was read back holding its own end: `at` is that end. */
  policyDate: Lock;
  /** The removal is scheduled: `at` is when the backend does it. */
  removal: Lock;
  /** The app's own timer closes its terminals: `at` is when. */
  terminal: Lock;
};

export type GrantState =
  | { state: 'ready'; activateBy: Instant }
  | { state: 'granting'; connectedAt: Instant; endsAt: Instant }
  | { state: 'active'; connectedAt: Instant; activeAt: Instant; endsAt: Instant }
  | {
      state: 'ending';
      connectedAt: Instant | null;
      endsAt: Instant;
      cause: EndCause;
      policyGoneAt: Instant | null;
      sessionsLeft: number | null;
    }
  | {
      state: 'ended';
      connectedAt: Instant | null;
      endsAt: Instant;
      cause: EndCause;
      endedAt: Instant;
      receipt: Receipt;
    }
  | { state: 'lapsed'; at: Instant }
  | { state: 'failed'; at: Instant; code: string; advice: string };

export type Grant = {
  id: string;
  requestId: string;
  person: Person;
  /** A yes makes one grant per account, so a grant has exactly one principal. */
  accountId: string;
  accountName: string;
  instances: Instance[];
  capability: Capability;
  durationSeconds: number;
  reason: string;
  ticket: string | null;
  approvedBy: DecidedBy[];
  approvedAt: Instant;
  /** What the requester asked for when the yes was to less; null when all of it was granted. */
  askedFor: { instances: number; durationSeconds: number } | null;
  sessions: Session[];
  /** Of a grant whose clock runs. */
  locks?: Locks;
} & GrantState;

export type Session = {
  id: string;
  grantId: string;
  instance: InstanceRef;
  startedAt: Instant;
  endedAt: Instant | null;
};

/** What the app needs to open a session under a grant. Nothing in it is secret. */
export type Connection = {
  grantId: string;
  accountId: string;
  documentName: string;
  /** For StartSession's Reason (1 to 256 ASCII characters): `Curfew <grantId>`. */
  reason: string;
} & (
  | { as: 'personal-role'; roleArn: string; roleSessionName: string }
  /** The signed-in IAM user's own credentials: the access policy hangs on the user or on a group of theirs. */
  | { as: 'iam-user'; userArn: string }
);

/** A fact for the in-app inbox; native notifications show the same words. */
export type Notice = {
  id: string;
  at: Instant;
  kind: 'to-approve' | 'approved' | 'denied' | 'lapsed' | 'ending-soon' | 'ended' | 'failed' | 'sign-in-needed';
  title: string;
  body: string;
  target: { kind: 'request' | 'grant' | 'finding' | 'switch'; id: string } | { kind: 'sign-in' };
  readAt: Instant | null;
};
