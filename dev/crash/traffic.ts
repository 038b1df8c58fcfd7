/** What passes between a backend and the outside, as a proxy sees it, and who says whether it goes on. */

/** One SQL statement or one AWS call. */
export type Traffic = {
  /** Who sent it: Postgres's application name, or `aws`. */
  from: string;
  /** The statement without its values, or `service:Operation`. */
  what: string;
  /** A step of its own: a statement that may change something, or any AWS call. All else are reads between steps. */
  changes: boolean;
  /** Known when it was done: it changed no row after all. */
  changedNothing?: boolean;
};

/** `before`: nobody has heard of it yet. `after`: it was done, and its answer has not come back yet. */
export type Phase = 'before' | 'after';

/**
 * Asked twice for each statement and call, with the same object.
 * @returns false when it must not go on: the proxy then forgets it.
 */
export type Gate = (traffic: Traffic, phase: Phase) => boolean;

export type Watcher = {
  /** What the backend is told in place of the true address. */
  url: string;
  /** Ends every connection that is open now, as when one side has died. */
  cut: () => void;
  close: () => Promise<void>;
};
