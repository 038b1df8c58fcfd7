/** The doctor's findings as people read them: one line each, advice below, areas as headings. */
import { counted, type Finding } from './finding.ts';

const signs = { ok: 'OK', 'not-ok': 'NOT OK', unchecked: 'not checked' } as const;
const checkWidth = 34;
const signWidth = 13;
/** Of a line of advice, without its indent. */
const adviceWidth = 100;

/** Breaks at spaces; a word that is too long stays whole, so that it can be copied. */
const wrapped = (text: string): string[] => {
  const lines: string[] = [];
  for (const word of text.split(' ')) {
    const last = lines.at(-1);
    if (last === undefined || last.length + 1 + word.length > adviceWidth) lines.push(word);
    else lines[lines.length - 1] = `${last} ${word}`;
  }
  return lines;
};

/** Names and tags are other people's text: nothing in them may steer the terminal. */
const visible = (text: string): string =>
  text.replaceAll(
    /[\p{Cc}\u2028\u2029\u202a-\u202e\u2066-\u2069]/gu,
    (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );

/** Prints one after the other. `add` gives the lines of a finding, `end` the last one and whether all is well. */
export const startReport = (): { add: (finding: Finding) => string; end: () => { line: string; well: boolean } } => {
  const counts = { ok: 0, 'not-ok': 0, unchecked: 0 };
  let area: string | null = null;
  return {
    add: (finding) => {
      counts[finding.state] += 1;
      const heading = finding.area === area ? [] : [...(area === null ? [] : ['']), visible(finding.area)];
      area = finding.area;
      const indent = ' '.repeat(2 + signWidth);
      return [
        ...heading,
        `  ${signs[finding.state].padEnd(signWidth)}${visible(finding.check).padEnd(checkWidth)} ${visible(finding.found)}`,
        ...(finding.state === 'ok'
          ? []
          : wrapped(visible(finding.advice)).map((line, at) => `${indent}${at === 0 ? '→' : ' '} ${line}`)),
      ].join('\n');
    },
    end: () => {
      const well = counts['not-ok'] === 0;
      const rest = counts.unchecked === 0 ? '' : `, ${counts.unchecked} could not be checked`;
      const wrong = well ? 'nothing is wrong' : `${counted(counts['not-ok'], 'thing')} to mend`;
      return { line: `\n${wrong}: ${counts.ok} OK, ${counts['not-ok']} not OK${rest}`, well };
    },
  };
};
