/** What a benchmark gives: measured values, never a verdict. Values are kept whole in results.json; the table shows two percentiles. */

export type Figure = {
  /** What was measured, as it stands in the table. */
  name: string;
  unit: 'ms' | 'µs' | 'MB' | 'MB/s' | 'rows/s' | 'characters' | 'grants' | '% of a core';
  values: number[];
  /** What one must know to read the figure; empty when its name says it all. */
  note?: string;
};

/** The smallest value that is not below this share (0 to 1) of all; NaN without values. */
export const percentile = (values: readonly number[], share: number): number => {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? Number.NaN;
};

const shown = (value: number): string => {
  if (Number.isNaN(value)) return 'none';
  const digits = Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 2;
  return value.toFixed(digits);
};

/** A Markdown table, aligned so that it also reads in a terminal. */
export const table = (figures: readonly Figure[]): string => {
  const head = ['what', 'unit', 'n', 'p50', 'p95', 'note'];
  const rows = figures.map(({ name, unit, values, note }) => [
    name,
    unit,
    String(values.length),
    shown(percentile(values, 0.5)),
    shown(percentile(values, 0.95)),
    note ?? '',
  ]);
  const widths = head.map((title, column) => Math.max(title.length, 3, ...rows.map((row) => row[column]?.length ?? 0)));
  const isNumber = (column: number): boolean => column >= 2 && column <= 4;
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell, at) => (isNumber(at) ? cell.padStart(widths[at] ?? 0) : cell.padEnd(widths[at] ?? 0))).join(' | ')} |`;
  const rule = widths.map((width, at) => (isNumber(at) ? `${'-'.repeat(width - 1)}:` : '-'.repeat(width)));
  return [line(head), line(rule), ...rows.map(line)].join('\n');
};
