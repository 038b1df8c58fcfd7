import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { compileAccessPolicy, personalCarrier } from '../access-policy/compile.ts';
import type { SeenDocument } from '../access-policy/policy-writes.ts';
import {
  nextDue,
  planPrincipal,
  type Seen,
  type SeenSession,
  type Step,
  type Wished,
  type WishedGrant,
} from './plan.ts';

const accountId = '482011773306';
const carrier = personalCarrier({ partition: 'aws', accountId, sessionName: 'alice.1a2b3c4d' });
const targets = ['i-0123456789abcdef0', 'i-0123456789abcdef1', 'i-0123456789abcdef2'];
const regions = ['eu-central-1', 'eu-west-1'];
const owner = 'arn:aws:sts::482011773306:assumed-role/curfew-x/alice.1a2b3c4d';
const start = Date.parse('2026-11-22T09:00:00.000Z');
const at = (seconds: number): Date => new Date(start + seconds * 1000);

const instance = fc
  .record({ region: fc.constantFrom(...regions), instanceId: fc.constantFrom(...targets) })
  .map((ref) => ({ accountId, ...ref }));

const grantIn = (id: string): fc.Arbitrary<WishedGrant> =>
  fc
    .record({
      instances: fc.array(instance, { minLength: 1, maxLength: 2 }),
      state: fc.constantFrom('ready', 'granting', 'active', 'ending', 'sealing'),
      length: fc.integer({ min: 60, max: 600 }),
    })
    .map(({ instances, state, length }): WishedGrant => {
      const common = { id, instances, owner };
      if (state === 'ready') return { ...common, state, activateBy: at(length) };
      if (state === 'ending') return { ...common, state, policyGoneAt: null };
      if (state === 'sealing') return { ...common, state, nextLookAt: at(length), dueAt: at(length) };
      return { ...common, state: state === 'active' ? 'active' : 'granting', connectedAt: at(0), endsAt: at(length) };
    });

const wishedArbitrary: fc.Arbitrary<Wished> = fc
  .tuple(grantIn('a'), grantIn('b'), grantIn('c'))
  .map((grants) => ({ carrier, grants }));
const sessionArbitrary: fc.Arbitrary<SeenSession> = fc.record({
  region: fc.constantFrom(...regions),
  target: fc.constantFrom(...targets),
  id: fc.uuid(),
  owner: fc.constant(owner),
  elsewhere: fc.constant(false),
});

type StepOnGrant = Exclude<Extract<Step, { grantId: string }>, { do: 'terminate' }>;

/** A grant's row after a step about it; null: nothing is left to do. */
const afterStep = (step: StepOnGrant, grant: WishedGrant, now: Date): WishedGrant | null => {
  const { id, instances } = grant;
  switch (step.do) {
    case 'lapse':
    case 'refuse-full':
    case 'note-look':
      return null;
    case 'begin-ending':
      return { id, instances, owner, state: 'ending', policyGoneAt: null };
    case 'note-policy-gone':
      return grant.state === 'ending' ? { ...grant, policyGoneAt: now } : grant;
    case 'activate':
      return grant.state === 'granting' ? { ...grant, state: 'active' } : grant;
    case 'finish':
      return { id, instances, owner, state: 'sealing', nextLookAt: new Date(8.64e15), dueAt: new Date(8.64e15) };
  }
};

/** A world that does what the plan says, and keeps the order in which it was said. */
const play = (wished: Wished, world: { document: string | null; sessions: SeenSession[] }, now: Date) => {
  let grants = wished.grants;
  let { document, sessions } = world;
  let seen: Seen = { documents: undefined, sessions: undefined };
  const inIam = (): SeenDocument[] => (document === null ? [] : [{ slot: 0, document, attached: true }]);
  const done: Step[] = [];
  const replace = (id: string, change: (grant: WishedGrant) => WishedGrant | null): void => {
    grants = grants.flatMap((grant) => (grant.id === id ? (change(grant) ?? []) : grant));
  };
  const apply = (step: Step): void => {
    switch (step.do) {
      case 'read-policy':
        seen = { ...seen, documents: inIam() };
        return;
      case 'change-policy':
        for (const write of step.writes) document = write.do === 'put' ? write.document : null;
        seen = { ...seen, documents: inIam(), sessions: undefined };
        return;
      case 'look': {
        const found = sessions.filter(({ region }) => step.regions.includes(region));
        seen = { ...seen, sessions: { regions: step.regions, found } };
        return;
      }
      case 'terminate':
        sessions = sessions.filter(({ id }) => id !== step.session.id);
        seen = { ...seen, sessions: undefined };
        return;
      default:
        replace(step.grantId, (grant) => afterStep(step, grant, now));
    }
  };
  for (let turn = 0; turn < 60; turn += 1) {
    const steps = planPrincipal({ carrier, grants }, seen, now);
    if (steps.length === 0) return { grants, document, sessions, done, settled: true };
    for (const step of steps) {
      done.push(step);
      apply(step);
    }
  }
  return { grants, document, sessions, done, settled: false };
};

describe('planPrincipal', () => {
  test('RQ-21 from anywhere it settles: the document is the union of what lives, and only covered sessions live', () => {
    fc.assert(
      fc.property(
        wishedArbitrary,
        fc.option(fc.constantFrom('{"Version":"2012-10-17","Statement":[]}'), { nil: null }),
        fc.array(sessionArbitrary, { maxLength: 4 }),
        fc.integer({ min: 0, max: 700 }),
        (wished, document, sessions, seconds) => {
          const now = at(seconds);
          const end = play(wished, { document, sessions }, now);
          expect(end.settled).toBe(true);
          const live = end.grants.flatMap((grant) => (grant.state === 'active' ? [grant] : []));
          const wish = compileAccessPolicy({
            ...carrier,
            grants: live.map(({ id, instances, connectedAt, endsAt }) => ({
              id,
              instances,
              notBefore: connectedAt,
              endsAt,
            })),
          });
          expect(end.document).toBe(wish.documents[0]?.document ?? null);
          expect(live.every(({ endsAt }) => endsAt > now)).toBe(true);
          expect(end.grants.some(({ state }) => state === 'granting' || state === 'ending')).toBe(false);
          const looked = new Set(end.done.flatMap((step) => (step.do === 'look' ? step.regions : [])));
          for (const { region, target } of end.sessions.filter((session) => looked.has(session.region))) {
            expect(
              live.some(({ instances }) => instances.some((ref) => ref.region === region && ref.instanceId === target)),
            ).toBe(true);
          }
        },
      ),
    );
  });

  test('AWS-03 nothing is said to have ended before the policy was seen gone and a later look found no session', () => {
    fc.assert(
      fc.property(wishedArbitrary, fc.array(sessionArbitrary, { maxLength: 4 }), (wished, sessions) => {
        const { done } = play(wished, { document: null, sessions }, at(30));
        const last = (kinds: Step['do'][], before: number) =>
          done.slice(0, before).findLastIndex((step) => kinds.includes(step.do));
        done.forEach((step, index) => {
          if (step.do !== 'finish') return;
          const look = last(['look'], index);
          expect(look).toBeGreaterThan(last(['change-policy', 'terminate'], index));
          expect(last(['read-policy', 'change-policy'], look)).toBeGreaterThanOrEqual(0);
        });
      }),
    );
  });

  test('AWS-03 what ends is over before anything begins, and what lives goes on meanwhile', () => {
    const ref = (region: string, at: number) => ({ accountId, region, instanceId: targets[at] ?? '' });
    const grants: WishedGrant[] = [
      { id: 'e', instances: [ref('eu-central-1', 0)], owner, state: 'ending', policyGoneAt: null },
      { id: 'a', instances: [ref('eu-central-1', 1)], owner, state: 'active', connectedAt: at(0), endsAt: at(900) },
      { id: 'g', instances: [ref('eu-west-1', 2)], owner, state: 'granting', connectedAt: at(0), endsAt: at(900) },
    ];
    const old = { Version: '2012-10-17', Statement: [] };
    const session = { region: 'eu-central-1', target: targets[0] ?? '', id: 's', owner, elsewhere: false };
    const { done, settled } = play({ carrier, grants }, { document: JSON.stringify(old), sessions: [session] }, at(10));
    expect(settled).toBe(true);
    expect(done.map((step) => step.do)).toEqual([
      'read-policy',
      'change-policy',
      'note-policy-gone',
      'look',
      'terminate',
      'look',
      'finish',
      'change-policy',
      'activate',
    ]);
    const [first, second] = done.flatMap((step) => (step.do === 'change-policy' ? [JSON.stringify(step.writes)] : []));
    expect(first).toContain(targets[1]);
    expect(first).not.toContain(targets[2]);
    expect(second).toContain(targets[2]);
  });

  test('a document with no room refuses the youngest grant that is not given yet, and writes nothing first', () => {
    const many = (grant: number) =>
      Array.from({ length: 20 }, (_, n) => ({
        accountId,
        region: 'eu-central-1',
        instanceId: `i-0123456789abc${grant}${String(n).padStart(3, '0')}`,
      }));
    const grants = Array.from(
      { length: 7 },
      (_, n): WishedGrant => ({
        id: `g${n}`,
        instances: many(n),
        owner,
        state: n < 2 ? 'active' : 'granting',
        connectedAt: at(n),
        endsAt: at(600 + n),
      }),
    );
    const steps = planPrincipal({ carrier, grants }, { documents: [], sessions: undefined }, at(10));
    expect(steps).toEqual([{ do: 'refuse-full', grantId: 'g6' }]);
  });

  test('is due again at the earliest end, activation limit or seal; at once while something is under way', () => {
    const soon = at(1);
    const ready: WishedGrant = { id: 'r', instances: [], owner, state: 'ready', activateBy: at(50) };
    const active: WishedGrant = { id: 'a', instances: [], owner, state: 'active', connectedAt: at(0), endsAt: at(40) };
    const sealing: WishedGrant = { id: 's', instances: [], owner, state: 'sealing', nextLookAt: at(10), dueAt: at(30) };
    const ending: WishedGrant = { id: 'e', instances: [], owner, state: 'ending', policyGoneAt: null };
    expect(nextDue({ carrier, grants: [] }, soon)).toBeNull();
    expect(nextDue({ carrier, grants: [ready, active] }, soon)).toEqual(at(40));
    expect(nextDue({ carrier, grants: [ready, active, sealing] }, soon)).toEqual(at(30));
    expect(nextDue({ carrier, grants: [ready, active, sealing, ending] }, soon)).toEqual(soon);
  });
});
