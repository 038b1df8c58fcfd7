/**
 * Exports of the audit trail. JSON Lines is exact and verifiable: a header, each row, then the signed heads and the public key. CSV is
 * for reading: everything quoted, formula starters defused (threats AU-08).
 */
import type { Kysely } from 'kysely';
import type { Schema } from '../store/schema.ts';
import type { AuditKey } from './heads.ts';
import { actorName, auditSentence } from './sentence.ts';

export const exportFormat = 'curfew-audit/1';

export type ExportSelection = {
  /** Null: the whole trail. Else only rows of this request: such an excerpt proves each row, not that none is missing. */
  requestId: string | null;
};

export type AuditExport = { text: string; rows: number };

const selectRows = (db: Kysely<Schema>, { requestId }: ExportSelection) => {
  const all = db.selectFrom('audit').selectAll().orderBy('sequence');
  return (requestId === null ? all : all.where('request_id', '=', requestId)).execute();
};

/** One JSON document a line: header, rows, heads. */
export const exportJsonLines = async (
  db: Kysely<Schema>,
  key: Pick<AuditKey, 'keyId' | 'publicKeyPem'>,
  selection: ExportSelection & { at: Date },
): Promise<AuditExport> => {
  const rows = await selectRows(db, selection);
  const kept = rows.map((row) => Number(row.sequence));
  const heads = await db
    .selectFrom('audit_signature')
    .selectAll()
    // An excerpt has few rows, the trail a head for each minute.
    .$if(selection.requestId !== null, (select) => select.where('sequence', 'in', [0, ...kept]))
    .orderBy('sequence')
    .execute();
  const lines: unknown[] = [
    {
      format: exportFormat,
      exportedAt: selection.at.toISOString(),
      scope: selection.requestId === null ? 'whole' : 'excerpt',
      rows: rows.length,
      keyId: key.keyId,
      publicKey: key.publicKeyPem,
    },
    ...rows.map((row) => ({
      sequence: Number(row.sequence),
      previousHash: row.previous_hash,
      hash: row.hash,
      event: row.event,
    })),
    ...heads
      .filter((head) => kept.length > 0 && head.sequence <= (kept.at(-1) ?? 0))
      .map((head) => ({
        head: {
          sequence: Number(head.sequence),
          hash: head.hash,
          at: head.at.toISOString(),
          keyId: head.key_id,
          signature: head.signature,
        },
      })),
  ];
  return { text: `${lines.map((line) => JSON.stringify(line)).join('\n')}\n`, rows: rows.length };
};

/** A cell that no spreadsheet takes for a formula. */
export const csvCell = (value: string): string => {
  const safe = /^[=+\-@\t\r]/.test(value) ? `'${value}` : value;
  return `"${safe.replaceAll('"', '""')}"`;
};

const columns = ['sequence', 'at', 'kind', 'actor', 'what', 'request', 'grant', 'hash'] as const;

/** RFC 4180 with CRLF; for people, not for proof. */
export const exportCsv = async (db: Kysely<Schema>, selection: ExportSelection): Promise<AuditExport> => {
  const rows = await selectRows(db, selection);
  const lines = rows.map((row) =>
    [
      String(row.sequence),
      row.at.toISOString(),
      row.kind,
      actorName(row.event.actor),
      auditSentence(row.event),
      row.request_id ?? '',
      row.grant_id ?? '',
      row.hash,
    ]
      .map(csvCell)
      .join(','),
  );
  return { text: [columns.map(csvCell).join(','), ...lines, ''].join('\r\n'), rows: rows.length };
};
