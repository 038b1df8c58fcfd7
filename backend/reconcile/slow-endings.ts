/** Endings that take longer than they should: admins are told, with what is still open and the last problem, until they are done. */
import type { Person } from '../../src/shared/access.ts';
import type { Db } from '../store/open.ts';
import { loadPeople } from '../store/people.ts';
import { known } from '../store/rows.ts';
import { noteFinding, noteMended } from './findings.ts';

/** How long an ending may take until admins are told, milliseconds. */
const slowMs = 30_000;
/** Told in one round, unless it is said otherwise. */
const mostAtOnce = 100;

type SlowDeps = {
  now: Date;
  adminGroup: string;
  accountName: (accountId: string) => string;
  /** How many are told in one round; default 100. What was not told yet comes first, then what was longest ago: the others follow. */
  atOnce?: number;
};

type SlowEnding = {
  policyGone: boolean;
  sessionsLeft: number | null;
  problem: string | null;
};

const because = ({ policyGone, sessionsLeft, problem }: SlowEnding): string => {
  const open = !policyGone
    ? 'its access policy has not been seen gone yet'
    : sessionsLeft === null || sessionsLeft === 0
      ? 'its access policy is gone, its sessions are being looked for'
      : `its access policy is gone, ${sessionsLeft === 1 ? 'one session is' : `${sessionsLeft} sessions are`} still open`;
  return problem === null ? `${open}.` : `${open}. The last problem: ${problem}.`;
};

const advice =
  'Curfew goes on until it is done. No new session can start: the access policy carries its own end. When the problem is AWS’s no, ' +
  'compare the broker role with deploy/curfew-account.yml; to be quick, end the session in the AWS console.';

const whatOf = (owner: Person, accountName: string, slow: SlowEnding): string =>
  `The access of ${owner.displayName} in ${accountName} takes longer than 30 s to end: ${because(slow)}`;

const noteSlow = async (db: Db, { now, adminGroup, accountName, atOnce = mostAtOnce }: SlowDeps): Promise<void> => {
  const slow = await db
    .selectFrom('grants')
    .innerJoin('principals', 'principals.id', 'grants.principal_id')
    .leftJoin('findings', (join) =>
      join
        .onRef('findings.subject', '=', 'grants.id')
        .on('findings.kind', '=', 'slow_ending')
        .on('findings.mended_at', 'is', null),
    )
    .select(['grants.id', 'grants.account_id', 'grants.person_id', 'policy_gone_at', 'sessions_left', 'problem'])
    .where('grants.state', '=', 'ending')
    .where('grants.ends_at', '<=', new Date(now.getTime() - slowMs))
    .orderBy('findings.last_seen', (order) => order.asc().nullsFirst())
    .orderBy('grants.ends_at')
    .limit(atOnce)
    .execute();
  const people = await loadPeople(
    db,
    slow.map(({ person_id }) => person_id),
  );
  for (const row of slow) {
    const name = accountName(row.account_id);
    const ending = { policyGone: row.policy_gone_at !== null, sessionsLeft: row.sessions_left, problem: row.problem };
    const what = whatOf(known(people, row.person_id), name, ending);
    const about = { accountId: row.account_id, accountName: name, region: null, subject: row.id };
    await noteFinding(db, { kind: 'slow_ending', ...about, what, advice }, { at: now, adminGroup });
  }
};

/** Tells of every ending that has taken more than 30 s, and that those are done which were told of. */
export const watchSlowEndings = async (db: Db, deps: SlowDeps): Promise<void> => {
  await noteSlow(db, deps);
  const over = await db
    .selectFrom('findings')
    .select(['account_id', 'subject'])
    .where('kind', '=', 'slow_ending')
    .where('mended_at', 'is', null)
    .where(({ not, exists, selectFrom }) =>
      not(
        exists(
          selectFrom('grants')
            .select('id')
            .whereRef('grants.id', '=', 'findings.subject')
            .where('grants.state', '=', 'ending'),
        ),
      ),
    )
    .execute();
  for (const { account_id: accountId, subject } of over) {
    await noteMended(db, { kind: 'slow_ending', accountId, region: null, subject }, deps.now);
  }
};
