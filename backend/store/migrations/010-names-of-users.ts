/**
 * An IAM user may be renamed, and its name may be given to somebody new: then there are several principals of a person, or of a name. It
 * only allows more than before, and an older backend goes on beside it: it knows a principal by its id.
 */
import { type Kysely, sql } from 'kysely';

export const up = async (db: Kysely<unknown>): Promise<void> => {
  await sql
    .raw(`
drop index principals_name;
create unique index principals_name on principals (account_id, kind, name) where kind <> 'user';
-- What was granted to a user of a name stays with who had it: their id in AWS is the person's.
create unique index principals_user on principals (account_id, name, person_id, arn) where kind = 'user';
`)
    .execute(db);
};
