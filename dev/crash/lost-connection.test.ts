/** A connection to Postgres that is lost in the middle of a query fails that query, and nothing else. */
import { sql } from 'kysely';
import { expect, inject, test } from 'vitest';
import { openStore } from '../../backend/store/open.ts';
import { startPostgresProxy } from './postgres-proxy.ts';

test('a query whose connection is cut fails, the process lives, and the next query has a new connection', async () => {
  let asked = 0;
  let held = false;
  const proxy = await startPostgresProxy(inject('postgresUrl'), ({ what }) => {
    if (!held || !what.includes('42')) return true;
    asked += 1;
    return false;
  });
  const store = await openStore(proxy.url, () => undefined);
  try {
    held = true;
    const answer = sql`select 42 as answer`.execute(store.api).then(
      () => 'answered',
      () => 'failed',
    );
    await expect.poll(() => asked).toBe(1);
    proxy.cut();
    expect(await answer).toBe('failed');
    held = false;
    expect((await sql<{ answer: number }>`select 42 as answer`.execute(store.api)).rows).toEqual([{ answer: 42 }]);
  } finally {
    await store.close();
    await proxy.close();
  }
});
