/**
 * IAM is eventually consistent: a write is told back by Get and List at once, but the policy engine sees it a while
 * later. Each key keeps the versions that have not fully spread; nothing is ever changed in place.
 */
export type SpreadingTable<T> = {
  /** As the control plane tells it: the newest. */
  get(key: string): T | undefined;
  /** As the policy engine sees it now. */
  seen(key: string): T | undefined;
  /** The newest of every key, sorted by key. */
  all(): T[];
  /** Writes a value; the policy engine sees it after the spreading delay, or at once for what was always there. */
  put(key: string, value: T, when?: 'spreads' | 'at once'): void;
  remove(key: string): void;
};

type Version<T> = { visibleFromMs: number; value: T | undefined };

/** `spreadingDelayMs` is asked at every write, so that a fault can change it while running. */
export const createSpreadingTable = <T>(options: {
  now: () => Date;
  spreadingDelayMs: () => number;
}): SpreadingTable<T> => {
  const versions = new Map<string, Version<T>[]>();

  const seenIndex = (list: Version<T>[]): number => {
    const nowMs = options.now().getTime();
    return list.findLastIndex((version) => version.visibleFromMs <= nowMs);
  };

  const write = (key: string, value: T | undefined, delayMs: number): void => {
    const list = versions.get(key) ?? [];
    // What is older than the version now seen can never be seen again.
    const kept = list.slice(Math.max(0, seenIndex(list)));
    kept.push({ visibleFromMs: delayMs === 0 ? 0 : options.now().getTime() + delayMs, value });
    versions.set(key, kept);
  };

  return {
    get: (key) => versions.get(key)?.at(-1)?.value,
    seen: (key) => {
      const list = versions.get(key) ?? [];
      return list[seenIndex(list)]?.value;
    },
    all: () =>
      [...versions.keys()].sort().flatMap((key) => {
        const value = versions.get(key)?.at(-1)?.value;
        return value === undefined ? [] : [value];
      }),
    put: (key, value, when = 'spreads') => write(key, value, when === 'at once' ? 0 : options.spreadingDelayMs()),
    remove: (key) => write(key, undefined, options.spreadingDelayMs()),
  };
};
