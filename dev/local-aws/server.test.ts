import { once } from 'node:events';
import { request as httpRequest } from 'node:http';
import { connect } from 'node:net';
import { Sha256 } from '@aws-crypto/sha256-js';
import { DescribeInstancesCommand, EC2Client } from '@aws-sdk/client-ec2';
import { GetRoleCommand, IAMClient, ListRolesCommand } from '@aws-sdk/client-iam';
import { IdentitystoreClient, ListUsersCommand } from '@aws-sdk/client-identitystore';
import { AssumeRoleCommand, GetCallerIdentityCommand, STSClient } from '@aws-sdk/client-sts';
import { HttpRequest } from '@smithy/protocol-http';
import { SignatureV4 } from '@smithy/signature-v4';
import { afterEach, describe, expect, test } from 'vitest';
import { AwsError, type AwsRequest } from './service.ts';
import { failure } from './testing/failure.ts';
import { adminKeys, clientOf, prod, type SmallAws, startSmallAws } from './testing/small-aws.ts';

const running: SmallAws[] = [];
const start = async (options?: Parameters<typeof startSmallAws>[0]): Promise<SmallAws> => {
  const aws = await startSmallAws(options);
  running.push(aws);
  return aws;
};
afterEach(async () => {
  await Promise.all(running.splice(0).map((aws) => aws.close()));
});

type Raw = { status: number; headers: Record<string, unknown>; body: string };
const send = (endpoint: string, signed: { headers: Record<string, string>; body: string }): Promise<Raw> =>
  new Promise((resolve, reject) => {
    const call = httpRequest(endpoint, { method: 'POST', headers: signed.headers }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('end', () =>
        resolve({
          status: response.statusCode ?? 0,
          headers: response.headers,
          body: Buffer.concat(chunks).toString('utf8'),
        }),
      );
    });
    call.on('error', reject);
    call.end(signed.body);
  });

const identityBody = 'Action=GetCallerIdentity&Version=2011-06-15';
/** GetCallerIdentity signed by hand for a real host, as the identity proof does it. */
const signIdentityCall = async (
  options: { region?: string; host?: string; extra?: Record<string, string>; at?: Date; secret?: string } = {},
) => {
  const region = options.region ?? 'eu-west-1';
  const signer = new SignatureV4({
    credentials: { ...adminKeys, secretAccessKey: options.secret ?? adminKeys.secretAccessKey },
    region,
    service: 'sts',
    sha256: Sha256,
    applyChecksum: false,
  });
  const host = options.host ?? `sts.${region}.amazonaws.com`;
  const signed = await signer.sign(
    new HttpRequest({
      method: 'POST',
      protocol: 'https:',
      hostname: host,
      path: '/',
      headers: {
        host,
        accept: 'application/json',
        'content-type': 'application/x-www-form-urlencoded; charset=utf-8',
        ...options.extra,
      },
      body: identityBody,
    }),
    {
      signableHeaders: new Set(['accept', ...Object.keys(options.extra ?? {})]),
      ...(options.at ? { signingDate: options.at } : {}),
    },
  );
  return { headers: signed.headers, body: identityBody };
};

describe('who is asking', () => {
  test('tells a user by the SDK, without any permission asked', async () => {
    const aws = await start();
    const nobody = aws.addUser('nobody', {
      Version: '2012-10-17',
      Statement: [{ Effect: 'Deny', Action: '*', Resource: '*' }],
    });
    const answer = await new STSClient(clientOf(aws, nobody)).send(new GetCallerIdentityCommand({}));
    expect(answer).toMatchObject({ Account: prod, Arn: `arn:aws:iam::${prod}:user/nobody` });
    expect(answer.UserId).toMatch(/^AIDA[A-Z2-7]{17}$/);
  });

  test('answers JSON when asked, for a host signed other than the socket goes to', async () => {
    const aws = await start();
    const answer = await send(aws.endpoint, await signIdentityCall({ extra: { 'x-curfew-nonce': 'n1' } }));
    expect(answer.status).toBe(200);
    expect(JSON.parse(answer.body)).toMatchObject({
      GetCallerIdentityResponse: {
        GetCallerIdentityResult: { Account: prod, Arn: `arn:aws:iam::${prod}:user/admin` },
        ResponseMetadata: { RequestId: answer.headers['x-amzn-requestid'] },
      },
    });
  });

  test('ID-01 a signed header that was changed on the way is noticed', async () => {
    const aws = await start();
    const signed = await signIdentityCall({ extra: { 'x-curfew-nonce': 'n1' } });
    const answer = await send(aws.endpoint, { ...signed, headers: { ...signed.headers, 'x-curfew-nonce': 'n2' } });
    expect(answer.status).toBe(403);
    expect(JSON.parse(answer.body)).toMatchObject({ Error: { Code: 'SignatureDoesNotMatch', Type: 'Sender' } });
  });

  test('a changed body is noticed, and so is a signature for another region or service', async () => {
    const aws = await start();
    const signed = await signIdentityCall();
    const changed = await send(aws.endpoint, { ...signed, body: 'Action=GetCallerIdentity&Version=2011-06-1X' });
    expect(JSON.parse(changed.body).Error.Code).toBe('SignatureDoesNotMatch');
    const elsewhere = await signIdentityCall({ region: 'eu-west-1', host: 'sts.eu-central-1.amazonaws.com' });
    expect(JSON.parse((await send(aws.endpoint, elsewhere)).body).Error).toMatchObject({
      Code: 'SignatureDoesNotMatch',
      Message: 'Credential should be scoped to a valid region.',
    });
  });

  test.each([
    [-14, 200],
    [-16, 403],
    [14, 200],
    [16, 403],
  ])('a signature dated %d minutes from now is answered %d', async (minutes, status) => {
    const aws = await start();
    const at = new Date(Date.now() + minutes * 60_000);
    const answer = await send(aws.endpoint, await signIdentityCall({ at }));
    expect(answer.status).toBe(status);
    if (status === 403) expect(answer.body).toMatch(/Signature (expired|not yet current)/);
  });

  test('wrong secret, unknown key, wrong token and no signature at all have the names of each protocol', async () => {
    const aws = await start();
    const wrong = { ...adminKeys, secretAccessKey: 'not the secret' };
    const unknown = { accessKeyId: 'AKIANOBODYNOBODYNOBO', secretAccessKey: 'x' };
    const session = { ...adminKeys, sessionToken: 'a token that was never given' };
    const iam = (keys: typeof wrong) => failure(new IAMClient(clientOf(aws, keys)).send(new ListRolesCommand({})));
    const ec2 = (keys: typeof wrong) =>
      failure(new EC2Client(clientOf(aws, keys)).send(new DescribeInstancesCommand({})));
    const store = (keys: typeof wrong) =>
      failure(
        new IdentitystoreClient(clientOf(aws, keys)).send(new ListUsersCommand({ IdentityStoreId: 'd-9067f4a2c1' })),
      );
    expect(await iam(wrong)).toMatchObject({ name: 'SignatureDoesNotMatch', status: 403 });
    expect(await iam(unknown)).toMatchObject({ name: 'InvalidClientTokenId', status: 403 });
    expect(await iam(session)).toMatchObject({ name: 'InvalidClientTokenId', status: 403 });
    expect(await ec2(wrong)).toMatchObject({ name: 'AuthFailure', status: 401 });
    expect(await store(wrong)).toMatchObject({ name: 'InvalidSignatureException', status: 400 });
    expect(await store(unknown)).toMatchObject({ name: 'UnrecognizedClientException', status: 400 });
    const bare = await send(aws.endpoint, {
      headers: { host: 'sts.eu-west-1.amazonaws.com', 'content-type': 'application/x-www-form-urlencoded' },
      body: identityBody,
    });
    expect(bare.status).toBe(403);
    expect(bare.body).toContain('<Code>MissingAuthenticationToken</Code>');
  });

  test('credentials of a session end with the session and outlive a restart', async () => {
    // The client signs with the real clock: both instants stay within its 15 minutes.
    const clock = { at: new Date(Date.now() - 10 * 60_000) };
    const aws = await start({ clock });
    aws.state.putRole({
      accountId: prod,
      name: 'reader',
      trust: {
        Version: '2012-10-17',
        Statement: [{ Effect: 'Allow', Principal: { AWS: prod }, Action: 'sts:AssumeRole' }],
      },
    });
    const { Credentials: got } = await new STSClient(clientOf(aws)).send(
      new AssumeRoleCommand({
        RoleArn: `arn:aws:iam::${prod}:role/reader`,
        RoleSessionName: 'test-1',
        DurationSeconds: 900,
      }),
    );
    const keys = {
      accessKeyId: got?.AccessKeyId ?? '',
      secretAccessKey: got?.SecretAccessKey ?? '',
      sessionToken: got?.SessionToken ?? '',
    };
    expect(keys.accessKeyId).toMatch(/^ASIA[A-Z2-7]{16}$/);
    const again = await start({ clock });
    again.credentials.restore(JSON.parse(JSON.stringify(aws.credentials.snapshot())));
    const whoAmI = () => new STSClient(clientOf(again, keys)).send(new GetCallerIdentityCommand({}));
    expect((await whoAmI()).Arn).toBe(`arn:aws:sts::${prod}:assumed-role/reader/test-1`);
    clock.at = new Date(clock.at.getTime() + 900_001);
    expect(await failure(whoAmI())).toMatchObject({ name: 'ExpiredToken', status: 403 });
  });
});

describe('the server', () => {
  // Linux has the whole of 127/8 on loopback: what listens on all addresses would answer there too.
  test.runIf(process.platform === 'linux')('SUP-04 is on 127.0.0.1 and nowhere else', async () => {
    const { endpoint } = await start();
    const knock = (host: string): Promise<unknown> => {
      const caller = connect(Number(new URL(endpoint).port), host);
      return once(caller, 'connect')
        .then(() => 'answered')
        .catch((error: unknown) => (error instanceof Error && 'code' in error ? error.code : error))
        .finally(() => caller.destroy());
    };
    expect(new URL(endpoint).hostname).toBe('127.0.0.1');
    expect(await knock('127.0.0.1')).toBe('answered');
    expect(await knock('127.0.0.2')).toBe('ECONNREFUSED');
  });

  test('an operation or service that is not played is said plainly', async () => {
    const aws = await start();
    const signed = await signIdentityCall();
    const body = 'Action=GetFederationToken&Version=2011-06-15';
    const signer = new SignatureV4({ credentials: adminKeys, region: 'eu-west-1', service: 'sts', sha256: Sha256 });
    const request = await signer.sign(
      new HttpRequest({
        method: 'POST',
        hostname: 'localhost',
        path: '/',
        headers: { host: 'localhost', 'content-type': signed.headers['content-type'] ?? '' },
        body,
      }),
    );
    const answer = await send(aws.endpoint, { headers: request.headers, body });
    expect(answer.status).toBe(400);
    expect(answer.body).toContain('<Code>InvalidAction</Code>');
  });

  test('faults come before the call, lost answers after it', async () => {
    const calls: string[] = [];
    let fault: 'throttle' | 'lose' | 'none' = 'throttle';
    const aws = await start({
      faults: {
        beforeCall: async ({ service, operation, accountId, region }) => {
          calls.push(`${service}:${operation} ${accountId} ${region}`);
          if (fault === 'throttle') throw new AwsError('Throttling', 'Rate exceeded', 400);
        },
        loseAnswer: () => fault === 'lose',
      },
    });
    const get = () => new IAMClient(clientOf(aws)).send(new GetRoleCommand({ RoleName: 'nobody' }));
    expect(await failure(get())).toMatchObject({ name: 'Throttling', message: 'Rate exceeded' });
    expect(calls).toEqual([`iam:GetRole ${prod} eu-central-1`]);
    fault = 'none';
    expect(await failure(get())).toMatchObject({ code: 'NoSuchEntity', status: 404 });
    fault = 'lose';
    const lost = await failure(new IAMClient(clientOf(aws)).send(new ListRolesCommand({})));
    expect(lost.status).toBeUndefined();
  });

  test('a client that goes away is no fault; an answer that can not be sent is one, and the server lives on', async () => {
    const route = {
      match: (request: AwsRequest) => request.path === '/split',
      handle: async () => ({ status: 302, headers: { location: 'http://a\r\nx: y' }, body: '' }),
    };
    const aws = await start({ unsignedRoutes: [route] });
    const socket = connect(Number(new URL(aws.endpoint).port), '127.0.0.1');
    await once(socket, 'connect');
    socket.write('POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\nhalf', () => socket.destroy());
    await once(socket, 'close');
    await expect(fetch(`${aws.endpoint}/split`)).rejects.toThrow();
    expect(aws.broken).toHaveLength(1);
    const large = await fetch(aws.endpoint, { method: 'POST', body: 'x'.repeat(1024 * 1024 + 1) });
    expect(large.status).toBe(413);
    expect((await send(aws.endpoint, await signIdentityCall())).status).toBe(200);
    expect(aws.broken).toHaveLength(1);
  });

  test('unsigned routes are asked first, and a broken one is a fault with an id', async () => {
    const aws = await start({
      unsignedRoutes: [
        {
          match: (request) => request.path === '/hello',
          handle: async (request) => ({
            status: 200,
            headers: { 'content-type': 'text/plain' },
            body: `hello ${request.query.get('name')}`,
          }),
        },
        {
          match: (request) => request.path === '/broken',
          handle: async () => {
            throw new Error('secret detail');
          },
        },
      ],
    });
    expect(await (await fetch(`${aws.endpoint}/hello?name=Mira`)).text()).toBe('hello Mira');
    const broken = await fetch(`${aws.endpoint}/broken`);
    expect(broken.status).toBe(500);
    expect(await broken.text()).not.toContain('secret detail');
    expect(aws.broken).toHaveLength(1);
  });
});
