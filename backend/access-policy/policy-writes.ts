/** From the documents that were seen to those that should be: which writes, in which order. Pure. */
import type { SlotDocument } from './compile.ts';

/** One document as it was read. Slot 0, the inline policy, is always attached; a managed policy may stand there unattached. */
export type SeenDocument = SlotDocument & { attached: boolean };

export type PolicyWrite =
  /** `known`: it is there, so a managed policy gets a new version. */
  | { do: 'put'; slot: number; document: string; known: boolean }
  | { do: 'attach'; slot: number }
  | { do: 'detach'; slot: number }
  /** Of the inline policy, or of a managed policy that hangs nowhere. */
  | { do: 'delete'; slot: number };

/** Only this opens anything. */
export const effective = (seen: readonly SeenDocument[]): SlotDocument[] =>
  seen
    .filter(({ attached }) => attached)
    .map(({ slot, document }) => ({ slot, document }))
    .sort((a, b) => a.slot - b.slot);

const statementsOf = (document: string): string[] | null => {
  try {
    const read: unknown = JSON.parse(document);
    if (typeof read !== 'object' || read === null || !('Statement' in read) || !Array.isArray(read.Statement))
      return null;
    return read.Statement.map((statement) => JSON.stringify(statement));
  } catch {
    return null;
  }
};

/** Does the new text leave out anything that the old one says? What cannot be read is taken away first. */
const takesAway = (before: string, after: string): boolean => {
  const kept = new Set(statementsOf(after) ?? []);
  return statementsOf(before)?.some((statement) => !kept.has(statement)) ?? true;
};

/**
 * The writes, in an order in which at no point more is open than before or after: what takes away comes first. Cut off
 * anywhere, what is left has a name of ours and is seen by the next look. Empty when everything is as it should be.
 */
export const policyWrites = (seen: readonly SeenDocument[], wish: readonly SlotDocument[]): PolicyWrite[] => {
  const wished = new Map(wish.map(({ slot, document }) => [slot, document]));
  const known = new Map(seen.map((one) => [one.slot, one]));
  const unwanted = seen.filter(({ slot }) => !wished.has(slot));
  const changed = wish.filter(({ slot, document }) => known.get(slot)?.document !== document);
  const puts = changed.map(({ slot, document }): { put: PolicyWrite; first: boolean } => {
    const before = known.get(slot);
    const first = before?.attached === true && takesAway(before.document, document);
    return { put: { do: 'put', slot, document, known: before !== undefined }, first };
  });
  const inSlots = (slots: ReadonlyArray<{ slot: number }>, what: 'attach' | 'detach' | 'delete'): PolicyWrite[] =>
    slots.map(({ slot }) => ({ do: what, slot }));
  return [
    ...inSlots(
      unwanted.filter(({ slot, attached }) => slot > 0 && attached),
      'detach',
    ),
    ...inSlots(
      unwanted.filter(({ slot }) => slot === 0),
      'delete',
    ),
    ...puts.filter(({ first }) => first).map(({ put }) => put),
    ...puts.filter(({ first }) => !first).map(({ put }) => put),
    ...inSlots(
      wish.filter(({ slot }) => slot > 0 && known.get(slot)?.attached !== true),
      'attach',
    ),
    ...inSlots(
      unwanted.filter(({ slot }) => slot > 0),
      'delete',
    ),
  ];
};
