/** Every list that a window shows and every look that the backend takes by itself, on a database with two years of history. */
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { readDue, wakeUnfinished } from '../backend/reconcile/due.ts';
import { countOpenFindings } from '../backend/reconcile/findings.ts';
import { noteClocks } from '../backend/reconcile/note-clocks.ts';
import { watchSlowEndings } from '../backend/reconcile/slow-endings.ts';
import { terminatedSessions } from '../backend/reconcile/terminations.ts';
import { changesSince, forgetOldChanges, lastChangeId } from '../backend/store/changes.ts';
import { openStore } from '../backend/store/open.ts';
import { startPostgres } from '../dev/postgres/supervisor.ts';
import type { Figure } from './figures.ts';
import { type HistoryBackend, startHistoryBackend } from './history/backend.ts';
import { accountIdOf, firstLead, heaviestEngineer, someAdmin } from './history/company.ts';
import { type HistorySizes, seedHistory } from './history/history.ts';

export type QuerySize = HistorySizes & {
  /** Calls of each, after a tenth of them to warm up. */
  calls: number;
};

/** `slow`: it takes a second by design, so a tenth of the calls will do. */
type Look = { name: string; note?: string; slow?: true; call: () => Promise<unknown> };

const at = (values: readonly number[], share: number): string => {
  const sorted = values.toSorted((a, b) => a - b);
  return (sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? Number.NaN).toFixed(1);
};

const measure = async ({ name, note, slow, call }: Look, most: number, before: () => void): Promise<Figure> => {
  const calls = slow === true ? Math.ceil(most / 10) : most;
  before();
  const first = performance.now();
  await call();
  const coldMs = performance.now() - first;
  for (let done = 0; done < calls / 10; done += 1) await call();
  const values: number[] = [];
  for (let done = 0; done < calls; done += 1) {
    const since = performance.now();
    await call();
    values.push(performance.now() - since);
  }
  const tail = `p99 ${at(values, 0.99)}, most ${at(values, 1)}, first ${coldMs.toFixed(1)}`;
  const figure: Figure = { name, unit: 'ms', values, note: note === undefined ? tail : `${tail}; ${note}` };
  console.error(`${name}: p50 ${at(values, 0.5)}, ${figure.note}`);
  return figure;
};

const emptyAudit = { search: '', kinds: [], person: null, from: null, until: null, before: null, limit: 100 };
const year = 365 * 86_400_000;

/** The windows' own calls, over HTTP, by an admin, a lead and the engineer who asks most. */
const windowLooks = async (
  backend: HistoryBackend,
  people: Awaited<ReturnType<typeof seedHistory>>,
): Promise<Look[]> => {
  const personAt = (index: number) => {
    const person = people[index];
    if (person === undefined) throw new Error(`There is no person ${index}.`);
    return person;
  };
  const [busiest, quiet] = [personAt(heaviestEngineer), personAt(1_900)];
  const admin = await backend.signedIn(personAt(someAdmin));
  const lead = await backend.signedIn(personAt(firstLead));
  const engineer = await backend.signedIn(busiest);
  const waiting = (await lead.overview.query()).toDecide[0]?.id ?? '';
  const rows = (await admin.audit.query({ limit: 1 })).rows[0]?.sequence ?? 1;
  const old = await engineer.audit.query({ before: Math.round(rows / 2), limit: 200 });
  const done = old.rows.find(({ requestId }) => requestId !== null)?.requestId ?? '';
  const { live } = admin;
  let cursor: string | null = null;
  for (let page = 0; page < 20; page += 1) cursor = (await live.query({ limit: 200, cursor })).nextCursor ?? cursor;
  const now = backend.now().getTime();
  const ago = (ms: number): string => new Date(now - ms).toISOString();
  const audit = (name: string, query: Partial<typeof emptyAudit> | object, who = admin): Look => ({
    name: `audit: ${name}`,
    call: () => who.audit.query({ ...emptyAudit, ...query }),
  });
  return [
    { name: 'overview: the busiest engineer', call: () => engineer.overview.query() },
    { name: 'overview: a lead', call: () => lead.overview.query() },
    { name: 'overview: an admin', call: () => admin.overview.query() },
    { name: 'request card: a lead, waiting', call: () => lead.card.query({ requestId: waiting }) },
    { name: 'request card: an engineer, a year old', call: () => engineer.card.query({ requestId: done }) },
    { name: 'request story: an engineer, a year old', call: () => engineer.story.query({ requestId: done }) },
    audit('first page', {}),
    audit('from the middle on', { before: Math.round(rows / 2) }),
    audit('one kind, often', { kinds: ['grant_ended'] }),
    audit('one kind, rare', { kinds: ['request_withdrawn', 'request_lapsed'] }),
    audit('one kind that never was', { kinds: ['seal_broken'] }),
    audit('the busiest engineer', { person: busiest.id }),
    audit('a quiet engineer', { person: quiet.id }),
    audit('a quiet engineer, one kind', { person: quiet.id, kinds: ['grant_failed'] }),
    audit('one day, a year ago', { from: ago(year), until: ago(year - 86_400_000) }),
    audit('until a year ago', { until: ago(year) }),
    audit('since a week, a kind that never was', { from: ago(7 * 86_400_000), kinds: ['seal_broken'] }),
    audit('a word that is often', { search: 'team07' }),
    { ...audit('a word that is rare', { search: 'OPS-30003' }), slow: true },
    { ...audit('a word that never was', { search: 'nowhere-to-be-found' }), slow: true },
    audit('first page, the busiest engineer’s own', {}, engineer),
    audit('first page, a lead’s', {}, lead),
    audit('a lead’s, a kind that never was', { kinds: ['seal_broken'] }, lead),
    { ...audit('a lead’s, a word that never was', { search: 'nowhere-to-be-found' }, lead), slow: true },
    {
      name: 'audit: one request exported',
      call: () => admin.exportAudit.mutate({ format: 'jsonl', requestId: done, cursor: null }),
    },
    {
      name: 'audit: one part of the whole trail exported',
      note: '2,000 rows',
      call: () =>
        admin.exportAudit.mutate({
          ...{ format: 'jsonl', requestId: null },
          cursor: { part: 'rows', to: rows, rows, after: Math.round(rows / 2) },
        }),
    },
    { name: 'inventory: an engineer', call: () => engineer.instances.query({}) },
    { name: 'inventory: an engineer, searched', call: () => engineer.instances.query({ search: 'prod 00' }) },
    { name: 'inventory: an admin, who may ask for one team’s', call: () => admin.instances.query({}) },
    { name: 'live access: an admin, first page', call: () => live.query({}) },
    { name: 'live access: an admin, page 80', call: () => live.query({ cursor }) },
    { name: 'live access: an admin, searched', call: () => live.query({ search: 'team07 disk' }) },
    { name: 'live access: a lead', call: () => lead.live.query({}) },
    { name: 'endings', call: () => admin.endings.query() },
    { name: 'findings', call: () => admin.findings.query({}) },
    { name: 'kill switches', call: () => admin.switches.query() },
    { name: 'kill switch: whom', call: () => admin.switchTargets.query({ kind: 'person', search: 'person 07' }) },
    {
      name: 'kill switch: preview of everything',
      call: () => admin.previewSwitch.mutate({ scope: { kind: 'everything' } }),
    },
    {
      name: 'kill switch: preview of a person',
      call: () => admin.previewSwitch.mutate({ scope: { kind: 'person', personId: busiest.id } }),
    },
    {
      name: 'kill switch: preview of an account',
      call: () => admin.previewSwitch.mutate({ scope: { kind: 'account', accountId: accountIdOf(3) } }),
    },
    { name: 'health', call: () => admin.health.query() },
    { name: 'metrics', call: async () => (await fetch(`${backend.address}/metrics`)).text() },
  ];
};

/** What the backend asks by itself each second, each few seconds, or at each ending. */
const ownLooks = async ({ store, access, now }: HistoryBackend): Promise<Look[]> => {
  const db = store.reconcile;
  const newest = await lastChangeId(db);
  const { id: ended } = await db
    .selectFrom('grants')
    .select('id')
    .where('state', '=', 'ended')
    .limit(1)
    .executeTakeFirstOrThrow();
  const adminGroup = 'curfew-admins';
  const found = { name: 'bench', aheadMs: 0 };
  return [
    { name: 'own: what is due (each second)', call: () => readDue(db, 1, now()) },
    { name: 'own: principals nobody would wake', call: () => wakeUnfinished(db, now(), 'lost') },
    { name: 'own: requests that lapse', call: () => access.lapseDue() },
    { name: 'own: kill switches that are on', call: () => access.enforceSwitches() },
    { name: 'own: leavers', call: () => access.closeLeavers() },
    {
      name: 'own: slow endings',
      call: () => watchSlowEndings(db, { now: now(), adminGroup, accountName: (id) => id }),
    },
    { name: 'own: clocks', call: () => noteClocks(db, { now: now(), adminGroup, skews: [], backend: found }) },
    { name: 'own: findings counted', call: () => countOpenFindings(db) },
    { name: 'own: sessions ended for a grant', call: () => terminatedSessions(db, ended) },
    { name: 'own: what a client missed in a minute', call: () => changesSince(db, newest - 350) },
    { name: 'own: changes forgotten', call: () => forgetOldChanges(db, now()) },
  ];
};

/** Fills a database, looks at it in every way, throws it away. */
export const queryTimes = async ({ calls, ...sizes }: QuerySize): Promise<Figure[]> => {
  const home = fs.mkdtempSync(path.join(os.tmpdir(), 'curfew-queries-'));
  fs.chmodSync(home, 0o755);
  const postgres = await startPostgres({ folder: path.join(home, 'postgres'), durable: false });
  try {
    const url = postgres.url('postgres');
    await (await openStore(url, console.error)).close();
    const client = new pg.Client({ connectionString: url });
    await client.connect();
    const people = await seedHistory(client, sizes, new Date());
    // As autovacuum has done long ago where two years went by.
    await client.query('analyze');
    await client.end();
    return await lookAround(url, people, calls);
  } finally {
    await postgres.stop();
    fs.rmSync(home, { recursive: true, force: true });
  }
};

const lookAround = async (
  url: string,
  people: Awaited<ReturnType<typeof seedHistory>>,
  calls: number,
): Promise<Figure[]> => {
  const backend = await startHistoryBackend(url, people);
  try {
    // After a start the backend verifies the whole chain beside its work: half a minute for a million rows, in which calls take twice as long.
    while ((await backend.chain.state(backend.now())).unchecked !== undefined) await sleep(500);
    const figures: Figure[] = [];
    for (const look of [...(await windowLooks(backend, people)), ...(await ownLooks(backend))]) {
      figures.push(await measure(look, calls, backend.nextMinute));
    }
    return figures;
  } finally {
    await backend.close();
  }
};
