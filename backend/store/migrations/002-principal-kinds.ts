/** Principals that are users or groups, and access policies of several documents. It only allows more than before. */
import { type Kysely, sql } from 'kysely';

export const up = async (db: Kysely<unknown>): Promise<void> => {
  await sql
    .raw(`
-- How many managed policies of ours may exist for it, by their numbers: raised before one is made, lowered when the last is seen gone.
alter table principals add column managed_policies smallint not null default 0 check (managed_policies between 0 and 10);
-- An IAM group carries the access of several people: null then.
alter table principals alter column person_id drop not null;
alter table principals add check ((kind = 'group') = (person_id is null));
-- Names are unique among roles, users and groups of an account, each for themselves; only roles have a session name of their own.
alter table principals drop constraint principals_account_id_name_key;
alter table principals drop constraint principals_account_id_session_name_key;
create unique index principals_name on principals (account_id, kind, name);
create unique index principals_session_name on principals (account_id, session_name) where kind = 'role';
`)
    .execute(db);
};
