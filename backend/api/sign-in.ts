/**
 * Sign-in by identity proof (aws-facts 2.2, threats ID-01 to ID-08): the nonce is used up before STS is asked, STS's answer is
 * believed only for the requester permission set in the listed accounts, and the person is who the identity store says. Where
 * people are IAM users, only for users of the listed accounts who are in a configured group.
 */
import { sql } from 'kysely';
import type { IdentityProof } from '../../src/shared/identity-proof.ts';
import { limits } from '../../src/shared/limits.ts';
import { Refusal } from '../../src/shared/refusal.ts';
import { appendAudit } from '../audit/chain.ts';
import type { CallerIdentity } from '../aws/caller-identity.ts';
import type { Directory } from '../aws/directory.ts';
import type { Config } from '../config.ts';
import type { Log, Secret } from '../log.ts';
import type { Db } from '../store/open.ts';
import { type PersonFacts, savePerson } from '../store/people.ts';
import { atOnceLimit, callLimit } from './rate-limit.ts';
import { issueNonce, issueToken, useUpNonce } from './tokens.ts';

export type SignInDeps = {
  config: Pick<Config, 'partition' | 'signIn' | 'limits'>;
  db: Db;
  directory: Pick<Directory, 'byUserName'>;
  /** Asks STS: `aws/caller-identity.ts` with our server id. */
  callerIdentity: (proof: IdentityProof) => Promise<CallerIdentity>;
  /**
   * People are IAM users: the one of this UserId as IAM has them now, or null when there is none in the configured groups.
   * Null in place of it: no IAM user may sign in (ID-06).
   */
  iamUsers: { afresh: (accountId: string, userId: string) => Promise<PersonFacts | null> } | null;
  /** RoleId of a role under the reserved path of an account, or null when there is none of that name (ID-07). */
  reservedRoleId: (accountId: string, roleName: string) => Promise<string | null>;
  log: Log;
  now: () => Date;
};

type Identity = Extract<CallerIdentity, { kind: 'identity' }>;
type IamUsers = NonNullable<SignInDeps['iamUsers']>;

export type SignedIn = { token: Secret; expiresAt: Date; person: PersonFacts };

export type SignInDesk = {
  /** @param address the client's, for limits. */
  nonce: (address: string) => Promise<{ nonce: string; expiresAt: Date }>;
  prove: (proof: IdentityProof, address: string) => Promise<SignedIn>;
};

/** Enough for an office behind one address on a Monday (threats ID-05). */
const perMinute = 120;
const atOnce = { each: 8, overall: 32 };
/** A userName that another person carried within this time might still be meant by an old session (ID-08). */
const renameMs = 12 * 3600 * 1000;
/** Backend and Postgres may differ by this much; more and nobody knows what time it is (ID-04). */
const clockMs = 5_000;

/** The instant of an x-amz-date, or null when there is no such date. */
const instantOf = (amzDate: string): Date | null => {
  const [, year, month, day, hour, minute, second] = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/.exec(amzDate) ?? [];
  const at = new Date(`${year}-${month}-${day}T${hour}:${minute}:${second}.000Z`);
  return Number.isNaN(at.getTime()) ? null : at;
};

const checkProof = (proof: IdentityProof, stsRegion: string, now: Date): void => {
  if (proof.region !== stsRegion) {
    throw new Refusal('invalid_input', { path: 'region', message: `must be ${stsRegion}` });
  }
  const signedAt = instantOf(proof.amzDate);
  if (signedAt === null) throw new Refusal('invalid_input', { path: 'amzDate', message: 'is no date' });
  if (Math.abs(now.getTime() - signedAt.getTime()) > limits.proofSkewSeconds * 1000) {
    throw new Refusal('clock_skewed', {
      message: `The backend's clock says ${now.toISOString()}.`,
      at: now.toISOString(),
    });
  }
};

/**
 * Whom a GetCallerIdentity answer names where people are IAM users; a string says why nobody. The UserId counts, not the
 * name: names are used again, ids are not.
 */
const userNamedBy = (
  identity: Identity,
  { partition, signIn }: SignInDeps['config'],
): { account: string; userId: string } | string => {
  const [, arnPartition, account = ''] =
    /^arn:(aws[a-z-]*):iam::(\d{12}):user\/(?:[\u0021-\u007e]{1,510}\/)?[\w+=,.@-]{1,64}$/.exec(identity.arn) ?? [];
  if (arnPartition !== partition) return 'not an IAM user';
  if (account !== identity.account || !signIn.accounts.includes(account)) return 'not an account that may vouch';
  if (!/^AIDA[A-Z0-9]{12,124}$/.test(identity.userId)) return 'user id and ARN do not agree';
  return { account, userId: identity.userId };
};

/** Who a GetCallerIdentity answer names, as far as its form tells; a string says why nobody. */
const namedBy = (
  identity: Identity,
  { partition, signIn }: SignInDeps['config'],
): { account: string; roleName: string; roleId: string; userName: string } | string => {
  const [, arnPartition, account = '', roleName = '', userName = ''] =
    /^arn:(aws[a-z-]*):sts::(\d{12}):assumed-role\/([\w+=,.@-]{1,64})\/([\w+=,.@-]{2,64})$/.exec(identity.arn) ?? [];
  if (arnPartition !== partition) return 'not a session of a role';
  if (account !== identity.account || !signIn.accounts.includes(account)) return 'not an account that may vouch';
  const set = /^AWSReservedSSO_([\w+=,.@-]{1,32})_[0-9a-f]{16}$/.exec(roleName)?.[1];
  if (set !== signIn.permissionSet) return 'not the permission set for Curfew';
  const [roleId = '', session] = identity.userId.split(':');
  if (!/^AROA[A-Z0-9]{12,124}$/.test(roleId) || session !== userName) return 'user id and ARN do not agree';
  return { account, roleName, roleId, userName };
};

/** Nobody knows when access ends while the clocks differ. */
const checkClocks = async (db: Db, now: () => Date): Promise<void> => {
  const before = now().getTime();
  const { rows } = await sql<{ at: Date }>`select clock_timestamp() as at`.execute(db);
  const after = now().getTime();
  const at = rows[0]?.at.getTime() ?? Number.NaN;
  if (!(at > before - clockMs && at < after + clockMs)) {
    throw new Error('The clocks of the backend and of Postgres are more than 5 s apart: nobody can sign in.');
  }
};

const nameWasSomebodyElses = async (db: Db, person: PersonFacts, now: Date): Promise<boolean> => {
  const other = await db
    .selectFrom('people')
    .select('id')
    .where('user_name', '=', person.userName)
    .where('id', '<>', person.id)
    .where('checked_at', '>', new Date(now.getTime() - renameMs))
    .executeTakeFirst();
  return other !== undefined;
};

/** Sign-in with its limits: one desk for the whole backend. */
export const createSignInDesk = (deps: SignInDeps): SignInDesk => {
  const { config, db, directory, log, now } = deps;
  const nonces = callLimit(perMinute, 60_000);
  const proofs = callLimit(perMinute, 60_000);
  const verifying = atOnceLimit(atOnce.each, atOnce.overall);

  const refuse = async (arn: string | null, why: string): Promise<never> => {
    const at = now().toISOString();
    await db
      .transaction()
      .execute((tx) => appendAudit(tx, { kind: 'sign_in_refused', at, actor: { kind: 'curfew' }, arn, why }));
    log.warn({ event: 'sign_in_refused', arn, why }, 'sign-in refused');
    throw new Refusal('proof_refused');
  };

  /** Whom Identity Center's session names; a string says why nobody. */
  const inIdentityStore = async (identity: Identity): Promise<PersonFacts | string> => {
    const named = namedBy(identity, config);
    if (typeof named === 'string') return named;
    if ((await deps.reservedRoleId(named.account, named.roleName)) !== named.roleId) {
      return 'not a role that Identity Center made';
    }
    const person = await directory.byUserName(named.userName);
    if (person === null) return 'nobody of that name in the identity store';
    if (!person.enabled) return 'disabled in the identity store';
    return (await nameWasSomebodyElses(db, person, now())) ? 'the name was another person’s lately' : person;
  };

  const amongIamUsers = async (identity: Identity, users: IamUsers): Promise<PersonFacts | string> => {
    const named = userNamedBy(identity, config);
    if (typeof named === 'string') return named;
    return (await users.afresh(named.account, named.userId)) ?? 'not in an IAM group that may use Curfew';
  };

  const verify = async (proof: IdentityProof): Promise<SignedIn> => {
    checkProof(proof, config.signIn.stsRegion, now());
    await checkClocks(db, now);
    if (!(await useUpNonce(db, proof.nonce, now()))) {
      log.warn({ event: 'sign_in_refused', why: 'nonce' }, 'sign-in refused: nonce unknown, used or late');
      throw new Refusal('proof_refused');
    }
    const identity = await deps.callerIdentity(proof);
    if (identity.kind === 'busy') throw new Refusal('busy', { retryAfterMs: 2_000 });
    if (identity.kind === 'refused') return refuse(null, identity.why);
    const person = await (deps.iamUsers === null ? inIdentityStore(identity) : amongIamUsers(identity, deps.iamUsers));
    if (typeof person === 'string') return refuse(identity.arn, person);
    return db.transaction().execute(async (tx) => {
      await savePerson(tx, person);
      const { id, userName, displayName } = person;
      await appendAudit(tx, {
        kind: 'signed_in',
        at: now().toISOString(),
        actor: { kind: 'person', person: { id, userName, displayName } },
        arn: identity.arn,
      });
      const issued = await issueToken(tx, person.id, { now: now(), lifeSeconds: config.limits.tokenLifeSeconds });
      return { ...issued, person };
    });
  };

  return {
    nonce: async (address) => {
      nonces.count(address, now());
      return issueNonce(db, now());
    },
    prove: async (proof, address) => {
      proofs.count(address, now());
      return verifying.run(address, () => verify(proof));
    },
  };
};
