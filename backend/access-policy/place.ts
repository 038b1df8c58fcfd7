/**
 * Which instance of which window goes into which document of a principal. Pure: the same input gives the same places, and a
 * change of one grant moves as little as possible, because every window prefers documents by a hash of its own
 * (rendezvous hashing) and goes elsewhere only where there is no room.
 */
import { createHash } from 'node:crypto';
import type { StatementWindow } from './statements.ts';

/** One of a principal's documents: 0 is the inline policy, 1 and up are managed policies. `room`: characters. */
export type Slot = { index: number; room: number };

/** One instance in one window. */
export type Unit = { arn: string; instanceId: string; region: string; window: StatementWindow };

/** What stands in one document about one window; `from` is the latest of its units'. */
export type Piece = { window: StatementWindow; units: Unit[] };

/** Characters: of a window's statements without entries, of one instance in them, and of a region new to them. */
export type Costs = {
  piece: (window: StatementWindow) => number;
  unit: (unit: Unit) => number;
  region: (region: string) => number;
  /** What the first unit brings along: the session document stands in the statement that ends last. */
  first: number;
};

/** How much a window likes a slot: the highest wins, in proportion to the slots' sizes. */
const liking = (until: string, { index, room }: Slot): number => {
  const hash = createHash('sha256').update(`${until}|${index}`).digest().readUInt32BE(0);
  return -room / Math.log((hash + 0.5) / 2 ** 32);
};

const later = (a: string, b: string): string => (a < b ? b : a);

/**
 * @param units those of the latest window first.
 * @returns the pieces of each slot, or null when there is no room for all.
 */
export const place = (
  units: readonly Unit[],
  slots: readonly Slot[],
  costs: Costs,
): ReadonlyMap<number, Piece[]> | null => {
  const room = new Map(slots.map((slot) => [slot.index, slot.room]));
  const pieces = new Map(slots.map((slot) => [slot.index, new Map<string, Piece>()]));
  const preferred = new Map<string, Slot[]>();
  const slotsFor = (until: string): Slot[] => {
    const known = preferred.get(until);
    if (known !== undefined) return known;
    const order = slots
      .map((slot) => ({ slot, liked: liking(until, slot) }))
      .sort((a, b) => b.liked - a.liked)
      .map(({ slot }) => slot);
    preferred.set(until, order);
    return order;
  };
  const costIn = (index: number, unit: Unit): number => {
    const piece = pieces.get(index)?.get(unit.window.until);
    const newRegion = piece === undefined || piece.units.every(({ region }) => region !== unit.region);
    return (
      costs.unit(unit) +
      (newRegion ? costs.region(unit.region) : 0) +
      (piece === undefined ? costs.piece(unit.window) : 0) +
      (unit === units[0] ? costs.first : 0)
    );
  };
  for (const unit of units) {
    const slot = slotsFor(unit.window.until).find(({ index }) => costIn(index, unit) <= (room.get(index) ?? 0));
    if (slot === undefined) return null;
    room.set(slot.index, (room.get(slot.index) ?? 0) - costIn(slot.index, unit));
    const inSlot = pieces.get(slot.index);
    const piece = inSlot?.get(unit.window.until);
    if (piece === undefined) inSlot?.set(unit.window.until, { window: unit.window, units: [unit] });
    else {
      piece.units.push(unit);
      piece.window = { ...piece.window, from: later(piece.window.from, unit.window.from) };
    }
  }
  return new Map([...pieces].map(([index, byUntil]) => [index, [...byUntil.values()]]));
};
