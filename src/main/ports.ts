/**
 * The seams inside the main process: what the composition root (`main.ts`) hands from one module to the next. Modules
 * written apart meet here and nowhere else. Types only, apart from one error class.
 */
import type {
  AccessRequest,
  Connection,
  Grant,
  Instance,
  InstanceRef,
  Instant,
  RequestDraft,
} from '../shared/access.ts';
import type { ClockOffset, Organisation, SignInState, SignInWish, TerminalTab } from '../shared/desktop.ts';
import type { IdentityProof } from '../shared/identity-proof.ts';
import type {
  EndedAll,
  EndedGrant,
  KillSwitch,
  LivePage,
  LiveQuery,
  PullInput,
  SlowEnding,
  Stays,
  SwitchPreview,
  SwitchScope,
  SwitchStory,
  SwitchTarget,
  TargetQuery,
} from '../shared/kill-switch.ts';
import type {
  AuditPage,
  AuditQuery,
  BackendInfo,
  ChangeEvent,
  DecideInput,
  EndFoundInput,
  ExportCursor,
  ExportPart,
  ExportWish,
  ExtendOutcome,
  Finding,
  InstancePage,
  InstanceQuery,
  Me,
  Overview,
  Preview,
  RequestCard,
  Story,
  SystemHealth,
} from '../shared/views.ts';

/** The backend, Identity Center or AWS could not be reached at all: no answer, so nothing is known to have happened. */
export class Unreachable extends Error {
  /** What could not be reached, in words for the screen, e.g. `backend curfew.example.com`. */
  readonly what: string;

  constructor(what: string, options?: ErrorOptions) {
    super(`cannot reach ${what}`, options);
    this.name = 'Unreachable';
    this.what = what;
  }
}

/** A fault that can be said to the person in one sentence, e.g. a full disk. Windows show the sentence, the log has the cause. */
export class PlainFault extends Error {
  constructor(what: string, options?: ErrorOptions) {
    super(what, options);
    this.name = 'PlainFault';
  }
}

/** Every call throws `Refusal` (an expected no), `Unreachable`, or another error (a fault). */
/** `everywhere`: all other sign-ins of the person end too. Left out when not wanted: older backends do not know it. */
export type SignOutWish = { endGrants: boolean; everywhere?: true };

export type BackendClient = {
  info(): Promise<BackendInfo>;
  nonce(): Promise<{ nonce: string; expiresAt: Instant }>;
  /** Gives a bearer token for a proof. The token never leaves the main process. */
  prove(proof: IdentityProof): Promise<{ token: string; expiresAt: Instant; me: Me }>;
  signOut(input: SignOutWish): Promise<void>;
  overview(): Promise<Overview>;
  instances(query: InstanceQuery): Promise<InstancePage>;
  refreshInventory(): Promise<void>;
  preview(draft: RequestDraft): Promise<Preview>;
  submit(draft: RequestDraft): Promise<AccessRequest>;
  withdraw(input: { requestId: string }): Promise<AccessRequest>;
  card(input: { requestId: string }): Promise<RequestCard>;
  claim(input: { requestId: string }): Promise<void>;
  decide(input: DecideInput): Promise<AccessRequest>;
  connect(input: { grantId: string }): Promise<{ grant: Grant; connection: Connection }>;
  extend(input: { grantId: string; bySeconds: number }): Promise<ExtendOutcome>;
  end(input: { grantId: string; comment: string | null }): Promise<EndedGrant>;
  whatStays(input: { grantId: string }): Promise<Stays>;
  endAllOn(input: { grantId: string; instance: InstanceRef; comment: string | null }): Promise<EndedAll>;
  live(query: LiveQuery): Promise<LivePage>;
  endings(): Promise<SlowEnding[]>;
  switches(): Promise<KillSwitch[]>;
  switchStory(input: { switchId: string }): Promise<SwitchStory>;
  previewSwitch(input: { scope: SwitchScope }): Promise<SwitchPreview>;
  switchTargets(query: TargetQuery): Promise<SwitchTarget[]>;
  pullSwitch(input: PullInput): Promise<KillSwitch>;
  liftSwitch(input: { switchId: string }): Promise<KillSwitch>;
  findings(input: { openOnly: boolean }): Promise<Finding[]>;
  endFound(input: EndFoundInput): Promise<Finding>;
  health(): Promise<SystemHealth>;
  /** `closesAt`: when this app's own timer closes it; told again when an extension moves it. */
  sessionStarted(input: {
    grantId: string;
    instance: InstanceRef;
    sessionId: string;
    closesAt?: Instant;
  }): Promise<void>;
  sessionEnded(input: { sessionId: string }): Promise<void>;
  spreadingMeasured(input: { accountId: string; ms: number }): Promise<void>;
  markRead(input: { noticeIds: string[] }): Promise<void>;
  audit(query: AuditQuery): Promise<AuditPage>;
  story(input: { requestId: string }): Promise<Story>;
  exportAudit(input: ExportWish & { cursor: ExportCursor | null }): Promise<ExportPart>;
  /**
   * Listens for changes until the returned function is called. A connection that is lost comes back by itself: `onReach(true)` after each
   * that stands, `onReach(false)` when it is lost. `onOver`, once: it was refused, or was answered by something else, and nothing more
   * comes from it; whoever wants to hear on subscribes again. Not called once the listener has stopped it.
   * @param after the id of the last change that was heard: what came since is told first. Null: from now on.
   */
  subscribe(
    listeners: {
      onChange: (event: ChangeEvent, id: string) => void;
      onReach: (ok: boolean) => void;
      onOver: () => void;
    },
    after: string | null,
  ): () => void;
};

/** `createBackendClient(options): BackendClient` in backend-client.ts. */
export type BackendClientOptions = {
  /** Origin of the backend, e.g. `https://curfew.example.com`. */
  url: string;
  /** The bearer token of now, or null before sign-in. */
  token: () => string | null;
  /** The backend answered `sign_in_needed` to a call that carried a token. */
  onUnauthorized: () => void;
};

/** Role credentials of the signed-in person's requester permission set in one account. Secret: main process only. */
export type RequesterCredentials = {
  accessKeyId: string;
  secretAccessKey: string;
  sessionToken: string;
  expiration: Date;
};

export type SignIn = {
  state(): SignInState;
  /** Called after every change of `state()`. Returns how to stop. */
  onChange(listener: () => void): () => void;
  /** Resolves when the flow has begun; the rest is told by `state()`. */
  start(wish: SignInWish): Promise<void>;
  /** Names of the AWS profiles on this computer. */
  profiles(): Promise<string[]>;
  cancel(): void;
  reopenBrowser(): Promise<void>;
  /** Ends it here and at Identity Center and the backend. Running terminals are the caller's affair. */
  signOut(input: SignOutWish): Promise<void>;
  /** At start: uses what the vault kept, refreshes, proves again. Never opens a browser. */
  restore(): Promise<void>;
  /** Throws `Refusal('sign_in_needed')` or `Unreachable`. */
  credentialsFor(accountId: string): Promise<RequesterCredentials>;
  backendToken(): string | null;
  /** The backend refused the token: prove again, or ask the person to sign in again. */
  tokenRefused(): void;
};

/** `createSignIn(deps: SignInDeps): SignIn` in sign-in.ts. */
export type SignInDeps = {
  organisation: Organisation;
  backend: Pick<BackendClient, 'info' | 'nonce' | 'prove' | 'signOut'>;
  vault: TokenVault;
  /** Opens the system browser. Only https addresses (http on loopback while endpoints are overridden) pass. */
  openExternal: (url: string) => Promise<void>;
  /** Endpoint overrides in force (AppState.notAws): loopback and http are acceptable only when not empty. */
  notAws: readonly string[];
  now: () => Date;
};

/** Keeps secrets over a restart, or in memory only where the machine has no keychain (threats APP-15). */
export type TokenVault = {
  /** True: `put` survives a restart. */
  persists: boolean;
  get(name: string): string | null;
  put(name: string, secret: string): void;
  delete(name: string): void;
};

/** What `createTokenVault` needs: Electron's `safeStorage` and a folder of the app's own. */
export type TokenVaultDeps = {
  safeStorage: {
    isEncryptionAvailable(): boolean;
    getSelectedStorageBackend?(): string;
    encryptString(text: string): Buffer;
    decryptString(encrypted: Buffer): string;
  };
  /** Folder for the encrypted file, 0600. */
  folder: string;
  platform: NodeJS.Platform;
  /** The file could not be written (a full disk): secrets are in memory only until the next time it can. */
  onProblem: (error: unknown) => void;
};

export type TerminalHost = {
  tabs(): TerminalTab[];
  onChange(listener: () => void): () => void;
  onOutput(listener: (tabId: string, chunk: string) => void): () => void;
  /** Makes a tab at once and connects behind it; resolves with the tab's id. */
  open(grant: Grant, connection: Connection, instance: Instance): Promise<string>;
  keystrokes(tabId: string, data: string): void;
  resize(tabId: string, cols: number, rows: number): void;
  acknowledge(tabId: string, characters: number): void;
  /** Ends the session if it lives and forgets the tab. */
  closeTab(tabId: string): void;
  /** The third lock: the app closes its own terminals of this grant. The text stays. */
  endAllOf(grantId: string, why: 'grant-over' | 'closed'): void;
  /** Tells the backend of sessions that it has not heard of, and when the timers close them, where an extension has moved that. */
  tellClosing(): void;
  /** Kept output, for a window that was loaded again. */
  scrollback(tabId: string): string;
  /** Ends every session and its processes; called once when the app quits. */
  close(): Promise<void>;
};

/** `createTerminalHost(deps: TerminalHostDeps): TerminalHost` in terminal/terminal-host.ts. */
export type TerminalHostDeps = {
  credentialsFor: SignIn['credentialsFor'];
  backend: Pick<BackendClient, 'overview' | 'sessionStarted' | 'sessionEnded' | 'spreadingMeasured'>;
  /** The grant as last known; null when it is not known any more. */
  grant: (grantId: string) => Grant | null;
  /** Usual spreading time of an account in ms, if measured. */
  usualSpreadingMs: (accountId: string) => number | null;
  clock: () => ClockOffset | null;
  settings: () => { sessionClient: 'built-in' | 'official'; officialPluginPath: string | null };
  /** Absolute path of the bundled session client, and the Node to run it with. */
  sessionClient: { command: string; args: string[]; env: Record<string, string> };
  notAws: readonly string[];
  now: () => Date;
  log: (level: 'info' | 'warn' | 'error', what: string, facts?: Record<string, unknown>) => void;
};
