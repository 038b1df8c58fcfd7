/**
 * Whether a principal's documents have room for grants, whatever becomes of them (decision 8). Pure.
 *
 * A document shrinks and grows as grants come and go: an instance stands in the window that ends last, so ending that grant
 * brings to light the windows of others. Room is therefore not what is written now but the most that may have to be written:
 * whoever was let in keeps their access (promise 6). Monotonic by how it counts, so every part of what fits does, too:
 *
 * - each instance once, each region's session document once: fewer grants never have more of these;
 * - as many windows as there can be at once. Each window that is written holds an instance of its own, so there are never
 *   more than ends can be paired with instances. Without a grant there are at most the pairs there were. A grant that is not
 *   connected yet will have an end of its own; connected, it has that one or shares another's. Grants that live and end in the
 *   same second are one end: nothing but an extension parts them, and that is measured by itself;
 * - what may be left over in several documents when none of them has room for one more (`place.ts`).
 */
import { type InstanceRef, refKey } from '../../src/shared/access.ts';
import { compileAccessPolicy, leastNeeds, type PolicyCarrier, policyInstant } from './compile.ts';

/** A grant that lives (its window is known), or one that starts at the first connect (its length is known). */
export type PlannedGrant = { id: string; instances: InstanceRef[] } & (
  | { notBefore: Date; endsAt: Date }
  | { afterConnectSeconds: number }
);

/** The instances, by `refKey`, of all grants that surely end together. */
const ends = (grants: readonly PlannedGrant[]): ReadonlyArray<ReadonlySet<string>> => {
  const together = new Map<string, Set<string>>();
  grants.forEach((grant, index) => {
    const end = 'endsAt' in grant ? policyInstant(grant.endsAt) : `connect ${index}`;
    const keys = together.get(end) ?? new Set<string>();
    for (const ref of grant.instances) keys.add(refKey(ref));
    together.set(end, keys);
  });
  return [...together.values()];
};

/** How many ends can be paired with an instance of their own: a largest matching, by augmenting paths. */
const mostWindows = (instancesOfEnds: ReadonlyArray<ReadonlySet<string>>): number => {
  const endOf = new Map<string, ReadonlySet<string>>();
  const pair = (instances: ReadonlySet<string>, tried: Set<string>): boolean => {
    for (const key of instances) {
      if (tried.has(key)) continue;
      tried.add(key);
      const other = endOf.get(key);
      if (other === undefined || pair(other, tried)) {
        endOf.set(key, instances);
        return true;
      }
    }
    return false;
  };
  return instancesOfEnds.filter((instances) => pair(instances, new Set())).length;
};

/** Room as it is promised. Characters as IAM counts them, of all documents. */
export type Room = {
  /** The most that these grants may come to need. */
  needed: number;
  limit: number;
  fits: boolean;
  /** How many more grants of one instance, each with an end of its own, would be let in beside them. */
  moreInstances: number;
};

/**
 * Whether all of these grants, and any part of them, have room at whatever times they are connected and end.
 * @throws what the compiler throws (threats RQ-01).
 */
export const roomFor = (carrier: PolicyCarrier, grants: readonly PlannedGrant[]): Room => {
  const needs = leastNeeds(
    carrier,
    grants.flatMap(({ instances }) => instances),
  );
  const { entry, window, rooms } = needs;
  const limit = needs.limit;
  const inUse = needs.entries + needs.sessionDocuments + mostWindows(ends(grants)) * window;
  // Where one more finds no room, every document but one may have almost as much left as that one needs.
  const leftOver = (widest: number): number => (rooms.length - 1) * (window + widest);
  const spare = rooms.reduce((sum, room) => sum + room, 0) - inUse - leftOver(entry.widest);
  // The session documents all stand beside the first instance.
  const fits =
    grants.length === 0 || (spare >= 0 && Math.max(...rooms) >= window + entry.widest + needs.sessionDocuments);
  const spareForMore = spare - leftOver(Math.max(entry.widest, entry.oneMore)) + leftOver(entry.widest);
  const moreInstances = fits ? Math.max(0, Math.floor(spareForMore / (window + entry.oneMore))) : 0;
  return { needed: limit - spare, limit, fits, moreInstances };
};

/**
 * How much room a principal's documents have with these grants.
 * @returns `fits` false means: refuse with `policy_full` before a person is asked. `characters`: what would be written if all
 * of them were connected, one after the other; `needed` is what they may come to need when some have ended.
 */
export const headroom = (carrier: PolicyCarrier, grants: readonly PlannedGrant[]): Room & { characters: number } => {
  const lastEnd = Math.max(0, ...grants.map((grant) => ('endsAt' in grant ? grant.endsAt.getTime() : 0)));
  // Grants that are not connected yet each get a window of their own, after all that are known.
  const connected = grants.map((grant, index) => {
    if ('endsAt' in grant) return grant;
    const notBefore = lastEnd + (index + 1) * 1000;
    const endsAt = new Date(notBefore + grant.afterConnectSeconds * 1000);
    return { id: grant.id, instances: grant.instances, notBefore: new Date(notBefore), endsAt };
  });
  const { characters } = compileAccessPolicy({ ...carrier, grants: connected });
  return { ...roomFor(carrier, grants), characters };
};
