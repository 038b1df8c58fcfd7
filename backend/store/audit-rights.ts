/** May the backend's own database user change the trail (threats AU-06)? Then it is tamper-evident, not tamper-proof. */
import { type Kysely, sql } from 'kysely';

/** Names of what this user may do to the audit tables beyond INSERT and SELECT; empty when deploy/postgres.sql was followed. */
export const auditRightsTooMany = async <T>(db: Kysely<T>): Promise<string[]> => {
  const { rows } = await sql<{ what: string }>`
    select 'be superuser' as what from pg_roles where rolname = current_user and rolsuper
    union all
    select 'own ' || relname from pg_class
      where oid in (to_regclass('audit'), to_regclass('audit_signature')) and pg_has_role(current_user, relowner, 'USAGE')
    union all
    select right_ || ' ' || relname from pg_class, unnest(array['UPDATE', 'DELETE', 'TRUNCATE', 'TRIGGER']) as right_
      where oid in (to_regclass('audit'), to_regclass('audit_signature')) and has_table_privilege(current_user, oid, right_)
    order by what`.execute(db);
  return rows.map(({ what }) => what);
};

/** What the log and the doctor say about it. */
export const auditRightsAdvice =
  'The trail is tamper-evident, not tamper-proof: this database user owns it. Give the backend a user of its own with deploy/postgres.sql.';
