/** Requests that need two approvals: whose earlier yes counts, and for what. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { cp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeEach, expect, test } from 'vitest';
import type { AccessRequest, InstanceRef } from '../../src/shared/access.ts';
import { defaultTrustedTags } from '../config.ts';
import { openRules } from '../rules/rules.ts';
import { type Machine, type Name, type Office, openOffice } from './testing/office.ts';

const rulesWith = async (approvals: number) => {
  const folder = mkdtempSync(join(tmpdir(), 'curfew-rules-'));
  await cp(fileURLToPath(new URL('../../deploy/rules', import.meta.url)), folder, { recursive: true });
  writeFileSync(
    join(folder, '20-many.cedar'),
    `@id("many-for-production") @approvals("${approvals}")
    permit (principal, action == Curfew::Action::"request", resource)
    when { resource.hasTag("env") && resource.getTag("env") == "prod" && principal in Curfew::Group::"payments-engineers" };`,
  );
  const book = await openRules(folder, defaultTrustedTags);
  rmSync(folder, { recursive: true });
  return book;
};

let office: Office;
beforeEach(async () => {
  office = await openOffice();
  office.useRules(await rulesWith(2));
  return () => office.close();
});

const ask = (machines: Machine[] = ['prod']): Promise<AccessRequest> =>
  office.access.submit(office.person('mira'), office.draft(machines));
const cardOf = async (name: Name, requestId: string) => office.access.card(await office.reader(name), requestId);
const yes = async (name: Name, { id: requestId }: AccessRequest, instances?: InstanceRef[]): Promise<AccessRequest> => {
  const { seenHash } = await cardOf(name, requestId);
  const less = instances === undefined ? null : { instances, durationSeconds: 3600 };
  return office.access.decide(await office.reader(name), { requestId, seenHash, verdict: 'yes', less, comment: null });
};
const no = async (name: Name, { id: requestId }: AccessRequest): Promise<AccessRequest> => {
  const { seenHash } = await cardOf(name, requestId);
  return office.access.decide(await office.reader(name), { requestId, seenHash, verdict: 'no', comment: 'no' });
};
const giversOf = (request: AccessRequest): string[] => {
  const decisions = request.state === 'waiting' ? request.yeses : 'decisions' in request ? request.decisions : [];
  return decisions.map(({ by }) => (by.kind === 'person' ? by.person.displayName : by.ruleId));
};
const noticesOf = (name: Name) =>
  office.db
    .selectFrom('notices')
    .select(['kind', 'title', 'body'])
    .where('person_id', '=', office.person(name).id)
    .orderBy('at')
    .execute();

const oncall = { accountId: '482011773306', accountName: 'payments', group: 'oncall', members: 1, names: ['mira'] };
const changes: Record<string, () => Promise<void> | void> = {
  tags: () => office.retag('prod', { team: 'payments', env: 'prod', data: 'cardholder' }),
  members: () => office.giveToGroup({ ...oncall, members: 2, names: ['mallory', 'mira'] }),
  'members who are not named': () => office.giveToGroup({ ...oncall, membersHash: 'another' }),
};

test.each(Object.keys(changes))(
  'RQ-10 RQ-20 a first yes does not count for %s that it was never shown',
  async (what) => {
    office.giveToGroup({ ...oncall, membersHash: 'one' });
    const asked = await ask();
    expect(await yes('jonas', asked)).toMatchObject({ state: 'waiting' });
    office.pass(60);
    await changes[what]?.();
    expect(giversOf(await yes('aiko', asked))).toEqual(['Aiko']);
    expect(await office.db.selectFrom('grants').selectAll().execute()).toEqual([]);
    expect((await office.sentencesOf(asked.id)).at(-1)).toContain(
      '. The earlier approval of Jonas counts no more: what it was for has changed',
    );
    // Who said yes to something else hears of it, and says it again to what is there now.
    expect((await noticesOf('jonas')).at(-1)).toEqual({
      kind: 'to-approve',
      title: 'Look again: Mira asks for p1-payments, 1 h',
      body: 'What you said yes to has changed since, so your yes counts no more.',
    });
    expect(await noticesOf('aiko')).toHaveLength(1);
    expect(await cardOf('jonas', asked.id)).toMatchObject({
      mayDecide: { yes: true },
      changedSinceYes: '2026-11-22T10:00:00.000Z',
    });
    expect(await cardOf('aiko', asked.id)).not.toHaveProperty('changedSinceYes');
    office.pass(60);
    const done = await yes('jonas', asked);
    expect([done.state, giversOf(done)]).toEqual(['approved', ['Aiko', 'Jonas']]);
  },
);

test('RQ-10 another yes changes nothing of what the first was for', async () => {
  const asked = await ask();
  const before = await cardOf('aiko', asked.id);
  await yes('jonas', asked);
  const after = await cardOf('aiko', asked.id);
  expect(after.seenHash).toBe(before.seenHash);
  expect(await cardOf('jonas', asked.id)).not.toHaveProperty('changedSinceYes');
  await expect(yes('jonas', asked)).rejects.toMatchObject({ code: 'wrong_state' });
  expect(await yes('aiko', asked)).toMatchObject({ state: 'approved' });
});

test('RQ-10 who said yes to something else may say yes or no to what is there now, and both stand in the trail', async () => {
  const asked = await ask();
  await yes('jonas', asked);
  await changes['tags']?.();
  expect((await cardOf('jonas', asked.id)).changedSinceYes).toBeDefined();
  expect(giversOf(await yes('jonas', asked))).toEqual(['Jonas']);
  // They need no word about their own.
  expect(await noticesOf('jonas')).toHaveLength(1);
  expect((await office.sentencesOf(asked.id)).filter((sentence) => sentence.startsWith('Jonas approved'))).toHaveLength(
    2,
  );
  await office.retag('prod', { team: 'payments', env: 'prod', data: 'none' });
  const denied = await no('jonas', asked);
  expect(denied).toMatchObject({ state: 'denied', decisions: [{ verdict: 'no' }] });
});

test('RQ-10 two yeses at one instant after a change count as two, whoever takes back whose', async () => {
  const asked = await ask();
  await yes('jonas', asked);
  await changes['tags']?.();
  await Promise.all([yes('jonas', asked), yes('aiko', asked)]);
  expect(await office.db.selectFrom('requests').select('state').executeTakeFirst()).toEqual({ state: 'approved' });
  expect(await office.db.selectFrom('decisions').selectAll().execute()).toHaveLength(2);
});

test('RQ-06 a grant has only those yeses behind it that made it', async () => {
  office.change('elin', { groups: ['payments-leads'] });
  const asked = await ask(['prod', 'prod2']);
  await yes('jonas', asked, [office.ref('prod2')]);
  office.pass(60);
  office.change('jonas', { groups: [] });
  // It is not forgotten at once: they may be back before it lapses.
  expect(giversOf(await yes('aiko', asked))).toEqual(['Jonas', 'Aiko']);
  office.pass(60);
  const done = await yes('elin', asked);
  expect([done.state, giversOf(done)]).toEqual(['approved', ['Aiko', 'Elin']]);
  expect((await office.sentencesOf(asked.id)).join()).toContain(
    'Jonas counts no more: they may not decide it any more',
  );
});

test('RQ-04 RQ-05 one human with two sign-ins is one approval', async () => {
  office.change('aiko', { email: 'JONAS@harborline.example' });
  const few = { code: 'not_allowed', detail: { message: expect.stringContaining('there is only 1') } };
  await expect(ask()).rejects.toMatchObject(few);
  expect((await office.access.preview(office.person('mira'), office.draft(['prod']))).verdict).toMatchObject({
    kind: 'no',
    advice: few.detail.message,
  });
  office.change('elin', { groups: ['payments-leads'] });
  const asked = await ask();
  await yes('jonas', asked);
  await expect(yes('aiko', asked)).rejects.toMatchObject({
    code: 'wrong_state',
    detail: { message: 'You said yes already as jonas@harborline.example; it waits for somebody else.' },
  });
  expect((await cardOf('aiko', asked.id)).mayDecide).toMatchObject({ yes: false });
  expect(await yes('elin', asked)).toMatchObject({ state: 'approved' });
});

test('RQ-04 two yeses turn out to be those of one human: they are one', async () => {
  office.useRules(await rulesWith(3));
  office.change('elin', { groups: ['payments-leads'] });
  const asked = await ask();
  await yes('jonas', asked);
  await yes('aiko', asked);
  office.change('aiko', { email: 'jonas@harborline.example' });
  expect(await yes('elin', asked)).toMatchObject({ state: 'waiting' });
  expect(await office.db.selectFrom('grants').selectAll().execute()).toEqual([]);
});

test('RQ-12 yeses to different parts: the denial says whose they were, and that nobody said no', async () => {
  const asked = await ask(['prod', 'prod2']);
  await yes('jonas', asked, [office.ref('prod')]);
  expect(await yes('aiko', asked, [office.ref('prod2')])).toMatchObject({ state: 'denied' });
  expect((await noticesOf('mira')).at(-1)).toEqual({
    kind: 'denied',
    title: 'Not approved: p1-payments and 1 more, 1 h',
    body: 'Jonas and Aiko each said yes to a part of it, and no instance is in all of them.',
  });
  expect((await office.sentencesOf(asked.id)).at(-1)).toMatch(
    /^Aiko approved .*\. No instance is in all of the approvals, so the request is denied$/,
  );
});

test('a yes after the request’s time is refused, also before anybody came to close it', async () => {
  const asked = await ask();
  office.pass(8 * 3600 - 1);
  expect(await yes('jonas', asked)).toMatchObject({ state: 'waiting' });
  office.pass(1);
  const lapsed = { code: 'wrong_state', detail: { message: 'The request has lapsed.' } };
  await expect(yes('aiko', asked)).rejects.toMatchObject(lapsed);
  await expect(no('aiko', asked)).rejects.toMatchObject(lapsed);
  expect(await office.db.selectFrom('grants').selectAll().execute()).toEqual([]);
});
