/**
 * What to tell whom: rows written with the change itself, carried to every backend by NOTIFY when it commits, kept for an
 * hour so that a client that comes back misses nothing. An event has no content: it says what to fetch again, so hearing one
 * twice does no harm.
 */
import { type Selectable, sql } from 'kysely';
import type pg from 'pg';
import { z } from 'zod';
import type { ChangeEvent } from '../../src/shared/views.ts';
import type { Db, Tx } from './open.ts';
import type { Schema } from './schema.ts';

const channel = 'curfew_changes';
const keepMs = 3_600_000;
/**
 * Ids are drawn before their transactions commit, so a lower id may appear after a higher one. A transaction lives at most
 * some 15 s (the time-outs of `open.ts`): whoever reads after an id reads this much of the time before it again.
 */
const overlapMs = 30_000;

export type NewChange = {
  topic: ChangeEvent['topic'];
  /** The id of the request or grant, if one. */
  ref: string | null;
  /** Ids of the people who may hear of it; null: every signed-in person. */
  audience: readonly string[] | null;
};

export type RecordedChange = { id: number; event: ChangeEvent; audience: readonly string[] | null };

/** Records a change in the transaction that makes it; Postgres tells all backends when that commits, and not otherwise. */
export const recordChange = async (tx: Tx, change: NewChange): Promise<void> => {
  const audience = change.audience === null ? null : [...new Set(change.audience)];
  await sql`
    with made as (
      insert into changes (topic, ref, audience) values (${change.topic}, ${change.ref}, ${audience}) returning id
    )
    select pg_notify(${channel}, id::text) from made
  `.execute(tx);
};

/**
 * Records a change of a request or of one of its grants for everybody who sees it: who asked, who was asked to decide, and who
 * did. Admins hear of everything without being named (`api/streams.ts`). One statement: every step of every ending tells.
 */
export const tellChange = async (
  tx: Tx,
  { topic, id, requestId }: { topic: 'requests' | 'grants'; id: string; requestId: string },
): Promise<void> => {
  await sql`
    with made as (
      insert into changes (topic, ref, audience) values (${topic}, ${id}, array(
        select requester_id from requests where id = ${requestId}
        union
        select person_id from notices where kind = 'to-approve' and target_kind = 'request' and target_id = ${requestId}
        union
        select person_id from decisions where request_id = ${requestId} and person_id is not null
      ))
      returning id
    )
    select pg_notify(${channel}, id::text) from made
  `.execute(tx);
};

const changeOf = (row: Selectable<Schema['changes']>): RecordedChange => ({
  id: row.id,
  event: { topic: row.topic, id: row.ref },
  audience: row.audience,
});

/** May this person hear of it? */
export const hears = (change: RecordedChange, personId: string): boolean =>
  change.audience === null || change.audience.includes(personId);

/** What a client that heard up to `lastId` may have missed, oldest first; null when that is too long ago to tell. */
export const changesSince = async (db: Db, lastId: number): Promise<RecordedChange[] | null> => {
  const last = await db.selectFrom('changes').select('at').where('id', '=', lastId).executeTakeFirst();
  if (last === undefined) return null;
  const rows = await db
    .selectFrom('changes')
    .selectAll()
    .where((eb) => eb.or([eb('id', '>', lastId), eb('at', '>', new Date(last.at.getTime() - overlapMs))]))
    .where('id', '<>', lastId)
    .orderBy('id')
    .limit(1_000)
    .execute();
  return rows.length === 1_000 ? null : rows.map(changeOf);
};

/** The newest id, 0 when there is none: where a client begins that fetches everything anyway. */
export const lastChangeId = async (db: Db): Promise<number> => {
  const row = await db
    .selectFrom('changes')
    .select((eb) => eb.fn.max('id').as('id'))
    .executeTakeFirstOrThrow();
  return row.id ?? 0;
};

const topics = ['requests', 'grants', 'notices', 'inventory', 'me'] as const;

/** For a client that was away too long: fetch all of it again. */
export const everythingChanged = async (db: Db): Promise<RecordedChange[]> => {
  const id = await lastChangeId(db);
  return topics.map((topic) => ({ id, event: { topic, id: null }, audience: null }));
};

/** Forgets changes older than an hour. */
export const forgetOldChanges = async (db: Db, now: Date): Promise<void> => {
  await db
    .deleteFrom('changes')
    .where('at', '<', new Date(now.getTime() - keepMs))
    .execute();
};

export type ChangeFeed = {
  /** Calls for each change of any backend on this database until the returned function is called. */
  subscribe: (listener: (change: RecordedChange) => void) => () => void;
  stop: () => Promise<void>;
};

export type ChangeFeedOptions = {
  db: Db;
  listenConnection: () => Promise<pg.Client>;
  /** Called when the connection was lost, could not be made, or a change could not be read; all of it is tried again. */
  onError: (error: unknown) => void;
  /** How often the connection is asked whether it still stands, milliseconds; 5 s when left out. */
  askEveryMs?: number;
};

/** Who only listens would not notice that its host has vanished: nothing is heard of what is not there. */
const usualAskEveryMs = 5_000;

const payloadId = z.coerce.number().int().positive();
const listenAgainMs = 1_000;
/** The pauses before changes are read again that could not be read, milliseconds: the first, doubled up to the longest. */
const [firstPauseMs, longestPauseMs] = [250, 5_000];

/** Listens for the changes of all backends. Resolves when it listens. @throws what the first connection throws. */
export const startChangeFeed = async (options: ChangeFeedOptions): Promise<ChangeFeed> => {
  const { db, listenConnection, onError, askEveryMs = usualAskEveryMs } = options;
  const listeners = new Set<(change: RecordedChange) => void>();
  let stopped = false;
  let lastHeard = await lastChangeId(db);
  /** Something may have been missed: until all since `lastHeard` was read, nothing newer is told, or it would move past what is missing. */
  let behind = false;
  let failures = 0;
  let client: pg.Client | null = null;
  let again: NodeJS.Timeout | null = null;
  let catchingUp: NodeJS.Timeout | null = null;
  let asking: NodeJS.Timeout | null = null;
  // Rows are read one after another, so that listeners hear them in order.
  let reading: Promise<void> = Promise.resolve();

  const tell = (change: RecordedChange): void => {
    lastHeard = Math.max(lastHeard, change.id);
    for (const listener of listeners) {
      try {
        listener(change);
      } catch (error) {
        // Its own affair: the change was read, and the others hear it.
        onError(error);
      }
    }
  };
  const read = async (id: number): Promise<void> => {
    // The catch-up that is due reads it too.
    if (behind) return;
    const row = await db.selectFrom('changes').selectAll().where('id', '=', id).executeTakeFirst();
    if (row !== undefined) tell(changeOf(row));
  };
  const catchUp = async (): Promise<void> => {
    if (!behind) return;
    for (const change of (await changesSince(db, lastHeard)) ?? (await everythingChanged(db))) tell(change);
    behind = false;
    failures = 0;
  };
  const inTurn = (work: () => Promise<void>): void => {
    reading = reading.then(work).catch((error: unknown) => {
      behind = true;
      onError(error);
      catchUpLater();
    });
  };
  const catchUpLater = (): void => {
    if (stopped || catchingUp !== null) return;
    const pauseMs = Math.min(longestPauseMs, firstPauseMs * 2 ** failures);
    failures += 1;
    catchingUp = setTimeout(() => {
      catchingUp = null;
      inTurn(catchUp);
    }, pauseMs);
  };

  const listen = async (): Promise<void> => {
    const connection = await listenConnection();
    connection.on('notification', ({ payload }) => {
      const id = payloadId.safeParse(payload);
      if (id.success) inTurn(() => read(id.data));
    });
    connection.on('error', onError);
    try {
      await connection.query(`listen ${channel}`);
    } catch (error) {
      connection.end().catch(onError);
      throw error;
    }
    connection.on('end', () => {
      if (asking !== null) clearTimeout(asking);
      client = null;
      behind = true;
      retry();
    });
    client = connection;
    // It was made while somebody stopped this.
    if (stopped) await connection.end();
    else askAgain(connection);
  };
  const askAgain = (connection: pg.Client): void => {
    if (stopped || client !== connection) return;
    asking = setTimeout(() => {
      connection.query('select 1').then(
        () => askAgain(connection),
        (error: unknown) => {
          onError(error);
          // Then another one is made, which catches up.
          connection.end().catch(onError);
        },
      );
    }, askEveryMs);
  };
  const retry = (): void => {
    if (stopped || again !== null) return;
    again = setTimeout(() => {
      again = null;
      listen()
        .then(() => inTurn(catchUp))
        .catch((error: unknown) => {
          onError(error);
          retry();
        });
    }, listenAgainMs);
  };

  await listen();
  return {
    subscribe: (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    stop: async () => {
      stopped = true;
      for (const timer of [again, catchingUp, asking]) if (timer !== null) clearTimeout(timer);
      await client?.end();
      await reading;
    },
  };
};
