/** `docs/threats.md` names code that is there, and tests whose titles bear the threat's id. */
import fs from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';

const root = path.resolve(import.meta.dirname, '..', '..');
const page = fs.readFileSync(path.join(root, 'docs', 'threats.md'), 'utf8');
const pathsIn = (cell: string): string[] => [...cell.matchAll(/`([^`]+)`/g)].flatMap(([, name]) => name ?? []);
const rows = [...page.matchAll(/^\| ([A-Z]+-\d\d) \| (.+) \| (.+) \| (.+) \|$/gm)].map(
  ([, id = '', what = '', keptBy = '', tests = '']) => ({ id, what, keptBy: pathsIn(keptBy), tests: pathsIn(tests) }),
);
const textOf = (name: string): string => fs.readFileSync(path.join(root, name), 'utf8');

test('the page has a row for each threat, once', () => {
  expect(rows.length).toBeGreaterThan(80);
  expect(new Set(rows.map(({ id }) => id)).size).toBe(rows.length);
});

describe('what it says of', () => {
  test.each(rows)('$id is so', ({ id, keptBy, tests }) => {
    expect(keptBy.length).toBeGreaterThan(0);
    for (const name of keptBy) expect(fs.existsSync(path.join(root, name)), name).toBe(true);
    expect(tests.length).toBeGreaterThan(0);
    for (const name of tests) {
      expect(name).toMatch(/\.(test|spec)\.tsx?$/);
      // In a title, that is: in a text, not in a comment.
      const inText = textOf(name)
        .split('\n')
        .some((line) => new RegExp(`^[^/*]*['"\`][^'"\`]*\\b${id}\\b`).test(line));
      expect(inText, `${id} in a title of ${name}`).toBe(true);
    }
  });
});
