/** Live access of everybody, endings that are slow, and what a kill switch can be pulled on: for those who may end it. */
import { type SqlBool, sql } from 'kysely';
import type { Grant } from '../../src/shared/access.ts';
import type {
  LivePage,
  LiveQuery,
  SlowEnding,
  SwitchPreview,
  SwitchScope,
  SwitchTarget,
  TargetQuery,
} from '../../src/shared/kill-switch.ts';
import { liveGrantStates } from '../../src/shared/lifecycle.ts';
import type { NamedReach } from '../access/switch-scope.ts';
import { loadGrants } from '../store/grants.ts';
import type { Db } from '../store/open.ts';
import { grantsIn, requestsIn } from '../store/switch-reach.ts';
import { type Reader, visibleTo } from '../store/visibility.ts';

/** `%`, `_` and `\` stand for themselves (threats API-03). */
const literally = (text: string): string => `%${text.replaceAll(/[\\%_]/g, '\\$&')}%`;

const wordsOf = (search: string): string[] => search.split(/\s+/).filter(Boolean).slice(0, 10);

/**
 * A grant is found by its person, the names and ids of its instances, its account, and its reason. People and instances are looked
 * through once; what has a history is looked up by the grant (values, not `exists`: that Postgres might answer by reading all of it).
 */
const found = (word: string) => sql<SqlBool>`(
  grants.person_id in (select p.id from people p
    where p.display_name ilike ${literally(word)} or p.user_name ilike ${literally(word)})
  or (select bool_or((gi.account_id, gi.region, gi.instance_id) in (
      select i.account_id, i.region, i.instance_id from instances i
      where i.name ilike ${literally(word)} or i.instance_id ilike ${literally(word)} or i.account_name ilike ${literally(word)}))
    from grant_instances gi where gi.grant_id = grants.id)
  or grants.account_id = ${word}
  or (select r.reason from requests r where r.id = grants.request_id) ilike ${literally(word)})`;

/** The last of a page: the grant's yes and id. Nothing secret, and it opens nothing: visibility is in the condition. */
const cursorOf = ({ approvedAt, id }: Grant): string => `${Date.parse(approvedAt)}/${id}`;
const afterCursor = (cursor: string | null) => {
  const [at, id] = cursor === null ? [] : cursor.split('/');
  if (at === undefined || id === undefined || !/^\d{1,15}$/.test(at)) return sql<SqlBool>`true`;
  const instant = new Date(Number(at));
  return sql<SqlBool>`(approved_at < ${instant} or (approved_at = ${instant} and id > ${id}))`;
};

/** What lives of others that the reader may see: a page of it, newest yes first, and how much it is in all. */
export const listLive = async (db: Db, reader: Reader, query: LiveQuery): Promise<LivePage> => {
  const visible = visibleTo(reader);
  const words = wordsOf(query.search);
  const matching = db
    .selectFrom('grants')
    .where('state', 'in', [...liveGrantStates])
    .where(visible.grantsInAll)
    .$if(!reader.isAdmin, (select) => select.where('grants.id', 'in', ['', ...(reader.revocable ?? [])]))
    .where((eb) => eb.and([eb.lit(true), ...words.map(found)]));
  const { rows } = await sql<{ matching: number; sessions: number; page: string[] }>`
    with matching as materialized ${matching.select(['grants.id', 'grants.approved_at'])}
    select (select count(*) from matching)::integer as matching,
      (select count(*) from sessions s join matching on matching.id = s.grant_id where s.ended_at is null)::integer as sessions,
      array(
        select id from matching where ${afterCursor(query.cursor)} order by approved_at desc, id limit ${query.limit + 1}
      ) as page`.execute(db);
  const { page, ...totals } = rows[0] ?? { matching: 0, sessions: 0, page: [] };
  const ids = page.slice(0, query.limit);
  const items = ids.length === 0 ? [] : await loadGrants(db, (eb) => eb('grants.id', 'in', ids), query.limit);
  const last = items.at(-1);
  return {
    items,
    nextCursor: page.length > ids.length && last !== undefined ? cursorOf(last) : null,
    ...totals,
  };
};

const whySlow = (grant: Grant, problem: string | null): string => {
  if (problem !== null) return `AWS did not do it yet: ${problem}`;
  if (grant.state !== 'ending') return 'It has ended meanwhile.';
  if (grant.policyGoneAt === null) return 'The access policy was not read back without it yet.';
  const left = grant.sessionsLeft ?? 0;
  return left === 0
    ? 'The access policy is gone; sessions are being looked for.'
    : `The access policy is gone; ${left} session${left === 1 ? '' : 's'} seen open at the last look.`;
};

/** Grants whose ending is not verified, longest first, with what holds it up. For admins, who see them all. */
export const listEndings = async (db: Db, now: Date): Promise<SlowEnding[]> => {
  const rows = await db
    .selectFrom('grants')
    .innerJoin('principals', 'principals.id', 'grants.principal_id')
    .select(['grants.id', 'principals.problem', 'grants.ends_at'])
    .where('grants.state', '=', 'ending')
    .orderBy('grants.ends_at')
    .limit(100)
    .execute();
  const ids = rows.map(({ id }) => id);
  const grants = ids.length === 0 ? [] : await loadGrants(db, (eb) => eb('grants.id', 'in', ids));
  const byId = new Map(grants.map((grant) => [grant.id, grant]));
  return rows.flatMap(({ id, problem, ends_at }) => {
    const grant = byId.get(id);
    if (grant === undefined) return [];
    return [{ grant, sinceMs: Math.max(0, now.getTime() - (ends_at ?? now).getTime()), why: whySlow(grant, problem) }];
  });
};

/** What a switch with this reach would end now. */
export const previewSwitch = async (db: Db, reach: NamedReach, now: Date): Promise<SwitchPreview> => {
  const live = db.selectFrom('grants').where('state', 'in', ['ready', 'granting', 'active']).where(grantsIn(reach));
  const ending = db.selectFrom('grants').where('state', '=', 'ending').where(grantsIn(reach));
  const [totals, alreadyEnding, waiting, first] = await Promise.all([
    live
      .select([
        sql<number>`count(*)::int`.as('grants'),
        sql<number>`count(distinct person_id)::int`.as('people'),
        sql<number>`count(distinct account_id)::int`.as('accounts'),
        sql<number>`coalesce(sum((select count(*) from sessions s where s.grant_id = grants.id and s.ended_at is null)), 0)::int`.as(
          'sessions',
        ),
      ])
      .executeTakeFirstOrThrow(),
    ending.select(sql<number>`count(*)::int`.as('ending')).executeTakeFirstOrThrow(),
    db
      .selectFrom('requests')
      .where('state', '=', 'waiting')
      .where(requestsIn(reach))
      .select(sql<number>`count(*)::int`.as('requests'))
      .executeTakeFirstOrThrow(),
    live.select('grants.id').orderBy(sql`ends_at asc nulls last`).orderBy('grants.id').limit(20).execute(),
  ]);
  const ids = first.map(({ id }) => id);
  const grants = ids.length === 0 ? [] : await loadGrants(db, (eb) => eb('grants.id', 'in', ids));
  const order = new Map(ids.map((id, position) => [id, position]));
  return {
    scope: reach.scope,
    name: reach.name,
    at: now.toISOString(),
    totals: { ...totals, ...alreadyEnding, ...waiting },
    grants: grants.sort((a, b) => (order.get(a.id) ?? 0) - (order.get(b.id) ?? 0)),
  };
};

const target = (scope: SwitchScope, name: string, detail: string): SwitchTarget => ({ scope, name, detail });
const mostTargets = 20;

/** People, instances or accounts by name, for the field of the kill switch: those with live access first. For admins. */
export const findTargets = async (db: Db, { kind, search }: TargetQuery): Promise<SwitchTarget[]> => {
  const words = wordsOf(search);
  if (kind === 'person') {
    const rows = await db
      .selectFrom('people')
      .select(['id', 'display_name', 'user_name'])
      .select(
        sql<number>`(select count(*) from grants g where g.person_id = people.id and g.state in ('ready', 'granting', 'active'))::int`.as(
          'live',
        ),
      )
      .where((eb) =>
        eb.and([
          eb.lit(true),
          ...words.map(
            (word) => sql<SqlBool>`(display_name ilike ${literally(word)} or user_name ilike ${literally(word)})`,
          ),
        ]),
      )
      .orderBy('live', 'desc')
      .orderBy('display_name')
      .limit(mostTargets)
      .execute();
    return rows.map(({ id, display_name, user_name, live }) =>
      target({ kind: 'person', personId: id }, display_name, live === 0 ? user_name : `${user_name}, ${live} live`),
    );
  }
  if (kind === 'instance') {
    const rows = await db
      .selectFrom('instances')
      .select(['account_id', 'region', 'instance_id', 'name', 'account_name'])
      .where((eb) =>
        eb.and([
          eb.lit(true),
          ...words.map(
            (word) =>
              sql<SqlBool>`(name ilike ${literally(word)} or instance_id ilike ${literally(word)} or account_name ilike ${literally(word)})`,
          ),
        ]),
      )
      .orderBy('name')
      .orderBy('instance_id')
      .limit(mostTargets)
      .execute();
    return rows.map((row) =>
      target(
        {
          kind: 'instance',
          instance: { accountId: row.account_id, region: row.region, instanceId: row.instance_id },
        },
        row.name === '' ? row.instance_id : row.name,
        `${row.account_name}, ${row.instance_id}`,
      ),
    );
  }
  const rows = await db
    .selectFrom('inventory_places')
    .select(['account_id', 'account_name'])
    .distinct()
    .where((eb) =>
      eb.and([
        eb.lit(true),
        ...words.map((word) => sql<SqlBool>`(account_name ilike ${literally(word)} or account_id = ${word})`),
      ]),
    )
    .orderBy('account_name')
    .limit(mostTargets)
    .execute();
  return rows.map(({ account_id, account_name }) =>
    target({ kind: 'account', accountId: account_id }, account_name, account_id),
  );
};
