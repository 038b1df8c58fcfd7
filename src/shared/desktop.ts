/**
 * The desktop contract: how windows and the main process meet. Main owns one snapshot and pushes it whole; windows draw
 * it and send intents. Windows hold no token and speak no tRPC. Every intent is one object, parsed by its schema here
 * before main does anything; the answer is an `Answer`, never a thrown error.
 */
import { z } from 'zod';
import {
  type AccessRequest,
  type Grant,
  grantId,
  type Instance,
  type Instant,
  instanceRef,
  type Notice,
  noticeId,
  type Person,
  requestDraft,
  requestId,
} from './access.ts';
import {
  type EndedAll,
  type EndedGrant,
  type KillSwitch,
  type LivePage,
  liveQuery,
  pullInput,
  type SlowEnding,
  type Stays,
  type SwitchPreview,
  type SwitchStory,
  type SwitchTarget,
  switchId,
  switchScope,
  targetQuery,
} from './kill-switch.ts';
import type { Answer, Failure } from './refusal.ts';
import { commentText } from './text.ts';
import {
  type AuditPage,
  auditQuery,
  decideInput,
  type ExtendOutcome,
  endFoundInput,
  exportWish,
  type Finding,
  type InstancePage,
  instanceQuery,
  type Overview,
  type Preview,
  type RequestCard,
  type SignInWith,
  type Story,
  type SystemHealth,
} from './views.ts';

export const place = z.enum(['instances', 'access', 'approvals', 'audit', 'admin', 'settings', 'inbox']);
export type Place = z.infer<typeof place>;

/** Where a notification or the tray wants the main window to go. A new `seq` means: go there now. */
export type Navigation = { seq: number; place: Place; id: string | null };

/** What a person typed and has not sent: survives Esc, restart and sign-in. Unchecked text, so bounded only. */
export const savedDraft = z.strictObject({
  instances: z.array(instanceRef).max(200),
  durationSeconds: z
    .int()
    .min(0)
    .max(7 * 24 * 3600),
  reason: z.string().max(20_000),
  ticket: z.string().max(200),
});
export type SavedDraft = z.infer<typeof savedDraft>;

export const settings = z.strictObject({
  scheme: z.enum(['system', 'light', 'dark']),
  sessionClient: z.enum(['built-in', 'official']),
  officialPluginPath: z.string().max(1000).nullable(),
  notifications: z.boolean(),
  openAtLogin: z.boolean(),
  terminalFontSize: z.int().min(8).max(32),
});
export type Settings = z.infer<typeof settings>;

export const organisation = z
  .strictObject({
    backendUrl: z.string().min(1).max(500),
    /** Of Identity Center; both empty in a shop without it, where people sign in with an AWS profile. */
    startUrl: z.string().max(500),
    ssoRegion: z.string().max(40),
  })
  .refine(({ startUrl, ssoRegion }) => (startUrl === '') === (ssoRegion === ''), {
    message: 'needs both a start URL and its region, or neither',
  });
export type Organisation = z.infer<typeof organisation>;

/** A profile of the AWS configuration files. It is looked up among those that are there before anything is done with it. */
const profileName = z.string().min(1).max(128);

/** How a person wants to sign in. */
export const signInWish = z.discriminatedUnion('how', [
  z.strictObject({ how: z.enum(['browser', 'device-code']) }),
  z.strictObject({ how: z.literal('profile'), profile: profileName }),
]);
export type SignInWish = z.infer<typeof signInWish>;

export type SignInState =
  | { state: 'signed-out' }
  | { state: 'opening-browser' }
  | { state: 'waiting-for-browser'; host: string; since: Instant }
  | { state: 'device-code'; userCode: string; host: string; expiresAt: Instant }
  | { state: 'proving' }
  | { state: 'signed-in'; person: Person; until: Instant }
  /** Access tokens could not be refreshed: says which organisation; running terminals go on. */
  | { state: 'again'; person: Person; why: string }
  | { state: 'failed'; failure: Failure };

export type BackendReach =
  | { state: 'reaching' }
  | { state: 'ok'; lastOkAt: Instant }
  | { state: 'unreachable'; lastOkAt: Instant | null; what: string };

/** Backend's clock minus ours, and when it was measured. */
export type ClockOffset = { offsetMs: number; checkedAt: Instant };

export type TerminalPhase =
  /** The access policy is being written or IAM is spreading it: `tries` looks so far, usually `usualMs` here. */
  | { phase: 'granting'; since: Instant }
  | { phase: 'spreading'; since: Instant; tries: number; usualMs: number | null }
  | { phase: 'starting'; since: Instant }
  | { phase: 'live'; sessionId: string; since: Instant }
  | { phase: 'reconnecting'; sessionId: string; since: Instant; tries: number }
  | {
      phase: 'ended';
      at: Instant;
      exitCode: number | null;
      why: 'grant-over' | 'shell-exited' | 'closed' | 'connection';
    }
  | { phase: 'failed'; at: Instant; what: string; advice: string };

export type TerminalTab = { id: string; grantId: string; instance: Instance } & TerminalPhase;

export type AppState = {
  appVersion: string;
  /** 'electron' or 'stand-in': shown in settings. */
  runtime: string;
  organisation: Organisation | null;
  organisationName: string | null;
  /** True when managed settings fix the organisation: it is shown, not edited. */
  organisationManaged: boolean;
  deviceCodeAllowed: boolean;
  /** As the backend says; null until it was asked. */
  signInWith: SignInWith | null;
  /** Endpoint overrides in force; a lasting "not AWS" bar shows them (threats APP-05). */
  notAws: string[];
  /** False: no keychain, so tokens live in memory only and that is said on screen (threats APP-15). */
  secretsPersist: boolean;
  backend: BackendReach;
  clock: ClockOffset | null;
  signIn: SignInState;
  /** The last known, also while offline; null before the first sign-in. */
  overview: Overview | null;
  /** Backend notices plus those that main makes itself (ending soon, sign-in needed), newest first. */
  notices: Notice[];
  terminals: TerminalTab[];
  favourites: z.infer<typeof instanceRef>[];
  settings: Settings;
  draft: SavedDraft | null;
  /** An export of the trail that is being written: rows so far, of all. */
  exporting: { rows: number; of: number } | null;
  navigation: Navigation | null;
};

/** How the app is set until a person changes something. */
export const defaultSettings: Settings = {
  scheme: 'system',
  sessionClient: 'built-in',
  officialPluginPath: null,
  notifications: true,
  openAtLogin: false,
  terminalFontSize: 13,
};

/** The part of the snapshot that nobody knows before the backend, a person or the disk has said something. */
export const nothingKnown: Omit<
  AppState,
  'appVersion' | 'runtime' | 'organisation' | 'organisationManaged' | 'notAws' | 'secretsPersist'
> = {
  organisationName: null,
  deviceCodeAllowed: false,
  signInWith: null,
  backend: { state: 'reaching' },
  clock: null,
  signIn: { state: 'signed-out' },
  overview: null,
  notices: [],
  terminals: [],
  favourites: [],
  settings: defaultSettings,
  draft: null,
  exporting: null,
  navigation: null,
};

const nothing = z.strictObject({});
const tabId = z.uuid();

/** Every intent of the main window: input schema here, output type in `MainAnswers`. */
export const mainIntents = {
  setOrganisation: organisation,
  signIn: signInWish,
  /** Names only: what is in the files stays in main. */
  listProfiles: nothing,
  cancelSignIn: nothing,
  reopenBrowser: nothing,
  signOut: z.strictObject({ endGrants: z.boolean(), everywhere: z.boolean().default(false) }),
  searchInstances: instanceQuery,
  refreshInventory: nothing,
  previewRequest: requestDraft,
  submitRequest: requestDraft,
  withdrawRequest: z.strictObject({ requestId }),
  openCard: z.strictObject({ requestId }),
  claimRequest: z.strictObject({ requestId }),
  decide: decideInput,
  connect: z.strictObject({ grantId, instance: instanceRef }),
  extend: z.strictObject({
    grantId,
    bySeconds: z
      .int()
      .min(60)
      .max(12 * 3600),
  }),
  endGrant: z.strictObject({ grantId, comment: commentText.nullable() }),
  whatStays: z.strictObject({ grantId }),
  endAllOn: z.strictObject({ grantId, instance: instanceRef, comment: commentText.nullable() }),
  listLive: liveQuery,
  listEndings: nothing,
  listSwitches: nothing,
  openSwitch: z.strictObject({ switchId }),
  previewSwitch: z.strictObject({ scope: switchScope }),
  findTargets: targetQuery,
  pullSwitch: pullInput,
  liftSwitch: z.strictObject({ switchId }),
  listFindings: z.strictObject({ openOnly: z.boolean() }),
  endFound: endFoundInput,
  readHealth: nothing,
  showTerminal: z.strictObject({ tabId }),
  listAudit: auditQuery,
  openStory: z.strictObject({ requestId }),
  exportAudit: exportWish,
  markRead: z.strictObject({ noticeIds: z.array(noticeId.or(z.uuid())).max(200) }),
  saveDraft: z.strictObject({ draft: savedDraft.nullable() }),
  saveSettings: settings.partial(),
  toggleFavourite: z.strictObject({ instance: instanceRef }),
  retryBackend: nothing,
} as const satisfies Record<string, z.ZodType>;

export type MainIntent = keyof typeof mainIntents;
export type MainInput<K extends MainIntent> = z.input<(typeof mainIntents)[K]>;

export type MainAnswers = {
  setOrganisation: null;
  signIn: null;
  listProfiles: { profiles: string[] };
  cancelSignIn: null;
  reopenBrowser: null;
  signOut: null;
  searchInstances: InstancePage;
  refreshInventory: null;
  previewRequest: Preview;
  submitRequest: AccessRequest;
  withdrawRequest: AccessRequest;
  openCard: RequestCard;
  claimRequest: null;
  decide: AccessRequest;
  connect: { tabId: string };
  extend: ExtendOutcome;
  endGrant: EndedGrant;
  whatStays: Stays;
  endAllOn: EndedAll;
  listLive: LivePage;
  listEndings: SlowEnding[];
  listSwitches: KillSwitch[];
  openSwitch: SwitchStory;
  previewSwitch: SwitchPreview;
  findTargets: SwitchTarget[];
  pullSwitch: KillSwitch;
  liftSwitch: KillSwitch;
  listFindings: Finding[];
  endFound: Finding;
  readHealth: SystemHealth;
  showTerminal: null;
  listAudit: AuditPage;
  openStory: Story;
  exportAudit: { path: string; rows: number } | null;
  markRead: null;
  saveDraft: null;
  saveSettings: Settings;
  toggleFavourite: null;
  retryBackend: null;
};

/** What the main window's preload exposes as `window.curfew`. */
export type MainBridge = {
  send: { [K in MainIntent]: (input: MainInput<K>) => Promise<Answer<MainAnswers[K]>> };
  /** Calls at once with the current snapshot, then with each new one. Returns how to stop. */
  onState: (listener: (state: AppState) => void) => () => void;
};

/** Everything the terminal window may know: its own tabs, their grants, the clock. */
export type TerminalState = {
  tabs: TerminalTab[];
  activeTab: string | null;
  grants: Grant[];
  clock: ClockOffset | null;
  backend: BackendReach;
  settings: Pick<Settings, 'scheme' | 'terminalFontSize'>;
};

/** The terminal window shows remote output, so its bridge is narrow (threats APP-09). */
export const terminalIntents = {
  keystrokes: z.strictObject({
    tabId,
    data: z
      .string()
      .min(1)
      .max(64 * 1024),
  }),
  resize: z.strictObject({ tabId, cols: z.int().min(1).max(1000), rows: z.int().min(1).max(1000) }),
  /** Characters that the terminal has drawn: flow control. */
  acknowledge: z.strictObject({ tabId, characters: z.int().min(0).max(100_000_000) }),
  selectTab: z.strictObject({ tabId }),
  newTab: z.strictObject({ tabId }),
  closeTab: z.strictObject({ tabId }),
  extend: z.strictObject({
    tabId,
    bySeconds: z
      .int()
      .min(60)
      .max(12 * 3600),
  }),
  end: z.strictObject({ tabId }),
  askAgain: z.strictObject({ tabId }),
  /** Asks where, and writes the tab's kept text there. */
  saveText: z.strictObject({ tabId }),
  /** A link a person clicked and confirmed: https only, opened in the system browser. */
  openLink: z.strictObject({ url: z.string().max(2000) }),
} as const satisfies Record<string, z.ZodType>;

export type TerminalIntent = keyof typeof terminalIntents;
export type TerminalInput<K extends TerminalIntent> = z.input<(typeof terminalIntents)[K]>;
export type TerminalAnswers = { [K in Exclude<TerminalIntent, 'extend'>]: null } & { extend: ExtendOutcome };

/** What the terminal window's preload exposes as `window.curfewTerminal`. */
export type TerminalBridge = {
  send: { [K in TerminalIntent]: (input: TerminalInput<K>) => Promise<Answer<TerminalAnswers[K]>> };
  onState: (listener: (state: TerminalState) => void) => () => void;
  /** Output of one tab, in order; after a reload of the window the tab's kept scrollback comes first. */
  onOutput: (listener: (tabId: string, chunk: string) => void) => () => void;
};

/** IPC channel names: one per intent, one push channel per window kind. */
export const channels = {
  main: (intent: MainIntent): string => `main:${intent}`,
  terminal: (intent: TerminalIntent): string => `terminal:${intent}`,
  mainState: 'main:state',
  mainReady: 'main:ready',
  terminalState: 'terminal:state',
  terminalOutput: 'terminal:output',
  terminalReady: 'terminal:ready',
} as const;
