/**
 * The way to Postgres: three separate doors, so that people who ask much cannot hold up an ending (threats API-07), and
 * migrations that only go forward.
 */
import { type Kysely, Kysely as KyselyDatabase, PostgresDialect, sql, type Transaction } from 'kysely';
import { type Migration, Migrator } from 'kysely/migration';
import pg from 'pg';
import { up as init } from './migrations/001-init.ts';
import { up as findings } from './migrations/005-findings.ts';
import type { Schema } from './schema.ts';

/** A database or a transaction on it: what reads take. */
export type Db = Kysely<Schema>;
/** A transaction: what changes take. */
export type Tx = Transaction<Schema>;

export type Store = {
  /** For people's calls. */
  api: Db;
  /** For the reconciler, the inventory and the sweeps. */
  reconcile: Db;
  /** A connection of its own for LISTEN, to be ended by whoever asked for it. */
  listenConnection: () => Promise<pg.Client>;
  /** Waits for open queries of both pools. */
  close: () => Promise<void>;
};

const statementMs = 5_000;
const idleInTransactionMs = 10_000;
/** How long a call waits for a free connection before it is told that the backend is busy. */
const connectionWaitMs = 5_000;

/** `bigint` as number: our sequences stay far below 2^53. */
const types: pg.CustomTypesConfig = {
  getTypeParser: (oid: number, format?: 'text' | 'binary') =>
    oid === pg.types.builtins.INT8 ? Number : pg.types.getTypeParser(oid, format),
};

type PoolOptions = {
  url: string;
  name: string;
  connections: number;
  onIdleError: (error: Error) => void;
};

const pool = ({ url, name, connections, onIdleError }: PoolOptions): pg.Pool => {
  const made = new pg.Pool({
    connectionString: url,
    application_name: `curfew ${name}`,
    max: connections,
    connectionTimeoutMillis: connectionWaitMs,
    statement_timeout: statementMs,
    idle_in_transaction_session_timeout: idleInTransactionMs,
    types,
  });
  // Without a listener a lost idle connection would end the process.
  made.on('error', onIdleError);
  return made;
};

const database = <T>(connections: pg.Pool): Kysely<T> =>
  new KyselyDatabase<T>({ dialect: new PostgresDialect({ pool: connections }) });

const migrations: Record<string, Migration> = { '001-init': { up: init }, '005-findings': { up: findings } };

/** Brings the database to this version's shape. Several backends may do it at once: they wait for each other. */
export const migrate = async (db: Kysely<unknown>): Promise<void> => {
  const migrator = new Migrator({ db, provider: { getMigrations: async () => migrations } });
  const { error } = await migrator.migrateToLatest();
  if (error !== undefined) throw new Error('The database could not be brought to this version.', { cause: error });
};

export type SchemaState = {
  /** As Postgres says it, e.g. `18.1`. */
  postgres: string;
  /** Migrations that have not run yet, in order; the backend runs them at its start. */
  pending: string[];
  /** Whether this database user may run them. */
  mayMigrate: boolean;
};

/** Looks at a database without changing it. @throws Error when it cannot be reached, or is of a newer version of Curfew. */
export const readSchemaState = async (url: string): Promise<SchemaState> => {
  const db = database<unknown>(
    new pg.Pool({
      connectionString: url,
      application_name: 'curfew doctor',
      max: 1,
      connectionTimeoutMillis: connectionWaitMs,
    }),
  );
  try {
    const { rows } = await sql<{ version: string; may: boolean }>`
      select current_setting('server_version') as version, has_schema_privilege(current_schema(), 'create') as may
    `.execute(db);
    const known = await new Migrator({ db, provider: { getMigrations: async () => migrations } }).getMigrations();
    return {
      postgres: rows[0]?.version ?? 'unknown',
      pending: known.flatMap(({ name, executedAt }) => (executedAt === undefined ? [name] : [])),
      mayMigrate: rows[0]?.may === true,
    };
  } finally {
    await db.destroy();
  }
};

/**
 * Opens the store at a Postgres address and migrates it.
 * @param onIdleError hears of connections that were lost while nobody used them; the pools replace them.
 * @throws Error when the database cannot be reached or migrated.
 */
export const openStore = async (url: string, onIdleError: (error: Error) => void): Promise<Store> => {
  const migrating = database<unknown>(
    // A migration may take longer than a call, so this pool has no statement time-out.
    new pg.Pool({ connectionString: url, application_name: 'curfew migrate', max: 1 }),
  );
  try {
    await migrate(migrating);
  } finally {
    await migrating.destroy();
  }
  const api = database<Schema>(pool({ url, name: 'api', connections: 10, onIdleError }));
  const reconcile = database<Schema>(pool({ url, name: 'reconcile', connections: 8, onIdleError }));
  return {
    api,
    reconcile,
    listenConnection: async () => {
      const client = new pg.Client({ connectionString: url, application_name: 'curfew listen', types });
      await client.connect();
      return client;
    },
    close: async () => {
      await Promise.all([api.destroy(), reconcile.destroy()]);
    },
  };
};

const busyCodes = new Set([
  // query_canceled (the statement time-out), too_many_connections, lock_not_available, deadlock_detected
  '57014',
  '53300',
  '55P03',
  '40P01',
]);

/** True when Postgres or its pool only had too much to do: trying again may help. */
export const isBusy = (error: unknown): boolean => {
  if (!(error instanceof Error)) return false;
  if ('code' in error && typeof error.code === 'string' && busyCodes.has(error.code)) return true;
  return error.message === 'timeout exceeded when trying to connect';
};
