/**
 * A bad network on demand: delays, loses, corrupts, repeats and reorders binary frames, each direction by itself.
 * A websocket over TCP does none of that; AWS's gateway between the two ends may, and both ends must survive it.
 */
export type LinkFaults = {
    /** One-way delay of each frame, milliseconds. */
    latencyMs: number;
    /** Shares of frames, 0 to 1. A corrupted frame has one bit of its payload or header flipped. */
    corruptShare: number;
    loseShare: number;
    duplicateShare: number;
    /** A reordered frame is delayed by up to 30 ms more than its turn. */
    reorderShare: number;
};
export declare const noFaults: LinkFaults;
export type FaultyLink = {
    send: (frame: Buffer) => void;
    close: () => void;
};
/**
 * One direction of a connection. `faults` is asked for every frame, so a change takes effect at once.
 * @param deliver gets the frames that arrive; frames in flight at `close` never arrive.
 * @param random source of chance, 0 ≤ n < 1.
 */
export declare const createFaultyLink: (faults: () => LinkFaults, random: () => number, deliver: (frame: Buffer) => void) => FaultyLink;
