import { beforeEach, expect, test } from 'vitest';
import { Refusal } from '../../src/shared/refusal.ts';
import { createAccess } from './access.ts';
import { type Machine, type Name, type Office, openOffice } from './testing/office.ts';

let office: Office;
beforeEach(async () => {
  office = await openOffice();
  return () => office.close();
});

const ready = async (name: Name, machines: Machine[], seconds = 3600): Promise<string> => {
  const draft = office.draft(machines, { durationSeconds: seconds });
  const request = await office.access.submit(office.person(name), draft);
  if (request.state !== 'approved') throw new Error('A rule gives this at once.');
  return request.grantIds[0] ?? '';
};
const running = async (name: Name, machines: Machine[], seconds = 3600): Promise<string> => {
  const id = await ready(name, machines, seconds);
  await office.access.connect(await office.reader(name), id);
  return id;
};
const stateOf = async (id: string): Promise<string> =>
  (await office.db.selectFrom('grants').select('state').where('id', '=', id).executeTakeFirstOrThrow()).state;
const code = async (work: Promise<unknown>): Promise<string> =>
  work.then(
    () => 'done',
    (error: unknown) => (error instanceof Refusal ? error.code : String(error)),
  );

test.each([
  ['the shorter', 0],
  ['the longer', 1],
])('RQ-21 ending %s of two says what stays reachable, by which and until when', async (_which, ended) => {
  const ids = [await running('mira', ['staging'], 1800), await running('mira', ['staging', 'staging2'], 3600)];
  const [gone = '', other = ''] = ended === 0 ? ids : ids.toReversed();
  const mira = await office.reader('mira');
  const before = await office.access.whatStays(mira, gone);
  const answer = await office.access.end(mira, { grantId: gone, comment: null });
  expect(answer.stays).toEqual(before);
  const until = new Date(office.deps.now().getTime() + (ended === 0 ? 3600 : 1800) * 1000).toISOString();
  expect(answer.stays.reachable.map(({ instance, grantId, until: end }) => [instance.name, grantId, end])).toEqual([
    ['s1-payments', other, { kind: 'end', at: until }],
  ]);
  expect([await stateOf(gone), await stateOf(other)]).toEqual(['ending', 'granting']);
});

test('RQ-21 a yes that waits for its first connect, and a request that waits, stay too', async () => {
  const live = await running('mira', ['staging']);
  const later = await ready('mira', ['staging'], 1800);
  const mira = await office.reader('mira');
  await office.access.extend(mira, { grantId: live, bySeconds: 7200, reason: null });
  const stays = await office.access.whatStays(mira, live);
  expect(stays.reachable).toMatchObject([{ grantId: later, until: { kind: 'connect-by', durationSeconds: 1800 } }]);
  expect(stays.waiting).toBe(1);
});

test('RQ-21 what another person has, and what is on other instances, is no part of it', async () => {
  const live = await running('mira', ['staging']);
  await running('elin', ['staging']);
  await running('mira', ['staging2']);
  expect(await office.access.whatStays(await office.reader('mira'), live)).toEqual({ reachable: [], waiting: 0 });
});

test('RQ-21 an approver ends all of a person on an instance at once, with what waits, and nothing else', async () => {
  const ids = [await running('mira', ['staging']), await ready('mira', ['staging', 'staging2'])];
  const elsewhere = await running('mira', ['staging2']);
  const others = await running('elin', ['staging']);
  const asked = await office.access.submit(
    office.person('mira'),
    office.draft(['staging'], { durationSeconds: 14_400 }),
  );
  expect(asked.state).toBe('waiting');
  const jonas = await office.reader('jonas');
  const input = { grantId: ids[0] ?? '', instance: office.ref('staging'), comment: 'wrong machine' };
  const outcome = await office.access.endAllOn(jonas, input);
  expect(outcome.ended.map(({ id }) => id).sort()).toEqual(ids.toSorted());
  expect(outcome).toMatchObject({ withdrawn: 1, stays: { reachable: [], waiting: 0 } });
  expect([await stateOf(elsewhere), await stateOf(others)]).toEqual(['granting', 'granting']);
  const { state } = await office.db
    .selectFrom('requests')
    .select('state')
    .where('id', '=', asked.id)
    .executeTakeFirstOrThrow();
  expect(state).toBe('withdrawn');
  const notices = await office.db
    .selectFrom('notices')
    .select('body')
    .where('person_id', '=', office.person('mira').id)
    .where('kind', '=', 'ended')
    .execute();
  expect(notices).toEqual([{ body: '“wrong machine” Your terminal text is kept.' }]);
});

test('RQ-21 neither a colleague nor a stranger can ask what stays or end it', async () => {
  const live = await running('mira', ['staging']);
  for (const name of ['elin', 'kofi', 'rhea'] as const) {
    const reader = await office.reader(name);
    const input = { grantId: live, instance: office.ref('staging'), comment: null };
    expect(await code(office.access.whatStays(reader, live))).toBe('not_found');
    expect(await code(office.access.endAllOn(reader, input))).toBe('not_found');
    expect(await code(office.access.end(reader, { grantId: live, comment: null }))).toBe('not_found');
  }
  const mira = await office.reader('mira');
  const elsewhere = { grantId: live, instance: office.ref('prod'), comment: null };
  expect(await code(office.access.endAllOn(mira, elsewhere))).toBe('invalid_input');
  expect(await stateOf(live)).toBe('granting');
});

test('an approver may end what a rule gave, though nobody ever asked them', async () => {
  const live = await running('mira', ['staging']);
  const jonas = await office.reader('jonas');
  expect(await office.access.revocable(jonas)).toEqual([live]);
  expect(await office.access.revocable(await office.reader('rhea'))).toEqual([]);
  expect((await office.access.end(jonas, { grantId: live, comment: null })).state).toBe('ending');
});

test('RQ-21 owners and admins end access while the identity store is away; others are told that it is', async () => {
  const [first, second, third] = [
    await running('mira', ['staging']),
    await running('mira', ['staging', 'staging2']),
    await running('mira', ['staging2']),
  ];
  const [mira, jonas, dele] = [await office.reader('mira'), await office.reader('jonas'), await office.reader('dele')];
  const person = async () => {
    throw new Error('the identity store is away');
  };
  const away = createAccess({ ...office.deps, directory: { ...office.deps.directory, person } });
  const comment = null;
  const untold = expect.objectContaining({
    code: 'busy',
    detail: expect.objectContaining({ message: expect.stringContaining('the identity store, which cannot be asked') }),
  });
  await expect(away.end(jonas, { grantId: first, comment })).rejects.toEqual(untold);
  const instance = office.ref('staging');
  await expect(away.endAllOn(jonas, { grantId: first, instance, comment })).rejects.toEqual(untold);
  expect(await stateOf(first)).toBe('granting');
  expect((await away.whatStays(mira, first)).reachable).toHaveLength(1);
  expect((await away.end(mira, { grantId: first, comment })).state).toBe('ending');
  const all = await away.endAllOn(mira, { grantId: second, instance, comment });
  expect(all.ended.map(({ id }) => id)).toEqual([second]);
  expect((await away.end(dele, { grantId: third, comment })).state).toBe('ending');
});
