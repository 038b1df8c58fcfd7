/**
 * A bad network on demand: delays, loses, corrupts, repeats and reorders binary frames, each direction by itself.
 * A websocket over TCP does none of that; AWS's gateway between the two ends may, and both ends must survive it.
 */

export type LinkFaults = {
  /** One-way delay of each frame, milliseconds. */
  latencyMs: number;
  /** Shares of frames, 0 to 1. A corrupted frame has one bit flipped, somewhere where an end of this protocol can notice it. */
  corruptShare: number;
  loseShare: number;
  duplicateShare: number;
  /** A reordered frame is delayed by up to 30 ms more than its turn. */
  reorderShare: number;
};

export const noFaults: LinkFaults = {
  latencyMs: 0,
  corruptShare: 0,
  loseShare: 0,
  duplicateShare: 0,
  reorderShare: 0,
};

export type FaultyLink = { send: (frame: Buffer) => void; close: () => void };

/**
 * Bytes that nothing in a frame vouches for: date, sequence number, flags and message id, and the payload's type (ssm-protocol: the digest is of
 * the payload alone). A frame that is wrong in one of these is a good frame to both ends, which lose or mistake what it carries: no client can
 * promise anything there.
 */
const unvouched = [
  { from: 40, until: 80 },
  { from: 112, until: 116 },
] as const;

/** A byte of the frame that a flipped bit spoils noticeably. */
const noticedAt = (length: number, random: () => number): number => {
  let at = Math.floor(random() * (length - unvouched.reduce((sum, { from, until }) => sum + until - from, 0)));
  for (const { from, until } of unvouched) if (at >= from) at += until - from;
  return at;
};

/**
 * One direction of a connection. `faults` is asked for every frame, so a change takes effect at once.
 * @param deliver gets the frames that arrive; frames in flight at `close` never arrive.
 * @param random source of chance, 0 ≤ n < 1.
 */
export const createFaultyLink = (
  faults: () => LinkFaults,
  random: () => number,
  deliver: (frame: Buffer) => void,
): FaultyLink => {
  const inFlight = new Set<NodeJS.Timeout>();
  let closed = false;

  const later = (frame: Buffer, delayMs: number) => {
    if (delayMs <= 0) return deliver(frame);
    const timer = setTimeout(() => {
      inFlight.delete(timer);
      deliver(frame);
    }, delayMs);
    inFlight.add(timer);
  };

  const corrupted = (frame: Buffer): Buffer => {
    const copy = Buffer.from(frame);
    const at = noticedAt(copy.length, random);
    copy[at] = (copy[at] ?? 0) ^ (1 << Math.floor(random() * 8));
    return copy;
  };

  return {
    send: (frame) => {
      if (closed) return;
      const { latencyMs, corruptShare, loseShare, duplicateShare, reorderShare } = faults();
      if (random() < loseShare) return;
      const copies = random() < duplicateShare ? 2 : 1;
      for (let copy = 0; copy < copies; copy++) {
        const delayMs = latencyMs + (random() < reorderShare ? 1 + random() * 29 : 0);
        later(random() < corruptShare ? corrupted(frame) : frame, delayMs);
      }
    },
    close: () => {
      closed = true;
      for (const timer of inFlight) clearTimeout(timer);
      inFlight.clear();
    },
  };
};
