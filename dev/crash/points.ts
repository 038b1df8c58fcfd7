/**
 * The points at which a backend is killed: found by watching a job from outside, then visited one by one. Before and after every AWS
 * call and every statement that changes something, and among the reads between two changes. A point is told by what it is, not by when
 * it comes, so that a poll more or less moves none of the others.
 */
import type { Gate, Phase, Traffic } from './traffic.ts';

export type Points = {
  /** For the proxies. */
  gate: Gate;
  /**
   * From now on points are noted, and the first one that `dies` accepts is kept for ever: it and all that comes after it.
   * @param onDeath is called once, at that very moment.
   */
  watch: (dies: (point: string) => boolean, onDeath: (point: string) => void) => void;
  /** All passes again, and nothing is noted. */
  rest: () => void;
  /** Milliseconds since AWS was last asked or answered. */
  awsQuietMs: () => number;
  /** Every point that was noted, in the order in which they came first. */
  seen: () => readonly string[];
  /** Begins the list anew. */
  forget: () => void;
};

/** The connection by which a backend says that it lives. */
const heart = 'curfew presence';

export const createPoints = (): Points => {
  const seen = new Set<string>();
  let watching: { dies: (point: string) => boolean; onDeath: (point: string) => void } | null = null;
  let dead = false;
  let lastAwsAt = 0;
  let counts = new Map<string, number>();
  let lastChange = new Map<string, string>();
  let names = new WeakMap<Traffic, string>();

  /**
   * A change has a number among its like; a commit, or a read, is told by the change before it. What changed no row has no number of its
   * own: polls and heartbeats come as often as time allows, and all of them are one point until one of them finds something.
   */
  const nameOf = (traffic: Traffic): string => {
    const { from, what, changes } = traffic;
    const before = lastChange.get(from) ?? 'the start';
    if (!changes) return `a read after ${before}`;
    if (what === 'commit') return before.startsWith('commit') ? before : `commit after ${before}`;
    // Some change each time they come: what beats says nothing about the job.
    if (from === heart) return what;
    return `${what} #${(counts.get(`${from} ${what}`) ?? 0) + 1}`;
  };

  const note = (traffic: Traffic, phase: Phase): string => {
    const name = names.get(traffic) ?? nameOf(traffic);
    names.set(traffic, name);
    if (phase === 'after' && traffic.changes && traffic.changedNothing !== true) {
      const { from, what } = traffic;
      counts.set(`${from} ${what}`, (counts.get(`${from} ${what}`) ?? 0) + 1);
      lastChange.set(from, name);
    }
    const point = `${phase} ${traffic.from}: ${name}`;
    seen.add(point);
    return point;
  };

  return {
    gate: (traffic, phase) => {
      if (traffic.from === 'aws') lastAwsAt = performance.now();
      if (dead) return false;
      // Between two changes it is all one when a read is cut off.
      if (watching === null || (!traffic.changes && phase === 'after')) return true;
      const point = note(traffic, phase);
      if (!watching.dies(point)) return true;
      dead = true;
      watching.onDeath(point);
      return false;
    },
    watch: (dies, onDeath) => {
      dead = false;
      counts = new Map();
      lastChange = new Map();
      names = new WeakMap();
      watching = { dies, onDeath };
    },
    rest: () => {
      dead = false;
      watching = null;
    },
    awsQuietMs: () => performance.now() - lastAwsAt,
    seen: () => [...seen],
    forget: () => seen.clear(),
  };
};
