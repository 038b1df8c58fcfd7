/**
 * What Identity Center remembers: client registrations, authorization codes, device codes, portal sessions and their tokens
 * (aws-facts 1.1 to 1.5). Tokens are kept as they are: this is a development tool and its secrets open a made-up world.
 */
import { randomBytes, randomInt } from 'node:crypto';
import { z } from 'zod';

const instantMs = z.number();
const client = z.object({
  clientId: z.string(),
  clientSecret: z.string(),
  clientName: z.string(),
  redirectUris: z.array(z.string()),
  grantTypes: z.array(z.string()),
  scopes: z.array(z.string()),
  expiresAtMs: instantMs,
});
const portalSession = z.object({ id: z.string(), personId: z.string(), endsAtMs: instantMs });
const token = z.object({
  value: z.string(),
  portalSessionId: z.string(),
  clientId: z.string(),
  expiresAtMs: instantMs,
});
const kept = z.object({
  clients: z.array(client),
  portalSessions: z.array(portalSession),
  accessTokens: z.array(token),
  refreshTokens: z.array(token),
});

export type RegisteredClient = z.infer<typeof client>;
type PortalSession = z.infer<typeof portalSession>;
export type Token = z.infer<typeof token>;
type AuthorizationCode = {
  code: string;
  clientId: string;
  redirectUri: string;
  challenge: string;
  personId: string;
  expiresAtMs: number;
};
export type DeviceCode = {
  deviceCode: string;
  userCode: string;
  clientId: string;
  expiresAtMs: number;
  intervalSeconds: number;
  lastPollMs: number | null;
  answer: { kind: 'pending' } | { kind: 'denied' } | { kind: 'allowed'; personId: string };
};

/** Seconds. The control API changes them while local-aws runs. */
export const lifetimes = z.strictObject({
  clientSeconds: z.int().min(1),
  /** Of an access token whose client asked for `sso:account:access`. */
  accessTokenSeconds: z.int().min(1),
  /** The portal session: refreshing works until it ends. */
  portalSessionSeconds: z.int().min(1),
  codeSeconds: z.int().min(1),
  deviceCodeSeconds: z.int().min(1),
  devicePollSeconds: z.int().min(1),
});
export type Lifetimes = z.infer<typeof lifetimes>;

/** AWS's own (aws-facts 1.3, 1.5). */
const usualLifetimes: Lifetimes = {
  clientSeconds: 90 * 24 * 3600,
  accessTokenSeconds: 3600,
  portalSessionSeconds: 8 * 3600,
  codeSeconds: 600,
  deviceCodeSeconds: 600,
  devicePollSeconds: 5,
};

/** Lifetimes that can be changed while local-aws runs; absent ones stay. */
export const createLifetimes = () => {
  let now = { ...usualLifetimes };
  return {
    get: (): Lifetimes => now,
    change(changes: { [K in keyof Lifetimes]?: Lifetimes[K] | undefined }): void {
      const given = Object.fromEntries(Object.entries(changes).filter(([, seconds]) => seconds !== undefined));
      now = lifetimes.parse({ ...now, ...given });
    },
    reset(): void {
      now = { ...usualLifetimes };
    },
  };
};

export const randomToken = (prefix: string): string => `${prefix}${randomBytes(96).toString('base64url')}`;

/** Letters that people do not mix up, as `BCDF-GHJK`. */
export const randomUserCode = (): string => {
  const letters = 'BCDFGHJKLMNPQRSTVWXZ';
  const four = () => Array.from({ length: 4 }, () => letters.charAt(randomInt(letters.length))).join('');
  return `${four()}-${four()}`;
};

export type SignInState = ReturnType<typeof createSignInState>;

/** Empty memory of Identity Center. `snapshot` is plain JSON; `restore` throws a ZodError for anything else. */
export const createSignInState = () => {
  const clients = new Map<string, RegisteredClient>();
  const codes = new Map<string, AuthorizationCode>();
  const devices = new Map<string, DeviceCode>();
  const portalSessions = new Map<string, PortalSession>();
  const accessTokens = new Map<string, Token>();
  const refreshTokens = new Map<string, Token>();

  return {
    clients,
    codes,
    devices,
    portalSessions,
    accessTokens,
    refreshTokens,
    /** Ends a portal session with all of its tokens, as Logout does. */
    endPortalSession(id: string): void {
      portalSessions.delete(id);
      for (const tokens of [accessTokens, refreshTokens]) {
        for (const [value, one] of tokens) if (one.portalSessionId === id) tokens.delete(value);
      }
    },
    /** Without codes: they live for minutes. */
    snapshot: (): z.infer<typeof kept> => ({
      clients: [...clients.values()],
      portalSessions: [...portalSessions.values()],
      accessTokens: [...accessTokens.values()],
      refreshTokens: [...refreshTokens.values()],
    }),
    restore(snapshot: unknown): void {
      const read = kept.parse(snapshot);
      for (const one of read.clients) clients.set(one.clientId, one);
      for (const one of read.portalSessions) portalSessions.set(one.id, one);
      for (const one of read.accessTokens) accessTokens.set(one.value, one);
      for (const one of read.refreshTokens) refreshTokens.set(one.value, one);
    },
  };
};
