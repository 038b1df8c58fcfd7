/** Which principals are due, in which order, and who gets them; on real Postgres, without AWS. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type Office, openOffice } from '../access/testing/office.ts';
import { freeForgotten, readDue, settlePrincipal, takePrincipals, wakeUnfinished } from './due.ts';
import { listFindings } from './findings.ts';
import { noteClocks } from './note-clocks.ts';
import { watchSlowEndings } from './slow-endings.ts';

let office: Office;
beforeEach(async () => {
  office = await openOffice();
});
afterEach(() => office.close());

type Machine = 'staging' | 'staging2';
type Person = Parameters<Office['person']>[0];

/** Asks for a machine that a rule gives at once, and connects. @returns the grant's and the principal's id. */
const connected = async (person: Person, machines: Machine[] = ['staging'], durationSeconds = 1800) => {
  const request = await office.access.submit(office.person(person), office.draft(machines, { durationSeconds }));
  const grantId = request.state === 'approved' ? (request.grantIds[0] ?? '') : '';
  await office.access.connect(await office.reader(person), grantId);
  const row = await office.db
    .selectFrom('grants')
    .select(['principal_id', 'account_id'])
    .where('id', '=', grantId)
    .executeTakeFirstOrThrow();
  return { grantId, principalId: row.principal_id, accountId: row.account_id };
};
/** As if the reconciler had given it: no row of the trail is about that here. */
const setState = async (grantId: string, state: 'active' | 'ending'): Promise<void> => {
  const { sql } = await import('kysely');
  await office.db.transaction().execute(async (tx) => {
    await sql`set local session_replication_role = replica`.execute(tx);
    const cause = state === 'ending' ? { cause: JSON.stringify({ kind: 'time' }) } : {};
    const change = { state, active_at: office.deps.now(), ...cause };
    await tx.updateTable('grants').set(change).where('id', '=', grantId).execute();
  });
};
const principal = (id: string) =>
  office.db
    .selectFrom('principals')
    .select(['holder', 'due_at', 'attempts', 'problem'])
    .where('id', '=', id)
    .executeTakeFirstOrThrow();
const due = async (holder = 1) => (await readDue(office.db, holder, office.deps.now())).principals;

describe('readDue', () => {
  test('endings come before beginnings, and those before what only wants a look', async () => {
    const look = await connected('mira');
    await setState(look.grantId, 'active');
    const begins = await connected('jonas');
    expect((await due()).map(({ id, urgency }) => [id, urgency])).toEqual([
      [begins.principalId, 'beginning'],
      [look.principalId, 'looking'],
    ]);
    await setState(look.grantId, 'ending');
    const now = await readDue(office.db, 1, office.deps.now());
    expect(now.principals.map(({ id, urgency }) => [id, urgency])).toEqual([
      [look.principalId, 'ending'],
      [begins.principalId, 'beginning'],
    ]);
    expect(now.waiting).toEqual({ ending: 1, beginning: 1, looking: 0 });
  });

  test('of endings the most exposed comes first: longest overdue times what it leaves open', async () => {
    const [small, wide] = [await connected('mira'), await connected('jonas', ['staging', 'staging2'])];
    for (const { grantId } of [small, wide]) await setState(grantId, 'active');
    office.pass(1_900);
    expect((await due()).map(({ id }) => id)).toEqual([wide.principalId, small.principalId]);
    const session = { account_id: small.accountId, region: 'eu-central-1', instance_id: 'i-1', ended_at: null };
    await office.db
      .insertInto('sessions')
      .values({ id: 's-1', grant_id: small.grantId, started_at: office.deps.now(), closes_at: null, ...session })
      .execute();
    expect((await due()).map(({ id }) => id)).toEqual([small.principalId, wide.principalId]);
  });

  test('an end that comes while its principal is worked on makes it urgent, though nobody made it due', async () => {
    const { grantId, principalId } = await connected('mira');
    await setState(grantId, 'active');
    await takePrincipals(office.db, [principalId], { holder: 5, now: office.deps.now() });
    expect(await due(5)).toEqual([{ id: principalId, holder: 5, urgency: 'looking' }]);
    expect(await due(6)).toEqual([]);
    office.pass(1_900);
    expect(await due(5)).toEqual([{ id: principalId, holder: 5, urgency: 'ending' }]);
  });
});

describe('taking and letting go', () => {
  test('of many backends one gets a principal', async () => {
    const { principalId } = await connected('mira');
    const now = office.deps.now();
    const all = await Promise.all(
      Array.from({ length: 8 }, (_, n) => takePrincipals(office.db, [principalId], { holder: n + 1, now })),
    );
    expect(all.flat()).toEqual([{ id: principalId, attempts: 0 }]);
  });

  test('a row that somebody holds at this moment is left for the next round: nobody waits', async () => {
    const { principalId } = await connected('mira');
    await office.db.transaction().execute(async (tx) => {
      await tx.selectFrom('principals').select('id').where('id', '=', principalId).forUpdate().execute();
      expect(await takePrincipals(office.db, [principalId], { holder: 1, now: office.deps.now() })).toEqual([]);
    });
    expect(await takePrincipals(office.db, [principalId], { holder: 1, now: office.deps.now() })).toHaveLength(1);
  });

  test('who makes it due while it is worked on is heard, and only its holder lets go of it', async () => {
    const { principalId } = await connected('mira');
    const now = office.deps.now();
    await takePrincipals(office.db, [principalId], { holder: 1, now });
    await office.db.updateTable('principals').set({ due_at: now }).where('id', '=', principalId).execute();
    const later = new Date(now.getTime() + 60_000);
    const left = { dueAt: later, attempts: 0, problem: null };
    await settlePrincipal(office.db, { id: principalId, holder: 2 }, left);
    expect((await principal(principalId)).holder).toBe(1);
    await settlePrincipal(office.db, { id: principalId, holder: 1 }, left);
    expect(await principal(principalId)).toMatchObject({ holder: null, due_at: now });
    await takePrincipals(office.db, [principalId], { holder: 1, now });
    await settlePrincipal(office.db, { id: principalId, holder: 1 }, { ...left, attempts: 2, problem: 'no' });
    expect(await principal(principalId)).toEqual({ holder: null, due_at: later, attempts: 2, problem: 'no' });
  });

  test('what is held and not worked on becomes due again', async () => {
    const [one, other] = [await connected('mira'), await connected('jonas')];
    const now = office.deps.now();
    await takePrincipals(office.db, [one.principalId, other.principalId], { holder: 1, now });
    await freeForgotten(office.db, { holder: 1, now }, [one.principalId]);
    expect((await principal(one.principalId)).holder).toBe(1);
    expect(await principal(other.principalId)).toMatchObject({ holder: null, due_at: now });
  });

  test('what would never be due again is found: nothing unfinished is forgotten', async () => {
    const { principalId } = await connected('mira');
    const lost = { due_at: null };
    await office.db.updateTable('principals').set(lost).where('id', '=', principalId).execute();
    await wakeUnfinished(office.db, office.deps.now(), 'lost');
    expect((await principal(principalId)).due_at).toEqual(office.deps.now());
    // One that is due in time is left alone by this, and not by a start.
    const later = new Date(office.deps.now().getTime() + 60_000);
    await office.db.updateTable('principals').set({ due_at: later }).where('id', '=', principalId).execute();
    await wakeUnfinished(office.db, office.deps.now(), 'lost');
    expect((await principal(principalId)).due_at).toEqual(later);
    await wakeUnfinished(office.db, office.deps.now(), 'all');
    expect((await principal(principalId)).due_at).toEqual(office.deps.now());
  });
});

describe('findings of the engine', () => {
  const watch = (some: { atOnce?: number } = {}) =>
    watchSlowEndings(office.db, {
      ...some,
      now: office.deps.now(),
      adminGroup: office.deps.config.directory.adminGroup,
      accountName: () => 'payments-staging',
    });

  test('an ending that takes more than 30 s is told to admins with its last problem, until it is done', async () => {
    const { grantId, principalId } = await connected('mira');
    await setState(grantId, 'active');
    office.pass(1_800);
    await setState(grantId, 'ending');
    await watch();
    expect(await listFindings(office.db, { openOnly: true, limit: 10 })).toEqual([]);
    office.pass(31);
    const problem = 'ssm:TerminateSession: AccessDenied';
    await office.db.updateTable('principals').set({ problem }).where('id', '=', principalId).execute();
    await watch();
    await watch();
    const [told, ...others] = await listFindings(office.db, { openOnly: true, limit: 10 });
    expect(others).toEqual([]);
    expect(told).toMatchObject({ kind: 'slow_ending', subject: grantId, accountName: 'payments-staging' });
    expect(told?.what).toContain('longer than 30 s');
    expect(told?.what).toContain(problem);
    const { sql } = await import('kysely');
    await office.db.transaction().execute(async (tx) => {
      await sql`set local session_replication_role = replica`.execute(tx);
      await tx
        .updateTable('grants')
        .set({ state: 'failed', failed_code: 'x', failed_advice: 'x' })
        .where('id', '=', grantId)
        .execute();
    });
    await watch();
    expect(await listFindings(office.db, { openOnly: true, limit: 10 })).toEqual([]);
    expect((await listFindings(office.db, { openOnly: false, limit: 10 }))[0]?.mendedAt).not.toBeNull();
  });

  test('of more stuck endings than are told at once, the next round tells the rest', async () => {
    const { grantId } = await connected('mira');
    await setState(grantId, 'active');
    office.pass(1_800);
    await setState(grantId, 'ending');
    const { sql } = await import('kysely');
    await office.db.transaction().execute(async (tx) => {
      await sql`set local session_replication_role = replica`.execute(tx);
      const row = await tx.selectFrom('grants').selectAll().where('id', '=', grantId).executeTakeFirstOrThrow();
      const { cause, receipt: _, ...rest } = row;
      const copies = Array.from({ length: 4 }, (_, n) => ({
        ...rest,
        cause: JSON.stringify(cause),
        id: `${grantId}${n}`,
      }));
      await tx.insertInto('grants').values(copies).execute();
    });
    office.pass(31);
    const open = async () => (await listFindings(office.db, { openOnly: true, limit: 200 })).length;
    await watch({ atOnce: 3 });
    expect(await open()).toBe(3);
    office.pass(5);
    await watch({ atOnce: 3 });
    expect(await open()).toBe(5);
  });

  test('a clock that is more than 2 s off for sure is told, and that it is right again', async () => {
    const note = (ms: number, unsureMs: number, aheadMs = 0) =>
      noteClocks(office.db, {
        now: office.deps.now(),
        adminGroup: office.deps.config.directory.adminGroup,
        skews: [{ accountId: '111122223333', accountName: 'prod', ms, unsureMs }],
        backend: { name: 'host 1', aheadMs },
      });
    const open = async () =>
      (await listFindings(office.db, { openOnly: true, limit: 10 })).map(({ subject, what }) => [subject, what]);
    await note(2_200, 300);
    expect(await open()).toEqual([]);
    await note(-2_600, 100, 5_000);
    expect((await open()).toSorted()).toEqual([
      ['AWS 111122223333', 'The clock of AWS, as prod answers, is 2.6 s behind the database’s.'],
      ['host 1', 'The clock of the backend host 1 is 5.0 s ahead of the database’s.'],
    ]);
    await note(1_700, 100, 10);
    expect((await open()).map(([subject]) => subject)).toEqual(['AWS 111122223333']);
    await note(200, 100, 10);
    expect(await open()).toEqual([]);
  });
});
