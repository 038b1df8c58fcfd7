/**
 * Keeps the snapshot in step with the backend: fetches the overview whole after every change, measures the clock with each fetch, and
 * says honestly since when nothing was heard. What is known stays on screen.
 */
import type { ClockOffset } from '../shared/desktop.ts';
import { Refusal } from '../shared/refusal.ts';
import type { StateHolder } from './app-state.ts';
import type { Log } from './log.ts';
import { type BackendClient, Unreachable } from './ports.ts';

/** Fetched at least this often, so that the clock is never unchecked for a minute (look.md 3). */
const everyMs = 25_000;
const changesTogetherMs = 80;
const retryMs = [1000, 2000, 4000, 8000, 15_000, 30_000];

/** Timers as an argument, so that tests never wait. */
export type Timers = { after(ms: number, run: () => void): () => void };

export type Watch = {
  /** From sign-in on: fetches, listens, goes on until `stop`. */
  start(): void;
  stop(): void;
  /** Fetches now. Never throws: what went wrong is in the snapshot. */
  refresh(): Promise<void>;
  /** Public facts before sign-in: names the organisation, tells whether the backend can be reached. */
  introduce(): Promise<void>;
};

export const createWatch = (deps: {
  backend: Pick<BackendClient, 'overview' | 'info' | 'subscribe'>;
  state: StateHolder;
  now: () => Date;
  timers: Timers;
  log: Log;
  onOverview: () => void;
  onTokenRefused: () => void;
}): Watch => {
  const { backend, state, now, timers, log } = deps;
  let running = false;
  let failures = 0;
  let stopListening = (): void => undefined;
  let stopTimer = (): void => undefined;
  let fetching: Promise<void> | null = null;
  let again = false;

  const reached = (): void => {
    failures = 0;
    state.set({ backend: { state: 'ok', lastOkAt: now().toISOString() } });
  };

  const failed = (error: unknown): void => {
    if (error instanceof Refusal && error.code === 'sign_in_needed') {
      reached();
      deps.onTokenRefused();
      return;
    }
    failures += 1;
    const known = state.get().backend;
    const lastOkAt = known.state === 'reaching' ? null : known.lastOkAt;
    const what = error instanceof Unreachable ? error.what : 'the backend: it failed to answer';
    if (!(error instanceof Unreachable)) log('error', 'backend call failed', { error });
    state.set({ backend: { state: 'unreachable', lastOkAt, what } });
  };

  const measure = (serverTime: string, askedAt: number): ClockOffset => {
    const heardAt = now();
    const middle = (askedAt + heardAt.getTime()) / 2;
    return { offsetMs: Math.round(Date.parse(serverTime) - middle), checkedAt: heardAt.toISOString() };
  };

  const fetchOnce = async (): Promise<void> => {
    const askedAt = now().getTime();
    try {
      const overview = await backend.overview();
      if (!running) return;
      reached();
      state.set({ overview, clock: measure(overview.serverTime, askedAt) });
      deps.onOverview();
    } catch (error) {
      if (running) failed(error);
    }
  };

  const plan = (): void => {
    stopTimer();
    if (!running) return;
    const wait = failures === 0 ? everyMs : (retryMs[Math.min(failures, retryMs.length) - 1] ?? everyMs);
    stopTimer = timers.after(wait, () => void refresh());
  };

  /** One fetch at a time; a wish that comes meanwhile is one more fetch afterwards. */
  const refresh = async (): Promise<void> => {
    if (!running) return;
    if (fetching !== null) {
      again = true;
      await fetching;
      return;
    }
    fetching = (async () => {
      do {
        again = false;
        await fetchOnce();
      } while (again && running);
    })();
    await fetching;
    fetching = null;
    plan();
  };

  let stopSoon = (): void => undefined;
  const soon = (): void => {
    stopSoon();
    stopSoon = timers.after(changesTogetherMs, () => void refresh());
  };

  return {
    start() {
      if (running) return;
      running = true;
      stopListening = backend.subscribe({ onChange: soon, onReach: soon });
      void refresh();
    },
    stop() {
      running = false;
      stopListening();
      stopTimer();
      stopSoon();
    },
    refresh,
    async introduce() {
      const askedAt = now().getTime();
      try {
        const info = await backend.info();
        reached();
        state.set({
          organisationName: info.organisationName,
          deviceCodeAllowed: info.deviceCodeAllowed,
          signInWith: info.signInWith,
          clock: measure(info.serverTime, askedAt),
        });
      } catch (error) {
        failed(error);
      }
    },
  };
};
