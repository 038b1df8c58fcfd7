import { describe, expect, it } from 'vitest';
import type { AccessRequest, Grant, Instance, Person } from '../../../shared/access.ts';
import { askAgainOf, listsOf, summaryOf } from './access-lists.ts';

const now = Date.parse('2026-11-19T14:00:00.000Z');
const at = (minutes: number): string => new Date(now + minutes * 60_000).toISOString();
const mira: Person = { id: 'a1', userName: 'mira', displayName: 'Mira' };
const instance = (name: string): Instance => ({
  accountId: '482011773306',
  region: 'eu-central-1',
  instanceId: `i-${name.padEnd(17, '0')}`,
  accountName: 'prod',
  name,
  kind: 'ec2',
  platform: 'Linux',
  tags: {},
  online: true,
  firstSeenAt: at(-9000),
  checkedAt: at(0),
});
const wish = (id: string, name: string) => ({
  id,
  requester: mira,
  purpose: { kind: 'new' as const },
  instances: [instance(name)],
  capability: 'shell' as const,
  durationSeconds: 3600,
  reason: 'r',
  ticket: null,
  submittedAt: at(-1500),
});
const approved = (id: string, name: string): AccessRequest => ({
  ...wish(id, name),
  state: 'approved',
  decisions: [],
  grantIds: [],
  at: at(-1499),
});
const waiting = (id: string, name: string): AccessRequest => ({
  ...wish(id, name),
  state: 'waiting',
  lapsesAt: at(60),
  approvalsNeeded: 1,
  approvers: [],
  yeses: [],
  claim: null,
});
const grant = (requestId: string) => ({
  id: `grant of ${requestId}`,
  requestId,
  person: mira,
  accountId: '482011773306',
  accountName: 'prod',
  instances: [instance('a')],
  capability: 'shell' as const,
  durationSeconds: 3600,
  reason: 'r',
  ticket: null,
  approvedBy: [],
  approvedAt: at(-1499),
  askedFor: null,
  sessions: [],
});
const live = (requestId: string, endsIn: number): Grant => ({
  ...grant(requestId),
  state: 'active',
  connectedAt: at(-30),
  activeAt: at(-30),
  endsAt: at(endsIn),
});
const lapsed = (requestId: string, ago: number): Grant => ({ ...grant(requestId), state: 'lapsed', at: at(-ago) });

describe('lists', () => {
  it('sorts by end and forgets what ended more than a day ago', () => {
    const lists = listsOf([live('1', 40), live('2', 5), lapsed('3', 60), lapsed('4', 1500)], [waiting('5', 'b')], now);
    expect(lists.live.map(({ requestId }) => requestId)).toEqual(['2', '1']);
    expect(lists.ended.map(({ requestId }) => requestId)).toEqual(['3']);
    expect(summaryOf(lists)).toBe('2 live, 1 waiting');
    expect(summaryOf(listsOf([], [], now))).toBe('nothing live');
  });
});

describe('ask again', () => {
  it('offers each set of instances once, and none that lives or waits', () => {
    const list = askAgainOf(
      [live('1', 40)],
      [approved('1', 'a'), waiting('2', 'b'), approved('3', 'b'), approved('4', 'c'), approved('5', 'c')],
      now,
    );
    expect(list.map(({ request }) => request.id)).toEqual(['4']);
  });

  it('says how much of it was used', () => {
    const receipt = {
      stage: 'sealed' as const,
      policyGoneAt: at(-1400),
      policyGoneMs: 1,
      sessionsGoneAt: at(-1400),
      sessionsGoneMs: 1,
      sessionsTerminated: [],
      looks: 3,
      sealedAt: at(-1398),
    };
    const ended: Grant = {
      ...grant('1'),
      state: 'ended',
      connectedAt: at(-1438),
      endsAt: at(-1400),
      cause: { kind: 'time' },
      endedAt: at(-1400),
      receipt,
    };
    expect(askAgainOf([ended], [approved('1', 'a')], now)[0]?.used).toBe('yesterday, used 38 min of 1 h');
    expect(askAgainOf([], [approved('1', 'a')], now)[0]?.used).toBe('yesterday, not used');
  });
});
