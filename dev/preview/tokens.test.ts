/** Every pair of colours in use can be read, in both schemes (look.md 6). */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';

const css = readFileSync(path.resolve(import.meta.dirname, '../../src/renderer/look/tokens.css'), 'utf8');

/** The colours that one scheme's block declares. */
const scheme = (selector: string): Map<string, string> => {
  const start = css.indexOf(`${selector} {`);
  const block = css.slice(start, css.indexOf('}', start));
  return new Map(
    [...block.matchAll(/--([\w-]+):\s*(#[0-9A-Fa-f]{6})/g)].map((match) => [match[1] ?? '', match[2] ?? '']),
  );
};

const luminance = (hex: string): number => {
  const [red = 0, green = 0, blue = 0] = [1, 3, 5].map((at) => {
    const value = Number.parseInt(hex.slice(at, at + 2), 16) / 255;
    return value <= 0.03928 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
};
const contrast = (one: string, other: string): number => {
  const [light = 0, dark = 0] = [luminance(one), luminance(other)].sort((a, b) => b - a);
  return (light + 0.05) / (dark + 0.05);
};

const surfaces = ['bg', 'surface', 'sunk', 'hover', 'select'];
const text: Array<[string, string]> = [
  ...['ink', 'ink-2', 'ink-3'].flatMap((ink) => surfaces.map((surface): [string, string] => [ink, surface])),
  ...['time', 'ok', 'no', 'ask'].flatMap((ink) =>
    ['surface', 'sunk', `${ink}-tint`].map((surface): [string, string] => [ink, surface]),
  ),
  ['on-ink', 'ink'],
  ['on-time', 'time-fill'],
  ['on-no', 'no-fill'],
];
const edges: Array<[string, string]> = ['control', 'time-line', 'focus'].map((edge) => [edge, 'surface']);

describe.each([
  ['light', '[data-mantine-color-scheme="light"]'],
  ['dark', '[data-mantine-color-scheme="dark"]'],
])('the %s scheme', (_name, selector) => {
  const colours = scheme(selector);
  const colour = (token: string): string => {
    const found = colours.get(token);
    if (found === undefined) throw new Error(`no token --${token}`);
    return found;
  };

  it.each(text)('text %s on %s holds 4.5:1', (ink, surface) => {
    expect(contrast(colour(ink), colour(surface))).toBeGreaterThanOrEqual(4.5);
  });

  it.each(edges)('edge %s on %s holds 3:1', (edge, surface) => {
    expect(contrast(colour(edge), colour(surface))).toBeGreaterThanOrEqual(3);
  });
});
