/**
 * The third lock: the app closes its own terminals when their grant is over, by the backend's clock, whether or not it answers. The clock
 * of this computer may be wrong, and may be set while the network is away (threats TERM-10).
 */
import type { Grant } from '../shared/access.ts';
import type { AppState } from '../shared/desktop.ts';
import { backendNow } from './app-state.ts';

const runs = (grant: Grant): grant is Extract<Grant, { state: 'active' | 'granting' }> =>
  grant.state === 'active' || grant.state === 'granting';

export type Endings = {
  /** Right after the backend was heard, when its clock has just been measured: how long is left of each grant. */
  heard(state: AppState, now: Date): void;
  /** Grants whose terminals must be closed now: over, with a terminal that is not ended yet. */
  toClose(state: AppState, now: Date): string[];
};

/** @param monotonicMs a clock that nobody can set, ms from any origin. It may stand still while the computer sleeps: then the other one tells. */
export const createEndings = (monotonicMs: () => number): Endings => {
  let latest = new Map<string, number>();
  const isOver = (grant: Grant, at: Date): boolean => {
    if (!runs(grant)) return grant.state !== 'ready';
    return Date.parse(grant.endsAt) <= at.getTime() || (latest.get(grant.id) ?? Infinity) <= monotonicMs();
  };
  return {
    heard(state, now) {
      const [at, mark] = [backendNow(state, now).getTime(), monotonicMs()];
      const running = (state.overview?.grants ?? []).filter(runs);
      latest = new Map(running.map(({ id, endsAt }) => [id, mark + Date.parse(endsAt) - at]));
    },
    toClose(state, now) {
      const at = backendNow(state, now);
      const over = new Set((state.overview?.grants ?? []).filter((grant) => isOver(grant, at)).map(({ id }) => id));
      const open = state.terminals.filter((tab) => tab.phase !== 'ended' && tab.phase !== 'failed');
      return [...new Set(open.map((tab) => tab.grantId))].filter((grantId) => over.has(grantId));
    },
  };
};
