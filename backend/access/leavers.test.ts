import { createHash, randomBytes } from 'node:crypto';
import { beforeEach, expect, test } from 'vitest';
import type { AuditEvent } from '../audit/event.ts';
import { auditSentence } from '../audit/sentence.ts';
import { type Machine, type Name, type Office, openOffice } from './testing/office.ts';

let office: Office;
beforeEach(async () => {
  office = await openOffice();
  return () => office.close();
});

const signIn = (name: Name): Promise<unknown> => {
  const at = office.deps.now();
  const hash = createHash('sha256').update(randomBytes(32)).digest();
  const token = { hash, person_id: office.person(name).id, proved_at: at, revoked_at: null };
  return office.db
    .insertInto('tokens')
    .values({ ...token, expires_at: new Date(at.getTime() + 3_600_000) })
    .execute();
};
const ask = (name: Name, machines: Machine[]) => office.access.submit(office.person(name), office.draft(machines));

/** A sign-in, a ready and a running grant, and a request that waits. */
const settle = async (name: Name): Promise<void> => {
  await signIn(name);
  await ask(name, ['staging2']);
  const running = await ask(name, ['staging']);
  if (running.state !== 'approved') throw new Error('A rule gives this at once.');
  await office.access.connect(await office.reader(name), running.grantIds[0] ?? '');
  await ask(name, ['prod']);
};

const standing = async (name: Name) => {
  const { id } = office.person(name);
  const { db } = office;
  const tokens = await db
    .selectFrom('tokens')
    .select('hash')
    .where('person_id', '=', id)
    .where('revoked_at', 'is', null)
    .execute();
  const requests = await db.selectFrom('requests').select('state').where('requester_id', '=', id).execute();
  const grants = await db.selectFrom('grants').select('state').where('person_id', '=', id).execute();
  const states = (rows: Array<{ state: string }>) => rows.map(({ state }) => state).sort();
  return { tokens: tokens.length, requests: states(requests), grants: states(grants) };
};
const events = async (): Promise<AuditEvent[]> => {
  const rows = await office.db.selectFrom('audit').select('event').orderBy('sequence').execute();
  return rows.map(({ event }) => event);
};

test.each([
  ['disabled', { enabled: false }],
  ['gone', null],
] as const)(
  'ID-12 a leaver who is %s loses sign-ins, requests and grants, and nobody else does',
  async (why, facts) => {
    await settle('mira');
    await settle('elin');
    const before = await standing('elin');
    expect(await office.access.closeLeavers()).toBe(0);
    expect(await standing('mira')).toEqual({
      tokens: 1,
      requests: ['approved', 'approved', 'waiting'],
      grants: ['granting', 'ready'],
    });

    office.pass(60);
    if (facts === null) office.remove('mira');
    else office.change('mira', facts);
    const nudges = office.nudges();
    expect(await office.access.closeLeavers()).toBe(1);

    expect(await standing('mira')).toEqual({
      tokens: 0,
      requests: ['approved', 'approved', 'withdrawn'],
      grants: ['ending', 'ending'],
    });
    expect(await standing('elin')).toEqual(before);
    expect(office.nudges()).toBe(nudges + 1);
    const told = (await events()).slice(-4);
    expect(told.map(({ kind }) => kind)).toEqual(['request_withdrawn', 'grant_ending', 'grant_ending', 'person_left']);
    expect(told.at(-1)).toMatchObject({ why, tokens: 1, person: { displayName: 'Mira' } });
    expect(told.map(auditSentence)).toEqual([
      'The request of Mira, who left the organisation, was withdrawn',
      'Access of Mira is ending: Mira left the organisation',
      'Access of Mira is ending: Mira left the organisation',
      expect.stringMatching(/^Mira is .* in the identity store.*: 1 sign-ins, 1 requests and 2 grants were closed$/),
    ]);
    const ended = await office.db
      .selectFrom('grants')
      .select(['cause', 'ends_at'])
      .where('state', '=', 'ending')
      .execute();
    for (const { cause, ends_at } of ended) {
      expect(cause).toMatchObject({ kind: 'left', person: { displayName: 'Mira' } });
      expect(ends_at).toEqual(office.deps.now());
    }
    // Nothing is left, so the next round has nothing to say.
    expect(await office.access.closeLeavers()).toBe(0);
    expect((await events()).filter(({ kind }) => kind === 'person_left')).toHaveLength(1);
  },
);

test('ID-12 an identity store that cannot be asked ends nothing, and keeps no other leaver', async () => {
  await settle('mira');
  await settle('elin');
  office.change('elin', { enabled: false });
  const { standings } = office.deps.directory;
  const { id } = office.person('mira');
  office.deps.directory.standings = async (asked) => {
    const { known } = await standings(asked);
    known.delete(id);
    return { known, failure: { error: new Error('the identity store is away') } };
  };
  await expect(office.access.closeLeavers()).rejects.toThrow('the identity store is away');
  expect((await standing('elin')).grants).toEqual(['ending', 'ending']);
  expect(await standing('mira')).toMatchObject({ tokens: 1, grants: ['granting', 'ready'] });
});

test('ID-12 two backends that find the same leaver write it down once', async () => {
  await settle('mira');
  office.change('mira', { enabled: false });
  const closed = await Promise.all([office.access.closeLeavers(), office.access.closeLeavers()]);
  expect(closed.sort()).toEqual([0, 1]);
  expect((await events()).filter(({ kind }) => kind === 'person_left')).toHaveLength(1);
});

test('the trail says IAM of somebody who is an IAM user, and the identity store of others', () => {
  const sentence = (id: string, why: 'gone' | 'disabled') =>
    auditSentence({
      kind: 'person_left',
      at: '2026-11-22T12:00:00.000Z',
      actor: { kind: 'curfew' },
      person: { id, userName: 'alice', displayName: 'Alice' },
      why,
      tokens: 1,
      withdrawnRequests: [],
      endedGrants: [],
    });
  for (const why of ['gone', 'disabled'] as const) {
    expect(sentence('AIDAEXAMPLEALICE00001', why)).toMatch(
      /^Alice is not in the IAM groups that may use Curfew any more:/,
    );
  }
  expect(sentence('c2c5d4e4-1021-70aa-8b10-1f2e3d4c5b01', 'gone')).toMatch(
    /^Alice is not in the identity store any more:/,
  );
});
