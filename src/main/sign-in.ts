/**
 * Signing in: Identity Center in the system browser (PKCE), or by device code where an admin allows it, or the IAM user of an AWS profile
 * where there is no Identity Center; then the identity proof that earns the backend's bearer token. Refreshes by itself; when only a person can help it says so and touches no running terminal.
 */
import { createHash, randomBytes, randomUUID } from 'node:crypto';
import { z } from 'zod';
import type { Person } from '../shared/access.ts';
import type { SignInState, SignInWish } from '../shared/desktop.ts';
import { serverIdOf } from '../shared/identity-proof.ts';
import { type Failure, Refusal } from '../shared/refusal.ts';
import { callbackPath, createIdentityCenter, type Registration, type Tokens } from './aws/identity-center.ts';
import { signIdentityProof } from './aws/identity-proof.ts';
import { createProfiles } from './aws/profile.ts';
import { type LoopbackCallback, listenForCallback } from './loopback-callback.ts';
import { type RequesterCredentials, type SignIn, type SignInDeps, Unreachable } from './ports.ts';
import { checkedRegion, startUrlHost } from './start-url.ts';

const patienceMs = 10 * 60_000;
/** Refresh when less is left, as the AWS CLI does (aws-facts 1.5). */
const refreshBeforeMs = 15 * 60_000;
const renewCredentialsBeforeMs = 5 * 60_000;
const slowDownMs = 5_000;

/** What a sign-in of either way leaves behind. */
const common = {
  signInAccounts: z.array(z.string()),
  stsRegion: z.string(),
  backendToken: z.string(),
  backendExpiresAt: z.string(),
  person: z.strictObject({ id: z.string(), userName: z.string(), displayName: z.string() }),
};
const byCenter = z.strictObject({
  startUrl: z.string(),
  clientId: z.string(),
  clientSecret: z.string(),
  accessToken: z.string(),
  accessExpiresAtMs: z.number(),
  refreshToken: z.string().nullable(),
  permissionSet: z.string(),
  ...common,
});
/** No credentials: they stay where the profile has them. */
const byProfile = z.strictObject({ profile: z.string(), backendUrl: z.string(), ...common });
const kept = z.union([byCenter, byProfile]);
type Kept = z.infer<typeof kept>;

const vaultName = 'sign-in';

/** Turns what was thrown into what a window may show; faults get an id and keep their details for the log. */
const failureOf = (error: unknown, faultId: string): Failure => {
  if (error instanceof Refusal) return { kind: 'refusal', ...error.answer() };
  if (error instanceof Unreachable) return { kind: 'unreachable', what: error.what };
  return { kind: 'fault', faultId, what: 'Signing in' };
};

const base64url = (bytes: Buffer): string => bytes.toString('base64url');

export const createSignIn = (
  deps: SignInDeps & { onFault?: (faultId: string, error: unknown) => void; pause?: (ms: number) => Promise<void> },
): SignIn => {
  const { organisation, backend, vault, now } = deps;
  const pause = deps.pause ?? ((ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms)));
  const listeners = new Set<() => void>();
  let opened: ReturnType<typeof createIdentityCenter> | null = null;
  /** Opened when it is needed: a shop may have none. @throws Refusal `invalid_input` when no region of it is known. */
  const identityCenter = () => {
    opened ??= createIdentityCenter({ ssoRegion: checkedRegion(organisation.ssoRegion), now });
    return opened;
  };
  const profiles = createProfiles({ now });
  const credentials = new Map<string, RequesterCredentials>();
  let state: SignInState = { state: 'signed-out' };
  let session: Kept | null = null;
  /** Changes with every new flow and with cancel: what an older flow still brings is dropped. */
  let flow = 0;
  let callback: LoopbackCallback | null = null;
  let lastUrl: string | null = null;
  let proving = false;

  const set = (next: SignInState): void => {
    state = next;
    for (const listener of listeners) listener();
  };

  const keep = (next: Kept | null): void => {
    session = next;
    if (next === null) vault.delete(vaultName);
    else vault.put(vaultName, JSON.stringify(next));
  };

  const failed = (error: unknown): void => {
    const faultId = randomUUID();
    const failure = failureOf(error, faultId);
    if (failure.kind === 'fault') deps.onFault?.(faultId, error);
    set({ state: 'failed', failure });
  };

  /** A sign-in belongs to the organisation that it was made for. */
  const isOfHere = (one: Kept): boolean =>
    'profile' in one ? one.backendUrl === organisation.backendUrl : one.startUrl === organisation.startUrl;

  const askAgain = (person: Person, why: string): void => {
    credentials.clear();
    profiles.forget();
    set({ state: 'again', person, why });
  };

  /** Credentials of the requester permission set; accounts only from the person's own portal list (threats AWS-11). */
  const fetchCredentials = async (
    accessToken: string,
    wanted: { accounts: string[]; permissionSet: string },
  ): Promise<RequesterCredentials> => {
    const mine = await identityCenter().accounts(accessToken);
    const account = wanted.accounts.find((id) => mine.includes(id));
    if (account === undefined) {
      throw new Refusal('proof_refused', {
        message: `Identity Center shows you none of the accounts ${wanted.accounts.join(', ')}. An admin must assign ${wanted.permissionSet} to you.`,
      });
    }
    return await identityCenter().roleCredentials(accessToken, account, wanted.permissionSet);
  };

  const proveWith = async (signing: { credentials: RequesterCredentials; region: string }) => {
    const { nonce } = await backend.nonce();
    const proof = await signIdentityProof({
      ...signing,
      nonce,
      serverId: serverIdOf(organisation.backendUrl),
      now: now(),
    });
    return await backend.prove(proof);
  };

  const finish = async (mine: number, registration: Registration, tokens: Tokens): Promise<void> => {
    if (mine !== flow) return;
    set({ state: 'proving' });
    const info = await backend.info();
    const { requesterPermissionSet: permissionSet, signInAccounts, stsRegion } = info;
    const signing = await fetchCredentials(tokens.accessToken, { accounts: signInAccounts, permissionSet });
    const proved = await proveWith({ credentials: signing, region: stsRegion });
    if (mine !== flow) return;
    credentials.clear();
    keep({
      startUrl: organisation.startUrl,
      clientId: registration.clientId,
      clientSecret: registration.clientSecret,
      accessToken: tokens.accessToken,
      accessExpiresAtMs: tokens.expiresAtMs,
      refreshToken: tokens.refreshToken,
      permissionSet,
      signInAccounts,
      stsRegion,
      backendToken: proved.token,
      backendExpiresAt: proved.expiresAt,
      person: proved.me.person,
    });
    set({ state: 'signed-in', person: proved.me.person, until: proved.expiresAt });
  };

  const finishByProfile = async (mine: number, profile: string): Promise<void> => {
    set({ state: 'proving' });
    const { signInAccounts, stsRegion, signInWith } = await backend.info();
    if (signInWith !== 'aws-profile') {
      throw new Refusal('not_allowed', { message: 'Your organisation signs in with the browser.' });
    }
    profiles.forget();
    const signing = await profiles.credentials(profile, { region: stsRegion, accounts: signInAccounts });
    const proved = await proveWith({ credentials: signing, region: stsRegion });
    if (mine !== flow) return;
    const { token: backendToken, expiresAt: backendExpiresAt, me } = proved;
    const { backendUrl } = organisation;
    keep({ profile, backendUrl, signInAccounts, stsRegion, backendToken, backendExpiresAt, person: me.person });
    set({ state: 'signed-in', person: me.person, until: backendExpiresAt });
  };

  const byBrowser = async (mine: number): Promise<void> => {
    const registration = await identityCenter().register('browser', organisation.startUrl);
    const verifier = base64url(randomBytes(48));
    const stateWord = randomUUID();
    const waiting = await listenForCallback({ path: callbackPath, state: stateWord, patienceMs });
    if (mine !== flow) return waiting.close();
    callback = waiting;
    lastUrl = identityCenter().authorizeUrl(registration, {
      port: waiting.port,
      state: stateWord,
      challenge: base64url(createHash('sha256').update(verifier).digest()),
    });
    await deps.openExternal(lastUrl);
    set({ state: 'waiting-for-browser', host: startUrlHost(organisation.startUrl), since: now().toISOString() });
    const code = await waiting.code;
    await finish(
      mine,
      registration,
      await identityCenter().exchangeCode(registration, { port: waiting.port, code, verifier }),
    );
  };

  const byDevice = async (mine: number): Promise<void> => {
    if (!(await backend.info()).deviceCodeAllowed) {
      throw new Refusal('not_allowed', { message: 'Your organisation does not allow signing in by code.' });
    }
    const registration = await identityCenter().register('device-code', organisation.startUrl);
    const device = await identityCenter().startDevice(registration, organisation.startUrl);
    if (mine !== flow) return;
    lastUrl = device.verificationUrl;
    set({
      state: 'device-code',
      userCode: device.userCode,
      host: startUrlHost(organisation.startUrl),
      expiresAt: new Date(device.expiresAtMs).toISOString(),
    });
    await deps.openExternal(lastUrl);
    for (let intervalMs = device.intervalMs; mine === flow; ) {
      await pause(intervalMs);
      const poll = await identityCenter().pollDevice(registration, device.deviceCode);
      if (poll.state === 'slow-down') intervalMs += slowDownMs;
      if (poll.state === 'done') return await finish(mine, registration, poll.tokens);
    }
  };

  /** The Identity Center access token, refreshed when it is near its end. @throws Refusal when only a person can help. */
  const accessToken = async (): Promise<string> => {
    const current = session;
    if (current === null || 'profile' in current) throw new Refusal('sign_in_needed');
    if (current.accessExpiresAtMs - now().getTime() > refreshBeforeMs) return current.accessToken;
    if (current.refreshToken === null) {
      if (current.accessExpiresAtMs > now().getTime()) return current.accessToken;
      throw new Refusal('sign_in_needed');
    }
    const tokens = await identityCenter().refresh(current, current.refreshToken);
    if (session !== current) return await accessToken();
    keep({
      ...current,
      accessToken: tokens.accessToken,
      accessExpiresAtMs: tokens.expiresAtMs,
      refreshToken: tokens.refreshToken,
    });
    return tokens.accessToken;
  };

  /** Of the signed-in person, in one of these accounts. */
  const credentialsIn = async (current: Kept, accounts: string[]): Promise<RequesterCredentials> =>
    'profile' in current
      ? profiles.credentials(current.profile, { region: current.stsRegion, accounts })
      : fetchCredentials(await accessToken(), { accounts, permissionSet: current.permissionSet });

  const couldNotProve = (current: Kept, error: unknown): void => {
    if (error instanceof Unreachable) {
      // Nothing is known to be wrong with the sign-in: keep it, the next call tries again.
      if (state.state === 'signed-in') return;
      set({ state: 'signed-in', person: current.person, until: current.backendExpiresAt });
      return;
    }
    if (!(error instanceof Refusal)) deps.onFault?.(randomUUID(), error);
    const why = error instanceof Refusal ? (error.detail.message ?? error.answer().advice) : null;
    askAgain(current.person, why ?? 'The sign-in could not be renewed.');
  };

  const proveAgain = async (): Promise<void> => {
    const current = session;
    if (current === null) return;
    try {
      const signing = await credentialsIn(current, current.signInAccounts);
      const proved = await proveWith({ credentials: signing, region: current.stsRegion });
      if (session === null) return;
      keep({ ...session, backendToken: proved.token, backendExpiresAt: proved.expiresAt, person: proved.me.person });
      set({ state: 'signed-in', person: proved.me.person, until: proved.expiresAt });
    } catch (error) {
      couldNotProve(current, error);
    }
  };

  const begin = async (wish: SignInWish, mine: number): Promise<void> => {
    if (wish.how === 'profile') return finishByProfile(mine, wish.profile);
    startUrlHost(organisation.startUrl);
    set({ state: 'opening-browser' });
    return wish.how === 'browser' ? byBrowser(mine) : byDevice(mine);
  };

  const stopFlow = (): void => {
    flow += 1;
    callback?.close();
    callback = null;
    lastUrl = null;
  };

  const start = (wish: SignInWish): Promise<void> => {
    stopFlow();
    const mine = flow;
    begin(wish, mine).catch((error: unknown) => {
      if (mine !== flow) return;
      stopFlow();
      failed(error);
    });
    return Promise.resolve();
  };

  return {
    state: () => state,
    onChange: (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    start,
    profiles: () => profiles.names(),
    cancel: () => {
      stopFlow();
      if (session === null) set({ state: 'signed-out' });
      else askAgain(session.person, 'The sign-in was cancelled.');
    },
    reopenBrowser: async () => {
      if (lastUrl === null) throw new Refusal('wrong_state', { message: 'No sign-in is waiting for a browser.' });
      await deps.openExternal(lastUrl);
    },
    signOut: async (input) => {
      stopFlow();
      const last = session;
      try {
        if (last !== null) {
          await backend.signOut(input);
          if ('profile' in last) return;
          await identityCenter()
            .logout(last.accessToken)
            .catch((error: unknown) => {
              // An access token that is dead already is signed out already.
              if (!(error instanceof Refusal)) throw error;
            });
        }
      } finally {
        credentials.clear();
        profiles.forget();
        keep(null);
        set({ state: 'signed-out' });
      }
    },
    restore: async () => {
      const found = kept.safeParse(JSON.parse(vault.get(vaultName) ?? 'null'));
      if (!found.success || !isOfHere(found.data)) return keep(null);
      session = found.data;
      if (Date.parse(session.backendExpiresAt) > now().getTime()) {
        return set({ state: 'signed-in', person: session.person, until: session.backendExpiresAt });
      }
      return await proveAgain();
    },
    credentialsFor: async (accountId) => {
      const current = session;
      if (current === null) throw new Refusal('sign_in_needed');
      const known = credentials.get(accountId);
      if (known !== undefined && known.expiration.getTime() - now().getTime() > renewCredentialsBeforeMs) return known;
      try {
        const fresh = await credentialsIn(current, [accountId]);
        credentials.set(accountId, fresh);
        return fresh;
      } catch (error) {
        if (error instanceof Refusal && error.code === 'sign_in_needed') {
          askAgain(current.person, 'Identity Center ended the session of this computer.');
        }
        throw error;
      }
    },
    backendToken: () => session?.backendToken ?? null,
    tokenRefused: () => {
      // Many calls may be refused at once; one proof answers for all.
      if (proving) return;
      proving = true;
      void proveAgain().finally(() => {
        proving = false;
      });
    },
  };
};
