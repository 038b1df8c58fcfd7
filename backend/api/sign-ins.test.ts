/** What a stolen bearer token is worth, and how its owner gets rid of it. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Refusal } from '../../src/shared/refusal.ts';
import { startTestBackend, type TestBackend } from '../testing/test-backend.ts';
import { personNamed } from '../testing/test-people.ts';

const minute = 60_000;
const mira = personNamed('mira', ['payments-engineers']);
const dele = personNamed('dele', ['curfew-admins']);
const jonas = personNamed('jonas', ['payments-leads']);

let backend: TestBackend;
beforeAll(async () => {
  backend = await startTestBackend({});
  for (const person of [mira, dele, jonas]) await backend.people.put(person);
});
afterAll(() => backend.close());

const codeOf = (work: Promise<unknown>): Promise<unknown> =>
  work.then(
    () => 'done',
    (error: unknown) => (error instanceof Error ? error.message : error),
  );
const overview = (token: string) => backend.client(token).overview.query();

test('ID-10 a person sees their other sign-ins, nobody else’s, and ends them all at once', async () => {
  const [own, copied, ofJonas] = [
    await backend.tokenFor(mira),
    await backend.tokenFor(mira),
    await backend.tokenFor(jonas),
  ];
  const [other, ...more] = (await overview(own)).otherSignIns ?? [];
  expect(more).toEqual([]);
  const eightHours = Date.parse(other?.until ?? '') - Date.parse(other?.since ?? '');
  expect(eightHours).toBe(8 * 60 * minute);
  expect(Object.keys(other ?? {}).sort()).toEqual(['since', 'until']);
  expect((await overview(ofJonas)).otherSignIns).toEqual([]);

  // Signing out here alone leaves the copy as it is: that is what the choice is for.
  const third = await backend.tokenFor(mira);
  await backend.client(third).signOut.mutate({ endGrants: false });
  expect(await codeOf(overview(copied))).toBe('done');
  expect((await overview(own)).otherSignIns).toHaveLength(1);

  await backend.client(own).signOut.mutate({ endGrants: false, everywhere: true });
  for (const token of [own, copied]) expect(await codeOf(overview(token))).toBe('sign_in_needed');
  expect(await codeOf(overview(ofJonas))).toBe('done');
  const { rows } = await backend.client(await backend.tokenFor(mira)).audit.query({});
  expect(rows.map(({ sentence }) => sentence)).toContain('mira signed out everywhere (2 sign-ins)');
});

test('ID-10 a copied token ends with its eight hours, whatever is done with it', async () => {
  const copied = await backend.tokenFor(mira);
  try {
    backend.ahead(8 * 60 * minute - minute);
    expect(await codeOf(overview(copied))).toBe('done');
    backend.ahead(8 * 60 * minute);
    expect(await codeOf(overview(copied))).toBe('sign_in_needed');
  } finally {
    backend.ahead(0);
  }
});

test('ID-10 an admin’s token of eleven minutes can stop everything, but lifts nothing', async () => {
  const [stolen, ofJonas] = [await backend.tokenFor(dele), await backend.tokenFor(jonas)];
  const pull = (token: string) =>
    backend
      .client(token)
      .pullSwitch.mutate({ scope: { kind: 'person', personId: mira.id }, reason: 'to see who lifts it', typed: null });
  const lift = (token: string, switchId: string) => backend.client(token).liftSwitch.mutate({ switchId });
  try {
    backend.ahead(11 * minute);
    const { id } = await pull(stolen);
    expect(await codeOf(lift(stolen, id))).toBe('fresh_sign_in_needed' satisfies Refusal['code']);
    expect(await codeOf(lift(ofJonas, id))).toBe('not_found');
    // The admin themselves, signed in again.
    expect(await codeOf(lift(await backend.tokenFor(dele), id))).toBe('done');
  } finally {
    backend.ahead(0);
  }
});
