import { describe, expect, test } from 'vitest';
import { createBudget } from './budget.ts';
import { AwsProblem, awsProblem } from './errors.ts';

describe('createBudget', () => {
  test('lets a burst through, then keeps the rate whoever asks, and fills up again', async () => {
    let now = 0;
    const waits: number[] = [];
    const sleep = async (ms: number): Promise<void> => void waits.push(Math.round(ms));
    const budget = createBudget({ perSecond: 5, burst: 2 }, { now: () => new Date(now), sleep, random: () => 0 });
    for (let n = 0; n < 5; n += 1) await budget.take();
    expect(waits).toEqual([200, 400, 600]);
    now = 10_000;
    await budget.take();
    await budget.take();
    expect(waits).toHaveLength(3);
  });
});

const sdkError = (name: string, status: number): Error =>
  Object.assign(new Error('told'), { name, $metadata: { httpStatusCode: status } });

describe('awsProblem', () => {
  test.each([
    ['Throttling', 400, 'retry'],
    ['ThrottlingException', 400, 'retry'],
    ['RequestLimitExceeded', 503, 'retry'],
    ['ConcurrentModificationException', 409, 'retry'],
    ['ExpiredTokenException', 400, 'retry'],
    ['SomethingNew', 500, 'retry'],
    ['NoSuchEntityException', 404, 'gone'],
    ['DoesNotExistException', 400, 'gone'],
    // The SDK takes it for throttling; it is a quota (aws-facts 10).
    ['LimitExceededException', 409, 'permanent'],
    ['MalformedPolicyDocumentException', 400, 'permanent'],
    ['AccessDenied', 403, 'permanent'],
    ['AccessDeniedException', 400, 'permanent'],
    ['UnmodifiableEntityException', 400, 'permanent'],
    ['SomethingElse', 400, 'permanent'],
  ] as const)('%s with status %i is %s', (name, status, kind) => {
    const problem = awsProblem('iam:PutRolePolicy', sdkError(name, status));
    expect(problem).toMatchObject({ kind, code: name });
    expect(problem.advice.length).toBeGreaterThan(20);
    expect(problem.message).toBe(`iam:PutRolePolicy: ${name}`);
  });

  test('a cut connection may be tried again; a problem stays what it is', () => {
    const cut = Object.assign(new Error('socket hang up'), { code: 'ECONNRESET' });
    const problem = awsProblem('ssm:TerminateSession', cut);
    expect(problem.kind).toBe('retry');
    expect(awsProblem('other', problem)).toBe(problem);
    expect(problem).toBeInstanceOf(AwsProblem);
  });
});
