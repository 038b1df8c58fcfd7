/**
 * Signed heads: at intervals the newest row's hash is signed with the backend's own Ed25519 key, kept outside Postgres, so that a
 * chain that somebody with the database alone writes anew does not carry our signature.
 */
import {
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  sign,
  verify,
} from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Kysely } from 'kysely';
import { assertPrivateFile, openPrivateFolder } from '../store/private-files.ts';
import type { Schema } from '../store/schema.ts';
import { canonicalForm } from './chain.ts';

export type SignedHead = { sequence: number; hash: string; at: string; keyId: string; signature: string };

export type AuditKey = { keyId: string; privateKey: KeyObject; publicKeyPem: string };

/** First 32 hex of SHA-256 over the public key (SPKI, DER). */
export const keyIdOf = (publicKey: KeyObject): string =>
  createHash('sha256')
    .update(publicKey.export({ type: 'spki', format: 'der' }))
    .digest('hex')
    .slice(0, 32);

/**
 * Reads `audit.key` of the keys folder; makes both (0700, 0600) when missing. @throws Error when one of them is open to others.
 */
export const openAuditKey = (folder: string): AuditKey => {
  const file = join(folder, 'audit.key');
  openPrivateFolder(folder);
  if (!existsSync(file)) {
    const { privateKey } = generateKeyPairSync('ed25519');
    writeFileSync(file, privateKey.export({ type: 'pkcs8', format: 'pem' }), { mode: 0o600, flag: 'wx' });
  }
  assertPrivateFile(file);
  const privateKey = createPrivateKey(readFileSync(file));
  const publicKey = createPublicKey(privateKey);
  return {
    keyId: keyIdOf(publicKey),
    privateKey,
    publicKeyPem: publicKey.export({ type: 'spki', format: 'pem' }).toString(),
  };
};

const signedBytes = ({ sequence, hash, at, keyId }: Omit<SignedHead, 'signature'>): Buffer =>
  Buffer.from(canonicalForm({ at, hash, keyId, sequence }));

/** True when the head was signed by this key. */
export const headIsSignedBy = (head: SignedHead, publicKey: KeyObject): boolean =>
  head.keyId === keyIdOf(publicKey) &&
  verify(null, signedBytes(head), publicKey, Buffer.from(head.signature, 'base64'));

/** That the trail goes on from this row, and that rows after `after` which were anchored before are lost. */
export type SignedRestore = SignedHead & { after: number };

// Another form than a head's, so that no head can be passed off as one.
const restoreBytes = ({ sequence, hash, at, keyId, after }: Omit<SignedRestore, 'signature'>): Buffer =>
  Buffer.from(canonicalForm({ after, at, hash, keyId, sequence }));

/** True when the restore was confirmed with this key. */
export const restoreIsSignedBy = (restore: SignedRestore, publicKey: KeyObject): boolean =>
  restore.keyId === keyIdOf(publicKey) &&
  verify(null, restoreBytes(restore), publicKey, Buffer.from(restore.signature, 'base64'));

/** Signs a restore at the newest row. @throws Error when there is none. */
export const signRestore = async (
  db: Kysely<Schema>,
  key: AuditKey,
  { after, now }: { after: number; now: Date },
): Promise<SignedRestore> => {
  const { signature: _, ...head } = await signNewest(db, key, now);
  const unsigned = { ...head, after };
  return { ...unsigned, signature: sign(null, restoreBytes(unsigned), key.privateKey).toString('base64') };
};

/** Signs the newest row. @throws Error when there is none. */
const signNewest = async (db: Kysely<Schema>, key: AuditKey, now: Date): Promise<SignedHead> => {
  const newest = await db
    .selectFrom('audit')
    .select(['sequence', 'hash'])
    .orderBy('sequence', 'desc')
    .limit(1)
    .executeTakeFirstOrThrow();
  const unsigned = { sequence: Number(newest.sequence), hash: newest.hash, at: now.toISOString(), keyId: key.keyId };
  return { ...unsigned, signature: sign(null, signedBytes(unsigned), key.privateKey).toString('base64') };
};

/** Signs the newest row and keeps that, unless it is signed already or there is none. @returns the new head, or null. */
export const signHead = async (db: Kysely<Schema>, key: AuditKey, now: Date): Promise<SignedHead | null> => {
  const { sequence } = await db.selectFrom('audit_head').select('sequence').executeTakeFirstOrThrow();
  if (sequence === 0) return null;
  const head = await signNewest(db, key, now);
  const stored = await db
    .insertInto('audit_signature')
    .values({ sequence: head.sequence, hash: head.hash, at: now, key_id: head.keyId, signature: head.signature })
    .onConflict((conflict) => conflict.column('sequence').doNothing())
    .executeTakeFirst();
  return stored.numInsertedOrUpdatedRows === 1n ? head : null;
};
