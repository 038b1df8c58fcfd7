/** No list reads a table that grows with history from end to end: every statement is explained as Postgres would run it. */
import { createSecretKey, randomBytes } from 'node:crypto';
import { type Kysely, Kysely as KyselyDatabase, PostgresDialect } from 'kysely';
import pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { z } from 'zod';
import type { AuditQuery, PersonalRole } from '../../src/shared/views.ts';
import { createAccess } from '../access/access.ts';
import { createLog } from '../log.ts';
import { readDue, wakeUnfinished } from '../reconcile/due.ts';
import { watchSlowEndings } from '../reconcile/slow-endings.ts';
import { begunInRegion, begunOnPrincipal, terminatedSessions } from '../reconcile/terminations.ts';
import { openRules } from '../rules/rules.ts';
import { loadGrant, loadGrants } from '../store/grants.ts';
import { newId } from '../store/ids.ts';
import type { PersonFacts } from '../store/people.ts';
import { loadRequest, loadRequests } from '../store/requests.ts';
import type { Schema } from '../store/schema.ts';
import { type Reader, visibleTo } from '../store/visibility.ts';
import { freshStore } from '../testing/fresh-store.ts';
import { testConfig } from '../testing/test-backend.ts';
import { listEndings, listLive } from './admin-list.ts';
import { auditOfRequest, listAudit } from './audit-list.ts';
import { overviewOf } from './overview.ts';

const now = new Date();
/** Everything that has a row for something that is over. */
const growing = [
  'audit',
  'requests',
  'request_instances',
  'decisions',
  'grants',
  'grant_instances',
  'sessions',
  'notices',
  'spreading',
];
const rows = 20_000;
const accountId = '480000000000';
/** Whose request the row `i` is: the first of 500 people asks for each eighth, and is who Postgres reads whole tables for. */
const asker = "'p' || case when i % 8 = 0 then 0 else i % 500 end";

let store: Awaited<ReturnType<typeof freshStore>>;
let db: Kysely<Schema>;
let client: pg.Client;
let seen: Array<{ sql: string; parameters: readonly unknown[] }> = [];

beforeAll(async () => {
  store = await freshStore();
  db = new KyselyDatabase<Schema>({
    dialect: new PostgresDialect({ pool: new pg.Pool({ connectionString: store.url, max: 4 }) }),
    log: ({ query }) => {
      seen.push(query);
    },
  });
  client = new pg.Client({ connectionString: store.url });
  await client.connect();
  // Triggers and foreign keys are off: these rows belong together only as far as plans depend on it.
  await client.query('set session_replication_role = replica');
  await client.query(`
    insert into people (id, user_name, display_name, enabled, groups, checked_at)
      select 'p' || i, 'p' || i, 'P ' || i, true, '{}', now() from generate_series(0, 499) i;
    insert into instances (account_id, region, instance_id, account_name, name, kind, platform, tags, online, first_seen_at, checked_at)
      select '${accountId}', 'eu-central-1', 'i-' || lpad(i::text, 8, '0'), 'a', 'n' || i, 'ec2', 'Linux', '{"team":"payments","env":"prod"}', true, now(), now()
      from generate_series(0, 199) i;
    insert into requests (id, requester_id, capability, duration_seconds, reason, state, submitted_at, lapses_at, closed_at,
        approvals_needed, rule_id, rule_set_hash, audit_sequence)
      select 'r' || i, ${asker}, 'shell', 3600, 'why', case when i > ${rows - 20} then 'waiting' else 'approved' end,
        now() - (${rows} - i) * interval '1 minute', now(), case when i > ${rows - 20} then null else now() - (${rows} - i) * interval '1 minute' end,
        1, 'rule', 'hash', i from generate_series(1, ${rows}) i;
    insert into request_instances (request_id, position, account_id, region, instance_id, name, tags)
      select 'r' || i, 0, '${accountId}', 'eu-central-1', 'i-' || lpad((i % 200)::text, 8, '0'), 'n', '{}' from generate_series(1, ${rows}) i;
    insert into decisions (id, request_id, requester_id, person_id, verdict, at, rule_set_hash, mac, audit_sequence)
      select 'd' || i, 'r' || i, ${asker}, 'p' || (i + 1) % 500, 'no', now(), 'hash', repeat('f', 64), i from generate_series(1, ${rows}) i;
    insert into grants (id, request_id, person_id, principal_id, account_id, capability, duration_seconds, state, approved_at, activate_by,
        connected_at, active_at, ends_at, cause, closed_at, receipt, mac, audit_sequence)
      select 'g' || i, 'r' || i, ${asker}, 'x' || i % 500, '${accountId}', 'shell', 3600,
        case when i > ${rows - 300} then 'active' else 'ended' end, now() - (${rows} - i) * interval '1 minute', now(), now(), now(), now(),
        '{"kind":"time"}', now() - (${rows} - i) * interval '1 minute', '{"stage":"sealed"}', repeat('f', 64), i from generate_series(1, ${rows}) i;
    insert into grant_instances (grant_id, position, account_id, region, instance_id)
      select 'g' || i, 0, '${accountId}', 'eu-central-1', 'i-' || lpad((i % 200)::text, 8, '0') from generate_series(1, ${rows}) i;
    insert into sessions (id, grant_id, account_id, region, instance_id, started_at, ended_at)
      select 's' || i, 'g' || i, '${accountId}', 'eu-central-1', 'i-00000001', now(), case when i > ${rows - 300} then null else now() end
      from generate_series(1, ${rows}) i;
    insert into notices (id, person_id, at, kind, title, body, target_kind, target_id)
      select 'n' || i, 'p' || (i + 1) % 500, now() - (${rows} - i) * interval '1 minute', case when i % 2 = 0 then 'to-approve' else 'approved' end,
        't', 'b', 'request', 'r' || i from generate_series(1, ${rows}) i;
    insert into spreading (account_id, at, ms) select '${accountId}', now() - i * interval '1 minute', 1000 from generate_series(1, ${rows}) i;
    insert into audit (sequence, at, kind, event, canonical, previous_hash, hash, actor_id, person_id, request_id, grant_id)
      select i, now() - (${rows} - i) * interval '10 minutes', (array['grant_made', 'grant_ended', 'session_started', 'session_terminated'])[1 + i % 4],
        '{"kind":"grant_active","actor":{"kind":"curfew"},"owner":{"id":"p7","userName":"p7","displayName":"P 7"}}', repeat('some words of an event ', 20), repeat('0', 64), lpad(to_hex(i), 64, '0'),
        'p' || i % 500, 'p' || i % 500, 'r' || i, 'g' || i from generate_series(1, ${rows}) i;
  `);
  await client.query('vacuum (analyze)');
  await client.query('set session_replication_role = default');
});

afterAll(async () => {
  await client.end();
  await db.destroy();
  await store.close();
});

const reader = (id: string, isAdmin = false): Reader => ({
  person: { id, userName: id, displayName: id },
  groups: [],
  isAdmin,
  decidable: [`r${rows}`],
});
const [engineer, busiest, admin] = [reader('p7'), reader('p0'), reader('p8', true)];

type Plan = { 'Node Type': string; 'Relation Name'?: string | undefined; Plans?: Plan[] | undefined };
const plan: z.ZodType<Plan> = z.lazy(() =>
  z.object({ 'Node Type': z.string(), 'Relation Name': z.string().optional(), Plans: z.array(plan).optional() }),
);
const scansOf = (node: Plan): string[] => {
  const table = node['Relation Name'] ?? '';
  const whole = node['Node Type'] === 'Seq Scan' && growing.includes(table) ? [table] : [];
  return [...whole, ...(node.Plans ?? []).flatMap(scansOf)];
};
const explained = z.array(z.object({ 'QUERY PLAN': z.array(z.object({ Plan: plan })) }));

/** Which tables of `growing` the statements of this work read from end to end. */
const wholeReads = async (work: () => Promise<unknown>): Promise<string[]> => {
  seen = [];
  await work();
  const found: string[] = [];
  for (const { sql: text, parameters } of seen.filter((one) => /^\s*(select|with|update|delete)\s/.test(one.sql))) {
    const { rows: answer } = await client.query(`explain (format json) ${text}`, [...parameters]);
    for (const row of explained.parse(answer)) found.push(...row['QUERY PLAN'].flatMap(({ Plan }) => scansOf(Plan)));
  }
  expect(seen.length).toBeGreaterThan(0);
  return found;
};

const audit = (query: Partial<AuditQuery>, by = admin) =>
  listAudit(db, by, {
    search: '',
    kinds: [],
    person: null,
    from: null,
    until: null,
    before: null,
    limit: 50,
    ...query,
  });
const daysAgo = (days: number): string => new Date(now.getTime() - days * 86_400_000).toISOString();
const live = (search: string) => listLive(db, admin, { search, cursor: null, limit: 50 });

/** Everybody may ask for and decide everything that the rules leave to the lead of a team. */
const facts = (id: string): PersonFacts => ({
  ...{ id, userName: id, displayName: id, email: null, enabled: true, checkedAt: now },
  groups: ['curfew-users', 'payments-engineers', 'payments-leads'],
});
const ready = async (id: string): Promise<PersonalRole> => ({
  ...{ accountId: id, accountName: id, state: 'ready' },
  roleArn: `arn:aws:iam::${id}:role/curfew/people/curfew-1`,
});
const config = { ...testConfig, accounts: testConfig.accounts.slice(0, 1).map((one) => ({ ...one, id: accountId })) };
const acting = async () => ({
  db,
  rules: await openRules(config.rulesFolder, config.trustedTags),
  sealKey: createSecretKey(randomBytes(32)),
  config,
  directory: {
    person: async (id: string) => facts(id),
    membersOf: async () => [facts('p1'), facts('p2')],
    standings: async () => ({ known: new Map(), failure: null }),
  },
  roles: { check: ready },
  groupReach: async () => null,
  lookAgain: async () => ({ unread: new Set<string>() }),
  now: () => now,
  nudge: () => undefined,
  newId,
});
const draft = {
  instances: [{ accountId, region: 'eu-central-1', instanceId: 'i-00000007' }],
  ...{ durationSeconds: 1800, reason: 'why', ticket: null, capability: 'shell' as const },
};
const overview = async (who: Reader) => {
  const deps = {
    ...(await acting()),
    mayApproveSomething: async () => true,
    log: createLog({ write: () => undefined }),
  };
  const token = { hash: Buffer.alloc(32), personId: who.person.id, expiresAt: now, provedAt: now };
  return overviewOf(deps, { reader: who, facts: facts(who.person.id), token });
};

const looks: Record<string, () => Promise<unknown>> = {
  'the trail': () => audit({}),
  'the trail, one kind that never was': () => audit({ kinds: ['seal_broken'] }),
  'the trail, one person': () => audit({ person: 'p3' }),
  'the trail, one person and kind': () => audit({ person: 'p3', kinds: ['grant_failed'] }),
  'the trail, a day of long ago': () => audit({ from: daysAgo(100), until: daysAgo(99) }),
  'the trail, a word that never was': () => audit({ search: 'nowhere' }),
  'the trail, for an engineer': () => audit({}, engineer),
  'the trail, for an engineer, one kind that never was': () => audit({ kinds: ['seal_broken'] }, engineer),
  'the trail, for an engineer, about somebody else': () => audit({ person: 'p3' }, engineer),
  'one request’s story': () => auditOfRequest(db, engineer, 'r7'),
  'one request': () => loadRequest(db, engineer, 'r7', now),
  'one grant': () => loadGrant(db, engineer, 'g7'),
  'grants of a request': () => loadGrants(db, (eb) => eb('grants.request_id', '=', 'r7')),
  'a card, waiting': async () => createAccess(await acting()).card(engineer, `r${rows}`),
  'a card of long ago': async () => createAccess(await acting()).card(engineer, 'r7'),
  'a card of long ago, of who asks most': async () => createAccess(await acting()).card(busiest, 'r8'),
  'a preview': async () => createAccess(await acting()).preview(engineer.person, draft),
  'an engineer’s overview': () => overview(engineer),
  'the overview of who asks most': () => overview(busiest),
  'an admin’s overview': () => overview(admin),
  'requests to decide': () =>
    loadRequests(db, {
      where: (eb) => eb.and([visibleTo(engineer).requests(eb), eb('requests.state', '=', 'waiting')]),
      now,
    }),
  'live access': () => live(''),
  'live access, searched': () => live('n7'),
  endings: () => listEndings(db, now),
  'what is due': () => readDue(db, 1, now),
  'what nobody would wake': () => wakeUnfinished(db, now, 'lost'),
  'slow endings': () => watchSlowEndings(db, { now, adminGroup: 'admins', accountName: (id) => id }),
  'sessions ended for a grant': () => terminatedSessions(db, 'g7'),
  'what a pass began to end': () => begunOnPrincipal(db, 'r7'),
  'what a sweep began to end': () => begunInRegion(db, '482011773306', 'eu-central-1'),
};

test.each(Object.entries(looks))('%s: nothing that grows is read from end to end', async (_, work) => {
  expect(await wholeReads(work)).toEqual([]);
});

test('pages of the trail follow each other, whoever reads and whatever is searched', async () => {
  const numbersOf = async (query: Partial<AuditQuery>, by: Reader): Promise<number[]> => {
    const numbers: number[] = [];
    for (let before: number | null = null; ; ) {
      const page = await audit({ ...query, before, limit: 200 }, by);
      numbers.push(...page.rows.map(({ sequence }) => sequence));
      if (page.nextBefore === null) return numbers;
      before = page.nextBefore;
    }
  };
  const every = (wanted: (number: number) => boolean): number[] =>
    Array.from({ length: rows }, (_, index) => rows - index).filter(wanted);
  // Person 7 asked for each 500th request, decided those of person 6, and may decide the newest.
  const theirs = every((number) => number % 500 === 7 || number % 500 === 6 || number === rows);
  expect(await numbersOf({}, engineer)).toEqual(theirs);
  expect(await numbersOf({ search: 'WORDS event' }, engineer)).toEqual(theirs);
  expect(await numbersOf({ person: 'p6' }, engineer)).toEqual(every((number) => number % 500 === 6));
  expect(await numbersOf({ kinds: ['grant_made'], person: 'p7' }, admin)).toEqual(
    every((number) => number % 500 === 7 && number % 4 === 0),
  );
});
