/**
 * Exports of the audit trail, part by part: a trail of years is longer than one answer, one statement or one string may be. JSON Lines is
 * exact and verifiable: a header, each row, then the signed heads. CSV is for reading: everything quoted, formula starters defused
 * (threats AU-08).
 */
import type { Kysely, Selectable } from 'kysely';
import type { ExportCursor, ExportPart, ExportWish } from '../../src/shared/views.ts';
import type { Schema } from '../store/schema.ts';
import type { AuditKey } from './heads.ts';
import { actorName, auditSentence } from './sentence.ts';

export const exportFormat = 'curfew-audit/1';

/** Rows, or signed heads, in one part: some 1.4 MB, made in so short a time that nobody else's call waits for it. */
const mostInPart = 2000;

type Exporting = {
  db: Kysely<Schema>;
  key: Pick<AuditKey, 'keyId' | 'publicKeyPem'>;
  /** `requestId` null: the whole trail. Else only rows of this request: such an excerpt proves each row, not that none is missing. */
  wish: ExportWish;
  at: Date;
  /** Rows or heads in one part; by default some thousand. */
  most?: number;
};

type AuditRow = Selectable<Schema['audit']>;

/** Up to which row the export goes, and how many rows that are: what is appended while it is written is not in it. */
const begin = async ({ db, wish: { requestId } }: Exporting): Promise<ExportCursor> => {
  const { sequence: to } = await db.selectFrom('audit_head').select('sequence').executeTakeFirstOrThrow();
  const { rows } = await db
    .selectFrom('audit')
    .select((eb) => eb.fn.countAll<number>().as('rows'))
    .where('sequence', '<=', to)
    .$if(requestId !== null, (select) => select.where('request_id', '=', requestId))
    .executeTakeFirstOrThrow();
  return { part: 'rows', to: Number(to), rows: Number(rows), after: 0 };
};

const readRows = ({ db, wish: { requestId }, most = mostInPart }: Exporting, { to, after }: ExportCursor) =>
  db
    .selectFrom('audit')
    .selectAll()
    .where('sequence', '>', after)
    .where('sequence', '<=', to)
    .$if(requestId !== null, (select) => select.where('request_id', '=', requestId))
    .orderBy('sequence')
    .limit(most)
    .execute();

const readHeads = ({ db, wish: { requestId }, most = mostInPart }: Exporting, { to, after }: ExportCursor) =>
  db
    .selectFrom('audit_signature')
    .selectAll()
    .where('sequence', '>', after)
    .where('sequence', '<=', to)
    .$if(requestId !== null, (select) =>
      // An excerpt has few rows, the trail a head for each minute.
      select.where('sequence', 'in', (eb) =>
        eb.selectFrom('audit').select('audit.sequence').where('request_id', '=', requestId),
      ),
    )
    .orderBy('sequence')
    .limit(most)
    .execute();

/** A cell that no spreadsheet takes for a formula. */
export const csvCell = (value: string): string => {
  const safe = /^[=+\-@\t\r]/.test(value) ? `'${value}` : value;
  return `"${safe.replaceAll('"', '""')}"`;
};

const columns = ['sequence', 'at', 'kind', 'actor', 'what', 'request', 'grant', 'hash'] as const;

const cellsOf = (row: AuditRow): string[] => [
  String(row.sequence),
  row.at.toISOString(),
  row.kind,
  actorName(row.event.actor),
  auditSentence(row.event),
  row.request_id ?? '',
  row.grant_id ?? '',
  row.hash,
];

/** How a format writes what. Each line ends with its line break. */
type Writer = {
  header: (exporting: Exporting, rows: number) => string;
  row: (row: AuditRow) => string;
  /** Null: the format has no room for proof. */
  head: ((head: Selectable<Schema['audit_signature']>) => string) | null;
};

const json = (value: unknown): string => `${JSON.stringify(value)}\n`;
const csv = (cells: readonly string[]): string => `${cells.map(csvCell).join(',')}\r\n`;

const writers: Record<ExportWish['format'], Writer> = {
  /** One JSON document a line. */
  jsonl: {
    header: ({ key, wish, at }, rows) =>
      json({
        format: exportFormat,
        exportedAt: at.toISOString(),
        scope: wish.requestId === null ? 'whole' : 'excerpt',
        rows,
        keyId: key.keyId,
        publicKey: key.publicKeyPem,
      }),
    row: ({ sequence, previous_hash: previousHash, hash, event }) =>
      json({ sequence: Number(sequence), previousHash, hash, event }),
    head: ({ sequence, hash, at, key_id: keyId, signature }) =>
      json({ head: { sequence: Number(sequence), hash, at: at.toISOString(), keyId, signature } }),
  },
  /** RFC 4180 with CRLF; for people, not for proof. */
  csv: { header: () => csv(columns), row: (row) => csv(cellsOf(row)), head: null },
};

/** What comes after a part: of its own kind where it was full, else the heads, else nothing. */
const following = (
  cursor: ExportCursor,
  found: ReadonlyArray<{ sequence: number }>,
  { full, heads }: { full: boolean; heads: boolean },
): ExportCursor | null => {
  const last = found.at(-1);
  if (full && last !== undefined) return { ...cursor, after: Number(last.sequence) };
  return cursor.part === 'rows' && heads ? { ...cursor, part: 'heads', after: 0 } : null;
};

/**
 * One part of an export; all of them one after the other are the file.
 * @param cursor of the part before; null for the first.
 */
export const exportPart = async (exporting: Exporting, cursor: ExportCursor | null): Promise<ExportPart> => {
  const { most = mostInPart } = exporting;
  const writer = writers[exporting.wish.format];
  const here = cursor ?? (await begin(exporting));
  const heads = writer.head !== null;
  if (here.part === 'heads') {
    const found = writer.head === null ? [] : await readHeads(exporting, here);
    const text = found.map((head) => writer.head?.(head) ?? '').join('');
    return { text, rows: 0, of: here.rows, next: following(here, found, { full: found.length === most, heads }) };
  }
  const found = await readRows(exporting, here);
  const header = cursor === null ? writer.header(exporting, here.rows) : '';
  const next = following(here, found, { full: found.length === most, heads });
  return { text: header + found.map((row) => writer.row(row)).join(''), rows: found.length, of: here.rows, next };
};

/** Every part of an export, in order. */
export async function* exportParts(exporting: Exporting): AsyncGenerator<ExportPart> {
  let cursor: ExportCursor | null = null;
  do {
    const part: ExportPart = await exportPart(exporting, cursor);
    yield part;
    cursor = part.next;
  } while (cursor !== null);
}
