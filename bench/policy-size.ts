/** How many one-instance grants fit a principal: compiled together, let in, and as one policy per grant with the same statements. */
import {
  type CompiledGrant,
  type CompiledPolicy,
  compileAccessPolicy,
  inlineLimits,
  type PolicyCarrier,
} from '../backend/access-policy/compile.ts';
import { roomFor } from '../backend/access-policy/headroom.ts';
import type { Figure } from './figures.ts';

const place = { partition: 'aws', accountId: '482011773306' };
const sessionName = 'mira.okafor.1a2b3c4d';
const carriers: ReadonlyArray<{ name: string; carrier: PolicyCarrier }> = [
  {
    name: 'role, inline',
    carrier: { ...place, kind: 'role', sessionName, carrier: 'inline', managedPolicies: 0 },
  },
  {
    name: 'role, inline and 10 managed',
    carrier: { ...place, kind: 'role', sessionName, carrier: 'inline', managedPolicies: 10 },
  },
  {
    name: 'role, 10 managed',
    carrier: { ...place, kind: 'role', sessionName, carrier: 'managed', managedPolicies: 10 },
  },
  { name: 'user, inline', carrier: { ...place, kind: 'user', carrier: 'inline', managedPolicies: 0 } },
  { name: 'group, inline', carrier: { ...place, kind: 'group', carrier: 'inline', managedPolicies: 0 } },
];

/** How many different ends the grants have: all share one, five, or each has its own. */
const ends: ReadonlyArray<{ name: string; of: (n: number) => number }> = [
  { name: 'one end', of: () => 0 },
  { name: 'five ends', of: (n) => n % 5 },
  { name: 'each its own end', of: (n) => n },
];

const begin = Date.parse('2026-11-22T09:00:00Z');
const grantOf = (n: number, second: number): CompiledGrant => ({
  id: `grant ${n}`,
  instances: [{ accountId: place.accountId, region: 'eu-west-1', instanceId: `i-${n.toString(16).padStart(17, '0')}` }],
  notBefore: new Date(begin),
  endsAt: new Date(begin + 7_200_000 + second * 1000),
});

const grantsOf = (count: number, of: (n: number) => number): CompiledGrant[] =>
  Array.from({ length: count }, (_, n) => grantOf(n, of(n)));

const compiled = (carrier: PolicyCarrier, count: number, of: (n: number) => number): CompiledPolicy =>
  compileAccessPolicy({ ...carrier, grants: grantsOf(count, of) });

/** The largest number for which it holds, when it holds for all below. */
const most = (holds: (count: number) => boolean): number => {
  let [low, high] = [0, 1];
  while (holds(high)) [low, high] = [high, high * 2];
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2);
    if (holds(middle)) low = middle;
    else high = middle;
  }
  return low;
};

/** One policy per grant: each with its two statements, and the base once. A managed policy takes one attachment each. */
const perGrant = (carrier: PolicyCarrier): number => {
  const [first] = compiled({ ...carrier, carrier: 'managed', managedPolicies: 1 }, 1, () => 0).documents;
  const whole: { Version: string; Statement: object[] } = JSON.parse(first?.document ?? '');
  const size = (statements: object[]): number => JSON.stringify({ ...whole, Statement: statements }).length;
  const [one, base] = [size(whole.Statement.slice(0, 2)), size(whole.Statement.slice(2))];
  const inline = carrier.carrier === 'inline' ? Math.floor((inlineLimits[carrier.kind] - base) / one) : -1;
  return inline + carrier.managedPolicies;
};

/** Deterministic: it counts, nothing is timed. */
export const policySize = async (): Promise<Figure[]> =>
  carriers.flatMap(({ name, carrier }) =>
    ends.map(({ name: how, of }): Figure => {
      const all = most((count) => compiled(carrier, count, of).fits);
      const exact = most((count) => compiled(carrier, count, of).form === 'exact' && compiled(carrier, count, of).fits);
      const letIn = most((count) => roomFor(carrier, grantsOf(count, of)).fits);
      return {
        name: `one-instance grants: ${name}, ${how}`,
        unit: 'grants',
        values: [all],
        note: `${letIn} let in by what is promised; ${exact} of them with exact resuming; one policy per grant: ${perGrant(carrier)}`,
      };
    }),
  );
