/**
 * Everything that depends on the organisation: sign-in, backend, terminals, the watch over the overview. Made once the organisation
 * is known, and made anew should the person (signed out) enter another one.
 */
import type { Grant } from '../shared/access.ts';
import type { Organisation } from '../shared/desktop.ts';
import type { StateHolder } from './app-state.ts';
import { createBackendClient } from './backend-client.ts';
import type { Log } from './log.ts';
import type { BackendClient, SignIn, TerminalHost, TerminalHostDeps, TokenVault } from './ports.ts';
import { createSignIn } from './sign-in.ts';
import { createTerminalHost } from './terminal/terminal-host.ts';
import { createWatch, type Timers, type Watch } from './watch.ts';

export type Services = {
  backend: BackendClient;
  signIn: SignIn;
  terminals: TerminalHost;
  watch: Watch;
  /** Ends sessions and listening. The sign-in itself stays in the vault. */
  close(): Promise<void>;
};

export type ServicesDeps = {
  state: StateHolder;
  vault: TokenVault;
  openExternal: (url: string) => Promise<void>;
  sessionClient: TerminalHostDeps['sessionClient'];
  notAws: readonly string[];
  now: () => Date;
  timers: Timers;
  log: Log;
  /** Those of the overview and of the terminals that are here (`endings.ts`). */
  grants: () => readonly Grant[];
  onOverview: () => void;
  onOutput: (tabId: string, chunk: string) => void;
};

export const createServices = (organisation: Organisation, deps: ServicesDeps): Services => {
  const { state, notAws, now, timers, log } = deps;
  // The client carries the token of a sign-in that itself needs the client.
  let signIn: SignIn | null = null;
  const backend = createBackendClient({
    url: organisation.backendUrl,
    token: () => signIn?.backendToken() ?? null,
    onUnauthorized: () => signIn?.tokenRefused(),
  });
  const signedIn = createSignIn({
    organisation,
    backend,
    vault: deps.vault,
    openExternal: deps.openExternal,
    notAws,
    now,
    onFault: (faultId, error) => log('error', 'fault', { faultId, during: 'sign-in', error }),
  });
  signIn = signedIn;
  const terminals = createTerminalHost({
    credentialsFor: (accountId) => signedIn.credentialsFor(accountId),
    backend,
    grant: (grantId) => deps.grants().find((grant) => grant.id === grantId) ?? null,
    usualSpreadingMs: (accountId) =>
      state.get().overview?.spreading.find((measured) => measured.accountId === accountId)?.medianMs ?? null,
    clock: () => state.get().clock,
    settings: () => state.get().settings,
    sessionClient: deps.sessionClient,
    notAws,
    now,
    log,
  });
  const watch = createWatch({
    backend,
    state,
    now,
    timers,
    log,
    onOverview: () => {
      deps.onOverview();
      terminals.tellClosing();
    },
    onTokenRefused: () => signedIn.tokenRefused(),
  });
  const stopSignIn = signedIn.onChange(() => {
    const next = signedIn.state();
    state.set({ signIn: next });
    if (next.state === 'signed-in') watch.start();
    else watch.stop();
    if (next.state === 'signed-out') state.set({ overview: null });
  });
  const stopTabs = terminals.onChange(() => state.set({ terminals: terminals.tabs() }));
  const stopOutput = terminals.onOutput(deps.onOutput);
  return {
    backend,
    signIn: signedIn,
    terminals,
    watch,
    async close() {
      watch.stop();
      stopSignIn();
      stopTabs();
      stopOutput();
      signedIn.cancel();
      await terminals.close();
    },
  };
};
