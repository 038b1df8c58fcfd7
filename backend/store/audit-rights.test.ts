/** AU-06 with the real database users that deploy/postgres.sql makes. */
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { sql } from 'kysely';
import pg from 'pg';
import { afterAll, beforeAll, expect, inject, test } from 'vitest';
import { appendAudit } from '../audit/chain.ts';
import { auditRightsTooMany } from './audit-rights.ts';
import { openStore, type Store } from './open.ts';

const postgresSql = readFileSync(fileURLToPath(new URL('../../deploy/postgres.sql', import.meta.url)), 'utf8');
const name = `t_${randomBytes(8).toString('hex')}`;
const asUser = (user: string | null): string => {
  const url = inject('postgresUrl').replace(/\/postgres\?/, `/${name}?`);
  return user === null ? url : url.replace(/\/\/[^@/]*@/, `//${user}:unused@`);
};
const withAdmin = async (url: string, text: string): Promise<void> => {
  const admin = new pg.Client({ connectionString: url });
  await admin.connect();
  await admin.query(text).finally(() => admin.end());
};
const open = (user: string): Promise<Store> => openStore(asUser(user), () => undefined);

let backend: Store;
beforeAll(async () => {
  await withAdmin(inject('postgresUrl'), `create database ${name}`);
  await withAdmin(asUser(null), postgresSql);
  await withAdmin(asUser(null), `alter role curfew_owner login; alter role curfew_backend login`);
  await (await open('curfew_owner')).close();
  await withAdmin(asUser(null), postgresSql);
  backend = await open('curfew_backend');
});
afterAll(() => backend.close());

const event = { kind: 'rules_loaded', ruleSetHash: 'x', rules: 1, actor: { kind: 'curfew' } } as const;
const append = () =>
  backend.api.transaction().execute((tx) => appendAudit(tx, { ...event, at: new Date().toISOString() }));

test('AU-06 the backend’s user appends to the trail, and can neither change, cut, truncate nor unguard it', async () => {
  expect(await append()).toBe(1);
  expect(await append()).toBe(2);
  const denied = /permission denied|must be owner|row-level|not permitted/;
  for (const text of [
    `update audit set kind = 'signed_in'`,
    'delete from audit where sequence = 2',
    'truncate audit cascade',
    'alter table audit disable trigger audit_no_change',
    'alter table audit disable trigger all',
    'drop trigger audit_no_change on audit',
    'drop table audit cascade',
    'create or replace function audit_is_append_only() returns trigger language plpgsql as $$ begin return old; end $$',
    `update audit_signature set hash = 'x'`,
    'delete from audit_signature',
    'set session_replication_role = replica',
    'create table public.mine ()',
    'set role curfew_owner',
    `delete from kysely_migration`,
  ]) {
    await expect(sql.raw(text).execute(backend.api), text).rejects.toThrow(denied);
  }
  const { rows } = await sql`select sequence from audit`.execute(backend.api);
  expect(rows).toHaveLength(2);
});

test('AU-06 the rest of its work needs no more', async () => {
  for (const text of [
    `insert into people (id, user_name, display_name, enabled, checked_at) values ('p-1', 'a', 'a', true, now())`,
    `update people set display_name = 'b' where id = 'p-1'`,
    `delete from people where id = 'p-1'`,
    `insert into changes (topic, ref) values ('me', null)`,
    'select count(*) from findings, sweeps, trail_holds',
  ]) {
    await expect(sql.raw(text).execute(backend.reconcile), text).resolves.toBeDefined();
  }
});

test('AU-06 at the start it is told when one user owns and runs all', async () => {
  expect(await auditRightsTooMany(backend.reconcile)).toEqual([]);
  const owner = await open('curfew_owner');
  try {
    expect(await auditRightsTooMany(owner.reconcile)).toEqual(expect.arrayContaining(['own audit', 'UPDATE audit']));
  } finally {
    await owner.close();
  }
});
