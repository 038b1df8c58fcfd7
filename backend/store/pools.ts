/**
 * Connections to Postgres that do not outlive its host. A host that vanishes without a word (a fail-over, a network that is cut) leaves
 * connections that look whole: what is asked on them is never answered, and Postgres' own time-outs end with it. So every answer has a
 * limit here, and a connection that broke it is ended: given back, it would be the next caller's.
 */
import { Kysely, PostgresDialect, type PostgresPool, type PostgresPoolClient, type PostgresQueryResult } from 'kysely';
import pg from 'pg';

/** How long Postgres itself works on one statement, waiting for locks included. */
const statementMs = 5_000;
const idleInTransactionMs = 10_000;
/** How long an answer may take on its way, beyond the statement's own time: a busy process reads it late. */
const onTheWayMs = 5_000;
/** The kernel asks a quiet host whether it is there; it takes some ten seconds more until it gives it up. */
const keepAliveMs = 10_000;

/** `bigint` as number: our sequences stay far below 2^53. */
const types: pg.CustomTypesConfig = {
  getTypeParser: (oid: number, format?: 'text' | 'binary') =>
    oid === pg.types.builtins.INT8 ? Number : pg.types.getTypeParser(oid, format),
};

/** What all of our connections have in common. */
export const connectionTo = (url: string, name: string): pg.ClientConfig => ({
  connectionString: url,
  application_name: `curfew ${name}`,
  keepAlive: true,
  keepAliveInitialDelayMillis: keepAliveMs,
  types,
});

/** `pg` says so when its `query_timeout` is over. */
const silence = 'Query read timeout';

/** When connections of one pool last answered, and since when one of them did not, on the monotonic clock. */
type Heard = { answeredAt: WeakMap<pg.PoolClient, number>; silentSince: number };

/** A connection on loan. Kysely gives it back as if nothing had happened on it; this one is ended when it was not answered. */
class LentConnection implements PostgresPoolClient {
  readonly #client: pg.PoolClient;
  readonly #heard: Heard;
  #lost: { error: unknown } | null = null;

  constructor(client: pg.PoolClient, heard: Heard) {
    this.#client = client;
    this.#heard = heard;
  }

  query<R>(sql: string, parameters: ReadonlyArray<unknown>): Promise<PostgresQueryResult<R>>;
  /** No rows are read by cursors here: Kysely is given none. */
  query(cursor: never): never;
  async query(sql: string, parameters: ReadonlyArray<unknown> = []): Promise<unknown> {
    // A rollback, mostly: it would wait as long once more, and nothing is left to be rolled back.
    if (this.#lost !== null) throw this.#lost.error;
    const asked = performance.now();
    try {
      const answer = await this.#client.query(sql, [...parameters]);
      this.#heard.answeredAt.set(this.#client, performance.now());
      return answer;
    } catch (error) {
      // What Postgres says itself is an answer. Anything else leaves a connection of which nobody knows what comes on it next.
      if (error instanceof pg.DatabaseError) this.#heard.answeredAt.set(this.#client, performance.now());
      else this.#lost = { error };
      if (error instanceof Error && error.message === silence) {
        this.#heard.silentSince = Math.max(this.#heard.silentSince, asked);
      }
      throw error;
    }
  }

  release(destroy = false): void {
    this.#client.release(destroy || this.#lost !== null);
  }
}

/** Lends what can be trusted: when one was not answered, those that have not answered since then are ended, not found out one by one. */
const lending = (pool: pg.Pool): PostgresPool => {
  const heard: Heard = { answeredAt: new WeakMap(), silentSince: Number.NEGATIVE_INFINITY };
  pool.on('connect', (client) => heard.answeredAt.set(client, performance.now()));
  const connect = async (): Promise<LentConnection> => {
    for (;;) {
      const client = await pool.connect();
      if ((heard.answeredAt.get(client) ?? 0) >= heard.silentSince) return new LentConnection(client, heard);
      client.release(true);
    }
  };
  return { options: pool.options, connect, end: () => pool.end() };
};

export type PoolOptions = {
  url: string;
  name: string;
  connections: number;
  /** How long a caller waits for a free connection, milliseconds. */
  waitMs: number;
  /** How long one answer may take, milliseconds; when left out, some seconds more than Postgres lets a statement run. */
  answerMs?: number | undefined;
  onIdleError: (error: Error) => void;
};

/** The pool's own limit is for waiting in its queue too, and so a longer one. */
const connecting = (mostMs: number) =>
  class extends pg.Client {
    constructor(config?: pg.ClientConfig) {
      super({ ...config, connectionTimeoutMillis: mostMs });
    }
  };

/** A pool for many short statements. What is not answered in time fails, and its connection is replaced. */
export const openPool = <T>(options: PoolOptions): Kysely<T> => {
  const { url, name, connections, waitMs, answerMs = statementMs + onTheWayMs, onIdleError } = options;
  const made = new pg.Pool({
    ...connectionTo(url, name),
    max: connections,
    connectionTimeoutMillis: waitMs,
    // Longer than what is done each minute waits for its turn.
    idleTimeoutMillis: 90_000,
    statement_timeout: statementMs,
    idle_in_transaction_session_timeout: idleInTransactionMs,
    query_timeout: answerMs,
    Client: connecting(Math.min(waitMs, answerMs)),
  });
  // Without a listener a lost idle connection would end the process.
  made.on('error', onIdleError);
  // So would one that is lost in the middle of a query: the pool listens to idle ones only, and the query fails by itself.
  made.on('connect', (client) => {
    client.on('error', onIdleError);
    // Every statement of ours is short: compiling one by its estimated cost takes longer than running it, by tens of milliseconds.
    client.query('set jit = off').catch(onIdleError);
  });
  return new Kysely<T>({ dialect: new PostgresDialect({ pool: lending(made) }) });
};

/**
 * One connection for work that may rightly take long, without limits of its own.
 * @param limits for each answer and for the connection to be made, milliseconds.
 */
export const openOne = <T>(url: string, name: string, limits: { answerMs?: number; waitMs?: number } = {}): Kysely<T> =>
  new Kysely<T>({
    dialect: new PostgresDialect({
      pool: lending(
        new pg.Pool({
          ...connectionTo(url, name),
          max: 1,
          ...(limits.waitMs === undefined ? {} : { connectionTimeoutMillis: limits.waitMs }),
          ...(limits.answerMs === undefined ? {} : { query_timeout: limits.answerMs }),
        }),
      ),
    }),
  });
