/**
 * The three locks of a live grant, told from rows that were written by what was seen: each can be missing, and then says why. A lock is
 * never claimed because it should be there (promise 7).
 */
import type { Selectable } from 'kysely';
import type { Lock, Locks } from '../../src/shared/access.ts';
import type { Schema } from './schema.ts';

type Row = Pick<Selectable<Schema['grants']>, 'state' | 'connected_at' | 'end_set_at' | 'ends_at'>;
type Principal = Pick<Selectable<Schema['principals']>, 'document_at' | 'due_at' | 'problem'>;
type SessionRow = Pick<Selectable<Schema['sessions']>, 'ended_at' | 'closes_at'>;

/** The app's clock is corrected by the backend's, to about this much. */
const clockSlackMs = 2_000;

const missing = (why: string): Lock => ({ armed: false, why });
const armed = (at: Date): Lock => ({ armed: true, at: at.toISOString() });

const policyDate = (row: Row, endsAt: Date, { document_at: readAt }: Principal): Lock => {
  if (row.state === 'granting') return missing('the access policy is being written');
  const endSetAt = row.end_set_at ?? row.connected_at;
  // Activation is the read-back of the first end; a later one counts when a newer document was read back.
  const extended = endSetAt !== null && row.connected_at !== null && endSetAt > row.connected_at;
  if (extended && (readAt === null || readAt < endSetAt)) {
    return missing('the access policy was not seen with the new end yet');
  }
  return armed(endsAt);
};

const removal = (endsAt: Date, { due_at: dueAt, problem }: Principal): Lock => {
  if (problem !== null) return missing(`AWS refused the last change, it is tried again: ${problem}`);
  if (dueAt === null || dueAt > endsAt) return missing('no look is scheduled by then; the sweep finds it');
  return armed(endsAt);
};

const terminal = (endsAt: Date, sessions: readonly SessionRow[]): Lock => {
  const open = sessions.filter(({ ended_at }) => ended_at === null);
  if (open.length === 0) return missing('no terminal is open');
  const timers = open.flatMap(({ closes_at }) => closes_at ?? []);
  if (timers.length < open.length) return missing('the app has not told when it closes its terminal');
  const last = new Date(Math.max(...timers.map((at) => at.getTime())));
  if (last.getTime() > endsAt.getTime() + clockSlackMs) return missing('the app’s timer is set for a later end');
  return armed(last);
};

/** The locks of a grant whose clock runs; null for every other. */
export const locksOf = (row: Row, principal: Principal, sessions: readonly SessionRow[]): Locks | null => {
  const { ends_at: endsAt } = row;
  if ((row.state !== 'granting' && row.state !== 'active') || endsAt === null) return null;
  return {
    policyDate: policyDate(row, endsAt, principal),
    removal: removal(endsAt, principal),
    terminal: terminal(endsAt, sessions),
  };
};
