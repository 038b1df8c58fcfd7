import { expect, it } from 'vitest';
import type { AccessRequest, Instance } from '../../../shared/access.ts';
import { approveWords, hasNothingWords, historyWords, isLess, outcomeWords } from './deciding.ts';

const mira = { id: 'a1', userName: 'mira', displayName: 'Mira' };
const jonas = { id: 'a2', userName: 'jonas', displayName: 'Jonas Lindqvist' };
const instances: Instance[] = ['a', 'b'].map((name) => ({
  accountId: '482011773306',
  region: 'eu-central-1',
  instanceId: `i-${name.repeat(17)}`,
  accountName: 'prod',
  name,
  kind: 'ec2',
  platform: 'Linux',
  tags: {},
  online: true,
  firstSeenAt: '2026-01-01T00:00:00.000Z',
  checkedAt: '2026-01-01T00:00:00.000Z',
}));
const base = {
  id: 'req_1',
  requester: mira,
  purpose: { kind: 'new' as const },
  instances,
  capability: 'shell' as const,
  durationSeconds: 7200,
  reason: 'r',
  ticket: null,
  submittedAt: '2026-11-19T14:00:00.000Z',
};
const request: AccessRequest = { ...base, state: 'lapsed', at: '2026-11-19T15:00:00.000Z' };

it('says in the button what will be granted', () => {
  expect(approveWords(request, null)).toBe('Approve 2 h');
  expect(approveWords(request, { instances: instances.slice(0, 1), durationSeconds: 1800 })).toBe(
    'Approve 30 min on 1',
  );
  expect(approveWords(request, { instances, durationSeconds: 1800 })).toBe('Approve 30 min');
  expect(approveWords({ ...request, purpose: { kind: 'extend', grantId: 'g' } }, null)).toBe('Approve 2 h more');
});

it('knows less from all', () => {
  expect(isLess(request, { instances, durationSeconds: 7200 })).toBe(false);
  expect(isLess(request, { instances: instances.slice(1), durationSeconds: 7200 })).toBe(true);
  expect(isLess(request, { instances, durationSeconds: 3600 })).toBe(true);
});

it('names who decided, and you when it was you', () => {
  const decision = {
    id: 'd',
    requestId: 'req_1',
    by: { kind: 'person' as const, person: jonas },
    at: base.submittedAt,
    comment: null,
    ruleSetHash: '',
    verdict: 'no' as const,
  };
  const denied: AccessRequest = { ...base, state: 'denied', at: base.submittedAt, decisions: [decision] };
  expect(outcomeWords(denied, 'a1')).toBe('Jonas Lindqvist denied');
  expect(outcomeWords(denied, 'a2')).toBe('You denied');
  const yes = { ...decision, verdict: 'yes' as const, instances, durationSeconds: 7200 };
  expect(outcomeWords({ ...denied, decisions: [yes, yes] }, 'a2')).toBe('Denied: nothing is in all of the approvals');
});

it('tells the history without making a first request look like a bad one', () => {
  const none = { asked: 0, approved: 0, denied: 0, lastAt: null, usedSeconds: 0, endedEarly: 0 };
  const mayDecide = { yes: true } as const;
  expect(historyWords({ history: none, mayDecide }, 0)).toContain('first time');
  const some = { ...none, asked: 3, approved: 2, denied: 1, usedSeconds: 4320, endedEarly: 1 };
  const words = '3 times in 30 days, 2 approved, 1 denied. Used 1 h 12 m in all. Ended early 1 of 2.';
  expect(historyWords({ history: some, mayDecide }, 0)).toBe(words);
  const mayNot = { yes: false, why: 'No rule lets you decide this request.' } as const;
  expect(historyWords({ history: none, mayDecide: mayNot }, 0)).toBe('No other request in 30 days that you may see.');
  expect(historyWords({ history: some, mayDecide: mayNot }, 0)).toBe(`Of what you may see: ${words}`);
});

it('says nothing of what somebody has once it is decided, and never "nothing" to who may not know', () => {
  const waits = { state: 'waiting' as const, lapsesAt: base.submittedAt, approvalsNeeded: 1, approvers: [], yeses: [] };
  const waiting: AccessRequest = { ...base, ...waits, claim: null };
  const mayNot = { yes: false, why: 'No rule lets you decide this request.' } as const;
  expect(hasNothingWords({ request: waiting, mayDecide: { yes: true } })).toBe('Nothing.');
  expect(hasNothingWords({ request: waiting, mayDecide: mayNot })).toBe('Nothing that you may see.');
  expect(hasNothingWords({ request, mayDecide: mayNot })).toBeNull();
});
