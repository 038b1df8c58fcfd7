import { describe, expect, test, vi } from 'vitest';
import { openScene } from '../provisioner/testing/scene.ts';

import { noteLook } from './changes-of-state.ts';
import { type Sealing, toJudge } from './sealing-looks.ts';
import { addHollowSession, giveAndEnd, grantRow, liveSessions, reconcilerOver } from './testing/over-scene.ts';
import { readPrincipal } from './wished.ts';

vi.setConfig({ testTimeout: 120_000 });

const roleOwner = 'arn:aws:sts::482011773306:assumed-role/curfew-1/mira.1a2b3c4d';
const onRole: Sealing = {
  ...{ grantId: 'g1', principalId: 'p1', kind: 'role', owner: roleOwner },
  ...{ region: 'eu-central-1', instanceId: 'i-0f3a9c1d7b24e8a61' },
};
const onGroup: Sealing = { ...onRole, grantId: 'g2', principalId: 'p2', kind: 'group', owner: '' };
const session = { owner: roleOwner, region: 'eu-central-1', target: 'i-0f3a9c1d7b24e8a61' };

describe('whose sessions a pass has to judge after an end', () => {
  test('of a role: its own, wherever they are, unless a live grant covers them', () => {
    const elsewhere = { ...session, target: 'i-05d81b70c9e3f4a22' };
    expect(toJudge([onRole], [session], new Set())).toEqual(new Set(['p1']));
    expect(toJudge([onRole], [elsewhere], new Set())).toEqual(new Set(['p1']));
    expect(toJudge([onRole], [session], new Set(['p1 eu-central-1/i-0f3a9c1d7b24e8a61']))).toEqual(new Set());
    expect(toJudge([onRole], [session], new Set(['p2 eu-central-1/i-0f3a9c1d7b24e8a61']))).toEqual(new Set(['p1']));
    expect(toJudge([onRole], [session], new Set(['p1 eu-west-1/i-0f3a9c1d7b24e8a61']))).toEqual(new Set(['p1']));
  });

  test('of a role: never those of a name that only begins like it', () => {
    expect(toJudge([onRole], [{ ...session, owner: `${roleOwner}e` }], new Set())).toEqual(new Set());
  });

  test('of a group: anybody’s on what has ended, and nobody’s elsewhere', () => {
    const somebody = { ...session, owner: 'arn:aws:iam::482011773306:user/people/alice' };
    expect(toJudge([onGroup], [somebody], new Set())).toEqual(new Set(['p2']));
    expect(toJudge([onGroup], [{ ...somebody, region: 'eu-west-1' }], new Set())).toEqual(new Set());
  });
});

test('AWS-03 a session that turns up after the end is found by the common look, long before the receipt is sealed', async () => {
  const scene = await openScene();
  const reconciler = reconcilerOver(scene, { timing: { sealMs: 3_600_000, lookEveryMs: 100 } });
  const soon = { timeout: 60_000, interval: 50 };
  try {
    const id = await giveAndEnd(scene, reconciler);
    const row = () => grantRow(scene, id);
    await expect.poll(async () => (await row()).receipt?.looks ?? 0, soon).toBeGreaterThan(2);
    expect((await row()).receipt).toMatchObject({ stage: 'gone', sessionsTerminated: [] });

    const sessionId = await addHollowSession(scene);
    await expect.poll(async () => (await row()).receipt?.sessionsTerminated, soon).toEqual([sessionId]);
    await expect.poll(() => liveSessions(scene), soon).toEqual([]);
    expect((await row()).receipt?.stage).toBe('gone');
  } finally {
    await reconciler.stop();
    await scene.close();
  }
});

test('promise 7: a backend that stood still writes nothing over a receipt that another one has sealed', async () => {
  const scene = await openScene();
  const { db } = scene.store;
  const reconciler = reconcilerOver(scene, { timing: { sealMs: 3_600_000, lookEveryMs: 3_600_000 } });
  try {
    const id = await giveAndEnd(scene, reconciler);
    const row = () => grantRow(scene, id);
    await reconciler.stop();

    const reading = {
      partition: 'aws',
      policyPlace: () => ({ carrier: 'inline' as const, managedPolicies: 0 }),
      sealKey: scene.sealKey,
      sealMs: 3_600_000,
      lookEveryMs: 10_000,
      lastLooks: new Map<string, Date>(),
    };
    const state = await readPrincipal(db, (await row()).principal_id, reading);
    const stale = state?.grants.get(id);
    const receipt = stale?.receipt;
    if (stale === undefined || receipt === undefined || receipt === null) throw new Error('no receipt');
    const at = new Date();
    const sealed = { ...receipt, stage: 'sealed' as const, sealedAt: at.toISOString() };
    await noteLook(db, stale, { receipt: sealed, sealed: true, at });
    await noteLook(db, stale, { receipt: { ...receipt, looks: 99 }, sealed: false, at });
    await noteLook(db, stale, { receipt: { ...sealed, looks: 99 }, sealed: true, at });
    expect((await row()).receipt).toEqual(sealed);
    const told = await db.selectFrom('audit').select('kind').where('grant_id', '=', id).execute();
    expect(told.filter(({ kind }) => kind === 'grant_sealed')).toHaveLength(1);
  } finally {
    await reconciler.stop();
    await scene.close();
  }
});
