/**
 * Which action is legal in which state: one table. The backend refuses by it, its SQL is conditioned on it
 * (`where state in (...)`, so a losing writer is refused, not overwritten), the window disables by it.
 */
import type { AccessRequest, Grant } from './access.ts';

export type RequestStateName = AccessRequest['state'];
export type GrantStateName = Grant['state'];

export const requestActions = {
  approve: ['waiting'],
  deny: ['waiting'],
  claim: ['waiting'],
  withdraw: ['waiting'],
  lapse: ['waiting'],
} as const satisfies Record<string, readonly RequestStateName[]>;

export const grantActions = {
  /** First connect starts the clock; later ones open another terminal. */
  connect: ['ready', 'granting', 'active'],
  activate: ['granting'],
  extend: ['granting', 'active'],
  end: ['ready', 'granting', 'active'],
  finish: ['ending'],
  lapse: ['ready'],
  fail: ['granting'],
} as const satisfies Record<string, readonly GrantStateName[]>;

export type RequestAction = keyof typeof requestActions;
export type GrantAction = keyof typeof grantActions;

const includes = (states: readonly string[], state: string): boolean => states.includes(state);

/** May this action be taken on a request in this state? Says nothing about who may take it. */
export const requestCan = (action: RequestAction, state: RequestStateName): boolean =>
  includes(requestActions[action], state);

/** May this action be taken on a grant in this state? Says nothing about who may take it. */
export const grantCan = (action: GrantAction, state: GrantStateName): boolean => includes(grantActions[action], state);

/** Grants that still give access or are about to: what the access policy is compiled from is `granting` and `active`. */
export const liveGrantStates = ['ready', 'granting', 'active', 'ending'] as const satisfies readonly GrantStateName[];
