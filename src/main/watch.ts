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
/** A stream that stood this long was sound: the next end of one is the first again. */
const soundMs = 60_000;

const retryAfter = (failures: number): number => retryMs[Math.min(failures, retryMs.length) - 1] ?? everyMs;

/** Timers as an argument, so that tests never wait. */
export type Timers = { after(ms: number, run: () => void): () => void };

export type Watch = {
  /** From sign-in on: fetches, listens, goes on until `stop`. Called again with a new token: a stream that was refused is opened anew. */
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
  /** From 0 to 1: spreads the apps of a whole organisation that lost their streams in one moment. */
  random?: () => number;
}): Watch => {
  const { backend, state, now, timers, log } = deps;
  let running = false;
  let failures = 0;
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
    const wait = failures === 0 ? everyMs : retryAfter(failures);
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

  const random = deps.random ?? Math.random;
  /** Null: no stream is open. */
  let stream: { close: () => void } | null = null;
  let ends = 0;
  let lastHeard: string | null = null;
  let stopListenAgain = (): void => undefined;

  const listen = (): void => {
    stopListenAgain();
    const openedAt = now().getTime();
    const mine = { close: (): void => undefined };
    stream = mine;
    mine.close = backend.subscribe(
      {
        onChange: (_event, id) => {
          lastHeard = id;
          soon();
        },
        onReach: soon,
        onOver: () => {
          if (stream !== mine) return;
          stream = null;
          ends = now().getTime() - openedAt >= soundMs ? 1 : ends + 1;
          log('info', 'the stream of changes ended and is opened again', { ends });
          stopListenAgain = timers.after(Math.round(retryAfter(ends) * (0.5 + random())), listen);
        },
      },
      lastHeard,
    );
  };

  return {
    start() {
      if (running) {
        // A new token: what the old one was refused may be had at once, but only once, or two that refuse each other would race.
        if (stream === null && ends === 1) listen();
        return;
      }
      running = true;
      ends = 0;
      lastHeard = null;
      listen();
      void refresh();
    },
    stop() {
      running = false;
      stopListenAgain();
      stream?.close();
      stream = null;
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
