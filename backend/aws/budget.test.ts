import { sql } from 'kysely';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type FreshStore, freshStore } from '../testing/fresh-store.ts';
import { createBudget, localBuckets, realTiming, sharedBuckets } from './budget.ts';
import type { Errand, Urgency } from './errand.ts';
import { AwsProblem, awsProblem, isThrottling } from './errors.ts';

/** A clock that only sleeping moves, so that a test takes no time. */
const steppedTiming = () => {
  let at = 0;
  return {
    now: () => new Date(at),
    sleep: async (ms: number): Promise<void> => {
      await new Promise(setImmediate);
      at += ms;
    },
    random: () => 0,
  };
};

const localBudget = (rate: { perSecond: number; burst: number }) => {
  const timing = steppedTiming();
  const waits: Array<{ urgency: Urgency; ms: number }> = [];
  const budget = createBudget({
    bucket: localBuckets(timing.now)('test', rate),
    burst: rate.burst,
    timing,
    waited: (urgency, ms) => waits.push({ urgency, ms }),
  });
  return { budget, timing, waits };
};
const ending = (): Errand => ({ urgency: 'ending' });
const beginning = (): Errand => ({ urgency: 'beginning' });

describe('createBudget', () => {
  test('lets a burst through, then keeps the rate whoever asks', async () => {
    const { budget, timing, waits } = localBudget({ perSecond: 5, burst: 2 });
    for (let n = 0; n < 12; n += 1) await budget.take(ending());
    expect(waits.slice(0, 2)).toEqual([
      { urgency: 'ending', ms: 0 },
      { urgency: 'ending', ms: 0 },
    ]);
    // Ten more at five a second.
    expect(timing.now().getTime()).toBeGreaterThanOrEqual(1_990);
    expect(timing.now().getTime()).toBeLessThan(2_300);
  });

  test('beginnings leave a part of the bucket: an ending that comes after them does not wait at all', async () => {
    const { budget, waits } = localBudget({ perSecond: 5, burst: 5 });
    const begun = Array.from({ length: 20 }, () => budget.take(beginning()));
    await begun[2];
    const since = waits.length;
    await budget.take(ending());
    expect(waits.slice(since).find(({ urgency }) => urgency === 'ending')?.ms).toBe(0);
    await Promise.all(begun);
    expect(waits).toHaveLength(21);
  });

  test('an ending overtakes whoever waits, and what waits becomes urgent when its errand does', async () => {
    const { budget } = localBudget({ perSecond: 1, burst: 1 });
    await budget.take(ending());
    const order: string[] = [];
    const raised = beginning();
    const all = [
      budget.take({ urgency: 'looking' }).then(() => order.push('look')),
      budget.take(beginning()).then(() => order.push('beginning')),
      budget.take(raised).then(() => order.push('raised')),
      budget.take(ending()).then(() => order.push('ending')),
    ];
    raised.urgency = 'ending';
    await Promise.all(all.slice(2));
    expect(order.toSorted()).toEqual(['ending', 'raised']);
  });

  test('throttling lowers the rate, and it grows back', async () => {
    const { budget, timing } = localBudget({ perSecond: 10, burst: 5 });
    await budget.throttled();
    await budget.throttled();
    const since = timing.now().getTime();
    for (let n = 0; n < 10; n += 1) await budget.take(ending());
    const slow = timing.now().getTime() - since;
    expect(slow).toBeGreaterThan(1_300);
    await timing.sleep(30_000);
    for (let n = 0; n < 5; n += 1) await budget.take(ending());
    const again = timing.now().getTime();
    for (let n = 0; n < 10; n += 1) await budget.take(ending());
    expect(timing.now().getTime() - again).toBeLessThan(1_300);
  });

  test('when its store fails, all who wait hear of it and the next one tries anew', async () => {
    let broken = true;
    const bucket = {
      take: async (wanted: number) => {
        if (broken) throw new Error('the store is away');
        return { taken: wanted, waitMs: 0 };
      },
      throttled: async () => undefined,
    };
    const budget = createBudget({ bucket, burst: 5, timing: steppedTiming() });
    const both = await Promise.allSettled([budget.take(ending()), budget.take(beginning())]);
    expect(both.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
    broken = false;
    await budget.take(beginning());
  });
});

describe('budgets of several backends', () => {
  let fresh: FreshStore;
  beforeAll(async () => {
    fresh = await freshStore();
  });
  afterAll(() => fresh.close());

  test('two backends together stay below AWS’s rate by more than no burst', async () => {
    const rate = { perSecond: 20, burst: 4 };
    const two = [1, 2].map(() =>
      createBudget({ bucket: sharedBuckets(fresh.db)('together', rate), burst: rate.burst, timing: realTiming }),
    );
    const since = performance.now();
    // 60 calls in all: 4 at once, the others at 20 a second.
    await Promise.all(two.flatMap((budget) => Array.from({ length: 30 }, () => budget.take(ending()))));
    expect(performance.now() - since).toBeGreaterThan(((60 - rate.burst) / rate.perSecond) * 1000 - 100);
  });

  test('what one backend hears of throttling, the other keeps to', async () => {
    const rate = { perSecond: 10, burst: 3 };
    const [one, other] = [sharedBuckets(fresh.db)('slow', rate), sharedBuckets(fresh.db)('slow', rate)];
    expect(await one.take(1, 0)).toMatchObject({ taken: 1 });
    for (let n = 0; n < 6; n += 1) await one.throttled();
    expect(await other.take(3, 0)).toMatchObject({ taken: 0 });
    const row = await fresh.db.selectFrom('budgets').selectAll().where('name', '=', 'slow').executeTakeFirstOrThrow();
    expect(row.share).toBeLessThan(0.5);
    expect(row.tokens).toBeLessThan(1);
  });

  test('a share is kept for endings in the database too', async () => {
    const bucket = sharedBuckets(fresh.db)('kept', { perSecond: 0.001, burst: 4 });
    expect((await bucket.take(10, 2)).taken).toBe(2);
    expect((await bucket.take(10, 2)).taken).toBe(0);
    expect((await bucket.take(10, 0)).taken).toBe(2);
  });

  test('calls go on when the database’s clock is set back', async () => {
    const bucket = sharedBuckets(fresh.db)('set back', { perSecond: 50, burst: 4 });
    expect((await bucket.take(4, 0)).taken).toBe(4);
    // What was written before the step is ahead now.
    await sql`update budgets set filled_at = filled_at + interval '10 minutes' where name = 'set back'`.execute(
      fresh.db,
    );
    // The first look only sees the step: nothing is given for a time that nobody knows.
    expect((await bucket.take(4, 0)).taken).toBe(0);
    await expect.poll(async () => (await bucket.take(1, 0)).taken, { timeout: 15_000 }).toBe(1);
  });
});

const sdkError = (name: string, status: number): Error =>
  Object.assign(new Error('told'), { name, $metadata: { httpStatusCode: status } });

describe('awsProblem', () => {
  test.each([
    // IAM (aws-facts 10)
    ['Throttling', 400, 'retry'],
    ['ConcurrentModificationException', 409, 'retry'],
    ['ServiceFailureException', 500, 'retry'],
    ['ServiceFailure', 500, 'retry'],
    ['NoSuchEntityException', 404, 'gone'],
    ['NoSuchEntity', 404, 'gone'],
    // The SDK takes it for throttling; it is a quota.
    ['LimitExceededException', 409, 'permanent'],
    ['LimitExceeded', 409, 'permanent'],
    ['MalformedPolicyDocumentException', 400, 'permanent'],
    ['UnmodifiableEntityException', 400, 'permanent'],
    ['EntityAlreadyExistsException', 409, 'permanent'],
    ['DeleteConflictException', 409, 'permanent'],
    ['PolicyNotAttachableException', 400, 'permanent'],
    ['InvalidInputException', 400, 'permanent'],
    ['AccessDenied', 403, 'permanent'],
    // STS
    ['ExpiredToken', 403, 'retry'],
    ['ExpiredTokenException', 400, 'retry'],
    ['RequestExpired', 400, 'retry'],
    ['InvalidClientTokenId', 403, 'permanent'],
    ['SignatureDoesNotMatch', 403, 'permanent'],
    ['ValidationError', 400, 'permanent'],
    ['PackedPolicyTooLargeException', 400, 'permanent'],
    ['RegionDisabledException', 403, 'permanent'],
    // SSM
    ['ThrottlingException', 400, 'retry'],
    ['InternalServerError', 500, 'retry'],
    ['DoesNotExistException', 400, 'gone'],
    ['AccessDeniedException', 400, 'permanent'],
    ['UnrecognizedClientException', 400, 'permanent'],
    ['TargetNotConnected', 400, 'permanent'],
    ['InvalidDocument', 400, 'permanent'],
    ['ValidationException', 400, 'permanent'],
    ['InvalidInstanceId', 400, 'permanent'],
    ['InvalidFilterKey', 400, 'permanent'],
    ['InvalidNextToken', 400, 'permanent'],
    // EC2
    ['RequestLimitExceeded', 503, 'retry'],
    ['UnauthorizedOperation', 403, 'permanent'],
    ['AuthFailure', 401, 'permanent'],
    // The SDK’s own, and what nobody has written down
    ['TimeoutError', 400, 'retry'],
    ['SomethingNew', 500, 'retry'],
    ['SomethingElse', 400, 'permanent'],
  ] as const)('%s with status %i is %s', (name, status, kind) => {
    const problem = awsProblem('iam:PutRolePolicy', sdkError(name, status));
    expect(problem).toMatchObject({ kind, code: name });
    expect(problem.advice.length).toBeGreaterThan(20);
    expect(problem.message).toBe(`iam:PutRolePolicy: ${name}`);
  });

  test('too many calls are known from other reasons to try again', () => {
    const throttled = [
      'Throttling',
      'ThrottlingException',
      'RequestLimitExceeded',
      'InternalServerError',
      'AccessDenied',
    ];
    expect(throttled.map((name) => isThrottling(awsProblem('x:Y', sdkError(name, 400))))).toEqual([
      true,
      true,
      true,
      false,
      false,
    ]);
  });

  test('a cut connection may be tried again; a problem stays what it is', () => {
    const cut = Object.assign(new Error('socket hang up'), { code: 'ECONNRESET' });
    const problem = awsProblem('ssm:TerminateSession', cut);
    expect(problem.kind).toBe('retry');
    expect(awsProblem('other', problem)).toBe(problem);
    expect(problem).toBeInstanceOf(AwsProblem);
  });
});
