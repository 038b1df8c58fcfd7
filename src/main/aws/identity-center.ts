/**
 * IAM Identity Center as a client: OIDC registration and tokens, the access portal's accounts and role credentials (aws-facts 1). Built
 * without an endpoint, so the SDK's own AWS_ENDPOINT_URL settings work. Errors come out as `Refusal`, `Unreachable` or a fault.
 */
import { GetRoleCredentialsCommand, ListAccountsCommand, LogoutCommand, SSOClient } from '@aws-sdk/client-sso';
import {
  CreateTokenCommand,
  RegisterClientCommand,
  SSOOIDCClient,
  StartDeviceAuthorizationCommand,
} from '@aws-sdk/client-sso-oidc';
import { appAnswerMs, awsLimits } from '../../shared/aws-limits.ts';
import { Refusal } from '../../shared/refusal.ts';
import { type RequesterCredentials, Unreachable } from '../ports.ts';
import { checkedDevicePage } from '../start-url.ts';

const scope = 'sso:account:access';
const deviceGrant = 'urn:ietf:params:oauth:grant-type:device_code';
/** Registered without a port; the server accepts any loopback port at authorize time (RFC 8252). */
export const callbackPath = '/oauth/callback';
const registeredRedirect = `http://127.0.0.1${callbackPath}`;

export type Registration = {
  clientId: string;
  clientSecret: string;
  /** Epoch ms. */
  expiresAtMs: number;
  /** Scheme, host and port that answered: the authorize page is on the very same. */
  origin: string;
};

export type Tokens = { accessToken: string; expiresAtMs: number; refreshToken: string | null };

export type DeviceAuthorization = {
  deviceCode: string;
  userCode: string;
  verificationUrl: string;
  expiresAtMs: number;
  intervalMs: number;
};

export type DevicePoll = { state: 'pending' } | { state: 'slow-down' } | { state: 'done'; tokens: Tokens };

const nameOf = (error: unknown): string => (error instanceof Error ? error.name : '');

const networkTrouble = (error: unknown): boolean => {
  if (!(error instanceof Error)) return false;
  const code = 'code' in error && typeof error.code === 'string' ? error.code : '';
  return /^E(CONN|HOST|NET|AI_|PIPE|TIMEDOUT|NOTFOUND)|^ENOTFOUND$/.test(code) || error.name === 'TimeoutError';
};

const must = <T>(value: T | undefined, what: string): T => {
  if (value === undefined) throw new Error(`Identity Center answered without ${what}.`);
  return value;
};

const signInNeeded = (cause: unknown): Refusal =>
  new Refusal('sign_in_needed', { message: 'Identity Center ended this sign-in.', cause });

/** Errors after which only a full sign-in helps (aws-facts 1.4, 1.8). */
const endsSignIn = new Set(['InvalidGrantException', 'InvalidClientException', 'UnauthorizedException']);

/** @param options.ssoRegion the organisation's Identity Center home region. */
export const createIdentityCenter = (options: { ssoRegion: string; now: () => Date }) => {
  const { ssoRegion, now } = options;
  const what = `Identity Center in ${ssoRegion}`;
  const oidc = new SSOOIDCClient({ region: ssoRegion, maxAttempts: 3, requestHandler: awsLimits(appAnswerMs) });
  const portal = new SSOClient({ region: ssoRegion, maxAttempts: 3, requestHandler: awsLimits(appAnswerMs) });

  const call = async <T>(work: () => Promise<T>): Promise<T> => {
    try {
      return await work();
    } catch (error) {
      if (networkTrouble(error)) throw new Unreachable(what, { cause: error });
      if (endsSignIn.has(nameOf(error))) throw signInNeeded(error);
      if (nameOf(error) === 'ForbiddenException') {
        throw new Refusal('not_allowed', {
          message: 'This permission set is not assigned to you there.',
          cause: error,
        });
      }
      throw error;
    }
  };

  const tokensFrom = (answer: {
    accessToken?: string | undefined;
    expiresIn?: number | undefined;
    refreshToken?: string | undefined;
  }): Tokens => ({
    accessToken: must(answer.accessToken, 'an access token'),
    expiresAtMs: now().getTime() + (answer.expiresIn ?? 0) * 1000,
    refreshToken: answer.refreshToken ?? null,
  });

  return {
    /** @param startUrl the organisation's start URL, sent as issuer. */
    register: (how: 'browser' | 'device-code', startUrl: string): Promise<Registration> =>
      call(async () => {
        let origin = '';
        const command = new RegisterClientCommand({
          clientName: 'curfew',
          clientType: 'public',
          scopes: [scope],
          issuerUrl: startUrl,
          ...(how === 'browser'
            ? { grantTypes: ['authorization_code', 'refresh_token'], redirectUris: [registeredRedirect] }
            : { grantTypes: [deviceGrant, 'refresh_token'] }),
        });
        // Where the SDK really sent it, endpoint settings included: built by us, never told by the server (threats APP-04).
        command.middlewareStack.add(
          (next) => (args) => {
            const request = args.request;
            if (typeof request === 'object' && request !== null && 'hostname' in request && 'protocol' in request) {
              const port = 'port' in request && request.port ? `:${String(request.port)}` : '';
              origin = `${String(request.protocol)}//${String(request.hostname)}${port}`;
            }
            return next(args);
          },
          { step: 'finalizeRequest', name: 'rememberOrigin' },
        );
        const answer = await oidc.send(command);
        return {
          clientId: must(answer.clientId, 'a client id'),
          clientSecret: must(answer.clientSecret, 'a client secret'),
          expiresAtMs: (answer.clientSecretExpiresAt ?? 0) * 1000,
          origin,
        };
      }),

    /** The page to open in the system browser. The parameter is `scopes`, plural (aws-facts 1.2). */
    authorizeUrl: (registration: Registration, flow: { port: number; state: string; challenge: string }): string => {
      const url = new URL('/authorize', registration.origin);
      url.search = new URLSearchParams({
        response_type: 'code',
        client_id: registration.clientId,
        redirect_uri: `http://127.0.0.1:${flow.port}${callbackPath}`,
        state: flow.state,
        code_challenge_method: 'S256',
        scopes: scope,
        code_challenge: flow.challenge,
      }).toString();
      return url.href;
    },

    exchangeCode: (
      registration: Registration,
      flow: { port: number; code: string; verifier: string },
    ): Promise<Tokens> =>
      call(async () =>
        tokensFrom(
          await oidc.send(
            new CreateTokenCommand({
              clientId: registration.clientId,
              clientSecret: registration.clientSecret,
              grantType: 'authorization_code',
              code: flow.code,
              codeVerifier: flow.verifier,
              redirectUri: `http://127.0.0.1:${flow.port}${callbackPath}`,
            }),
          ),
        ),
      ),

    startDevice: (registration: Registration, startUrl: string): Promise<DeviceAuthorization> =>
      call(async () => {
        const { clientId, clientSecret } = registration;
        const answer = await oidc.send(new StartDeviceAuthorizationCommand({ clientId, clientSecret, startUrl }));
        return {
          deviceCode: must(answer.deviceCode, 'a device code'),
          userCode: must(answer.userCode, 'a user code'),
          verificationUrl: checkedDevicePage(
            must(answer.verificationUriComplete ?? answer.verificationUri, 'a page to confirm on'),
            registration.origin,
          ),
          expiresAtMs: now().getTime() + (answer.expiresIn ?? 600) * 1000,
          intervalMs: (answer.interval ?? 5) * 1000,
        };
      }),

    /** One poll (aws-facts 1.3). @throws Refusal when the person said no or the code died. */
    pollDevice: async (registration: Registration, deviceCode: string): Promise<DevicePoll> => {
      const { clientId, clientSecret } = registration;
      try {
        const answer = await oidc.send(
          new CreateTokenCommand({ clientId, clientSecret, grantType: deviceGrant, deviceCode }),
        );
        return { state: 'done', tokens: tokensFrom(answer) };
      } catch (error) {
        if (nameOf(error) === 'AuthorizationPendingException') return { state: 'pending' };
        if (nameOf(error) === 'SlowDownException') return { state: 'slow-down' };
        if (nameOf(error) === 'ExpiredTokenException') {
          throw new Refusal('sign_in_needed', { message: 'The code was not confirmed in time.', cause: error });
        }
        if (nameOf(error) === 'AccessDeniedException') {
          throw new Refusal('proof_refused', { message: 'The sign-in was turned down on the page.', cause: error });
        }
        return await call(() => Promise.reject(error));
      }
    },

    refresh: (registration: Pick<Registration, 'clientId' | 'clientSecret'>, refreshToken: string): Promise<Tokens> =>
      call(async () => {
        const tokens = tokensFrom(
          await oidc.send(new CreateTokenCommand({ ...registration, grantType: 'refresh_token', refreshToken })),
        );
        return { ...tokens, refreshToken: tokens.refreshToken ?? refreshToken };
      }),

    /** Ids of all accounts the person has something in: accounts are taken from here only (threats AWS-11). */
    accounts: (accessToken: string): Promise<string[]> =>
      call(async () => {
        const ids: string[] = [];
        let nextToken: string | undefined;
        do {
          const page = await portal.send(
            new ListAccountsCommand({
              accessToken,
              maxResults: 100,
              ...(nextToken === undefined ? {} : { nextToken }),
            }),
          );
          ids.push(...(page.accountList ?? []).flatMap((account) => account.accountId ?? []));
          nextToken = page.nextToken;
        } while (nextToken !== undefined);
        return ids;
      }),

    roleCredentials: (accessToken: string, accountId: string, roleName: string): Promise<RequesterCredentials> =>
      call(async () => {
        const command = new GetRoleCredentialsCommand({ accessToken, accountId, roleName });
        const answer = await portal.send(command).catch((error: unknown) => {
          // "No access" comes now and then although the role is assigned: once more, then it counts (aws-facts 1.8).
          if (nameOf(error) === 'ForbiddenException') return portal.send(command);
          throw error;
        });
        const given = must(answer.roleCredentials, 'role credentials');
        return {
          accessKeyId: must(given.accessKeyId, 'an access key'),
          secretAccessKey: must(given.secretAccessKey, 'a secret key'),
          sessionToken: must(given.sessionToken, 'a session token'),
          expiration: new Date(must(given.expiration, 'an expiry')),
        };
      }),

    logout: (accessToken: string): Promise<void> =>
      call(async () => void (await portal.send(new LogoutCommand({ accessToken })))),
  };
};
