/** Bearer tokens and nonces: 32 random bytes each, kept as SHA-256 only (threats ID-01, ID-09). */
import { createHash, randomBytes } from 'node:crypto';
import { limits } from '../../src/shared/limits.ts';
import { Refusal } from '../../src/shared/refusal.ts';
import type { StandingSignIn } from '../../src/shared/views.ts';
import { Secret } from '../log.ts';
import type { Db } from '../store/open.ts';

const hashOf = (secret: string): Buffer => createHash('sha256').update(secret).digest();
const newSecret = (): string => randomBytes(32).toString('base64url');

/** A list is for reading: somebody with more than these ends them all. */
const signInsShown = 50;
const tokensKeptMs = 7 * 86_400_000;
/** Live nonces that the backend keeps at most (threats ID-05). */
const liveNonces = 10_000;

/** Makes a nonce that can be used once within its life. @throws Refusal `too_many` while too many are out. */
export const issueNonce = async (db: Db, now: Date): Promise<{ nonce: string; expiresAt: Date }> => {
  await db.deleteFrom('nonces').where('expires_at', '<', now).execute();
  const { live } = await db
    .selectFrom('nonces')
    .select((eb) => eb.fn.countAll<number>().as('live'))
    .executeTakeFirstOrThrow();
  if (live >= liveNonces) throw new Refusal('too_many', { retryAfterMs: 5_000 });
  const nonce = newSecret();
  const expiresAt = new Date(now.getTime() + limits.nonceLifeSeconds * 1000);
  await db
    .insertInto('nonces')
    .values({ hash: hashOf(nonce), expires_at: expiresAt, used_at: null })
    .execute();
  return { nonce, expiresAt };
};

/** Uses a nonce up, by one conditional update: of two who try, one gets true. */
export const useUpNonce = async (db: Db, nonce: string, now: Date): Promise<boolean> => {
  const used = await db
    .updateTable('nonces')
    .set({ used_at: now })
    .where('hash', '=', hashOf(nonce))
    .where('used_at', 'is', null)
    .where('expires_at', '>', now)
    .executeTakeFirst();
  return used.numUpdatedRows === 1n;
};

/** What a valid token says. */
export type TokenFacts = { hash: Buffer; personId: string; provedAt: Date; expiresAt: Date };

/** Makes a token for a person who has just proved who they are. */
export const issueToken = async (
  db: Db,
  personId: string,
  times: { now: Date; lifeSeconds: number },
): Promise<{ token: Secret; expiresAt: Date }> => {
  const token = newSecret();
  const expiresAt = new Date(times.now.getTime() + times.lifeSeconds * 1000);
  await db
    .insertInto('tokens')
    .values({ hash: hashOf(token), person_id: personId, proved_at: times.now, expires_at: expiresAt, revoked_at: null })
    .execute();
  return { token: new Secret(token), expiresAt };
};

const bearer = /^Bearer ([A-Za-z0-9_-]{43})$/;

/** The token of the Authorization headers of a request: exactly one well-formed header, else null. */
export const bearerOf = (headers: readonly string[] | undefined): Secret | null => {
  const [only, second] = headers ?? [];
  const token = only === undefined || second !== undefined ? undefined : bearer.exec(only)?.[1];
  return token === undefined ? null : new Secret(token);
};

/** @throws Refusal `sign_in_needed`, the same one whatever is wrong with the token. */
export const authenticate = async (db: Db, token: Secret | null, now: Date): Promise<TokenFacts> => {
  const row =
    token === null
      ? undefined
      : await db
          .selectFrom('tokens')
          .select(['hash', 'person_id', 'proved_at', 'expires_at'])
          .where('hash', '=', hashOf(token.reveal()))
          .where('revoked_at', 'is', null)
          .where('expires_at', '>', now)
          .executeTakeFirst();
  if (row === undefined) throw new Refusal('sign_in_needed');
  return { hash: row.hash, personId: row.person_id, provedAt: row.proved_at, expiresAt: row.expires_at };
};

/** Makes a token worthless from now on. */
export const revokeToken = async (db: Db, hash: Buffer, now: Date): Promise<void> => {
  await db
    .updateTable('tokens')
    .set({ revoked_at: now })
    .where('hash', '=', hash)
    .where('revoked_at', 'is', null)
    .execute();
};

/** The other sign-ins of the same person that stand, newest first (threats ID-10). */
export const otherSignIns = async (db: Db, token: TokenFacts, now: Date): Promise<StandingSignIn[]> => {
  const rows = await db
    .selectFrom('tokens')
    .select(['proved_at', 'expires_at'])
    .where('person_id', '=', token.personId)
    .where('hash', '<>', token.hash)
    .where('revoked_at', 'is', null)
    .where('expires_at', '>', now)
    .orderBy('proved_at', 'desc')
    .limit(signInsShown)
    .execute();
  return rows.map((row) => ({ since: row.proved_at.toISOString(), until: row.expires_at.toISOString() }));
};

/** Deletes tokens that ended a week ago or longer: the audit trail tells of the sign-ins. */
export const forgetOldTokens = async (db: Db, now: Date): Promise<void> => {
  await db
    .deleteFrom('tokens')
    .where('expires_at', '<', new Date(now.getTime() - tokensKeptMs))
    .execute();
};

/** Which of these tokens still stand. */
export const standingTokens = async (db: Db, hashes: readonly Buffer[], now: Date): Promise<Set<string>> => {
  if (hashes.length === 0) return new Set();
  const rows = await db
    .selectFrom('tokens')
    .select('hash')
    .where('hash', 'in', [...hashes])
    .where('revoked_at', 'is', null)
    .where('expires_at', '>', now)
    .execute();
  return new Set(rows.map((row) => row.hash.toString('hex')));
};
