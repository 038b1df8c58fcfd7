/** What the sweep found, who sweeps, and how the trail stands to its anchor. */
import { type Kysely, sql } from 'kysely';

export const up = async (db: Kysely<unknown>): Promise<void> => {
  await sql
    .raw(`
create table findings (
  id text primary key,
  kind text not null,
  -- Null: of the installation, not of one account.
  account_id text,
  account_name text,
  region text,
  subject text not null check (length(subject) between 1 and 300),
  what text not null,
  advice text not null,
  since timestamptz(3) not null,
  last_seen timestamptz(3) not null check (last_seen >= since),
  mended_at timestamptz(3) check (mended_at >= since)
);
-- One open finding for one thing, whichever backend sees it.
create unique index findings_open on findings (kind, coalesce(account_id, ''), coalesce(region, ''), subject) where mended_at is null;
create index findings_newest on findings (last_seen desc, id);
-- Of several backends one sweeps an account at a time.
create table sweeps (
  account_id text primary key,
  began_at timestamptz(3) not null,
  ended_at timestamptz(3),
  problem text
);

-- One row once heads of this trail were anchored: an empty anchor is no new one then (threats AU-02).
create table trail_anchor (
  single boolean primary key default true check (single),
  since timestamptz(3) not null
);
-- The database was found to be older than its anchor: nothing begins until somebody confirms.
create table trail_holds (
  id text primary key,
  found_at timestamptz(3) not null,
  what text not null,
  anchored_sequence bigint,
  trail_sequence bigint not null,
  confirmed_at timestamptz(3),
  confirmed_by text,
  check ((confirmed_at is null) = (confirmed_by is null))
);
create unique index trail_holds_open on trail_holds ((true)) where confirmed_at is null;

-- The list of kinds is kept by the code that reads it: an older backend hands on what it does not know.
alter table notices drop constraint notices_target_kind_check;
alter table notices add constraint notices_target_kind_check check (target_kind ~ '^[a-z-]{1,30}$');
`)
    .execute(db);
};
