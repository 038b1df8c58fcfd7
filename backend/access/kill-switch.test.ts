import { sql } from 'kysely';
import { beforeEach, expect, test } from 'vitest';
import type { PullInput, SwitchScope } from '../../src/shared/kill-switch.ts';
import { Refusal } from '../../src/shared/refusal.ts';
import { previewSwitch } from '../api/admin-list.ts';
import { appendAudit } from '../audit/chain.ts';
import type { AuditEvent } from '../audit/event.ts';
import { auditSentence } from '../audit/sentence.ts';
import { loadSwitches } from '../store/kill-switches.ts';
import { savePerson } from '../store/people.ts';
import { createAccess } from './access.ts';
import { type Machine, type Name, type Office, openOffice } from './testing/office.ts';

let office: Office;
beforeEach(async () => {
  office = await openOffice();
  return () => office.close();
});

const ask = (name: Name, machines: Machine[]) => office.access.submit(office.person(name), office.draft(machines));
const ready = async (name: Name, machines: Machine[]): Promise<string> => {
  const request = await ask(name, machines);
  if (request.state !== 'approved') throw new Error('A rule gives this at once.');
  return request.grantIds[0] ?? '';
};
const running = async (name: Name, machines: Machine[]): Promise<string> => {
  const id = await ready(name, machines);
  await office.access.connect(await office.reader(name), id);
  return id;
};
const person = (name: Name) => ({ kind: 'person' as const, personId: office.person(name).id });
const pull = async (name: Name, scope: SwitchScope, more: Partial<PullInput> = {}) =>
  office.access.pull(await office.reader(name), { scope, reason: 'laptop stolen', typed: null, ...more });
const lift = async (name: Name, switchId: string, secondsAgo = 60) => {
  const provedAt = new Date(office.deps.now().getTime() - secondsAgo * 1000);
  return office.access.lift(await office.reader(name), { switchId, provedAt });
};
const refusal = async (work: Promise<unknown>): Promise<Refusal> => {
  const error = await work.then(
    () => null,
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof Refusal)) throw new Error(`Not refused: ${String(error)}`);
  return error;
};
const code = async (work: Promise<unknown>): Promise<string> => (await refusal(work)).code;
const states = async (name: Name) => {
  const { id } = office.person(name);
  const grants = await office.db.selectFrom('grants').select('state').where('person_id', '=', id).execute();
  const requests = await office.db.selectFrom('requests').select('state').where('requester_id', '=', id).execute();
  const sorted = (rows: Array<{ state: string }>) => rows.map(({ state }) => state).sort();
  return { grants: sorted(grants), requests: sorted(requests) };
};
const events = async (): Promise<AuditEvent[]> => {
  const rows = await office.db.selectFrom('audit').select('event').orderBy('sequence').execute();
  return rows.map(({ event }) => event);
};
const noticesOf = async (name: Name) =>
  office.db
    .selectFrom('notices')
    .select(['kind', 'title', 'body', 'target_kind', 'target_id'])
    .where('person_id', '=', office.person(name).id)
    .where('kind', '=', 'ended')
    .orderBy('at')
    .execute();

/** What the reconciler would write for every grant that is ending, `ms` after its end. */
const verifyEndings = async (ms: number): Promise<void> => {
  office.pass(ms / 1000);
  const at = office.deps.now().toISOString();
  const receipt = {
    stage: 'gone',
    policyGoneAt: at,
    policyGoneMs: ms,
    sessionsGoneAt: at,
    sessionsGoneMs: ms,
    sessionsTerminated: [],
    looks: 1,
    sealedAt: null,
  };
  await office.db.transaction().execute(async (tx) => {
    const audit_sequence = await appendAudit(tx, {
      kind: 'rules_loaded',
      at,
      actor: { kind: 'curfew' },
      ruleSetHash: 'x',
      rules: 1,
    });
    await tx
      .updateTable('grants')
      .set({ state: 'ended', receipt: JSON.stringify(receipt), closed_at: office.deps.now(), audit_sequence })
      .where('state', '=', 'ending')
      .execute();
  });
};

/** All that is left of a pull by Dele when the process dies right after its first commit. */
const committedOnly = async (scope: SwitchScope & { kind: 'person' | 'everything' }): Promise<string> => {
  const by = office.person('dele');
  const [id, at, reason] = [office.deps.newId('kil'), office.deps.now(), 'laptop stolen'];
  const name = scope.kind === 'person' ? 'Mira' : 'everything';
  await office.db.transaction().execute(async (tx) => {
    const audit_sequence = await appendAudit(tx, {
      kind: 'kill_switch_pulled',
      at: at.toISOString(),
      actor: { kind: 'person', person: by },
      switchId: id,
      scope,
      name,
      within: null,
      reason,
    });
    const person_id = scope.kind === 'person' ? scope.personId : null;
    await tx
      .insertInto('kill_switches')
      .values({ id, scope: scope.kind, person_id, name, reason, by_id: by.id, at, audit_sequence })
      .execute();
  });
  return id;
};

test('RQ-18 a person’s grants end, their requests are taken back, and nobody else’s are', async () => {
  await running('mira', ['staging']);
  await ready('mira', ['staging2']);
  await ask('mira', ['prod']);
  await running('elin', ['staging']);
  const nudges = office.nudges();
  const pulled = await pull('dele', person('mira'));
  expect(pulled).toMatchObject({
    name: 'Mira',
    partly: false,
    by: { displayName: 'Dele' },
    reason: 'laptop stolen',
    lifted: null,
    progress: { grants: 2, requests: 1, verified: 0 },
    done: null,
    mayLift: { yes: true },
  });
  expect(office.nudges()).toBeGreaterThan(nudges);
  expect(await states('mira')).toEqual({
    grants: ['ending', 'ending'],
    requests: ['approved', 'approved', 'withdrawn'],
  });
  expect(await states('elin')).toEqual({ grants: ['granting'], requests: ['approved'] });
  const causes = await office.db.selectFrom('grants').select('cause').where('state', '=', 'ending').execute();
  for (const { cause } of causes) {
    expect(cause).toMatchObject({ kind: 'kill', switchId: pulled.id, person: { displayName: 'Dele' } });
  }
});

test('RQ-18 while it is on, submit, decide, connect and extend answer paused, with who and why', async () => {
  const mine = await ready('elin', ['staging']);
  const request = await ask('elin', ['prod']);
  const stopped = await pull('dele', { kind: 'everything' }, { typed: 'everything' });
  const paused = await refusal(ask('mira', ['staging']));
  expect(paused.code).toBe('paused');
  expect(paused.detail).toMatchObject({ by: 'Dele', message: 'Dele stopped everything: “laptop stolen”' });
  expect(await code(office.access.connect(await office.reader('elin'), mine))).toBe('paused');
  const jonas = await office.reader('jonas');
  const decision = { requestId: request.id, seenHash: '0'.repeat(64), verdict: 'no', comment: 'no' } as const;
  expect(await code(office.access.decide({ ...jonas, isAdmin: true }, decision))).toBe('paused');
  await lift('dele', stopped.id);
  const again = await running('elin', ['staging']);
  const account = await pull(
    'dele',
    { kind: 'account', accountId: office.ref('index').accountId },
    { typed: 'search' },
  );
  // Another account goes on.
  expect((await ask('mira', ['staging'])).state).toBe('approved');
  const more = { grantId: again, bySeconds: 600, reason: null };
  expect((await office.access.extend(await office.reader('elin'), more)).kind).toBe('extended');
  const instance = await pull('dele', { kind: 'instance', instance: office.ref('staging') });
  expect(await code(ask('mira', ['staging']))).toBe('paused');
  expect(await code(office.access.extend(await office.reader('elin'), more))).toBe('wrong_state');
  expect(account.id).not.toBe(instance.id);
});

test('RQ-18 it survives a restart: what a backend that died had only begun, another one finishes', async () => {
  await running('mira', ['staging']);
  await ask('mira', ['prod']);
  await committedOnly(person('mira'));
  const other = createAccess(office.deps);
  expect(await code(other.submit(office.person('mira'), office.draft(['staging'])))).toBe('paused');
  expect(await other.enforceSwitches()).toBe(2);
  expect(await states('mira')).toEqual({ grants: ['ending'], requests: ['approved', 'withdrawn'] });
  expect(await other.enforceSwitches()).toBe(0);
});

test('RQ-18 what began while the switch was pulled is caught: nothing in its reach is live afterwards', async () => {
  const grant = await ready('mira', ['staging']);
  const mira = await office.reader('mira');
  const begun = [
    office.access.connect(mira, grant),
    ask('mira', ['staging2']),
    ask('mira', ['prod']),
    ask('elin', ['staging2']),
  ].map((work) =>
    work.then(
      () => 'done',
      (error: unknown) => (error instanceof Refusal ? error.code : error),
    ),
  );
  await pull('dele', { kind: 'everything' }, { typed: 'everything' });
  for (const outcome of await Promise.all(begun)) expect(['done', 'paused', 'wrong_state']).toContain(outcome);
  await office.access.enforceSwitches();
  for (const name of ['mira', 'elin'] as const) {
    const { grants, requests } = await states(name);
    expect(grants.every((state) => state === 'ending')).toBe(true);
    expect(requests).not.toContain('waiting');
  }
});

test('RQ-18 lifting needs a fresh sign-in, is never for the person hit, and happens once', async () => {
  office.change('mira', { groups: ['payments-engineers', 'curfew-admins'] });
  await running('mira', ['staging']);
  const stopped = await pull('dele', person('mira'));
  expect(await code(lift('mira', stopped.id))).toBe('own_request');
  expect(await code(lift('dele', stopped.id, 601))).toBe('fresh_sign_in_needed');
  expect(await code(lift('elin', stopped.id))).toBe('not_found');
  const lifted = await lift('dele', stopped.id, 600);
  expect(lifted.lifted).toMatchObject({ by: { displayName: 'Dele' } });
  expect(await refusal(lift('dele', stopped.id))).toMatchObject({ code: 'wrong_state', detail: { by: 'Dele' } });
  // What was ended stays ended; what is asked from now on is judged by the rules again.
  expect((await states('mira')).grants).toEqual(['ending']);
  expect((await ask('mira', ['staging'])).state).toBe('approved');
});

test('RQ-18 neither another sign-in with the same mailbox nor somebody hit in passing may lift it', async () => {
  office.change('rhea', { groups: ['curfew-admins'], email: 'MIRA@harborline.example' });
  const rhea = await office.deps.directory.person(office.person('rhea').id);
  if (rhea !== null) await savePerson(office.db, rhea);
  office.change('elin', { groups: ['payments-engineers', 'curfew-admins'] });
  await running('elin', ['staging']);
  const ofMira = await pull('dele', person('mira'));
  expect(await code(lift('rhea', ofMira.id))).toBe('own_request');
  const ofAll = await pull('dele', { kind: 'everything' }, { typed: 'everything' });
  expect(await code(lift('elin', ofAll.id))).toBe('own_request');
  expect((await lift('dele', ofAll.id)).lifted).not.toBeNull();
});

test.each([
  ['a grant', 'mira', () => ready('mira', ['staging'])],
  ['a request that waits', 'mira', () => ask('mira', ['prod'])],
  ['a grant of another sign-in with the same mailbox', 'rhea', () => ready('mira', ['staging'])],
] as const)('RQ-18 whoever has %s still to be stopped does not lift it first', async (_what, admin, begin) => {
  office.change(admin, { groups: ['payments-engineers', 'curfew-admins'], email: 'MIRA@harborline.example' });
  const facts = await office.deps.directory.person(office.person(admin).id);
  if (facts !== null) await savePerson(office.db, facts);
  await begin();
  const id = await committedOnly({ kind: 'everything' });
  const [shown] = await loadSwitches(office.db, await office.reader(admin), { onOnly: true });
  expect(shown?.mayLift.yes).toBe(false);
  expect(await code(lift(admin, id))).toBe('own_request');
  expect(await office.access.enforceSwitches()).toBe(1);
  expect(await code(lift(admin, id))).toBe('own_request');
  // An admin without anything in its reach may.
  office.change('aiko', { groups: ['curfew-admins'] });
  expect((await lift('aiko', id)).lifted).not.toBeNull();
});

test('RQ-18 whoever is stopped while they wait to lift it is refused', async () => {
  office.change('mira', { groups: ['payments-engineers', 'curfew-admins'] });
  const request = await ask('mira', ['prod']);
  const mira = await office.reader('mira');
  const jonas = await office.reader('jonas');
  const { seenHash } = await office.access.card(jonas, request.id);
  await office.access.decide(jonas, { requestId: request.id, seenHash, verdict: 'no', comment: 'no' });
  const id = await committedOnly({ kind: 'everything' });
  // As `stopLot` holds the switch while it writes down whom it hit.
  const lifting = await office.db.transaction().execute(async (tx) => {
    await tx.selectFrom('kill_switches').select('id').where('id', '=', id).forShare().execute();
    const outcome = code(office.access.lift(mira, { switchId: id, provedAt: office.deps.now() }));
    const waits = sql<{ waits: number }>`select count(*)::int as waits from pg_stat_activity
      where datname = current_database() and wait_event_type = 'Lock' and query ilike '%kill_switches%'`;
    await expect.poll(async () => (await waits.execute(office.db)).rows[0]?.waits, { timeout: 20_000 }).toBe(1);
    const hit = { switch_id: id, person_id: mira.person.id, grant_id: null, request_id: request.id };
    await tx.insertInto('kill_switch_hits').values(hit).execute();
    return { outcome };
  });
  expect(await lifting.outcome).toBe('own_request');
});

test('RQ-18 whoever pulls everything with access of their own may lift it again, but not one on themselves', async () => {
  office.change('elin', { groups: ['payments-engineers', 'curfew-admins'] });
  await running('elin', ['staging']);
  const all = await pull('elin', { kind: 'everything' }, { typed: 'everything' });
  expect(all.mayLift).toEqual({ yes: true });
  await lift('elin', all.id);
  const own = await pull('elin', person('elin'));
  expect(await code(lift('elin', own.id))).toBe('own_request');
});

test('RQ-18 approvers may stop what they may decide about, and nothing else', async () => {
  await running('mira', ['staging']);
  expect(await code(pull('jonas', { kind: 'everything' }, { typed: 'everything' }))).toBe('not_allowed');
  const { accountId } = office.ref('staging');
  expect(await code(pull('jonas', { kind: 'account', accountId }, { typed: 'payments' }))).toBe('not_allowed');
  // A lead of another team, an engineer, and what does not exist: the same answer.
  expect(await code(pull('rhea', { kind: 'instance', instance: office.ref('staging') }))).toBe('not_found');
  expect(await code(pull('kofi', person('mira')))).toBe('not_found');
  expect(await code(pull('jonas', { kind: 'person', personId: 'nobody' }))).toBe('not_found');
  const onMira = await pull('jonas', person('mira'));
  expect(onMira).toMatchObject({ partly: true, progress: { grants: 1 } });
  const onProd = await pull('jonas', { kind: 'instance', instance: office.ref('prod') });
  expect(onProd.partly).toBe(false);
  expect(await code(ask('elin', ['prod']))).toBe('paused');
  // An admin's own, whole one stands beside it.
  expect((await pull('dele', person('mira'))).partly).toBe(false);
  expect((await lift('jonas', onProd.id)).lifted).not.toBeNull();
});

test('RQ-18 an account or everything needs its name to be typed; the same one is not pulled twice', async () => {
  const refused = await refusal(pull('dele', { kind: 'everything' }));
  expect(refused).toMatchObject({ code: 'invalid_input', detail: { path: 'typed' } });
  const { accountId } = office.ref('staging');
  expect(await code(pull('dele', { kind: 'account', accountId }, { typed: 'search' }))).toBe('invalid_input');
  await pull('dele', { kind: 'account', accountId }, { typed: 'payments' });
  const twice = await refusal(pull('dele', { kind: 'account', accountId }, { typed: 'payments' }));
  expect(twice).toMatchObject({ code: 'wrong_state', detail: { by: 'Dele' } });
});

test('RQ-18 those hit and the other admins are told who did it and why, and the trail has it all', async () => {
  office.change('aiko', { groups: ['curfew-admins'] });
  const aiko = await office.deps.directory.person(office.person('aiko').id);
  if (aiko !== null) await savePerson(office.db, aiko);
  const grant = await running('mira', ['staging']);
  await ask('mira', ['prod']);
  const stopped = await pull('dele', person('mira'));
  expect(await noticesOf('mira')).toMatchObject([
    {
      title: 'Dele ended your access (1 grant) and took back 1 request of yours',
      target_kind: 'grant',
      target_id: grant,
    },
  ]);
  expect((await noticesOf('mira'))[0]?.body).toContain('laptop stolen');
  expect(await noticesOf('aiko')).toMatchObject([
    { title: 'Dele ended all access: Mira', target_kind: 'switch', target_id: stopped.id },
  ]);
  expect(await noticesOf('dele')).toEqual([]);
  expect(await noticesOf('elin')).toEqual([]);
  await lift('dele', stopped.id);
  const said = (await events()).map(auditSentence);
  expect(said).toContain('Dele pulled the kill switch for Mira: “laptop stolen”');
  expect(said).toContain('Dele took back the request of Mira by a kill switch');
  expect(said).toContain('Access of Mira is ending: Dele pulled a kill switch: “laptop stolen”');
  expect(said).toContain('Dele lifted the kill switch for Mira');
});

test('a switch has its own receipt when every grant has one, measured from the pull', async () => {
  await running('mira', ['staging']);
  await running('elin', ['staging']);
  const stopped = await pull('dele', { kind: 'instance', instance: office.ref('staging') });
  await office.access.enforceSwitches();
  const dele = await office.reader('dele');
  const [before] = await loadSwitches(office.db, dele, { onOnly: true });
  expect(before).toMatchObject({ id: stopped.id, progress: { grants: 2, verified: 0 }, done: null });
  await verifyEndings(1_800);
  await office.access.enforceSwitches();
  await office.access.enforceSwitches();
  const [after] = await loadSwitches(office.db, dele, { onOnly: true });
  expect(after).toMatchObject({ progress: { grants: 2, verified: 2 }, done: { totalMs: 1_800 } });
  const done = (await events()).filter(({ kind }) => kind === 'kill_switch_done');
  expect(done).toMatchObject([{ grants: 2, requests: 0, totalMs: 1_800 }]);
});

test('RQ-18 a switch waits for access in its reach that was ending already, and says how much that was', async () => {
  const own = await running('mira', ['staging']);
  await running('mira', ['staging2']);
  // AWS does not answer: it stays `ending`, and its sessions live.
  await office.access.end(await office.reader('mira'), { grantId: own, comment: null });
  const stopped = await pull('dele', person('mira'));
  expect(stopped).toMatchObject({ progress: { grants: 2, already: 1, verified: 0 }, done: null });
  await office.access.enforceSwitches();
  expect((await events()).map(({ kind }) => kind)).not.toContain('kill_switch_done');
  // It keeps the cause that it had: nobody else ended it.
  const { cause } = await office.db
    .selectFrom('grants')
    .select('cause')
    .where('id', '=', own)
    .executeTakeFirstOrThrow();
  expect(cause).toMatchObject({ kind: 'owner' });
  expect(await noticesOf('mira')).toMatchObject([{ title: 'Dele ended your access (1 grant)' }]);
  await verifyEndings(2_400);
  await office.access.enforceSwitches();
  const [after] = await loadSwitches(office.db, await office.reader('dele'), { onOnly: true });
  expect(after).toMatchObject({ progress: { grants: 2, already: 1, verified: 2 }, done: { totalMs: 2_400 } });
  const done = (await events()).filter(({ kind }) => kind === 'kill_switch_done');
  expect(done).toMatchObject([{ grants: 1, already: 1, requests: 0, totalMs: 2_400 }]);
  expect(done.map(auditSentence)[0]).toContain(
    'has ended 1 grants and taken back 0 requests (1 more were ending already)',
  );
});

test('RQ-18 of two switches that overlap the second waits for what the first one ends', async () => {
  await running('mira', ['staging']);
  const first = await pull('dele', person('mira'));
  const second = await pull('dele', { kind: 'instance', instance: office.ref('staging') });
  expect(first.progress.already).toBeUndefined();
  expect(second).toMatchObject({ progress: { grants: 1, already: 1, verified: 0 }, done: null });
  // Lifting it makes nothing verified.
  await lift('dele', second.id);
  await office.access.enforceSwitches();
  const seen = async () => {
    const all = await loadSwitches(office.db, await office.reader('dele'), { onOnly: false });
    return new Map(all.map(({ id, done }) => [id, done?.totalMs ?? null]));
  };
  expect(await seen()).toEqual(new Map([first, second].map(({ id }) => [id, null])));
  await verifyEndings(900);
  await office.access.enforceSwitches();
  expect(await seen()).toEqual(new Map([first, second].map(({ id }) => [id, 900])));
});

test('the preview of a switch counts what is ending there already', async () => {
  const own = await running('mira', ['staging']);
  await office.access.end(await office.reader('mira'), { grantId: own, comment: null });
  const reach = await office.access.reachFor(await office.reader('dele'), person('mira'));
  const preview = await previewSwitch(office.db, reach, office.deps.now());
  expect(preview.totals).toMatchObject({ grants: 0, ending: 1 });
});

test('who sees a switch: admins, who pulled it, whom it hit', async () => {
  await running('mira', ['staging']);
  await pull('jonas', { kind: 'instance', instance: office.ref('staging') });
  const seen = async (name: Name) =>
    (await loadSwitches(office.db, await office.reader(name), { onOnly: true })).length;
  expect([await seen('dele'), await seen('jonas'), await seen('mira')]).toEqual([1, 1, 1]);
  expect([await seen('elin'), await seen('rhea')]).toEqual([0, 0]);
});

test('many grants of many people end in many transactions, each with its audit row', async () => {
  const names = ['mira', 'elin'] as const;
  for (const name of names) for (const machine of ['staging', 'staging2'] as const) await running(name, [machine]);
  await pull('dele', { kind: 'everything' }, { typed: 'everything' });
  const ending = await office.db
    .selectFrom('audit')
    .select(({ fn }) => fn.countAll<number>().as('count'))
    .where('kind', '=', 'grant_ending')
    .executeTakeFirstOrThrow();
  expect(ending.count).toBe(4);
  const transactions = await office.db
    .selectFrom('audit')
    .select(({ fn }) => fn.count<number>('person_id').distinct().as('people'))
    .where('kind', '=', 'grant_ending')
    .executeTakeFirstOrThrow();
  expect(transactions.people).toBe(2);
});

test('RQ-18 the preview says that it is stopped, by whom, why and which of the instances, before anything is sent', async () => {
  const mira = office.person('mira');
  const preview = (machines: Machine[]) => office.access.preview(mira, office.draft(machines));
  expect((await preview(['staging'])).paused).toBeUndefined();
  const { instances } = office.draft(['staging']);
  const [staging] = instances;
  if (staging === undefined) throw new Error('A draft has its instances.');
  const { id } = await pull('dele', { kind: 'instance', instance: staging });
  const expected = { by: 'Dele', message: expect.stringContaining('“laptop stolen”'), instances: [staging] };
  expect((await preview(['staging', 'staging2'])).paused).toMatchObject(expected);
  expect((await preview(['staging2'])).paused).toBeUndefined();
  await lift('dele', id);
  expect((await preview(['staging'])).paused).toBeUndefined();
  await pull('dele', person('mira'));
  expect((await preview(['staging', 'staging2'])).paused?.instances).toHaveLength(2);
});
