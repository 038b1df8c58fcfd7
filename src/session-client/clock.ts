/** Time as an argument: tests run the same code with short delays of their own. */

export type Cancel = () => void;

export type Clock = {
  now: () => Date;
  after: (ms: number, run: () => void) => Cancel;
  every: (ms: number, run: () => void) => Cancel;
};

export const systemClock: Clock = {
  now: () => new Date(),
  after: (ms, run) => {
    const timer = setTimeout(run, ms);
    return () => clearTimeout(timer);
  },
  every: (ms, run) => {
    const timer = setInterval(run, ms);
    return () => clearInterval(timer);
  },
};
