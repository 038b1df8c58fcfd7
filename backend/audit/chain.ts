/**
 * The hash chain. A row's hash is SHA-256 over the canonical form (RFC 8785) of { sequence, previousHash, event }; the first
 * row's previous hash is 64 zeros. Appending locks the one-row head, so sequence numbers have no gaps.
 */
import { createHash } from 'node:crypto';
import canonicalize from 'canonicalize';
import type { Transaction } from 'kysely';
import type { Schema } from '../store/schema.ts';
import type { AuditEvent } from './event.ts';

export const firstPreviousHash = '0'.repeat(64);

/** RFC 8785. @throws Error for what JSON cannot say (undefined at the top, NaN). */
export const canonicalForm = (value: unknown): string => {
  const text = canonicalize(value);
  if (text === undefined) throw new Error('This value has no canonical JSON form.');
  return text;
};

/** What is hashed, and what an export carries a line of. */
export type ChainedRow = { sequence: number; previousHash: string; event: unknown };

/** Hex SHA-256 of the row's canonical form. */
export const hashOfRow = ({ sequence, previousHash, event }: ChainedRow): string =>
  createHash('sha256').update(canonicalForm({ event, previousHash, sequence })).digest('hex');

const idsOf = (event: AuditEvent) => ({
  actor_id: event.actor.kind === 'person' ? event.actor.person.id : null,
  person_id:
    'requester' in event
      ? event.requester.id
      : 'owner' in event && typeof event.owner !== 'string'
        ? event.owner.id
        : 'person' in event
          ? event.person.id
          : null,
  request_id: 'requestId' in event ? event.requestId : null,
  grant_id: 'grantId' in event ? event.grantId : null,
});

/**
 * Appends an event inside the transaction of the change it tells of (promise 4).
 * @returns the row's sequence number, to be stored in the changed row's `audit_sequence`.
 */
export const appendAudit = async (tx: Transaction<Schema>, event: AuditEvent): Promise<number> => {
  const head = await tx
    .selectFrom('audit_head')
    .select(['sequence', 'hash'])
    .where('single', '=', true)
    .forUpdate()
    .executeTakeFirstOrThrow();
  const row = { sequence: Number(head.sequence) + 1, previousHash: head.hash, event };
  const hash = hashOfRow(row);
  await tx
    .with('appended', (db) =>
      db.insertInto('audit').values({
        sequence: row.sequence,
        at: new Date(event.at),
        kind: event.kind,
        event: JSON.stringify(event),
        canonical: canonicalForm(event),
        previous_hash: row.previousHash,
        hash,
        ...idsOf(event),
      }),
    )
    .updateTable('audit_head')
    .set({ sequence: row.sequence, hash })
    .where('single', '=', true)
    .execute();
  return row.sequence;
};
