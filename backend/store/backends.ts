/**
 * The backends on one database. Each has a number while it lives: it says so every second on a connection of its own, which
 * also holds the lock of that number, so Postgres itself knows within a moment when a process is gone. Whoever notices first
 * makes what the dead one worked on due again. The same heartbeat reads the database's clock, which judges every end.
 */
import { hostname } from 'node:os';
import { sql } from 'kysely';
import type pg from 'pg';
import { z } from 'zod';
import type { Db } from './open.ts';

/** First half of the advisory locks that say "this backend lives"; the second half is its number. */
const lockClass = 7420;
const beatEveryMs = 1_000;
/** After this long without an answer it counts itself as dead, before the others do. */
const unsureMs = 5_000;
const deadAfter = '7 seconds';
const joinAgainMs = 500;

/** Answers from the database for this long are what the clock is taken from; slower ones say too little. */
const sharpestMs = 1;

export type Backends = {
  /** Its number among the living; null while it does not know whether it is one of them. */
  number: () => number | null;
  /** The database's clock. Steps of this machine's clock do not move it. */
  now: () => Date;
  /** This machine's clock minus the database's, milliseconds. */
  clockAheadMs: () => number;
  /** Machine and process id, for people. */
  name: string;
  /** How many live, this one among them, at the last beat. */
  living: () => number;
  /** Leaves: what it still holds is due for the others at once. */
  leave: () => Promise<void>;
};

export type BackendsOptions = {
  /** A connection of its own, without a pooler in between: its locks must live as long as it does. */
  connection: () => Promise<pg.Client>;
  version: string;
  /** Called when what a dead backend held became due. */
  onFreed: () => void;
  /** The connection was lost or did not answer; it is tried again. */
  onError: (error: unknown) => void;
};

const joined = z.tuple([z.object({ number: z.number().int() })]);
const beaten = z.array(z.object({ now: z.date(), living: z.number().int(), lost: z.boolean() }));

const ownName = `${hostname()} ${process.pid}`;

/** A clock that follows another one: moved only by readings, in between by the machine's monotonic clock. */
const followingClock = () => {
  let at = { theirs: Date.now(), mine: performance.now() };
  const read = (): number => at.theirs + (performance.now() - at.mine);
  return {
    read,
    /** `theirs` was read at some instant between `from` and now, on the monotonic clock. */
    hear: (theirs: number, from: number): void => {
      const mine = performance.now();
      const unsure = (mine - from) / 2 + sharpestMs;
      const heard = theirs + (mine - from) / 2;
      // Within what the reading can tell, the old one stays: it was as good, and time does not jump.
      if (Math.abs(heard - read()) > unsure) at = { theirs: heard, mine };
    },
  };
};

/** Takes a number, its lock first: a row without a held lock is a dead backend's. */
const takeNumber = async (client: pg.Client, version: string): Promise<number> => {
  const drawn = await client.query("select nextval('backend_numbers')::integer as number");
  const [{ number }] = joined.parse(drawn.rows);
  await client.query('select pg_advisory_lock($1, $2)', [lockClass, number]);
  await client.query(
    'insert into backends (number, name, version) values ($1, $2, $3) on conflict (number) do update set seen_at = clock_timestamp()',
    [number, ownName, version],
  );
  return number;
};

/** Of `backends b`; `$1` is the class of the locks. */
const isDead = `seen_at < clock_timestamp() - interval '${deadAfter}' or not exists (
  select from pg_locks l where l.locktype = 'advisory' and l.granted and l.objsubid = 2 and l.classid = $1
    and l.objid = b.number::oid and l.database = (select oid from pg_database where datname = current_database())
)`;

/** Of `principals p`. */
const heldByTheDead = 'holder is not null and not exists (select from backends b where b.number = p.holder)';

/** One statement, as it comes each second: says that this one lives, reads the clock, and looks whether somebody has died. */
const beatStatement = `with beat as (
    update backends set seen_at = clock_timestamp(), clock_ahead_ms = $3 where number = $2 returning clock_timestamp() as now
  )
  select now, (select count(*) from backends)::integer as living,
    exists (select from backends b where number <> $2 and (${isDead}))
      or exists (select from principals p where ${heldByTheDead}) as lost
  from beat`;

/** Forgets the dead and makes due what they held. @returns whether there was something. */
const bury = async (client: pg.Client): Promise<boolean> => {
  await client.query(`delete from backends b where ${isDead}`, [lockClass]);
  const { rowCount } = await client.query(
    `update principals set holder = null, due_at = least(due_at, clock_timestamp()) where id in (
       select id from principals p where ${heldByTheDead} for update skip locked
     )`,
  );
  return (rowCount ?? 0) > 0;
};

/**
 * Joins the backends on this database. Resolves when it has a number and has read the clock once.
 * @throws what the first connection throws.
 */
export const joinBackends = async (options: BackendsOptions): Promise<Backends> => {
  const { version, onFreed, onError } = options;
  const clock = followingClock();
  let member: { client: pg.Client; number: number; answeredAt: number } | null = null;
  let living = 1;
  let left = false;
  let timer: NodeJS.Timeout | null = null;
  let working: Promise<void> = Promise.resolve();

  const lose = (client: pg.Client, error: unknown): void => {
    if (member?.client === client) member = null;
    onError(error);
    client.end().catch(() => undefined); // lost already: nothing more can be done for it
  };

  const beat = async (client: pg.Client, number: number): Promise<void> => {
    const from = performance.now();
    const aheadMs = Math.max(-2_000_000_000, Math.min(2_000_000_000, Math.round(Date.now() - clock.read())));
    const { rows } = await client.query(beatStatement, [lockClass, number, aheadMs]);
    const [row] = beaten.parse(rows);
    // Too late: the others have counted it as dead and work on what it held.
    if (row === undefined) throw new Error('This backend was counted as dead: it had not been heard of for too long.');
    clock.hear(row.now.getTime(), from);
    // The others count from when it was written, which is after it was asked for and may be long before the answer is here.
    if (member?.client === client) member.answeredAt = from;
    living = row.living;
    if (row.lost && (await bury(client))) onFreed();
  };

  const join = async (): Promise<void> => {
    const client = await options.connection();
    client.on('error', (error) => lose(client, error));
    client.on('end', () => {
      if (member?.client === client) member = null;
    });
    try {
      const asked = performance.now();
      const number = await takeNumber(client, version);
      member = { client, number, answeredAt: asked };
      await beat(client, number);
    } catch (error) {
      if (member?.client === client) member = null;
      await client.end().catch(() => undefined); // it never came to be: the error says why
      throw error;
    }
  };

  const goOn = async (): Promise<void> => {
    const current = member;
    try {
      if (current === null) await join();
      else await beat(current.client, current.number);
    } catch (error) {
      if (current === null) onError(error);
      else lose(current.client, error);
    }
  };
  const next = (): void => {
    if (left) return;
    timer = setTimeout(
      () => {
        working = goOn().then(next);
      },
      member === null ? joinAgainMs : beatEveryMs,
    );
  };

  await join();
  next();

  return {
    number: () => {
      if (member === null || performance.now() - member.answeredAt > unsureMs) return null;
      return member.number;
    },
    name: ownName,
    now: () => new Date(clock.read()),
    clockAheadMs: () => Date.now() - clock.read(),
    living: () => living,
    leave: async () => {
      left = true;
      if (timer !== null) clearTimeout(timer);
      await working;
      const current = member;
      member = null;
      if (current === null) return;
      await current.client.query('delete from backends where number = $1', [current.number]);
      await bury(current.client);
      await current.client.end();
    },
  };
};

export type LivingBackend = {
  number: number;
  /** Machine and process id. */
  name: string;
  version: string;
  startedAt: Date;
  seenAt: Date;
  clockAheadMs: number;
};

/** The backends that say they live, oldest first. */
export const listBackends = async (db: Db): Promise<LivingBackend[]> => {
  const rows = await db.selectFrom('backends').selectAll().orderBy('started_at').orderBy('number').execute();
  return rows.map((row) => ({
    number: row.number,
    name: row.name,
    version: row.version,
    startedAt: row.started_at,
    seenAt: row.seen_at,
    clockAheadMs: row.clock_ahead_ms,
  }));
};

/**
 * Takes a duty that one backend does for all, unless one of them took it less than `everyMs` ago.
 * @returns whether it is this caller's now. Whoever dies with it is followed at the next interval.
 */
export const takeDuty = async (db: Db, name: string, everyMs: number): Promise<boolean> => {
  const taken = await sql`
    insert into duties (name, taken_at) values (${name}, clock_timestamp())
    on conflict (name) do update set taken_at = excluded.taken_at
      where duties.taken_at <= clock_timestamp() - make_interval(secs => ${everyMs / 1000})
        -- The clock was set back: nobody does it until it has come to where it was. The column is rounded, so up to a millisecond is no sign.
        or duties.taken_at > clock_timestamp() + interval '1 second'
    returning name
  `.execute(db);
  return taken.rows.length > 0;
};
