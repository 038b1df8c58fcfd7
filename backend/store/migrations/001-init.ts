/** The first shape of the store. Migrations go forward only; each is one transaction. */
import { type Kysely, sql } from 'kysely';

export const up = async (db: Kysely<unknown>): Promise<void> => {
  await sql
    .raw(`
-- Audit first: every state change below points at its audit row. Append-only, hash-chained (design 9).
create table audit (
  sequence bigint primary key check (sequence > 0),
  at timestamptz(3) not null,
  kind text not null,
  -- The whole event in its canonical form (RFC 8785); hash = sha256 over it with the previous hash.
  event jsonb not null,
  canonical text not null,
  previous_hash text not null check (previous_hash ~ '^[0-9a-f]{64}$'),
  hash text not null unique check (hash ~ '^[0-9a-f]{64}$'),
  -- For filters; all of it is in the event too.
  actor_id text,
  person_id text,
  request_id text,
  grant_id text,
  transaction xid8 not null default pg_current_xact_id()
);
create index audit_request on audit (request_id, sequence);
create index audit_at on audit (at);
-- One row: appending locks it, so sequence numbers have no gaps.
create table audit_head (
  single boolean primary key default true check (single),
  sequence bigint not null,
  hash text not null
);
insert into audit_head (sequence, hash) values (0, repeat('0', 64));
create table audit_signature (
  sequence bigint primary key references audit (sequence),
  hash text not null,
  at timestamptz(3) not null,
  key_id text not null,
  signature text not null
);
create function audit_is_append_only() returns trigger language plpgsql as $$
begin raise exception 'audit rows are append-only' using errcode = 'raise_exception'; end $$;
create trigger audit_no_change before update or delete on audit for each row execute function audit_is_append_only();
create trigger audit_no_truncate before truncate on audit for each statement execute function audit_is_append_only();
create trigger audit_signature_no_change before update or delete on audit_signature for each row execute function audit_is_append_only();

create table people (
  id text primary key,
  user_name text not null,
  display_name text not null,
  email text,
  enabled boolean not null,
  groups text[] not null default '{}',
  checked_at timestamptz(3) not null
);

create table tokens (
  hash bytea primary key,
  person_id text not null references people (id),
  proved_at timestamptz(3) not null,
  expires_at timestamptz(3) not null,
  revoked_at timestamptz(3)
);
create index tokens_person on tokens (person_id);

create table nonces (
  hash bytea primary key,
  expires_at timestamptz(3) not null,
  used_at timestamptz(3)
);

create table instances (
  account_id text not null,
  region text not null,
  instance_id text not null check (instance_id ~ '^(i-[0-9a-f]{8}([0-9a-f]{9})?|mi-[0-9a-f]{17})$'),
  account_name text not null,
  name text not null,
  kind text not null check (kind in ('ec2', 'hybrid')),
  platform text not null check (platform in ('Linux', 'Windows', 'MacOS')),
  tags jsonb not null,
  online boolean not null,
  first_seen_at timestamptz(3) not null,
  checked_at timestamptz(3) not null,
  -- Set when a refresh no longer finds it: history keeps its name, nobody can ask for it.
  gone_at timestamptz(3),
  primary key (account_id, region, instance_id)
);

create table inventory_places (
  account_id text not null,
  region text not null,
  account_name text not null,
  checked_at timestamptz(3),
  problem text,
  primary key (account_id, region)
);

create table requests (
  id text primary key,
  requester_id text not null references people (id),
  -- Null: a new request; else more time on that grant.
  extends_grant_id text,
  capability text not null check (capability in ('shell')),
  duration_seconds integer not null check (duration_seconds between 60 and 43200),
  reason text not null check (length(reason) between 1 and 500),
  ticket text,
  state text not null check (state in ('waiting', 'approved', 'denied', 'withdrawn', 'lapsed')),
  submitted_at timestamptz(3) not null,
  lapses_at timestamptz(3) not null,
  closed_at timestamptz(3),
  approvals_needed smallint not null check (approvals_needed >= 0),
  -- The rule that asks for approvals, or gave the automatic yes.
  rule_id text not null,
  rule_set_hash text not null,
  audit_sequence bigint not null references audit (sequence) deferrable initially deferred,
  unique (id, requester_id),
  check ((state = 'waiting') = (closed_at is null))
);
create index requests_requester on requests (requester_id, submitted_at desc);
create index requests_waiting on requests (lapses_at) where state = 'waiting';

create table request_instances (
  request_id text not null references requests (id),
  position smallint not null,
  account_id text not null,
  region text not null,
  instance_id text not null,
  -- As they were when the request was made: what the approver is shown (threats RQ-10).
  name text not null,
  tags jsonb not null,
  primary key (request_id, position),
  unique (request_id, account_id, region, instance_id),
  foreign key (account_id, region, instance_id) references instances
);

create table claims (
  request_id text primary key references requests (id),
  person_id text not null references people (id),
  until timestamptz(3) not null
);

create table decisions (
  id text primary key,
  request_id text not null,
  requester_id text not null,
  -- Exactly one of rule and person decided.
  rule_id text,
  person_id text references people (id),
  verdict text not null check (verdict in ('yes', 'no')),
  -- A yes carries what is granted: [{accountId, region, instanceId}].
  instances jsonb,
  duration_seconds integer check (duration_seconds between 60 and 43200),
  comment text,
  at timestamptz(3) not null,
  rule_set_hash text not null,
  seen_hash text,
  -- HMAC-SHA-256 by a key kept outside Postgres (threats AU-05).
  mac text not null check (mac ~ '^[0-9a-f]{64}$'),
  audit_sequence bigint not null references audit (sequence) deferrable initially deferred,
  foreign key (request_id, requester_id) references requests (id, requester_id),
  unique (request_id, person_id),
  check ((rule_id is null) <> (person_id is null)),
  check ((verdict = 'yes') = (instances is not null and duration_seconds is not null)),
  -- Promise 9, whatever the code does.
  constraint nobody_decides_their_own check (person_id is null or person_id <> requester_id)
);

-- A person's carrier of access in one account. "slot" leaves room for a second personal role (threats AWS-01).
create table principals (
  id text primary key,
  account_id text not null,
  person_id text not null references people (id),
  slot smallint not null default 1,
  kind text not null check (kind in ('role', 'user', 'group')),
  carrier text not null check (carrier in ('inline', 'managed')),
  -- For kind 'role': name (without path), ARN and the fixed role session name.
  name text not null,
  arn text not null,
  session_name text not null,
  -- Hash of the access policy as last read back from IAM; null: none is there.
  document_hash text,
  document_at timestamptz(3),
  -- Reconcile when this instant has come; null: nothing due. Rows are taken with for update skip locked.
  due_at timestamptz(3),
  attempts integer not null default 0,
  problem text,
  unique (account_id, person_id, slot),
  unique (account_id, name),
  unique (account_id, session_name)
);
create index principals_due on principals (due_at) where due_at is not null;

create table grants (
  id text primary key,
  request_id text not null references requests (id),
  person_id text not null references people (id),
  principal_id text not null references principals (id),
  account_id text not null,
  capability text not null check (capability in ('shell')),
  duration_seconds integer not null check (duration_seconds between 60 and 43200),
  state text not null check (state in ('ready', 'granting', 'active', 'ending', 'ended', 'lapsed', 'failed')),
  approved_at timestamptz(3) not null,
  activate_by timestamptz(3) not null,
  connected_at timestamptz(3),
  active_at timestamptz(3),
  -- Null until the first connect starts the clock.
  ends_at timestamptz(3),
  cause jsonb,
  policy_gone_at timestamptz(3),
  sessions_left integer,
  closed_at timestamptz(3),
  receipt jsonb,
  failed_code text,
  failed_advice text,
  -- HMAC over content and times; checked before anything is written to AWS (threats AU-05).
  mac text not null check (mac ~ '^[0-9a-f]{64}$'),
  audit_sequence bigint not null references audit (sequence) deferrable initially deferred,
  check (state not in ('granting', 'active') or (connected_at is not null and ends_at is not null)),
  check (state <> 'active' or active_at is not null),
  check (state not in ('ending', 'ended') or (cause is not null and ends_at is not null)),
  check (state <> 'ended' or (receipt is not null and closed_at is not null)),
  check (state <> 'failed' or (failed_code is not null and failed_advice is not null))
);
create index grants_principal on grants (principal_id);
create index grants_person on grants (person_id, approved_at desc);
create index grants_due on grants (ends_at) where state in ('granting', 'active');

create table grant_instances (
  grant_id text not null references grants (id),
  position smallint not null,
  account_id text not null,
  region text not null,
  instance_id text not null,
  primary key (grant_id, position),
  unique (grant_id, account_id, region, instance_id),
  foreign key (account_id, region, instance_id) references instances
);

create table sessions (
  id text primary key,
  grant_id text not null references grants (id),
  account_id text not null,
  region text not null,
  instance_id text not null,
  started_at timestamptz(3) not null,
  ended_at timestamptz(3)
);
create index sessions_grant on sessions (grant_id);

create table notices (
  id text primary key,
  person_id text not null references people (id),
  at timestamptz(3) not null,
  kind text not null,
  title text not null,
  body text not null,
  target_kind text not null check (target_kind in ('request', 'grant')),
  target_id text not null,
  read_at timestamptz(3)
);
create index notices_person on notices (person_id, at desc);

-- What to tell whom over the event stream. Kept for an hour so that a client that comes back misses nothing.
create table changes (
  id bigserial primary key,
  at timestamptz(3) not null default now(),
  topic text not null check (topic in ('requests', 'grants', 'notices', 'inventory', 'me')),
  ref text,
  -- Person ids that may hear of it; null: every signed-in person.
  audience text[]
);

-- Measured by the apps: from the write of an access policy to the first call it allowed.
create table spreading (
  account_id text not null,
  at timestamptz(3) not null,
  ms integer not null check (ms between 0 and 600000)
);
create index spreading_account on spreading (account_id, at desc);

-- Promise 4 in SQL: a row whose state or content changes must point at an audit row of the very same transaction.
create function change_has_audit() returns trigger language plpgsql as $$
declare appended xid8;
begin
  if tg_op = 'UPDATE' and to_jsonb(new) - 'policy_gone_at' - 'sessions_left' - 'receipt'
     = to_jsonb(old) - 'policy_gone_at' - 'sessions_left' - 'receipt'
  then
    return null;
  end if;
  select transaction into appended from audit where sequence = new.audit_sequence;
  if appended is distinct from pg_current_xact_id() then
    raise exception 'a change of % % has no audit row', tg_table_name, new.id using errcode = 'integrity_constraint_violation';
  end if;
  return null;
end $$;
create constraint trigger requests_audited after insert or update on requests deferrable initially deferred for each row execute function change_has_audit();
create constraint trigger decisions_audited after insert or update on decisions deferrable initially deferred for each row execute function change_has_audit();
create constraint trigger grants_audited after insert or update on grants deferrable initially deferred for each row execute function change_has_audit();
`)
    .execute(db);
};
