/**
 * The way to Postgres: three separate doors, so that people who ask much cannot hold up an ending (threats API-07), and
 * migrations that only go forward.
 */
import { type Kysely, type QueryExecutorProvider, sql, type Transaction } from 'kysely';
import { type Migration, Migrator } from 'kysely/migration';
import pg from 'pg';
import { auditRightsTooMany } from './audit-rights.ts';
import { assertDatabaseAddress } from './database-address.ts';
import { up as init } from './migrations/001-init.ts';
import { up as principalKinds } from './migrations/002-principal-kinds.ts';
import { up as backends } from './migrations/003-backends.ts';
import { up as killSwitches } from './migrations/004-kill-switches.ts';
import { up as findings } from './migrations/005-findings.ts';
import { up as longHistory } from './migrations/006-long-history.ts';
import { up as found } from './migrations/008-found.ts';
import { up as tagChanges } from './migrations/009-tag-changes.ts';
import { up as namesOfUsers } from './migrations/010-names-of-users.ts';
import { up as groupMembers } from './migrations/011-group-members.ts';
import { up as clockSetBack } from './migrations/012-clock-set-back.ts';
import { up as terminations } from './migrations/013-terminations.ts';
import { connectionTo, openOne, openPool } from './pools.ts';
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
  /** A connection of its own for LISTEN, to be ended by whoever asked for it. A query that is not answered within 4 s fails. */
  listenConnection: () => Promise<pg.Client>;
  /** Likewise, for the heartbeat of this backend. */
  presenceConnection: () => Promise<pg.Client>;
  /** Waits for open queries of both pools. */
  close: () => Promise<void>;
};

/** How long a call waits for a free connection before it is told that the backend is busy. */
const connectionWaitMs = 5_000;
/** Nobody is told anything by the reconciler: hundreds of passes that begin at one instant take turns. */
const reconcileWaitMs = 30_000;
/** Doctor is watched by somebody, and its questions are short. */
const doctorAnswerMs = 10_000;

/**
 * The longest that a connection of its own waits for an answer, and to be made. For a heartbeat it is less than it takes to be counted as
 * dead (`backends.ts`).
 */
const ownAnswerMs = 4_000;

const migrations: Record<string, Migration> = {
  '001-init': { up: init },
  '002-principal-kinds': { up: principalKinds },
  '003-backends': { up: backends },
  '004-kill-switches': { up: killSwitches },
  '005-findings': { up: findings },
  '006-long-history': { up: longHistory },
  '008-found': { up: found },
  '009-tag-changes': { up: tagChanges },
  '010-names-of-users': { up: namesOfUsers },
  '011-group-members': { up: groupMembers },
  '012-clock-set-back': { up: clockSetBack },
  '013-terminations': { up: terminations },
};

/** Raised by one in each release that changes the database, here and in a migration. */
const generation = 2;

/**
 * The generation of the database, 1 for one of before there were generations.
 * @throws Error when it is more than one newer than this backend: then it might misread what stands there.
 */
export const readGeneration = async (db: QueryExecutorProvider): Promise<number> => {
  const { rows } = await sql<{ there: boolean }>`
    select to_regclass('schema_generation') is not null as there`.execute(db);
  if (rows[0]?.there !== true) return 1;
  const found = await sql<{ generation: number }>`select generation from schema_generation`.execute(db);
  const newest = found.rows[0]?.generation ?? 1;
  if (newest > generation + 1) {
    throw new Error(
      `The database is of generation ${newest}; this backend knows ${generation}, and works with ${generation + 1} at most.`,
    );
  }
  return newest;
};

/** Did a newer backend migrate it? Its migrations only add, so this one goes on with it as it is (decision 9). */
const isNewer = async (db: Kysely<unknown>): Promise<boolean> => {
  await readGeneration(db);
  const { rows } = await sql<{ there: boolean }>`
    select to_regclass('kysely_migration') is not null as there`.execute(db);
  if (rows[0]?.there !== true) return false;
  const ran = await sql<{ name: string }>`select name from kysely_migration`.execute(db);
  return ran.rows.some(({ name }) => !(name in migrations));
};

/**
 * Brings the database to this version's shape. Several backends may do it at once: the migrator's lock lets one after the
 * other. What a backend of the next version has migrated already is left as it is.
 * @throws Error when it is of a still newer version, or a migration fails.
 */
export const migrate = async (db: Kysely<unknown>): Promise<void> => {
  if (await isNewer(db)) return;
  const migrator = new Migrator({ db, provider: { getMigrations: async () => migrations } });
  const { error } = await migrator.migrateToLatest();
  // A newer one may have come first in between.
  if (error === undefined || (await isNewer(db))) return;
  throw new Error('The database could not be brought to this version.', { cause: error });
};

export type SchemaState = {
  /** As Postgres says it, e.g. `18.1`. */
  postgres: string;
  /** Migrations that have not run yet, in order; the backend runs them at its start. */
  pending: string[];
  /** Whether this database user may run them. */
  mayMigrate: boolean;
  /** What it may do to the trail beyond appending and reading (threats AU-06). */
  auditRightsTooMany: string[];
};

/** Looks at a database without changing it. @throws Error for an address like `openStore`'s, when it cannot be reached, or is newer than this. */
export const readSchemaState = async (url: string): Promise<SchemaState> => {
  assertDatabaseAddress(url);
  const db = openOne<unknown>(url, 'doctor', { waitMs: connectionWaitMs, answerMs: doctorAnswerMs });
  try {
    const { rows } = await sql<{ version: string; may: boolean }>`
      select current_setting('server_version') as version, has_schema_privilege(current_schema(), 'create') as may
    `.execute(db);
    const known = await new Migrator({ db, provider: { getMigrations: async () => migrations } }).getMigrations();
    return {
      postgres: rows[0]?.version ?? 'unknown',
      pending: known.flatMap(({ name, executedAt }) => (executedAt === undefined ? [name] : [])),
      mayMigrate: rows[0]?.may === true,
      auditRightsTooMany: await auditRightsTooMany(db),
    };
  } finally {
    await db.destroy();
  }
};

/**
 * Opens the store at a Postgres address and migrates it.
 * @param onIdleError hears of connections that were lost while nobody used them; the pools replace them.
 * @param answerMs how long an answer may take in both pools, milliseconds; 10 s when left out.
 * @throws Error when the address is beyond this machine without `sslmode=verify-full` (threats API-15), or the database cannot be reached
 * or migrated.
 */
export const openStore = async (
  url: string,
  onIdleError: (error: Error) => void,
  { answerMs }: { answerMs?: number } = {},
): Promise<Store> => {
  assertDatabaseAddress(url);
  // A migration may take longer than a call, so this connection has no time-outs.
  const migrating = openOne<unknown>(url, 'migrate');
  try {
    await migrate(migrating);
  } finally {
    await migrating.destroy();
  }
  const api = openPool<Schema>({ url, name: 'api', connections: 10, waitMs: connectionWaitMs, answerMs, onIdleError });
  const reconcile = openPool<Schema>({
    url,
    name: 'reconcile',
    connections: 12,
    waitMs: reconcileWaitMs,
    answerMs,
    onIdleError,
  });
  const ownConnection = async (name: string): Promise<pg.Client> => {
    const client = new pg.Client({
      ...connectionTo(url, name),
      connectionTimeoutMillis: ownAnswerMs,
      query_timeout: ownAnswerMs,
    });
    await client.connect();
    return client;
  };
  return {
    api,
    reconcile,
    listenConnection: () => ownConnection('listen'),
    presenceConnection: () => ownConnection('presence'),
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
