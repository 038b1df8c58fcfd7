/** What every screen of the main window may use: the snapshot, the intents, where we are, the draft. */
import { createContext, useCallback, useContext, useEffect, useRef, useState } from 'react';
import type { AccessRequest, Grant, Instance } from '../../shared/access.ts';
import type { AppState, MainBridge, Place, SavedDraft } from '../../shared/desktop.ts';
import type { Answer, Failure } from '../../shared/refusal.ts';

export type Main = {
  state: AppState;
  send: MainBridge['send'];
  place: Place;
  /** The request, grant or notice that the place should show; null: none in particular. */
  placeId: string | null;
  go: (place: Place, id?: string | null) => void;
  draft: SavedDraft;
  setDraft: (draft: SavedDraft) => void;
  formOpen: boolean;
  setFormOpen: (open: boolean) => void;
  /** Instances met so far, by `refKey`: the draft holds references only. */
  known: ReadonlyMap<string, Instance>;
  learn: (instances: Instance[]) => void;
  meId: string | null;
  /** False while the backend cannot be reached or a sign-in is needed: what needs it is disabled, with the reason. */
  canAct: boolean;
  whyNot: string | null;
};

export const MainContext = createContext<Main | null>(null);

/** The main window's context. Throws when a screen is drawn outside of it: a mistake in our own code. */
export const useMain = (): Main => {
  const main = useContext(MainContext);
  if (main === null) throw new Error('drawn outside of the main window');
  return main;
};

/** Waits for an intent's answer; a broken bridge becomes a fault that the screen can show. */
export const settle = async <T>(promise: Promise<Answer<T>>): Promise<Answer<T>> => {
  try {
    return await promise;
  } catch (error) {
    const what = error instanceof Error ? error.message : String(error);
    return { ok: false, failure: { kind: 'fault', faultId: 'window', what: `The app did not answer: ${what}` } };
  }
};

export type Running = {
  busy: boolean;
  failure: Failure | null;
  clear: () => void;
  /** Runs one intent; false when it failed (the failure is then in `failure`). */
  run: <T>(start: () => Promise<Answer<T>>, done?: (value: T) => void) => Promise<boolean>;
};

/** One intent at a time from one place on the screen, with its failure. */
export const useIntent = (): Running => {
  const [busy, setBusy] = useState(false);
  const [failure, setFailure] = useState<Failure | null>(null);
  const clear = useCallback(() => setFailure(null), []);
  const run = useCallback(async <T>(start: () => Promise<Answer<T>>, done?: (value: T) => void): Promise<boolean> => {
    setBusy(true);
    setFailure(null);
    const answer = await settle(start());
    setBusy(false);
    if (!answer.ok) {
      setFailure(answer.failure);
      return false;
    }
    done?.(answer.value);
    return true;
  }, []);
  return { busy, failure, clear, run };
};

export type Loaded<T> = {
  /** The last answer, kept while a newer one is on its way. */
  value: T | null;
  failure: Failure | null;
  loading: boolean;
  reload: () => void;
};

/** Asks when `key` changes (or `reload` is called) and keeps the last answer; late answers to old questions are dropped. */
export const useLoaded = <T>(key: string | null, ask: () => Promise<Answer<T>>, waitMs = 0): Loaded<T> => {
  const [value, setValue] = useState<T | null>(null);
  const [failure, setFailure] = useState<Failure | null>(null);
  const [answered, setAnswered] = useState<string | null>(null);
  const [turn, setTurn] = useState(0);
  const asking = useRef(ask);
  asking.current = ask;
  const question = key === null ? null : `${turn} ${key}`;
  useEffect(() => {
    if (question === null) return undefined;
    let current = true;
    const timer = setTimeout(async () => {
      const answer = await settle(asking.current());
      if (!current) return;
      setAnswered(question);
      if (answer.ok) setValue(answer.value);
      setFailure(answer.ok ? null : answer.failure);
    }, waitMs);
    return () => {
      current = false;
      clearTimeout(timer);
    };
  }, [question, waitMs]);
  const reload = useCallback(() => setTurn((before) => before + 1), []);
  return { value, failure, loading: question !== null && answered !== question, reload };
};

/** Grants of the signed-in person that give access now or soon. */
export const liveGrants = (state: AppState): Grant[] =>
  (state.overview?.grants ?? []).filter(({ state: name }) => ['ready', 'granting', 'active', 'ending'].includes(name));

/** Waiting requests for me that nobody else has open. */
export const forMe = (state: AppState): AccessRequest[] =>
  (state.overview?.toDecide ?? []).filter((request) => claimedByOther(request, state) === null);

/** Who else has the card open at this moment, or null. */
export const claimedByOther = (request: AccessRequest, state: AppState): { name: string; until: string } | null => {
  if (request.state !== 'waiting' || request.claim === null) return null;
  const { by, until } = request.claim;
  const now = Date.now() + (state.clock?.offsetMs ?? 0);
  if (by.id === state.overview?.me.person.id || Date.parse(until) <= now) return null;
  return { name: by.displayName, until };
};
