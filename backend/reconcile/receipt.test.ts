import { expect, test } from 'vitest';
import type { InstanceRef } from '../../src/shared/access.ts';
import { goneReceipt, keptByOthers } from './receipt.ts';
import type { GrantFacts } from './wished.ts';

const ref = (instanceId: string): InstanceRef => ({ accountId: '482011773306', region: 'eu-central-1', instanceId });
const endsAt = new Date('2026-11-22T12:00:00.000Z');
const row: GrantFacts['row'] = {
  id: 'ended',
  request_id: 'r',
  person_id: 'p',
  principal_id: 'x',
  account_id: '482011773306',
  capability: 'shell',
  duration_seconds: 60,
  state: 'ending',
  approved_at: endsAt,
  activate_by: endsAt,
  connected_at: endsAt,
  end_set_at: endsAt,
  active_at: endsAt,
  ends_at: endsAt,
  cause: { kind: 'time' },
  policy_gone_at: null,
  sessions_left: null,
  closed_at: null,
  receipt: null,
  failed_code: null,
  failed_advice: null,
  mac: '',
  audit_sequence: 1,
};
const grant = (id: string, state: GrantFacts['row']['state'], ...instances: string[]) => ({
  row: { ...row, id, state },
  instances: instances.map(ref),
});

test('RQ-21 the receipt names what other live grants keep reachable, and nothing else', () => {
  const ended = grant('ended', 'ending', 'i-a', 'i-b');
  const all = [
    ended,
    grant('live', 'active', 'i-b', 'i-c'),
    grant('waits', 'ready', 'i-a'),
    grant('over', 'ended', 'i-a'),
  ];
  expect(keptByOthers(ended, all)).toEqual([{ instance: ref('i-b'), grantId: 'live', until: endsAt.toISOString() }]);
});

test('a receipt without other access says nothing of it', () => {
  const verified = { endsAt, policyGoneAt: endsAt, quietAt: endsAt, sessionsTerminated: [], looks: 1 };
  expect('stays' in goneReceipt({ ...verified, stays: [] })).toBe(false);
  const stays = [{ instance: ref('i-b'), grantId: 'live', until: endsAt.toISOString() }];
  expect(goneReceipt({ ...verified, stays }).stays).toEqual(stays);
});
