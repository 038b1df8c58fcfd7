/**
 * Verifies AWS Signature Version 4 of a request as it was received, in the header form and in the query (presigned)
 * form. Source: "Signature Version 4 signing process" in the IAM User Guide.
 */
import { createHash, createHmac, timingSafeEqual } from 'node:crypto';
import { AwsError, type AwsRequest, type Caller } from '../service.ts';
import type { CredentialStore } from './credential-store.ts';

export type VerifiedSignature = { caller: Caller; service: string; region: string; signedHeaders: string[] };

type RefusalKind = 'missing' | 'incomplete' | 'unknown-key' | 'expired-token' | 'late' | 'mismatch' | 'wrong-scope';

/** Why a signature was not accepted, before a service's protocol gives it a code (`signatureError`). */
export class SignatureRefusal extends Error {
  readonly kind: RefusalKind;

  constructor(kind: RefusalKind, message: string) {
    super(message);
    this.name = 'SignatureRefusal';
    this.kind = kind;
  }
}

const skewMs = 15 * 60 * 1000;
const mismatchText =
  'The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key ' +
  'and signing method. Consult the service documentation for details.';

const sha256 = (data: Buffer | string): string => createHash('sha256').update(data).digest('hex');
const hmac = (key: Buffer | string, data: string): Buffer => createHmac('sha256', key).update(data).digest();

/** RFC 3986 as SigV4 wants it: everything but `A-Za-z0-9-._~` as upper-case %XX. */
const encode = (text: string): string =>
  encodeURIComponent(text).replaceAll(/[!'()*]/g, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`);

/** `20261122T101500Z` as an instant, or null. */
const amzDate = (text: string): Date | null => {
  const parts = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/.exec(text);
  if (!parts) return null;
  const [, year, month, day, hour, minute, second] = parts;
  const date = new Date(`${year}-${month}-${day}T${hour}:${minute}:${second}Z`);
  return Number.isNaN(date.getTime()) ? null : date;
};
const amzText = (date: Date): string => date.toISOString().replaceAll(/[-:]|\.\d{3}/g, '');

type Claim = {
  accessKeyId: string;
  day: string;
  region: string;
  service: string;
  signedHeaders: string[];
  signature: string;
  date: string;
  /** Presigned requests say how long they live, seconds. */
  expiresSeconds: number | null;
  token: string | undefined;
};

type RawClaim = { credential: string | undefined; signedHeaders: string | undefined; signature: string | undefined };

const readScope = (raw: RawClaim, rest: Pick<Claim, 'date' | 'expiresSeconds' | 'token'>): Claim => {
  const scope = raw.credential?.split('/') ?? [];
  const [accessKeyId, day, region, service, end] = scope;
  if (!raw.credential || !raw.signedHeaders || !raw.signature) {
    throw new SignatureRefusal(
      'incomplete',
      "Authorization header requires 'Credential', 'SignedHeaders' and 'Signature' parameters.",
    );
  }
  if (scope.length !== 5 || !accessKeyId || !day || !region || !service || end !== 'aws4_request') {
    throw new SignatureRefusal(
      'incomplete',
      'Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term.',
    );
  }
  return {
    accessKeyId,
    day,
    region,
    service,
    signedHeaders: raw.signedHeaders.split(';'),
    signature: raw.signature,
    ...rest,
  };
};

const readClaim = (request: AwsRequest): Claim => {
  const { headers, query } = request;
  const authorization = headers['authorization'];
  if (authorization === undefined && query.has('X-Amz-Signature')) {
    const raw: RawClaim = {
      credential: query.get('X-Amz-Credential') ?? undefined,
      signedHeaders: query.get('X-Amz-SignedHeaders') ?? undefined,
      signature: query.get('X-Amz-Signature') ?? undefined,
    };
    return readScope(raw, {
      date: query.get('X-Amz-Date') ?? '',
      expiresSeconds: Number(query.get('X-Amz-Expires') ?? '900'),
      token: query.get('X-Amz-Security-Token') ?? undefined,
    });
  }
  if (authorization === undefined) {
    throw new SignatureRefusal('missing', 'Request is missing Authentication Token');
  }
  const [, algorithm, list] = /^(\S+)\s+(.*)$/.exec(authorization) ?? [];
  if (algorithm !== 'AWS4-HMAC-SHA256' || list === undefined) {
    throw new SignatureRefusal('incomplete', "Authorization header requires 'AWS4-HMAC-SHA256' as its algorithm.");
  }
  const fields = new Map(
    list.split(/,\s*/).map((field) => {
      const at = field.indexOf('=');
      return [field.slice(0, at).trim(), field.slice(at + 1).trim()];
    }),
  );
  const raw: RawClaim = {
    credential: fields.get('Credential'),
    signedHeaders: fields.get('SignedHeaders'),
    signature: fields.get('Signature'),
  };
  return readScope(raw, {
    date: headers['x-amz-date'] ?? '',
    expiresSeconds: null,
    token: headers['x-amz-security-token'],
  });
};

const checkDate = (claim: Claim, now: Date): void => {
  const signedAt = amzDate(claim.date);
  if (!signedAt || !claim.date.startsWith(claim.day)) {
    throw new SignatureRefusal('incomplete', 'Date in Credential scope does not match YYYYMMDD from X-Amz-Date.');
  }
  const ageMs = now.getTime() - signedAt.getTime();
  const lifeMs = claim.expiresSeconds === null ? skewMs : Math.min(claim.expiresSeconds * 1000, 7 * 24 * 3600 * 1000);
  if (!(ageMs <= lifeMs)) {
    const limit = amzText(new Date(now.getTime() - skewMs));
    throw new SignatureRefusal(
      'late',
      `Signature expired: ${claim.date} is now earlier than ${limit} (${amzText(now)} - 15 min.)`,
    );
  }
  if (ageMs < -skewMs) {
    const limit = amzText(new Date(now.getTime() + skewMs));
    throw new SignatureRefusal(
      'late',
      `Signature not yet current: ${claim.date} is still later than ${limit} (${amzText(now)} + 15 min.)`,
    );
  }
};

const order = (left: string, right: string): number => Number(left > right) - Number(left < right);

/** All parameters but the signature, encoded and sorted by encoded name, then value (not by the joined text: `-` is before `=`). */
const canonicalQuery = (query: URLSearchParams): string =>
  [...query]
    .filter(([name]) => name !== 'X-Amz-Signature')
    .map(([name, value]) => ({ name: encode(name), value: encode(value) }))
    .sort((left, right) => order(left.name, right.name) || order(left.value, right.value))
    .map(({ name, value }) => `${name}=${value}`)
    .join('&');

const canonicalRequest = (request: AwsRequest, claim: Claim): string => {
  const headers = claim.signedHeaders.map((name) => {
    const value = request.headers[name];
    if (value === undefined) throw new SignatureRefusal('mismatch', mismatchText);
    return `${name}:${value.trim().replaceAll(/ +/g, ' ')}\n`;
  });
  // Every service but S3 encodes the path of the request line once more.
  const path = request.path.split('/').map(encode).join('/') || '/';
  return [
    request.method,
    path,
    canonicalQuery(request.query),
    headers.join(''),
    claim.signedHeaders.join(';'),
    sha256(request.body),
  ].join('\n');
};

/** A regional host takes only signatures for its own region (aws-facts 2.2 no. 5). */
const checkScope = (claim: Claim, host: string): void => {
  const parts = /^([a-z-]+)\.([a-z]{2}(?:-[a-z]+)+-\d)\.amazonaws\.com$/.exec(host);
  if (!parts) return;
  const [, service, region] = parts;
  if (region !== claim.region) {
    throw new SignatureRefusal('wrong-scope', 'Credential should be scoped to a valid region.');
  }
  if (service !== claim.service) {
    throw new SignatureRefusal('wrong-scope', `Credential should be scoped to correct service: '${service}'.`);
  }
};

const signingKeys = new Map<string, Buffer>();

/** It is the same for a day: made once for each secret, region and service. */
const signingKey = (secret: string, { day, region, service }: Pick<Claim, 'day' | 'region' | 'service'>): Buffer => {
  const name = JSON.stringify([secret, day, region, service]);
  const known = signingKeys.get(name);
  if (known !== undefined) return known;
  const parts = [region, service, 'aws4_request'];
  const made = parts.reduce<Buffer>((before, part) => hmac(before, part), hmac(`AWS4${secret}`, day));
  if (signingKeys.size > 1000) signingKeys.clear();
  signingKeys.set(name, made);
  return made;
};

/**
 * Finds out whose request this is. The host counts as received, whatever address the socket went to. The hash of the
 * body is always computed, never taken from `x-amz-content-sha256`.
 * Throws `SignatureRefusal` when the signature is missing, malformed, late, wrong, or the credentials are.
 */
export const verifySignature = (request: AwsRequest, credentials: CredentialStore): VerifiedSignature => {
  const claim = readClaim(request);
  checkScope(claim, request.headers['host'] ?? '');
  const known = credentials.find(claim.accessKeyId);
  if (!known || (known.session?.token ?? undefined) !== claim.token) {
    throw new SignatureRefusal('unknown-key', 'The security token included in the request is invalid.');
  }
  if (!claim.signedHeaders.includes('host')) {
    throw new SignatureRefusal('mismatch', "'Host' must be a 'SignedHeader' in the AWS Authorization.");
  }
  checkDate(claim, request.now);
  const scope = `${claim.day}/${claim.region}/${claim.service}/aws4_request`;
  const toSign = ['AWS4-HMAC-SHA256', claim.date, scope, sha256(canonicalRequest(request, claim))].join('\n');
  const expected = Buffer.from(hmac(signingKey(known.secretAccessKey, claim), toSign).toString('hex'));
  const given = Buffer.from(claim.signature);
  if (expected.length !== given.length || !timingSafeEqual(expected, given)) {
    throw new SignatureRefusal('mismatch', mismatchText);
  }
  if (known.session && known.session.expiresAt <= request.now) {
    throw new SignatureRefusal('expired-token', 'The security token included in the request is expired');
  }
  return { caller: known.caller, service: claim.service, region: claim.region, signedHeaders: claim.signedHeaders };
};

type ErrorCode = readonly [code: string, status: number];
const queryCodes: Record<RefusalKind, ErrorCode> = {
  missing: ['MissingAuthenticationToken', 403],
  incomplete: ['IncompleteSignature', 400],
  'unknown-key': ['InvalidClientTokenId', 403],
  'expired-token': ['ExpiredToken', 403],
  late: ['SignatureDoesNotMatch', 403],
  mismatch: ['SignatureDoesNotMatch', 403],
  'wrong-scope': ['SignatureDoesNotMatch', 403],
};
const jsonCodes: Record<RefusalKind, ErrorCode> = {
  missing: ['MissingAuthenticationTokenException', 400],
  incomplete: ['IncompleteSignatureException', 400],
  'unknown-key': ['UnrecognizedClientException', 400],
  'expired-token': ['ExpiredTokenException', 400],
  late: ['InvalidSignatureException', 400],
  mismatch: ['InvalidSignatureException', 400],
  'wrong-scope': ['InvalidSignatureException', 400],
};
const ec2Codes: Record<RefusalKind, ErrorCode> = {
  missing: ['AuthFailure', 401],
  incomplete: ['IncompleteSignature', 400],
  'unknown-key': ['AuthFailure', 401],
  'expired-token': ['RequestExpired', 400],
  late: ['RequestExpired', 400],
  mismatch: ['AuthFailure', 401],
  'wrong-scope': ['AuthFailure', 401],
};

/** The refusal as a service of this kind words it: IAM and STS (`query`), EC2 (`ec2`), SSM and identity store (`json`). */
export const signatureError = (refusal: SignatureRefusal, dialect: 'query' | 'ec2' | 'json'): AwsError => {
  const [code, status] = { query: queryCodes, ec2: ec2Codes, json: jsonCodes }[dialect][refusal.kind];
  const message =
    dialect !== 'ec2'
      ? refusal.message
      : code === 'RequestExpired'
        ? 'Request has expired.'
        : 'AWS was not able to validate the provided access credentials';
  return new AwsError(code, message, status);
};
