/**
 * Ends the sessions that an admin asked to end (`access/found-session.ts`, threats AWS-02): looks for each, ends it when it is somebody's
 * whom Curfew gives access to, and closes the finding when a later look does not see it any more. Whichever backend looks does it.
 */
import { comparableOwner } from '../access-policy/principal.ts';
import { appendAudit } from '../audit/chain.ts';
import { onErrand } from '../aws/errand.ts';
import { AwsProblem } from '../aws/errors.ts';
import type { Iam } from '../aws/iam.ts';
import type { Ssm } from '../aws/ssm.ts';
import type { Config } from '../config.ts';
import type { Log } from '../log.ts';
import { takeDuty } from '../store/backends.ts';
import { recordChange } from '../store/changes.ts';
import { addNotices } from '../store/notices.ts';
import type { Db, Tx } from '../store/open.ts';
import { type FindingRow, noteMended } from './findings.ts';
import { readOwners } from './sweep-sessions.ts';
import { announceEndings, begunInRegion, type Ending, forgetEnding, tellAws } from './terminations.ts';

export type EndFoundDeps = {
  db: Db;
  aws: { iam: Pick<Iam, 'readGroup'>; ssm: Pick<Ssm, 'activeSessions' | 'terminate'> };
  config: Pick<Config, 'partition' | 'accounts'>;
  now: () => Date;
  log: Log;
};

const together = 50;
/** SSM lists a session for a moment after it took its end: it is not told again before this, ms. */
const againAfterMs = 5_000;
/** How often some backend looks while something is asked for, ms. */
const everyMs = 800;

type Asked = FindingRow & { account_id: string; region: string };

const readAsked = async (db: Db): Promise<Asked[]> => {
  const rows = await db
    .selectFrom('findings')
    .selectAll()
    .where('end_asked_at', 'is not', null)
    .where('end_problem', 'is', null)
    .where('mended_at', 'is', null)
    .orderBy('end_asked_at')
    .limit(together)
    .execute();
  return rows.flatMap((row) =>
    row.account_id === null || row.region === null ? [] : [{ ...row, account_id: row.account_id, region: row.region }],
  );
};

/** Gives it up, in words for the admins. They may ask again. */
const giveUp = (db: Db, { id }: Asked, problem: string): Promise<void> =>
  db.transaction().execute(async (tx) => {
    await tx.updateTable('findings').set({ end_problem: problem }).where('id', '=', id).execute();
    await recordChange(tx, { topic: 'me', ref: null, audience: [] });
  });

/** Whose session it was reads who ended it and why, at the grant that it was opened under. */
const tellOwner = async (tx: Tx, asked: Asked, facts: { principals: readonly string[]; target: string; at: Date }) => {
  const { principals, target, at } = facts;
  const grant = await tx
    .selectFrom('grants')
    .innerJoin('grant_instances', 'grant_instances.grant_id', 'grants.id')
    .innerJoin('principals', 'principals.id', 'grants.principal_id')
    .select(['grants.id', 'grants.person_id'])
    // Of a group nobody knows which member it was.
    .where('principals.kind', '<>', 'group')
    .where('grants.principal_id', 'in', ['', ...principals])
    .where('grants.state', 'in', ['granting', 'active', 'ending'])
    .where('grant_instances.instance_id', '=', target)
    .orderBy('grants.approved_at', 'desc')
    .limit(1)
    .executeTakeFirst();
  const asker = await tx
    .selectFrom('people')
    .select('display_name')
    .where('id', '=', asked.end_asked_by)
    .executeTakeFirst();
  if (grant === undefined || asker === undefined || grant.person_id === asked.end_asked_by) return;
  const { id: grantId, person_id: personId } = grant;
  const title = `${asker.display_name} ended a session of yours on ${target}`;
  const body = `“${asked.end_reason ?? ''}” It was not opened by the app. Your access goes on until its end.`;
  await addNotices(tx, [{ personId, at, kind: 'ended', title, body, target: { kind: 'grant', id: grantId } }]);
  await recordChange(tx, { topic: 'notices', ref: null, audience: [personId] });
};

/** AWS took it: once on record, however many backends told it. */
const recordEnded = (
  deps: EndFoundDeps,
  asked: Asked,
  ending: Ending & { principals: readonly string[] },
): Promise<void> =>
  deps.db.transaction().execute(async (tx) => {
    const { session, principals } = ending;
    const at = deps.now();
    await forgetEnding(tx, ending);
    const first = await tx
      .updateTable('findings')
      .set({ terminated_at: at })
      .where('id', '=', asked.id)
      .where('terminated_at', 'is', null)
      .executeTakeFirst();
    if (first.numUpdatedRows === 0n) return;
    const { id: sessionId, owner, target, region } = session;
    await appendAudit(tx, {
      kind: 'found_session_ended',
      at: at.toISOString(),
      actor: { kind: 'curfew' },
      findingId: asked.id,
      accountId: asked.account_id,
      region,
      sessionId,
      owner,
      target,
    });
    await tellOwner(tx, asked, { principals, target, at });
    await recordChange(tx, { topic: 'me', ref: null, audience: [] });
  });

const endOne = async (deps: EndFoundDeps, asked: Asked): Promise<void> => {
  const { db, aws, config, now } = deps;
  const { account_id: accountId, id: findingId, region, subject } = asked;
  const account = config.accounts.find(({ id }) => id === accountId);
  if (account === undefined) {
    await giveUp(db, asked, 'Its account is not in Curfew’s configuration any more.');
    return;
  }
  const begun = await begunInRegion(db, accountId, region);
  const sessions = await aws.ssm.activeSessions(accountId, region, null);
  const session = sessions.find(({ id }) => id === subject);
  if (session === undefined) {
    // It was ended, and whoever did it did not live to write it down.
    for (const ending of begun) {
      const { why } = ending;
      if (why.for !== 'admin' || why.findingId !== findingId) continue;
      await recordEnded(deps, asked, { ...ending, principals: why.principals });
    }
    await noteMended(db, { kind: asked.kind, accountId, region, subject }, now());
    return;
  }
  // Ours are the sessions of those whom we give access to: the finding said so, and it is looked at again before it is done.
  const { principals } = await readOwners({ db, aws, account, config, now: deps.now }, [session]);
  const theirs = principals.get(comparableOwner(session.owner));
  if (theirs === undefined) {
    await giveUp(db, asked, `It is a session of ${session.owner}, to whom Curfew gives nothing.`);
    return;
  }
  if (asked.terminated_at !== null && now().getTime() - asked.terminated_at.getTime() < againAfterMs) return;
  const why = { for: 'admin', findingId, principals: theirs } as const;
  const ending: Ending = { accountId, principalId: null, session, why };
  await announceEndings(db, [ending], now());
  await tellAws(db, aws.ssm, ending);
  await recordEnded(deps, asked, { ...ending, principals: theirs });
};

/**
 * Goes on with all that were asked for. Call it every second; it asks AWS only while something is asked for.
 * @returns how many are open.
 */
export const endFoundSessions = async (deps: EndFoundDeps): Promise<number> => {
  const all = await readAsked(deps.db);
  if (all.length === 0 || !(await takeDuty(deps.db, 'end found sessions', everyMs))) return all.length;
  for (const asked of all) {
    try {
      await onErrand({ urgency: 'ending' }, () => endOne(deps, asked));
    } catch (error) {
      // One that cannot be ended keeps the others from nothing; what may go away by itself is tried again.
      deps.log.error({ error, findingId: asked.id }, 'a session that an admin asked to end could not be ended');
      if (error instanceof AwsProblem && error.kind !== 'retry') await giveUp(deps.db, asked, error.advice);
    }
  }
  return all.length;
};
