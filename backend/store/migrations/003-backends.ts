/** Several backends on one database: who lives, who works on which principal, what is shared of AWS's rates (decision 9). */
import { type Kysely, sql } from 'kysely';

export const up = async (db: Kysely<unknown>): Promise<void> => {
  await sql
    .raw(`
-- One row for each running backend. It lives while it says so each second and its connection holds the lock of its number.
create table backends (
  number integer primary key check (number > 0),
  name text not null,
  version text not null,
  started_at timestamptz(3) not null default clock_timestamp(),
  seen_at timestamptz(3) not null default clock_timestamp(),
  -- The clock of its process minus the database's, milliseconds.
  clock_ahead_ms integer not null default 0
);
create sequence backend_numbers as integer cycle;

-- Who works on this principal now: the number of a backend. Backends of the version before do not look at it.
alter table principals add column holder integer;
create index principals_held on principals (holder) where holder is not null;

-- What is not over: everything that is asked each second looks only here, however long the history is.
create index grants_open on grants (principal_id) where state in ('ready', 'granting', 'active', 'ending');
create index grants_sealing on grants (principal_id) where state = 'ended' and receipt ->> 'stage' = 'gone';
create index grants_ending on grants (ends_at) where state = 'ending';
create index sessions_open on sessions (grant_id) where ended_at is null;

-- What is left of AWS's rates, for all backends together. After a crash of Postgres it is empty, and begins anew.
create unlogged table budgets (
  name text primary key,
  tokens double precision not null,
  -- The share of the rate that is used; AWS's throttling lowers it for a while.
  share double precision not null default 1 check (share > 0 and share <= 1),
  filled_at timestamptz not null
);
-- Takes up to 'wanted' calls, as long as 'kept' of them stay for what is more urgent. 'wait_ms': until the next may be had.
create function take_budget(which text, wanted integer, kept double precision, per_second double precision, burst double precision)
returns table (taken integer, wait_ms double precision) language plpgsql as $$
declare
  had budgets;
  seconds double precision;
  share_now double precision;
  filled double precision;
begin
  insert into budgets (name, tokens, filled_at) values (which, burst, clock_timestamp()) on conflict do nothing;
  select * into had from budgets where name = which for update;
  seconds := greatest(0, extract(epoch from clock_timestamp() - had.filled_at));
  share_now := least(1, had.share + seconds / 20);
  filled := least(burst, had.tokens + seconds * per_second * share_now);
  taken := greatest(0, least(wanted, floor(filled - kept)::integer));
  wait_ms := greatest(0, (1 + kept - (filled - taken)) * 1000 / (per_second * share_now));
  update budgets set tokens = filled - taken, share = share_now, filled_at = greatest(filled_at, clock_timestamp()) where name = which;
  return next;
end $$;

-- Work that one backend does for all of them, at intervals.
create table duties (
  name text primary key,
  taken_at timestamptz(3) not null
);

-- Who reads the changes after an id reads 30 s before it again, because ids are drawn before their transactions commit. So no
-- transaction that told a change may live longer than that.
create function change_commits_in_time() returns trigger language plpgsql as $$
begin
  if clock_timestamp() - new.at > interval '25 seconds' then
    raise exception 'a transaction with a change was open for too long' using errcode = 'query_canceled';
  end if;
  return null;
end $$;
create constraint trigger changes_in_time after insert on changes deferrable initially deferred for each row execute function change_commits_in_time();

-- Which shape this is. A backend works with a database that is one generation newer than itself, and with no newer one.
create table schema_generation (
  single boolean primary key default true check (single),
  generation integer not null
);
insert into schema_generation (generation) values (2);
`)
    .execute(db);
};
