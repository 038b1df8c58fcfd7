/** Work that the backend does by itself, again and again. */
import type { Log } from './log.ts';

/** A part that does not stop in this time is left behind: every step of it is repeated at the next start (promise 5). */
const partDeadlineMs = 10_000;

/** Runs work at intervals, never twice at once; what fails is logged and tried again the next time. */
export const repeat = (
  name: string,
  everyMs: number,
  work: () => Promise<unknown>,
  log: Log,
): { stop: () => Promise<void> } => {
  let running: Promise<unknown> | null = null;
  const timer = setInterval(() => {
    if (running !== null) return;
    running = work()
      .catch((error: unknown) => log.error({ event: 'repeated_work_failed', name, error }, 'repeated work failed'))
      .finally(() => {
        running = null;
      });
  }, everyMs);
  return {
    stop: async () => {
      clearInterval(timer);
      await running;
    },
  };
};

/**
 * Looks for work at once when it is called for, each `busy` ms while there is some or looking fails, and each `idle` ms otherwise: a call
 * may be lost. Never twice at once.
 * @param work returns how much there was.
 */
export const lookOut = (
  name: string,
  ms: { busy: number; idle: number },
  work: () => Promise<number>,
  log: Log,
): { now: () => void; stop: () => Promise<void> } => {
  let timer: NodeJS.Timeout | null = null;
  let running: Promise<void> | null = null;
  let again = false;
  let stopped = false;
  const look = async (): Promise<void> => {
    let wait = ms.busy;
    try {
      if ((await work()) === 0) wait = ms.idle;
    } catch (error) {
      log.error({ event: 'repeated_work_failed', name, error }, 'repeated work failed');
    }
    running = null;
    if (stopped) return;
    timer = setTimeout(now, again ? 0 : wait);
    again = false;
  };
  const now = (): void => {
    if (stopped) return;
    if (running !== null) {
      again = true;
      return;
    }
    if (timer !== null) clearTimeout(timer);
    running = look();
  };
  now();
  return {
    now,
    stop: async () => {
      stopped = true;
      if (timer !== null) clearTimeout(timer);
      await running;
    },
  };
};

/** Waits for a part to stop, for ten seconds at most; how it fails is logged. */
export const withDeadline = async (name: string, work: Promise<void>, log: Log): Promise<void> => {
  let timer: NodeJS.Timeout | null = null;
  const late = new Promise<'late'>((resolve) => {
    timer = setTimeout(() => resolve('late'), partDeadlineMs);
  });
  try {
    if ((await Promise.race([work, late])) === 'late') log.warn({ event: 'stop_late', name }, 'left behind at stop');
  } catch (error) {
    log.error({ event: 'stop_failed', name, error }, 'could not be stopped cleanly');
  } finally {
    if (timer !== null) clearTimeout(timer);
  }
};
