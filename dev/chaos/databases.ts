/** A fresh, migrated database for each history, copied from a template. */
import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { Kysely, PostgresDialect } from 'kysely';
import pg from 'pg';
import { migrate } from '../../backend/store/open.ts';

export type Databases = {
  /** @returns its address. */
  make: () => Promise<string>;
  drop: (url: string) => Promise<void>;
  close: () => Promise<void>;
};

const at = (url: string, name: string): string => url.replace(/\/postgres\?/, `/${name}?`);
const nameIn = (url: string): string => /\/(\w+)\?/.exec(url)?.[1] ?? '';

/** @param url of the database `postgres` of a cluster that may be thrown away. */
export const openDatabases = async (url: string): Promise<Databases> => {
  const admin = new pg.Client({ connectionString: url });
  await admin.connect();
  const template = `chaos_${randomBytes(6).toString('hex')}`;
  await admin.query(`create database ${template}`);
  const db = new Kysely<unknown>({
    dialect: new PostgresDialect({ pool: new pg.Pool({ connectionString: at(url, template), max: 1 }) }),
  });
  await migrate(db);
  await db.destroy();
  return {
    make: async () => {
      const name = `${template}_${randomBytes(6).toString('hex')}`;
      await admin.query(`create database ${name} template ${template}`);
      return at(url, name);
    },
    drop: async (made) => {
      for (;;) {
        try {
          await admin.query(`drop database ${nameIn(made)}`);
          return;
        } catch (error) {
          // A connection that was ended just now is still on its way out.
          if (!(error instanceof pg.DatabaseError) || error.code !== '55006') throw error;
          await sleep(20);
        }
      }
    },
    close: async () => {
      await admin.query(`drop database ${template} with (force)`);
      await admin.end();
    },
  };
};
