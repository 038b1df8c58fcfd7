import { AwsError } from '../service.ts';
import type { World } from '../world.ts';
import { type Lifetimes, type RegisteredClient, type SignInState } from './sign-in-state.ts';
/** The `error` of each exception, and its status (aws-facts 1.4). */
declare const oidcErrors: {
    readonly AuthorizationPendingException: readonly ["authorization_pending", 400];
    readonly SlowDownException: readonly ["slow_down", 400];
    readonly ExpiredTokenException: readonly ["expired_token", 400];
    readonly AccessDeniedException: readonly ["access_denied", 400];
    readonly InvalidGrantException: readonly ["invalid_grant", 400];
    readonly InvalidClientException: readonly ["invalid_client", 401];
    readonly InvalidRequestException: readonly ["invalid_request", 400];
    readonly InvalidScopeException: readonly ["invalid_scope", 400];
    readonly UnauthorizedClientException: readonly ["unauthorized_client", 400];
    readonly UnsupportedGrantTypeException: readonly ["unsupported_grant_type", 400];
    readonly InvalidRedirectUriException: readonly ["invalid_redirect_uri", 400];
    readonly InvalidClientMetadataException: readonly ["invalid_client_metadata", 400];
};
/** An error as OAuth tells it: `error` beside AWS's exception name. */
export declare class OidcError extends AwsError {
    readonly error: string;
    constructor(code: keyof typeof oidcErrors, description: string);
}
type TokenAnswer = {
    accessToken: string;
    tokenType: 'Bearer';
    expiresIn: number;
    refreshToken?: string;
};
/** Whether a client may be sent back to this address: a registered one, on any port. */
export declare const mayRedirectTo: (client: RegisteredClient, uri: string) => boolean;
export type Oidc = ReturnType<typeof createOidc>;
/** @param lifetimes asked at each call, so that control can change them. Operations throw OidcError. */
export declare const createOidc: (options: {
    world: World;
    state: SignInState;
    lifetimes: () => Lifetimes;
    now: () => Date;
}) => {
    /** @param endpoint this server's own origin, for the addresses in the answer. */
    registerClient(input: unknown, endpoint: string): {
        clientId: string;
        clientSecret: string;
        clientIdIssuedAt: number;
        clientSecretExpiresAt: number;
        authorizationEndpoint: string;
        tokenEndpoint: string;
    };
    startDeviceAuthorization(input: unknown, endpoint: string): {
        deviceCode: string;
        userCode: string;
        verificationUri: string;
        verificationUriComplete: string;
        expiresIn: number;
        interval: number;
    };
    createToken(input: unknown): TokenAnswer;
};
export {};
