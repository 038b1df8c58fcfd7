/**
 * The tray's words and menu, made of the snapshot alone (look.md 3 and page 08). Pure: the click of an item is a named wish that
 * `tray.ts` carries out.
 */
import type { AccessRequest, Grant, Instance, InstanceRef } from '../shared/access.ts';
import { countdownWords, durationWords, lookFor } from '../shared/countdown.ts';
import type { AppState, Place } from '../shared/desktop.ts';
import { backendNow } from './app-state.ts';
import { clockTime, instanceNames } from './own-notices.ts';

export type TrayWish =
  | { kind: 'go'; place: Place; id: string | null }
  | { kind: 'connect'; grantId: string; instance: InstanceRef }
  | { kind: 'show-terminals'; grantId: string }
  | { kind: 'extend'; grantId: string; bySeconds: number }
  | { kind: 'request-again'; instances: InstanceRef[]; durationSeconds: number; reason: string; ticket: string }
  | { kind: 'sign-in' }
  | { kind: 'open' }
  | { kind: 'quit' };

export type TrayItem =
  | { kind: 'line' }
  | { kind: 'text'; label: string }
  | { kind: 'do'; label: string; wish: TrayWish; accelerator?: string }
  | { kind: 'more'; label: string; items: TrayItem[] };

export type TrayPicture = 'none' | 'live' | 'soon' | 'last' | 'ending' | 'sign-in';
export type TrayFace = { picture: TrayPicture; waits: boolean; text: string; toolTip: string };

const line: TrayItem = { kind: 'line' };
const text = (label: string): TrayItem => ({ kind: 'text', label });
const go = (label: string, place: Place, id: string | null = null): TrayItem => ({
  kind: 'do',
  label,
  wish: { kind: 'go', place, id },
});

/** Menu text of other people's making: no control characters, no line breaks, `&` doubled (it marks a key), not endless. */
export const menuText = (label: string): string => {
  const flat = label.replace(/[\p{Cc}\p{Zl}\p{Zp}\p{Cf}]+/gu, ' ').trim();
  const short = [...flat].length > 80 ? `${[...flat].slice(0, 79).join('')}…` : flat;
  return short.replaceAll('&', '&&');
};

const endOf = (grant: Grant): number | null =>
  grant.state === 'active' || grant.state === 'granting' ? Date.parse(grant.endsAt) : null;

/** Live grants: ending ones first, then the nearest end, then those not connected yet. */
const liveGrants = (grants: readonly Grant[]): Grant[] => {
  const rank = (grant: Grant): number => {
    if (grant.state === 'ending') return -1;
    return endOf(grant) ?? Number.MAX_SAFE_INTEGER;
  };
  return grants
    .filter(({ state }) => state === 'ending' || state === 'active' || state === 'granting' || state === 'ready')
    .sort((one, other) => rank(one) - rank(other));
};

const isAbout = (state: AppState, now: Date): boolean =>
  state.clock === null || now.getTime() - Date.parse(state.clock.checkedAt) > 60_000;

const leftWords = (state: AppState, endsAt: number, now: Date): string => {
  const words = countdownWords(endsAt - backendNow(state, now).getTime());
  return isAbout(state, now) ? `about ${words}` : words;
};

const grantLabel = (state: AppState, grant: Grant, now: Date): string => {
  const names = instanceNames(grant.instances);
  if (grant.state === 'ready') return `Ready ${durationWords(grant.durationSeconds)}, ${names}`;
  const endsAt = endOf(grant);
  if (endsAt === null || endsAt <= backendNow(state, now).getTime()) return `Ending, ${names}`;
  return `${leftWords(state, endsAt, now)}, ${names}`;
};

const connectItems = (grant: Grant): TrayItem[] => {
  const connect = (instance: Instance, label: string): TrayItem => {
    const { accountId, region, instanceId } = instance;
    const wish: TrayWish = { kind: 'connect', grantId: grant.id, instance: { accountId, region, instanceId } };
    return { kind: 'do', label, wish };
  };
  const [first, ...rest] = grant.instances;
  if (first === undefined) return [];
  if (rest.length === 0) return [connect(first, 'Connect')];
  return [{ kind: 'more', label: 'Connect', items: grant.instances.map((each) => connect(each, menuText(each.name))) }];
};

const grantItems = (state: AppState, grant: Grant): TrayItem[] => {
  const open = state.terminals.filter((tab) => tab.grantId === grant.id && tab.phase === 'live').length;
  const terminals = `${open} ${open === 1 ? 'terminal' : 'terminals'} open`;
  const endsAt = endOf(grant);
  const head =
    endsAt === null || grant.state === 'ready'
      ? text(`${durationWords(grant.durationSeconds)}, the clock starts when you connect`)
      : text(`Ends ${clockTime(new Date(endsAt))}, ${terminals}`);
  const extend = (label: string, bySeconds: number): TrayItem => ({
    kind: 'do',
    label,
    wish: { kind: 'extend', grantId: grant.id, bySeconds },
  });
  const hasTabs = state.terminals.some((tab) => tab.grantId === grant.id);
  return [
    head,
    line,
    ...connectItems(grant),
    ...(hasTabs
      ? [
          {
            kind: 'do',
            label: 'Show the terminals',
            wish: { kind: 'show-terminals', grantId: grant.id },
          } satisfies TrayItem,
        ]
      : []),
    ...(grant.state === 'ready' ? [] : [line, extend('Extend by 30 min', 1800), extend('Extend by 1 h', 3600)]),
    line,
    go('End now…', 'access', grant.id),
  ];
};

const waitingItems = (state: AppState): TrayItem[] => {
  const { overview } = state;
  if (overview === null) return [];
  const toDecide = overview.toDecide;
  const mine = overview.requests.filter((request) => request.state === 'waiting');
  const row = (request: AccessRequest, place: Place): TrayItem => {
    const what = `${instanceNames(request.instances)}, ${durationWords(request.durationSeconds)}`;
    const label = place === 'approvals' ? `${request.requester.displayName}, ${what}` : what;
    return go(menuText(label), place, request.id);
  };
  const items: TrayItem[] = [];
  if (toDecide.length > 0) {
    const label = toDecide.length === 1 ? '1 request waits for you' : `${toDecide.length} requests wait for you`;
    const rows = toDecide.slice(0, 10).map((request) => row(request, 'approvals'));
    items.push({ kind: 'more', label, items: [...rows, line, go('Open the inbox', 'approvals')] });
  }
  if (mine.length > 0) {
    const label = mine.length === 1 ? '1 of yours waits for a yes' : `${mine.length} of yours wait for a yes`;
    items.push({ kind: 'more', label, items: mine.slice(0, 10).map((request) => row(request, 'access')) });
  }
  return items.length === 0 ? [] : [line, ...items];
};

const refOf = ({ accountId, region, instanceId }: Instance): InstanceRef => ({ accountId, region, instanceId });
const keyOf = (instances: readonly InstanceRef[]): string =>
  instances
    .map(({ instanceId }) => instanceId)
    .sort()
    .join(' ');

/** Favourites, and what was asked for lately, each set of instances once, newest first. */
const againItems = (state: AppState): TrayItem[] => {
  const requests = state.overview?.requests ?? [];
  const seen = new Set<string>();
  const recent: TrayItem[] = [];
  for (const request of requests) {
    const instances = request.instances.map(refOf);
    if (recent.length === 6 || seen.has(keyOf(instances))) continue;
    seen.add(keyOf(instances));
    const { durationSeconds, reason, ticket } = request;
    const label = menuText(`${instanceNames(request.instances)}, ${durationWords(durationSeconds)}`);
    recent.push({
      kind: 'do',
      label,
      wish: { kind: 'request-again', instances, durationSeconds, reason, ticket: ticket ?? '' },
    });
  }
  const known = new Map(requests.flatMap(({ instances }) => instances.map((each) => [each.instanceId, each.name])));
  const favourites: TrayItem[] = state.favourites.slice(0, 8).map((ref) => ({
    kind: 'do',
    label: menuText(known.get(ref.instanceId) ?? ref.instanceId),
    wish: { kind: 'request-again', instances: [ref], durationSeconds: 3600, reason: '', ticket: '' },
  }));
  const items = [...favourites, ...(favourites.length > 0 && recent.length > 0 ? [line] : []), ...recent];
  return items.length === 0 ? [] : [{ kind: 'more', label: 'Request again', items }];
};

const accountItems = (state: AppState): TrayItem[] => {
  const { signIn } = state;
  if (signIn.state === 'signed-in') {
    const label = `Signed in until ${clockTime(new Date(signIn.until))}`;
    return [{ kind: 'more', label, items: [text(menuText(signIn.person.displayName)), go('Sign out…', 'settings')] }];
  }
  const organisation = state.organisationName ?? 'Curfew';
  const isNeeded = signIn.state === 'again';
  const label = menuText(isNeeded ? `Sign in again to ${organisation}…` : `Sign in to ${organisation}…`);
  return [{ kind: 'do', label, wish: { kind: 'sign-in' } }];
};

const heading = (state: AppState): TrayItem => {
  const organisation = state.organisationName ?? 'Curfew';
  const who = state.signIn.state === 'signed-in' || state.signIn.state === 'again' ? state.signIn.person : null;
  return text(menuText(who === null ? organisation : `${who.displayName}, ${organisation}`));
};

/** The whole menu. Time first in each line of a grant. */
export const trayMenu = (state: AppState, now: Date): TrayItem[] => {
  const live = liveGrants(state.overview?.grants ?? []);
  const grants: TrayItem[] = live.map((grant) =>
    grant.state === 'ending'
      ? text(menuText(grantLabel(state, grant, now)))
      : { kind: 'more', label: menuText(grantLabel(state, grant, now)), items: grantItems(state, grant) },
  );
  const isSignedIn = state.signIn.state === 'signed-in';
  const endable = live.filter((grant) => grant.state !== 'ending').length;
  return [
    heading(state),
    ...(state.backend.state === 'unreachable' ? [text('Backend out of reach; access still ends on time')] : []),
    ...(grants.length === 0 ? [] : [line, ...grants]),
    ...waitingItems(state),
    ...(isSignedIn
      ? [
          line,
          ...againItems(state),
          {
            kind: 'do',
            label: 'Request access…',
            wish: { kind: 'go', place: 'instances', id: null },
            accelerator: 'CommandOrControl+Alt+R',
          } satisfies TrayItem,
        ]
      : []),
    line,
    { kind: 'do', label: 'Open Curfew', wish: { kind: 'open' } },
    ...(endable > 0 ? [go('End all my access…', 'access')] : []),
    go('Settings…', 'settings'),
    line,
    ...accountItems(state),
    { kind: 'do', label: 'Quit Curfew', wish: { kind: 'quit' }, accelerator: 'CommandOrControl+Q' },
  ];
};

/** Icon and the text beside it: the nearest end. */
export const trayFace = (state: AppState, now: Date): TrayFace => {
  const waits = (state.overview?.toDecide.length ?? 0) > 0;
  const live = liveGrants(state.overview?.grants ?? []);
  const nearest = live.find((grant) => endOf(grant) !== null);
  const endsAt = nearest === undefined ? null : endOf(nearest);
  const msLeft = endsAt === null ? null : endsAt - backendNow(state, now).getTime();
  const face = (picture: TrayPicture, words: string): TrayFace => {
    const waiting = waits ? `, ${state.overview?.toDecide.length} waiting for you` : '';
    return {
      picture,
      waits,
      text: words,
      toolTip: menuText(words === '' ? `Curfew${waiting}` : `Curfew: ${words}${waiting}`),
    };
  };
  if (nearest !== undefined && endsAt !== null && msLeft !== null && msLeft > 0) {
    const look = lookFor(msLeft);
    const picture = look === 'last' ? 'last' : look === 'calm' ? 'live' : 'soon';
    return face(picture, leftWords(state, endsAt, now));
  }
  if (live.some((grant) => grant.state === 'ending') || msLeft !== null) return face('ending', 'ending');
  if (state.signIn.state === 'again') return face('sign-in', 'sign in');
  return face('none', '');
};
