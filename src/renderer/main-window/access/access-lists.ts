/** My access as lists: what lives, what waits, what may be asked again. Pure. */
import { type AccessRequest, type Grant, type InstanceRef, refKey } from '../../../shared/access.ts';
import { durationWords } from '../../../shared/countdown.ts';
import type { TerminalTab } from '../../../shared/desktop.ts';
import { byEnd, dayWords } from '../../look/time.ts';

export type Lists = {
  /** Ending first, then by end. */
  live: Grant[];
  ready: Grant[];
  failed: Grant[];
  /** Ended or lapsed within the last 24 h, newest first. */
  ended: Grant[];
  waiting: Extract<AccessRequest, { state: 'waiting' }>[];
  /** Not approved or lapsed within the last 24 h, newest first. */
  refused: Extract<AccessRequest, { state: 'denied' | 'lapsed' }>[];
};

const dayMs = 24 * 3_600_000;

const overAt = (grant: Grant): number => {
  if (grant.state === 'ended') return Date.parse(grant.endedAt);
  return grant.state === 'lapsed' || grant.state === 'failed' ? Date.parse(grant.at) : 0;
};

/** `now`: the backend's clock, ms since 1970. */
export const listsOf = (grants: Grant[], requests: AccessRequest[], now: number): Lists => {
  const fresh = (grant: Grant): boolean => now - overAt(grant) < dayMs;
  const newest = (left: Grant, right: Grant): number => overAt(right) - overAt(left);
  return {
    live: grants.filter(({ state }) => state === 'granting' || state === 'active' || state === 'ending').sort(byEnd),
    ready: grants.filter(({ state }) => state === 'ready').sort(byEnd),
    failed: grants.filter((grant) => grant.state === 'failed' && fresh(grant)).sort(newest),
    ended: grants.filter((grant) => (grant.state === 'ended' || grant.state === 'lapsed') && fresh(grant)).sort(newest),
    waiting: requests.flatMap((request) => (request.state === 'waiting' ? [request] : [])),
    refused: requests.flatMap((request) =>
      (request.state === 'denied' || request.state === 'lapsed') && now - Date.parse(request.at) < dayMs
        ? [request]
        : [],
    ),
  };
};

/** "2 live, 1 ending, 1 ready" for the page's head; what is not there is left out. */
export const summaryOf = (lists: Lists): string => {
  const ending = lists.live.filter(({ state }) => state === 'ending').length;
  const parts: Array<[number, string]> = [
    [lists.live.length - ending, 'live'],
    [ending, 'ending'],
    [lists.ready.length, 'ready'],
    [lists.waiting.length, 'waiting'],
  ];
  const words = parts.filter(([number]) => number > 0).map(([number, word]) => `${number} ${word}`);
  return words.length === 0 ? 'nothing live' : words.join(', ');
};

export type AskAgain = { request: AccessRequest; used: string };

const usedWords = (request: AccessRequest, grants: Grant[], now: number): string => {
  const day = dayWords(Date.parse(request.submittedAt), now) || 'today';
  const mine = grants.filter((grant) => grant.requestId === request.id);
  const used = mine.reduce((sum, grant) => {
    if (grant.state !== 'ended' || grant.connectedAt === null) return sum;
    return Math.max(sum, Math.floor((Date.parse(grant.endsAt) - Date.parse(grant.connectedAt)) / 1000));
  }, 0);
  if (used > 0) return `${day}, used ${durationWords(Math.max(60, used))} of ${durationWords(request.durationSeconds)}`;
  return request.state === 'denied' ? `${day}, not approved` : `${day}, not used`;
};

const sameWish = (request: AccessRequest): string => request.instances.map(refKey).sort().join(' ');

/** Earlier requests to repeat: one per set of instances, newest first, without what lives or waits. */
export const askAgainOf = (grants: Grant[], requests: AccessRequest[], now: number, most = 5): AskAgain[] => {
  const busy = new Set(
    grants.filter(({ state }) => ['ready', 'granting', 'active', 'ending'].includes(state)).map((g) => g.requestId),
  );
  const seenWishes = new Set(
    requests.filter((request) => request.state === 'waiting' || busy.has(request.id)).map(sameWish),
  );
  const list: AskAgain[] = [];
  for (const request of requests) {
    const wish = sameWish(request);
    if (request.purpose.kind !== 'new' || request.state === 'waiting' || seenWishes.has(wish)) continue;
    seenWishes.add(wish);
    list.push({ request, used: usedWords(request, grants, now) });
  }
  return list.slice(0, most);
};

/** Terminals of this grant that are open: anything but ended and failed. */
export const openTerminals = (grant: Grant, terminals: TerminalTab[]): TerminalTab[] =>
  terminals.filter((tab) => tab.grantId === grant.id && tab.phase !== 'ended' && tab.phase !== 'failed');

export const refsOf = (grant: Grant | AccessRequest): InstanceRef[] =>
  grant.instances.map(({ accountId, region, instanceId }) => ({ accountId, region, instanceId }));
