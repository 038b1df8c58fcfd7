/**
 * `npm run crash`: kills a real backend with SIGKILL before and after every SQL statement and every AWS call of granting and ending,
 * starts it again each time, and looks whether anything was lost or left over. `--every N` visits each Nth point only.
 */
import { parseArgs } from 'node:util';
import { crash } from './crash.ts';

const { values } = parseArgs({ options: { every: { type: 'string', default: '1' }, verbose: { type: 'boolean' } } });
const every = Number(values.every);
if (!Number.isInteger(every) || every < 1) throw new Error('--every takes a whole number from 1 on.');

const since = performance.now();
const result = await crash({
  every,
  say: (line) => console.log(line),
  eachPoint: values.verbose === true,
});
console.log(
  `${result.visited} points in ${((performance.now() - since) / 60_000).toFixed(1)} min: ${result.visited - result.failed.length} passed, ${result.failed.length} failed` +
    (result.missed.length === 0 ? '' : `; ${result.missed.length} that came once did not come again`),
);
process.exitCode = result.failed.length === 0 && result.visited > 0 ? 0 : 1;
