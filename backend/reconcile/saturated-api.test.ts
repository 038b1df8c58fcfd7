/** People who ask for so much that Postgres has no connection left for them do not hold up an ending (threats API-07). */
import { sql } from 'kysely';
import pg from 'pg';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { addGrant, endGrant, openScene, type Scene } from '../provisioner/testing/scene.ts';
import { isBusy, openStore, type Store } from '../store/open.ts';
import { reconcilerOver } from './testing/over-scene.ts';

vi.setConfig({ testTimeout: 120_000 });

let scene: Scene;
let store: Store;
/** Holds what every call of the crowd waits for. */
let gate: pg.Client;
beforeAll(async () => {
  scene = await openScene();
  store = await openStore(scene.store.url, () => undefined);
  gate = new pg.Client({ connectionString: scene.store.url });
  await gate.connect();
});
afterAll(async () => {
  await gate.end();
  await store.close();
  await scene.close();
});

const lock = 7407;

/** Six times as many calls as there are connections for people, each made again as soon as it is told that the backend is busy. */
const crowd = () => {
  let over = false;
  const ask = async (): Promise<void> => {
    while (!over) {
      try {
        await sql`select pg_advisory_xact_lock_shared(${lock})`.execute(store.api);
      } catch (error) {
        if (!isBusy(error)) throw error;
      }
    }
  };
  const asking = Array.from({ length: 60 }, ask);
  return {
    leave: async (): Promise<void> => {
      over = true;
      await gate.query('select pg_advisory_unlock($1)', [lock]);
      await Promise.all(asking);
    },
  };
};

const waitingForLock = async (): Promise<number> => {
  const { rows } = await gate.query(
    "select count(*)::integer as waiting from pg_locks where locktype = 'advisory' and objid = $1 and not granted",
    [lock],
  );
  return Number(rows[0]?.waiting);
};

test('API-07 a due grant ends while every connection for people is taken and more wait', async () => {
  const grantId = await addGrant(scene);
  const reconciler = reconcilerOver(scene, { db: store.reconcile });
  const state = async (): Promise<string> => {
    const of = scene.store.db.selectFrom('grants').select('state').where('id', '=', grantId);
    return (await of.executeTakeFirstOrThrow()).state;
  };
  try {
    await expect.poll(state, { timeout: 60_000, interval: 50 }).toBe('active');
    await gate.query('select pg_advisory_lock($1)', [lock]);
    const people = crowd();
    let late: Promise<void> | null = null;
    try {
      await expect.poll(waitingForLock, { timeout: 60_000, interval: 50 }).toBe(10);
      let answered = false;
      late = sql`select 1`.execute(store.api).then(
        () => {
          answered = true;
        },
        (error: unknown) => {
          if (!isBusy(error)) throw error;
        },
      );
      await endGrant(scene, grantId);
      await expect.poll(state, { timeout: 60_000, interval: 50 }).toBe('ended');
      expect(answered).toBe(false);
    } finally {
      await people.leave();
      await late;
    }
  } finally {
    await reconciler.stop();
  }
});
