import { describe, expect, it } from 'vitest';
import { count, failureWords, initials, mixesScripts, peopleWords, seen } from './words.ts';

const person = (displayName: string) => ({ id: displayName, userName: displayName.toLowerCase(), displayName });

describe('text from outside', () => {
  it('RQ-16 shows what cannot be seen, and leaves honest text alone', () => {
    expect(seen('prod\u200b-db')).toBe('prod<U+200B>-db');
    expect(seen('a\u202eb')).toBe('a<U+202E>b');
    expect(seen('Tomás Herrera, naïve')).toBe('Tomás Herrera, naïve');
  });

  it('RQ-16 marks a word that mixes scripts which look alike', () => {
    expect(mixesScripts('prod-dЬ')).toBe(true);
    expect(mixesScripts('prod-db')).toBe(false);
    expect(mixesScripts('база prod')).toBe(false);
  });
});

describe('people and numbers', () => {
  it('names a few and counts the rest', () => {
    const people = ['Jonas', 'Aiko', 'Tomás', 'Dele', 'Elin'].map(person);
    expect(peopleWords(people)).toBe('Jonas, Aiko and 3 more');
    expect(peopleWords(people.slice(0, 3))).toBe('Jonas, Aiko and Tomás');
    expect(peopleWords(people.slice(0, 1))).toBe('Jonas');
  });

  it('makes two letters of any name', () => {
    expect(['Mira Okafor', 'Cher', 'Élise van den Berg'].map((name) => initials(person(name)))).toEqual([
      'MO',
      'C',
      'ÉB',
    ]);
  });

  it('groups and inflects', () => {
    expect([count(1, 'grant'), count(2, 'grant'), count(18_402, 'row')]).toEqual([
      '1 grant',
      '2 grants',
      '18,402 rows',
    ]);
  });
});

it('says what failed, what it means and what to do', () => {
  expect(failureWords({ kind: 'unreachable', what: 'refused' }).advice).toContain('Live access ends on time');
  expect(failureWords({ kind: 'fault', faultId: 'f-1', what: 'IAM' }).advice).toContain('f-1');
  expect(failureWords({ kind: 'refusal', code: 'busy', advice: 'Wait.', message: 'Too much.' })).toEqual({
    what: 'Too much.',
    advice: 'Wait.',
  });
  expect(failureWords({ kind: 'refusal', code: 'busy', advice: 'Wait.' })).toEqual({ what: 'Wait.', advice: '' });
});
