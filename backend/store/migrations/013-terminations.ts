/** Sessions that are about to be ended, so that whoever dies in between leaves none out of the trail. Only adds: an older backend goes on beside it. */
import { type Kysely, sql } from 'kysely';

export const up = async (db: Kysely<unknown>): Promise<void> => {
  await sql
    .raw(`
-- Written before AWS is told, gone with the audit row: AWS does not list a session any more that it has ended, nor say who had it ended.
create table terminations (
  account_id text not null,
  region text not null,
  session_id text not null,
  target text not null,
  owner text not null,
  -- Whose pass ends it; null: a sweep, or an admin who asked for it.
  principal_id text references principals (id),
  why jsonb not null,
  begun_at timestamptz(3) not null,
  primary key (account_id, region, session_id)
);
create index terminations_of_principal on terminations (principal_id) where principal_id is not null;
`)
    .execute(db);
};
