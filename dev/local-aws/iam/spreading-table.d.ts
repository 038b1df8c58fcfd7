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
/** `spreadingDelayMs` is asked at every write, so that a fault can change it while running. */
export declare const createSpreadingTable: <T>(options: {
    now: () => Date;
    spreadingDelayMs: () => number;
}) => SpreadingTable<T>;
