/**
 * What can happen, as one union. Rows are append-only and hash-chained; an event carries ids, names as they were, and no
 * secret: no token, no credential, no session TokenValue (threats AU-09).
 */
import type { Because, DecidedBy, EndCause, InstanceRef, Instant, Person, Receipt } from '../../src/shared/access.ts';
import type { GroupReach } from '../../src/shared/group-reach.ts';
import type { SwitchScope } from '../../src/shared/kill-switch.ts';
import type { FindingKind } from '../../src/shared/views.ts';

/** Who did it: a person, a rule, or the backend by itself (a due time, a sweep). */
export type Actor = { kind: 'person'; person: Person } | { kind: 'rule'; ruleId: string } | { kind: 'curfew' };

type AboutRequest = { requestId: string; requester: Person };
type AboutGrant = { grantId: string; requestId: string; owner: Person; accountId: string };
type AboutFinding = {
  findingId: string;
  finding: FindingKind;
  accountId: string | null;
  region: string | null;
  subject: string;
  what: string;
};

export type AuditEvent = { at: Instant; actor: Actor } & (
  | { kind: 'signed_in'; arn: string }
  | { kind: 'sign_in_refused'; arn: string | null; why: string }
  /** `otherSignIns`: how many more sign-ins of theirs the person ended with it; missing when only this one. */
  | { kind: 'signed_out'; endedGrants: string[]; otherSignIns?: number }
  /** The identity store disabled the person or knows them no more (threats ID-12); `tokens`: sign-ins that stood. */
  | {
      kind: 'person_left';
      person: Person;
      why: 'disabled' | 'gone';
      tokens: number;
      withdrawnRequests: string[];
      endedGrants: string[];
    }
  | { kind: 'rules_loaded'; ruleSetHash: string; rules: number }
  | ({
      kind: 'request_submitted';
      extendsGrantId: string | null;
      instances: InstanceRef[];
      capability: string;
      durationSeconds: number;
      reason: string;
      ticket: string | null;
      ruleSetHash: string;
      /** IAM groups whose members all get what is granted (threats RQ-20). */
      wider?: GroupReach[];
      /** Why a person was asked though a rule would have given it at once (threats RQ-07). */
      because?: Because[];
    } & AboutRequest)
  | ({
      kind: 'request_decided';
      decisionId: string;
      by: DecidedBy;
      verdict: 'yes' | 'no';
      instances: InstanceRef[] | null;
      durationSeconds: number | null;
      comment: string | null;
      ruleSetHash: string;
      seenHash: string | null;
      wider?: GroupReach[];
      /** Earlier yeses that count no more: what they were for has changed, or their giver may not decide it (threats RQ-06, RQ-10). */
      aside?: Array<{ decisionId: string; person: Person; why: 'changed' | 'may_not_decide' | 'same_person' }>;
      /** A yes that denies: nothing is in all of the yeses. */
      leavesNothing?: true;
    } & AboutRequest)
  /** `left`: because they left; `stopped`: by a kill switch, or with everything of the person on an instance. */
  | ({ kind: 'request_withdrawn'; left?: true; stopped?: { switchId: string | null } } & AboutRequest)
  | ({ kind: 'request_lapsed' } & AboutRequest)
  | ({
      kind: 'grant_made';
      instances: InstanceRef[];
      durationSeconds: number;
      activateBy: Instant;
      principal: string;
    } & AboutGrant)
  | ({ kind: 'grant_connected'; endsAt: Instant } & AboutGrant)
  | ({ kind: 'access_policy_written'; principal: string; documentHash: string; endsAt: Instant } & AboutGrant)
  | ({ kind: 'grant_active' } & AboutGrant)
  | ({ kind: 'grant_extended'; fromEndsAt: Instant; endsAt: Instant; by: DecidedBy } & AboutGrant)
  /** More time that was given before could not be had. */
  | ({ kind: 'grant_shortened'; fromEndsAt: Instant; endsAt: Instant; advice: string } & AboutGrant)
  | ({ kind: 'grant_ending'; cause: EndCause } & AboutGrant)
  | ({ kind: 'grant_ended'; cause: EndCause; receipt: Receipt } & AboutGrant)
  | ({ kind: 'grant_sealed'; receipt: Receipt } & AboutGrant)
  | ({ kind: 'grant_lapsed' } & AboutGrant)
  | ({ kind: 'grant_failed'; code: string; advice: string } & AboutGrant)
  /** `closesAt`: when the app's own timer closes it, as the app says. */
  | ({ kind: 'session_started'; sessionId: string; instance: InstanceRef; closesAt?: Instant } & AboutGrant)
  | ({ kind: 'session_ended'; sessionId: string; instance: InstanceRef } & AboutGrant)
  | ({ kind: 'session_terminated'; sessionId: string; instance: InstanceRef } & AboutGrant)
  | {
      kind: 'session_unexplained';
      accountId: string;
      region: string;
      sessionId: string;
      owner: string;
      target: string;
      terminated: boolean;
    }
  /** An admin wants a session ended that was not opened by the app; then AWS took it (threats AWS-02). `what`: as it was found. */
  | {
      kind: 'session_end_asked';
      findingId: string;
      accountId: string;
      region: string;
      sessionId: string;
      what: string;
      reason: string;
    }
  | {
      kind: 'found_session_ended';
      findingId: string;
      accountId: string;
      region: string;
      sessionId: string;
      owner: string;
      target: string;
    }
  /** From then on everything in its scope is refused and ended; `within`: what an approver may decide about, null for all of it. */
  | {
      kind: 'kill_switch_pulled';
      switchId: string;
      scope: SwitchScope;
      name: string;
      within: string[] | null;
      reason: string;
    }
  /**
   * Every grant that it ended has its receipt, and so have those in its reach that were ending already (`already`; missing: none);
   * `totalMs` from the pull to the last one verified.
   */
  | {
      kind: 'kill_switch_done';
      switchId: string;
      name: string;
      grants: number;
      already?: number;
      requests: number;
      totalMs: number;
    }
  | { kind: 'kill_switch_lifted'; switchId: string; scope: SwitchScope; name: string }
  | { kind: 'access_policy_mended'; accountId: string; principal: string; what: string }
  | { kind: 'leftover_reported'; accountId: string; principal: string; what: string }
  /** The database is older than its anchor: nothing begins until somebody confirms (threats AU-02). */
  | { kind: 'trail_held'; what: string }
  /** `by`: as they named themselves at the command line. */
  | { kind: 'restore_confirmed'; what: string; by: string }
  | ({ kind: 'finding_reported' } & AboutFinding)
  | ({ kind: 'finding_mended' } & AboutFinding)
  /** What CloudTrail says about who did it (threats AWS-13): it may change its answer while it is still hearing. */
  | {
      kind: 'finding_author';
      findingId: string;
      accountId: string | null;
      subject: string;
      who: string;
      did: string;
      didAt: Instant;
      from: string | null;
    }
  | { kind: 'seal_broken'; table: 'decisions' | 'grants'; rowId: string; accountId: string | null }
  | { kind: 'role_provisioned'; accountId: string; principal: string; personId: string }
);
