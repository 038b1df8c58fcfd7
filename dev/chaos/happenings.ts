/** What may happen in a history, how likely each is, and how it is printed. */
import fc from 'fast-check';
import type { AwsFault } from './aws.ts';
import { type MachineName, machineNames } from './company.ts';
import { type Seat, seats } from './crew.ts';
import { type Name, names } from './offices.ts';
import { environments } from './tags.ts';

const who = fc.constantFrom(...names);
const which = fc.nat({ max: 30 });
const seconds = fc.constantFrom(60, 900, 3600, 7200, 43_200);
const machine = fc.constantFrom<MachineName>(...machineNames);
const machines = fc.oneof(
  machine.map((one): MachineName[] => [one]),
  fc.constantFrom<MachineName[]>(
    ['payments-sim-d1', 'payments-sim-d2'],
    ['payments-sim-d2', 'payments-api-1'],
    ['payments-api-1', 'payments-api-2', 'payments-api-3'],
  ),
);
const owner = fc.constant('owner' as const);
/** Which backend is the faster one. */
const by = fc.constantFrom<Seat>(...seats);
const fault = fc.constantFrom<AwsFault>('throttled', 'fails-before', 'fails-after', 'answer-lost', 'slow');

const step = fc.oneof(
  { weight: 3, arbitrary: fc.record({ do: fc.constant('submit' as const), who, what: machines, seconds }) },
  {
    weight: 12,
    arbitrary: fc.record({
      do: fc.constant('submit' as const),
      who: fc.constantFrom<Name>('mira', 'jonas'),
      what: machines,
      seconds,
    }),
  },
  // Most of what is asked is given, or nothing would ever come to an end.
  { weight: 9, arbitrary: fc.record({ do: fc.constant('approve' as const), which }) },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('decide' as const),
      who: fc.constantFrom<Name>('jonas', 'aiko', 'mira', 'dele'),
      which,
      verdict: fc.constantFrom('yes' as const, 'less' as const, 'no' as const),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('withdraw' as const), who, which }) },
  { weight: 12, arbitrary: fc.record({ do: fc.constant('connect' as const), which, by }) },
  // Whoever has access uses it; somebody else tries what they were not given.
  { weight: 8, arbitrary: fc.record({ do: fc.constant('use' as const), which }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('open' as const), who, what: machine }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('extend' as const), which, seconds, by }) },
  {
    weight: 4,
    arbitrary: fc.record({ do: fc.constant('end' as const), who: fc.oneof(owner, owner, who), which, by }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('signOut' as const), who }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('leave' as const), who, comesBack: fc.boolean() }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('comeBack' as const), who }) },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant('kill' as const),
      scope: fc.constantFrom(0, 1, 1, 0, 2, 3),
      who,
      what: machine,
    }),
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('lift' as const), which }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('vanish' as const), what: machine, back: fc.boolean() }) },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant('retag' as const),
      what: machine,
      environment: fc.constantFrom(...environments),
    }),
  },
  { weight: 1, arbitrary: fc.constant({ do: 'lapse' as const }) },
  {
    weight: 10,
    arbitrary: fc.record({
      do: fc.constant('pass' as const),
      seconds: fc.constantFrom(1, 1, 5, 5, 29, 29, 60, 60, 600, 600, 3600, 14_400),
      attended: fc.boolean(),
      by,
    }),
  },
  { weight: 8, arbitrary: fc.record({ do: fc.constant('work' as const), by }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('sweep' as const), by }) },
  {
    weight: 7,
    arbitrary: fc.record({
      do: fc.constant('fault' as const),
      fault,
      after: fc.nat({ max: 8 }),
      times: fc.constantFrom(1, 1, 3, 8),
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('spread' as const), ms: fc.constantFrom(0, 1000, 8000) }) },
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant('crash' as const),
      of: fc.constantFrom('sql' as const, 'aws-before' as const, 'aws-after' as const, 'session-ended' as const),
      after: fc.nat({ max: 12 }),
      how: fc.constantFrom('gone' as const, 'gone' as const, 'silent' as const),
      by,
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('stall' as const),
      after: fc.nat({ max: 8 }),
      seconds: fc.constantFrom(8, 45),
      by,
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant('skew' as const), ms: fc.constantFrom(-2000, -700, 0, 700, 2000) }),
  },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('start' as const), by }) },
);

export type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

/** A step that shrinks to nothing at all: so a history that failed becomes as short as it can. */
export const maybeStep: fc.Arbitrary<Step | null> = fc.option(step, { nil: null, freq: 1_000_000 });

export const describeStep = (one: Step): string =>
  Object.entries(one)
    .map(([key, value]) => (key === 'do' ? String(value) : `${key} ${Array.isArray(value) ? value.join('+') : value}`))
    .join(', ');
