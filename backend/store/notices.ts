/** Facts for people's in-app inboxes. */
import type { Selectable } from 'kysely';
import type { Notice } from '../../src/shared/access.ts';
import { newId } from './ids.ts';
import type { Db, Tx } from './open.ts';
import type { Schema } from './schema.ts';
import { type Reader, visibleTo } from './visibility.ts';

const kinds = [
  'to-approve',
  'approved',
  'denied',
  'lapsed',
  'ending-soon',
  'ended',
  'failed',
  'sign-in-needed',
] as const;
const kindOf = (kind: string): Notice['kind'] => {
  const found = kinds.find((one) => one === kind);
  if (found === undefined) throw new Error(`There is no notice of the kind ${kind}.`);
  return found;
};

const noticeOf = (row: Selectable<Schema['notices']>): Notice => ({
  id: row.id,
  at: row.at.toISOString(),
  kind: kindOf(row.kind),
  title: row.title,
  body: row.body,
  target: { kind: row.target_kind, id: row.target_id },
  readAt: row.read_at?.toISOString() ?? null,
});

/** A person's notices, newest first: 200 at most. */
export const loadNotices = async (db: Db, reader: Reader): Promise<Notice[]> => {
  const rows = await db
    .selectFrom('notices')
    .selectAll()
    .where(visibleTo(reader).notices)
    .orderBy('at', 'desc')
    .orderBy('id')
    .limit(200)
    .execute();
  return rows.map(noticeOf);
};

export type NewNotice = {
  personId: string;
  at: Date;
  kind: Exclude<Notice['kind'], 'sign-in-needed'>;
  title: string;
  body: string;
  target: { kind: 'request' | 'grant' | 'finding' | 'switch'; id: string };
};

/** Puts notices into inboxes. Tell the receivers with `recordChange` of the topic `notices` in the same transaction. */
export const addNotices = async (tx: Tx, notices: readonly NewNotice[]): Promise<void> => {
  if (notices.length === 0) return;
  await tx
    .insertInto('notices')
    .values(
      notices.map((notice) => ({
        id: newId('ntc'),
        person_id: notice.personId,
        at: notice.at,
        kind: notice.kind,
        title: notice.title,
        body: notice.body,
        target_kind: notice.target.kind,
        target_id: notice.target.id,
        read_at: null,
      })),
    )
    .execute();
};

/** Marks the reader's own notices as read; ids of others and unknown ones are passed over without a word. */
export const markNoticesRead = async (db: Db, reader: Reader, ids: readonly string[], now: Date): Promise<void> => {
  if (ids.length === 0) return;
  await db
    .updateTable('notices')
    .set({ read_at: now })
    .where('id', 'in', [...ids])
    .where('read_at', 'is', null)
    .where('person_id', '=', reader.person.id)
    .execute();
};
