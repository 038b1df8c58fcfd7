/** Whom an IAM group reached while access hung on it. Only adds: an older backend goes on beside it and leaves the table alone. */
import { type Kysely, sql } from 'kysely';

export const up = async (db: Kysely<unknown>): Promise<void> => {
  await sql
    .raw(`
-- AWS tells who is in a group now, and lets the sessions run of who was: whoever leaves is looked for by what stands here.
create table group_members (
  principal_id text not null references principals (id),
  user_name text not null,
  -- When IAM last told of this member while something hung on the group.
  seen_at timestamptz(3) not null,
  primary key (principal_id, user_name)
);
`)
    .execute(db);
};
