/**
 * Sessions that Curfew ends, each in the trail and in the receipt, whoever dies when. AWS does not list a session that it has ended, so it
 * stands here before AWS is told, and leaves together with its audit row; what is left here and not listed any more was ended.
 */
import type { Selectable } from 'kysely';
import { appendAudit } from '../audit/chain.ts';
import { AwsProblem } from '../aws/errors.ts';
import type { ActiveSession, Ssm } from '../aws/ssm.ts';
import { tellChange } from '../store/changes.ts';
import type { Db } from '../store/open.ts';
import type { Schema, WhyTerminated } from '../store/schema.ts';
import { aboutGrant } from './changes-of-state.ts';
import type { GrantFacts } from './wished.ts';

export type Ending = {
  accountId: string;
  session: Pick<ActiveSession, 'region' | 'id' | 'target' | 'owner'>;
  /** Whose pass ends it; null: a sweep, or an admin who asked for it. */
  principalId: string | null;
  why: WhyTerminated;
};

const thisOne = ({ accountId, session }: Pick<Ending, 'accountId' | 'session'>) => ({
  account_id: accountId,
  region: session.region,
  session_id: session.id,
});

/** Before AWS is told. What stands there already stays as it is: somebody else ends it too, or died in it. */
export const announceEndings = async (db: Db, endings: readonly Ending[], at: Date): Promise<void> => {
  if (endings.length === 0) return;
  const rows = endings.map((ending) => ({
    ...thisOne(ending),
    target: ending.session.target,
    owner: ending.session.owner,
    principal_id: ending.principalId,
    why: JSON.stringify(ending.why),
    begun_at: at,
  }));
  await db
    .insertInto('terminations')
    .values(rows)
    .onConflict((conflict) => conflict.doNothing())
    .execute();
};

/** With the row in the trail, or because nothing was ended. */
export const forgetEnding = (db: Db, ending: Ending) =>
  db
    .deleteFrom('terminations')
    .where((eb) => eb.and(thisOne(ending)))
    .executeTakeFirst();

/** Tells AWS, what was announced. @throws AwsProblem; a refusal for good has ended nothing, so nothing was begun. */
export const tellAws = async (db: Db, ssm: Pick<Ssm, 'terminate'>, ending: Ending): Promise<void> => {
  try {
    await ssm.terminate(ending.accountId, ending.session.region, ending.session.id);
  } catch (error) {
    if (error instanceof AwsProblem && error.kind === 'permanent') await forgetEnding(db, ending);
    throw error;
  }
};

/** Writes down that a session was ended, unless somebody else just has. @param facts null: no grant of ours explains it. */
export const recordTerminated = (db: Db, ending: Ending, facts: GrantFacts | null, when: Date): Promise<void> =>
  db.transaction().execute(async (tx) => {
    const { accountId, session } = ending;
    const { region, target, id: sessionId, owner } = session;
    const begun = await forgetEnding(tx, ending);
    if (begun.numDeletedRows === 0n) return;
    const at = when.toISOString();
    const actor = { kind: 'curfew' as const };
    await tx
      .updateTable('sessions')
      .set({ ended_at: when })
      .where('id', '=', sessionId)
      .where('ended_at', 'is', null)
      .execute();
    if (facts === null) {
      const where = { accountId, region, sessionId, owner, target };
      await appendAudit(tx, { kind: 'session_unexplained', ...where, terminated: true, at, actor });
      return;
    }
    const instance = { accountId, region, instanceId: target };
    await appendAudit(tx, { kind: 'session_terminated', sessionId, instance, at, actor, ...aboutGrant(facts) });
    await tellChange(tx, { topic: 'grants', id: facts.row.id, requestId: facts.row.request_id });
  });

const endingOf = (row: Selectable<Schema['terminations']>): Ending => ({
  accountId: row.account_id,
  session: { region: row.region, id: row.session_id, target: row.target, owner: row.owner },
  principalId: row.principal_id,
  why: row.why,
});

/**
 * What a pass over this principal began to end, and nobody wrote down yet. Read it before the list of sessions: what stands here and not in
 * that list has ended.
 */
export const begunOnPrincipal = async (db: Db, principalId: string): Promise<Ending[]> => {
  const rows = await db.selectFrom('terminations').selectAll().where('principal_id', '=', principalId).execute();
  return rows.map(endingOf);
};

/** What sweeps and admins began to end in a region, and nobody wrote down yet. Read it before the list of sessions likewise. */
export const begunInRegion = async (db: Db, accountId: string, region: string): Promise<Ending[]> => {
  const rows = await db
    .selectFrom('terminations')
    .selectAll()
    .where('principal_id', 'is', null)
    .where('account_id', '=', accountId)
    .where('region', '=', region)
    .execute();
  return rows.map(endingOf);
};

/** Ids of the sessions that were ended for this grant, as the audit trail has them. */
export const terminatedSessions = async (db: Db, grantId: string): Promise<string[]> => {
  const rows = await db
    .selectFrom('audit')
    .select('event')
    .where('grant_id', '=', grantId)
    .where('kind', '=', 'session_terminated')
    .orderBy('sequence')
    .execute();
  return [...new Set(rows.flatMap(({ event }) => (event.kind === 'session_terminated' ? [event.sessionId] : [])))];
};
