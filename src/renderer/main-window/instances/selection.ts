/** Selecting instances, and which rows of a long list are drawn. Pure. */
import { type Instance, type InstanceRef, refKey } from '../../../shared/access.ts';

/** Only what a draft keeps of an instance. */
export const refOf = ({ accountId, region, instanceId }: InstanceRef): InstanceRef => ({
  accountId,
  region,
  instanceId,
});

const keysOf = (refs: InstanceRef[]): Set<string> => new Set(refs.map(refKey));

export const toggled = (selected: InstanceRef[], ref: InstanceRef): InstanceRef[] => {
  const key = refKey(ref);
  const rest = selected.filter((other) => refKey(other) !== key);
  return rest.length === selected.length ? [...selected, refOf(ref)] : rest;
};

/** Adds all rows between two places, both included, in either direction; what was selected stays. */
export const withRange = (
  selected: InstanceRef[],
  items: readonly InstanceRef[],
  between: { from: number; to: number },
): InstanceRef[] => {
  const first = Math.max(0, Math.min(between.from, between.to));
  const last = Math.max(between.from, between.to);
  const keys = keysOf(selected);
  const added = items.slice(first, last + 1).filter((item) => !keys.has(refKey(item)));
  return [...selected, ...added.map(refOf)];
};

/** What the box in the table's head shows for these rows. */
export const boxState = (selected: InstanceRef[], items: readonly InstanceRef[]): 'none' | 'some' | 'all' => {
  const keys = keysOf(selected);
  const hits = items.filter((item) => keys.has(refKey(item))).length;
  if (hits === 0) return 'none';
  return hits === items.length ? 'all' : 'some';
};

/** All of these rows in, or (when all are) all of them out; rows that are not among them stay as they are. */
export const allToggled = (selected: InstanceRef[], items: readonly InstanceRef[]): InstanceRef[] => {
  if (boxState(selected, items) !== 'all') return withRange(selected, items, { from: 0, to: items.length - 1 });
  const keys = new Set(items.map(refKey));
  return selected.filter((ref) => !keys.has(refKey(ref)));
};

/** The rows to draw of a long list: those in view and `spare` more on both sides. `end` is exclusive. */
export const rowsInView = (
  view: { scrollTop: number; height: number; rowHeight: number },
  rows: number,
  spare = 12,
): { start: number; end: number } => {
  const row = Math.max(1, view.rowHeight);
  const start = Math.max(0, Math.floor(view.scrollTop / row) - spare);
  const end = Math.min(rows, Math.ceil((view.scrollTop + view.height) / row) + spare);
  return { start: Math.min(start, end), end };
};

/** A hybrid node that is new is marked wherever it can be picked (threats AWS-16). */
export const isNewHybrid = (instance: Instance, now: number): boolean =>
  instance.kind === 'hybrid' && now - Date.parse(instance.firstSeenAt) < 24 * 3_600_000;

const tagByName = (tags: Record<string, unknown>, names: string[]): string | null =>
  Object.keys(tags).find((key) => names.includes(key.toLowerCase())) ?? null;

/** The tag keys that hold the environment and the team here, as the organisation spells them. */
export const environmentKey = (tags: Record<string, unknown>): string | null =>
  tagByName(tags, ['env', 'environment', 'stage']);
export const teamKey = (tags: Record<string, unknown>): string | null => tagByName(tags, ['team', 'owner']);

/** Production is said in ink, other environments step back. */
export const isProduction = (environment: string): boolean => /^prod(uction)?$/i.test(environment);
