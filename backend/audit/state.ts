/** The state of the chain as the audit view shows it: checked row by row, incrementally, by the backend itself. */
import type { Kysely, Selectable } from 'kysely';
import type { ChainState } from '../../src/shared/views.ts';
import type { Schema } from '../store/schema.ts';
import { canonicalForm, firstPreviousHash, hashOfRow } from './chain.ts';

export type ChainWatch = {
  /** `unchecked`: how many rows it has not come to yet, while it catches up after a start. */
  state: (now: Date) => Promise<ChainState>;
};

/** So few that nobody's call waits for their hashes. */
const rowsAtOnce = 200;
/** Whoever asks waits for so many new rows to be verified, some tenth of a second; for more of them after a start nobody waits. */
const rowsWaitedFor = 5_000;

const columns = ['sequence', 'previous_hash', 'hash', 'event', 'canonical', 'at'] as const;

/**
 * Remembers how far it has verified, so each look costs only the new rows; the first one after a start goes on by itself, as a million
 * rows take half a minute. A row that fails stays failed until the process is started again: nobody talks the alarm away.
 */
export const watchChain = (db: Kysely<Schema>): ChainWatch => {
  let sequence = 0;
  let hash = firstPreviousHash;
  let headAt: Date | null = null;
  let broken: { sequence: number; what: string } | null = null;
  let looking: Promise<void> | null = null;

  const check = (row: Pick<Selectable<Schema['audit']>, (typeof columns)[number]>): void => {
    const expected = hashOfRow({ sequence: sequence + 1, previousHash: hash, event: row.event });
    const fits = row.sequence === sequence + 1 && row.previous_hash === hash && row.hash === expected;
    if (!fits || row.canonical !== canonicalForm(row.event)) {
      broken = { sequence: row.sequence, what: `row ${row.sequence} does not fit the chain` };
      return;
    }
    sequence = row.sequence;
    hash = row.hash;
    headAt = row.at;
  };

  const look = async (): Promise<void> => {
    for (;;) {
      const rows = await db
        .selectFrom('audit')
        .select(columns)
        .where('sequence', '>', sequence)
        .orderBy('sequence')
        .limit(rowsAtOnce)
        .execute();
      for (const row of rows) if (broken === null) check(row);
      if (broken !== null || rows.length < rowsAtOnce) return;
    }
  };

  /** One look at a time. */
  const looked = (): Promise<void> => {
    looking ??= look().finally(() => {
      looking = null;
    });
    return looking;
  };

  return {
    state: async (now) => {
      const { sequence: newest } = await db.selectFrom('audit_head').select('sequence').executeTakeFirstOrThrow();
      if (broken === null && sequence < newest - rowsWaitedFor) {
        // Nobody waits for it, so what fails in it is met again by the next look.
        looked().catch(() => undefined);
      } else {
        if (broken === null && sequence < newest) await looked();
        // That look may have begun before the newest row was written.
        if (broken === null && sequence < newest) await looked();
      }
      const at = now.toISOString();
      const unchecked = broken === null ? Math.max(0, newest - sequence) : 0;
      return {
        rows: sequence,
        head: hash,
        headAt: headAt?.toISOString() ?? null,
        ...(unchecked === 0 ? {} : { unchecked }),
        verified: broken === null ? { ok: true, at } : { ok: false, at, ...broken },
      };
    },
  };
};
