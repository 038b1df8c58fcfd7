import { describe, expect, it } from 'vitest';
import type { Grant, Person } from '../../shared/access.ts';
import type { ClockOffset } from '../../shared/desktop.ts';
import {
  agoWords,
  byEnd,
  clockIsOld,
  crossingWords,
  cutShares,
  dayWords,
  durationParts,
  measuredWords,
  timeOfDay,
  timeOfGrant,
} from './time.ts';

const now = Date.parse('2026-11-19T14:00:00.000Z');
const at = (seconds: number): string => new Date(now + seconds * 1000).toISOString();
const checked: ClockOffset = { offsetMs: 0, checkedAt: at(-5) };
const mira: Person = { id: 'a1', userName: 'mira', displayName: 'Mira Okafor' };
const dele: Person = { id: 'a2', userName: 'dele', displayName: 'Dele Adeyemi' };
const base = {
  id: 'grt_x',
  requestId: 'req_x',
  person: mira,
  accountId: '482011773306',
  accountName: 'payments-prod',
  instances: [],
  capability: 'shell' as const,
  durationSeconds: 7200,
  reason: 'r',
  ticket: null,
  approvedBy: [],
  approvedAt: at(-7200),
  askedFor: null,
  sessions: [],
};
const active = (endsIn: number, length = 7200): Grant => ({
  ...base,
  state: 'active',
  connectedAt: at(endsIn - length),
  activeAt: at(endsIn - length),
  endsAt: at(endsIn),
});
const view = (grant: Grant, clock: ClockOffset | null = checked) => timeOfGrant(grant, { clock, now, meId: 'a1' });

describe('the countdown of a live grant', () => {
  it.each([
    [7200, 'calm', '2 h'],
    [6120, 'calm', '1 h 42 m'],
    [3600, 'calm', '60 min'],
    [601, 'calm', '10 min'],
    [600, 'soon', '10 min'],
    [301, 'soon', '5 min'],
    [300, 'near', '5 min'],
    [61, 'near', '1 min'],
    [60, 'last', '60 s'],
    [58.9, 'last', '58 s'],
  ])('%d s before the end it is %s and says "%s"', (seconds, look, words) => {
    expect(view(active(seconds))).toMatchObject({ look, words });
  });

  it('says the end with seconds in the last minute only', () => {
    expect(view(active(58)).endWords).toMatch(/^ends \d\d:00:58$/);
    expect(view(active(6120)).endWords).toMatch(/^ends \d\d:42$/);
  });

  it('counts by the clock of the backend, not by ours', () => {
    expect(view(active(6120), { offsetMs: 120_000, checkedAt: at(-5) }).words).toBe('1 h 40 m');
  });

  it('is only "about" once the clock was not checked for a minute, and draws no cuts', () => {
    expect(view(active(2520), { offsetMs: 0, checkedAt: at(-60) }).look).toBe('calm');
    expect(view(active(2520), { offsetMs: 0, checkedAt: at(-61) })).toMatchObject({
      look: 'about',
      words: 'about 42 min',
      cuts: [],
    });
    expect(clockIsOld(null, now)).toBe(true);
  });

  it('never shows a number past the end: it is ending until a receipt is there', () => {
    expect(view(active(-1))).toMatchObject({ look: 'ending', words: 'Ending', parts: null });
    expect(view(active(-30))).toMatchObject({ look: 'late', words: 'Not verified, 30 s' });
  });

  it('puts the head where now is', () => {
    expect(view(active(5400)).at).toBeCloseTo(0.25);
    expect(view(active(7200)).at).toBe(0);
  });
});

describe('the other states', () => {
  const ending = (policyGoneAt: string | null, sessionsLeft: number | null): Grant => ({
    ...base,
    state: 'ending',
    connectedAt: at(-3600),
    endsAt: at(-2),
    cause: { kind: 'time' },
    policyGoneAt,
    sessionsLeft,
  });

  it('says what of the ending is done and what is not', () => {
    expect(view(ending(null, null)).endWords).toBe('taking the access policy away, 2 s');
    expect(view(ending(at(-1), null)).endWords).toBe('looking for sessions, 2 s');
    expect(view(ending(at(-1), 1)).endWords).toBe('1 session may be open');
  });

  it('says who ended it, and you when it was you', () => {
    const receipt = {
      stage: 'gone' as const,
      policyGoneAt: at(-1),
      policyGoneMs: 400,
      sessionsGoneAt: at(-1),
      sessionsGoneMs: 1800,
      sessionsTerminated: [],
      looks: 1,
      sealedAt: null,
    };
    const ended: Grant = {
      ...base,
      state: 'ended',
      connectedAt: at(-60),
      endsAt: at(-2),
      cause: { kind: 'time' },
      endedAt: at(-1),
      receipt,
    };
    expect(view(ended).words).toMatch(/^Ended \d\d:59$/);
    expect(view(ended).endWords).toBe('verified 1.8 s after the end');
    expect(view({ ...ended, cause: { kind: 'revoked', person: dele, comment: null } }).words).toMatch(
      /by Dele Adeyemi$/,
    );
    expect(view({ ...ended, cause: { kind: 'owner', person: mira } }).words).toMatch(/by you$/);
  });

  it('lets no clock run before the first connect', () => {
    const ready: Grant = { ...base, state: 'ready', activateBy: at(3600) };
    expect(view(ready)).toMatchObject({ look: 'ready', at: 0, words: 'Ready, 2 h' });
    expect(view({ ...ready, durationSeconds: 5400 }).parts).toEqual([
      { digits: '1', unit: 'h' },
      { digits: '30', unit: 'm' },
    ]);
  });

  it('sorts by end, ending before all, ready after what runs', () => {
    const soon = active(60);
    const later = active(600);
    const ready: Grant = { ...base, state: 'ready', activateBy: at(10) };
    expect([ready, later, ending(null, null), soon].sort(byEnd).map(({ state }) => state)).toEqual([
      'ending',
      'active',
      'active',
      'ready',
    ]);
    expect([later, soon].sort(byEnd)[0]).toBe(soon);
  });
});

describe('small words', () => {
  it('cuts a duration into digits and units', () => {
    expect(durationParts(3600)).toEqual([{ digits: '1', unit: 'h' }]);
    expect(durationParts(1800)).toEqual([{ digits: '30', unit: 'min' }]);
  });

  it('draws a cut only where the grant is longer than the notice by a half', () => {
    expect(cutShares(7200_000)).toHaveLength(3);
    expect(cutShares(10 * 60_000)).toEqual([0.5, 0.9]);
    expect(cutShares(60_000)).toEqual([]);
  });

  it('speaks at crossings only', () => {
    expect(crossingWords(undefined, 'soon', 'api', '10 min')).toBeNull();
    expect(crossingWords('soon', 'soon', 'api', '9 min')).toBeNull();
    expect(crossingWords('calm', 'soon', 'api', '10 min')).toBe('10 min left on api');
    expect(crossingWords('last', 'ending', 'api', 'Ending')).toBe('Access to api is ending');
  });

  it('names the day when it is not today', () => {
    expect(dayWords(now, now)).toBe('');
    expect(dayWords(now - 86_400_000, now)).toBe('yesterday');
    expect(timeOfDay(now + 86_400_000, now)).toMatch(/^tomorrow \d\d:00$/);
    expect(dayWords(now - 30 * 86_400_000, now)).toBe('20 Oct');
  });

  it('measures in tenths and counts ages in whole units', () => {
    expect([412, 1830, 64_000].map(measuredWords)).toEqual(['0.4 s', '1.8 s', '1 min 4 s']);
    expect([40_000, 360_000, 7_200_000, 90_000_000, -5].map((ms) => agoWords(now - ms, now))).toEqual([
      '40 s',
      '6 min',
      '2 h',
      '1 day',
      '0 s',
    ]);
  });
});
