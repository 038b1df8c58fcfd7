import { createHash, randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import path from 'node:path';
import {
  GetRoleCredentialsCommand,
  ListAccountRolesCommand,
  ListAccountsCommand,
  LogoutCommand,
  SSOClient,
} from '@aws-sdk/client-sso';
import {
  CreateTokenCommand,
  RegisterClientCommand,
  SSOOIDCClient,
  StartDeviceAuthorizationCommand,
} from '@aws-sdk/client-sso-oidc';
import { GetCallerIdentityCommand, STSClient } from '@aws-sdk/client-sts';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type LocalAws, startLocalAws } from '../start.ts';

const worldFile = path.join(import.meta.dirname, '../world.yml');
const folder = mkdtempSync(path.join(tmpdir(), 'local-aws-sign-in-'));
const region = 'eu-central-1';
const mira = 'mira.okafor@harborline.example';
const startUrl = 'https://harborline.awsapps.com/start';
const redirectUri = 'http://127.0.0.1:49152/oauth/callback';
const deviceGrant = 'urn:ietf:params:oauth:grant-type:device_code';

let aws: LocalAws;
let clock = new Date('2026-11-22T10:00:00.000Z');
let oidc: SSOOIDCClient;
let portal: SSOClient;

const start = () =>
  startLocalAws({
    worldFile,
    stateFile: path.join(folder, 'state.json'),
    port: 0,
    runFolder: path.join(folder, 'run'),
    now: () => clock,
  });
const connect = () => {
  oidc = new SSOOIDCClient({ region, endpoint: aws.endpoint, maxAttempts: 1 });
  portal = new SSOClient({ region, endpoint: aws.endpoint, maxAttempts: 1 });
};

beforeAll(async () => {
  aws = await start();
  connect();
});
afterAll(async () => {
  await aws.close();
  rmSync(folder, { recursive: true, force: true });
});

const later = (seconds: number) => {
  clock = new Date(clock.getTime() + seconds * 1000);
};

const register = async (grantTypes: string[]) => {
  const { clientId = '', clientSecret = '' } = await oidc.send(
    new RegisterClientCommand({
      clientName: 'Curfew',
      clientType: 'public',
      scopes: ['sso:account:access'],
      grantTypes,
      ...(grantTypes.includes('authorization_code')
        ? { redirectUris: ['http://127.0.0.1/oauth/callback'], issuerUrl: startUrl }
        : {}),
    }),
  );
  return { clientId, clientSecret };
};

const authorizeFields = (clientId: string, verifier: string, changed: Record<string, string> = {}) =>
  new URLSearchParams({
    response_type: 'code',
    client_id: clientId,
    redirect_uri: redirectUri,
    state: 'a state',
    code_challenge_method: 'S256',
    scopes: 'sso:account:access',
    code_challenge: createHash('sha256').update(verifier).digest('base64url'),
    ...changed,
  });

/** What a person does on the page, without a browser. */
const answerPage = (
  fields: URLSearchParams,
  userName: string,
  decision = 'allow',
  headers: Record<string, string> = {},
) => {
  const form = new URLSearchParams([...fields, ['user_name', userName], ['decision', decision]]);
  return fetch(`${aws.endpoint}/authorize`, { method: 'POST', body: form, redirect: 'manual', headers });
};
const sentBack = (response: Response) => new URL(response.headers.get('location') ?? 'about:blank').searchParams;

const signIn = async (userName = mira) => {
  const client = await register(['authorization_code', 'refresh_token']);
  const codeVerifier = randomBytes(48).toString('base64url');
  const code = sentBack(await answerPage(authorizeFields(client.clientId, codeVerifier), userName)).get('code') ?? '';
  const token = await oidc.send(
    new CreateTokenCommand({ ...client, grantType: 'authorization_code', code, redirectUri, codeVerifier }),
  );
  return { client, code, codeVerifier, token };
};
const nameOf = (promise: Promise<unknown>) =>
  promise.then(
    () => 'answered',
    (error: Error) => error.name,
  );

describe('authorization code with PKCE', () => {
  it('signs a person in, whose role credentials say who they are', async () => {
    const { token } = await signIn();
    expect(token.tokenType).toBe('Bearer');
    expect(token.expiresIn).toBe(3600);
    const { accessToken } = token;
    const { accountList = [] } = await portal.send(new ListAccountsCommand({ accessToken }));
    expect(accountList.map((one) => [one.accountId, one.accountName])).toEqual([
      ['482011773306', 'payments-prod'],
      ['739164205518', 'payments-dev'],
    ]);
    const { roleList } = await portal.send(new ListAccountRolesCommand({ accessToken, accountId: '482011773306' }));
    expect(roleList).toEqual([{ roleName: 'CurfewUser', accountId: '482011773306' }]);
    const { roleCredentials } = await portal.send(
      new GetRoleCredentialsCommand({ accessToken, accountId: '482011773306', roleName: 'CurfewUser' }),
    );
    expect(roleCredentials?.expiration).toBe(clock.getTime() + 8 * 3600 * 1000);
    const role = aws.control.role({ account: '482011773306', name: 'AWSReservedSSO_CurfewUser_4be1c07a92d3f658' });
    const sts = new STSClient({
      region,
      endpoint: aws.endpoint,
      systemClockOffset: clock.getTime() - Date.now(),
      credentials: {
        accessKeyId: roleCredentials?.accessKeyId ?? '',
        secretAccessKey: roleCredentials?.secretAccessKey ?? '',
        sessionToken: roleCredentials?.sessionToken ?? '',
      },
    });
    const identity = await sts.send(new GetCallerIdentityCommand({}));
    expect(identity.Arn).toBe(
      `arn:aws:sts::482011773306:assumed-role/AWSReservedSSO_CurfewUser_4be1c07a92d3f658/${mira}`,
    );
    expect(identity.UserId).toBe(`${role.roleId}:${mira}`);
  });

  it('takes a code once, only with its verifier and its exact redirect URI', async () => {
    const used = await signIn();
    const again = {
      ...used.client,
      grantType: 'authorization_code',
      code: used.code,
      redirectUri,
      codeVerifier: used.codeVerifier,
    };
    expect(await nameOf(oidc.send(new CreateTokenCommand(again)))).toBe('InvalidGrantException');

    for (const wrong of [{ codeVerifier: 'x'.repeat(64) }, { redirectUri: 'http://127.0.0.1:1/oauth/callback' }]) {
      const client = await register(['authorization_code', 'refresh_token']);
      const codeVerifier = randomBytes(48).toString('base64url');
      const code = sentBack(await answerPage(authorizeFields(client.clientId, codeVerifier), mira)).get('code') ?? '';
      expect(code).not.toBe('');
      const request = { ...client, grantType: 'authorization_code', code, redirectUri, codeVerifier, ...wrong };
      expect(await nameOf(oidc.send(new CreateTokenCommand(request)))).toBe('InvalidGrantException');
    }
  });

  it('shows a page that names the client and every person, and escapes what the client sent', async () => {
    const { clientId } = await register(['authorization_code']);
    const fields = authorizeFields(clientId, 'v', { state: '"><script>alert(1)</script>' });
    const response = await fetch(`${aws.endpoint}/authorize?${fields}`);
    const html = await response.text();
    expect(response.headers.get('content-security-policy')).toContain("default-src 'none'");
    expect(html).toContain('local-aws');
    expect(html).toContain('“Curfew”');
    for (const person of aws.world.people) expect(html).toContain(person.displayName);
    expect(html).not.toContain('<script');
  });

  it('never sends anything to an address that was not registered', async () => {
    const { clientId } = await register(['authorization_code']);
    const elsewhere = [
      'http://127.0.0.1:49152/other',
      'http://evil.example/oauth/callback',
      'http://127.0.0.1.evil.example/oauth/callback',
      'https://127.0.0.1/oauth/callback',
      'http://user@127.0.0.1/oauth/callback',
    ];
    for (const address of elsewhere) {
      const response = await answerPage(authorizeFields(clientId, 'v', { redirect_uri: address }), mira);
      expect([response.status, response.headers.get('location')]).toEqual([400, null]);
    }
  });

  it('tells the client of a denial, of a missing challenge, and with its state', async () => {
    const { clientId } = await register(['authorization_code']);
    const denied = sentBack(await answerPage(authorizeFields(clientId, 'v'), mira, 'deny'));
    expect([denied.get('error'), denied.get('state')]).toEqual(['access_denied', 'a state']);
    const plain = sentBack(await answerPage(authorizeFields(clientId, 'v', { code_challenge_method: 'plain' }), mira));
    expect(plain.get('error')).toBe('invalid_request');
  });

  it('lets nobody in who is disabled or unknown, and no other site press the button', async () => {
    const { clientId } = await register(['authorization_code']);
    const fields = authorizeFields(clientId, 'v');
    expect((await answerPage(fields, 'piet.okonkwo@harborline.example')).status).toBe(403);
    expect((await answerPage(fields, 'nobody@harborline.example')).status).toBe(403);
    expect((await answerPage(fields, mira, 'allow', { origin: 'https://evil.example' })).status).toBe(403);
    expect((await answerPage(fields, mira, 'allow', { origin: aws.endpoint })).status).toBe(302);
  });

  it('answers no name that a web page had rebound to this machine', async () => {
    const askAs = (host: string, method: string, where: string): Promise<number> =>
      new Promise((resolve, reject) => {
        const sent = request(`${aws.endpoint}${where}`, { method, headers: { host } }, (response) => {
          response.resume();
          resolve(response.statusCode ?? 0);
        });
        sent.once('error', reject);
        sent.end();
      });
    const { port } = new URL(aws.endpoint);
    expect(await askAs(`evil.example:${port}`, 'POST', '/client/register')).toBe(403);
    expect(await askAs(`evil.example:${port}`, 'GET', '/authorize')).toBe(403);
    expect(await askAs(`evil.example:${port}`, 'POST', '/_control/world')).toBe(403);
    expect(await askAs('oidc.eu-central-1.amazonaws.com', 'POST', '/client/register')).toBe(400);
  });

  it('refuses registrations that AWS refuses', async () => {
    const good = {
      clientName: 'x',
      clientType: 'public',
      grantTypes: ['authorization_code'],
      redirectUris: ['http://127.0.0.1/cb'],
      issuerUrl: startUrl,
    };
    const bad: Array<[Partial<typeof good & { scopes: string[] }>, string]> = [
      [{ clientType: 'confidential' }, 'InvalidClientMetadataException'],
      [{ redirectUris: ['https://example.com/cb'] }, 'InvalidRedirectUriException'],
      [{ scopes: ['everything'] }, 'InvalidScopeException'],
      [{ issuerUrl: 'https://other.awsapps.com/start' }, 'InvalidRequestException'],
      [{ grantTypes: ['password'] }, 'UnsupportedGrantTypeException'],
    ];
    for (const [change, name] of bad) {
      expect(await nameOf(oidc.send(new RegisterClientCommand({ ...good, ...change })))).toBe(name);
    }
  });
});

describe('refreshing', () => {
  it('gives new tokens until the portal session ends, and the used token is dead', async () => {
    const { client, token } = await signIn();
    const first = { ...client, grantType: 'refresh_token', refreshToken: token.refreshToken };
    const renewed = await oidc.send(new CreateTokenCommand(first));
    expect(renewed.accessToken).not.toBe(token.accessToken);
    expect(await nameOf(oidc.send(new CreateTokenCommand(first)))).toBe('InvalidGrantException');
    later(8 * 3600);
    const second = { ...client, grantType: 'refresh_token', refreshToken: renewed.refreshToken };
    expect(await nameOf(oidc.send(new CreateTokenCommand(second)))).toBe('InvalidGrantException');
  });

  it('knows an access token for its hour only, and a client for 90 days', async () => {
    const { client, token } = await signIn();
    later(3601);
    expect(await nameOf(portal.send(new ListAccountsCommand({ accessToken: token.accessToken })))).toBe(
      'UnauthorizedException',
    );
    later(90 * 24 * 3600);
    const refresh = new CreateTokenCommand({ ...client, grantType: 'refresh_token', refreshToken: token.refreshToken });
    await expect(oidc.send(refresh)).rejects.toMatchObject({ name: 'InvalidClientException', error: 'invalid_client' });
  });

  it('survives a restart: client, portal session and credentials are found again', async () => {
    const { client, token } = await signIn();
    await aws.close();
    aws = await start();
    connect();
    await portal.send(new ListAccountsCommand({ accessToken: token.accessToken }));
    const renewed = await oidc.send(
      new CreateTokenCommand({ ...client, grantType: 'refresh_token', refreshToken: token.refreshToken }),
    );
    expect(renewed.accessToken).toBeDefined();
  });
});

describe('device code', () => {
  const poll = (client: { clientId: string; clientSecret: string }, deviceCode: string | undefined) =>
    oidc.send(new CreateTokenCommand({ ...client, grantType: deviceGrant, deviceCode }));
  const begin = async () => {
    const client = await register([deviceGrant, 'refresh_token']);
    const device = await oidc.send(new StartDeviceAuthorizationCommand({ ...client, startUrl }));
    return { client, device };
  };
  const answer = (userCode: string | undefined, decision: string) =>
    fetch(`${aws.endpoint}/device`, {
      method: 'POST',
      body: new URLSearchParams({ user_code: userCode ?? '', user_name: mira, decision }),
    });

  it('waits, slows a hasty client down, then gives the token once', async () => {
    const { client, device } = await begin();
    expect(device.verificationUriComplete).toBe(`${aws.endpoint}/device?user_code=${device.userCode}`);
    await expect(poll(client, device.deviceCode)).rejects.toMatchObject({
      name: 'AuthorizationPendingException',
      error: 'authorization_pending',
    });
    expect(await nameOf(poll(client, device.deviceCode))).toBe('SlowDownException');
    expect((await answer(device.userCode, 'allow')).status).toBe(200);
    later(10);
    const token = await poll(client, device.deviceCode);
    expect(token.refreshToken).toBeDefined();
    expect(await nameOf(poll(client, device.deviceCode))).toBe('InvalidGrantException');
  });

  it('tells a denial and an expiry, and takes no foreign start URL', async () => {
    const denied = await begin();
    await answer(denied.device.userCode, 'deny');
    expect(await nameOf(poll(denied.client, denied.device.deviceCode))).toBe('AccessDeniedException');
    const late = await begin();
    later(601);
    expect(await nameOf(poll(late.client, late.device.deviceCode))).toBe('ExpiredTokenException');
    const foreign = new StartDeviceAuthorizationCommand({ ...late.client, startUrl: 'https://evil.awsapps.com/start' });
    expect(await nameOf(oidc.send(foreign))).toBe('InvalidRequestException');
  });
});

describe('portal', () => {
  it('gives only assigned roles, pages, and ends with Logout', async () => {
    const { token } = await signIn('tomas.herrera@harborline.example');
    const { accessToken } = token;
    const first = await portal.send(
      new ListAccountRolesCommand({ accessToken, accountId: '739164205518', maxResults: 1 }),
    );
    const second = await portal.send(
      new ListAccountRolesCommand({
        accessToken,
        accountId: '739164205518',
        maxResults: 1,
        nextToken: first.nextToken,
      }),
    );
    expect([first.roleList?.[0]?.roleName, second.roleList?.[0]?.roleName, second.nextToken]).toEqual([
      'CurfewUser',
      'ReadOnly',
      undefined,
    ]);
    const other = new GetRoleCredentialsCommand({ accessToken, accountId: '482011773306', roleName: 'Admin' });
    await expect(portal.send(other)).rejects.toMatchObject({ name: 'ForbiddenException' });
    await portal.send(new LogoutCommand({ accessToken }));
    expect(await nameOf(portal.send(new ListAccountsCommand({ accessToken })))).toBe('UnauthorizedException');
  });

  it('shows nothing to somebody without an assignment, and stops for a disabled person at once', async () => {
    const sanna = await signIn('sanna.virtanen@harborline.example');
    expect((await portal.send(new ListAccountsCommand({ accessToken: sanna.token.accessToken }))).accountList).toEqual(
      [],
    );
    const elin = await signIn('elin.strand@harborline.example');
    aws.control.changePerson({ userName: 'elin.strand@harborline.example', enabled: false });
    expect(await nameOf(portal.send(new ListAccountsCommand({ accessToken: elin.token.accessToken })))).toBe(
      'UnauthorizedException',
    );
  });
});
