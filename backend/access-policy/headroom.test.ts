import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { InstanceRef } from '../../src/shared/access.ts';
import { type CompiledGrant, compileAccessPolicy, type PolicyCarrier, personalCarrier } from './compile.ts';
import { headroom, type PlannedGrant, roomFor } from './headroom.ts';

const accountId = '482011773306';
const place = { partition: 'aws', accountId };
const role: PolicyCarrier = personalCarrier({ ...place, sessionName: 'alice.1a2b3c4d' });
const user: PolicyCarrier = { ...place, kind: 'user', carrier: 'inline', managedPolicies: 0 };
const group: PolicyCarrier = { ...place, kind: 'group', carrier: 'inline', managedPolicies: 0 };
const start = Date.parse('2026-11-22T09:00:00.000Z');
const at = (seconds: number) => new Date(start + seconds * 1000);
const ref = (n: number, region = 'eu-central-1'): InstanceRef => ({
  accountId,
  region,
  instanceId: `i-${(n + 1).toString(16).padStart(17, '0')}`,
});
const unconnected = (n: number): PlannedGrant => ({ id: `g${n}`, instances: [ref(n)], afterConnectSeconds: 3600 });
const fitsWritten = (carrier: PolicyCarrier, grants: readonly CompiledGrant[]): boolean =>
  compileAccessPolicy({ ...carrier, grants }).fits;

describe('room is promised for whatever becomes of the grants (promise 6)', () => {
  for (const [name, carrier, small] of [
    ['role', role, 45],
    ['user', user, 8],
    ['group', group, 20],
  ] as const) {
    test(`on a ${name}, no more grants are let in than fit when each was connected at its own minute`, () => {
      let [promised, written] = [0, 0];
      for (let count = 1; count <= 60; count += 1) {
        const planned = Array.from({ length: count }, (_, n) => unconnected(n));
        const connected = planned.map(({ id, instances }, n) => ({
          id,
          instances,
          notBefore: at(n * 60),
          endsAt: at(n * 60 + 3600),
        }));
        if (roomFor(carrier, planned).fits) promised = count;
        if (fitsWritten(carrier, connected)) written = count;
        // Being connected takes no room that was not counted before.
        expect(roomFor(carrier, connected)).toEqual(roomFor(carrier, planned));
      }
      expect(promised).toBe(written);
    });

    test(`on a ${name}, the windows that a longer grant hides are counted: when it ends early, they have room`, () => {
      const hidden = Array.from({ length: small }, (_, n) => ({
        id: `s${n}`,
        instances: [ref(n)],
        notBefore: at(n),
        endsAt: at(3600 + n * 60),
      }));
      const over = {
        id: 'over',
        instances: hidden.flatMap(({ instances }) => instances),
        notBefore: at(0),
        endsAt: at(14_400),
      };
      expect(fitsWritten(carrier, [over, ...hidden])).toBe(true);
      expect(fitsWritten(carrier, hidden)).toBe(false);
      expect(roomFor(carrier, [over, ...hidden]).fits).toBe(false);
    });
  }

  test('a grant that is not connected yet costs its own window on an instance that is granted already', () => {
    const live = { id: 'live', instances: [ref(0), ref(1)], notBefore: at(0), endsAt: at(7200) };
    const more = { ...unconnected(0), id: 'more' };
    expect(roomFor(user, [live, more]).needed).toBeGreaterThan(roomFor(user, [live]).needed);
    expect(headroom(user, [live, more]).characters).toBeGreaterThan(headroom(user, [live]).characters);
  });

  test('asking again and again for one and the same instance takes no more room: only one end is ever written', () => {
    const again = Array.from({ length: 9 }, (_, n) => ({ ...unconnected(0), id: `again ${n}` }));
    expect(roomFor(user, again)).toEqual(roomFor(user, again.slice(0, 1)));
  });

  test('140 one-instance grants with one end fit a role inline, whatever the user is called', () => {
    const longest = personalCarrier({ ...place, sessionName: `${'a'.repeat(40)}.1a2b3c4d` });
    const many = Array.from({ length: 140 }, (_, n) => ({
      id: `g${n}`,
      instances: [ref(n, 'eu-west-1')],
      notBefore: at(0),
      endsAt: at(3600),
    }));
    expect(roomFor(longest, many).fits).toBe(true);
  });

  test('as many more one-instance grants are let in as the card says, and no one more', () => {
    for (const carrier of [role, user, group, { ...role, managedPolicies: 3 }, { ...user, managedPolicies: 1 }]) {
      const some = [unconnected(0), unconnected(1)];
      const { moreInstances } = headroom(carrier, some);
      expect(moreInstances).toBeGreaterThan(0);
      const filled = (count: number) =>
        roomFor(
          carrier,
          Array.from({ length: count }, (_, n) => unconnected(n)),
        );
      expect(filled(2 + moreInstances)).toMatchObject({ fits: true, moreInstances: 0 });
      expect(filled(2 + moreInstances + 1)).toMatchObject({ fits: false, moreInstances: 0 });
    }
  });

  test('in several documents, what is let in fits wherever its ends make it go', () => {
    const carriers: PolicyCarrier[] = [
      { ...role, managedPolicies: 2 },
      { ...user, carrier: 'managed', managedPolicies: 3 },
    ];
    for (const carrier of carriers) {
      // Ids of two lengths, and ends that hash to other documents each time.
      const many = (count: number, turn: number) =>
        Array.from({ length: count }, (_, n): CompiledGrant => {
          const { instanceId, ...where } = ref(n);
          const instances = [{ ...where, instanceId: n % 3 === 0 ? instanceId.replace('i-', 'mi-') : instanceId }];
          return { id: `g${n}`, instances, notBefore: at(0), endsAt: at(3600 + turn * 100 + n) };
        });
      let most = 0;
      while (roomFor(carrier, many(most + 1, 0)).fits) most += 1;
      for (let turn = 0; turn < 20; turn += 1) expect(fitsWritten(carrier, many(most, turn))).toBe(true);
      expect(fitsWritten(carrier, many(most + 4, 0))).toBe(false);
    }
  });

  test('says how much could come to be needed', () => {
    const eight = Array.from({ length: 8 }, (_, n) => unconnected(n));
    const { needed, limit, fits } = roomFor(user, eight);
    expect(fits).toBe(false);
    expect(needed).toBeGreaterThan(limit);
    expect(roomFor(user, [])).toMatchObject({ fits: true });
  });

  test('whatever was let in fits, in every part of it, at any times of connecting and ending', () => {
    const carriers: PolicyCarrier[] = [
      user,
      group,
      role,
      { ...user, managedPolicies: 1 },
      { ...role, carrier: 'managed', managedPolicies: 2 },
      { ...role, managedPolicies: 2 },
    ];
    const pool = Array.from({ length: 60 }, (_, n) => {
      if (n % 7 === 3) return { ...ref(n, 'eu-west-1'), instanceId: `mi-${n.toString(16).padStart(17, '0')}` };
      return ref(n, n % 5 === 0 ? 'ap-southeast-1' : 'eu-central-1');
    });
    const asked = fc.record({
      first: fc.nat({ max: 59 }),
      instances: fc.oneof({ weight: 3, arbitrary: fc.constant(1) }, fc.integer({ min: 1, max: 20 })),
      /** Null: not connected yet. Few ends, so that some are shared. */
      end: fc.option(fc.integer({ min: 0, max: 30 })),
    });
    const fate = fc.record({
      lives: fc.boolean(),
      connects: fc.nat({ max: 40 }),
      /** What an approver leaves of the length and of the instances that were asked for. */
      shortened: fc.integer({ min: 1, max: 4 }),
      fewer: fc.boolean(),
    });
    let refused = 0;
    fc.assert(
      fc.property(
        fc.nat({ max: carriers.length - 1 }),
        fc.array(asked, { minLength: 60, maxLength: 60 }),
        fc.array(fc.array(fate, { minLength: 60, maxLength: 60 }), { minLength: 4, maxLength: 4 }),
        (which, wishes, fates) => {
          const carrier = carriers[which] ?? role;
          const admitted: PlannedGrant[] = [];
          wishes.forEach(({ first, instances: count, end }, n) => {
            const instances = Array.from({ length: count }, (_, i) => pool[(first + i) % pool.length] ?? ref(0));
            const times = end === null ? { afterConnectSeconds: 3600 } : { notBefore: at(0), endsAt: at(3600 + end) };
            const grant = { id: `g${n}`, instances, ...times };
            if (roomFor(carrier, [...admitted, grant]).fits) admitted.push(grant);
            else refused += 1;
          });
          for (const fatesOfAll of [fates[0]?.map((one) => ({ ...one, lives: true })) ?? [], ...fates]) {
            const left = admitted.flatMap((grant, n): CompiledGrant[] => {
              const { lives, connects, shortened, fewer } = fatesOfAll[n] ?? { lives: false };
              if (!lives) return [];
              if ('endsAt' in grant) return [grant];
              const notBefore = at(connects ?? 0);
              const endsAt = new Date(notBefore.getTime() + (grant.afterConnectSeconds * 1000) / (shortened ?? 1));
              return [{ id: grant.id, instances: grant.instances.slice(fewer ? -1 : 0), notBefore, endsAt }];
            });
            expect(fitsWritten(carrier, left)).toBe(true);
            // Nobody who was let in is refused when they connect.
            expect(roomFor(carrier, left).fits).toBe(true);
          }
        },
      ),
      { numRuns: 60, seed: 20_261_123 },
    );
    expect(refused).toBeGreaterThan(100);
  });
});

test('headroom says no before the document is too large', () => {
  const asked = (count: number) =>
    Array.from({ length: count }, (_, grant) => ({
      id: `g${grant}`,
      instances: Array.from({ length: 20 }, (_one, n) => ref(grant * 20 + n)),
      afterConnectSeconds: 3600,
    }));
  expect(headroom(role, asked(3)).fits).toBe(true);
  expect(headroom(role, asked(8))).toMatchObject({ fits: false, moreInstances: 0 });
});
