/** Signs the identity proof (aws-facts 2.2). By hand, because the SDK's own STS client adds headers of its own. */
import { Sha256 } from '@aws-crypto/sha256-js';
import { HttpRequest } from '@smithy/protocol-http';
import { SignatureV4 } from '@smithy/signature-v4';
import {
  type IdentityProof,
  nonceHeader,
  proofAccept,
  proofBody,
  proofContentType,
  proofSignedHeaders,
  serverIdHeader,
  stsHost,
} from '../../shared/identity-proof.ts';
import type { RequesterCredentials } from '../ports.ts';

/**
 * @param options.serverId from the *configured* backend address by `serverIdOf`, never from what a backend says (threats ID-02).
 * @returns what the backend needs to rebuild the request; the secret key is not in it.
 */
export const signIdentityProof = async (options: {
  credentials: RequesterCredentials;
  region: string;
  serverId: string;
  nonce: string;
  now: Date;
}): Promise<IdentityProof> => {
  const { credentials, region, serverId, nonce, now } = options;
  const signer = new SignatureV4({ credentials, region, service: 'sts', sha256: Sha256, applyChecksum: false });
  const hostname = stsHost(region);
  const signed = await signer.sign(
    new HttpRequest({
      method: 'POST',
      protocol: 'https:',
      hostname,
      path: '/',
      headers: {
        host: hostname,
        accept: proofAccept,
        'content-type': proofContentType,
        [nonceHeader]: nonce,
        [serverIdHeader]: serverId,
      },
      body: proofBody,
    }),
    { signingDate: now, signableHeaders: new Set(['accept', nonceHeader, serverIdHeader]) },
  );
  const authorization = signed.headers['authorization'] ?? '';
  const [, signedHeaders] = /SignedHeaders=([a-z0-9;-]+)/.exec(authorization) ?? [];
  const [, signature] = /Signature=([0-9a-f]{64})/.exec(authorization) ?? [];
  const amzDate = signed.headers['x-amz-date'];
  if (signature === undefined || amzDate === undefined || signedHeaders !== proofSignedHeaders) {
    throw new Error('The identity proof was not signed over exactly the agreed headers.');
  }
  return {
    region,
    accessKeyId: credentials.accessKeyId,
    sessionToken: credentials.sessionToken,
    amzDate,
    signature,
    nonce,
  };
};
