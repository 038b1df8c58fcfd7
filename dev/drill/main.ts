/**
 * `npm run drill`: an exercise for admins, on a throw-away stack against local-aws. Short grants end while the backend is killed, the
 * network is cut, clocks differ, AWS throttles; prints how late each grant ended and what kept out who tried right after. Ends with 1 when a promise broke.
 */
import { parseArgs } from 'node:util';
import { drill, type Round, type Trouble, troubles } from './drill.ts';

const { values } = parseArgs({
  options: { grants: { type: 'string', default: '6' }, only: { type: 'string', multiple: true } },
});
const grants = Number(values.grants);
if (!Number.isInteger(grants) || grants < 1 || grants > 10)
  throw new Error('--grants takes a whole number from 1 to 10.');
const isTrouble = (name: string): name is Trouble => Object.hasOwn(troubles, name);
const unknown = values.only?.find((name) => !isTrouble(name));
if (unknown !== undefined) throw new Error(`--only ${unknown}: there are ${Object.keys(troubles).join(', ')}.`);
const chosen = (values.only ?? Object.keys(troubles)).filter(isTrouble);

const seconds = (ms: number): string => `${(ms / 1000).toFixed(1)} s`;
/** Median and last. */
const lateness = (numbers: readonly number[]): string => {
  const sorted = numbers.toSorted((a, b) => a - b);
  const [median, last] = [sorted[Math.floor(sorted.length / 2)], sorted.at(-1)];
  return median === undefined || last === undefined ? 'nothing was measured' : `${seconds(median)}, ${seconds(last)}`;
};
const unmeasured = (endings: number): string[] => {
  const missing = grants - endings;
  return missing === 0 ? [] : [`${missing} of ${grants} grants were not seen to end`];
};

const row = ({ trouble, endings, problems }: Round): string[] => {
  const policy = endings.map(({ policyGoneMs }) => policyGoneMs);
  const session = endings.map(({ sessionGoneMs }) => sessionGoneMs);
  const keptOutBy = [...new Set(endings.map((one) => one.keptOutBy))].join(', ') || 'nobody could try';
  const wrong = [...unmeasured(endings.length), ...problems];
  const sealed = endings.filter(({ receipt }) => receipt === 'sealed').length;
  return [
    troubles[trouble],
    lateness(policy),
    lateness(session),
    keptOutBy,
    `${sealed} of ${grants}`,
    wrong.length === 0 ? 'held' : wrong.join('; '),
  ];
};

const table = (rows: readonly string[][]): string => {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((cells) => cells[column]?.length ?? 0)));
  return rows
    .map((cells) =>
      cells
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
};

console.log(
  `${chosen.length} rounds of ${grants} grants of a minute each: some ${Math.ceil(chosen.length * 1.6)} minutes.`,
);
const rounds = await drill({
  troubles: chosen,
  grants,
  onRound: ({ trouble, problems }) =>
    console.log(`${troubles[trouble]}: ${problems.length === 0 ? 'held' : problems.join('; ')}`),
});
const head = [
  'while',
  'policy gone (median, last)',
  'sessions gone (median, last)',
  'a try 1.2 s later kept out by',
  'receipts',
  'promises',
];
console.log(`\nLateness after the end of each grant:\n\n${table([head, ...rounds.map(row)])}`);
process.exitCode = rounds.every(({ problems, endings }) => problems.length === 0 && endings.length === grants) ? 0 : 1;
