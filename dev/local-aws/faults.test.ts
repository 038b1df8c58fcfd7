import { describe, expect, it } from 'vitest';
import { type Call, createFaults } from './faults.ts';

const start: Call = { service: 'ssm', operation: 'StartSession', accountId: '482011773306', region: 'eu-central-1' };
const put: Call = { service: 'iam', operation: 'PutRolePolicy', accountId: '482011773306', region: 'us-east-1' };

const setUp = () => {
  let at = Date.parse('2026-11-22T10:00:00Z');
  const faults = createFaults({ now: () => new Date(at) });
  /** How many of so many calls in a row are let through. */
  const passed = async (call: Call, calls: number): Promise<number> => {
    let through = 0;
    for (let n = 0; n < calls; n++) {
      await faults.beforeCall(call).then(
        () => (through += 1),
        (error: Error) => expect(error.message).toMatch(/Rate exceeded|Request limit/),
      );
    }
    return through;
  };
  const wait = (ms: number) => {
    at += ms;
  };
  return { faults, passed, wait };
};

describe('rate limits', () => {
  it('let AWS rates through in each account and region, and fill up again with time', async () => {
    const { passed, wait } = setUp();
    expect(await passed(start, 10)).toBe(3);
    expect(await passed({ ...start, region: 'eu-west-1' }, 10)).toBe(3);
    expect(await passed({ ...start, accountId: '739164205518' }, 10)).toBe(3);
    expect(await passed({ ...start, operation: 'TerminateSession' }, 10)).toBe(6);
    expect(await passed({ ...start, operation: 'GetConnectionStatus' }, 60)).toBe(50);
    wait(334);
    expect(await passed(start, 10)).toBe(1);
    wait(60_000);
    expect(await passed(start, 10)).toBe(3);
  });

  it('share one bucket among the IAM writes of an account, and leave reads alone', async () => {
    const { faults, passed, wait } = setUp();
    expect(await passed(put, 8)).toBe(8);
    expect(await passed({ ...put, operation: 'DeleteRolePolicy' }, 8)).toBe(2);
    expect(await passed({ ...put, operation: 'GetRolePolicy' }, 100)).toBe(100);
    await expect(faults.beforeCall(put)).rejects.toMatchObject({ code: 'Throttling', status: 400 });
    wait(1000);
    expect(await passed(put, 20)).toBe(5);
  });

  it('can be switched off and come back with a reset', async () => {
    const { faults, passed } = setUp();
    faults.change({ rateLimits: false });
    expect(await passed(start, 50)).toBe(50);
    faults.reset();
    expect(await passed(start, 50)).toBe(3);
  });
});

describe('fault rules', () => {
  it('count only the calls that they match and go when they are used up', async () => {
    const { faults } = setUp();
    faults.add({
      match: { operation: 'StartSession' },
      after: 1,
      times: 1,
      effect: { kind: 'error', code: 'Boom', message: 'no', status: 500 },
    });
    await faults.beforeCall(put);
    await faults.beforeCall(start);
    await expect(faults.beforeCall(start)).rejects.toMatchObject({ code: 'Boom', status: 500 });
    expect(faults.rules()).toEqual([]);
    await faults.beforeCall(start);
    expect(faults.calls().map((call) => call.outcome)).toEqual([
      'let-through',
      'let-through',
      'error-injected',
      'let-through',
    ]);
  });

  it('lose the answer after the call, for ever when asked so', async () => {
    const { faults } = setUp();
    faults.add({ match: { service: 'iam' }, after: 0, times: null, effect: { kind: 'lose-answer' } });
    await faults.beforeCall(put);
    expect([faults.loseAnswer(start), faults.loseAnswer(put), faults.loseAnswer(put)]).toEqual([false, true, true]);
    expect(faults.calls().map((call) => call.outcome)).toEqual(['answer-lost']);
  });
});

it('keeps the last 2,000 calls', async () => {
  const { faults } = setUp();
  for (let n = 0; n < 2100; n++) await faults.beforeCall({ ...put, operation: `Get${n}` });
  expect(faults.calls()).toHaveLength(2000);
  expect(faults.calls()[0]?.operation).toBe('Get100');
  faults.forgetCalls();
  expect(faults.calls()).toEqual([]);
});
