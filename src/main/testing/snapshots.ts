/** Snapshots for tests: one person, one instance, grants and requests in the state that a test wants. */
import type { AccessRequest, Grant, GrantState, Instance, Person } from '../../shared/access.ts';
import { type AppState, nothingKnown } from '../../shared/desktop.ts';
import type { Overview } from '../../shared/views.ts';

export const noon = new Date('2026-11-22T12:00:00.000Z');
export const inMs = (ms: number): string => new Date(noon.getTime() + ms).toISOString();
export const minutes = 60_000;

export const mira: Person = { id: 'a1', userName: 'mira.okafor@harborline.example', displayName: 'Mira Okafor' };
export const jonas: Person = {
  id: 'b2',
  userName: 'jonas.lindqvist@harborline.example',
  displayName: 'Jonas Lindqvist',
};

export const instance = (name: string): Instance => ({
  accountId: '482011773306',
  accountName: 'payments-prod',
  region: 'eu-central-1',
  instanceId: `i-${Buffer.from(name).toString('hex').padEnd(17, '0').slice(0, 17)}`,
  name,
  kind: 'ec2',
  platform: 'Linux',
  tags: {},
  online: true,
  firstSeenAt: noon.toISOString(),
  checkedAt: noon.toISOString(),
});

export const grant = (id: string, names: string[], state: GrantState, durationSeconds = 7200): Grant => ({
  id,
  requestId: `req-of-${id}`,
  person: mira,
  accountId: '482011773306',
  accountName: 'payments-prod',
  instances: names.map(instance),
  capability: 'shell',
  durationSeconds,
  reason: 'Checkout latency doubled',
  ticket: null,
  approvedBy: [],
  approvedAt: noon.toISOString(),
  askedFor: null,
  sessions: [],
  ...state,
});

export const active = (msLeft: number): GrantState => ({
  state: 'active',
  connectedAt: noon.toISOString(),
  activeAt: noon.toISOString(),
  endsAt: inMs(msLeft),
});

export const waiting = (id: string, requester: Person, name: string): AccessRequest => ({
  id,
  requester,
  purpose: { kind: 'new' },
  instances: [instance(name)],
  capability: 'shell',
  durationSeconds: 3600,
  reason: 'reason',
  ticket: null,
  submittedAt: noon.toISOString(),
  state: 'waiting',
  lapsesAt: inMs(60 * minutes),
  approvalsNeeded: 1,
  approvers: [jonas],
  yeses: [],
  claim: null,
});

export const overview = (part: Partial<Overview> = {}): Overview => ({
  serverTime: noon.toISOString(),
  me: {
    person: mira,
    groups: [],
    isAdmin: false,
    mayApproveSomething: true,
    roles: [],
    tokenExpiresAt: inMs(480 * minutes),
  },
  requests: [],
  grants: [],
  toDecide: [],
  decided: [],
  notices: [],
  inventory: { refreshedAt: null, places: [] },
  spreading: [],
  ...part,
});

export const snapshot = (part: Partial<AppState> = {}): AppState => ({
  ...nothingKnown,
  appVersion: '0.1.0',
  runtime: 'stand-in',
  organisation: null,
  organisationName: 'Harborline',
  organisationManaged: true,
  signInWith: 'identity-center',
  notAws: [],
  secretsPersist: true,
  backend: { state: 'ok', lastOkAt: noon.toISOString() },
  clock: { offsetMs: 0, checkedAt: noon.toISOString() },
  signIn: { state: 'signed-in', person: mira, until: inMs(480 * minutes) },
  overview: overview(),
  ...part,
});

/** Ended by its owner a moment ago, nothing verified yet. */
export const endingState: GrantState = {
  state: 'ending',
  connectedAt: noon.toISOString(),
  endsAt: inMs(-1000),
  cause: { kind: 'owner', person: mira },
  policyGoneAt: null,
  sessionsLeft: null,
};
