import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { InstanceRef } from '../../../shared/access.ts';
import {
  allToggled,
  boxState,
  environmentKey,
  isNewHybrid,
  isProduction,
  rowsInView,
  teamKey,
  toggled,
  withRange,
} from './selection.ts';

const items: InstanceRef[] = Array.from({ length: 30 }, (_, index) => ({
  accountId: '482011773306',
  region: 'eu-central-1',
  instanceId: `i-${String(index).padStart(17, '0')}`,
}));
const pick = (...indexes: number[]): InstanceRef[] => items.filter((_, index) => indexes.includes(index));

describe('selection', () => {
  it('toggles one and leaves the others, also those that no longer match', () => {
    const outside = { ...(items[0] ?? fail()), region: 'us-east-1' };
    expect(toggled([outside], items[3] ?? fail())).toEqual([outside, items[3]]);
    expect(toggled([outside, ...pick(3)], items[3] ?? fail())).toEqual([outside]);
  });

  it('takes a range in either direction, once each', () => {
    expect(withRange(pick(4), items, { from: 5, to: 3 })).toHaveLength(3);
    expect(withRange([], items, { from: -4, to: 1 })).toEqual(pick(0, 1));
  });

  it('selects all that are shown and lets them go again, nothing else', () => {
    const outside = { ...(items[0] ?? fail()), region: 'us-east-1' };
    const all = allToggled([outside], items);
    expect(boxState(all, items)).toBe('all');
    expect(allToggled(all, items)).toEqual([outside]);
    expect(boxState(pick(1), items)).toBe('some');
    expect(boxState([outside], items)).toBe('none');
  });

  it('never holds one instance twice, whatever is clicked', () => {
    const index = fc.integer({ min: 0, max: 29 });
    const step = fc.oneof(
      index.map((at) => (chosen: InstanceRef[]) => toggled(chosen, items[at] ?? fail())),
      fc.tuple(index, index).map(
        ([from, to]) =>
          (chosen: InstanceRef[]) =>
            withRange(chosen, items, { from, to }),
      ),
      fc.constant((chosen: InstanceRef[]) => allToggled(chosen, items)),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
        const chosen = steps.reduce<InstanceRef[]>((before, apply) => apply(before), []);
        expect(new Set(chosen.map(({ instanceId }) => instanceId)).size).toBe(chosen.length);
      }),
    );
  });
});

describe('rows in view', () => {
  it('draws what is seen and a few more, of ten thousand', () => {
    expect(rowsInView({ scrollTop: 36_000, height: 720, rowHeight: 36 }, 10_000, 5)).toEqual({ start: 995, end: 1025 });
  });

  it('always covers the view and stays within the list', () => {
    fc.assert(
      fc.property(
        fc.nat(400_000),
        fc.integer({ min: 1, max: 2000 }),
        fc.integer({ min: 1, max: 90 }),
        fc.nat(10_000),
        (scrollTop, height, rowHeight, rows) => {
          const { start, end } = rowsInView({ scrollTop, height, rowHeight }, rows);
          expect(start).toBeGreaterThanOrEqual(0);
          expect(end).toBeLessThanOrEqual(rows);
          expect(start).toBeLessThanOrEqual(end);
          const firstSeen = Math.floor(scrollTop / rowHeight);
          if (firstSeen < rows) expect(start <= firstSeen && firstSeen < end).toBe(true);
        },
      ),
    );
  });
});

describe('what a row says', () => {
  it('finds the tags by the names organisations use', () => {
    expect(environmentKey({ Env: 'x' })).toBe('Env');
    expect(environmentKey({ Environment: 'x' })).toBe('Environment');
    expect(teamKey({ name: 'x' })).toBeNull();
    expect([isProduction('prod'), isProduction('production'), isProduction('nonprod')]).toEqual([true, true, false]);
  });

  it('AWS-16 marks a hybrid node of the last day, and no other', () => {
    const now = Date.parse('2026-11-19T14:00:00.000Z');
    const node = (kind: 'ec2' | 'hybrid', hours: number) =>
      isNewHybrid(
        {
          ...(items[0] ?? fail()),
          accountName: 'a',
          name: 'n',
          kind,
          platform: 'Linux',
          tags: {},
          online: true,
          firstSeenAt: new Date(now - hours * 3_600_000).toISOString(),
          checkedAt: new Date(now).toISOString(),
        },
        now,
      );
    expect([node('hybrid', 23), node('hybrid', 25), node('ec2', 1)]).toEqual([true, false, false]);
  });
});

function fail(): never {
  throw new Error('the list is shorter than the test thinks');
}
