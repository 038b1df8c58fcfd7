import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { cp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { sql } from 'kysely';
import { beforeEach, expect, test } from 'vitest';
import { type AccessRequest, type InstanceRef, refKey } from '../../src/shared/access.ts';
import { Refusal, type RefusalCode } from '../../src/shared/refusal.ts';
import type { DecideInput } from '../../src/shared/views.ts';
import { defaultTrustedTags } from '../config.ts';
import { openRules } from '../rules/rules.ts';
import { decisionContent, decisionSealHolds } from '../store/seal.ts';
import { createAccess } from './access.ts';
import { givenBy, together } from './decide.ts';
import type { AccessDeps } from './deps.ts';
import { type Machine, type Name, type Office, openOffice } from './testing/office.ts';

let office: Office;
beforeEach(async () => {
  office = await openOffice();
  return () => office.close();
});

const refusal = (code: RefusalCode, detail: object = {}) =>
  expect.objectContaining({ code, detail: expect.objectContaining(detail) });

const ask = (names: Machine[] = ['prod'], more = {}): Promise<AccessRequest> =>
  office.access.submit(office.person('mira'), office.draft(names, more));

type Less = Extract<DecideInput, { verdict: 'yes' }>['less'];

const yes = async (name: Name, requestId: string, less: Less = null): Promise<AccessRequest> => {
  const reader = await office.reader(name);
  const { seenHash } = await office.access.card(reader, requestId);
  return office.access.decide(reader, { requestId, seenHash, verdict: 'yes', less, comment: null });
};

const no = async (name: Name, requestId: string, comment: string): Promise<AccessRequest> => {
  const reader = await office.reader(name);
  const { seenHash } = await office.access.card(reader, requestId);
  return office.access.decide(reader, { requestId, seenHash, verdict: 'no', comment });
};

const rulesWith = async (name: string, text: string) => {
  const folder = mkdtempSync(join(tmpdir(), 'curfew-rules-'));
  await cp(fileURLToPath(new URL('../../deploy/rules', import.meta.url)), folder, { recursive: true });
  writeFileSync(join(folder, name), text);
  const book = await openRules(folder, defaultTrustedTags);
  rmSync(folder, { recursive: true });
  return book;
};
const twoForProduction = `@id("two-for-production") @approvals("2")
permit (principal, action == Curfew::Action::"request", resource)
when { resource.hasTag("env") && resource.getTag("env") == "prod" && principal in Curfew::Group::"payments-engineers" };`;

test('a yes makes one grant ready, tells the requester, and is sealed', async () => {
  const { db, deps } = office;
  const asked = await ask(['prod', 'prod2'], { durationSeconds: 7200 });
  expect(await yes('jonas', asked.id)).toMatchObject({
    state: 'approved',
    decisions: [{ verdict: 'yes', by: { kind: 'person', person: { displayName: 'Jonas' } } }],
    grantIds: [expect.stringMatching(/^grt_/)],
  });
  const grant = await db.selectFrom('grants').selectAll().executeTakeFirstOrThrow();
  expect(grant).toMatchObject({ state: 'ready', duration_seconds: 7200 });
  const decision = await db.selectFrom('decisions').selectAll().executeTakeFirstOrThrow();
  expect(decisionSealHolds(deps.sealKey, decisionContent(decision), decision.mac)).toBe(true);
  expect(decisionSealHolds(deps.sealKey, { ...decisionContent(decision), durationSeconds: 43_200 }, decision.mac)).toBe(
    false,
  );
  const notice = await db.selectFrom('notices').selectAll().where('kind', '=', 'approved').executeTakeFirstOrThrow();
  expect(notice).toMatchObject({
    person_id: office.person('mira').id,
    title: 'Approved: p1-payments and 1 more, 2 h',
    body: 'By Jonas. The clock starts when you connect.',
    target_id: grant.id,
  });
  expect(office.nudges()).toBe(1);
});

test('a yes to less gives exactly the less; a no gives its reason', async () => {
  const first = await ask(['prod', 'prod2'], { durationSeconds: 7200 });
  const less = { instances: [office.ref('prod2')], durationSeconds: 1800 };
  expect(await yes('jonas', first.id, less)).toMatchObject({ state: 'approved' });
  const refs = await office.db.selectFrom('grant_instances').selectAll().execute();
  expect(refs.map((row) => row.instance_id)).toEqual([office.ref('prod2').instanceId]);
  const second = await ask();
  expect(await no('aiko', second.id, 'Ask for the replica.')).toMatchObject({ state: 'denied' });
  const notice = await office.db
    .selectFrom('notices')
    .selectAll()
    .where('kind', '=', 'denied')
    .executeTakeFirstOrThrow();
  expect(notice).toMatchObject({ title: 'Not approved: p1-payments, 1 h', body: 'Aiko: “Ask for the replica.”' });
});

test('RQ-03 RQ-04 nobody decides their own, whatever the rules say, nor by a second sign-in of theirs', async () => {
  const book = await rulesWith(
    '90-never.cedar',
    '@id("all") permit (principal, action == Curfew::Action::"approve", resource);',
  );
  office.useRules(book);
  const asked = await ask();
  const { seenHash } = await office.access.card(await office.reader('jonas'), asked.id);
  const mira = await office.reader('mira');
  const input: DecideInput = { requestId: asked.id, seenHash, verdict: 'yes', less: null, comment: null };
  await expect(office.access.decide(mira, input)).rejects.toEqual(refusal('own_request'));
  await expect(office.access.decide({ ...mira, isAdmin: true }, input)).rejects.toEqual(refusal('own_request'));
  await expect(office.access.claim(mira, asked.id)).rejects.toEqual(refusal('own_request'));
  // It is the person that counts, not only the mailbox.
  office.change('mira', { email: null });
  const without = await office.reader('mira');
  const now = (await office.access.card(without, asked.id)).seenHash;
  await expect(office.access.decide(without, { ...input, seenHash: now })).rejects.toEqual(refusal('own_request'));
  expect(without.decidable).toEqual([]);
  office.change('mira', { email: 'mira@harborline.example' });
  // The same mailbox is the same person.
  const elin = await office.reader('elin');
  office.change('elin', { email: 'MIRA@harborline.example' });
  await expect(office.access.decide(elin, input)).rejects.toEqual(refusal('own_request'));
  expect((await office.reader('elin')).decidable).toEqual([]);
  expect(await office.db.selectFrom('decisions').selectAll().execute()).toEqual([]);
});

test('RQ-03 over random rule sets nobody is ever among the approvers of their own request', async () => {
  const conditions = [
    'true',
    'principal == context.requester',
    'principal.userName like "*"',
    'principal in Curfew::Group::"payments-engineers"',
    'principal in Curfew::Group::"payments-leads"',
    'context.durationSeconds > 60',
    'resource.hasTag("team")',
  ];
  const rule = fc.record({
    effect: fc.constantFrom('permit', 'permit', 'permit', 'forbid'),
    condition: fc.constantFrom(...conditions),
  });
  // Before the rules go wild: some of them leave nobody who could be asked.
  const requestId = (await ask()).id;
  await fc.assert(
    fc.asyncProperty(fc.array(rule, { minLength: 1, maxLength: 4 }), async (rules) => {
      const text = rules
        .map(
          ({ effect, condition }, index) =>
            `@id("r${index}") ${effect} (principal, action == Curfew::Action::"approve", resource) when { ${condition} };`,
        )
        .join('\n');
      office.useRules(await rulesWith('90-never.cedar', text));
      const { access } = office;
      for (const name of ['mira', 'jonas'] as const) {
        const preview = await access.preview(office.person(name), office.draft(['prod']));
        if (preview.verdict.kind === 'person') {
          expect(preview.verdict.approvers.map((person) => person.id)).not.toContain(office.person(name).id);
        }
      }
      const mira = await office.reader('mira');
      expect(mira.decidable).toEqual([]);
      const card = await access.card(mira, requestId);
      expect(card.mayDecide.yes).toBe(false);
      const { seenHash } = card;
      await expect(
        access.decide(mira, { requestId, seenHash, verdict: 'yes', less: null, comment: null }),
      ).rejects.toEqual(refusal('own_request'));
    }),
    { numRuns: 15 },
  );
});

test('RQ-03 SQL refuses a decision of the requester, also one that skips the code', async () => {
  const asked = await ask();
  const decision = {
    id: 'dec_x',
    request_id: asked.id,
    requester_id: asked.requester.id,
    rule_id: null,
    person_id: asked.requester.id,
    verdict: 'no' as const,
    instances: null,
    duration_seconds: null,
    comment: null,
    at: new Date(),
    rule_set_hash: 'x',
    seen_hash: null,
    mac: '0'.repeat(64),
    audit_sequence: 1,
  };
  await expect(office.db.insertInto('decisions').values(decision).execute()).rejects.toThrow(
    /nobody_decides_their_own/,
  );
  // Naming somebody else as the requester does not help: the pair must be the request's own.
  await expect(
    office.db
      .insertInto('decisions')
      .values({ ...decision, requester_id: office.person('jonas').id })
      .execute(),
  ).rejects.toThrow(/foreign key/);
});

test('RQ-10 a decision needs the hash of what is true now: another tag, other rules, another request are `changed`', async () => {
  const asked = await ask();
  const other = await ask(['prod'], { reason: 'something harmless' });
  const jonas = await office.reader('jonas');
  const { seenHash } = await office.access.card(jonas, asked.id);
  const input: DecideInput = { requestId: asked.id, seenHash, verdict: 'yes', less: null, comment: null };
  const harmless = await office.access.card(jonas, other.id);
  await expect(office.access.decide(jonas, { ...input, seenHash: harmless.seenHash })).rejects.toEqual(
    refusal('changed'),
  );

  await office.retag('prod', { team: 'payments', env: 'prod', holds: 'cards' });
  await expect(office.access.decide(jonas, input)).rejects.toEqual(refusal('changed'));
  await office.retag('prod', { team: 'payments', env: 'prod' });

  office.useRules(await rulesWith('20-two.cedar', twoForProduction));
  await expect(office.access.decide(jonas, input)).rejects.toEqual(refusal('changed'));
  expect(await office.db.selectFrom('decisions').selectAll().execute()).toEqual([]);
  const again = await office.access.card(jonas, asked.id);
  expect(again.seenHash).not.toBe(seenHash);
});

test('a request whose instances have all left the inventory hinders nobody: it is shown, refused, and can be taken back', async () => {
  const asked = await ask();
  await office.db.updateTable('instances').set({ gone_at: new Date() }).where('name', '=', 'p1-payments').execute();
  const jonas = await office.reader('jonas');
  const { mayDecide, seenHash } = await office.access.card(jonas, asked.id);
  expect(mayDecide).toEqual({ yes: false, why: 'None of the instances is in the inventory any more.' });
  const input: DecideInput = { requestId: asked.id, seenHash, verdict: 'yes', less: null, comment: null };
  await expect(office.access.decide(jonas, input)).rejects.toEqual(refusal('not_allowed'));
  expect(await office.access.withdraw(await office.reader('mira'), asked.id)).toMatchObject({ state: 'withdrawn' });
});

test('RQ-11 fifty deciders and a withdrawal at once: one wins, the others hear who and when', async () => {
  const asked = await ask();
  const readers = await Promise.all([office.reader('jonas'), office.reader('aiko')]);
  const { seenHash } = await office.access.card(readers[0], asked.id);
  const calls = Array.from({ length: 50 }, (_, index) => {
    const reader = readers[index % 2 === 0 ? 0 : 1];
    const input: DecideInput =
      index % 3 === 0
        ? { requestId: asked.id, seenHash, verdict: 'no', comment: 'not now' }
        : { requestId: asked.id, seenHash, verdict: 'yes', less: null, comment: null };
    return office.access.decide(reader, input);
  });
  const outcomes = await Promise.allSettled([...calls, office.access.withdraw(await office.reader('mira'), asked.id)]);
  expect(outcomes.filter((outcome) => outcome.status === 'fulfilled')).toHaveLength(1);
  const decisions = await office.db.selectFrom('decisions').selectAll().execute();
  const request = await office.db.selectFrom('requests').selectAll().executeTakeFirstOrThrow();
  expect(decisions).toHaveLength(request.state === 'withdrawn' ? 0 : 1);
  expect(await office.db.selectFrom('grants').selectAll().execute()).toHaveLength(request.state === 'approved' ? 1 : 0);
  for (const outcome of outcomes) {
    if (outcome.status === 'rejected') {
      expect(outcome.reason).toEqual(
        refusal('wrong_state', { by: expect.any(String), at: request.closed_at?.toISOString() }),
      );
    }
  }
});

const refs: InstanceRef[] = ['a', 'b', 'c', 'd', 'e'].map((letter) => ({
  accountId: '482011773306',
  region: 'eu-central-1',
  instanceId: `i-${letter.repeat(8)}`,
}));
const asView = (ref: InstanceRef) => ({
  ...ref,
  accountName: 'payments',
  name: ref.instanceId,
  kind: 'ec2' as const,
  platform: 'Linux' as const,
  tags: {},
  online: true,
  firstSeenAt: '2026-11-22T10:00:00.000Z',
  checkedAt: '2026-11-22T10:00:00.000Z',
});

test('RQ-12 a yes is never more than what was asked, and several yeses give what all of them give', () => {
  const given = fc.record({
    instances: fc.uniqueArray(fc.constantFrom(...refs), { minLength: 1, selector: refKey }),
    durationSeconds: fc.integer({ min: 60, max: 43_200 }),
  });
  fc.assert(
    fc.property(given, fc.array(given, { minLength: 1, maxLength: 3 }), (asked, yeses) => {
      const request = { instances: asked.instances.map(asView), durationSeconds: asked.durationSeconds };
      const keys = new Set(asked.instances.map(refKey));
      const accepted = yeses.flatMap((less) => {
        const wider =
          less.durationSeconds > asked.durationSeconds || less.instances.some((ref) => !keys.has(refKey(ref)));
        if (!wider) return [givenBy(request, less)];
        expect(() => givenBy(request, less)).toThrow(Refusal);
        return [];
      });
      const [first, ...others] = accepted;
      if (first === undefined) return;
      const grant = together(first, others);
      for (const one of accepted) {
        const allowed = new Set(one.instances.map(refKey));
        expect(grant.instances.every((ref) => allowed.has(refKey(ref)))).toBe(true);
        expect(grant.durationSeconds).toBeLessThanOrEqual(one.durationSeconds);
      }
    }),
  );
});

test('RQ-12 wider answers are refused before anything is recorded', async () => {
  const asked = await ask(['prod'], { durationSeconds: 1800 });
  for (const less of [
    { instances: [office.ref('prod'), office.ref('prod2')], durationSeconds: 1800 },
    { instances: [office.ref('index')], durationSeconds: 60 },
    { instances: [office.ref('prod')], durationSeconds: 1801 },
  ]) {
    await expect(yes('jonas', asked.id, less)).rejects.toEqual(refusal('wider_than_asked'));
  }
  expect(await office.db.selectFrom('decisions').selectAll().execute()).toEqual([]);
});

test('RQ-05 two approvals: one person one vote, the grant is what both give, an empty rest is a no', async () => {
  office.useRules(await rulesWith('20-two.cedar', twoForProduction));
  const asked = await ask(['prod', 'prod2'], { durationSeconds: 7200 });
  expect(asked).toMatchObject({ state: 'waiting', approvalsNeeded: 2 });
  const first = await yes('jonas', asked.id, { instances: [office.ref('prod')], durationSeconds: 7200 });
  expect(first).toMatchObject({ state: 'waiting', yeses: [{ by: { person: { displayName: 'Jonas' } } }] });
  await expect(yes('jonas', asked.id)).rejects.toEqual(refusal('wrong_state'));
  expect(
    await yes('aiko', asked.id, { instances: [office.ref('prod'), office.ref('prod2')], durationSeconds: 3600 }),
  ).toMatchObject({
    state: 'approved',
  });
  const grant = await office.db.selectFrom('grants').selectAll().executeTakeFirstOrThrow();
  expect(grant.duration_seconds).toBe(3600);
  const instances = await office.db.selectFrom('grant_instances').selectAll().execute();
  expect(instances.map((row) => row.instance_id)).toEqual([office.ref('prod').instanceId]);

  const apart = await ask(['prod', 'prod2']);
  await yes('jonas', apart.id, { instances: [office.ref('prod')], durationSeconds: 600 });
  expect(await yes('aiko', apart.id, { instances: [office.ref('prod2')], durationSeconds: 600 })).toMatchObject({
    state: 'denied',
  });
});

test('two first yeses at the same instant count as two', async () => {
  office.useRules(await rulesWith('20-two.cedar', twoForProduction));
  const asked = await ask();
  const outcomes = await Promise.all([yes('jonas', asked.id), yes('aiko', asked.id)]);
  expect(outcomes.some((request) => request.state === 'approved')).toBe(true);
  expect(await office.db.selectFrom('decisions').selectAll().execute()).toHaveLength(2);
  expect(await office.db.selectFrom('grants').selectAll().execute()).toHaveLength(1);
});

test('RQ-06 groups count at the moment of deciding: for who decides, who decided, and who asked', async () => {
  office.useRules(await rulesWith('20-two.cedar', twoForProduction));
  office.change('elin', { groups: ['payments-leads'] });
  const asked = await ask();
  await yes('jonas', asked.id);
  office.change('jonas', { groups: [] });
  // Jonas left: his yes counts no more, so this is the first one that counts.
  expect(await yes('aiko', asked.id)).toMatchObject({ state: 'waiting' });
  const elin = await office.reader('elin');
  const { seenHash } = await office.access.card(elin, asked.id);
  office.change('mira', { groups: [] });
  await expect(
    office.access.decide(elin, { requestId: asked.id, seenHash, verdict: 'yes', less: null, comment: null }),
  ).rejects.toEqual(refusal('not_allowed', { message: expect.stringContaining('No rule allows it') }));
  expect(await office.db.selectFrom('grants').selectAll().execute()).toEqual([]);
});

test('RQ-06 an old list of who may have a part tells somebody needlessly, and lets nobody decide or ask', async () => {
  const everybody = await office.deps.directory.membersOf('everybody');
  office.deps.directory.membersOf = async () => everybody;
  const jonas = await office.reader('jonas');
  office.change('jonas', { groups: [] });
  const asked = await ask();
  const told = await office.db.selectFrom('notices').select('person_id').where('kind', '=', 'to-approve').execute();
  expect(told.map(({ person_id }) => person_id)).toContain(jonas.person.id);
  const seen = await office.access.card({ ...jonas, decidable: [asked.id] }, asked.id);
  expect(seen.mayDecide).toMatchObject({ yes: false });
  const decision = { requestId: asked.id, seenHash: seen.seenHash, verdict: 'yes', less: null, comment: null } as const;
  await expect(office.access.decide({ ...jonas, decidable: [asked.id] }, decision)).rejects.toEqual(
    refusal('not_allowed'),
  );
  expect(await office.db.selectFrom('decisions').selectAll().execute()).toEqual([]);
  office.change('mira', { groups: [] });
  await expect(ask(['prod2'])).rejects.toBeInstanceOf(Refusal);
});

test('who may not decide sees nothing of it, or is told so', async () => {
  const asked = await ask();
  await expect(yes('rhea', asked.id)).rejects.toEqual(refusal('not_found'));
  await expect(yes('kofi', 'req_doesnotexist')).rejects.toEqual(refusal('not_found'));
  await expect(yes('dele', asked.id)).rejects.toEqual(refusal('not_allowed'));
});

test('the card: change, room, why, history, what they have, and who may decide', async () => {
  await office.access.submit(office.person('mira'), office.draft(['staging']));
  const before = await ask();
  await no('aiko', before.id, 'later');
  const asked = await ask(['prod', 'prod2']);
  const card = await office.access.card(await office.reader('jonas'), asked.id);
  expect(card).toMatchObject({
    seenHash: expect.stringMatching(/^[0-9a-f]{64}$/),
    why: { ruleId: 'owning-team-may-request', approvalsNeeded: 1, text: expect.stringContaining('1 of 2 people') },
    history: { asked: 1, approved: 0, denied: 1, lastAt: '2026-11-22T10:00:00.000Z' },
    hasNow: [{ state: 'ready', instances: [{ name: 's1-payments' }] }],
    mayDecide: { yes: true },
    change: [
      { accountId: '482011773306', allows: ['May start a shell on p1-payments, p2-payments for 1 h from connecting.'] },
    ],
  });
  expect(card.change[0]?.diff.some((line) => line.change === 'added')).toBe(true);
  const own = await office.access.card(await office.reader('mira'), asked.id);
  expect(own.mayDecide).toEqual({ yes: false, why: expect.stringContaining('your own access') });
});

test('API-01 a card tells of other access only to who may decide it now; a closed one of none', async () => {
  office.change('mira', { groups: ['payments-engineers', 'search-engineers'] });
  const index = await ask(['index']);
  expect((await yes('rhea', index.id)).state).toBe('approved');
  const other = await ask(['prod', 'prod2']);
  office.pass(60);
  const asked = await ask(['prod']);
  const cardFor = async (name: Name, id: string) => office.access.card(await office.reader(name), id);
  const has = async (name: Name, id: string) =>
    (await cardFor(name, id)).hasNow.map(({ instances }) => instances.map((one) => one.name).join());
  expect(await has('jonas', asked.id)).toEqual(['x1-search']);
  expect((await cardFor('jonas', asked.id)).history).toMatchObject({ asked: 1, lastAt: '2026-11-22T10:00:00.000Z' });
  // Who asked and admins see it anyway.
  expect(await has('mira', asked.id)).toEqual(['x1-search']);
  expect(await has('dele', asked.id)).toEqual(['x1-search']);
  await no('jonas', asked.id, 'not today');
  expect((await yes('aiko', other.id)).state).toBe('approved');
  office.change('jonas', { groups: [] });
  office.pass(86_400);
  const closed = await cardFor('jonas', asked.id);
  expect(closed).toMatchObject({ hasNow: [], mayDecide: { yes: false } });
  // Jonas was asked about the other one too, so this much is theirs to see.
  expect(closed.history).toMatchObject({ asked: 1, approved: 1 });
  expect(await has('aiko', asked.id)).toEqual([]);
});

test('API-01 whoever gave the first of two yeses reads of other access what they see anyway', async () => {
  office.change('mira', { groups: ['payments-engineers', 'search-engineers'] });
  expect((await yes('rhea', (await ask(['index'])).id)).state).toBe('approved');
  office.useRules(await rulesWith('20-two.cedar', twoForProduction));
  const asked = await ask(['prod']);
  const hasNow = async () => (await office.access.card(await office.reader('jonas'), asked.id)).hasNow;
  expect(await hasNow()).toHaveLength(1);
  expect((await yes('jonas', asked.id)).state).toBe('waiting');
  expect(await hasNow()).toEqual([]);
});

test('a claim shows who has it and ends by itself; withdrawing is the requester’s', async () => {
  const asked = await ask();
  const claimed = await office.access.claim(await office.reader('jonas'), asked.id);
  expect(claimed).toMatchObject({ claim: { by: { displayName: 'Jonas' }, until: '2026-11-22T10:05:00.000Z' } });
  expect(await office.access.claim(await office.reader('aiko'), asked.id)).toMatchObject({
    claim: { by: { displayName: 'Aiko' } },
  });
  await expect(office.access.withdraw(await office.reader('jonas'), asked.id)).rejects.toEqual(refusal('not_allowed'));
  expect(await office.access.withdraw(await office.reader('mira'), asked.id)).toMatchObject({ state: 'withdrawn' });
  await expect(office.access.claim(await office.reader('jonas'), asked.id)).rejects.toEqual(
    refusal('wrong_state', { by: 'Mira' }),
  );
});

test('a request that nobody decides lapses', async () => {
  const asked = await ask();
  expect(await office.access.lapseDue()).toBe(0);
  office.pass(8 * 3600);
  expect(await office.access.lapseDue()).toBe(1);
  expect(await office.access.lapseDue()).toBe(0);
  await expect(yes('jonas', asked.id)).rejects.toEqual(refusal('wrong_state', { message: 'The request has lapsed.' }));
});

/** Mira as an IAM user: an inline policy has room for a few grants only. */
const cramped = (accountId: string): AccessDeps => ({
  ...office.deps,
  config: {
    ...office.deps.config,
    accounts: [
      {
        id: accountId,
        name: 'payments',
        regions: ['eu-central-1'],
        brokerRoleArn: `arn:aws:iam::${accountId}:role/broker`,
        provisionerRoleArn: `arn:aws:iam::${accountId}:role/provisioner`,
        externalId: 'curfew-of-this-test',
        boundaryArn: `arn:aws:iam::${accountId}:policy/boundary`,
        principal: { kind: 'user', carrier: 'inline' },
      },
    ],
  },
  roles: {
    check: async (id, { userName }) => ({
      accountId: id,
      accountName: id,
      state: 'ready',
      roleArn: `arn:aws:iam::${id}:user/${userName}`,
    }),
  },
});

/** As many instances more, like this one. @returns their ids. */
const moreLike = async (name: string, count: number): Promise<string[]> => {
  const ids = Array.from({ length: count }, (_, n) => `i-${String(n).padStart(17, '0')}`);
  for (const id of ids) {
    await sql`insert into instances select (jsonb_populate_record(instances, ${JSON.stringify({ instance_id: id, name: id })}::jsonb)).*
      from instances where name = ${name}`.execute(office.db);
  }
  return ids;
};

test('a yes to more time that has no room by now is refused, as asking for it would be', async () => {
  const { accountId } = office.ref('prod');
  const access = createAccess(cramped(accountId));
  const mira = await office.reader('mira');
  const say = async (requestId: string) => {
    const jonas = await office.reader('jonas');
    const { seenHash } = await access.card(jonas, requestId);
    return access.decide(jonas, { requestId, seenHash, verdict: 'yes', less: null, comment: null });
  };
  const give = async (instances: InstanceRef[]): Promise<string> => {
    const asked = await access.submit(mira.person, { ...office.draft([]), instances });
    const given = asked.state === 'waiting' ? await say(asked.id) : asked;
    const id = given.state === 'approved' ? (given.grantIds[0] ?? '') : '';
    await access.connect(mira, id);
    return id;
  };
  const staging = await moreLike('s1-payments', 20);
  // These two end in the same second, and share a window until one of them has more time.
  const grantId = await give([office.ref('prod')]);
  await give([office.ref('prod2')]);
  const more = await access.extend(mira, { grantId, bySeconds: 7200, reason: null });
  if (more.kind !== 'asked') throw new Error('A lead decides about production.');
  let given = 0;
  const full = (async () => {
    for (const instanceId of staging) {
      office.pass(7);
      await give([{ ...office.ref('staging'), instanceId }]);
      given += 1;
    }
  })();
  await expect(full).rejects.toEqual(refusal('policy_full'));
  expect(given).toBeGreaterThan(0);
  await expect(say(more.request.id)).rejects.toEqual(refusal('policy_full'));
  expect(await office.db.selectFrom('requests').select('state').where('id', '=', more.request.id).execute()).toEqual([
    { state: 'waiting' },
  ]);
});
