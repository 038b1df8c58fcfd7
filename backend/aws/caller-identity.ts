/**
 * Asks STS whose signature it is (aws-facts 2.2). The request is rebuilt from constants and the few checked fields of the
 * proof; nothing of the client's is ever used as URL, header name or body (threats ID-03).
 */
import { request as httpRequest, type IncomingMessage } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { z } from 'zod';
import { accountId } from '../../src/shared/access.ts';
import {
  type IdentityProof,
  nonceHeader,
  proofAccept,
  proofBody,
  proofContentType,
  proofSignedHeaders,
  serverIdHeader,
  stsHost,
} from '../../src/shared/identity-proof.ts';

const answerMs = 10_000;
const answerBytes = 16 * 1024;

export type CallerIdentity =
  | { kind: 'identity'; account: string; arn: string; userId: string }
  /** STS said no, or something that is no answer of STS. */
  | { kind: 'refused'; why: string }
  /** STS has too much to do: the same credentials may pass later, with a new nonce. */
  | { kind: 'busy' };

export type CallerIdentityOptions = {
  /** Our own server id, derived from the configured origin: a proof that was made for another backend fails here. */
  serverId: string;
  /** Where the socket goes instead of the regional host (AWS_ENDPOINT_URL_STS); the Host header stays AWS's. */
  endpoint: string | null;
};

const stsAnswer = z.object({
  GetCallerIdentityResponse: z.object({
    GetCallerIdentityResult: z.object({
      Account: accountId,
      Arn: z.string().min(20).max(2048),
      UserId: z.string().min(12).max(256),
    }),
  }),
});

const headersOf = (proof: IdentityProof, serverId: string): Record<string, string> => {
  const scope = `${proof.amzDate.slice(0, 8)}/${proof.region}/sts/aws4_request`;
  return {
    host: stsHost(proof.region),
    accept: proofAccept,
    'content-type': proofContentType,
    'content-length': String(Buffer.byteLength(proofBody)),
    'x-amz-date': proof.amzDate,
    'x-amz-security-token': proof.sessionToken,
    [nonceHeader]: proof.nonce,
    [serverIdHeader]: serverId,
    authorization: `AWS4-HMAC-SHA256 Credential=${proof.accessKeyId}/${scope}, SignedHeaders=${proofSignedHeaders}, Signature=${proof.signature}`,
  };
};

/** The body as text. @throws Error when it is longer than any answer of STS. */
const readBounded = async (response: IncomingMessage): Promise<string> => {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of response) {
    if (!Buffer.isBuffer(chunk)) throw new Error('STS answered something other than bytes.');
    bytes += chunk.length;
    if (bytes > answerBytes) throw new Error('STS answered more than 16 KiB.');
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
};

const ask = async (proof: IdentityProof, options: CallerIdentityOptions): Promise<{ status: number; body: string }> => {
  const target = new URL(options.endpoint ?? `https://${stsHost(proof.region)}`);
  const request = target.protocol === 'http:' ? httpRequest : httpsRequest;
  const signal = AbortSignal.timeout(answerMs);
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    // node:http follows no redirects, and a connection of its own per proof keeps answers apart.
    const sent = request(
      {
        hostname: target.hostname.replace(/^\[|\]$/g, ''),
        port: target.port,
        path: '/',
        method: 'POST',
        agent: false,
        headers: headersOf(proof, options.serverId),
        servername: target.protocol === 'https:' ? target.hostname : undefined,
        signal,
      },
      resolve,
    );
    sent.on('error', reject);
    sent.end(proofBody);
  });
  try {
    return { status: response.statusCode ?? 0, body: await readBounded(response) };
  } finally {
    response.destroy();
  }
};

const occurrences = (text: string, key: string): number => text.split(`"${key}"`).length - 1;

const parseAnswer = (body: string): CallerIdentity => {
  // JSON.parse takes the last of two equal keys; a body that names one twice is nobody's honest answer.
  if (['Account', 'Arn', 'UserId'].some((key) => occurrences(body, key) !== 1)) {
    return { kind: 'refused', why: 'the answer does not name exactly one account, ARN and user id' };
  }
  let json: unknown;
  try {
    json = JSON.parse(body);
  } catch {
    return { kind: 'refused', why: 'the answer is not JSON' };
  }
  const parsed = stsAnswer.safeParse(json);
  if (!parsed.success) return { kind: 'refused', why: 'the answer has another shape than GetCallerIdentity' };
  const { Account, Arn, UserId } = parsed.data.GetCallerIdentityResponse.GetCallerIdentityResult;
  return { kind: 'identity', account: Account, arn: Arn, userId: UserId };
};

/** AWS's error codes are plain words; anything else in an error body is not repeated. */
const errorCode = (body: string): string => /"Code"\s*:\s*"([A-Za-z.]{1,60})"/.exec(body)?.[1] ?? 'unknown';

/**
 * Sends the rebuilt GetCallerIdentity to the proof's regional host: no redirects, 10 s, 16 KiB, status 200 only.
 * @throws Error when STS cannot be reached or answers too long or too late: a fault, not a refusal.
 */
export const callerIdentity = async (proof: IdentityProof, options: CallerIdentityOptions): Promise<CallerIdentity> => {
  const { status, body } = await ask(proof, options);
  if (status === 200) return parseAnswer(body);
  if (status === 429 || status >= 500 || /Throttl/.test(body)) return { kind: 'busy' };
  return { kind: 'refused', why: `STS answered ${status} ${errorCode(body)}` };
};
