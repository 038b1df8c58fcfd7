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

type Header = { whole: boolean; rows: number; publicKey: KeyObject; keyId: string };

/** @returns what the first line says, or what is wrong with it. */
const readHeader = (value: unknown, expectedKeyId: string | null): Header | string => {
  const parsed = header.safeParse(value);
  if (!parsed.success) return `the first line is not the header of a ${exportFormat} export`;
  const { scope, rows, publicKey: pem } = parsed.data;
  const publicKey = createPublicKey(pem);
  const keyId = keyIdOf(publicKey);
  if (expectedKeyId !== null && keyId !== expectedKeyId) {
    return `signed by key ${keyId}, but ${expectedKeyId} was expected`;
  }
  return { whole: scope === 'whole', rows, publicKey, keyId };
};

/**
 * Takes line by line, so that a trail of any length can be checked.
 * @param lines of a JSON Lines export; empty ones are passed over.
 * @param expectedKeyId the key's fingerprint as you know it from outside; null accepts the export's own key, which proves
 *   integrity but not origin.
 * @param anchor lines of the anchor, kept outside (threats AU-02); null: rows cut off the end go unnoticed.
 */
export const verifyExport = (
  lines: Iterable<string>,
  expectedKeyId: string | null,
  anchor: readonly AnchorLine[] | null = null,
): Verification => {
  let line = 0;
  const fail = (what: string, sequence: number | null = null): Verification => ({
    ok: false,
    line: Math.max(1, line),
    sequence,
    what,
  });
  let top: Header | null = null;
  const progress: Progress = {
    lastSequence: 0,
    lastHash: firstPreviousHash,
    hashes: new Map(),
    rows: 0,
    signedTo: null,
  };
  for (const text of lines) {
    if (text === '') continue;
    line += 1;
    const value = parseLine(text);
    if (top === null) {
      const read = readHeader(value, expectedKeyId);
      if (typeof read === 'string') return fail(read);
      top = read;
      continue;
    }
    const problem = takeLine(value, progress, top);
    if (problem !== null) return fail(problem.what, problem.sequence);
  }
  if (top === null) return fail('the export is empty');
  const { rows, signedTo, hashes } = progress;
  const { keyId, whole, publicKey } = top;
  if (rows !== top.rows) return fail(`the header says ${top.rows} rows, the export has ${rows}`);
  const proof = anchor === null ? null : checkAnchor(anchor, { hashes, whole, publicKey });
  if (proof?.ok === false) return fail(proof.what);
  return { ok: true, scope: whole ? 'whole' : 'excerpt', rows, signedTo, keyId, anchor: proof };
};
