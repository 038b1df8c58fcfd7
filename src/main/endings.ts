/**
 * The third lock: the app closes its own terminals when their grant is over, by the backend's clock, whether or not it answers. The clock
 * of this computer may be wrong, and may be set while the network is away (threats TERM-10). What was heard of a grant is kept while one of
 * its terminals is here: they go on after a sign-out, and after a sign-in of somebody else, and end on time all the same.
 */
import type { Grant } from '../shared/access.ts';
import type { AppState } from '../shared/desktop.ts';
import { backendNow } from './app-state.ts';

const runs = (grant: Grant): grant is Extract<Grant, { state: 'active' | 'granting' }> =>
  grant.state === 'active' || grant.state === 'granting';

type Heard = {
  grant: Grant;
  /** By the clock that nobody can set. */
  endsAtMs: number;
};

export type Endings = {
  /** Right after the backend was heard, when its clock has just been measured: how long is left of each grant. */
  heard(state: AppState, now: Date): void;
  /** Grants of the overview, and those of the terminals here as they were heard last. */
  grants(state: AppState): Grant[];
  /** Grants whose terminals must be closed now: over, with a terminal that is not ended yet. */
  toClose(state: AppState, now: Date): string[];
};

/** @param monotonicMs a clock that nobody can set, ms from any origin. It may stand still while the computer sleeps: then the other one tells. */
export const createEndings = (monotonicMs: () => number): Endings => {
  let known = new Map<string, Heard>();
  const isOver = (grant: Grant, at: Date): boolean => {
    if (!runs(grant)) return grant.state !== 'ready';
    return Date.parse(grant.endsAt) <= at.getTime() || (known.get(grant.id)?.endsAtMs ?? Infinity) <= monotonicMs();
  };
  const grants = (state: AppState): Grant[] => {
    const told = state.overview?.grants ?? [];
    const ids = new Set(told.map(({ id }) => id));
    const here = new Set(state.terminals.map(({ grantId }) => grantId));
    const kept = [...known.values()].map(({ grant }) => grant);
    return [...told, ...kept.filter(({ id }) => here.has(id) && !ids.has(id))];
  };
  return {
    heard(state, now) {
      const [at, mark] = [backendNow(state, now).getTime(), monotonicMs()];
      const told = new Set(state.overview?.grants);
      const heard = (grant: Grant): Heard => {
        const earlier = known.get(grant.id);
        if (!told.has(grant) && earlier !== undefined) return earlier;
        return { grant, endsAtMs: runs(grant) ? mark + Date.parse(grant.endsAt) - at : Infinity };
      };
      known = new Map(grants(state).map((grant) => [grant.id, heard(grant)]));
    },
    grants,
    toClose(state, now) {
      const at = backendNow(state, now);
      const over = new Set(grants(state).flatMap((grant) => (isOver(grant, at) ? [grant.id] : [])));
      const open = state.terminals.filter((tab) => tab.phase !== 'ended' && tab.phase !== 'failed');
      return [...new Set(open.map((tab) => tab.grantId))].filter((grantId) => over.has(grantId));
    },
  };
};
