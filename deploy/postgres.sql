-- Two database users for Curfew (threats AU-06): `curfew_owner` owns the tables and runs migrations, `curfew_backend` is what the backend
-- runs as. On the audit tables the backend may INSERT and SELECT only, and it can switch off no trigger, because it owns nothing.
--
-- Run it as a superuser in Curfew's own database, before the first migration and after each one; running it twice does no harm:
--   psql "$ADMIN_URL" -v ON_ERROR_STOP=1 -f deploy/postgres.sql
--   DATABASE_URL=postgres://curfew_owner:…@HOST/curfew?sslmode=verify-full npm run migrate
--   psql "$ADMIN_URL" -v ON_ERROR_STOP=1 -f deploy/postgres.sql
-- Then give both a way to sign in (alter role … with login password …, or your cloud's IAM sign-in), and the backend the address of
-- curfew_backend. Who may be superuser, or curfew_owner, can still change the trail: the anchor (auditAnchor) shows that they did.

do $$
begin
  if not exists (select from pg_roles where rolname = 'curfew_owner') then create role curfew_owner; end if;
  if not exists (select from pg_roles where rolname = 'curfew_backend') then create role curfew_backend; end if;
exception when duplicate_object or unique_violation then null;
end $$;

grant usage, create on schema public to curfew_owner;
revoke create on schema public from public, curfew_backend;
grant usage on schema public to curfew_backend;

-- What is there, and what curfew_owner will make.
grant select, insert, update, delete on all tables in schema public to curfew_backend;
grant usage, select on all sequences in schema public to curfew_backend;
alter default privileges for role curfew_owner in schema public grant select, insert, update, delete on tables to curfew_backend;
alter default privileges for role curfew_owner in schema public grant usage, select on sequences to curfew_backend;

-- The trail. `audit_head` is one row that appending locks and moves on; it proves nothing and can forge nothing.
do $$
declare one text;
begin
  foreach one in array array['audit', 'audit_signature'] loop
    if to_regclass('public.' || one) is null then continue; end if;
    execute format('revoke all on %I from public, curfew_backend', one);
    execute format('grant select, insert on %I to curfew_backend', one);
  end loop;
  foreach one in array array['kysely_migration', 'kysely_migration_lock'] loop
    if to_regclass('public.' || one) is null then continue; end if;
    execute format('revoke all on %I from public, curfew_backend', one);
    execute format('grant select on %I to curfew_backend', one);
  end loop;
  if to_regclass('public.audit_head') is not null then
    revoke all on audit_head from public, curfew_backend;
    grant select, update on audit_head to curfew_backend;
  end if;
end $$;
