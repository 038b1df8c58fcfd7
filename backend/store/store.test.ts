import { sql } from 'kysely';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type FreshStore, freshStore } from '../testing/fresh-store.ts';
import { putInstances } from '../testing/test-inventory.ts';
import { changesSince, forgetOldChanges, type RecordedChange, recordChange, startChangeFeed } from './changes.ts';
import { newId } from './ids.ts';
import { loadInstances, loadInstancesByRef } from './instances.ts';
import { isBusy, openStore, type Store } from './open.ts';

let fresh: FreshStore;
let store: Store;
const lost: Error[] = [];
beforeAll(async () => {
  fresh = await freshStore();
  store = await openStore(fresh.url, (error) => lost.push(error));
});
afterAll(async () => {
  await store.close();
  await fresh.close();
});

const change = (ref: string): Promise<void> =>
  store.api.transaction().execute((tx) => recordChange(tx, { topic: 'requests', ref, audience: null }));

describe('the store', () => {
  test('is migrated once, however many start at the same time', async () => {
    await Promise.all([
      openStore(fresh.url, () => undefined).then((other) => other.close()),
      openStore(fresh.url, () => undefined).then((other) => other.close()),
    ]);
    const { rows } = await sql<{ name: string }>`select name from kysely_migration`.execute(store.api);
    const names = rows.map(({ name }) => name);
    expect(names).toContain('001-init');
    expect(names).toEqual([...new Set(names)]);
  });

  test('a bigint is a number', async () => {
    const { rows } = await sql<{ n: unknown }>`select 9007199254740991::bigint as n`.execute(store.api);
    expect(rows[0]?.n).toBe(9_007_199_254_740_991);
  });

  test('API-07 statements and idle transactions have time-outs, and the pools are apart', async () => {
    const setting = async (name: string) =>
      (await sql<{ v: string }>`select current_setting(${name}) as v`.execute(store.api)).rows[0]?.v;
    expect(await setting('statement_timeout')).toBe('5s');
    expect(await setting('idle_in_transaction_session_timeout')).toBe('10s');
    const held = Array.from({ length: 10 }, () => sql`select pg_sleep(2)`.execute(store.api));
    const since = performance.now();
    await sql`select 1`.execute(store.reconcile);
    expect(performance.now() - since).toBeLessThan(1_500);
    await Promise.all(held);
  });

  test('a cancelled statement means busy, a broken one does not', async () => {
    const cancelled = store.api.transaction().execute(async (tx) => {
      await sql`set local statement_timeout = 20`.execute(tx);
      await sql`select pg_sleep(2)`.execute(tx);
    });
    expect(await cancelled.catch(isBusy)).toBe(true);
    expect(await sql`select * from nowhere`.execute(store.api).catch(isBusy)).toBe(false);
  });

  test('ids have their noun’s prefix and are not repeated', () => {
    const made = Array.from({ length: 1_000 }, () => newId('grt'));
    expect(new Set(made).size).toBe(1_000);
    for (const id of made) expect(id).toMatch(/^grt_[a-z2-7]{26}$/);
  });

  test('instances that are gone keep their name for history and are in no list', async () => {
    const here = {
      accountId: '111122223333',
      region: 'eu-west-1',
      instanceId: 'i-00000001',
      name: 'a',
      env: 'dev',
      team: 't',
    };
    const gone = { ...here, instanceId: 'i-00000002', name: 'b' };
    await putInstances(store.api, [here, gone]);
    await sql`update instances set gone_at = now() where instance_id = ${gone.instanceId}`.execute(store.api);
    expect((await loadInstances(store.api)).map(({ name }) => name)).toEqual(['a']);
    const byRef = await loadInstancesByRef(store.api, [here, gone, { ...here, region: 'eu-west-2' }]);
    expect([...byRef.keys()]).toEqual(['111122223333/eu-west-1/i-00000001', '111122223333/eu-west-1/i-00000002']);
  });
});

describe('the change feed', () => {
  test('tells in order, and again after its connection was cut', async () => {
    const heard: RecordedChange[] = [];
    const errors: unknown[] = [];
    const feed = await startChangeFeed({
      db: store.reconcile,
      listenConnection: store.listenConnection,
      onError: (error) => errors.push(error),
    });
    feed.subscribe((one) => heard.push(one));
    const refs = () => heard.map(({ event }) => event.id);
    for (const ref of ['a', 'b', 'c']) await change(ref);
    await expect.poll(refs).toEqual(['a', 'b', 'c']);

    const cut = sql`select pg_terminate_backend(pid) from pg_stat_activity
      where application_name = 'curfew listen' and datname = current_database()`;
    await cut.execute(store.api);
    await change('while away');
    await expect.poll(refs, { timeout: 5_000 }).toContain('while away');
    await change('after');
    await expect.poll(refs, { timeout: 5_000 }).toContain('after');
    expect(errors.length).toBeGreaterThan(0);
    await feed.stop();
  });

  test('what could not be read is told in the end, in order, whatever failed how often', async () => {
    let failing = 0;
    const db = store.reconcile.withPlugin({
      transformQuery: ({ node }) => {
        if (failing === 0) return node;
        failing -= 1;
        throw new Error('sorry, too many clients already');
      },
      transformResult: async ({ result }) => result,
    });
    const heard: RecordedChange[] = [];
    const errors: unknown[] = [];
    const { listenConnection } = store;
    // Before it listens, so that there is a change to go on from.
    await change('first');
    const feed = await startChangeFeed({ db, listenConnection, onError: (error) => errors.push(error) });
    feed.subscribe((one) => heard.push(one));
    /** Told twice is told: a change that was caught up with may be announced just then. */
    const after = (ref: string): (string | null)[] => {
      const refs = heard.map(({ event }) => event.id);
      return [...new Set(refs.slice(refs.indexOf(ref)))];
    };
    failing = 1;
    await change('failed');
    await expect.poll(() => errors.length, { timeout: 15_000 }).toBe(1);
    await change('next');
    await expect.poll(() => after('failed'), { timeout: 15_000 }).toEqual(['failed', 'next']);

    // And when the catch-up after a lost connection fails, several times.
    failing = 3;
    const cut = sql`select pg_terminate_backend(pid) from pg_stat_activity
      where application_name = 'curfew listen' and datname = current_database()`;
    await cut.execute(store.api);
    await change('while away');
    await expect.poll(() => heard.at(-1)?.event.id, { timeout: 15_000 }).toBe('while away');
    expect(failing).toBe(0);
    await feed.stop();
  });

  test('one who listens and fails keeps nobody else from hearing', async () => {
    const errors: unknown[] = [];
    const { listenConnection } = store;
    const feed = await startChangeFeed({
      db: store.reconcile,
      listenConnection,
      onError: (error) => errors.push(error),
    });
    const heard: (string | null)[] = [];
    feed.subscribe(() => {
      throw new Error('of its own');
    });
    feed.subscribe(({ event }) => heard.push(event.id));
    await change('one');
    await change('other');
    await expect.poll(() => heard, { timeout: 15_000 }).toEqual(['one', 'other']);
    expect(errors).toHaveLength(2);
    await feed.stop();
  });

  test('a lower id that commits later is not missed by who comes back', async () => {
    let letGo = (): void => undefined;
    const hold = new Promise<void>((resolve) => {
      letGo = resolve;
    });
    const slow = store.api.transaction().execute(async (tx) => {
      await recordChange(tx, { topic: 'grants', ref: 'slow', audience: null });
      await hold;
    });
    await expect
      .poll(
        async () =>
          (await sql`select 1 from pg_stat_activity where state = 'idle in transaction'`.execute(store.api)).rows
            .length,
      )
      .toBeGreaterThan(0);
    await change('fast');
    const { id } = await store.api
      .selectFrom('changes')
      .select('id')
      .where('ref', '=', 'fast')
      .executeTakeFirstOrThrow();
    letGo();
    await slow;
    const missed = (await changesSince(store.api, id)) ?? [];
    expect(missed.map(({ event }) => event.id)).toContain('slow');
  });

  test('is forgotten after an hour, and who was away that long is told so', async () => {
    await change('old');
    const { id } = await store.api
      .selectFrom('changes')
      .select('id')
      .where('ref', '=', 'old')
      .executeTakeFirstOrThrow();
    await forgetOldChanges(store.api, new Date(Date.now() + 3_599_000));
    expect(await changesSince(store.api, id)).not.toBeNull();
    await forgetOldChanges(store.api, new Date(Date.now() + 3_601_000));
    expect(await changesSince(store.api, id)).toBeNull();
  });
});
