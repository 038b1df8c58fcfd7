/**
 * A stand-in for STS in tests of the identity proof: it checks signatures like AWS does, over what it received, by the AWS
 * SDK's own signer. The answer can be replaced to play a dishonest one.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { Sha256 } from '@aws-crypto/sha256-js';
import { HttpRequest } from '@smithy/protocol-http';
import { SignatureV4 } from '@smithy/signature-v4';
import {
  type IdentityProof,
  nonceHeader,
  proofAccept,
  proofBody,
  proofContentType,
  serverIdHeader,
  stsHost,
} from '../../../src/shared/identity-proof.ts';

export type TestCredentials = { accessKeyId: string; secretAccessKey: string; sessionToken: string };

/** What STS knows of the holder of credentials. */
export type TestIdentity = TestCredentials & { account: string; arn: string; userId: string };

const region = 'eu-central-1';

/** Signs GetCallerIdentity like the app does. `change` alters the headers before they are signed. */
export const signProof = async (
  credentials: TestCredentials,
  over: { nonce: string; serverId: string | null; at: Date },
): Promise<IdentityProof> => {
  const signer = new SignatureV4({ credentials, region, service: 'sts', sha256: Sha256, applyChecksum: false });
  const extra = over.serverId === null ? {} : { [serverIdHeader]: over.serverId };
  const signed = await signer.sign(
    new HttpRequest({
      method: 'POST',
      protocol: 'https:',
      hostname: stsHost(region),
      path: '/',
      headers: {
        host: stsHost(region),
        accept: proofAccept,
        'content-type': proofContentType,
        [nonceHeader]: over.nonce,
        ...extra,
      },
      body: proofBody,
    }),
    { signingDate: over.at, signableHeaders: new Set(['accept', nonceHeader, serverIdHeader]) },
  );
  return {
    region,
    accessKeyId: credentials.accessKeyId,
    sessionToken: credentials.sessionToken,
    amzDate: signed.headers['x-amz-date'] ?? '',
    signature: /Signature=([0-9a-f]{64})/.exec(signed.headers['authorization'] ?? '')?.[1] ?? '',
    nonce: over.nonce,
  };
};

export type StsStandin = {
  endpoint: string;
  /** Requests that arrived. */
  calls: () => number;
  /** Answers in place of the honest one until called with null. */
  answerWith: (answer: ((response: ServerResponse) => void) | null) => void;
  close: () => Promise<void>;
};

const bodyOf = async (request: IncomingMessage): Promise<string> => {
  let body = '';
  for await (const chunk of request) body += String(chunk);
  return body;
};

const signatureHolds = async (request: IncomingMessage, body: string, identity: TestIdentity): Promise<boolean> => {
  const authorization = request.headers.authorization ?? '';
  const names = (/SignedHeaders=([a-z0-9;-]+)/.exec(authorization)?.[1] ?? '').split(';');
  const headers = Object.fromEntries(names.map((name) => [name, String(request.headers[name] ?? '')]));
  const amzDate = headers['x-amz-date'] ?? '';
  const at = amzDate.replace(/^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/, '$1-$2-$3T$4:$5:$6Z');
  const signer = new SignatureV4({
    credentials: identity,
    region,
    service: 'sts',
    sha256: Sha256,
    applyChecksum: false,
  });
  const again = await signer.sign(
    new HttpRequest({ method: 'POST', protocol: 'https:', hostname: headers['host'] ?? '', path: '/', headers, body }),
    { signingDate: new Date(at), signableHeaders: new Set(names) },
  );
  return again.headers['authorization'] === authorization;
};

/** Starts it on loopback. */
export const startSts = async (identities: readonly TestIdentity[]): Promise<StsStandin> => {
  let calls = 0;
  let instead: ((response: ServerResponse) => void) | null = null;
  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    calls += 1;
    const body = await bodyOf(request);
    if (instead !== null) return instead(response);
    const keyId = /Credential=([A-Z0-9]+)\//.exec(request.headers.authorization ?? '')?.[1];
    const identity = identities.find(({ accessKeyId }) => accessKeyId === keyId);
    response.setHeader('content-type', 'application/json');
    if (identity === undefined || !(await signatureHolds(request, body, identity))) {
      response.writeHead(403);
      response.end(JSON.stringify({ Error: { Code: 'SignatureDoesNotMatch', Message: 'no', Type: 'Sender' } }));
      return;
    }
    const { account: Account, arn: Arn, userId: UserId } = identity;
    const GetCallerIdentityResponse = {
      GetCallerIdentityResult: { Account, Arn, UserId },
      ResponseMetadata: { RequestId: '1' },
    };
    response.end(JSON.stringify({ GetCallerIdentityResponse }));
  };
  const server = createServer((request, response) => {
    answer(request, response).catch(() => response.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  return {
    endpoint: `http://127.0.0.1:${address.port}`,
    calls: () => calls,
    answerWith: (other) => {
      instead = other;
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
};
