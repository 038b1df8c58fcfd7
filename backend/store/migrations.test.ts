/** Migrations that an old backend survives: for one version both run on one database (decision 9). */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { sql } from 'kysely';
import { expect, test } from 'vitest';
import { freshStore } from '../testing/fresh-store.ts';
import { openStore, readGeneration } from './open.ts';

const folder = join(import.meta.dirname, 'migrations');
const files = readdirSync(folder).toSorted();

/** What a backend of the version before would stumble over, in one statement. */
const destructive: ReadonlyArray<{ what: string; found: (statement: string) => boolean }> = [
  { what: 'drops a table', found: (one) => /\bdrop\s+(table|view|schema|type|sequence)\b/.test(one) },
  { what: 'drops a column', found: (one) => /\balter\s+table\b.*\bdrop\s+column\b/.test(one) },
  { what: 'renames', found: (one) => /\balter\s+table\b.*\brename\b/.test(one) },
  { what: 'changes a type', found: (one) => /\balter\s+column\b.*\b(set\s+data\s+)?type\b/.test(one) },
  { what: 'demands a value', found: (one) => /\balter\s+column\b.*\bset\s+not\s+null\b/.test(one) },
  {
    what: 'adds a column that old inserts leave empty',
    found: (one) =>
      /\badd\s+column\b[^,]*\bnot\s+null\b(?![^,]*\bdefault\b)(?![^,]*\bgenerated\b)/.test(
        one.replace(/default[^,]*not\s+null/g, 'default'),
      ),
  },
  { what: 'empties a table', found: (one) => /^\s*(truncate|delete\s+from)\b/.test(one) },
];
const statementsOf = (text: string): string[] =>
  text
    .toLowerCase()
    .replace(/--.*$/gm, '')
    // The body of a function is not run by the migration.
    .replace(/\$\$.*?\$\$/gs, "''")
    .split(';')
    .map((one) => one.replace(/\s+/g, ' ').trim());
const problemsOf = (statements: readonly string[]): string[] =>
  statements.flatMap((one) => destructive.flatMap(({ what, found }) => (found(one) ? [`${what}: ${one}`] : [])));
/** Dropped for good, and no statement of the first version leans on them. Two unique indexes stand in for these. */
const looser = ['principals_account_id_name_key', 'principals_account_id_session_name_key'];
/** A constraint may be replaced by one of the same name: that is how a list of words grows. */
const droppedForGood = (statements: readonly string[]): string[] =>
  statements.flatMap((one) => {
    const names = [...one.matchAll(/\bdrop constraint (?:if exists )?(\w+)/g)].flatMap(([, name]) => name ?? []);
    return names.filter((name) => !statements.some((other) => other.includes(`add constraint ${name}`)));
  });

test('each file has a number of its own, and none is missing from the list that runs', async () => {
  const fresh = await freshStore();
  const { rows } = await sql<{ name: string }>`select name from kysely_migration order by name`.execute(fresh.db);
  await fresh.close();
  expect(rows.map(({ name }) => `${name}.ts`)).toEqual(files);
  expect(new Set(files.map((name) => name.slice(0, 3))).size).toBe(files.length);
});

test.each(files.filter((name) => !name.startsWith('001-')))(
  '%s takes nothing away that an old backend needs',
  (name) => {
    const statements = statementsOf(readFileSync(join(folder, name), 'utf8'));
    expect(problemsOf(statements)).toEqual([]);
  },
);

test.each([
  ['alter table grants drop column cause', 'drops a column'],
  ['drop table notices', 'drops a table'],
  ['alter table grants rename column cause to why', 'renames'],
  ['alter table grants alter column cause type text', 'changes a type'],
  ['alter table grants alter column cause set not null', 'demands a value'],
  ['alter table grants add column why text not null', 'adds a column'],
  ['delete from notices', 'empties a table'],
])('would be found: %s', (statement, what) => {
  expect(problemsOf(statementsOf(statement)).join()).toContain(what);
});

test('would not be found: what only adds', () => {
  const adds = `
    create table x (id text primary key); create index y on x (id); create unique index z on x (id);
    alter table grants add column why text; alter table grants add column many integer not null default 0;
    create function f() returns trigger language plpgsql as $$ begin delete from x; return null; end $$;
  `;
  expect(problemsOf(statementsOf(adds))).toEqual([]);
});

test('constraints that are dropped come back under the same name, or only loosen', () => {
  const gone = files
    .filter((name) => !name.startsWith('001-'))
    .flatMap((name) => droppedForGood(statementsOf(readFileSync(join(folder, name), 'utf8'))));
  expect(gone.filter((name) => !looser.includes(name))).toEqual([]);
});

test('an older backend leaves alone what a newer one has migrated, by one generation and by no more', async () => {
  const fresh = await freshStore();
  await sql`insert into kysely_migration (name, timestamp) values ('999-of-tomorrow', '2026-12-01T00:00:00.000Z')`.execute(
    fresh.db,
  );
  await sql`update schema_generation set generation = generation + 1`.execute(fresh.db);
  const store = await openStore(fresh.url, () => undefined);
  expect(await readGeneration(store.api)).toBeGreaterThan(2);
  await store.close();
  await sql`update schema_generation set generation = generation + 1`.execute(fresh.db);
  await expect(openStore(fresh.url, () => undefined)).rejects.toThrow('of generation 4');
  await expect(readGeneration(fresh.db)).rejects.toThrow('of generation 4');
  await fresh.close();
});

test('a database of before there were generations is the first one', async () => {
  const fresh = await freshStore();
  await sql`drop table schema_generation`.execute(fresh.db);
  expect(await readGeneration(fresh.db)).toBe(1);
  await fresh.close();
});

test('many backends that start at once migrate once', async () => {
  const fresh = await freshStore();
  await sql`drop schema public cascade`.execute(fresh.db);
  await sql`create schema public`.execute(fresh.db);
  const stores = await Promise.all([1, 2, 3, 4].map(() => openStore(fresh.url, () => undefined)));
  stores.push(await openStore(fresh.url, () => undefined));
  const { rows } = await sql<{ name: string }>`select name from kysely_migration`.execute(fresh.db);
  expect(rows).toHaveLength(files.length);
  for (const store of stores) await store.close();
  await fresh.close();
});
