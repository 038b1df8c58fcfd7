/**
 * A database of its own for a test: real Postgres, migrated once a run into a template and copied in some 20 ms.
 * For tests only; the server is started by Vitest's global set-up.
 */
import { randomBytes } from 'node:crypto';
import { type Kysely, Kysely as KyselyDatabase, PostgresDialect } from 'kysely';
import pg from 'pg';
import { inject } from 'vitest';
import { migrate } from '../store/open.ts';
import type { Schema } from '../store/schema.ts';

declare module 'vitest' {
  export interface ProvidedContext {
    postgresUrl: string;
  }
}

pg.types.setTypeParser(pg.types.builtins.INT8, Number);

export type FreshStore = { db: Kysely<Schema>; url: string; close: () => Promise<void> };

const template = 'curfew_template';

const at = (url: string, database: string): string => url.replace(/\/postgres\?/, `/${database}?`);

const kysely = <T>(url: string): Kysely<T> =>
  new KyselyDatabase<T>({ dialect: new PostgresDialect({ pool: new pg.Pool({ connectionString: url, max: 10 }) }) });

const ensureTemplate = async (admin: pg.Client, url: string): Promise<void> => {
  // One worker makes it, the others wait: an advisory lock holds across databases of one session.
  await admin.query('select pg_advisory_lock(710)');
  try {
    const { rowCount } = await admin.query('select 1 from pg_database where datname = $1 and datistemplate', [
      template,
    ]);
    if (rowCount === 1) return;
    await admin.query(`drop database if exists ${template}`);
    await admin.query(`create database ${template}`);
    const db = kysely<unknown>(at(url, template));
    await migrate(db);
    await db.destroy();
    await admin.query(`alter database ${template} is_template true`);
  } finally {
    await admin.query('select pg_advisory_unlock(710)');
  }
};

/** A fresh, migrated, empty database and how to let it go. */
export const freshStore = async (): Promise<FreshStore> => {
  const url = inject('postgresUrl');
  const admin = new pg.Client({ connectionString: url });
  await admin.connect();
  const name = `t_${randomBytes(8).toString('hex')}`;
  try {
    await ensureTemplate(admin, url);
    await admin.query(`create database ${name} template ${template}`);
  } finally {
    await admin.end();
  }
  const db = kysely<Schema>(at(url, name));
  return { db, url: at(url, name), close: () => db.destroy() };
};
