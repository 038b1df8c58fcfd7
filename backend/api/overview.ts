/** All that the app needs for tray, badge, countdowns and lists. */
import { sql } from 'kysely';
import { liveGrantStates } from '../../src/shared/lifecycle.ts';
import type { InventoryHealth, Me, Overview, PersonalRole, SpreadingTime } from '../../src/shared/views.ts';
import type { Config } from '../config.ts';
import type { Log } from '../log.ts';
import { loadGrants } from '../store/grants.ts';
import { loadSwitches } from '../store/kill-switches.ts';
import { loadNotices } from '../store/notices.ts';
import type { Db } from '../store/open.ts';
import type { PersonFacts } from '../store/people.ts';
import { loadRequestLists, type RequestQuery } from '../store/requests.ts';
import { type Reader, visibleTo } from '../store/visibility.ts';
import type { Caller } from './caller.ts';
import { otherSignIns } from './tokens.ts';

export type OverviewDeps = {
  db: Db;
  config: Pick<Config, 'accounts' | 'directory'>;
  /** Who submits or connects is checked anew; what is shown may be some minutes old. */
  roles: { check: (accountId: string, person: PersonFacts, why: 'to-show') => Promise<PersonalRole> };
  mayApproveSomething: (person: PersonFacts) => Promise<boolean>;
  log: Log;
  now: () => Date;
};

export type MeDeps = Omit<OverviewDeps, 'db' | 'now'>;

const day = 86_400_000;
const mine = { requestDays: 30, requests: 100, grantDays: 7 };
/** Longest time from a yes to the receipt (8 h to connect, 12 h of access, an ending that AWS delays), and from asking to a decision. */
const longestDays = 3;
const spreadingSamples = 50;

/** While AWS cannot be asked, what a person sees and ends must not depend on it. */
const roleOf = async (
  deps: MeDeps,
  account: Config['accounts'][number],
  person: PersonFacts,
): Promise<PersonalRole> => {
  try {
    return await deps.roles.check(account.id, person, 'to-show');
  } catch (error) {
    deps.log.warn(
      { event: 'role_check_failed', accountId: account.id, error },
      'a personal role could not be looked up',
    );
    const advice = `AWS did not tell whether you have a personal role in ${account.name}. It is asked again by itself.`;
    return { accountId: account.id, accountName: account.name, state: 'missing', advice };
  }
};

/** Who somebody is, to themselves. */
export const meOf = async (deps: MeDeps, person: PersonFacts, tokenExpiresAt: Date): Promise<Me> => {
  const { id, userName, displayName, groups } = person;
  const [roles, mayApproveSomething] = await Promise.all([
    Promise.all(deps.config.accounts.map((account) => roleOf(deps, account, person))),
    deps.mayApproveSomething(person),
  ]);
  return {
    person: { id, userName, displayName },
    groups,
    isAdmin: groups.includes(deps.config.directory.adminGroup),
    mayApproveSomething,
    roles,
    tokenExpiresAt: tokenExpiresAt.toISOString(),
  };
};

/** How old the inventory of each configured place is. */
const inventoryHealth = async ({ db, config }: OverviewDeps): Promise<InventoryHealth> => {
  const rows = await db.selectFrom('inventory_places').selectAll().execute();
  const found = new Map(rows.map((row) => [`${row.account_id}/${row.region}`, row]));
  const places = config.accounts.flatMap((account) =>
    account.regions.map((region): InventoryHealth['places'][number] => {
      const row = found.get(`${account.id}/${region}`);
      const checkedAt = row?.checked_at?.toISOString() ?? null;
      const problem = row?.problem ?? null;
      const state = problem !== null ? 'failed' : checkedAt === null ? 'never' : 'ok';
      return { accountId: account.id, accountName: account.name, region, state, checkedAt, problem };
    }),
  );
  const times = places.flatMap(({ checkedAt }) => checkedAt ?? []).sort();
  return { refreshedAt: times.at(-1) ?? null, places };
};

/** Where this person has access now: elsewhere nothing is waited for. */
const spreadingTimes = async (db: Db, personId: string): Promise<SpreadingTime[]> => {
  const { rows } = await sql<{ account_id: string; median: number; samples: number }>`
    select account_id, percentile_cont(0.5) within group (order by ms) as median, count(*)::int as samples
    from (select distinct account_id from grants where person_id = ${personId} and state in (${sql.join([...liveGrantStates])})) account,
      lateral (select ms from spreading s where s.account_id = account.account_id order by at desc limit ${spreadingSamples}) latest
    group by account_id order by account_id`.execute(db);
  return rows.map((row) => ({
    accountId: row.account_id,
    medianMs: Math.round(row.median),
    samples: row.samples,
  }));
};

const before = (now: Date, days: number): Date => new Date(now.getTime() - days * day);

const requestLists = (reader: Reader, now: Date): Record<'mine' | 'toDecide' | 'decided', RequestQuery> => {
  const visible = visibleTo(reader);
  const me = reader.person.id;
  return {
    mine: {
      // What waits is among them: it lapses within hours. Nothing else bounds how much of somebody's history is read.
      where: (eb) =>
        eb.and([eb('requests.requester_id', '=', me), eb('requests.submitted_at', '>', before(now, mine.requestDays))]),
      limit: mine.requests,
    },
    toDecide: {
      where: (eb) =>
        eb.and([
          visible.requests(eb),
          eb('requests.state', '=', 'waiting'),
          eb('requests.id', 'in', ['', ...reader.decidable]),
        ]),
      order: 'oldest',
    },
    decided: {
      where: (eb) =>
        eb.and([
          visible.requests(eb),
          eb('requests.requester_id', '<>', me),
          eb('requests.state', 'in', ['approved', 'denied']),
          eb('requests.closed_at', '>', before(now, 1)),
          eb(
            'requests.id',
            'in',
            eb
              .selectFrom('notices')
              .select('notices.target_id')
              .where('notices.person_id', '=', me)
              .where('notices.kind', '=', 'to-approve')
              .where('notices.target_kind', '=', 'request')
              .where('notices.at', '>', before(now, 1 + longestDays)),
          ),
        ]),
      order: 'latest-closed',
      limit: 100,
    },
  };
};

/** Everything of one person, as it stands. */
export const overviewOf = async (deps: OverviewDeps, { reader, facts, token }: Caller): Promise<Overview> => {
  const { db } = deps;
  const now = deps.now();
  const me = reader.person.id;
  const [about, requests, grants, notices, inventory, spreading, switches, others] = await Promise.all([
    meOf(deps, facts, token.expiresAt),
    loadRequestLists(db, requestLists(reader, now), now),
    loadGrants(db, (eb) =>
      eb.and([
        eb('grants.person_id', '=', me),
        eb.or([
          eb('grants.state', 'in', [...liveGrantStates]),
          eb.and([
            eb('grants.closed_at', '>', before(now, mine.grantDays)),
            // So that only the newest of somebody's grants are read.
            eb('grants.approved_at', '>', before(now, mine.grantDays + longestDays)),
          ]),
        ]),
      ]),
    ),
    loadNotices(db, reader),
    inventoryHealth(deps),
    spreadingTimes(db, me),
    loadSwitches(db, reader, { onOnly: true }),
    otherSignIns(db, token, now),
  ]);
  return {
    serverTime: deps.now().toISOString(),
    me: about,
    requests: requests('mine'),
    grants,
    toDecide: requests('toDecide'),
    decided: requests('decided'),
    notices,
    inventory,
    spreading,
    switches,
    otherSignIns: others,
  };
};
