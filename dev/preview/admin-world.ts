/** What an admin sees in the pictures: live access of others, kill switches, endings, findings. */
import type { Grant, InstanceRef } from '../../src/shared/access.ts';
import type { KillSwitch, SlowEnding, Stays, SwitchPreview, SwitchTarget } from '../../src/shared/kill-switch.ts';
import type { Finding, Paused, SystemHealth } from '../../src/shared/views.ts';
import { at, grants, id, instances, people } from './world.ts';

const kofi = people.kofi;
const ofKofi = (grant: Grant): Grant => ({ ...grant, person: kofi, reason: 'Index rebuild is stuck' });

export const liveOfOthers: Grant[] = [ofKofi(grants.calm), grants.soon, ofKofi(grants.near), grants.ready];

export const switches: KillSwitch[] = [
  {
    id: id('kil', 'kofi'),
    scope: { kind: 'person', personId: kofi.id },
    name: kofi.displayName,
    partly: false,
    reason: 'Laptop reported stolen, INC-114.',
    by: people.dele,
    at: at(-1),
    lifted: null,
    progress: { grants: 3, already: 1, verified: 2, sessions: 1, requests: 1 },
    done: null,
    mayLift: { yes: true },
  },
  {
    id: id('kil', 'ledger'),
    scope: { kind: 'everything' },
    name: 'everything',
    partly: false,
    reason: 'Exercise',
    by: people.jonas,
    at: at(-180),
    lifted: { by: people.dele, at: at(-170) },
    progress: { grants: 41, verified: 41, sessions: 0, requests: 6 },
    done: { at: at(-179), totalMs: 9_400 },
    mayLift: { yes: false, why: 'It is lifted.' },
  },
];

export const switchPreview: SwitchPreview = {
  scope: { kind: 'person', personId: kofi.id },
  name: kofi.displayName,
  at: at(0),
  totals: { grants: 3, sessions: 5, requests: 1, people: 1, accounts: 2 },
  grants: [ofKofi(grants.near), ofKofi(grants.calm), ofKofi(grants.soon)],
};

export const targets: SwitchTarget[] = [
  { scope: { kind: 'person', personId: kofi.id }, name: kofi.displayName, detail: `${kofi.userName}, 3 live` },
  {
    scope: { kind: 'person', personId: people.mira.id },
    name: people.mira.displayName,
    detail: `${people.mira.userName}, 2 live`,
  },
];

export const endings: SlowEnding[] = [
  {
    grant: ofKofi(grants.ending),
    sinceMs: 48_000,
    why: 'The access policy is gone; 1 session seen open at the last look.',
  },
];

const finding = (name: string, minutes: number, more: Partial<Finding>): Finding => ({
  id: id('fnd', name),
  kind: 'leftover_policy',
  accountId: '482011773306',
  accountName: 'payments-prod',
  region: null,
  subject: 'arn:aws:iam::482011773306:role/curfew/people/curfew-0c3a',
  what: 'An access policy of ours without a live grant was there.',
  advice: 'Nothing to do: it was removed and read back.',
  since: at(-minutes),
  lastSeen: at(-minutes + 1),
  mendedAt: at(-minutes + 1),
  ...more,
});

export const stopped = (instances: InstanceRef[]): Paused => ({
  message: 'Jonas Lindqvist stopped all access to payments-ledger-db-1: “Under investigation, INC-201”',
  by: 'Jonas Lindqvist',
  at: at(-14),
  instances: instances.map(({ accountId, region, instanceId }) => ({ accountId, region, instanceId })),
});

export const outsideApp: Finding = finding('outside', 12, {
  kind: 'session_outside_app',
  region: 'eu-central-1',
  subject: 'kofi.vance.1a2b3c4d-0f9e8d7c6b5a4f3e2d1c',
  what: 'arn:aws:sts::482011773306:assumed-role/curfew-0c3a/kofi.vance.1a2b3c4d has a session on i-0f3a9c1d7b24e8a61 that is granted, but no Curfew app has told of it: it was started outside the app (with the AWS CLI, say), or the app could not reach the backend.',
  advice:
    'Access is theirs until the grant ends, and the session ends with it. Its output is logged only by the session document.',
  mendedAt: null,
});

export const findings: Finding[] = [
  outsideApp,
  finding('bypass', 61, {
    kind: 'bypass',
    region: 'eu-central-1',
    subject: 'ops-legacy-0a1b2c3d4e5f60718',
    what: 'Somebody has a live session on payments-ledger-db-1 that no grant explains.',
    advice: 'Ask who uses the role ops-legacy, and take ssm:StartSession from it.',
    mendedAt: null,
  }),
  finding('leftover', 69, {}),
  finding('changed', 280, {
    kind: 'changed_document',
    what: 'The access policy was not the one that was last read back. It was written again.',
    author: {
      kind: 'known',
      who: 'arn:aws:sts::482011773306:assumed-role/AWSReservedSSO_Admin_0f1e2d3c4b5a6978/piet.okonkwo',
      at: at(-281),
      from: '203.0.113.7',
      did: 'PutRolePolicy',
    },
  }),
];

const [first] = instances;
if (first === undefined) throw new Error('the world has no instance');
export const staying: Stays = {
  reachable: [{ instance: first, grantId: grants.calm.id, until: { kind: 'end', at: at(102) } }],
  waiting: 1,
};

export const health: SystemHealth = {
  backends: [
    { name: 'curfew-a 4121', version: '0.1.0', since: at(-3 * 24 * 60), clockAheadMs: 4 },
    { name: 'curfew-b 3877', version: '0.1.0', since: at(-41), clockAheadMs: -730 },
  ],
  clocks: [{ accountId: '482011773306', accountName: 'payments-prod', aheadMs: 120, unsureMs: 90 }],
  due: { ending: 0, beginning: 0, looking: 0 },
};
