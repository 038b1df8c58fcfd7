/** Two who change the same grant at once: what a person did in between wins, and nobody waits for each other for ever. */
import { beforeEach, expect, test } from 'vitest';
import type { Grant } from '../../src/shared/access.ts';
import { type Office, openOffice } from '../access/testing/office.ts';
import { appendAudit } from '../audit/chain.ts';
import { loadGrants } from '../store/grants.ts';
import { grantSealHolds } from '../store/seal.ts';
import { activateGrant, beginEnding } from './changes-of-state.ts';
import { type GrantFacts, readPrincipal } from './wished.ts';

let office: Office;
beforeEach(async () => {
  office = await openOffice();
  return () => office.close();
});

const load = async (id: string): Promise<Grant> => {
  const [grant] = await loadGrants(office.db, (eb) => eb('grants.id', '=', id));
  if (grant === undefined) throw new Error('There is no grant.');
  return grant;
};
const connected = async (machine: 'staging' | 'staging2' = 'staging'): Promise<string> => {
  const draft = office.draft([machine], { durationSeconds: 1800 });
  const request = await office.access.submit(office.person('mira'), draft);
  const id = request.state === 'approved' ? (request.grantIds[0] ?? '') : '';
  await office.access.connect(await office.reader('mira'), id);
  return id;
};

/** What the reconciler knows of a grant at this moment. */
const factsOf = async (grantId: string) => {
  const principal = await office.db.selectFrom('principals').selectAll().executeTakeFirstOrThrow();
  const { sealKey } = office.deps;
  const policyPlace = () => ({ carrier: 'inline' as const, managedPolicies: 0 });
  const reading = { partition: 'aws', policyPlace, sealKey, sealMs: 1, lookEveryMs: 1, lastLooks: new Map() };
  const facts: GrantFacts | undefined = (await readPrincipal(office.db, principal.id, reading))?.grants.get(grantId);
  if (facts === undefined) throw new Error('The grant was not read.');
  return { facts, principal };
};
const activate = async (grantId: string): Promise<boolean> => {
  const { facts, principal } = await factsOf(grantId);
  return activateGrant(office.db, facts, {
    principal,
    documents: [{ slot: 0, document: '{}' }],
    at: office.deps.now(),
  });
};
const extend = async (grantId: string) =>
  office.access.extend(await office.reader('mira'), { grantId, bySeconds: 900, reason: null });

test('a grant that is extended while its end is being planned does not end', async () => {
  const id = await connected();
  await activate(id);
  office.pass(1790);
  const { facts } = await factsOf(id);
  await extend(id);
  office.pass(20);
  const ending = { cause: { kind: 'time' as const }, at: office.deps.now(), sealKey: office.deps.sealKey };
  expect(await beginEnding(office.db, facts, ending)).toBe(false);
  expect(await load(id)).toMatchObject({ state: 'active', endsAt: '2026-11-22T10:45:00.000Z' });
  const now = (await factsOf(id)).facts;
  expect(grantSealHolds(office.deps.sealKey, now.content, now.row.mac)).toBe(true);
  const ended = await office.db.selectFrom('audit').select('kind').where('kind', '=', 'grant_ending').execute();
  expect(ended).toEqual([]);
  // Planned anew, with the end as it is now, it ends.
  expect(await beginEnding(office.db, now, ending)).toBe(true);
});

test('a grant that is extended while it is being granted is not said to be active by the old document', async () => {
  const id = await connected();
  const { facts, principal } = await factsOf(id);
  await extend(id);
  const written = { principal, documents: [{ slot: 0, document: '{}' }], at: office.deps.now() };
  expect(await activateGrant(office.db, facts, written)).toBe(false);
  expect((await load(id)).state).toBe('granting');
  expect(await activateGrant(office.db, (await factsOf(id)).facts, written)).toBe(true);
});

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** Somebody locks a row, then, while `other` runs, writes to the trail and commits. */
const whileHeld = async (
  table: 'grants' | 'requests',
  id: string,
  other: () => Promise<unknown>,
): Promise<PromiseSettledResult<unknown>> => {
  const [held, done] = await Promise.allSettled([
    office.db.transaction().execute(async (tx) => {
      await tx.selectFrom(table).select('id').where('id', '=', id).forUpdate().execute();
      await pause(300);
      const at = office.deps.now().toISOString();
      await appendAudit(tx, { kind: 'signed_out', at, actor: { kind: 'curfew' }, endedGrants: [] });
    }),
    pause(100).then(other),
  ]);
  expect(held).toMatchObject({ status: 'fulfilled' });
  return done;
};

test('signing out waits for a grant that the reconciler holds, without holding the trail', async () => {
  const ids = [await connected('staging'), await connected('staging2')].sort();
  // The last one by id: the first one's audit row would have been written by then.
  const done = await whileHeld('grants', ids.at(-1) ?? '', () => office.access.endAllOfPerson(office.person('mira')));
  expect(done).toMatchObject({ status: 'fulfilled', value: ids });
});

test('ending waits for a decision on more time, without holding the trail', async () => {
  const id = await connected();
  await activate(id);
  const asked = await office.access.extend(await office.reader('mira'), { grantId: id, bySeconds: 7200, reason: null });
  if (asked.kind !== 'asked') throw new Error('People are asked for this long.');
  const reader = await office.reader('mira');
  const done = await whileHeld('requests', asked.request.id, () =>
    office.access.end(reader, { grantId: id, comment: null }),
  );
  expect(done).toMatchObject({ status: 'fulfilled' });
  expect((await load(id)).state).toBe('ending');
});
