/** The tables as Kysely sees them. Keep in step with the migrations. */
import type { ColumnType, Generated, JSONColumnType } from 'kysely';
import type { Because, EndCause, InstanceRef, Receipt, TagChange } from '../../src/shared/access.ts';
import type { FindingKind, FoundAuthor } from '../../src/shared/views.ts';
import type { AuditEvent } from '../audit/event.ts';

type Json<T> = ColumnType<T, string, string>;
type NullableJson<T> = ColumnType<T | null, string | null, string | null>;

/** Why Curfew ends a session: for a grant; because no grant explains it, with the words for the finding; or because an admin asked for it. */
export type WhyTerminated =
  | { for: 'grant'; grantId: string }
  | { for: 'nobody'; what: string; advice: string }
  | { for: 'admin'; findingId: string; principals: readonly string[] };

export type Schema = {
  audit: {
    sequence: number;
    at: Date;
    kind: string;
    event: JSONColumnType<AuditEvent>;
    canonical: string;
    previous_hash: string;
    hash: string;
    actor_id: string | null;
    person_id: string | null;
    request_id: string | null;
    grant_id: string | null;
  };
  audit_head: { single: Generated<boolean>; sequence: number; hash: string };
  audit_signature: { sequence: number; hash: string; at: Date; key_id: string; signature: string };
  people: {
    id: string;
    user_name: string;
    display_name: string;
    email: string | null;
    enabled: boolean;
    groups: string[];
    checked_at: Date;
  };
  tokens: { hash: Buffer; person_id: string; proved_at: Date; expires_at: Date; revoked_at: Date | null };
  nonces: { hash: Buffer; expires_at: Date; used_at: Date | null };
  instances: {
    account_id: string;
    region: string;
    instance_id: string;
    account_name: string;
    name: string;
    kind: 'ec2' | 'hybrid';
    platform: 'Linux' | 'Windows' | 'MacOS';
    tags: Json<Record<string, string>>;
    online: boolean;
    first_seen_at: Date;
    checked_at: Date;
    gone_at: Date | null;
    /** The tags stood so at this instant; null: an older backend wrote them. */
    tags_read_at: ColumnType<Date | null, Date | null | undefined, Date | null>;
    /** Of trusted tags, in the 24 hours before the last of them; oldest first. */
    tag_changes: ColumnType<TagChange[], string | undefined, string>;
  };
  inventory_places: {
    account_id: string;
    region: string;
    account_name: string;
    checked_at: Date | null;
    problem: string | null;
  };
  requests: {
    id: string;
    requester_id: string;
    extends_grant_id: string | null;
    capability: 'shell';
    duration_seconds: number;
    reason: string;
    ticket: string | null;
    state: 'waiting' | 'approved' | 'denied' | 'withdrawn' | 'lapsed';
    submitted_at: Date;
    lapses_at: Date;
    closed_at: Date | null;
    approvals_needed: number;
    rule_id: string;
    rule_set_hash: string;
    audit_sequence: number;
    /** Why a person decides though a rule would give it at once. */
    because: ColumnType<Because[] | null, string | null | undefined, string | null>;
  };
  request_instances: {
    request_id: string;
    position: number;
    account_id: string;
    region: string;
    instance_id: string;
    name: string;
    tags: Json<Record<string, string>>;
  };
  claims: { request_id: string; person_id: string; until: Date };
  decisions: {
    id: string;
    request_id: string;
    requester_id: string;
    rule_id: string | null;
    person_id: string | null;
    verdict: 'yes' | 'no';
    instances: NullableJson<InstanceRef[]>;
    duration_seconds: number | null;
    comment: string | null;
    at: Date;
    rule_set_hash: string;
    seen_hash: string | null;
    mac: string;
    audit_sequence: number;
  };
  principals: {
    id: string;
    account_id: string;
    /** Null for a group: it carries what several people were given. */
    person_id: string | null;
    slot: Generated<number>;
    kind: 'role' | 'user' | 'group';
    carrier: 'inline' | 'managed';
    name: string;
    arn: string;
    session_name: string;
    document_hash: string | null;
    document_at: Date | null;
    due_at: Date | null;
    attempts: Generated<number>;
    problem: string | null;
    /** How many managed policies of ours may exist for it. */
    managed_policies: Generated<number>;
    /** Number of the backend that works on it now. */
    holder: number | null;
  };
  /** Members of a group that carries access, as long as something of it is not finished. */
  group_members: { principal_id: string; user_name: string; seen_at: Date };
  backends: {
    number: number;
    name: string;
    version: string;
    started_at: Generated<Date>;
    seen_at: Generated<Date>;
    clock_ahead_ms: Generated<number>;
  };
  budgets: { name: string; tokens: number; share: Generated<number>; filled_at: Date };
  duties: { name: string; taken_at: Date };
  schema_generation: { single: Generated<boolean>; generation: number };
  grants: {
    id: string;
    request_id: string;
    person_id: string;
    principal_id: string;
    account_id: string;
    capability: 'shell';
    duration_seconds: number;
    state: 'ready' | 'granting' | 'active' | 'ending' | 'ended' | 'lapsed' | 'failed';
    approved_at: Date;
    activate_by: Date;
    connected_at: Date | null;
    /** Null in rows of an older backend: at the first connect. */
    end_set_at: Date | null;
    active_at: Date | null;
    ends_at: Date | null;
    cause: NullableJson<EndCause>;
    policy_gone_at: Date | null;
    sessions_left: number | null;
    closed_at: Date | null;
    receipt: NullableJson<Receipt>;
    failed_code: string | null;
    failed_advice: string | null;
    mac: string;
    audit_sequence: number;
  };
  grant_instances: { grant_id: string; position: number; account_id: string; region: string; instance_id: string };
  sessions: {
    id: string;
    grant_id: string;
    account_id: string;
    region: string;
    instance_id: string;
    started_at: Date;
    ended_at: Date | null;
    closes_at: Date | null;
  };
  terminations: {
    account_id: string;
    region: string;
    session_id: string;
    target: string;
    owner: string;
    principal_id: string | null;
    why: Json<WhyTerminated>;
    begun_at: Date;
  };
  notices: {
    id: string;
    person_id: string;
    at: Date;
    kind: string;
    title: string;
    body: string;
    target_kind: 'request' | 'grant' | 'finding' | 'switch';
    target_id: string;
    read_at: Date | null;
  };
  changes: {
    id: Generated<number>;
    at: Generated<Date>;
    topic: 'requests' | 'grants' | 'notices' | 'inventory' | 'me';
    ref: string | null;
    audience: string[] | null;
  };
  spreading: { account_id: string; at: Date; ms: number };
  kill_switches: {
    id: string;
    scope: 'person' | 'instance' | 'account' | 'everything';
    person_id: string | null;
    account_id: string | null;
    region: string | null;
    instance_id: string | null;
    within: NullableJson<string[]>;
    name: string;
    reason: string;
    by_id: string;
    at: Date;
    lifted_at: Date | null;
    lifted_by: string | null;
    done_at: Date | null;
    total_ms: number | null;
    audit_sequence: number;
  };
  kill_switch_hits: {
    switch_id: string;
    position: Generated<number>;
    person_id: string;
    grant_id: string | null;
    request_id: string | null;
  };
  trail_anchor: { single: Generated<boolean>; since: Date };
  trail_holds: {
    id: string;
    found_at: Date;
    what: string;
    anchored_sequence: number | null;
    trail_sequence: number;
    confirmed_at: ColumnType<Date | null, Date | null | undefined, Date | null>;
    confirmed_by: ColumnType<string | null, string | null | undefined, string | null>;
  };
  sweeps: { account_id: string; began_at: Date; ended_at: Date | null; problem: string | null };
  findings: {
    id: string;
    kind: FindingKind;
    account_id: string | null;
    account_name: string | null;
    region: string | null;
    subject: string;
    what: string;
    advice: string;
    since: Date;
    last_seen: Date;
    mended_at: Date | null;
    end_asked_at: ColumnType<Date | null, Date | null | undefined, Date | null>;
    end_asked_by: ColumnType<string | null, string | null | undefined, string | null>;
    end_reason: ColumnType<string | null, string | null | undefined, string | null>;
    terminated_at: ColumnType<Date | null, Date | null | undefined, Date | null>;
    end_problem: ColumnType<string | null, string | null | undefined, string | null>;
    author: NullableJson<FoundAuthor>;
    author_due_at: ColumnType<Date | null, Date | null | undefined, Date | null>;
  };
};
