/** Kill switches, and what the three locks of a grant are told from. Additive: an older backend goes on beside it. */
import { type Kysely, sql } from 'kysely';

export const up = async (db: Kysely<unknown>): Promise<void> => {
  await sql
    .raw(`
create table kill_switches (
  id text primary key,
  scope text not null check (scope in ('person', 'instance', 'account', 'everything')),
  person_id text references people (id),
  account_id text,
  region text,
  instance_id text,
  -- Null: all that the scope names. Else only these instances ("account/region/id"): what the approver who pulled it may decide.
  within jsonb,
  -- What the scope was called when it was pulled.
  name text not null,
  reason text not null check (length(reason) between 1 and 500),
  by_id text not null references people (id),
  at timestamptz(3) not null,
  lifted_at timestamptz(3),
  lifted_by text references people (id),
  -- When everything that it ended had its receipt, and how many milliseconds after the pull that was verified in AWS.
  done_at timestamptz(3),
  total_ms integer,
  audit_sequence bigint not null references audit (sequence) deferrable initially deferred,
  check ((scope = 'person') = (person_id is not null)),
  check ((scope = 'instance') = (instance_id is not null and region is not null)),
  check ((scope in ('instance', 'account')) = (account_id is not null)),
  check ((lifted_at is null) = (lifted_by is null)),
  check ((done_at is null) = (total_ms is null))
);
-- One of a kind is on at a time; an approver's own, narrower one may stand beside an admin's.
create unique index kill_switches_on on kill_switches (
  scope, coalesce(person_id, ''), coalesce(account_id, ''), coalesce(region, ''), coalesce(instance_id, ''),
  (case when within is null then '' else by_id end)
) where lifted_at is null;
create index kill_switches_newest on kill_switches (at desc, id);

-- What a switch ended or took back: whom it hit, and where its receipts are.
create table kill_switch_hits (
  switch_id text not null references kill_switches (id),
  position bigserial,
  person_id text not null references people (id),
  grant_id text references grants (id),
  request_id text references requests (id),
  primary key (switch_id, position),
  unique (switch_id, grant_id),
  unique (switch_id, request_id),
  check ((grant_id is null) <> (request_id is null))
);
create constraint trigger kill_switches_audited after insert or update on kill_switches deferrable initially deferred for each row execute function change_has_audit();

-- For the lists of what lives: never grows with history.
create index grants_live on grants (approved_at desc, id) where state in ('ready', 'granting', 'active', 'ending');
-- When the end was last set (the first connect, more time); null in rows of an older backend: at the first connect.
alter table grants add column end_set_at timestamptz(3);
-- When the app's own timer closes this terminal, as the app tells it; null: it told nothing.
alter table sessions add column closes_at timestamptz(3);
`)
    .execute(db);
};
