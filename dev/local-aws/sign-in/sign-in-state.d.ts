import { z } from 'zod';
declare const client: z.ZodObject<{
    clientId: z.ZodString;
    clientSecret: z.ZodString;
    clientName: z.ZodString;
    redirectUris: z.ZodArray<z.ZodString>;
    grantTypes: z.ZodArray<z.ZodString>;
    scopes: z.ZodArray<z.ZodString>;
    expiresAtMs: z.ZodNumber;
}, z.core.$strip>;
declare const token: z.ZodObject<{
    value: z.ZodString;
    portalSessionId: z.ZodString;
    clientId: z.ZodString;
    expiresAtMs: z.ZodNumber;
}, z.core.$strip>;
declare const kept: z.ZodObject<{
    clients: z.ZodArray<z.ZodObject<{
        clientId: z.ZodString;
        clientSecret: z.ZodString;
        clientName: z.ZodString;
        redirectUris: z.ZodArray<z.ZodString>;
        grantTypes: z.ZodArray<z.ZodString>;
        scopes: z.ZodArray<z.ZodString>;
        expiresAtMs: z.ZodNumber;
    }, z.core.$strip>>;
    portalSessions: z.ZodArray<z.ZodObject<{
        id: z.ZodString;
        personId: z.ZodString;
        endsAtMs: z.ZodNumber;
    }, z.core.$strip>>;
    accessTokens: z.ZodArray<z.ZodObject<{
        value: z.ZodString;
        portalSessionId: z.ZodString;
        clientId: z.ZodString;
        expiresAtMs: z.ZodNumber;
    }, z.core.$strip>>;
    refreshTokens: z.ZodArray<z.ZodObject<{
        value: z.ZodString;
        portalSessionId: z.ZodString;
        clientId: z.ZodString;
        expiresAtMs: z.ZodNumber;
    }, z.core.$strip>>;
}, z.core.$strip>;
export type RegisteredClient = z.infer<typeof client>;
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
    answer: {
        kind: 'pending';
    } | {
        kind: 'denied';
    } | {
        kind: 'allowed';
        personId: string;
    };
};
/** Seconds. The control API changes them while local-aws runs. */
export declare const lifetimes: z.ZodObject<{
    clientSeconds: z.ZodInt;
    accessTokenSeconds: z.ZodInt;
    portalSessionSeconds: z.ZodInt;
    codeSeconds: z.ZodInt;
    deviceCodeSeconds: z.ZodInt;
    devicePollSeconds: z.ZodInt;
}, z.core.$strict>;
export type Lifetimes = z.infer<typeof lifetimes>;
/** Lifetimes that can be changed while local-aws runs; absent ones stay. */
export declare const createLifetimes: () => {
    get: () => Lifetimes;
    change(changes: { [K in keyof Lifetimes]?: Lifetimes[K] | undefined; }): void;
    reset(): void;
};
export declare const randomToken: (prefix: string) => string;
/** Letters that people do not mix up, as `BCDF-GHJK`. */
export declare const randomUserCode: () => string;
export type SignInState = ReturnType<typeof createSignInState>;
/** Empty memory of Identity Center. `snapshot` is plain JSON; `restore` throws a ZodError for anything else. */
export declare const createSignInState: () => {
    clients: Map<string, {
        clientId: string;
        clientSecret: string;
        clientName: string;
        redirectUris: string[];
        grantTypes: string[];
        scopes: string[];
        expiresAtMs: number;
    }>;
    codes: Map<string, AuthorizationCode>;
    devices: Map<string, DeviceCode>;
    portalSessions: Map<string, {
        id: string;
        personId: string;
        endsAtMs: number;
    }>;
    accessTokens: Map<string, {
        value: string;
        portalSessionId: string;
        clientId: string;
        expiresAtMs: number;
    }>;
    refreshTokens: Map<string, {
        value: string;
        portalSessionId: string;
        clientId: string;
        expiresAtMs: number;
    }>;
    /** Ends a portal session with all of its tokens, as Logout does. */
    endPortalSession(id: string): void;
    /** Without codes: they live for minutes. */
    snapshot: () => z.infer<typeof kept>;
    restore(snapshot: unknown): void;
};
export {};
