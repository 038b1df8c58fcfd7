import { describe, expect, test } from 'vitest';
import { onErrand } from './errand.ts';
import { createLooks, type LookPage } from './session-looks.ts';

type Session = { owner: string; id: string };

/** A place whose calls go out when the test says so. */
const place = (sessions: readonly Session[], pageSize = 100) => {
  const asked: Array<string | null> = [];
  const gates: Array<() => void> = [];
  let failing: Error | null = null;
  const page: LookPage<Session> = async (owner, token) => {
    asked.push(owner);
    if (failing !== null) throw failing;
    const all = sessions.filter((one) => owner === null || one.owner.startsWith(owner));
    const from = Number(token ?? 0);
    const next = from + pageSize < all.length ? String(from + pageSize) : undefined;
    return { items: all.slice(from, from + pageSize), next };
  };
  const looks = createLooks<Session>({
    call: async (send) => {
      await new Promise<void>((resolve) => gates.push(resolve));
      return send();
    },
    page,
    ownerOf: ({ owner }) => owner,
  });
  return {
    looks,
    asked,
    fail: (error: Error | null) => {
      failing = error;
    },
    letOut: async () => {
      await expect.poll(() => gates.length).toBeGreaterThan(0);
      gates.shift()?.();
    },
  };
};
const sessions = ['alice', 'alice-bob', 'carol', 'dave'].map((owner) => ({ owner, id: `${owner}-1` }));

describe('createLooks', () => {
  test('AWS-04 one look asks for one owner, and answers by the exact name', async () => {
    const { looks, asked, letOut } = place(sessions);
    const found = looks('alice');
    await letOut();
    expect(await found).toEqual([{ owner: 'alice', id: 'alice-1' }]);
    expect(asked).toEqual(['alice']);
  });

  test('whoever waits until the call goes out is answered by it, each with their own', async () => {
    const { looks, asked, letOut } = place(sessions);
    const all = ['alice', 'carol', 'dave', 'nobody'].map((owner) => looks(owner));
    await letOut();
    expect((await Promise.all(all)).map((found) => found.map(({ id }) => id))).toEqual([
      ['alice-1'],
      ['carol-1'],
      ['dave-1'],
      [],
    ]);
    expect(asked).toEqual([null]);
  });

  test('who comes after it went out is answered by the next one: an older answer proves nothing', async () => {
    const list: Session[] = [...sessions];
    const { looks, asked, letOut } = place(list);
    const first = looks('alice');
    await letOut();
    await first;
    list.push({ owner: 'alice', id: 'alice-2' });
    const second = looks('alice');
    await letOut();
    expect((await second).map(({ id }) => id)).toEqual(['alice-1', 'alice-2']);
    expect(asked).toHaveLength(2);
  });

  test('everybody is only asked for when that is cheaper', async () => {
    const many = Array.from({ length: 9 }, (_, n) => ({ owner: `other-${n}`, id: String(n) }));
    const { looks, asked, letOut } = place([...sessions, ...many], 2);
    const all = looks(null);
    for (let n = 0; n < 7; n += 1) await letOut();
    expect(await all).toHaveLength(13);
    asked.length = 0;
    const two = [looks('carol'), looks('dave')];
    await letOut();
    await letOut();
    await Promise.all(two);
    expect(asked).toEqual(['carol', 'dave']);
  });

  test('an ending is looked for first', async () => {
    const many = Array.from({ length: 9 }, (_, n) => ({ owner: `other-${n}`, id: String(n) }));
    const { looks, asked, letOut } = place([...sessions, ...many], 2);
    const all = looks(null);
    for (let n = 0; n < 7; n += 1) await letOut();
    await all;
    asked.length = 0;
    const both = [
      onErrand({ urgency: 'looking' }, () => looks('carol')),
      onErrand({ urgency: 'ending' }, () => looks('dave')),
    ];
    await letOut();
    await letOut();
    await Promise.all(both);
    expect(asked).toEqual(['dave', 'carol']);
  });

  test('a call that fails fails for those whom it was to answer, and for nobody after', async () => {
    const { looks, fail, letOut } = place(sessions);
    fail(new Error('told no'));
    const both = Promise.allSettled([looks('alice'), looks('carol')]);
    await letOut();
    expect((await both).map(({ status }) => status)).toEqual(['rejected', 'rejected']);
    fail(null);
    const again = looks('carol');
    await letOut();
    expect(await again).toHaveLength(1);
  });
});
