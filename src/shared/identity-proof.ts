/**
 * The identity proof (aws-facts 2.2): the app signs an STS GetCallerIdentity over the backend's nonce and server id; the
 * backend rebuilds that request from constants and sends it. Both sides take every constant from here, so nothing
 * that a client sends is ever used as URL, header name or body.
 */
import { z } from 'zod';
import { regionName } from './access.ts';
import { Refusal } from './refusal.ts';

export const proofBody = 'Action=GetCallerIdentity&Version=2011-06-15';
export const proofContentType = 'application/x-www-form-urlencoded; charset=utf-8';
export const proofAccept = 'application/json';
export const nonceHeader = 'x-curfew-nonce';
export const serverIdHeader = 'x-curfew-server-id';
/** The SigV4 SignedHeaders list, in order. The backend insists on exactly this one. */
export const proofSignedHeaders =
  'accept;content-type;host;x-amz-date;x-amz-security-token;x-curfew-nonce;x-curfew-server-id';

/** The regional host: a signature for one region fails at another. Sent as Host even where an endpoint override points the socket elsewhere. */
export const stsHost = (region: string): string =>
  region.startsWith('cn-') ? `sts.${region}.amazonaws.com.cn` : `sts.${region}.amazonaws.com`;

const originOf = /^(https?):\/\/([a-z0-9.-]+|\[[0-9a-f:.]+\])(?::(\d{1,5}))?\/?$/;
const standardPorts: Record<string, string> = { http: '80', https: '443' };

/**
 * Who the proof is for: the origin of the backend, as each side is *configured* with it, never as the other side
 * tells it (threats ID-02). Takes an address of scheme, host and perhaps port; no path, no user information.
 * @throws Refusal `invalid_input` when the address is anything else.
 */
export const serverIdOf = (backendUrl: string): string => {
  const [, scheme = '', host = '', port] = originOf.exec(backendUrl.toLowerCase()) ?? [];
  if (scheme === '') {
    throw new Refusal('invalid_input', {
      path: 'backendUrl',
      message: 'is not an address like https://curfew.example.com',
    });
  }
  return port === undefined || port === standardPorts[scheme] ? `${scheme}://${host}` : `${scheme}://${host}:${port}`;
};

/** What the client sends, and nothing else. */
export const identityProof = z.strictObject({
  region: regionName,
  accessKeyId: z.string().regex(/^ASIA[A-Z2-7]{16}$/),
  sessionToken: z
    .string()
    .min(16)
    .max(4096)
    .regex(/^[A-Za-z0-9+/=_-]+$/),
  amzDate: z.string().regex(/^\d{8}T\d{6}Z$/),
  signature: z.string().regex(/^[0-9a-f]{64}$/),
  nonce: z.string().regex(/^[A-Za-z0-9_-]{43}$/),
});
export type IdentityProof = z.infer<typeof identityProof>;
