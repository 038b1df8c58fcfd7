/** What became of the tags that rules trust (threats RQ-07). Only adds: an older backend goes on beside it and leaves these columns alone. */
import { type Kysely, sql } from 'kysely';

export const up = async (db: Kysely<unknown>): Promise<void> => {
  await sql
    .raw(`
-- When the tags that stand there were read from AWS, which is less often than checked_at says; null: by an older backend.
alter table instances add column tags_read_at timestamptz(3);
-- Trusted tags that changed in the 24 hours before the last change, a few at most, oldest first.
alter table instances add column tag_changes jsonb not null default '[]';

-- Why a person decides though a rule would give it at once; null: no such reason.
alter table requests add column because jsonb;
`)
    .execute(db);
};
