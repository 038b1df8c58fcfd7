/** What the command palette finds. Pure: entries in, entries out. */

export type PaletteEntry = {
  id: string;
  group: 'Do' | 'Instances' | 'Requests';
  label: string;
  detail: string;
  keys: string | null;
  run: () => void;
};

const fold = (text: string): string => text.normalize('NFKD').replace(/\p{M}/gu, '').toLowerCase();

/** How well the words fit: lower is better, null when one of them is nowhere. */
const scoreOf = (entry: PaletteEntry, words: string[]): number | null => {
  const label = fold(entry.label);
  const all = `${label} ${fold(entry.detail)}`;
  let score = 0;
  for (const word of words) {
    const at = all.indexOf(word);
    if (at === -1) return null;
    if (label.startsWith(word)) continue;
    score += label.includes(word) ? 1 : 2;
  }
  return score;
};

/** Entries that hold every word of the query, best first; order stays where they fit alike. An empty query finds all. */
export const findEntries = (entries: PaletteEntry[], query: string): PaletteEntry[] => {
  const words = fold(query).split(/\s+/u).filter(Boolean);
  return entries
    .flatMap((entry, index) => {
      const score = scoreOf(entry, words);
      return score === null ? [] : [{ entry, score, index }];
    })
    .sort((left, right) => left.score - right.score || left.index - right.index)
    .map(({ entry }) => entry);
};
