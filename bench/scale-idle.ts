/** What it costs when nothing happens: thousands of grants live, nothing is due. */
import os from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { sql } from 'kysely';
import type { Db } from '../backend/store/open.ts';
import type { Figure } from './figures.ts';
import type { ScaleSize } from './scale.ts';
import { makeCompany } from './scale-company.ts';
import { openScaleStage } from './scale-stage.ts';

/** Five minutes: five sweeps, and all that comes less often than each minute at least once. */
const measuredMs = 300_000;
const settleMs = 600_000;
/** What grows with history; the rest grows with what lives. */
const historyTables = ['audit', 'requests', 'grants', 'grant_instances', 'decisions', 'notices', 'sessions'];

/** What a backend has used so far, from its own metrics: CPU seconds, and calls to AWS with those of IAM, which are the comparisons. */
const usedBy = async (backend: string): Promise<{ cpu: number; calls: number; iam: number }> => {
  const text = await (await fetch(`${backend}/metrics`)).text();
  const cpu = /^process_cpu_seconds_total (\S+)/m.exec(text)?.[1];
  if (cpu === undefined) throw new Error('The backend does not tell its CPU time.');
  const counts = [...text.matchAll(/^curfew_budget_wait_seconds_count\{budget="(?<budget>[^"]+)".*\} (?<count>\d+)/gm)];
  const calls = (budget: string): number =>
    counts
      .filter(({ groups }) => groups?.['budget']?.startsWith(budget))
      .reduce((sum, { groups }) => sum + Number(groups?.['count']), 0);
  return { cpu: Number(cpu), calls: calls(''), iam: calls('iam') };
};

/** Resolves when every account was swept and nothing has been due for a while. @throws Error after ten minutes. */
const settled = async (db: Db): Promise<void> => {
  let quiet = 0;
  for (const until = Date.now() + settleMs; quiet < 5; await sleep(1000)) {
    const { rows } = await sql<{ busy: number }>`
      select (select count(*) from principals where holder is not null or due_at <= clock_timestamp())::integer
        + (select count(*) from sweeps where ended_at is null)::integer
        + (case when exists (select from sweeps) then 0 else 1 end) as busy
    `.execute(db);
    quiet = rows[0]?.busy === 0 ? quiet + 1 : 0;
    if (Date.now() > until) throw new Error('The backend does not come to rest.');
  }
};

/** Rows of the tables of history that were read, by whole scans and by indexes. */
const rowsRead = async (db: Db): Promise<{ scanned: number; found: number }> => {
  // What other connections have counted is told after they were idle for a moment.
  await sleep(1500);
  const { rows } = await sql<{ scanned: number; found: number }>`
    select coalesce(sum(seq_tup_read), 0)::double precision as scanned, coalesce(sum(idx_tup_fetch), 0)::double precision as found
    from pg_stat_user_tables where relname = any(${historyTables})
  `.execute(db);
  return rows[0] ?? { scanned: 0, found: 0 };
};

/** The same over again as what is over: ended and sealed grants with their rows, `times` as many as there live. */
const addHistory = async (db: Db, times: number): Promise<number> => {
  const copies = `generate_series(1, ${times}) as copy`;
  const ended = `jsonb_build_object('stage', 'sealed', 'policyGoneAt', g.ends_at, 'policyGoneMs', 0, 'sessionsGoneAt', g.ends_at,
    'sessionsGoneMs', 0, 'sessionsTerminated', '[]'::jsonb, 'looks', 9, 'sealedAt', g.ends_at)`;
  await db.connection().execute(async (one) => {
    const run = (text: string) => sql.raw(text).execute(one);
    // Made of rows that were checked when they were written: no trigger need look at each copy.
    await run('set session_replication_role = replica');
    await run('set statement_timeout = 0');
    await run(`insert into requests select r.id || '_' || copy, requester_id, extends_grant_id, capability, duration_seconds, reason,
      ticket, state, submitted_at, lapses_at, closed_at, approvals_needed, rule_id, rule_set_hash, audit_sequence from requests r, ${copies}`);
    await run(`insert into decisions (id, request_id, requester_id, rule_id, person_id, verdict, instances, duration_seconds, at,
      rule_set_hash, mac, audit_sequence) select d.id || '_' || copy, request_id || '_' || copy, requester_id, rule_id, person_id,
      verdict, instances, duration_seconds, at, rule_set_hash, mac, audit_sequence from decisions d, ${copies}`);
    await run(`insert into grants (id, request_id, person_id, principal_id, account_id, capability, duration_seconds, state,
      approved_at, activate_by, connected_at, active_at, ends_at, cause, policy_gone_at, closed_at, receipt, mac, audit_sequence)
      select g.id || '_' || copy, request_id || '_' || copy, person_id, principal_id, account_id, capability, duration_seconds, 'ended',
      approved_at, activate_by, connected_at, active_at, ends_at, '{"kind":"time"}', ends_at, ends_at, ${ended}, mac, audit_sequence
      from grants g, ${copies}`);
    await run(`insert into grant_instances select grant_id || '_' || copy, position, account_id, region, instance_id
      from grant_instances, ${copies}`);
    await run('set session_replication_role = default');
    await run('analyze');
    await run('reset statement_timeout');
  });
  const { rows } = await sql<{ grants: number }>`select count(*)::integer as grants from grants`.execute(db);
  return rows[0]?.grants ?? 0;
};

export const idleCost = async ({ grants }: ScaleSize): Promise<Figure[]> => {
  const principals = Math.ceil(grants / 4);
  // Most of an hour lies before the first end.
  const endsAt = new Date(Date.now() + 3_000_000);
  const size = { accounts: 20, principals, accountsEach: 5, grants, sessionShare: 0.3 };
  const stage = await openScaleStage(
    makeCompany({ ...size, endsAt: (number) => new Date(endsAt.getTime() + number * 10) }),
  );
  try {
    const backend = await stage.startBackend();
    const { db } = stage;
    const figures: Figure[] = [];
    for (const history of [0, 10]) {
      const all = history === 0 ? grants : await addHistory(db, history);
      await settled(db);
      const before = { used: await usedBy(backend), rows: await rowsRead(db), at: performance.now() };
      await sleep(measuredMs);
      const used = await usedBy(backend);
      const share = ((used.cpu - before.used.cpu) / ((performance.now() - before.at) / 1000)) * 100;
      const rows = await rowsRead(db);
      const minutes = measuredMs / 60_000;
      const perMinute = (what: 'scanned' | 'found') => Math.round((rows[what] - before.rows[what]) / minutes);
      figures.push({
        name: `nothing due, ${history === 0 ? 'no history' : `${all - grants} ended grants`}: the backend’s CPU`,
        unit: '% of a core',
        values: [share],
        note: `${grants} live grants on ${principals} roles in 20 accounts; of the tables of history it reads ${perMinute('scanned')} rows a minute by scans and ${perMinute('found')} by indexes; ${used.calls - before.used.calls} calls to AWS, of IAM ${used.iam - before.used.iam}; load ${os.loadavg()[0]?.toFixed(1)}`,
      });
    }
    return figures;
  } finally {
    await stage.close();
  }
};
