/** Several backends on one real Postgres, as several members in this process. */
import { sql } from 'kysely';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type FreshStore, freshStore } from '../testing/fresh-store.ts';
import { type Backends, joinBackends, listBackends, takeDuty } from './backends.ts';
import { openStore, type Store } from './open.ts';

let fresh: FreshStore;
let store: Store;
let joined: Backends[] = [];
const errors: unknown[] = [];

beforeEach(async () => {
  fresh = await freshStore();
  store = await openStore(fresh.url, () => undefined);
  return async () => {
    for (const one of joined) await one.leave();
    joined = [];
    await store.close();
    await fresh.close();
  };
});
afterEach(() => {
  errors.length = 0;
});

const join = async (onFreed = (): void => undefined): Promise<Backends> => {
  const one = await joinBackends({
    connection: store.presenceConnection,
    version: '1.2.3',
    onFreed,
    onError: (error) => errors.push(error),
  });
  joined.push(one);
  return one;
};
/** As when its process is gone: Postgres sees the connection end. */
const cut = (backend: number) =>
  sql`select pg_terminate_backend(l.pid) from pg_locks l where l.locktype = 'advisory' and l.objsubid = 2 and l.objid = ${backend}::oid
    and l.database = (select oid from pg_database where datname = current_database())`.execute(store.api);
const numberOf = (one: Backends): number => {
  const number = one.number();
  if (number === null) throw new Error('It does not know whether it lives.');
  return number;
};
const addPrincipal = async (id: string, values: { holder: number | null; due_at: Date | null }): Promise<void> => {
  const person = {
    id,
    user_name: id,
    display_name: id,
    email: null,
    enabled: true,
    groups: [],
    checked_at: new Date(),
  };
  await store.api.insertInto('people').values(person).execute();
  await store.api
    .insertInto('principals')
    .values({
      id,
      account_id: '111122223333',
      person_id: id,
      kind: 'role',
      carrier: 'inline',
      name: id,
      arn: `arn:aws:iam::111122223333:role/${id}`,
      session_name: id,
      document_hash: null,
      document_at: null,
      problem: null,
      ...values,
    })
    .execute();
};
const principal = (id: string) =>
  store.api.selectFrom('principals').select(['holder', 'due_at']).where('id', '=', id).executeTakeFirstOrThrow();

describe('backends', () => {
  test('each has a number of its own, and they see each other', async () => {
    const [one, other] = [await join(), await join()];
    expect(numberOf(one)).not.toBe(numberOf(other));
    await expect.poll(one.living, { timeout: 15_000 }).toBe(2);
    expect((await listBackends(store.api)).map(({ version }) => version)).toEqual(['1.2.3', '1.2.3']);
    await other.leave();
    joined = [one];
    expect((await listBackends(store.api)).map(({ number }) => number)).toEqual([numberOf(one)]);
    await expect.poll(one.living, { timeout: 15_000 }).toBe(1);
  });

  test('what a dead one held is due for the others at once, what a living one holds is not', async () => {
    let freed = 0;
    const one = await join(() => {
      freed += 1;
    });
    const dying = await joinBackends({
      connection: store.presenceConnection,
      version: '1.2.3',
      onFreed: () => undefined,
      onError: () => undefined,
    });
    const dead = numberOf(dying);
    await addPrincipal('of the dead', { holder: dead, due_at: null });
    await addPrincipal('of the living', { holder: numberOf(one), due_at: null });
    await dying.leave();
    expect(await principal('of the dead')).toMatchObject({ holder: null, due_at: expect.any(Date) });
    expect(await principal('of the living')).toEqual({ holder: numberOf(one), due_at: null });
    // Somebody whose number nobody ever had, e.g. from a restored backup.
    await addPrincipal('of nobody', { holder: 2_000_000_000, due_at: null });
    await expect.poll(async () => (await principal('of nobody')).holder, { timeout: 15_000 }).toBeNull();
    expect(freed).toBeGreaterThan(0);
  });

  test('one whose connection was lost knows at once that it is not sure to live, and comes back under another number', async () => {
    const [one, other] = [await join(), await join()];
    const before = numberOf(one);
    await addPrincipal('held', { holder: before, due_at: null });
    await cut(before);
    await expect.poll(one.number, { timeout: 15_000 }).not.toBe(before);
    await expect.poll(async () => (await principal('held')).holder, { timeout: 15_000 }).toBeNull();
    await expect.poll(() => one.number() ?? 0, { timeout: 15_000 }).toBeGreaterThan(0);
    expect(numberOf(one)).not.toBe(before);
    expect(numberOf(other)).toBeGreaterThan(0);
    expect(errors.length).toBeGreaterThan(0);
  });

  test('a row that says it lives, without the lock of a connection, is a dead one’s', async () => {
    await store.api.insertInto('backends').values({ number: 77, name: 'gone', version: '1' }).execute();
    await join();
    expect((await listBackends(store.api)).map(({ name }) => name)).not.toContain('gone');
  });

  test('an answer that comes late counts from when it was asked for: the others count from no later', async () => {
    const one = await join();
    const number = numberOf(one);
    /** Holds its row, so that its beat waits. @returns when that beat began, and how to let it go. */
    const hold = async () => {
      let letGo = (): void => undefined;
      const held = new Promise<void>((resolve) => {
        letGo = resolve;
      });
      const done = store.api.transaction().execute(async (tx) => {
        await tx.selectFrom('backends').select('number').where('number', '=', number).forUpdate().execute();
        await held;
      });
      return { letGo, done };
    };
    const waiting = async (): Promise<Array<{ name: string; since: number }>> => {
      const { rows } = await sql<{ name: string; since: Date }>`select application_name as name, query_start as since
        from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`.execute(store.api);
      return rows.map(({ name, since }) => ({ name, since: since.getTime() }));
    };
    const beatWaitsSince = async (): Promise<number | null> =>
      (await waiting()).find(({ name }) => name === 'curfew presence')?.since ?? null;
    const first = await hold();
    await expect.poll(beatWaitsSince, { timeout: 15_000 }).not.toBeNull();
    const asked = await beatWaitsSince();
    const real = performance.now.bind(performance);
    try {
      performance.now = () => real() + 6_000;
      // Next in turn for the row: the beat after the one that waits cannot be answered.
      const second = hold();
      await expect.poll(async () => (await waiting()).length, { timeout: 15_000 }).toBeGreaterThan(1);
      first.letGo();
      await first.done;
      const { letGo, done } = await second;
      // The next beat is under way, so the first one's answer is here; or it was lost, and there is another number.
      const isHere = async () =>
        ![null, asked].includes(await beatWaitsSince()) || ![null, number].includes(one.number());
      await expect.poll(isHere, { timeout: 15_000 }).toBe(true);
      const counted = one.number();
      letGo();
      await done;
      expect(counted).not.toBe(number);
      await expect.poll(one.number, { timeout: 15_000 }).not.toBeNull();
    } finally {
      performance.now = real;
    }
  });

  test('the clock is the database’s, whatever this machine’s says', async () => {
    const one = await join();
    const { rows } = await sql<{ now: Date }>`select clock_timestamp() as now`.execute(store.api);
    const heard = rows[0]?.now.getTime() ?? 0;
    // One machine, one clock: only the way there and back lies between them.
    expect(Math.abs(one.now().getTime() - heard)).toBeLessThan(5_000);
    const real = Date.now;
    try {
      Date.now = () => real() + 3_600_000;
      expect(Math.abs(one.now().getTime() - real())).toBeLessThan(5_000);
      expect(one.clockAheadMs()).toBeGreaterThan(3_590_000);
    } finally {
      Date.now = real;
    }
  });
});

describe('takeDuty', () => {
  test('one of many has it, and again when its time has come', async () => {
    const taken = await Promise.all(Array.from({ length: 8 }, () => takeDuty(store.api, 'sweep', 60_000)));
    expect(taken.filter(Boolean)).toHaveLength(1);
    expect(await takeDuty(store.api, 'another', 60_000)).toBe(true);
    await sql`update duties set taken_at = taken_at - interval '61 seconds'`.execute(store.api);
    expect(await takeDuty(store.api, 'sweep', 60_000)).toBe(true);
    expect(await takeDuty(store.api, 'sweep', 60_000)).toBe(false);
  });

  test('goes on when the database’s clock is set back', async () => {
    expect(await takeDuty(store.api, 'leavers', 60_000)).toBe(true);
    // What was written before the step is ahead now.
    await sql`update duties set taken_at = taken_at + interval '10 minutes'`.execute(store.api);
    const taken = await Promise.all(Array.from({ length: 4 }, () => takeDuty(store.api, 'leavers', 60_000)));
    expect(taken.filter(Boolean)).toHaveLength(1);
  });
});
