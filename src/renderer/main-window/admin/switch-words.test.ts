import { expect, test } from 'vitest';
import type { KillSwitch } from '../../../shared/kill-switch.ts';
import { nothingLivesWords, progressWords } from './switch-words.ts';

const dele = { id: 'dele', userName: 'dele@harborline.example', displayName: 'Dele' };
const none = { grants: 0, verified: 0, sessions: 0, requests: 0 };
const at = (second: number): string => new Date(Date.UTC(2026, 10, 23, 9, 0, second)).toISOString();
const words = (progress: Partial<KillSwitch['progress']>, more: Partial<Pick<KillSwitch, 'done' | 'lifted'>> = {}) =>
  progressWords({ progress: { ...none, ...progress }, done: null, lifted: null, ...more });
const done = { at: at(20), totalMs: 1_800 };

test('a switch says how far it is, and its receipt', () => {
  expect(words({ grants: 3, verified: 1, sessions: 1, requests: 2 })).toBe(
    '1 of 3 grants ended and verified, 1 session still open, 2 requests taken back',
  );
  expect(words({ grants: 1, verified: 1 }, { done })).toBe('1 grant ended, all verified 1.8 s after the pull');
  expect(words({ requests: 1 }, { done })).toBe('Nothing was live, 1 request taken back');
});

test('RQ-18 a switch says what was ending already, and does not take it for nothing', () => {
  expect(words({ grants: 1, already: 1 })).toBe('0 of 1 grant ended and verified, 1 of them was ending already');
  expect(words({ grants: 3, already: 2, verified: 3 }, { done })).toBe(
    '3 grants ended, 2 of them were ending already, all verified 1.8 s after the pull',
  );
});

test('RQ-18 one that was lifted before it came to anybody claims nothing about what was live', () => {
  expect(words({}, { done, lifted: { by: dele, at: at(10) } })).toBe('It ended nothing');
  expect(words({}, { done, lifted: { by: dele, at: at(30) } })).toBe('Nothing was live');
});

test('a preview without anything to end says what is ending there', () => {
  const totals = { grants: 0, sessions: 0, requests: 0, people: 0, accounts: 0 };
  expect(nothingLivesWords(totals)).toBe('Nothing lives there now.');
  expect(nothingLivesWords({ ...totals, ending: 1 })).toBe('Nothing to end: 1 grant there is ending already.');
});
