/** RQ-20: where an IAM group carries the access, everybody who decides or reads about it is told whom it reaches. */
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import type { GroupReach } from '../../src/shared/group-reach.ts';
import { type Office, openOffice } from './testing/office.ts';

const oncall: GroupReach = {
  accountId: '482011773306',
  accountName: 'payments-prod',
  group: 'oncall',
  members: 7,
  names: ['aiko', 'dana', 'jonas', 'mira', 'noor', 'piet', 'ravi'],
};
const words = 'Everybody in IAM group oncall of payments-prod (7 people) gets this access.';

let office: Office;
beforeAll(async () => {
  office = await openOffice();
});
afterAll(() => office.close());
beforeEach(() => office.giveToGroup(oncall));

const ask = () => office.access.submit(office.person('mira'), office.draft(['prod']));

test('RQ-20 the requester is told before asking', async () => {
  const preview = await office.access.preview(office.person('mira'), office.draft(['prod']));
  expect(preview.wider).toEqual([oncall]);
  office.giveToGroup(null);
  expect((await office.access.preview(office.person('mira'), office.draft(['prod']))).wider).toEqual([]);
});

test('RQ-20 card, notice and audit name the group and count its members', async () => {
  const asked = await ask();
  const card = await office.access.card(await office.reader('jonas'), asked.id);
  expect(card.wider).toEqual([oncall]);
  const notice = await office.db
    .selectFrom('notices')
    .select('body')
    .where('target_id', '=', asked.id)
    .where('kind', '=', 'to-approve')
    .executeTakeFirstOrThrow();
  expect(notice.body).toMatch(new RegExp(`^${words.replaceAll(/[().]/g, '\\$&')} “`));
  await office.access.decide(await office.reader('jonas'), {
    requestId: asked.id,
    seenHash: card.seenHash,
    verdict: 'yes',
    less: null,
    comment: null,
  });
  const sentences = await office.sentencesOf(asked.id);
  expect(sentences.filter((sentence) => sentence.endsWith(words))).toHaveLength(2);
});

test('RQ-20 a yes counts only for the members that were shown', async () => {
  const asked = await ask();
  const { seenHash } = await office.access.card(await office.reader('jonas'), asked.id);
  const yes = { requestId: asked.id, seenHash, verdict: 'yes' as const, less: null, comment: null };
  office.giveToGroup({ ...oncall, members: 8 });
  await expect(office.access.decide(await office.reader('jonas'), yes)).rejects.toMatchObject({ code: 'changed' });
  office.giveToGroup({ ...oncall, names: [...oncall.names.slice(0, -1), 'mallory'] });
  await expect(office.access.decide(await office.reader('jonas'), yes)).rejects.toMatchObject({ code: 'changed' });
  office.giveToGroup(null);
  await expect(office.access.decide(await office.reader('jonas'), yes)).rejects.toMatchObject({ code: 'changed' });
  office.giveToGroup(oncall);
  expect((await office.access.decide(await office.reader('jonas'), yes)).state).toBe('approved');
});

test('RQ-20 what a rule gives at once says it in the audit too; without a group nobody hears of one', async () => {
  const given = await office.access.submit(office.person('mira'), office.draft(['staging']));
  expect((await office.sentencesOf(given.id)).filter((sentence) => sentence.includes(words))).toHaveLength(2);
  office.giveToGroup(null);
  const plain = await ask();
  expect((await office.sentencesOf(plain.id)).join(' ')).not.toContain('IAM group');
});
