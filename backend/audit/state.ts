/** The state of the chain as the audit view shows it: checked row by row, incrementally, by the backend itself. */
import type { Kysely } from 'kysely';
import type { ChainState } from '../../src/shared/views.ts';
import type { Schema } from '../store/schema.ts';
import { canonicalForm, firstPreviousHash, hashOfRow } from './chain.ts';

export type ChainWatch = { state: (now: Date) => Promise<ChainState> };

const rowsAtOnce = 1000;

/**
 * Remembers how far it has verified, so each look costs only the new rows. A row that fails stays failed until the
 * process is started again: nobody talks the alarm away.
 */
export const watchChain = (db: Kysely<Schema>): ChainWatch => {
  let sequence = 0;
  let hash = firstPreviousHash;
  let headAt: Date | null = null;
  let broken: { sequence: number; what: string } | null = null;
  let looking: Promise<void> = Promise.resolve();

  const look = async (): Promise<void> => {
    for (;;) {
      const rows = await db
        .selectFrom('audit')
        .select(['sequence', 'previous_hash', 'hash', 'event', 'canonical', 'at'])
        .where('sequence', '>', sequence)
        .orderBy('sequence')
        .limit(rowsAtOnce)
        .execute();
      for (const row of rows) {
        const expected = hashOfRow({ sequence: sequence + 1, previousHash: hash, event: row.event });
        const fits = Number(row.sequence) === sequence + 1 && row.previous_hash === hash && row.hash === expected;
        if (!fits || row.canonical !== canonicalForm(row.event)) {
          broken = { sequence: Number(row.sequence), what: `row ${row.sequence} does not fit the chain` };
          return;
        }
        sequence = Number(row.sequence);
        hash = row.hash;
        headAt = row.at;
      }
      if (rows.length < rowsAtOnce) return;
    }
  };

  return {
    state: async (now) => {
      // One look at a time; a second caller waits for the first and then looks again.
      looking = looking.then(() => (broken === null ? look() : undefined));
      await looking;
      const at = now.toISOString();
      return {
        rows: sequence,
        head: hash,
        headAt: headAt?.toISOString() ?? null,
        verified: broken === null ? { ok: true, at } : { ok: false, at, ...broken },
      };
    },
  };
};
