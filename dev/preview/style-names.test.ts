/** A class name that a style sheet does not have would be silently left out: every `css['name']` must exist. */
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { expect, it } from 'vitest';

const folder = path.resolve(import.meta.dirname, '../../src/renderer');
const components = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.tsx'));

/** The style sheets that a component imports, by the name they have there. */
const sheetsOf = (file: string, source: string): Array<{ name: string; sheet: string }> =>
  [...source.matchAll(/import (\w+) from '([^']+\.module\.css)'/g)].map(([, name = '', from = '']) => ({
    name,
    sheet: readFileSync(path.resolve(folder, path.dirname(file), from), 'utf8'),
  }));

it('finds components to look at', () => {
  expect(components.length).toBeGreaterThan(10);
});

it.each(components)('%s names only classes that exist', (file) => {
  const source = readFileSync(path.join(folder, file), 'utf8');
  const missing = sheetsOf(file, source).flatMap(({ name, sheet }) =>
    [...source.matchAll(new RegExp(`\\b${name}\\['([\\w-]+)'\\]`, 'g'))]
      .map(([, used = '']) => used)
      .filter((used) => !new RegExp(`\\.${used}(?![\\w-])`).test(sheet)),
  );
  expect([...new Set(missing)]).toEqual([]);
});
