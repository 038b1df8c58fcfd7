/** The one snapshot that main owns and pushes whole. Windows draw it; nobody else changes it. */
import type { Grant } from '../shared/access.ts';
import type { AppState, Navigation, Place, TerminalState } from '../shared/desktop.ts';

export type StateHolder = {
  get(): AppState;
  /** Replaces the named parts. Listeners hear of several changes in one go, soon after. */
  set(part: Partial<AppState>): void;
  /** Sends the main window somewhere. */
  navigate(place: Place, id: string | null): void;
  onChange(listener: (state: AppState) => void): () => void;
};

/**
 * @param soon runs its argument a little later; changes in between are told together.
 */
export const createState = (initial: AppState, soon: (run: () => void) => void): StateHolder => {
  let state = initial;
  let told = true;
  const listeners = new Set<(state: AppState) => void>();
  const tell = (): void => {
    told = true;
    for (const listener of listeners) listener(state);
  };
  const set = (part: Partial<AppState>): void => {
    state = { ...state, ...part };
    if (!told) return;
    told = false;
    soon(tell);
  };
  return {
    get: () => state,
    set,
    navigate(place, id) {
      const navigation: Navigation = { seq: (state.navigation?.seq ?? 0) + 1, place, id };
      set({ navigation });
    },
    onChange(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
};

/**
 * What the terminal window may know of it: its own tabs and their grants.
 * @param grants as `Endings.grants` has them: terminals count down after a sign-out too.
 */
export const terminalStateOf = (state: AppState, activeTab: string | null, grants: readonly Grant[]): TerminalState => {
  const grantIds = new Set(state.terminals.map((tab) => tab.grantId));
  return {
    tabs: state.terminals,
    activeTab,
    grants: grants.filter((grant) => grantIds.has(grant.id)),
    clock: state.clock,
    backend: state.backend,
    settings: { scheme: state.settings.scheme, terminalFontSize: state.settings.terminalFontSize },
  };
};

/** Now by the backend's clock, as well as it is known. */
export const backendNow = (state: AppState, now: Date): Date => new Date(now.getTime() + (state.clock?.offsetMs ?? 0));
