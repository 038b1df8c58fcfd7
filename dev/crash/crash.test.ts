/** A few of the deaths of `npm run crash`. */
import { expect, test } from 'vitest';
import { crash } from './crash.ts';

test('promise 5: killed in the middle of granting and ending, another start loses nothing and leaves nothing over', {
  timeout: 300_000,
}, async () => {
  const lines: string[] = [];
  // Each kill takes some seconds: how many there is time for is the machine's affair, each of them must pass.
  const result = await crash({ every: 37, withinMs: 30_000, say: (line) => lines.push(line), eachPoint: true });
  expect(result.failed, lines.join('\n')).toEqual([]);
  expect(result.visited, lines.join('\n')).toBeGreaterThanOrEqual(2);
});
