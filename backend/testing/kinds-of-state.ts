/** What the trail must say last about a request or a grant in each state: tests of promise 4 compare rows with it. */
import type { Schema } from '../store/schema.ts';

type RequestState = Schema['requests']['state'];
type GrantState = Schema['grants']['state'];

/** Kinds of audit events. */
export const kindsOfRequest: Record<RequestState, readonly string[]> = {
  waiting: ['request_submitted', 'request_decided'],
  approved: ['request_decided'],
  denied: ['request_decided'],
  withdrawn: ['request_withdrawn'],
  lapsed: ['request_lapsed'],
};

/** Kinds of audit events. */
export const kindsOfGrant: Record<GrantState, readonly string[]> = {
  ready: ['grant_made'],
  granting: ['grant_connected', 'grant_extended'],
  active: ['grant_active', 'grant_extended'],
  ending: ['grant_ending'],
  ended: ['grant_ended', 'grant_sealed'],
  failed: ['grant_failed'],
  lapsed: ['grant_lapsed'],
};
