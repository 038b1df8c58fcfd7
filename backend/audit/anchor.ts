/**
 * An anchor for the trail, outside Postgres (threats AU-02): every signed head is appended to a file that the database's admins
 * cannot change, so that a trail which was cut, or a database restored from a backup, is found out. What left cannot be unsaid:
 * the file is only ever appended to. Keep it where others cannot rewrite it (another machine's mount, an append-only or
 * write-once place, a log shipper).
 *
 * Lines are JSON: `{"head":…}`, or `{"restored":…}` where an admin confirmed that the trail goes on after an older row; what was
 * anchored above that row before is lost, and every verification says so.
 */

import type { KeyObject } from 'node:crypto';
import { closeSync, existsSync, fstatSync, fsyncSync, openSync, readFileSync, readSync, writeSync } from 'node:fs';
import type { Kysely } from 'kysely';
import { z } from 'zod';
import type { Schema } from '../store/schema.ts';
import { headIsSignedBy, restoreIsSignedBy, type SignedHead } from './heads.ts';

const signedHead = z.strictObject({
  sequence: z.int().positive(),
  hash: z.string().regex(/^[0-9a-f]{64}$/),
  at: z.string(),
  keyId: z.string(),
  signature: z.string(),
});
const signedRestore = signedHead.extend({ after: z.int().min(0) });
const anchorLine = z.union([
  z.strictObject({ head: signedHead }).transform(({ head }) => ({ kind: 'head' as const, head })),
  z
    .strictObject({ restored: signedRestore })
    .transform(({ restored }) => ({ kind: 'restored' as const, head: restored })),
]);
export type AnchorLine = z.output<typeof anchorLine>;

export type Anchor = {
  /** The newest head that was anchored, also by other processes since; null: none yet. @throws Error for a line that is none. */
  newest: () => SignedHead | null;
  /** Appends and waits until it is on disk. */
  append: (lines: readonly AnchorLine[]) => void;
};

const parseLines = (text: string, file: string): AnchorLine[] =>
  text.split('\n').flatMap((line, index) => {
    if (line === '' || isTorn(line)) return [];
    try {
      return [anchorLine.parse(JSON.parse(line))];
    } catch (error) {
      throw new Error(`Line ${index + 1} of the anchor ${file} is not a signed head.`, { cause: error });
    }
  });

/** The begin of a line that a crash cut off, closed by the next one: it was never said to be anchored. */
const isTorn = (line: string): boolean => {
  if (!line.startsWith('{')) return false;
  try {
    JSON.parse(line);
    return false;
  } catch {
    return true;
  }
};

/** Whole lines only: one that was cut off in the middle of its write was never said to be anchored. */
const wholeLines = (text: string): string => text.slice(0, text.lastIndexOf('\n') + 1);

/** All lines of an anchor, oldest first. @throws Error when it is not there, or for a line that is no signed head. */
export const readAnchor = (file: string): AnchorLine[] => parseLines(wholeLines(readFileSync(file, 'utf8')), file);

/** Opens nothing yet; the file is made (0600) by the first head. */
export const openAnchor = (file: string): Anchor => {
  let newest: SignedHead | null = null;
  let readTo = 0;

  const catchUp = (): void => {
    if (!existsSync(file)) {
      newest = null;
      readTo = 0;
      return;
    }
    const handle = openSync(file, 'r');
    try {
      const { size } = fstatSync(handle);
      // It only grows: a shorter one is another file.
      if (size < readTo) readTo = 0;
      const bytes = Buffer.alloc(size - readTo);
      readSync(handle, bytes, 0, bytes.length, readTo);
      const text = wholeLines(bytes.toString('utf8'));
      readTo += Buffer.byteLength(text);
      for (const { kind, head } of parseLines(text, file)) {
        if (kind === 'restored' || newest === null || head.sequence > newest.sequence) newest = head;
      }
    } finally {
      closeSync(handle);
    }
  };

  return {
    newest: () => {
      catchUp();
      return newest;
    },
    append: (lines) => {
      if (lines.length === 0) return;
      const handle = openSync(file, 'a+', 0o600);
      try {
        const { size } = fstatSync(handle);
        const last = Buffer.alloc(1);
        if (size > 0) readSync(handle, last, 0, 1, size - 1);
        // A line that was cut off by a crash is closed first, so that it spoils no other.
        const begin = size > 0 && last.toString() !== '\n' ? '\n' : '';
        const text = lines.map(({ kind, head }) => `${JSON.stringify({ [kind]: head })}\n`).join('');
        writeSync(handle, begin + text);
        fsyncSync(handle);
      } finally {
        closeSync(handle);
      }
    },
  };
};

/** How a database stands to its anchor. `behind`: it does not hold what was anchored. */
export type Standing = { state: 'even' } | { state: 'behind'; what: string; anchored: number | null; trail: number };

/** Does the trail in this database hold the newest head that was anchored? */
export const compareWithAnchor = async (db: Kysely<Schema>, anchor: Anchor): Promise<Standing> => {
  const { sequence: trail } = await db.selectFrom('audit_head').select('sequence').executeTakeFirstOrThrow();
  let newest: SignedHead | null;
  try {
    newest = anchor.newest();
  } catch (error) {
    const what = error instanceof Error ? error.message : 'The anchor could not be read.';
    return { state: 'behind', what, anchored: null, trail };
  }
  if (newest === null) {
    const since = await db.selectFrom('trail_anchor').select('since').executeTakeFirst();
    if (since === undefined) return { state: 'even' };
    const what = `This trail has been anchored since ${since.since.toISOString()}, but the anchor is empty or gone.`;
    return { state: 'behind', what, anchored: null, trail };
  }
  const row = await db.selectFrom('audit').select('hash').where('sequence', '=', newest.sequence).executeTakeFirst();
  if (row?.hash === newest.hash) return { state: 'even' };
  const what =
    row === undefined
      ? `The trail ends at row ${trail}, but row ${newest.sequence} was anchored at ${newest.at}: this database is older than its anchor.`
      : `Row ${newest.sequence} of the trail is not the one that was anchored at ${newest.at}.`;
  return { state: 'behind', what, anchored: newest.sequence, trail };
};

/** Appends every signed head that the anchor does not have yet. @returns how many. */
export const anchorHeads = async (db: Kysely<Schema>, anchor: Anchor, now: Date): Promise<number> => {
  const after = anchor.newest()?.sequence ?? 0;
  const rows = await db
    .selectFrom('audit_signature')
    .selectAll()
    .where('sequence', '>', after)
    .orderBy('sequence')
    .execute();
  if (rows.length === 0) return 0;
  anchor.append(rows.map((row) => ({ kind: 'head', head: headOf(row) })));
  await db
    .insertInto('trail_anchor')
    .values({ since: now })
    .onConflict((conflict) => conflict.doNothing())
    .execute();
  return rows.length;
};

type SignatureRow = { sequence: number; hash: string; at: Date; key_id: string; signature: string };
const headOf = (row: SignatureRow): SignedHead => ({
  sequence: Number(row.sequence),
  hash: row.hash,
  at: row.at.toISOString(),
  keyId: row.key_id,
  signature: row.signature,
});

/**
 * The heads that hold: those above a confirmed restore's last common row are dropped by it.
 * @param onRestore told of each restore: its last common row, the highest one that was anchored until then, and when.
 */
const standingHeads = (
  lines: readonly AnchorLine[],
  onRestore: (after: number, highest: number, at: string) => void = () => undefined,
): SignedHead[] => {
  let standing: SignedHead[] = [];
  for (const line of lines) {
    if (line.kind === 'restored') {
      const { after, at } = line.head;
      onRestore(
        after,
        standing.reduce((highest, { sequence }) => Math.max(highest, sequence), 0),
        at,
      );
      standing = standing.filter(({ sequence }) => sequence <= after);
    }
    standing.push(line.head);
  }
  return standing;
};

const rowsAtOnce = 1000;

/** The highest anchored row that this database holds as it was anchored; 0: none. */
export const lastCommonRow = async (db: Kysely<Schema>, lines: readonly AnchorLine[]): Promise<number> => {
  const newestFirst = standingHeads(lines).sort((a, b) => b.sequence - a.sequence);
  for (let at = 0; at < newestFirst.length; at += rowsAtOnce) {
    const some = newestFirst.slice(at, at + rowsAtOnce);
    const rows = await db
      .selectFrom('audit')
      .select(['sequence', 'hash'])
      .where(
        'sequence',
        'in',
        some.map(({ sequence }) => sequence),
      )
      .execute();
    const hashes = new Map(rows.map(({ sequence, hash }) => [Number(sequence), hash]));
    const common = some.find(({ sequence, hash }) => hashes.get(sequence) === hash);
    if (common !== undefined) return common.sequence;
  }
  return 0;
};

/** What an anchor proves about rows. `lost`: rows that were anchored and that a confirmed restore dropped, first and last. */
export type AnchorProof =
  | { ok: true; provenTo: number | null; lost: Array<{ from: number; to: number; at: string }> }
  | { ok: false; what: string };

/**
 * Compares rows with an anchor.
 * @param hashes of the rows at hand, by sequence number.
 * @param whole true: none may be missing. False: rows that are not at hand prove nothing.
 */
export const checkAnchor = (
  lines: readonly AnchorLine[],
  { hashes, whole, publicKey }: { hashes: ReadonlyMap<number, string>; whole: boolean; publicKey: KeyObject },
): AnchorProof => {
  const lost: Array<{ from: number; to: number; at: string }> = [];
  for (const line of lines) {
    const signed =
      line.kind === 'head' ? headIsSignedBy(line.head, publicKey) : restoreIsSignedBy(line.head, publicKey);
    if (!signed) return { ok: false, what: `the anchored head of row ${line.head.sequence} is not signed by this key` };
  }
  const standing = standingHeads(lines, (after, dropped, at) => {
    if (dropped > after) lost.push({ from: after + 1, to: dropped, at });
  });
  for (const head of standing) {
    const hash = hashes.get(head.sequence);
    if (hash === head.hash || (hash === undefined && !whole)) continue;
    return {
      ok: false,
      what:
        hash === undefined
          ? `row ${head.sequence} was anchored at ${head.at} and is missing: the end was cut off`
          : `row ${head.sequence} is not the one that was anchored at ${head.at}`,
    };
  }
  const proven = standing.filter(({ sequence }) => hashes.has(sequence));
  const provenTo = proven.reduce<number | null>((highest, { sequence }) => Math.max(highest ?? 0, sequence), null);
  return { ok: true, provenTo, lost };
};
