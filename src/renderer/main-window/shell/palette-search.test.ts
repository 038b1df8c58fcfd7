import { expect, it } from 'vitest';
import { findEntries, type PaletteEntry } from './palette-search.ts';

const entry = (label: string, detail = ''): PaletteEntry => ({
  id: label,
  group: 'Do',
  label,
  detail,
  keys: null,
  run: () => undefined,
});
const entries = [
  entry('Go to Audit', 'receipts'),
  entry('Request access', 'the form'),
  entry('Audit export'),
  entry('Tomás: api-1', 'reload'),
];
const labels = (query: string): string[] => findEntries(entries, query).map(({ label }) => label);

it('finds everything, in order, when nothing is asked', () => {
  expect(labels('  ')).toEqual(entries.map(({ label }) => label));
});
it('puts what begins with the word first', () => {
  expect(labels('audit')).toEqual(['Audit export', 'Go to Audit']);
});
it('wants every word, in the label or the detail, without regard to accents and case', () => {
  expect(labels('tomas RELOAD')).toEqual(['Tomás: api-1']);
  expect(labels('audit nothing')).toEqual([]);
});
