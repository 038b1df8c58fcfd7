/** The made-up organisation that the pictures show: people, instances, grants and requests around one afternoon. */
import type { AccessRequest, Grant, Instance, InstanceRef, Locks, Person, Session } from '../../src/shared/access.ts';
import type { Overview } from '../../src/shared/views.ts';

/** 15:00 in Berlin: the instant at which every picture is taken. */
export const noon = Date.parse('2026-11-19T14:00:00.000Z');
/** Minutes (and seconds) from the pictures' instant, as an instant. */
export const at = (minutes: number, seconds = 0): string =>
  new Date(noon + minutes * 60_000 + seconds * 1000).toISOString();
/** An id of ours out of a short word. */
export const id = (prefix: string, word: string): string => `${prefix}_${word.padEnd(26, 'a')}`;

const person = (key: string, userName: string, displayName: string): Person => ({ id: key, userName, displayName });
export const people = {
  mira: person('a1', 'mira.okafor', 'Mira Okafor'),
  jonas: person('a2', 'jonas.lindqvist', 'Jonas Lindqvist'),
  aiko: person('a3', 'aiko.brandt', 'Aiko Brandt'),
  tomas: person('a4', 'tomas.herrera', 'Tomás Herrera'),
  dele: person('a5', 'dele.adeyemi', 'Dele Adeyemi'),
  rhea: person('a6', 'rhea.nakamura', 'Rhea Nakamura'),
  kofi: person('a7', 'kofi.vance', 'Kofi Vance'),
  elin: person('a8', 'elin.strand', 'Elin Strand'),
};
export const approvers = [people.jonas, people.aiko, people.tomas, people.dele, people.elin];

export const accounts = {
  'payments-prod': '482011773306',
  'payments-stage': '482011773307',
  'payments-dev': '482011773308',
};
type Row = [
  name: string,
  instanceId: string,
  env: string,
  team: string,
  account: keyof typeof accounts,
  region: string,
];
const rows: Row[] = [
  ['payments-api-1', 'i-0f3a9c1d7b24e8a61', 'production', 'Payments', 'payments-prod', 'eu-central-1'],
  ['payments-api-2', 'i-05d81b70c9e3f4a22', 'production', 'Payments', 'payments-prod', 'eu-central-1'],
  ['payments-api-3', 'i-0be47716a0d95c3f8', 'production', 'Payments', 'payments-prod', 'eu-west-1'],
  ['payments-batch-1', 'i-0712ce5fa83b6d904', 'production', 'Payments', 'payments-prod', 'eu-central-1'],
  ['payments-ledger-db-1', 'i-09a4d2e61f7c8b350', 'production', 'Ledger', 'payments-prod', 'eu-central-1'],
  ['payments-ledger-db-2', 'i-0c65fb2983d10e7a4', 'production', 'Ledger', 'payments-prod', 'eu-west-1'],
  ['payments-recon-1', 'i-03e9f5c7b1a2680dd', 'production', 'Ledger', 'payments-prod', 'eu-central-1'],
  ['payments-export-1', 'mi-0a57c2be9d13f4680', 'production', 'Ledger', 'payments-prod', 'eu-central-1'],
  ['payments-api-s1', 'i-0d3b8a7e14f6295cc', 'staging', 'Payments', 'payments-stage', 'eu-central-1'],
  ['payments-api-s2', 'i-0184ea6d3c7f9b052', 'staging', 'Payments', 'payments-stage', 'eu-central-1'],
  ['payments-worker-s1', 'i-06fc0b9d28a5e1374', 'staging', 'Payments', 'payments-stage', 'eu-central-1'],
  ['payments-fraud-s1', 'i-0eb2714c5d986fa03', 'staging', 'Risk', 'payments-stage', 'eu-west-1'],
  ['payments-sim-d1', 'i-02c9d47f8e0ab6513', 'development', 'Payments', 'payments-dev', 'eu-central-1'],
  ['payments-sim-d2', 'i-07ae5b3f61c4d8290', 'development', 'Payments', 'payments-dev', 'eu-central-1'],
  ['search-index-3', 'i-0aa2714c5d986fa03', 'production', 'Search', 'payments-prod', 'eu-central-1'],
  ['edge-proxy-1', 'i-0ab2714c5d986fa03', 'production', 'Edge', 'payments-prod', 'eu-central-1'],
  ['edge-proxy-2', 'i-0ac2714c5d986fa03', 'production', 'Edge', 'payments-prod', 'eu-central-1'],
  ['card-vault-1', 'i-0ad2714c5d986fa03', 'production', 'Cards', 'payments-prod', 'eu-central-1'],
];
const off = new Set(['payments-export-1', 'payments-sim-d2']);

export const instances: Instance[] = rows.map(([name, instanceId, env, team, accountName, region]) => ({
  accountId: accounts[accountName],
  accountName,
  region,
  instanceId,
  name,
  kind: instanceId.startsWith('mi-') ? 'hybrid' : 'ec2',
  platform: name === 'payments-recon-1' ? 'Windows' : 'Linux',
  tags: { env, team },
  online: !off.has(name),
  firstSeenAt: name === 'payments-export-1' ? at(-300) : '2026-06-01T08:00:00.000Z',
  checkedAt: at(0, -40),
}));

export const named = (...names: string[]): Instance[] => instances.filter((instance) => names.includes(instance.name));
export const refs = (list: Instance[]): InstanceRef[] =>
  list.map(({ accountId, region, instanceId }) => ({ accountId, region, instanceId }));

const session = (grant: string, instance: Instance, started: number): Session => ({
  id: `mira.okafor-${grant}`,
  grantId: id('grt', grant),
  instance: refs([instance])[0] ?? instance,
  startedAt: at(started),
  endedAt: null,
});

type GrantPlan = { word: string; names: string[]; seconds: number; reason?: string };
const grant = ({ word, names, seconds, reason }: GrantPlan) => ({
  id: id('grt', word),
  requestId: id('req', word),
  person: people.mira,
  accountId: accounts['payments-prod'],
  accountName: 'payments-prod',
  instances: named(...names),
  capability: 'shell' as const,
  durationSeconds: seconds,
  reason: reason ?? 'Checkout latency doubled since 14:10.',
  ticket: 'PAY-2291',
  approvedBy: [{ kind: 'rule' as const, ruleId: 'payments-team-working-hours' }],
  approvedAt: at(-62),
  askedFor: null,
  sessions: named(...names).map((instance) => session(word, instance, -17)),
});

const locked = (endsAt: string): Locks => ({
  policyDate: { armed: true, at: endsAt },
  removal: { armed: true, at: endsAt },
  terminal: { armed: false, why: 'no terminal is open' },
});

export const grants: Record<
  'ending' | 'late' | 'soon' | 'near' | 'last' | 'calm' | 'granting' | 'ready' | 'ended' | 'failed',
  Grant
> = {
  ending: {
    ...grant({ word: 'ending', names: ['search-index-3'], seconds: 3600 }),
    state: 'ending',
    connectedAt: at(-60, -1),
    endsAt: at(0, -1),
    cause: { kind: 'time' },
    policyGoneAt: new Date(noon - 600).toISOString(),
    sessionsLeft: null,
  },
  late: {
    ...grant({ word: 'late', names: ['search-index-3'], seconds: 3600 }),
    state: 'ending',
    connectedAt: at(-61),
    endsAt: at(0, -48),
    cause: { kind: 'time' },
    policyGoneAt: at(0, -47),
    sessionsLeft: 1,
  },
  soon: {
    ...grant({ word: 'soon', names: ['payments-recon-1'], seconds: 3600 }),
    state: 'active',
    connectedAt: at(-51),
    activeAt: at(-51, 4),
    endsAt: at(9, 20),
    locks: locked(at(9, 20)),
  },
  near: {
    ...grant({ word: 'near', names: ['payments-api-2'], seconds: 1800 }),
    state: 'active',
    connectedAt: at(-26),
    activeAt: at(-26, 4),
    endsAt: at(4, 10),
    locks: locked(at(4, 10)),
  },
  last: {
    ...grant({ word: 'last', names: ['payments-batch-1'], seconds: 600 }),
    state: 'active',
    connectedAt: at(-9),
    activeAt: at(-9, 4),
    endsAt: at(0, 58),
  },
  calm: {
    ...grant({ word: 'calm', names: ['payments-api-1'], seconds: 7200 }),
    state: 'active',
    connectedAt: at(-18),
    activeAt: at(-18, 4),
    endsAt: at(102, 12),
  },
  granting: {
    ...grant({ word: 'granting', names: ['payments-api-3'], seconds: 3600 }),
    sessions: [],
    state: 'granting',
    connectedAt: at(0, -3),
    endsAt: at(60, -3),
  },
  ready: {
    ...grant({
      word: 'ready',
      names: ['edge-proxy-1', 'edge-proxy-2'],
      seconds: 3600,
      reason: 'Reload after certificate change',
    }),
    sessions: [],
    approvedBy: [{ kind: 'person', person: people.jonas }],
    askedFor: { instances: 2, durationSeconds: 4 * 3600 },
    state: 'ready',
    activateBy: at(180),
  },
  ended: {
    ...grant({
      word: 'ended',
      names: ['payments-ledger-db-2'],
      seconds: 1800,
      reason: 'Check the index after the migration',
    }),
    sessions: [],
    state: 'ended',
    connectedAt: at(-173),
    endsAt: at(-143),
    cause: { kind: 'revoked', person: people.dele, comment: null },
    endedAt: at(-143, 2),
    receipt: {
      stage: 'sealed',
      policyGoneAt: at(-143, 1),
      policyGoneMs: 412,
      sessionsGoneAt: at(-143, 2),
      sessionsGoneMs: 1830,
      sessionsTerminated: ['rhea.nakamura.4c1d09e2-0b7f3a'],
      looks: 9,
      sealedAt: at(-141),
    },
  },
  failed: {
    ...grant({ word: 'failed', names: ['edge-proxy-1'], seconds: 3600 }),
    sessions: [],
    state: 'failed',
    at: at(-4),
    code: 'AccessDenied',
    advice:
      'IAM refused the write: a service control policy of the organisation denies PutRolePolicy in payments-prod. Nothing was changed and nothing is left behind.',
  },
};

type RequestPlan = { word: string; who: Person; names: string[]; seconds: number; reason: string; ago: number };
const request = ({ word, who, names, seconds, reason, ago }: RequestPlan) => ({
  id: id('req', word),
  requester: who,
  purpose: { kind: 'new' as const },
  instances: named(...names),
  capability: 'shell' as const,
  durationSeconds: seconds,
  reason,
  ticket: null,
  submittedAt: at(-ago),
});
const waits = (needed: number, claimed: Person | null = null) => ({
  state: 'waiting' as const,
  lapsesAt: at(270),
  approvalsNeeded: needed,
  approvers,
  yeses: [],
  claim: claimed === null ? null : { by: claimed, until: at(3) },
});

export const asked = {
  batch: {
    ...request({
      word: 'batch',
      who: people.mira,
      names: ['payments-batch-1'],
      seconds: 3600,
      reason: 'Stuck settlement job, PAY-2288',
      ago: 6,
    }),
    ...waits(1, people.aiko),
  },
  ledger: {
    ...request({
      word: 'ledger',
      who: people.mira,
      names: ['payments-ledger-db-1'],
      seconds: 7200,
      reason: 'Checkout latency doubled since 14:10. Need the worker queue depth and slow query log.',
      ago: 3,
    }),
    ticket: 'PAY-2291',
    ...waits(1),
  },
  vault: {
    ...request({
      word: 'vault',
      who: people.rhea,
      names: ['card-vault-1'],
      seconds: 1800,
      reason: 'Rotate the signing key with Dele',
      ago: 11,
    }),
    ...waits(2),
    yeses: [
      {
        id: id('dec', 'vault'),
        requestId: id('req', 'vault'),
        by: { kind: 'person' as const, person: people.dele },
        at: at(-5),
        comment: null,
        ruleSetHash: 'f'.repeat(64),
        verdict: 'yes' as const,
        instances: refs(named('card-vault-1')),
        durationSeconds: 1800,
      },
    ],
  },
  edge: {
    ...request({
      word: 'edge',
      who: people.tomas,
      names: ['edge-proxy-1', 'edge-proxy-2', 'payments-api-1', 'payments-api-2'],
      seconds: 7200,
      reason: 'Reload after certificate change',
      ago: 7,
    }),
    ...waits(1),
  },
} satisfies Record<string, AccessRequest>;

/** A rule would have given it, had its tags not been set differently a little before. */
export const retagged: AccessRequest = {
  ...request({
    word: 'retagged',
    who: people.mira,
    names: ['payments-api-1', 'payments-api-2'],
    seconds: 1800,
    reason: 'Look at the queue consumer before the release',
    ago: 2,
  }),
  ...waits(1),
  because: [
    { kind: 'tag-changed', name: 'payments-api-1', key: 'env', at: at(-12) },
    { kind: 'tags-unread', name: 'payments-api-2' },
  ],
};

/** A request that Jonas has decided. */
export const decidedBy = (
  word: string,
  who: Person,
  names: string[],
  verdict: 'approved' | 'denied',
): AccessRequest => {
  const base = request({ word, who, names, seconds: 3600, reason: 'Try the new queue consumer', ago: 24 * 60 });
  const said = {
    id: id('dec', word),
    requestId: base.id,
    by: { kind: 'person' as const, person: people.jonas },
    at: at(-62),
    comment: verdict === 'denied' ? 'Ask for the replica, it has the same slow query log.' : null,
    ruleSetHash: 'f'.repeat(64),
  };
  if (verdict === 'denied') return { ...base, state: 'denied', at: at(-62), decisions: [{ ...said, verdict: 'no' }] };
  const yes = { ...said, verdict: 'yes' as const, instances: refs(base.instances), durationSeconds: 3600 };
  return { ...base, state: 'approved', at: at(-62), grantIds: [id('grt', word)], decisions: [yes] };
};

export const decided = {
  kofi: decidedBy('kofi', people.kofi, ['search-index-3'], 'approved'),
  elin: decidedBy('elin', people.elin, ['payments-ledger-db-2'], 'denied'),
  mine: decidedBy('mine', people.mira, ['payments-worker-s1'], 'approved'),
  refused: decidedBy('refused', people.mira, ['payments-ledger-db-2'], 'denied'),
};

export const overview: Overview = {
  serverTime: at(0),
  me: {
    person: people.mira,
    groups: ['payments'],
    isAdmin: false,
    mayApproveSomething: true,
    roles: [
      {
        accountId: accounts['payments-prod'],
        accountName: 'payments-prod',
        state: 'ready',
        roleArn: 'arn:aws:iam::482011773306:role/curfew/a1',
      },
    ],
    tokenExpiresAt: at(370),
  },
  requests: [asked.batch, asked.ledger, decided.refused, decided.mine],
  grants: [grants.ending, grants.soon, grants.calm, grants.ready, grants.ended],
  toDecide: [asked.vault, asked.edge],
  decided: [decided.kofi, decided.elin],
  notices: [],
  inventory: {
    refreshedAt: at(0, -40),
    places: Object.entries(accounts).map(([accountName, accountId]) => ({
      accountId,
      accountName,
      region: 'eu-central-1',
      state: 'ok',
      checkedAt: at(0, -40),
      problem: null,
    })),
  },
  spreading: [{ accountId: accounts['payments-prod'], medianMs: 3900, samples: 40 }],
};
