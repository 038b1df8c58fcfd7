/** What the session client needs of AWS: a signature for the websocket's upgrade, ResumeSession and TerminateSession. */
import { Sha256 } from '@aws-crypto/sha256-js';
import { HttpRequest } from '@smithy/protocol-http';
import { SignatureV4 } from '@smithy/signature-v4';
import { appAnswerMs, awsLimits } from '../shared/aws-limits.ts';
import type { SessionCredentials, SessionLaunch } from '../shared/session-launch.ts';

/** The SDK wants a missing session token left out, not undefined. */
const identityOf = ({ accessKeyId, secretAccessKey, sessionToken }: SessionCredentials) => ({
  accessKeyId,
  secretAccessKey,
  ...(sessionToken === undefined ? {} : { sessionToken }),
});

/**
 * SigV4 headers for the GET that opens the data channel: service `ssmmessages`, over the StreamUrl as it stands with https for wss,
 * as official clients since 1.2.764 do; the person's role then needs ssmmessages:OpenDataChannel.
 */
export const signUpgrade = async (
  url: URL,
  by: { region: string; credentials: SessionCredentials; now: Date },
): Promise<Record<string, string>> => {
  const signer = new SignatureV4({
    service: 'ssmmessages',
    region: by.region,
    credentials: identityOf(by.credentials),
    sha256: Sha256,
  });
  const request = new HttpRequest({
    method: 'GET',
    protocol: 'https:',
    hostname: url.hostname,
    path: url.pathname,
    query: Object.fromEntries(url.searchParams),
    headers: { host: url.host },
  });
  const signed = await signer.sign(request, { signingDate: by.now });
  // The websocket library writes the same Host by itself.
  const { host: _host, ...headers } = signed.headers;
  return headers;
};

export type ResumeAnswer =
  | { kind: 'resumed'; tokenValue: string; streamUrl: string | null }
  /** The session has ended meanwhile: AWS answers without a token. */
  | { kind: 'over' }
  /** Access is gone. */
  | { kind: 'refused'; what: string }
  /** No answer, or one that may be another next time (network, throttling, credentials just expired). */
  | { kind: 'later'; what: string };

export type SessionService = {
  resume: (credentials: SessionCredentials) => Promise<ResumeAnswer>;
  /** @throws whatever the SDK throws; safe to repeat. */
  terminate: (credentials: SessionCredentials) => Promise<void>;
};

/** Codes after which asking again with the same access makes no sense (SSM API reference, ResumeSession and common errors). */
const finalCodes = new Set([
  'AccessDeniedException',
  'AccessDenied',
  'UnrecognizedClientException',
  'ValidationException',
]);

export const createSessionService = (
  launch: Pick<SessionLaunch, 'sessionId' | 'region' | 'ssmEndpoint'>,
): SessionService => {
  const SessionId = launch.sessionId;
  const connect = async (credentials: SessionCredentials) => {
    // Loaded when first needed: most sessions never are cut, and the prompt should not wait for the SDK.
    const sdk = await import('@aws-sdk/client-ssm');
    const client = new sdk.SSMClient({
      region: launch.region,
      credentials: identityOf(credentials),
      maxAttempts: 2,
      requestHandler: awsLimits(appAnswerMs),
      ...(launch.ssmEndpoint === undefined ? {} : { endpoint: launch.ssmEndpoint }),
    });
    return { sdk, client };
  };
  return {
    resume: async (credentials) => {
      const { sdk, client } = await connect(credentials);
      try {
        const answer = await client.send(new sdk.ResumeSessionCommand({ SessionId }));
        if (answer.TokenValue === undefined || answer.TokenValue === '') return { kind: 'over' };
        return { kind: 'resumed', tokenValue: answer.TokenValue, streamUrl: answer.StreamUrl ?? null };
      } catch (error) {
        if (!(error instanceof Error)) throw error;
        if (error.name === 'DoesNotExistException') return { kind: 'over' };
        return { kind: finalCodes.has(error.name) ? 'refused' : 'later', what: error.name };
      } finally {
        client.destroy();
      }
    },
    terminate: async (credentials) => {
      const { sdk, client } = await connect(credentials);
      try {
        await client.send(new sdk.TerminateSessionCommand({ SessionId }));
      } finally {
        client.destroy();
      }
    },
  };
};
