import { expect, it } from 'vitest';
import { Refusal } from '../../shared/refusal.ts';
import { Unreachable } from '../ports.ts';
import { inMs, instance, minutes } from '../testing/snapshots.ts';
import { createSessionTelling } from './session-telling.ts';

/** A backend that answers as a test has laid ready, and timers that run when told to. */
const build = () => {
  const failures: Array<Error> = [];
  const told: string[] = [];
  const timers: Array<{ ms: number; run: () => void }> = [];
  let closesAt: string | null = inMs(30 * minutes);
  const telling = createSessionTelling({
    backend: {
      sessionStarted: async (input) => {
        told.push(`started ${input.sessionId} ${input.closesAt ?? 'unknown'}`);
        const failure = failures.shift();
        if (failure !== undefined) throw failure;
      },
      sessionEnded: async ({ sessionId }) => void told.push(`ended ${sessionId}`),
    },
    closesAt: () => closesAt,
    timers: {
      after: (ms, run) => {
        const timer = { ms, run };
        timers.push(timer);
        return () => {
          if (timers.includes(timer)) timers.splice(timers.indexOf(timer), 1);
        };
      },
    },
    log: () => undefined,
  });
  const { accountId, region, instanceId } = instance('x');
  const settled = async () => {
    for (let turn = 0; turn < 10; turn += 1) await Promise.resolve();
  };
  return {
    telling,
    told,
    failures,
    timers,
    settled,
    start: () => telling.started({ sessionId: 's-1', grantId: 'g', instance: { accountId, region, instanceId } }),
    later: async () => {
      const waits = timers.splice(0);
      for (const { run } of waits) run();
      await settled();
      return waits.map(({ ms }) => ms);
    },
    moveEnd: (to: string | null) => {
      closesAt = to;
    },
  };
};

const started = `started s-1 ${inMs(30 * minutes)}`;

it('a session is told again until the backend has heard of it, later each time', async () => {
  const { start, failures, settled, later, told } = build();
  failures.push(new Unreachable('the backend'), new Unreachable('the backend'), new Refusal('busy'));
  start();
  await settled();
  expect([await later(), await later(), await later()]).toEqual([[1000], [2000], [4000]]);
  expect(told).toEqual([started, started, started, started]);
  expect(await later()).toEqual([]);
});

it('a session is told again at once when the backend is heard, and only once', async () => {
  const { start, failures, settled, told, telling, timers } = build();
  failures.push(new Unreachable('the backend'));
  start();
  await settled();
  telling.again();
  telling.again();
  await settled();
  telling.again();
  expect(told).toEqual([started, started]);
  expect(timers).toEqual([]);
});

it('a moved end is told once, and again should that fail', async () => {
  const { start, failures, settled, told, telling, moveEnd } = build();
  start();
  await settled();
  moveEnd(inMs(60 * minutes));
  failures.push(new Unreachable('the backend'));
  telling.again();
  await settled();
  telling.again();
  await settled();
  moveEnd(null);
  telling.again();
  await settled();
  const moved = `started s-1 ${inMs(60 * minutes)}`;
  expect(told).toEqual([started, moved, moved]);
});

it('a session that the backend refuses for good, or that is over, is told no more', async () => {
  const refused = build();
  refused.failures.push(new Refusal('wrong_state'));
  refused.start();
  await refused.settled();
  refused.telling.again();
  expect(await refused.later()).toEqual([]);
  expect(refused.told).toEqual([started]);

  const over = build();
  over.failures.push(new Unreachable('the backend'));
  over.start();
  await over.settled();
  over.telling.ended('s-1');
  over.telling.ended('s-1');
  over.telling.again();
  expect(await over.later()).toEqual([]);
  expect(over.told).toEqual([started, 'ended s-1']);
});

it('the end of a session is told after its start, and its start not again', async () => {
  const { start, failures, settled, later, told, telling } = build();
  failures.push(new Unreachable('the backend'));
  start();
  telling.ended('s-1');
  await settled();
  expect(await later()).toEqual([]);
  expect(told).toEqual([started, 'ended s-1']);
});
