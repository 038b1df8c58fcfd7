/** The states of the app that are pictured: each a whole snapshot. */
import { type AppState, nothingKnown } from '../../src/shared/desktop.ts';
import { switches } from './admin-world.ts';
import { asked, at, decided, grants, id, instances, named, noon, overview, people, refs, retagged } from './world.ts';

const noonMs = noon;
const otherSignIns = [
  { since: at(-12), until: at(468) },
  { since: at(-125), until: at(355) },
];
const signedIn: AppState = {
  ...nothingKnown,
  appVersion: '0.1.0',
  runtime: 'stand-in',
  organisation: {
    backendUrl: 'https://curfew.harborline.example',
    startUrl: 'https://start.harborline.example/start',
    ssoRegion: 'eu-central-1',
  },
  organisationName: 'Harborline',
  organisationManaged: false,
  deviceCodeAllowed: true,
  signInWith: 'identity-center',
  notAws: [],
  secretsPersist: true,
  backend: { state: 'ok', lastOkAt: at(0) },
  clock: { offsetMs: 0, checkedAt: at(0, -2) },
  signIn: { state: 'signed-in', person: people.mira, until: at(370) },
  overview,
  notices: [
    {
      id: id('ntc', 'soon'),
      at: at(0, -40),
      kind: 'ending-soon',
      title: '10 min left on payments-recon-1',
      body: 'Ends 15:09. Extend, or let it end.',
      target: { kind: 'grant', id: id('grt', 'soon') },
      readAt: null,
    },
    {
      id: id('ntc', 'ready'),
      at: at(-62),
      kind: 'approved',
      title: 'Jonas Lindqvist approved 1 h on edge-proxy-1, edge-proxy-2',
      body: 'You asked for 4 h. Connect by 18:00.',
      target: { kind: 'grant', id: id('grt', 'ready') },
      readAt: at(-60),
    },
  ],
  terminals: [
    {
      id: '6f9619ff-8b86-4d01-b42d-00cf4fc964ff',
      grantId: id('grt', 'soon'),
      instance: instances[6] ?? instances[0] ?? raise('no instance'),
      phase: 'live',
      sessionId: 's-1',
      since: at(-50),
    },
  ],
};

function raise(what: string): never {
  throw new Error(what);
}

const ledgerDraft = {
  instances: refs(named('payments-api-1', 'payments-api-2', 'payments-ledger-db-1')),
  durationSeconds: 7200,
  reason: 'Checkout latency doubled since 14:10. Need the worker queue depth and slow query log.',
  ticket: 'PAY-2291',
};
const go = (place: NonNullable<AppState['navigation']>['place'], target: string | null = null): Partial<AppState> => ({
  navigation: { seq: noonMs, place, id: target },
});

const approver: Partial<AppState> = {
  signIn: { state: 'signed-in', person: people.jonas, until: at(220) },
  overview: {
    ...overview,
    me: { ...overview.me, person: people.jonas },
    requests: [],
    grants: [grants.calm],
    toDecide: [asked.ledger, asked.edge, asked.vault, asked.batch],
    decided: [decided.kofi, decided.elin],
  },
};

const admin: Partial<AppState> = {
  signIn: { state: 'signed-in', person: people.dele, until: at(250) },
  overview: {
    ...overview,
    me: { ...overview.me, person: people.dele, isAdmin: true },
    requests: [],
    grants: [],
    toDecide: [],
    decided: [],
  },
};

/** Every scenario by its name; the name is the file name of its pictures. */
export const scenarios: Record<string, AppState> = {
  '01-first-start': {
    ...signedIn,
    organisation: null,
    organisationName: null,
    overview: null,
    signIn: { state: 'signed-out' },
  },
  '01-sign-in': { ...signedIn, overview: null, signIn: { state: 'signed-out' }, notAws: ['http://127.0.0.1:4566'] },
  '01-profile': { ...signedIn, overview: null, signIn: { state: 'signed-out' }, signInWith: 'aws-profile' },
  '01-profile-none': { ...signedIn, overview: null, signIn: { state: 'signed-out' }, signInWith: 'aws-profile' },
  '01-profile-refused': {
    ...signedIn,
    overview: null,
    signInWith: 'aws-profile',
    signIn: {
      state: 'failed',
      failure: {
        kind: 'refusal',
        code: 'proof_refused',
        advice: 'AWS or Curfew did not accept this sign-in. Sign in with your organisation and try again.',
        message: 'The AWS profile “home” is not accepted by AWS. Its keys may be inactive or deleted.',
      },
    },
  },
  '01-profile-proving': { ...signedIn, overview: null, signIn: { state: 'proving' }, signInWith: 'aws-profile' },
  '01-waiting': {
    ...signedIn,
    overview: null,
    signIn: { state: 'waiting-for-browser', host: 'start.harborline.example', since: at(-1) },
  },
  '01-device-code': {
    ...signedIn,
    overview: null,
    signIn: { state: 'device-code', host: 'start.harborline.example', userCode: 'BXKQ-RTWM', expiresAt: at(9) },
  },
  '01-again': {
    ...signedIn,
    signIn: { state: 'again', person: people.mira, why: 'Your sign-in lasted 8 h and ended at 14:05.' },
  },
  '01-failed': {
    ...signedIn,
    overview: null,
    signIn: {
      state: 'failed',
      failure: {
        kind: 'refusal',
        code: 'clock_skewed',
        advice: 'Set the clock of this computer by network time and sign in again.',
      },
    },
  },
  '02-instances': { ...signedIn, draft: { ...ledgerDraft, reason: '', ticket: '' } },
  '02-none': { ...signedIn, ...go('instances') },
  '02-loading': signedIn,
  '02-nothing-found': signedIn,
  '03-request': { ...signedIn, draft: ledgerDraft },
  '03-group': { ...signedIn, draft: ledgerDraft },
  '03-at-once': {
    ...signedIn,
    draft: { ...ledgerDraft, instances: refs(named('payments-api-s1')), durationSeconds: 1800 },
  },
  '03-tags': {
    ...signedIn,
    draft: { ...ledgerDraft, instances: refs(named('payments-api-s1')), durationSeconds: 1800 },
  },
  '03-too-long': { ...signedIn, draft: { ...ledgerDraft, durationSeconds: 8 * 3600 } },
  '03-stopped': { ...signedIn, draft: ledgerDraft },
  '03-rules-unreachable': { ...signedIn, draft: ledgerDraft },
  '04-my-access': { ...signedIn, ...go('access') },
  '04-all-states': {
    ...signedIn,
    ...go('access'),
    overview: {
      ...overview,
      grants: [
        grants.late,
        grants.last,
        grants.near,
        grants.soon,
        grants.calm,
        grants.granting,
        grants.ready,
        grants.failed,
        grants.ended,
      ],
    },
  },
  '04-tags': { ...signedIn, ...go('access'), overview: { ...overview, requests: [retagged, asked.batch] } },
  '04-empty': { ...signedIn, ...go('access'), overview: { ...overview, grants: [], requests: [] } },
  '04-offline': {
    ...signedIn,
    ...go('access'),
    backend: { state: 'unreachable', lastOkAt: at(-2), what: 'connection refused' },
    clock: { offsetMs: 0, checkedAt: at(-2) },
  },
  '04-end-dialog': { ...signedIn, ...go('access') },
  '05-approvals': { ...signedIn, ...approver, ...go('approvals') },
  '05-group': { ...signedIn, ...approver, ...go('approvals', id('req', 'ledger')) },
  '05-tags': {
    ...signedIn,
    ...approver,
    overview: { ...overview, ...approver.overview, toDecide: [retagged, asked.edge] },
    ...go('approvals', retagged.id),
  },
  '05-approve-less': { ...signedIn, ...approver, ...go('approvals', id('req', 'edge')) },
  '05-deny': { ...signedIn, ...approver, ...go('approvals', id('req', 'edge')) },
  '05-claimed': { ...signedIn, ...approver, ...go('approvals', id('req', 'batch')) },
  '05-too-late': { ...signedIn, ...approver, ...go('approvals', id('req', 'ledger')) },
  '05-empty': { ...signedIn, ...go('approvals'), overview: { ...overview, toDecide: [], decided: [] } },
  '06-audit': { ...signedIn, ...go('audit') },
  '06-story': { ...signedIn, ...go('audit', id('req', 'ended')) },
  '06-broken': { ...signedIn, ...go('audit') },
  '06-exporting': { ...signedIn, ...go('audit'), exporting: { rows: 412_000, of: 1_048_226 } },
  '06-exported': { ...signedIn, ...go('audit') },
  '07-inbox': { ...signedIn, ...go('inbox') },
  '08-settings': {
    ...signedIn,
    ...go('settings'),
    overview: { ...overview, otherSignIns },
    notAws: ['http://127.0.0.1:4566'],
    secretsPersist: false,
  },
  '08-sign-out': { ...signedIn, ...go('settings', 'sign-out'), overview: { ...overview, otherSignIns } },
  '10-admin': { ...signedIn, ...admin, ...go('admin') },
  '10-pulling': { ...signedIn, ...admin, ...go('admin') },
  '10-lifting': { ...signedIn, ...admin, ...go('admin') },
  '10-stopped': { ...signedIn, ...go('access'), overview: { ...overview, switches: switches.slice(0, 1) } },
  '10-found': { ...signedIn, ...admin, ...go('admin') },
  '10-end-session': { ...signedIn, ...admin, ...go('admin') },
  '05-stopping': { ...signedIn, ...approver, ...go('approvals') },
  '05-live': { ...signedIn, ...approver, ...go('approvals') },
  '04-locks': { ...signedIn, ...go('access') },
  '09-palette': signedIn,
  '09-partial': {
    ...signedIn,
    overview: {
      ...overview,
      inventory: {
        ...overview.inventory,
        places: [
          ...overview.inventory.places,
          {
            accountId: '482011773309',
            accountName: 'data-prod',
            region: 'eu-central-1',
            state: 'failed',
            checkedAt: at(-40),
            problem: 'Its reader role was refused',
          },
        ],
      },
    },
  },
};
