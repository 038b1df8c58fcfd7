/** Signing in by a code: only where an admin allows it, and the page to confirm it on is AWS's. */
import { once } from 'node:events';
import http from 'node:http';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { SignInState } from '../shared/desktop.ts';
import { createSignIn } from './sign-in.ts';
import { checkedDevicePage } from './start-url.ts';

const organisation = {
  backendUrl: 'https://curfew.harborline.example',
  startUrl: 'https://harborline.awsapps.com/start',
  ssoRegion: 'eu-central-1',
};

let server: http.Server;
let origin = '';
/** What was asked of Identity Center so far. */
let asked: string[] = [];
/** The page that it names. */
let page = '';
beforeEach(async () => {
  asked = [];
  const answers: Record<string, () => object> = {
    '/client/register': () => ({ clientId: 'c', clientSecret: 's', clientSecretExpiresAt: 4_000_000_000 }),
    '/device_authorization': () => ({
      deviceCode: 'd',
      userCode: 'ABCD-EFGH',
      verificationUri: page,
      verificationUriComplete: page,
      expiresIn: 600,
      interval: 1,
    }),
  };
  server = http.createServer((request, response) => {
    asked.push(request.url ?? '');
    request.resume();
    response.setHeader('content-type', 'application/json');
    response.end(JSON.stringify(answers[request.url ?? '']?.() ?? {}));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  origin = `http://127.0.0.1:${typeof address === 'object' && address !== null ? address.port : 0}`;
  vi.stubEnv('AWS_ENDPOINT_URL_SSO_OIDC', origin);
});
afterEach(async () => {
  vi.unstubAllEnvs();
  server.closeAllConnections();
  server.close();
  await once(server, 'close');
});

/** Begins a sign-in by code; `state` once it stands still: at the code, or failed. */
const begin = async (deviceCodeAllowed: boolean): Promise<{ state: SignInState; opened: string[] }> => {
  const opened: string[] = [];
  const never = (): Promise<never> => Promise.reject(new Error('not in this test'));
  const signIn = createSignIn({
    organisation,
    backend: {
      info: async () => ({
        organisationName: 'Harborline',
        version: '0',
        serverTime: new Date().toISOString(),
        signInWith: 'identity-center',
        requesterPermissionSet: 'CurfewUser',
        signInAccounts: ['111122223333'],
        stsRegion: 'eu-central-1',
        deviceCodeAllowed,
      }),
      nonce: never,
      prove: never,
      signOut: never,
    },
    vault: { persists: false, get: () => null, put: () => undefined, delete: () => undefined },
    openExternal: async (url) => void opened.push(url),
    notAws: [],
    now: () => new Date(),
    // Nobody confirms it here.
    pause: () => new Promise(() => undefined),
  });
  const settled = new Promise<SignInState>((resolve) => {
    signIn.onChange(() => {
      const state = signIn.state();
      if (state.state === 'device-code' || state.state === 'failed') resolve(state);
    });
  });
  await signIn.start({ how: 'device-code' });
  const state = await settled;
  // It opens the page after it has shown the code.
  if (state.state === 'device-code') await vi.waitFor(() => expect(opened).toHaveLength(1), 20_000);
  signIn.cancel();
  return { state, opened };
};

test('APP-03 where no admin allows codes none is asked for', async () => {
  page = 'https://harborline.awsapps.com/start/#/device?user_code=ABCD-EFGH';
  const { state, opened } = await begin(false);
  expect(state).toMatchObject({ state: 'failed', failure: { kind: 'refusal', code: 'not_allowed' } });
  expect([asked, opened]).toEqual([[], []]);
});

test('APP-03 where it is allowed the code is shown with the organisation’s host, and AWS’s page is opened', async () => {
  page = 'https://harborline.awsapps.com/start/#/device?user_code=ABCD-EFGH';
  const { state, opened } = await begin(true);
  expect(state).toMatchObject({ state: 'device-code', userCode: 'ABCD-EFGH', host: 'harborline.awsapps.com' });
  expect(opened).toEqual([page]);
});

test('APP-03 APP-04 a page elsewhere is neither opened nor is its code shown', async () => {
  page = 'https://device.sso.eu-central-1.amazonaws.com.evil.example/?user_code=ABCD-EFGH';
  const { state, opened } = await begin(true);
  expect(state).toMatchObject({ state: 'failed', failure: { kind: 'refusal', code: 'proof_refused' } });
  expect(opened).toEqual([]);
});

describe('pages to confirm a code on', () => {
  const aws = 'https://oidc.eu-central-1.amazonaws.com';
  test.each([
    'https://device.sso.eu-central-1.amazonaws.com/?user_code=ABCD-EFGH',
    'https://device.sso.cn-north-1.amazonaws.com.cn/?user_code=ABCD-EFGH',
    'https://harborline.awsapps.com/start/#/device?user_code=ABCD-EFGH',
    'https://oidc.eu-central-1.amazonaws.com/device',
  ])('APP-03 %s is AWS’s', (url) => {
    expect(checkedDevicePage(url, aws)).toBe(url);
  });

  test('APP-03 a stand-in’s own page is where the stand-in is', () => {
    expect(checkedDevicePage('http://127.0.0.1:4566/device?user_code=A', 'http://127.0.0.1:4566')).toContain('4566');
    expect(() => checkedDevicePage('http://127.0.0.1:4567/device', 'http://127.0.0.1:4566')).toThrow('proof_refused');
  });

  test.each([
    'http://device.sso.eu-central-1.amazonaws.com/',
    'https://device.sso.eu-central-1.amazonaws.com:8443/',
    'https://user@device.sso.eu-central-1.amazonaws.com/',
    'https://evil.s3.amazonaws.com/device',
    'https://device.sso.evil.amazonaws.com/',
    'https://xdevice.sso.eu-central-1.amazonaws.com/',
    'https://harborline.awsapps.com.evil.example/',
    'https://user@oidc.eu-central-1.amazonaws.com/device',
    'javascript:alert(1)',
    'file:///etc/passwd',
    '',
  ])('APP-03 %s is not', (url) => {
    expect(() => checkedDevicePage(url, aws)).toThrow('proof_refused');
  });
});
