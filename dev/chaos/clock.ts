/** Time of one history: it stands still until somebody lets it pass. */
export type Clock = {
  now: () => Date;
  /** Milliseconds. */
  pass: (ms: number) => void;
  /** Called each time some has passed. */
  onPass: (listener: () => void) => void;
};

export const createClock = (start: Date): Clock => {
  let at = start.getTime();
  const listeners: Array<() => void> = [];
  return {
    now: () => new Date(at),
    pass: (ms) => {
      at += ms;
      for (const listener of listeners) listener();
    },
    onPass: (listener) => void listeners.push(listener),
  };
};
