/** The third lock: the app closes its own terminals when their grant is over, by the backend's clock, whether or not it answers. */
import type { Grant } from '../shared/access.ts';
import type { AppState } from '../shared/desktop.ts';
import { backendNow } from './app-state.ts';

const isOver = (grant: Grant, at: Date): boolean => {
  if (grant.state === 'active' || grant.state === 'granting') return Date.parse(grant.endsAt) <= at.getTime();
  return grant.state !== 'ready';
};

/** Grants whose terminals must be closed now: over, with a terminal that is not ended yet. */
export const grantsToClose = (state: AppState, now: Date): string[] => {
  const at = backendNow(state, now);
  const over = new Set((state.overview?.grants ?? []).filter((grant) => isOver(grant, at)).map(({ id }) => id));
  const open = state.terminals.filter((tab) => tab.phase !== 'ended' && tab.phase !== 'failed');
  return [...new Set(open.map((tab) => tab.grantId))].filter((grantId) => over.has(grantId));
};
