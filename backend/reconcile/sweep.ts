/**
 * What no row asks for, looked for from AWS's side: roles and policies that are not as Curfew made them, sessions that no grant explains,
 * session documents that somebody changed (threats AWS-02, AWS-12, AWS-13). Ours is mended, the rest is listed with what to do.
 *
 * It reads, for each region of an account, one page of sessions. The thorough part comes less often: the list of personal roles, all roles with
 * what hangs on them in pages of 200, one page of spilled policies, and each session document of each region. What is as it was recorded
 * costs nothing more.
 */
import { sql } from 'kysely';
import { takeDuty } from '../store/backends.ts';
import { type AccountSweep, accountSweep, type SweepDeps } from './account-sweep.ts';
import { sweepDocuments } from './sweep-documents.ts';
import { sweepRoles } from './sweep-roles.ts';
import { sweepSessions } from './sweep-sessions.ts';

/**
 * Takes the account for this backend, unless one of several has swept it lately or still does.
 * @param unlessSince null: now, whoever else does.
 */
const claim = async ({ db, now }: SweepDeps, accountId: string, unlessSince: Date | null): Promise<boolean> => {
  const began = { began_at: now(), ended_at: null, problem: null };
  const claimed = await db
    .insertInto('sweeps')
    .values({ account_id: accountId, ...began })
    .onConflict((conflict) =>
      conflict
        .column('account_id')
        .doUpdateSet(began)
        .where(
          unlessSince === null
            ? sql<boolean>`true`
            : // Or begun at an instant still to come: the clock was set back. Backends agree on it to far less than a second.
              sql<boolean>`(sweeps.began_at <= ${unlessSince} or sweeps.began_at > ${new Date(began.began_at.getTime() + 1_000)})`,
        ),
    )
    .executeTakeFirst();
  return (claimed.numInsertedOrUpdatedRows ?? 0n) > 0n;
};

const finish = async ({ db, now }: SweepDeps, accountId: string, problem: string | null): Promise<void> => {
  await db.updateTable('sweeps').set({ ended_at: now(), problem }).where('account_id', '=', accountId).execute();
};

/** Each part by itself: rights that are missing for one keep nobody from the others. @returns what went wrong. */
const sweepAccount = async (sweep: AccountSweep, thorough: boolean): Promise<string | null> => {
  const problems: string[] = [];
  const part = async (name: string, work: () => Promise<void>): Promise<void> => {
    if (sweep.stopped()) return;
    try {
      await work();
    } catch (error) {
      problems.push(`${name}: ${error instanceof Error ? error.message : 'not an error'}`);
      sweep.log.error({ error, accountId: sweep.account.id, part: name }, 'a part of an account could not be swept');
    }
  };
  let listed: Promise<readonly string[] | null> | null = null;
  const listRoles = async (): Promise<readonly string[] | null> => {
    let names: readonly string[] | null = null;
    await part('list of roles', async () => {
      names = await sweep.aws.iam.personalRoles(sweep.account.id);
    });
    return names;
  };
  /** Null when they could not be listed; asked once. Where people are IAM users there are none. */
  const personalRoles = async (): Promise<readonly string[] | null> => {
    if (sweep.account.principal.kind !== 'role') return [];
    listed ??= listRoles();
    return listed;
  };
  for (const region of sweep.account.regions) {
    // Sessions first: they are what somebody can do harm with now.
    await part(`sessions in ${region}`, () => sweepSessions(sweep, region, personalRoles));
  }
  if (thorough) await part('roles', async () => sweepRoles(sweep, await personalRoles()));
  for (const region of thorough ? sweep.account.regions : []) {
    await part(`session documents in ${region}`, () => sweepDocuments(sweep, region));
  }
  return problems.length === 0 ? null : problems.join('; ').slice(0, 1000);
};

/**
 * One account after the other; one that cannot be swept does not keep the others from it.
 * @param unlessSince leaves out accounts that some backend began to sweep later than this; null: none.
 */
export const sweepAccounts = async (deps: SweepDeps, unlessSince: Date | null = null): Promise<void> => {
  for (const account of deps.config.accounts) {
    if (deps.stopped() || !(await claim(deps, account.id, unlessSince))) continue;
    // At a start, and when somebody asks for it, always.
    const sinceMs = unlessSince === null ? 0 : deps.thoroughMs * 0.9;
    const duty = `thorough/${account.id}`;
    const thorough = await takeDuty(deps.db, duty, sinceMs);
    const problem = await sweepAccount(accountSweep(deps, account), thorough);
    // What could not be compared is so at the next sweep, and its problem stands until then.
    if (thorough && (problem !== null || deps.stopped())) {
      await deps.db.deleteFrom('duties').where('name', '=', duty).execute();
    }
    // Cut short: another backend need not wait for its turn.
    if (deps.stopped()) await deps.db.deleteFrom('sweeps').where('account_id', '=', account.id).execute();
    else await finish(deps, account.id, problem);
  }
};
