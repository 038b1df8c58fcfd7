/**
 * A stand-in for the preload, for looking at the main window without a main process. It is injected before the page's
 * own scripts; nothing of it is shipped. The scenario is named by `window.name`.
 */
import { type Because, refKey } from '../../src/shared/access.ts';
import type { AppState, MainBridge } from '../../src/shared/desktop.ts';
import type { GroupReach } from '../../src/shared/group-reach.ts';
import type { Answer } from '../../src/shared/refusal.ts';
import type { Preview, Verdict } from '../../src/shared/views.ts';
import {
  endings,
  findings,
  health,
  liveOfOthers,
  outsideApp,
  staying,
  stopped,
  switches,
  switchPreview,
  targets,
} from './admin-world.ts';
import { auditRows, cardOf, story } from './card-and-trail.ts';
import { scenarios } from './scenarios.ts';
import { approvers, asked, at, decided, grants, instances, retagged } from './world.ts';

const name = String(Reflect.get(globalThis, 'name') ?? '');
let state: AppState = scenarios[name] ?? scenarios['04-my-access'] ?? fail('no scenario');
const listeners = new Set<(state: AppState) => void>();

function fail(what: string): never {
  throw new Error(what);
}

const ok = <T>(value: T): Promise<Answer<T>> => Promise.resolve({ ok: true, value });
const unreachable = (): Promise<Answer<never>> =>
  Promise.resolve({ ok: false, failure: { kind: 'unreachable', what: 'no answer for 12 s.' } });
const push = (next: Partial<AppState>): void => {
  state = { ...state, ...next };
  for (const listener of listeners) listener(state);
};
const forever = new Promise<never>(() => {});

const verdictOf = (instanceName: string, seconds: number): Verdict => {
  if (seconds > 4 * 3600)
    return { kind: 'no', ruleId: 'longest', advice: 'You can extend once by 30 min when you are near the end.' };
  if (instanceName.includes('ledger')) {
    return { kind: 'person', ruleId: 'ledger-data', approvalsNeeded: 1, approvers, advice: null };
  }
  if (name.endsWith('-tags')) {
    const because: Because[] = [{ kind: 'tag-changed', name: instanceName, key: 'env', at: at(-12) }];
    return { kind: 'person', ruleId: 'payments-team', approvalsNeeded: 1, approvers, advice: null, because };
  }
  return { kind: 'at-once', ruleId: 'payments-team-working-hours', advice: null };
};

/** Where a group carries the access. */
const reach: GroupReach[] = name.endsWith('-group')
  ? [
      {
        accountId: '482011773306',
        accountName: 'payments-prod',
        group: 'oncall',
        members: 7,
        names: ['aiko.brandt', 'dana', 'jonas.lindqvist', 'mira.okafor', 'noor', 'ravi', 'rhea.nakamura'],
      },
    ]
  : [];

const previewOf = (keys: string[], seconds: number): Preview => {
  const perInstance = instances
    .filter((instance) => keys.includes(refKey(instance)))
    .map(({ accountId, region, instanceId, name: instanceName }) => ({
      instance: { accountId, region, instanceId },
      verdict: verdictOf(instanceName, seconds),
    }));
  const order: Verdict['kind'][] = ['no', 'person', 'at-once'];
  const strictest = [...perInstance].sort((a, b) => order.indexOf(a.verdict.kind) - order.indexOf(b.verdict.kind))[0];
  return {
    verdict: strictest?.verdict ?? fail('nothing to preview'),
    perInstance,
    nearest: strictest?.verdict.kind === 'no' ? { durationSeconds: 2 * 3600, kind: 'person' } : null,
    longestSeconds: 4 * 3600,
    roleMissing: [],
    wider: reach,
  };
};

const requests = [...Object.values(asked), ...Object.values(decided), retagged];
const chain =
  name === '06-broken'
    ? { ok: false as const, at: at(-1), sequence: 48_107, what: 'Its hash is not that of its content.' }
    : { ok: true as const, at: at(-1) };

const send: MainBridge['send'] = {
  setOrganisation: () => ok(null),
  signIn: () => ok(null),
  listProfiles: () => ok({ profiles: name === '01-profile-none' ? [] : ['default', 'harborline-dana', 'home'] }),
  cancelSignIn: () => ok(null),
  reopenBrowser: () => ok(null),
  signOut: () => ok(null),
  searchInstances: ({ search = '', onlineOnly = false, tags = {} }) => {
    if (name === '02-loading') return forever;
    const items = instances.filter(
      (instance) =>
        instance.name.includes(search) &&
        (!onlineOnly || instance.online) &&
        Object.entries(tags).every(([key, values]) => values.includes(instance.tags[key] ?? '')),
    );
    return ok({
      items,
      nextCursor: null,
      matching: items.length,
      askable: 214,
      facets: {
        accounts: [
          { accountId: '482011773306', accountName: 'payments-prod' },
          { accountId: '482011773307', accountName: 'payments-stage' },
        ],
        regions: ['eu-central-1', 'eu-west-1'],
        tags: {
          env: ['production', 'staging', 'development'],
          team: ['Payments', 'Ledger', 'Risk'],
          service: ['api', 'db'],
        },
      },
    });
  },
  refreshInventory: () => ok(null),
  previewRequest: (draft) =>
    name === '03-rules-unreachable'
      ? unreachable()
      : ok({
          ...previewOf(draft.instances.map(refKey), draft.durationSeconds),
          ...(name === '03-stopped' ? { paused: stopped(draft.instances.slice(0, 1)) } : {}),
        }),
  submitRequest: () => ok(asked.ledger),
  withdrawRequest: () => ok(asked.ledger),
  openCard: ({ requestId }) => {
    const request = requests.find((candidate) => candidate.id === requestId);
    return request === undefined ? unreachable() : ok({ ...cardOf(request), wider: reach });
  },
  claimRequest: () => ok(null),
  decide: () =>
    Promise.resolve({
      ok: false,
      failure: {
        kind: 'refusal',
        code: 'wrong_state',
        advice: 'Somebody or something was faster. The list now shows how it stands.',
        by: 'Aiko Brandt',
        at: at(0, -4),
      },
    }),
  connect: () => ok({ tabId: '6f9619ff-8b86-4d01-b42d-00cf4fc964ff' }),
  extend: () =>
    ok({ kind: 'extended', grant: grants.calm, by: { kind: 'rule', ruleId: 'payments-team-working-hours' } }),
  endGrant: () => ok(grants.ending),
  whatStays: ({ grantId }) => ok(grantId === grants.soon.id ? staying : { reachable: [], waiting: 0 }),
  endAllOn: () => ok({ ended: [], withdrawn: 1, stays: { reachable: [], waiting: 0 } }),
  listLive: () => ok({ items: liveOfOthers, nextCursor: null, matching: 12, sessions: 17 }),
  listEndings: () => ok(endings),
  listSwitches: () => ok(switches),
  openSwitch: () => ok({ killSwitch: switches[0] ?? fail('no switch'), grants: [grants.ended, grants.ending] }),
  previewSwitch: ({ scope }) => ok({ ...switchPreview, scope }),
  findTargets: () => ok(targets),
  pullSwitch: () => ok(switches[0] ?? fail('no switch')),
  liftSwitch: () => ok(switches[0] ?? fail('no switch')),
  listFindings: () => ok(findings),
  endFound: () => ok(outsideApp),
  readHealth: () => ok(health),
  showTerminal: () => ok(null),
  listAudit: () =>
    ok({
      rows: auditRows,
      nextBefore: 48_101,
      chain: { rows: 48_226, head: 'a41f0c9e77d25b38'.repeat(4), headAt: at(-1), verified: chain },
    }),
  openStory: () => ok(story),
  exportAudit: () =>
    name.startsWith('06-exporting') ? forever : ok({ path: '/home/mira/curfew-audit.jsonl', rows: 48_226 }),
  markRead: () => ok(null),
  saveDraft: () => ok(null),
  saveSettings: (part) => {
    const settings = { ...state.settings };
    for (const [key, value] of Object.entries(part)) if (value !== undefined) Object.assign(settings, { [key]: value });
    push({ settings });
    return ok(settings);
  },
  toggleFavourite: () => ok(null),
  retryBackend: () => ok(null),
};

const bridge: MainBridge = {
  send,
  onState: (listener) => {
    listeners.add(listener);
    listener(state);
    return () => listeners.delete(listener);
  },
};
Object.assign(globalThis, { curfew: bridge });
