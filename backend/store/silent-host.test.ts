/** A Postgres host that vanishes without a word: nothing is answered on old connections and nothing ends them, while new ones reach the next. */
import { connect, createServer, type Socket } from 'node:net';
import { sql } from 'kysely';
import { expect, test } from 'vitest';
import { freshStore } from '../testing/fresh-store.ts';
import { joinBackends } from './backends.ts';
import { recordChange, startChangeFeed } from './changes.ts';
import { openStore } from './open.ts';

/** A way to this database that may fall silent. */
const wayTo = async (database: string) => {
  const there = new URL(database);
  const port = there.port === '' ? 5432 : Number(there.port);
  const folder = there.searchParams.get('host');
  const pairs = new Map<Socket, Socket>();
  const silent = new Set<Socket>();
  let deaf = false;
  const server = createServer((inward) => {
    if (deaf) {
      inward.on('error', () => undefined);
      inward.resume();
      silent.add(inward);
      return;
    }
    const outward = folder === null ? connect(port, there.hostname) : connect(`${folder}/.s.PGSQL.${port}`);
    for (const socket of [inward, outward]) socket.on('error', () => undefined);
    inward.on('close', () => {
      outward.destroy();
      pairs.delete(inward);
    });
    outward.on('close', () => {
      // The end of what was forgotten reaches nobody.
      if (pairs.has(inward)) inward.destroy();
    });
    pairs.set(inward, outward);
    inward.pipe(outward).pipe(inward);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  const url = new URL(database);
  url.searchParams.delete('host');
  url.host = `127.0.0.1:${address.port}`;
  return {
    url: url.href,
    /** Whether new connections are taken and not answered. */
    setDeaf: (value: boolean): void => {
      deaf = value;
    },
    /** @returns how many connections are silent from now on. */
    vanish: (): number => {
      const gone = [...pairs];
      pairs.clear();
      for (const [inward, outward] of gone) {
        inward.unpipe(outward);
        outward.unpipe(inward);
        outward.destroy();
        // What still comes is taken, and never answered.
        inward.resume();
        silent.add(inward);
      }
      return gone.length;
    },
    close: async () => {
      for (const inward of [...silent, ...pairs.keys()]) inward.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
};

test('a Postgres host that vanishes without a word stops neither pools nor feed nor heartbeat', async () => {
  const fresh = await freshStore();
  const way = await wayTo(fresh.url);
  const tell = (ref: string): Promise<void> =>
    fresh.db.transaction().execute((tx) => recordChange(tx, { topic: 'requests', ref, audience: null }));
  const store = await openStore(way.url, () => undefined, { answerMs: 3_000 });
  const errors: unknown[] = [];
  const onError = (error: unknown): void => void errors.push(error);
  const connection = store.presenceConnection;
  const backend = await joinBackends({ connection, version: '1', onFreed: () => undefined, onError });
  const { reconcile, listenConnection } = store;
  // A place to go on from.
  await tell('before');
  const feed = await startChangeFeed({ db: reconcile, listenConnection, onError, askEveryMs: 200 });
  const heard: (string | null)[] = [];
  feed.subscribe(({ event }) => heard.push(event.id));
  const one = () => sql`select 1 as one`.execute(reconcile).then(({ rows }) => rows.length);
  // Several connections, one of them in a transaction, and the others waiting for the next caller.
  await Promise.all([1, 2, 3].map(() => sql`select pg_sleep(0.1)`.execute(reconcile)));
  let vanished = 0;
  const cutShort = store.reconcile.transaction().execute(async (tx) => {
    await sql`select 1`.execute(tx);
    vanished = way.vanish();
    await sql`select 2`.execute(tx);
  });
  await expect(cutShort).rejects.toThrow('timeout');
  expect(vanished).toBeGreaterThan(4);
  // The others that lay in the pool look whole still: they are lent to nobody.
  expect(await one()).toBe(1);
  await tell('while it was silent');
  await expect.poll(() => heard, { timeout: 25_000 }).toContain('while it was silent');
  await tell('afterwards');
  await expect.poll(() => heard, { timeout: 25_000 }).toContain('afterwards');
  await expect.poll(backend.number, { timeout: 25_000 }).not.toBeNull();
  expect(errors.length).toBeGreaterThan(0);

  await backend.leave();
  await feed.stop();
  await store.close();
  await way.close();
  await fresh.close();
}, 60_000);

test('a host that takes a connection and says nothing is waited for no longer than for an answer', async () => {
  const fresh = await freshStore();
  const way = await wayTo(fresh.url);
  const store = await openStore(way.url, () => undefined, { answerMs: 3_000 });
  const one = () => sql`select 1 as one`.execute(store.reconcile).then(({ rows }) => rows.length);
  way.setDeaf(true);
  await expect(one()).rejects.toThrow('timeout');
  way.setDeaf(false);
  expect(await one()).toBe(1);
  await store.close();
  await way.close();
  await fresh.close();
});
