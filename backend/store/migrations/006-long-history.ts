/**
 * Indexes for lists that stay quick however long the history is. Only indexes: an older backend goes on beside it, and is quicker for it.
 * While one is built nothing is written to its table: with a million audit rows that is some seconds in all, once, at the start.
 */
import { type Kysely, sql } from 'kysely';

export const up = async (db: Kysely<unknown>): Promise<void> => {
  await sql
    .raw(`
-- The trail, newest first, by each of its filters; what else is filtered by stands in the index, so that rows which do not match
-- are not read.
create index audit_kind on audit (kind, sequence);
create index audit_actor on audit (actor_id, sequence) include (kind, at, request_id, person_id) where actor_id is not null;
create index audit_person on audit (person_id, sequence) include (kind, at, request_id, actor_id) where person_id is not null;
create index audit_of_request on audit (request_id, sequence) include (kind, at) where request_id is not null;
drop index audit_request;
-- What each ending, and each look at a personal role, asks of the trail.
create index audit_terminated on audit (grant_id, sequence) where kind = 'session_terminated';
create index audit_provisioned on audit ((event ->> 'principal')) where kind = 'role_provisioned';

-- Who was asked to decide, from either end: visibility, lists and every change that is told.
create index notices_to_approve on notices (target_id) where kind = 'to-approve' and target_kind = 'request';
create index notices_asked on notices (person_id, target_id) where kind = 'to-approve' and target_kind = 'request';
create index decisions_person on decisions (person_id, request_id) where person_id is not null;

create index grants_request on grants (request_id);
create index grants_open_person on grants (person_id) where state in ('ready', 'granting', 'active', 'ending');
create index requests_open_requester on requests (requester_id) where state = 'waiting';
create index kill_switches_open on kill_switches (at) where lifted_at is null or done_at is null;
create index findings_list on findings ((mended_at is not null), last_seen desc, id);
create index changes_at on changes (at);
`)
    .execute(db);
};
