/** One migrated database for all histories of this process. Each finds it as the migrations left it. */
import { randomBytes } from 'node:crypto';
import { Kysely, type KyselyPlugin, PostgresDialect } from 'kysely';
import pg from 'pg';
import { type Db, migrate } from '../../backend/store/open.ts';
import type { Schema } from '../../backend/store/schema.ts';

export type ChaosStore = {
  db: Db;
  /** How many statements have changed rows so far: when it stands still, so do they. */
  changes: () => number;
  /** As the migrations left it. */
  clear: () => Promise<void>;
  close: () => Promise<void>;
};

const at = (url: string, name: string): string => url.replace(/\/postgres\?/, `/${name}?`);

const types: pg.CustomTypesConfig = {
  getTypeParser: (oid: number, format?: 'text' | 'binary') =>
    oid === pg.types.builtins.INT8 ? Number : pg.types.getTypeParser(oid, format),
};

/** Each text with parameters is prepared once a connection: planning them anew each time would cost more than running them. */
const prepareAll = (client: pg.PoolClient): void => {
  const names = new Map<string, string>();
  const plainly = client.query.bind(client);
  const query = (text: unknown, values: unknown, ...others: unknown[]): unknown => {
    // Without parameters it may be several statements in one.
    if (typeof text !== 'string' || !Array.isArray(values) || values.length === 0)
      return Reflect.apply(plainly, client, [text, values, ...others]);
    const name = names.get(text) ?? `s${names.size}`;
    names.set(text, name);
    return plainly({ name, text, values });
  };
  Object.assign(client, { query });
};

/** Keeps what the migrations put. @returns the statements that bring the database back to it. */
const learnToClear = async (pool: pg.Pool): Promise<string> => {
  const named = async (text: string): Promise<string[]> => {
    const { rows } = await pool.query<{ name: string }>(text);
    return rows.map(({ name }) => name);
  };
  const tables = await named(
    "select relname as name from pg_class where relnamespace = 'public'::regnamespace and relkind in ('r', 'p') and relname not like 'kysely%'",
  );
  const sequences = await named("select sequencename as name from pg_sequences where schemaname = 'public'");
  await pool.query('create schema migrated');
  const filled: string[] = [];
  for (const table of tables) {
    const { rowCount } = await pool.query(`create table migrated.${table} as table public.${table}`);
    if ((rowCount ?? 0) > 0) filled.push(table);
  }
  return [
    'begin',
    // The trail takes no truncate while its triggers are up.
    'set local session_replication_role = replica',
    `truncate ${tables.join(', ')}`,
    ...filled.map((table) => `insert into ${table} table migrated.${table}`),
    ...sequences.map((name) => `alter sequence ${name} restart`),
    'commit',
  ].join('; ');
};

/** @param url of the database `postgres` of a cluster that may be thrown away. */
export const openChaosStore = async (url: string): Promise<ChaosStore> => {
  const name = `chaos_${randomBytes(6).toString('hex')}`;
  const admin = new pg.Client({ connectionString: url });
  await admin.connect();
  await admin.query(`create database ${name}`);
  await admin.end();
  const pool = new pg.Pool({
    connectionString: at(url, name),
    max: 8,
    // A new one would have to prepare everything again.
    idleTimeoutMillis: 0,
    types,
    options: '-c plan_cache_mode=force_generic_plan',
  });
  pool.on('connect', prepareAll);
  let closing = false;
  pool.on('error', (error) => {
    // One that is on its way out may still hear that the server stops.
    if (!closing) throw error;
  });
  let changes = 0;
  const counting: KyselyPlugin = {
    transformQuery: ({ node }) => node,
    transformResult: async ({ result }) => {
      if ((result.numAffectedRows ?? 0n) > 0n) changes += 1;
      return result;
    },
  };
  const db = new Kysely<Schema>({ dialect: new PostgresDialect({ pool }), plugins: [counting] });
  await migrate(new Kysely<unknown>({ dialect: new PostgresDialect({ pool }) }));
  const clearing = await learnToClear(pool);
  return {
    db,
    changes: () => changes,
    clear: async () => {
      await pool.query(clearing);
      changes += 1;
    },
    close: async () => {
      closing = true;
      await db.destroy();
    },
  };
};
