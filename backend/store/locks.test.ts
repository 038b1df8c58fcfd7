import { expect, test } from 'vitest';
import { locksOf } from './locks.ts';

const at = (minute: number): Date => new Date(Date.UTC(2026, 10, 22, 12, minute));
const grant = { state: 'active' as const, connected_at: at(0), end_set_at: at(0), ends_at: at(30) };
const principal = { document_at: at(0), due_at: at(30), problem: null };
const session = { ended_at: null, closes_at: at(30) };

test('all three are armed when each was seen to be', () => {
  const armed = { armed: true, at: at(30).toISOString() };
  expect(locksOf(grant, principal, [session])).toEqual({ policyDate: armed, removal: armed, terminal: armed });
});

test('no clock, no locks', () => {
  for (const state of ['ready', 'ending', 'ended', 'lapsed', 'failed'] as const) {
    expect(locksOf({ ...grant, state }, principal, [session])).toBeNull();
  }
});

test('the date in the access policy counts only after it was read back', () => {
  expect(locksOf({ ...grant, state: 'granting' }, principal, [])?.policyDate.armed).toBe(false);
  const extended = { ...grant, end_set_at: at(10), ends_at: at(60) };
  const why = 'the access policy was not seen with the new end yet';
  expect(locksOf(extended, principal, [])?.policyDate).toEqual({ armed: false, why });
  const written = { ...principal, document_at: at(10), due_at: at(60) };
  expect(locksOf(extended, written, [])?.policyDate).toEqual({ armed: true, at: at(60).toISOString() });
  // A row of a backend that did not write when the end was set.
  expect(locksOf({ ...grant, end_set_at: null }, principal, [])?.policyDate.armed).toBe(true);
});

test('the removal is scheduled when somebody looks by then and AWS does what it is told', () => {
  expect(locksOf(grant, { ...principal, due_at: null }, [])?.removal.armed).toBe(false);
  expect(locksOf(grant, { ...principal, due_at: at(31) }, [])?.removal.armed).toBe(false);
  expect(locksOf(grant, { ...principal, due_at: at(5) }, [])?.removal.armed).toBe(true);
  const refused = locksOf(grant, { ...principal, problem: 'AccessDenied' }, [])?.removal;
  expect(refused).toMatchObject({ armed: false, why: expect.stringContaining('AccessDenied') });
});

test('the terminal’s timer is armed when every open terminal has told one that is not later than the end', () => {
  const terminal = (sessions: Parameters<typeof locksOf>[2]) => locksOf(grant, principal, sessions)?.terminal.armed;
  expect(terminal([])).toBe(false);
  expect(terminal([{ ...session, ended_at: at(1) }])).toBe(false);
  expect(terminal([session, { ...session, closes_at: null }])).toBe(false);
  expect(terminal([session, { ...session, closes_at: at(40) }])).toBe(false);
  expect(terminal([session, { ...session, closes_at: at(29) }])).toBe(true);
});
