/** What should be, read from the rows of one principal; rows whose seal does not hold open nothing (threats AU-05). */
import type { Selectable } from 'kysely';
import { type InstanceRef, type Person, type Receipt, refKey } from '../../src/shared/access.ts';
import type { PolicyCarrier } from '../access-policy/compile.ts';
import { comparableOwner, sessionOwnerArn, userOwnerArn } from '../access-policy/principal.ts';
import { refOfRow } from '../store/instances.ts';
import type { Db } from '../store/open.ts';
import { loadPeople } from '../store/people.ts';
import { groupBy, known } from '../store/rows.ts';
import type { Schema } from '../store/schema.ts';
import { decisionSealHolds, type GrantContent, grantSealHolds, type SealKey } from '../store/seal.ts';
import type { Wished, WishedGrant } from './plan.ts';

export type PrincipalRow = Selectable<Schema['principals']>;
type GrantRow = Selectable<Schema['grants']>;
type DecisionRow = Selectable<Schema['decisions']>;

/** One unfinished grant with what changes, notices and audit rows about it need. */
export type GrantFacts = {
  row: GrantRow;
  instances: InstanceRef[];
  owner: Person;
  receipt: Receipt | null;
  content: GrantContent;
};

export type BrokenSeal = { table: 'decisions' | 'grants'; rowId: string; grantId: string };

export type PrincipalState = {
  principal: PrincipalRow;
  wished: Wished;
  grants: ReadonlyMap<string, GrantFacts>;
  /** The yeses of their requests, by request. */
  decisions: ReadonlyMap<string, readonly DecisionRow[]>;
  /** Live grants whose seal, or whose decision's seal, does not hold. They are not in `wished`. */
  broken: BrokenSeal[];
};

export type ReadingDeps = {
  partition: string;
  policyPlace: (accountId: string, kind: PrincipalRow['kind']) => Pick<PolicyCarrier, 'carrier' | 'managedPolicies'>;
  sealKey: SealKey;
  sealMs: number;
  lookEveryMs: number;
  /** When a look after the end was last made, by grant; in memory only: after a start the first look is due at once. */
  lastLooks: ReadonlyMap<string, Date>;
};

const contentOf = (row: GrantRow, instances: InstanceRef[], principal: PrincipalRow): GrantContent => ({
  id: row.id,
  requestId: row.request_id,
  personId: row.person_id,
  accountId: row.account_id,
  principalArn: principal.arn,
  capability: row.capability,
  durationSeconds: row.duration_seconds,
  instances,
  approvedAt: row.approved_at,
  activateBy: row.activate_by,
  connectedAt: row.connected_at,
  endsAt: row.ends_at,
});

const decisionHolds = (key: SealKey, row: DecisionRow): boolean =>
  decisionSealHolds(
    key,
    {
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
    },
    row.mac,
  );

/** Does a sealed yes stand behind this grant, for this person and each of its instances? */
const yesStands = (facts: GrantFacts, decisions: readonly DecisionRow[], key: SealKey): BrokenSeal | null => {
  const { row, instances } = facts;
  const unsealed = decisions.find((decision) => !decisionHolds(key, decision));
  if (unsealed !== undefined) return { table: 'decisions', rowId: unsealed.id, grantId: row.id };
  const wide = decisions.some((decision) => {
    const allowed = new Set((decision.instances ?? []).map(refKey));
    return decision.requester_id !== row.person_id || instances.some((ref) => !allowed.has(refKey(ref)));
  });
  return wide || decisions.length === 0 ? { table: 'grants', rowId: row.id, grantId: row.id } : null;
};

const brokenSeal = (facts: GrantFacts, decisions: readonly DecisionRow[], principal: PrincipalRow, key: SealKey) => {
  const { row } = facts;
  const sealed = grantSealHolds(key, facts.content, row.mac);
  // The principal's own columns are not sealed: they must name the same account and person as the sealed grant.
  const whose = principal.kind === 'group' ? null : row.person_id;
  const here = principal.account_id === row.account_id && principal.person_id === whose;
  if (!sealed || !here) return { table: 'grants' as const, rowId: row.id, grantId: row.id };
  return yesStands(facts, decisions, key);
};

const carrierOf = (principal: PrincipalRow, deps: ReadingDeps): PolicyCarrier => {
  const { account_id: accountId, kind, session_name: sessionName } = principal;
  const common = { partition: deps.partition, accountId, ...deps.policyPlace(accountId, kind) };
  return kind === 'role' ? { ...common, kind, sessionName } : { ...common, kind };
};

/** The owner of the sessions of this person on this principal, as looks compare it. */
const ownerOf = (principal: PrincipalRow, person: Person, partition: string): string => {
  const { account_id: accountId, kind, name: roleName, session_name: sessionName } = principal;
  if (kind === 'role') return sessionOwnerArn({ partition, accountId, roleName, sessionName });
  return kind === 'user' ? comparableOwner(principal.arn) : userOwnerArn(partition, accountId, person.userName);
};

const wishedGrant = (facts: GrantFacts, principal: PrincipalRow, deps: ReadingDeps): WishedGrant | null => {
  const { row, instances, receipt } = facts;
  const common = { id: row.id, instances, owner: ownerOf(principal, facts.owner, deps.partition) };
  if (row.state === 'ready') return { ...common, state: 'ready', activateBy: row.activate_by };
  if (row.state === 'ending') return { ...common, state: 'ending', policyGoneAt: row.policy_gone_at };
  if ((row.state === 'granting' || row.state === 'active') && row.connected_at !== null && row.ends_at !== null) {
    return { ...common, state: row.state, connectedAt: row.connected_at, endsAt: row.ends_at };
  }
  if (row.state !== 'ended' || receipt === null || receipt.stage !== 'gone') return null;
  const last = deps.lastLooks.get(row.id);
  const quietSince = Math.max(Date.parse(receipt.policyGoneAt), Date.parse(receipt.sessionsGoneAt));
  const sealsAt = quietSince + deps.sealMs;
  const next = last === undefined ? 0 : Math.min(last.getTime() + deps.lookEveryMs, sealsAt);
  const dueAt = last === undefined ? 0 : sealsAt;
  return { ...common, state: 'sealing', nextLookAt: new Date(next), dueAt: new Date(dueAt) };
};

/** One owner on one instance. */
export const coverKey = (owner: string, region: string, instanceId: string): string =>
  `${owner} ${region}/${instanceId}`;

/**
 * What live grants on other principals of this one's account let their owners reach. A role's sessions are its own; an IAM user's are
 * the same ones whether the access hangs on the user or on a group, so where both carry some, one must not end the other's.
 */
export const coveredElsewhere = async (
  db: Db,
  principal: PrincipalRow,
  partition: string,
): Promise<ReadonlySet<string>> => {
  if (principal.kind === 'role') return new Set();
  const rows = await db
    .selectFrom('grants')
    .innerJoin('principals', 'principals.id', 'grants.principal_id')
    .innerJoin('people', 'people.id', 'grants.person_id')
    .innerJoin('grant_instances', 'grant_instances.grant_id', 'grants.id')
    .select(['principals.kind', 'principals.arn', 'people.user_name', 'region', 'instance_id'])
    .where('grants.account_id', '=', principal.account_id)
    .where('principals.kind', 'in', ['user', 'group'])
    .where('principals.id', '!=', principal.id)
    .where('grants.state', 'in', ['granting', 'active'])
    .execute();
  return new Set(
    rows.map(({ kind, arn, user_name: userName, region, instance_id }) => {
      const owner = kind === 'user' ? comparableOwner(arn) : userOwnerArn(partition, principal.account_id, userName);
      return coverKey(owner, region, instance_id);
    }),
  );
};

const unfinished = (db: Db, principalId: string) =>
  db
    .selectFrom('grants')
    .selectAll()
    .where('principal_id', '=', principalId)
    .where((eb) =>
      eb.or([
        eb('state', 'in', ['ready', 'granting', 'active', 'ending']),
        eb.and([eb('state', '=', 'ended'), eb(eb.ref('receipt', '->>').key('stage'), '=', 'gone')]),
      ]),
    )
    .orderBy('approved_at')
    .orderBy('id')
    .execute();

/** What of grants never changes, read for those of `rows` that `before` does not know: a pass reads its rows again before each step. */
const readFixed = async (db: Db, rows: readonly GrantRow[], before: PrincipalState | null) => {
  const fresh = rows.filter(({ id }) => before?.grants.has(id) !== true);
  const decisions = new Map(before?.decisions);
  const parts = new Map([...(before?.grants ?? [])].map(([id, { instances, owner }]) => [id, { instances, owner }]));
  if (fresh.length === 0) return { parts, decisions };
  const grantIds = fresh.map(({ id }) => id);
  const refs = await db
    .selectFrom('grant_instances')
    .selectAll()
    .where('grant_id', 'in', grantIds)
    .orderBy('position')
    .execute();
  const requestIds = [...new Set(fresh.map(({ request_id }) => request_id))];
  const yeses = await db
    .selectFrom('decisions')
    .selectAll()
    .where('request_id', 'in', requestIds)
    .where('verdict', '=', 'yes')
    .execute();
  const people = await loadPeople(
    db,
    fresh.map(({ person_id }) => person_id),
  );
  const refsByGrant = groupBy(refs, ({ grant_id }) => grant_id);
  for (const [requestId, some] of groupBy(yeses, ({ request_id }) => request_id)) decisions.set(requestId, some);
  for (const { id, person_id } of fresh) {
    parts.set(id, { instances: (refsByGrant.get(id) ?? []).map(refOfRow), owner: known(people, person_id) });
  }
  return { parts, decisions };
};

/**
 * Everything about one principal that is not finished; null when there is no such principal.
 * @param before what was read of it a moment ago, in the same pass.
 */
export const readPrincipal = async (
  db: Db,
  principalId: string,
  deps: ReadingDeps,
  before: PrincipalState | null = null,
): Promise<PrincipalState | null> => {
  const principal = await db.selectFrom('principals').selectAll().where('id', '=', principalId).executeTakeFirst();
  if (principal === undefined) return null;
  const rows = await unfinished(db, principalId);
  const { parts, decisions } = await readFixed(db, rows, before);
  const grants = new Map(
    rows.map((row) => {
      const fixed = parts.get(row.id);
      if (fixed === undefined) throw new Error(`Grant ${row.id} was read without its instances`);
      const content = contentOf(row, fixed.instances, principal);
      const facts: GrantFacts = { row, ...fixed, receipt: row.receipt, content };
      return [row.id, facts] as const;
    }),
  );
  const live = [...grants.values()].filter(({ row }) => row.state === 'granting' || row.state === 'active');
  const broken = live.flatMap(
    (facts) => brokenSeal(facts, decisions.get(facts.row.request_id) ?? [], principal, deps.sealKey) ?? [],
  );
  const opensNothing = new Set(broken.map(({ grantId }) => grantId));
  return {
    principal,
    grants,
    decisions,
    broken,
    wished: {
      carrier: carrierOf(principal, deps),
      grants: [...grants.values()].flatMap((facts) =>
        opensNothing.has(facts.row.id) ? [] : (wishedGrant(facts, principal, deps) ?? []),
      ),
    },
  };
};
