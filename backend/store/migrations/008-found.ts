/** What becomes of a finding: the session it is about ended by an admin, and who did it according to CloudTrail. Only adds. */
import { type Kysely, sql } from 'kysely';

export const up = async (db: Kysely<unknown>): Promise<void> => {
  await sql
    .raw(`
-- An admin wants the session ended: who, when and why; when AWS took it; or why Curfew gave it up, and then it may be asked again.
alter table findings add column end_asked_at timestamptz(3);
alter table findings add column end_asked_by text references people (id);
alter table findings add column end_reason text;
alter table findings add column terminated_at timestamptz(3);
alter table findings add column end_problem text;
create index findings_to_end on findings (end_asked_at)
  where end_asked_at is not null and end_problem is null and mended_at is null;

-- What CloudTrail said about who did it, and when to ask it next; null: never, which is also what an older backend writes.
alter table findings add column author jsonb;
alter table findings add column author_due_at timestamptz(3);
create index findings_author_due on findings (author_due_at) where author_due_at is not null;
`)
    .execute(db);
};
