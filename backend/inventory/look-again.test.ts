/** Second looks at instances: what they keep, in which order, and what becomes of those whom AWS does not answer. */
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { InstanceRef, TagChange } from '../../src/shared/access.ts';
import { refKey } from '../../src/shared/access.ts';
import { AwsProblem } from '../aws/errors.ts';
import type { ManagedInstance, Ssm, Tags } from '../aws/ssm.ts';
import { createLog } from '../log.ts';
import { type FreshStore, freshStore } from '../testing/fresh-store.ts';
import { type Found, keepReading } from './keep.ts';
import { createLookAgain } from './look-again.ts';

const place = { accountId: '111111111111', accountName: 'payments', region: 'eu-central-1' };
const idOf = (digit: string): string => `i-${digit.repeat(17)}`;
const refOf = (digit: string): InstanceRef => ({
  accountId: place.accountId,
  region: place.region,
  instanceId: idOf(digit),
});
const managed = (digit: string, online = true): ManagedInstance => ({
  ...{ instanceId: idOf(digit), name: `host-${digit}`, kind: 'ec2', platform: 'Linux' },
  online,
});
const found = (digit: string, tags: Tags | null): Found => ({ ...managed(digit), tags });
const trustedTags = ['team', 'env'];
const start = Date.parse('2026-11-22T10:00:00.000Z');
const minute = (minutes: number): Date => new Date(start + minutes * 60_000);

let store: FreshStore;
beforeEach(async () => {
  store = await freshStore();
});
afterEach(() => store.close());

const read = (minutes: number, all: Found[], only: string[] | null = null) =>
  keepReading(store.db, place, { found: all, readAt: minute(minutes), only, trustedTags });
const row = (digit: string) =>
  store.db.selectFrom('instances').selectAll().where('instance_id', '=', idOf(digit)).executeTakeFirstOrThrow();
const changesOf = async (digit: string) =>
  (await row(digit)).tag_changes.map(({ key, from, to }: TagChange) => `${key}: ${from} → ${to}`);

test('RQ-07 changes of trusted tags are kept from the second time an instance is seen, there and back as two', async () => {
  await read(0, [found('a', { env: 'prod', owner: 'x' })]);
  expect(await changesOf('a')).toEqual([]);
  await read(1, [found('a', { env: 'dev', owner: 'y', team: 'payments' })]);
  await read(2, [found('a', { env: 'prod', owner: 'y' })]);
  expect(await changesOf('a')).toEqual([
    'team: null → payments',
    'env: prod → dev',
    'team: payments → null',
    'env: dev → prod',
  ]);
  // It goes and comes back as something else.
  await read(3, []);
  await read(4, [found('a', { env: 'test' })]);
  expect((await changesOf('a')).at(-1)).toBe('env: prod → test');
});

test('RQ-07 no more is kept than the ten newest of the last day', async () => {
  await read(0, [found('a', { env: '0' })]);
  for (let at = 1; at <= 12; at += 1) await read(at, [found('a', { env: String(at) })]);
  const kept = await changesOf('a');
  expect([kept.length, kept[0], kept.at(-1)]).toEqual([10, 'env: 2 → 3', 'env: 11 → 12']);
  await read(24 * 60 + 10, [found('a', { env: '13' })]);
  expect(await changesOf('a')).toEqual(['env: 10 → 11', 'env: 11 → 12', 'env: 12 → 13']);
});

test('RQ-07 a second look keeps its tags though a list was read meanwhile; tags that were read earlier do not come back', async () => {
  await read(0, [found('a', { env: 'prod' })]);
  await read(10, [{ ...managed('a', false), tags: null }]);
  await read(5, [found('a', { env: 'dev' })], [idOf('a')]);
  expect(await row('a')).toMatchObject({ tags: { env: 'dev' }, online: false, checked_at: minute(10) });
  expect(await changesOf('a')).toEqual(['env: prod → dev']);
  await read(4, [found('a', { env: 'prod' })]);
  expect((await row('a')).tags).toEqual({ env: 'dev' });
});

/** AWS as the test has it; each look is noted when it begins. */
const openLook = (answers: Partial<Pick<Ssm, 'managedInstances' | 'tagsOf'>> = {}, patienceMs = 60_000) => {
  const looks: string[][] = [];
  const ssm: Pick<Ssm, 'managedInstances' | 'tagsOf'> = {
    managedInstances: async (_account, _region, ids = []) => ids.map((id) => managed(id.charAt(2))),
    tagsOf: async (_account, _region, ids) => new Map(ids.map((id) => [id, { env: 'dev' }])),
    ...answers,
  };
  const log = createLog({ write: () => undefined });
  const noted: typeof ssm = {
    ...ssm,
    managedInstances: (account, region, ids = []) => {
      looks.push(ids.map((id) => id.charAt(2)));
      return ssm.managedInstances(account, region, ids);
    },
  };
  let at = 0;
  const now = () => {
    at += 1;
    return minute(at);
  };
  return { looks, ...createLookAgain({ db: store.db, ssm: noted, trustedTags, patienceMs, now, log }, [place]) };
};
const nothingUnread = { unread: new Set<string>() };

test('a look touches only what it is about: one that is gone is kept as gone, the others are not missed', async () => {
  await read(0, [found('a', { env: 'prod' }), found('b', {}), found('c', {})]);
  const { look } = openLook({ managedInstances: async () => [managed('a', false)] });
  expect(await look([refOf('a'), refOf('b')])).toEqual(nothingUnread);
  expect(await row('a')).toMatchObject({ online: false, tags: { env: 'dev' }, gone_at: null });
  expect((await row('b')).gone_at).toBeInstanceOf(Date);
  expect(await row('c')).toMatchObject({ gone_at: null, checked_at: minute(0) });
});

test('those who come while a place is looked at share the next look, which begins after they came', async () => {
  await read(
    0,
    ['a', 'b', 'c'].map((digit) => found(digit, {})),
  );
  const first = Promise.withResolvers<void>();
  const { look, looks } = openLook({
    managedInstances: async (_account, _region, ids = []) => {
      if (ids.includes(idOf('a'))) await first.promise;
      return ids.map((id) => managed(id.charAt(2)));
    },
  });
  const all = [look([refOf('a')]), look([refOf('b')]), look([refOf('c'), refOf('b')])];
  expect(looks).toEqual([['a']]);
  first.resolve();
  expect(await Promise.all(all)).toEqual([nothingUnread, nothingUnread, nothingUnread]);
  expect(looks).toEqual([['a'], ['b', 'c']]);
});

/** The first call of all hangs until it is let go. */
const openHanging = (patienceMs: number) => {
  const hung = Promise.withResolvers<ManagedInstance[]>();
  let calls = 0;
  const managedInstances: Ssm['managedInstances'] = async (_account, _region, ids = []) => {
    calls += 1;
    return calls === 1 ? hung.promise : ids.map((id) => managed(id.charAt(2)));
  };
  return { ...openLook({ managedInstances }, patienceMs), letGo: () => hung.resolve([managed('a')]) };
};

test('RQ-07 a call that hangs leaves who asked without an answer, and what it tells in the end is kept', async () => {
  await read(0, [found('a', { env: 'prod' })]);
  const { look, done, letGo } = openHanging(50);
  expect(await look([refOf('a')])).toEqual({ unread: new Set([refKey(refOf('a'))]) });
  expect((await row('a')).tags).toEqual({ env: 'prod' });
  letGo();
  await done();
  expect((await row('a')).tags).toEqual({ env: 'dev' });
});

test('a call that hangs holds up those who come next for a moment only', async () => {
  await read(0, [found('a', {}), found('b', {})]);
  const { look, letGo } = openHanging(60_000);
  const slow = look([refOf('a')]);
  expect(await look([refOf('b')])).toEqual(nothingUnread);
  letGo();
  expect(await slow).toEqual(nothingUnread);
});

test('RQ-07 what AWS refuses, and a place that is no longer read, is told; a fault of ours is a fault', async () => {
  await read(0, [found('a', {})]);
  const refused = openLook({
    tagsOf: () => Promise.reject(new AwsProblem({ kind: 'permanent', code: 'x', advice: 'No.', call: 'ec2:x' })),
  });
  const elsewhere = { ...refOf('a'), region: 'eu-west-1' };
  expect(await refused.look([refOf('a'), elsewhere])).toEqual({
    unread: new Set([refKey(refOf('a')), refKey(elsewhere)]),
  });
  const broken = openLook({ tagsOf: () => Promise.reject(new Error('a slip of ours')) });
  await expect(broken.look([refOf('a')])).rejects.toThrow('a slip of ours');
});
