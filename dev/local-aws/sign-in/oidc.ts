/** Identity Center's OIDC service: RegisterClient, StartDeviceAuthorization, CreateToken (aws-facts 1.1 to 1.5). */
import { createHash, randomBytes, randomUUID, timingSafeEqual } from 'node:crypto';
import { z } from 'zod';
import { AwsError } from '../service.ts';
import type { World, WorldPerson } from '../world.ts';
import {
  type DeviceCode,
  type Lifetimes,
  type RegisteredClient,
  randomToken,
  randomUserCode,
  type SignInState,
} from './sign-in-state.ts';

const deviceGrant = 'urn:ietf:params:oauth:grant-type:device_code';
const knownGrants = ['authorization_code', 'refresh_token', deviceGrant];
const knownScopes = ['sso:account:access', 'openid', 'aws'];

/** The `error` of each exception, and its status (aws-facts 1.4). */
const oidcErrors = {
  AuthorizationPendingException: ['authorization_pending', 400],
  SlowDownException: ['slow_down', 400],
  ExpiredTokenException: ['expired_token', 400],
  AccessDeniedException: ['access_denied', 400],
  InvalidGrantException: ['invalid_grant', 400],
  InvalidClientException: ['invalid_client', 401],
  InvalidRequestException: ['invalid_request', 400],
  InvalidScopeException: ['invalid_scope', 400],
  UnauthorizedClientException: ['unauthorized_client', 400],
  UnsupportedGrantTypeException: ['unsupported_grant_type', 400],
  InvalidRedirectUriException: ['invalid_redirect_uri', 400],
  InvalidClientMetadataException: ['invalid_client_metadata', 400],
} as const;

/** An error as OAuth tells it: `error` beside AWS's exception name. */
export class OidcError extends AwsError {
  readonly error: string;

  constructor(code: keyof typeof oidcErrors, description: string) {
    const [error, status] = oidcErrors[code];
    super(code, description, status);
    this.error = error;
  }
}

const registration = z.object({
  clientName: z.string().min(1),
  clientType: z.string(),
  scopes: z.array(z.string()).default([]),
  redirectUris: z.array(z.string()).default([]),
  grantTypes: z.array(z.string()).default([]),
  issuerUrl: z.string().optional(),
});
const deviceStart = z.object({ clientId: z.string(), clientSecret: z.string(), startUrl: z.string() });
const tokenRequest = z.object({
  clientId: z.string(),
  clientSecret: z.string(),
  grantType: z.string(),
  deviceCode: z.string().optional(),
  code: z.string().optional(),
  redirectUri: z.string().optional(),
  codeVerifier: z.string().optional(),
  refreshToken: z.string().optional(),
});
type TokenRequest = z.infer<typeof tokenRequest>;

type TokenAnswer = { accessToken: string; tokenType: 'Bearer'; expiresIn: number; refreshToken?: string };

const parse = <S extends z.ZodType>(schema: S, input: unknown): z.output<S> => {
  const parsed = schema.safeParse(input);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  throw new OidcError('InvalidRequestException', `${issue?.path.join('.') ?? ''}: ${issue?.message ?? 'is not valid'}`);
};

const sameSecret = (one: string, other: string): boolean => {
  const digest = (text: string) => createHash('sha256').update(text).digest();
  return timingSafeEqual(digest(one), digest(other));
};

/** A redirect URI on the loopback interface without its port, or null when it is anything else (aws-facts 1.2, RFC 8252 7.3). */
const portless = (uri: string): string | null => {
  if (!URL.canParse(uri)) return null;
  const { protocol, hostname, pathname, search, hash, username } = new URL(uri);
  if (protocol !== 'http:' || !['127.0.0.1', '[::1]'].includes(hostname)) return null;
  return username === '' && hash === '' && search === '' ? `${hostname}${pathname}` : null;
};

/** Whether a client may be sent back to this address: a registered one, on any port. */
export const mayRedirectTo = (client: RegisteredClient, uri: string): boolean => {
  const wanted = portless(uri);
  return wanted !== null && client.redirectUris.some((registered) => portless(registered) === wanted);
};

export type Oidc = ReturnType<typeof createOidc>;

/** @param lifetimes asked at each call, so that control can change them. Operations throw OidcError. */
export const createOidc = (options: {
  world: World;
  state: SignInState;
  lifetimes: () => Lifetimes;
  now: () => Date;
}) => {
  const { world, state, now } = options;
  const nowMs = () => now().getTime();
  const { organisation } = world;
  const ownUrls = [organisation.startUrl, `https://${organisation.identityStoreId}.awsapps.com/start`];
  const isOurs = (url: string) => ownUrls.includes(url.replace(/\/?(?:#\/?)?$/, ''));

  const enabledPerson = (personId: string): WorldPerson => {
    const person = world.people.find((one) => one.id === personId);
    if (!person?.enabled) throw new OidcError('InvalidGrantException', 'The user cannot sign in');
    return person;
  };

  const clientOf = (request: { clientId: string; clientSecret: string }): RegisteredClient => {
    const client = state.clients.get(request.clientId);
    if (!client || client.expiresAtMs <= nowMs() || !sameSecret(client.clientSecret, request.clientSecret)) {
      throw new OidcError('InvalidClientException', 'Invalid client');
    }
    return client;
  };

  const issue = (client: RegisteredClient, portalSessionId: string, endsAtMs: number): TokenAnswer => {
    const refreshable = client.scopes.includes('sso:account:access');
    // A registration without scopes is the legacy kind: one token for the whole portal session, never refreshed.
    const wanted = refreshable ? nowMs() + options.lifetimes().accessTokenSeconds * 1000 : endsAtMs;
    const expiresAtMs = Math.min(wanted, endsAtMs);
    const accessToken = randomToken('aoaAAAAA');
    const about = { portalSessionId, clientId: client.clientId };
    state.accessTokens.set(accessToken, { value: accessToken, ...about, expiresAtMs });
    const answer: TokenAnswer = {
      accessToken,
      tokenType: 'Bearer',
      expiresIn: Math.floor((expiresAtMs - nowMs()) / 1000),
    };
    if (!refreshable) return answer;
    const refreshToken = randomToken('aorAAAAA');
    state.refreshTokens.set(refreshToken, { value: refreshToken, ...about, expiresAtMs: endsAtMs });
    return { ...answer, refreshToken };
  };

  const openPortalSession = (client: RegisteredClient, personId: string): TokenAnswer => {
    enabledPerson(personId);
    const endsAtMs = nowMs() + options.lifetimes().portalSessionSeconds * 1000;
    const id = randomUUID();
    state.portalSessions.set(id, { id, personId, endsAtMs });
    return issue(client, id, endsAtMs);
  };

  const byCode = (client: RegisteredClient, request: TokenRequest): TokenAnswer => {
    const code = state.codes.get(request.code ?? '');
    // A code is good for one try, whoever makes it.
    state.codes.delete(request.code ?? '');
    const challenge = createHash('sha256')
      .update(request.codeVerifier ?? '')
      .digest('base64url');
    const good =
      code !== undefined &&
      code.clientId === client.clientId &&
      code.expiresAtMs > nowMs() &&
      code.redirectUri === request.redirectUri &&
      sameSecret(code.challenge, challenge);
    if (!good) throw new OidcError('InvalidGrantException', 'Invalid grant provided');
    return openPortalSession(client, code.personId);
  };

  const byDevice = (client: RegisteredClient, request: TokenRequest): TokenAnswer => {
    const device = state.devices.get(request.deviceCode ?? '');
    if (!device || device.clientId !== client.clientId) {
      throw new OidcError('InvalidGrantException', 'Invalid device code provided');
    }
    if (device.expiresAtMs <= nowMs()) throw new OidcError('ExpiredTokenException', 'Device code has expired');
    const tooSoon = device.lastPollMs !== null && nowMs() - device.lastPollMs < device.intervalSeconds * 1000 - 100;
    device.lastPollMs = nowMs();
    if (tooSoon) {
      device.intervalSeconds += 5;
      throw new OidcError('SlowDownException', 'Slow down');
    }
    if (device.answer.kind === 'pending') {
      throw new OidcError('AuthorizationPendingException', 'Authorization is pending');
    }
    state.devices.delete(device.deviceCode);
    if (device.answer.kind === 'denied') throw new OidcError('AccessDeniedException', 'Access denied');
    return openPortalSession(client, device.answer.personId);
  };

  const byRefreshToken = (client: RegisteredClient, request: TokenRequest): TokenAnswer => {
    const token = state.refreshTokens.get(request.refreshToken ?? '');
    const portalSession = token && state.portalSessions.get(token.portalSessionId);
    if (!token || !portalSession || token.clientId !== client.clientId || portalSession.endsAtMs <= nowMs()) {
      throw new OidcError('InvalidGrantException', 'Invalid refresh token provided');
    }
    enabledPerson(portalSession.personId);
    state.refreshTokens.delete(token.value);
    return issue(client, portalSession.id, portalSession.endsAtMs);
  };

  return {
    /** @param endpoint this server's own origin, for the addresses in the answer. */
    registerClient(input: unknown, endpoint: string) {
      const wanted = parse(registration, input);
      if (wanted.clientType !== 'public') {
        throw new OidcError('InvalidClientMetadataException', 'Only the client type public is known');
      }
      if (wanted.scopes.some((scope) => !knownScopes.includes(scope))) {
        throw new OidcError('InvalidScopeException', 'Invalid scope provided');
      }
      if (wanted.grantTypes.some((grant) => !knownGrants.includes(grant))) {
        throw new OidcError('UnsupportedGrantTypeException', 'Unsupported grant type');
      }
      if (wanted.redirectUris.some((uri) => portless(uri) === null)) {
        throw new OidcError('InvalidRedirectUriException', 'Redirect URIs of a public client are on loopback');
      }
      if (wanted.grantTypes.includes('authorization_code')) {
        if (wanted.redirectUris.length === 0) {
          throw new OidcError('InvalidRequestException', 'redirectUris are needed for authorization_code');
        }
        if (wanted.issuerUrl === undefined || !isOurs(wanted.issuerUrl)) {
          throw new OidcError('InvalidRequestException', 'Invalid issuer URL');
        }
      }
      const issuedAtMs = nowMs();
      const client: RegisteredClient = {
        clientId: randomBytes(18).toString('base64url'),
        clientSecret: randomToken('eyJ'),
        clientName: wanted.clientName,
        redirectUris: wanted.redirectUris,
        grantTypes: wanted.grantTypes,
        scopes: wanted.scopes,
        expiresAtMs: issuedAtMs + options.lifetimes().clientSeconds * 1000,
      };
      state.clients.set(client.clientId, client);
      return {
        clientId: client.clientId,
        clientSecret: client.clientSecret,
        clientIdIssuedAt: Math.floor(issuedAtMs / 1000),
        clientSecretExpiresAt: Math.floor(client.expiresAtMs / 1000),
        authorizationEndpoint: `${endpoint}/authorize`,
        tokenEndpoint: `${endpoint}/token`,
      };
    },

    startDeviceAuthorization(input: unknown, endpoint: string) {
      const wanted = parse(deviceStart, input);
      const client = clientOf(wanted);
      if (!isOurs(wanted.startUrl)) throw new OidcError('InvalidRequestException', 'Invalid start url provided');
      if (client.grantTypes.length > 0 && !client.grantTypes.includes(deviceGrant)) {
        throw new OidcError('UnauthorizedClientException', 'The client is not registered for device codes');
      }
      const { deviceCodeSeconds, devicePollSeconds } = options.lifetimes();
      const device: DeviceCode = {
        deviceCode: randomToken(''),
        userCode: randomUserCode(),
        clientId: client.clientId,
        expiresAtMs: nowMs() + deviceCodeSeconds * 1000,
        intervalSeconds: devicePollSeconds,
        lastPollMs: null,
        answer: { kind: 'pending' },
      };
      state.devices.set(device.deviceCode, device);
      return {
        deviceCode: device.deviceCode,
        userCode: device.userCode,
        verificationUri: `${endpoint}/device`,
        verificationUriComplete: `${endpoint}/device?user_code=${device.userCode}`,
        expiresIn: deviceCodeSeconds,
        interval: devicePollSeconds,
      };
    },

    createToken(input: unknown): TokenAnswer {
      const request = parse(tokenRequest, input);
      const client = clientOf(request);
      if (!knownGrants.includes(request.grantType)) {
        throw new OidcError('UnsupportedGrantTypeException', 'Unsupported grant type');
      }
      if (client.grantTypes.length > 0 && !client.grantTypes.includes(request.grantType)) {
        throw new OidcError('UnauthorizedClientException', 'The client is not registered for this grant type');
      }
      if (request.grantType === 'authorization_code') return byCode(client, request);
      return request.grantType === deviceGrant ? byDevice(client, request) : byRefreshToken(client, request);
    },
  };
};
