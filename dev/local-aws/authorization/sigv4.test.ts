import { Sha256 } from '@aws-crypto/sha256-js';
import { HttpRequest } from '@smithy/protocol-http';
import { SignatureV4 } from '@smithy/signature-v4';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { AwsRequest } from '../service.ts';
import { callerOfUser } from './caller.ts';
import { createCredentialStore } from './credential-store.ts';
import { SignatureRefusal, verifySignature } from './sigv4.ts';

const now = new Date('2026-11-22T10:00:00Z');
const host = 'ssm.eu-central-1.amazonaws.com';
const caller = callerOfUser({ accountId: '111122223333', name: 'mira', path: '/', id: 'AIDAMIRA', tags: {} });
const key = { accessKeyId: 'AKIAMIRAMIRAMIRAMIRA', secretAccessKey: 'a secret with / and + in it' };

const store = createCredentialStore({ now: () => now });
store.addUserKey({ ...key, caller });
const session = store.mint({ caller, expiresAt: new Date(now.getTime() + 900_000) });
const sessionKey = {
  accessKeyId: session.accessKeyId,
  secretAccessKey: session.secretAccessKey,
  sessionToken: session.sessionToken,
};

const signerOf = (credentials: typeof key, service = 'ssm', region = 'eu-central-1') =>
  new SignatureV4({ credentials, region, service, sha256: Sha256, applyChecksum: false });

type Parts = {
  method: string;
  path: string;
  query: Record<string, string | string[]>;
  headers: Record<string, string>;
  body: string;
};
const httpRequest = (parts: Parts): HttpRequest =>
  new HttpRequest({ protocol: 'https:', hostname: host, ...parts, headers: { ...parts.headers, host } });

/** As the server would have read it from the wire. */
const received = (signed: { headers: Record<string, string> }, parts: Parts, at = now): AwsRequest => ({
  method: parts.method,
  path: parts.path,
  query: new URLSearchParams(
    Object.entries(parts.query).flatMap(([name, value]) =>
      (typeof value === 'string' ? [value] : value).map((one): [string, string] => [name, one]),
    ),
  ),
  headers: Object.fromEntries(Object.entries(signed.headers).map(([name, value]) => [name.toLowerCase(), value])),
  body: Buffer.from(parts.body),
  now: at,
});

const kindOf = (request: AwsRequest): string => {
  try {
    verifySignature(request, store);
    return 'verified';
  } catch (error) {
    if (error instanceof SignatureRefusal) return error.kind;
    throw error;
  }
};

const visible = fc.stringMatching(/^[ -~]{0,20}$/);
const word = fc.stringMatching(/^[a-z0-9-]{1,12}$/);
const requests = fc.record({
  method: fc.constantFrom('GET', 'POST', 'PUT'),
  path: fc
    .array(fc.stringMatching(/^[A-Za-z0-9_.~-]{1,10}$/).filter((part) => !/^\.+$/.test(part)))
    .map((parts) => `/${parts.join('/')}`),
  query: fc.dictionary(
    word,
    fc.oneof(fc.string({ unit: 'grapheme' }), fc.array(visible, { minLength: 1, maxLength: 3 })),
    { maxKeys: 4 },
  ),
  headers: fc.dictionary(
    word.map((name) => `x-amz-meta-${name}`),
    visible.map((text) => text.trim()),
    { maxKeys: 3 },
  ),
  body: fc.string({ unit: 'grapheme' }),
});

describe('signatures', () => {
  test('whatever the official signer signs is verified, and any change of it is noticed', async () => {
    await fc.assert(
      fc.asyncProperty(requests, fc.constantFrom(key, sessionKey), async (parts, credentials) => {
        const signed = await signerOf(credentials).sign(httpRequest(parts), { signingDate: now });
        const whole = received(signed, parts);
        expect(verifySignature(whole, store)).toMatchObject({
          caller: { arn: caller.arn },
          service: 'ssm',
          region: 'eu-central-1',
        });
        expect(kindOf({ ...whole, body: Buffer.from(`${parts.body}.`) })).toBe('mismatch');
        expect(kindOf({ ...whole, path: `${whole.path}x` })).toBe('mismatch');
        expect(kindOf({ ...whole, method: 'DELETE' })).toBe('mismatch');
        const query = new URLSearchParams([...whole.query, ['added', '1']]);
        expect(kindOf({ ...whole, query })).toBe('mismatch');
        for (const name of Object.keys(parts.headers)) {
          const headers = { ...whole.headers, [name]: `${whole.headers[name]}x` };
          expect(kindOf({ ...whole, headers })).toBe('mismatch');
        }
      }),
      { numRuns: 150 },
    );
  });

  test('a presigned request is verified, for as long as it says', async () => {
    const parts: Parts = { method: 'GET', path: '/', query: { Action: 'GetCallerIdentity' }, headers: {}, body: '' };
    const presigned = await signerOf(sessionKey).presign(httpRequest(parts), { signingDate: now, expiresIn: 60 });
    const query = Object.fromEntries(
      Object.entries(presigned.query ?? {}).flatMap(([name, value]) => (value === null ? [] : [[name, value]])),
    );
    const at = (seconds: number) =>
      kindOf(received(presigned, { ...parts, query }, new Date(now.getTime() + seconds * 1000)));
    expect(at(0)).toBe('verified');
    expect(at(60)).toBe('verified');
    expect(at(61)).toBe('late');
    expect(kindOf(received(presigned, { ...parts, query: { ...query, Action: 'AssumeRole' } }))).toBe('mismatch');
  });

  test('a date can not be moved into another day of the scope', async () => {
    const parts: Parts = { method: 'POST', path: '/', query: {}, headers: {}, body: '' };
    const signed = await signerOf(key).sign(httpRequest(parts), { signingDate: now });
    const whole = received(signed, parts);
    expect(kindOf({ ...whole, headers: { ...whole.headers, 'x-amz-date': '20261123T100000Z' } })).toBe('incomplete');
    expect(kindOf({ ...whole, headers: { ...whole.headers, 'x-amz-date': '20261122T100001Z' } })).toBe('mismatch');
    expect(kindOf({ ...whole, headers: { ...whole.headers, 'x-amz-date': 'soon' } })).toBe('incomplete');
  });

  test('a token must be the one of the session, a user key has none', async () => {
    const parts: Parts = { method: 'POST', path: '/', query: {}, headers: {}, body: '' };
    const signed = await signerOf(sessionKey).sign(httpRequest(parts), { signingDate: now });
    const { 'x-amz-security-token': token, ...without } = received(signed, parts).headers;
    expect(kindOf({ ...received(signed, parts), headers: without })).toBe('unknown-key');
    const headers = { ...without, 'x-amz-security-token': `${token}x` };
    expect(kindOf({ ...received(signed, parts), headers })).toBe('unknown-key');
  });

  test.each([
    ['Basic dXNlcjpwYXNz', 'incomplete'],
    ['AWS4-HMAC-SHA256', 'incomplete'],
    ['AWS4-HMAC-SHA256 Credential=AKIA/20261122/eu-central-1/ssm, SignedHeaders=host, Signature=00', 'incomplete'],
    ['AWS4-HMAC-SHA256 Credential=AKIA/20261122/eu-central-1/ssm/aws4_request, SignedHeaders=host', 'incomplete'],
    [
      `AWS4-HMAC-SHA256 Credential=${key.accessKeyId}/20261122/eu-central-1/ssm/aws4_request, SignedHeaders=x-amz-date, Signature=00`,
      'mismatch',
    ],
    [
      `AWS4-HMAC-SHA256 Credential=${key.accessKeyId}/20261122/eu-west-1/ssm/aws4_request, SignedHeaders=host, Signature=00`,
      'wrong-scope',
    ],
  ])('%s is %s', (authorization, kind) => {
    const headers = { host, authorization, 'x-amz-date': '20261122T100000Z' };
    const request = { method: 'POST', path: '/', query: new URLSearchParams(), headers, body: Buffer.alloc(0), now };
    expect(kindOf(request)).toBe(kind);
  });
});

describe('the credential store', () => {
  test('keeps expired credentials for a day, so that they are told as expired, then forgets them', () => {
    const clock = { at: now };
    const kept = createCredentialStore({ now: () => clock.at });
    const old = kept.mint({ caller, expiresAt: new Date(now.getTime() + 1000) });
    clock.at = new Date(now.getTime() + 23 * 3_600_000);
    kept.mint({ caller, expiresAt: clock.at });
    expect(kept.find(old.accessKeyId)).toBeDefined();
    clock.at = new Date(now.getTime() + 25 * 3_600_000);
    kept.mint({ caller, expiresAt: clock.at });
    expect(kept.find(old.accessKeyId)).toBeUndefined();
  });

  test('a snapshot has no long-lived key and refuses to be read when it is something else', () => {
    expect(JSON.stringify(store.snapshot())).not.toContain(key.secretAccessKey);
    expect(() => createCredentialStore({ now: () => now }).restore([{ accessKeyId: 'x' }])).toThrow();
  });
});
