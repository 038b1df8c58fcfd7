/**
 * The looks after an end (design 7), for everybody at once: one list of sessions for each region answers for all grants there that ended
 * lately. Whoever was found has a pass of their own, which ends the session; the last look, which seals, is always a pass.
 */
import { sql } from 'kysely';
import { comparableOwner, sessionOwnerArn } from '../access-policy/principal.ts';
import type { ActiveSession } from '../aws/ssm.ts';
import type { AccountConfig, Config } from '../config.ts';
import type { Log } from '../log.ts';
import { takeDuty } from '../store/backends.ts';
import type { Db } from '../store/open.ts';
import type { ReconcileAws } from './pass.ts';

export type SealingLooksDeps = {
  db: Db;
  aws: { ssm: Pick<ReconcileAws['ssm'], 'activeSessions'> };
  config: Pick<Config, 'partition' | 'accounts'>;
  /** Milliseconds between two looks, whichever backend makes them. */
  everyMs: number;
  now: () => Date;
  log: Log;
};

/** A grant that has ended and whose receipt is not sealed, on one of its instances. */
export type Sealing = {
  grantId: string;
  principalId: string;
  kind: 'role' | 'user' | 'group';
  /** Of a role: whose sessions are its own. */
  owner: string;
  region: string;
  instanceId: string;
};

const placeOf = (region: string, instanceId: string): string => `${region}/${instanceId}`;

/**
 * The principals whose sessions a pass has to judge: of a role any session that no live grant covers, of a user or a group any on what has
 * ended. Rather one too many: a pass looks for itself.
 * @param covered `principal region/instance` of what live grants cover.
 */
export const toJudge = (
  sealing: readonly Sealing[],
  sessions: readonly Pick<ActiveSession, 'owner' | 'region' | 'target'>[],
  covered: ReadonlySet<string>,
): Set<string> => {
  const byOwner = Map.groupBy(sessions, ({ owner }) => comparableOwner(owner));
  const on = new Set(sessions.map(({ region, target }) => placeOf(region, target)));
  const found = sealing.filter(({ principalId, kind, owner, region, instanceId }) => {
    if (kind !== 'role') return on.has(placeOf(region, instanceId));
    const own = byOwner.get(owner) ?? [];
    return own.some((session) => !covered.has(`${principalId} ${placeOf(session.region, session.target)}`));
  });
  return new Set(found.map(({ principalId }) => principalId));
};

const sealingStage = sql<boolean>`grants.receipt ->> 'stage' = 'gone'`;

const accountsWithSealing = async (db: Db): Promise<Set<string>> => {
  const rows = await db
    .selectFrom('grants')
    .select('account_id')
    .distinct()
    .where('state', '=', 'ended')
    .where(sealingStage)
    .execute();
  return new Set(rows.map(({ account_id }) => account_id));
};

const readSealing = async ({ db, config }: SealingLooksDeps, accountId: string): Promise<Sealing[]> => {
  const rows = await db
    .selectFrom('grants')
    .innerJoin('principals', 'principals.id', 'grants.principal_id')
    .innerJoin('grant_instances', 'grant_instances.grant_id', 'grants.id')
    .select(['grants.id', 'principal_id', 'kind', 'name', 'session_name', 'region', 'instance_id'])
    .where('grants.state', '=', 'ended')
    .where(sealingStage)
    .where('grants.account_id', '=', accountId)
    .execute();
  return rows.map(({ id, principal_id, kind, name: roleName, session_name: sessionName, region, instance_id }) => ({
    ...{ grantId: id, principalId: principal_id, kind, region, instanceId: instance_id },
    owner: kind === 'role' ? sessionOwnerArn({ partition: config.partition, accountId, roleName, sessionName }) : '',
  }));
};

const readCovered = async (db: Db, principalIds: readonly string[]): Promise<Set<string>> => {
  const rows = await db
    .selectFrom('grants')
    .innerJoin('grant_instances', 'grant_instances.grant_id', 'grants.id')
    .select(['principal_id', 'region', 'instance_id'])
    .where('principal_id', 'in', [...principalIds])
    .where('state', 'in', ['granting', 'active'])
    .execute();
  return new Set(rows.map((row) => `${row.principal_id} ${placeOf(row.region, row.instance_id)}`));
};

/** What has been looked at counts one look more; what was sealed meanwhile stays as it is. */
const countLooks = async (db: Db, grantIds: readonly string[]): Promise<void> => {
  if (grantIds.length === 0) return;
  await sql`
    update grants set receipt = jsonb_set(receipt, '{looks}', to_jsonb((receipt ->> 'looks')::integer + 1))
    where id = any(${grantIds}) and state = 'ended' and receipt ->> 'stage' = 'gone'
  `.execute(db);
};

/** @returns the grants of which something was found, and their principals, which are due now. */
const lookInAccount = async (deps: SealingLooksDeps, account: AccountConfig): Promise<Sealing[]> => {
  const { db, aws, now } = deps;
  // Read before the look: it says nothing about what ends after it began.
  const sealing = await readSealing(deps, account.id);
  const sessions: ActiveSession[] = [];
  for (const region of new Set(sealing.map((one) => one.region))) {
    sessions.push(...(await aws.ssm.activeSessions(account.id, region, null)));
  }
  const principalIds = [...new Set(sealing.map(({ principalId }) => principalId))];
  const covered = sessions.length === 0 ? new Set<string>() : await readCovered(db, principalIds);
  const judged = toJudge(sealing, sessions, covered);
  const quiet = sealing.filter(({ principalId }) => !judged.has(principalId));
  await countLooks(db, [...new Set(quiet.map(({ grantId }) => grantId))]);
  if (judged.size > 0) {
    await sql`update principals set due_at = least(due_at, ${now()}) where id = any(${[...judged]})`.execute(db);
  }
  return sealing.filter(({ principalId }) => judged.has(principalId));
};

/**
 * One look at every account where something ended lately, unless another backend has just made it.
 * @param found is told of grants whose principals a pass has to judge, and which are due by then.
 */
export const lookAfterEnded = async (
  deps: SealingLooksDeps,
  found: (grantIds: readonly string[]) => void,
): Promise<void> => {
  const { db, config, everyMs, log } = deps;
  const wanted = await accountsWithSealing(db);
  for (const account of config.accounts.filter(({ id }) => wanted.has(id))) {
    if (!(await takeDuty(db, `looks/${account.id}`, everyMs * 0.8))) continue;
    try {
      const grants = await lookInAccount(deps, account);
      if (grants.length > 0) found([...new Set(grants.map(({ grantId }) => grantId))]);
    } catch (error) {
      // The next round looks again, and the pass that seals looks for itself.
      log.error({ error, accountId: account.id }, 'sessions after an end could not be looked for');
    }
  }
};
