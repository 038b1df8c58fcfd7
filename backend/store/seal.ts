/**
 * Seals of decisions and grants: HMAC-SHA-256 by a key that is kept outside Postgres, so that a row somebody put into the
 * database, or moved there, opens nothing (threats AU-05). `access` seals in the transaction that writes the row; the
 * reconciler checks before it writes to AWS.
 *
 * Sealed is what gives access: who, where, on what, how much, from when, until when. Not sealed is what only says how far
 * an ending has come (state, cause, receipt): forging that makes a grant end late at worst at its sealed end.
 */
import { createHmac, createSecretKey, hkdfSync, type KeyObject, randomBytes, timingSafeEqual } from 'node:crypto';
import { chmodSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import canonicalize from 'canonicalize';
import type { Selectable } from 'kysely';
import type { InstanceRef } from '../../src/shared/access.ts';
import { assertPrivateFile, openPrivateFolder } from './private-files.ts';
import type { Schema } from './schema.ts';

const keyFile = 'decision.key';
const keyBytes = 32;

/** Prints as an object without its bytes: it may be passed and logged by accident without harm. */
export type SealKey = KeyObject;

const alreadyThere = (error: unknown): boolean => error instanceof Error && 'code' in error && error.code === 'EEXIST';

/**
 * The key in `folder`, made (folder 0700, file 0600, 32 random bytes as hex) when it is missing.
 * @throws Error when the folder or the file is open to others than its owner, or the file is no such key.
 */
export const openSealKey = (folder: string): SealKey => {
  const file = join(folder, keyFile);
  openPrivateFolder(folder);
  try {
    // `wx` fails when the file exists: two backends that start together agree on one key.
    writeFileSync(file, `${randomBytes(keyBytes).toString('hex')}\n`, { flag: 'wx', mode: 0o600 });
    chmodSync(file, 0o600);
  } catch (error) {
    if (!alreadyThere(error)) throw error;
  }
  assertPrivateFile(file);
  const hex = readFileSync(file, 'utf8').trim();
  if (!/^[0-9a-f]{64}$/.test(hex)) throw new Error(`${file} is not a key of 64 hex digits.`);
  return createSecretKey(hex, 'hex');
};

/**
 * The external id of one account in this installation (threats AWS-10): 48 hex digits that whoever has not the key cannot guess, and
 * that tell nothing about the key.
 */
export const externalIdOf = (key: SealKey, accountId: string): string =>
  Buffer.from(hkdfSync('sha256', key, '', `curfew external id of ${accountId}`, 24)).toString('hex');

/** What a decision's seal covers. Fields as in the table `decisions`; instances in the order of the row. */
export type DecisionContent = {
  id: string;
  requestId: string;
  requesterId: string;
  ruleId: string | null;
  personId: string | null;
  verdict: 'yes' | 'no';
  instances: readonly InstanceRef[] | null;
  durationSeconds: number | null;
  at: Date;
  ruleSetHash: string;
  seenHash: string | null;
};

/** What a grant's seal covers. Fields as in the tables `grants`, `grant_instances` (by position) and `principals`. */
export type GrantContent = {
  id: string;
  requestId: string;
  personId: string;
  accountId: string;
  /** The role that carries it: a changed row in `principals` must not move the access to somebody else. */
  principalArn: string;
  capability: string;
  durationSeconds: number;
  instances: readonly InstanceRef[];
  approvedAt: Date;
  activateBy: Date;
  connectedAt: Date | null;
  endsAt: Date | null;
};

/** The sealed content of a row of `decisions`. */
export const decisionContent = (row: Selectable<Schema['decisions']>): DecisionContent => ({
  id: row.id,
  requestId: row.request_id,
  requesterId: row.requester_id,
  ruleId: row.rule_id,
  personId: row.person_id,
  verdict: row.verdict,
  instances: row.instances,
  durationSeconds: row.duration_seconds,
  at: row.at,
  ruleSetHash: row.rule_set_hash,
  seenHash: row.seen_hash,
});

type GrantColumns = Pick<
  Selectable<Schema['grants']>,
  | 'id'
  | 'request_id'
  | 'person_id'
  | 'account_id'
  | 'capability'
  | 'duration_seconds'
  | 'approved_at'
  | 'activate_by'
  | 'connected_at'
  | 'ends_at'
>;

/**
 * The sealed content of a row of `grants`.
 * @param instances its rows of `grant_instances`, by position.
 * @param principalArn `principals.arn` of the row that it points at.
 */
export const grantContent = (
  row: GrantColumns,
  instances: readonly InstanceRef[],
  principalArn: string,
): GrantContent => ({
  id: row.id,
  requestId: row.request_id,
  personId: row.person_id,
  accountId: row.account_id,
  principalArn,
  capability: row.capability,
  durationSeconds: row.duration_seconds,
  instances,
  approvedAt: row.approved_at,
  activateBy: row.activate_by,
  connectedAt: row.connected_at,
  endsAt: row.ends_at,
});

const plainRefs = (instances: readonly InstanceRef[]) =>
  instances.map(({ accountId, region, instanceId }) => ({ accountId, region, instanceId }));

const macOf = (key: SealKey, table: string, content: object): string => {
  const canonical = canonicalize({ table, version: 1, content });
  if (canonical === undefined) throw new Error(`The content of a row of ${table} has no canonical form.`);
  return createHmac('sha256', key).update(canonical).digest('hex');
};

/** The MAC (64 hex digits) for the column `decisions.mac`. */
export const sealDecision = (key: SealKey, content: DecisionContent): string =>
  macOf(key, 'decisions', {
    id: content.id,
    requestId: content.requestId,
    requesterId: content.requesterId,
    ruleId: content.ruleId,
    personId: content.personId,
    verdict: content.verdict,
    instances: content.instances === null ? null : plainRefs(content.instances),
    durationSeconds: content.durationSeconds,
    at: content.at.toISOString(),
    ruleSetHash: content.ruleSetHash,
    seenHash: content.seenHash,
  });

/** The MAC (64 hex digits) for the column `grants.mac`. */
export const sealGrant = (key: SealKey, content: GrantContent): string =>
  macOf(key, 'grants', {
    id: content.id,
    requestId: content.requestId,
    personId: content.personId,
    accountId: content.accountId,
    principalArn: content.principalArn,
    capability: content.capability,
    durationSeconds: content.durationSeconds,
    instances: plainRefs(content.instances),
    approvedAt: content.approvedAt.toISOString(),
    activateBy: content.activateBy.toISOString(),
    connectedAt: content.connectedAt?.toISOString() ?? null,
    endsAt: content.endsAt?.toISOString() ?? null,
  });

const sameMac = (mac: string, expected: string): boolean =>
  /^[0-9a-f]{64}$/.test(mac) && timingSafeEqual(Buffer.from(mac, 'hex'), Buffer.from(expected, 'hex'));

/** True when `mac` is the seal of exactly this content by this key. */
export const decisionSealHolds = (key: SealKey, content: DecisionContent, mac: string): boolean =>
  sameMac(mac, sealDecision(key, content));

/** True when `mac` is the seal of exactly this content by this key. */
export const grantSealHolds = (key: SealKey, content: GrantContent, mac: string): boolean =>
  sameMac(mac, sealGrant(key, content));
