/**
 * Verifies an export without the backend (promise 4): every row's hash, the chain from row to row, sequence numbers without gaps, and the
 * signed heads. Trust in the key comes from outside: pass the fingerprint you know (threats AU-03).
 */
import { createPublicKey, type KeyObject } from 'node:crypto';
import { z } from 'zod';
import { type AnchorLine, type AnchorProof, checkAnchor } from './anchor.ts';
import { firstPreviousHash, hashOfRow } from './chain.ts';
import { exportFormat } from './export.ts';
import { headIsSignedBy, keyIdOf, type SignedHead } from './heads.ts';

const hex = z.string().regex(/^[0-9a-f]{64}$/);
const header = z.strictObject({
  format: z.literal(exportFormat),
  exportedAt: z.string(),
  scope: z.enum(['whole', 'excerpt']),
  rows: z.int().min(0),
  keyId: z.string(),
  publicKey: z.string(),
});
const row = z.strictObject({ sequence: z.int().positive(), previousHash: hex, hash: hex, event: z.unknown() });
const head = z.strictObject({
  head: z.strictObject({
    sequence: z.int().positive(),
    hash: hex,
    at: z.string(),
    keyId: z.string(),
    signature: z.string(),
  }),
});

export type Verification =
  | {
      ok: true;
      scope: 'whole' | 'excerpt';
      rows: number;
      /** The last row that a valid signature covers: what comes after is chained, not yet signed. */
      signedTo: number | null;
      keyId: string;
      /** What the anchor adds; null: none was given. */
      anchor: Extract<AnchorProof, { ok: true }> | null;
    }
  /** The first line that is wrong (counted from 1) and, if it is a row, its sequence number. */
  | { ok: false; line: number; sequence: number | null; what: string };

const parseLine = (text: string): unknown => {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
};

type Progress = {
  lastSequence: number;
  lastHash: string;
  hashes: Map<number, string>;
  rows: number;
  signedTo: number | null;
};

const rowProblem = (candidate: z.infer<typeof row>, progress: Progress, whole: boolean): string | null => {
  const { sequence, previousHash, hash, event } = candidate;
  if (whole && sequence !== progress.lastSequence + 1) {
    return `row ${progress.lastSequence + 1} is missing: after ${progress.lastSequence} comes ${sequence}`;
  }
  if (sequence <= progress.lastSequence) return `row ${sequence} comes after row ${progress.lastSequence}`;
  const follows = sequence === progress.lastSequence + 1;
  if (follows && (whole || progress.lastSequence > 0) && previousHash !== progress.lastHash) {
    return `row ${sequence} does not follow the row before it`;
  }
  return hashOfRow({ sequence, previousHash, event }) === hash
    ? null
    : `row ${sequence} was changed: its hash does not fit`;
};

type Problem = { what: string; sequence: number | null };

const headProblem = (signed: SignedHead, progress: Progress, publicKey: KeyObject): string | null => {
  if (progress.hashes.get(signed.sequence) !== signed.hash) {
    return `the signed head names another row ${signed.sequence} than the export has`;
  }
  return headIsSignedBy(signed, publicKey) ? null : `the signature of head ${signed.sequence} is not valid`;
};

/** Checks one line after the header and moves the progress on. @returns what is wrong with it, or null. */
const takeLine = (
  value: unknown,
  progress: Progress,
  { whole, publicKey }: { whole: boolean; publicKey: KeyObject },
): Problem | null => {
  const asRow = row.safeParse(value);
  if (asRow.success) {
    const what = rowProblem(asRow.data, progress, whole);
    if (what !== null) return { what, sequence: asRow.data.sequence };
    progress.lastSequence = asRow.data.sequence;
    progress.lastHash = asRow.data.hash;
    progress.hashes.set(asRow.data.sequence, asRow.data.hash);
    progress.rows += 1;
    return null;
  }
  const asHead = head.safeParse(value);
  if (!asHead.success) return { what: 'this line is neither a row nor a signed head', sequence: null };
  const signed = asHead.data.head;
  const what = headProblem(signed, progress, publicKey);
  if (what !== null) return { what, sequence: signed.sequence };
  progress.signedTo = Math.max(progress.signedTo ?? 0, signed.sequence);
  return null;
};

/**
 * @param text a JSON Lines export.
 * @param expectedKeyId the key's fingerprint as you know it from outside; null accepts the export's own key, which proves
 *   integrity but not origin.
 * @param anchor lines of the anchor, kept outside (threats AU-02); null: rows cut off the end go unnoticed.
 */
export const verifyExport = (
  text: string,
  expectedKeyId: string | null,
  anchor: readonly AnchorLine[] | null = null,
): Verification => {
  const lines = text.split('\n').filter((line) => line !== '');
  const fail = (index: number, what: string, sequence: number | null = null): Verification => ({
    ok: false,
    line: index + 1,
    sequence,
    what,
  });
  const top = header.safeParse(parseLine(lines[0] ?? ''));
  if (!top.success) return fail(0, `the first line is not the header of a ${exportFormat} export`);
  const publicKey = createPublicKey(top.data.publicKey);
  const keyId = keyIdOf(publicKey);
  if (expectedKeyId !== null && keyId !== expectedKeyId) {
    return fail(0, `signed by key ${keyId}, but ${expectedKeyId} was expected`);
  }
  const whole = top.data.scope === 'whole';
  const progress: Progress = {
    lastSequence: 0,
    lastHash: firstPreviousHash,
    hashes: new Map(),
    rows: 0,
    signedTo: null,
  };
  for (const [index, line] of lines.entries()) {
    if (index === 0) continue;
    const problem = takeLine(parseLine(line), progress, { whole, publicKey });
    if (problem !== null) return fail(index, problem.what, problem.sequence);
  }
  if (progress.rows !== top.data.rows) {
    return fail(lines.length - 1, `the header says ${top.data.rows} rows, the export has ${progress.rows}`);
  }
  const proof = anchor === null ? null : checkAnchor(anchor, { hashes: progress.hashes, whole, publicKey });
  if (proof?.ok === false) return fail(lines.length - 1, proof.what);
  const { rows, signedTo } = progress;
  return { ok: true, scope: top.data.scope, rows, signedTo, keyId, anchor: proof };
};
