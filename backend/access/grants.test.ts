import { sql } from 'kysely';
import { beforeEach, expect, test } from 'vitest';
import type { Grant } from '../../src/shared/access.ts';
import { limits } from '../../src/shared/limits.ts';
import type { RefusalCode } from '../../src/shared/refusal.ts';
import { appendAudit } from '../audit/chain.ts';
import { loadGrants } from '../store/grants.ts';
import { grantContent, grantSealHolds } from '../store/seal.ts';
import { continuousSince } from './gather.ts';
import { grantInstances } from './rows.ts';
import { type Machine, type Name, type Office, openOffice } from './testing/office.ts';

let office: Office;
beforeEach(async () => {
  office = await openOffice();
  return () => office.close();
});

const refusal = (code: RefusalCode, detail: object = {}) =>
  expect.objectContaining({ code, detail: expect.objectContaining(detail) });

const grantOf = async (where: { requestId: string }): Promise<Grant> => {
  const [grant] = await loadGrants(office.db, (eb) => eb('grants.request_id', '=', where.requestId));
  if (grant === undefined) throw new Error('There is no grant.');
  return grant;
};

const granted = async (names: Machine[] = ['staging'], durationSeconds = 3600): Promise<Grant> => {
  const request = await office.access.submit(office.person('mira'), office.draft(names, { durationSeconds }));
  return grantOf({ requestId: request.id });
};

const approved = async (names: Machine[], durationSeconds: number): Promise<Grant> => {
  const request = await office.access.submit(office.person('mira'), office.draft(names, { durationSeconds }));
  const jonas = await office.reader('jonas');
  const { seenHash } = await office.access.card(jonas, request.id);
  await office.access.decide(jonas, { requestId: request.id, seenHash, verdict: 'yes', less: null, comment: null });
  return grantOf({ requestId: request.id });
};

const connect = async (name: Name, grant: Grant) => office.access.connect(await office.reader(name), grant.id);

/** What the reconciler does when IAM holds the access policy. */
const activate = async (grant: Grant) => {
  await office.db.transaction().execute(async (tx) => {
    const at = office.deps.now();
    const audit_sequence = await appendAudit(tx, {
      kind: 'grant_active',
      at: at.toISOString(),
      actor: { kind: 'curfew' },
      grantId: grant.id,
      requestId: grant.requestId,
      owner: grant.person,
      accountId: grant.accountId,
    });
    await tx
      .updateTable('grants')
      .set({ state: 'active', active_at: at, audit_sequence })
      .where('id', '=', grant.id)
      .execute();
  });
};

const sealHolds = async (grantId: string): Promise<boolean> => {
  const row = await office.db.selectFrom('grants').selectAll().where('id', '=', grantId).executeTakeFirstOrThrow();
  const { arn } = await office.db.selectFrom('principals').select('arn').executeTakeFirstOrThrow();
  return grantSealHolds(office.deps.sealKey, grantContent(row, await grantInstances(office.db, grantId), arn), row.mac);
};

test('the first connect starts the clock, later ones return the same end', async () => {
  const grant = await granted();
  office.pass(1800);
  const first = await connect('mira', grant);
  expect(first).toMatchObject({
    grant: { state: 'granting', connectedAt: '2026-11-22T10:30:00.000Z', endsAt: '2026-11-22T11:30:00.000Z' },
    connection: {
      grantId: grant.id,
      accountId: '482011773306',
      roleArn: expect.stringMatching(/^arn:aws:iam::482011773306:role\/curfew\/people\/curfew-[0-9a-f]{20}$/),
      roleSessionName: expect.stringMatching(/^mira\.harborline\.example\.[0-9a-f]{8}$/),
      documentName: 'Curfew-Shell-060',
      reason: `Curfew ${grant.id}`,
    },
  });
  const principal = await office.db.selectFrom('principals').selectAll().executeTakeFirstOrThrow();
  expect(principal.due_at?.toISOString()).toBe('2026-11-22T10:30:00.000Z');
  expect(await sealHolds(grant.id)).toBe(true);
  office.pass(600);
  expect(await connect('mira', grant)).toEqual(first);
});

test('AU-05 a ready grant that was changed in the database cannot be connected, and gets no new seal', async () => {
  const grant = await granted();
  await office.db.transaction().execute(async (tx) => {
    // As somebody with the database alone would: longer, on paper, than what was approved.
    await sql`alter table grants disable trigger grants_audited`.execute(tx);
    await tx.updateTable('grants').set({ duration_seconds: 5400 }).where('id', '=', grant.id).execute();
    await sql`alter table grants enable trigger grants_audited`.execute(tx);
  });
  await expect(connect('mira', grant)).rejects.toThrow(/seal/);
  const row = await office.db.selectFrom('grants').select('state').where('id', '=', grant.id).executeTakeFirstOrThrow();
  expect(row.state).toBe('ready');
  expect(await sealHolds(grant.id)).toBe(false);
});

test('a longer grant beside it: the connection names the one document of the principal', async () => {
  const short = await granted(['staging'], 900);
  const long = await granted(['staging2'], 7200);
  expect((await connect('mira', short)).connection.documentName).toBe('Curfew-Shell-015');
  await connect('mira', long);
  expect((await connect('mira', short)).connection.documentName).toBe('Curfew-Shell-120');
});

test('many windows connect at once: one clock', async () => {
  const grant = await granted();
  const answers = await Promise.all(Array.from({ length: 10 }, () => connect('mira', grant)));
  expect(new Set(answers.map((answer) => JSON.stringify(answer.grant))).size).toBe(1);
  const rows = await office.db.selectFrom('audit').select('kind').where('kind', '=', 'grant_connected').execute();
  expect(rows).toHaveLength(1);
});

test('only the owner connects; strangers do not hear that it exists', async () => {
  const grant = await approved(['prod'], 3600);
  await expect(connect('jonas', grant)).rejects.toEqual(refusal('not_allowed'));
  await expect(connect('dele', grant)).rejects.toEqual(refusal('not_allowed'));
  await expect(connect('kofi', grant)).rejects.toEqual(refusal('not_found'));
});

test('RQ-14 a yes is not kept for later, and is judged again at the first connect', async () => {
  const late = await granted();
  office.pass(8 * 3600);
  await expect(connect('mira', late)).rejects.toEqual(refusal('wrong_state'));
  const tags = await granted();
  await office.retag('staging', { team: 'payments', env: 'prod' });
  await expect(connect('mira', tags)).rejects.toEqual(refusal('not_allowed'));
  await office.retag('staging', { team: 'payments', env: 'staging' });
  office.change('mira', { groups: ['search-engineers'] });
  await expect(connect('mira', tags)).rejects.toEqual(refusal('not_allowed'));
  office.change('mira', { groups: ['payments-engineers'] });
  office.takeRoleAway('mira');
  await expect(connect('mira', tags)).rejects.toEqual(refusal('role_missing'));
});

test('a rule extends at once as long as the total since the first connect allows it, then people are asked', async () => {
  const grant = await granted(['staging', 'staging2'], 3600);
  const reader = await office.reader('mira');
  await expect(office.access.extend(reader, { grantId: grant.id, bySeconds: 600, reason: null })).rejects.toEqual(
    refusal('wrong_state'),
  );
  await connect('mira', grant);
  office.pass(1800);
  const extended = await office.access.extend(reader, { grantId: grant.id, bySeconds: 3600, reason: null });
  expect(extended).toMatchObject({
    kind: 'extended',
    by: { kind: 'rule', ruleId: 'non-production-at-once' },
    grant: { endsAt: '2026-11-22T12:00:00.000Z', durationSeconds: 7200 },
  });
  expect(await sealHolds(grant.id)).toBe(true);

  const asked = await office.access.extend(reader, { grantId: grant.id, bySeconds: 1800, reason: 'still at it' });
  expect(asked).toMatchObject({
    kind: 'asked',
    request: { state: 'waiting', purpose: { kind: 'extend', grantId: grant.id }, lapsesAt: '2026-11-22T12:00:00.000Z' },
  });
  await expect(office.access.extend(reader, { grantId: grant.id, bySeconds: 60, reason: null })).rejects.toEqual(
    refusal('limit_reached'),
  );
  if (asked.kind !== 'asked') return;
  const jonas = await office.reader('jonas');
  const { seenHash, change } = await office.access.card(jonas, asked.request.id);
  expect(change[0]?.allows[0]).toContain('2026-11-22 12:30 UTC instead of 2026-11-22 12:00 UTC');
  const requestId = asked.request.id;
  await expect(
    office.access.decide(jonas, {
      requestId,
      seenHash,
      verdict: 'yes',
      less: { instances: [office.ref('staging')], durationSeconds: 60 },
      comment: null,
    }),
  ).rejects.toEqual(refusal('invalid_input', { path: 'less.instances' }));
  await office.access.decide(jonas, { requestId, seenHash, verdict: 'yes', less: null, comment: null });
  expect((await connect('mira', grant)).grant).toMatchObject({ endsAt: '2026-11-22T12:30:00.000Z' });
  expect(await sealHolds(grant.id)).toBe(true);
});

test('RQ-13 twelve hours without a break are the most, by extending and by asking anew', async () => {
  const grant = await approved(['prod'], 12 * 3600);
  await connect('mira', grant);
  await activate(grant);
  const reader = await office.reader('mira');
  await expect(office.access.extend(reader, { grantId: grant.id, bySeconds: 60, reason: null })).rejects.toEqual(
    refusal('limit_reached'),
  );
  office.pass(11 * 3600);
  await expect(
    office.access.submit(office.person('mira'), office.draft(['prod'], { durationSeconds: 2 * 3600 })),
  ).rejects.toEqual(refusal('limit_reached'));
  // After a pause it is no continuation.
  office.pass(3600 + 601);
  const anew = await office.access.submit(office.person('mira'), office.draft(['prod'], { durationSeconds: 2 * 3600 }));
  expect(anew.state).toBe('waiting');
});

test('RQ-13 asking anew for the same instance does not get around the bound of the rule', async () => {
  const grant = await granted(['staging'], 7200);
  await connect('mira', grant);
  office.pass(7100);
  const anew = await office.access.submit(office.person('mira'), office.draft(['staging'], { durationSeconds: 7200 }));
  expect(anew.state).toBe('waiting');
});

test('API-05 asking for more time, taking it back and asking again is bounded like asking', async () => {
  const grant = await approved(['prod'], 3600);
  await connect('mira', grant);
  const reader = await office.reader('mira');
  const again = async () => {
    const asked = await office.access.extend(reader, { grantId: grant.id, bySeconds: 60, reason: null });
    if (asked.kind === 'asked') await office.access.withdraw(reader, asked.request.id);
  };
  for (let asked = 1; asked < limits.submitsPerHour; asked += 1) await again();
  await expect(again()).rejects.toEqual(refusal('too_many', { retryAfterMs: 3_600_000 }));
});

test('intervals of access: overlapping and adjoining ones are one, a pause begins anew', () => {
  const minute = 60_000;
  const now = 100 * minute;
  expect(continuousSince([], now)).toBe(now);
  expect(continuousSince([{ from: 10 * minute, until: 89 * minute }], now)).toBe(now);
  expect(continuousSince([{ from: 10 * minute, until: 90 * minute }], now)).toBe(10 * minute);
  const chain = [
    { from: 10 * minute, until: 20 * minute },
    { from: 30 * minute, until: 60 * minute },
    { from: 50 * minute, until: 200 * minute },
  ];
  expect(continuousSince(chain, now)).toBe(10 * minute);
  expect(continuousSince(chain.slice(0, 1), now)).toBe(now);
});

test('ending: the end is now, sealed, with its cause; a second time is `wrong_state`', async () => {
  const grant = await granted();
  await connect('mira', grant);
  office.pass(600);
  const ended = await office.access.end(await office.reader('mira'), { grantId: grant.id, comment: null });
  expect(ended).toMatchObject({
    state: 'ending',
    endsAt: '2026-11-22T10:10:00.000Z',
    cause: { kind: 'owner', person: { displayName: 'Mira' } },
  });
  expect(await sealHolds(grant.id)).toBe(true);
  await expect(office.access.end(await office.reader('mira'), { grantId: grant.id, comment: null })).rejects.toEqual(
    refusal('wrong_state', { message: 'This access is ending.' }),
  );
  await expect(connect('mira', grant)).rejects.toEqual(refusal('wrong_state'));
});

test('an approver or an admin revokes and the owner is told; others may not', async () => {
  const grant = await approved(['prod'], 3600);
  await connect('mira', grant);
  await expect(office.access.end(await office.reader('elin'), { grantId: grant.id, comment: null })).rejects.toEqual(
    refusal('not_found'),
  );
  const ended = await office.access.end(await office.reader('aiko'), { grantId: grant.id, comment: 'all stops' });
  expect(ended).toMatchObject({ state: 'ending', cause: { kind: 'revoked', comment: 'all stops' } });
  const notice = await office.db
    .selectFrom('notices')
    .selectAll()
    .where('kind', '=', 'ended')
    .executeTakeFirstOrThrow();
  expect(notice).toMatchObject({ title: 'Aiko ended your access to p1-payments', person_id: grant.person.id });
  const other = await granted();
  expect(await office.access.end(await office.reader('dele'), { grantId: other.id, comment: null })).toMatchObject({
    state: 'ending',
    connectedAt: null,
  });
});

test('who left, and what left the inventory, can still be revoked by an approver', async () => {
  const grant = await approved(['prod'], 3600);
  await connect('mira', grant);
  await office.db.updateTable('instances').set({ gone_at: new Date() }).where('name', '=', 'p1-payments').execute();
  office.change('mira', { enabled: false, groups: [] });
  const ended = await office.access.end(await office.reader('jonas'), { grantId: grant.id, comment: null });
  expect(ended.state).toBe('ending');
});

test('a request for more time lapses with its grant, and who was asked hears of it', async () => {
  const grant = await approved(['prod'], 3600);
  await connect('mira', grant);
  const reader = await office.reader('mira');
  await office.access.extend(reader, { grantId: grant.id, bySeconds: 1800, reason: null });
  const asked = await office.db.selectFrom('requests').select('id').where('state', '=', 'waiting').executeTakeFirst();
  await office.db.deleteFrom('changes').execute();
  await office.access.end(reader, { grantId: grant.id, comment: null });
  const told = await office.db
    .selectFrom('changes')
    .select('audience')
    .where('ref', '=', asked?.id ?? '')
    .execute();
  expect(told).toEqual([{ audience: expect.arrayContaining([office.person('mira').id, office.person('jonas').id]) }]);
  const states = await office.db.selectFrom('requests').select('state').orderBy('submitted_at').execute();
  expect(states.map((row) => row.state).sort()).toEqual(['approved', 'lapsed']);
});

test('RQ-21 signing out ends all of a person and nothing of others; ending one leaves the other', async () => {
  const first = await granted(['staging']);
  const second = await granted(['staging', 'staging2']);
  await connect('mira', first);
  await connect('mira', second);
  const elins = await office.access.submit(office.person('elin'), office.draft(['staging']));
  await office.access.end(await office.reader('mira'), { grantId: first.id, comment: null });
  expect((await connect('mira', second)).grant.state).toBe('granting');
  const third = await approved(['prod'], 600);
  const ended = await office.access.endAllOfPerson(office.person('mira'));
  expect(ended.sort()).toEqual([second.id, third.id].sort());
  expect(await office.access.endAllOfPerson(office.person('mira'))).toEqual([]);
  expect((await grantOf({ requestId: elins.id })).state).toBe('ready');
});
