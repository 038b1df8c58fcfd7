/** How rows of several tables are put together. */
import type { Instant } from '../../src/shared/access.ts';

/** A row's instant: a date, or a text where the row came within another one, as JSON. */
export const instantOf = (at: Date | string): Instant => new Date(at).toISOString();
export const instantOrNull = (at: Date | string | null): Instant | null => (at === null ? null : instantOf(at));

/** What a key that another row points at stands for: foreign keys promise it, so a missing one is a fault. */
export const known = <T>(map: ReadonlyMap<string, T>, key: string): T => {
  const found = map.get(key);
  if (found === undefined) throw new Error(`A row points at ${key}, which was not loaded.`);
  return found;
};

/** Rows by a key, in their order. */
export const groupBy = <T>(rows: readonly T[], keyOf: (row: T) => string): Map<string, T[]> => {
  const groups = new Map<string, T[]>();
  for (const row of rows) {
    const group = groups.get(keyOf(row));
    if (group === undefined) groups.set(keyOf(row), [row]);
    else group.push(row);
  }
  return groups;
};
