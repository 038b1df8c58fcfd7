import { GetRoleCommand, IAMClient } from '@aws-sdk/client-iam';
import {
  AssumeRoleCommand,
  type AssumeRoleCommandInput,
  GetCallerIdentityCommand,
  STSClient,
} from '@aws-sdk/client-sts';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { callerOfSession } from './authorization/caller.ts';
import { failure } from './testing/failure.ts';
import { clientOf, dev, prod, type SmallAws, startSmallAws } from './testing/small-aws.ts';

let aws: SmallAws;
beforeAll(async () => {
  aws = await startSmallAws();
});
afterAll(() => aws.close());

const person = '33333333-3333-4333-8333-333333333333';
const statement = (extra: Record<string, unknown>) => ({
  Version: '2012-10-17',
  Statement: [{ Effect: 'Allow', ...extra }],
});
const trustOf = (principal: string, condition?: Record<string, unknown>) =>
  statement({
    Principal: { AWS: principal },
    Action: 'sts:AssumeRole',
    ...(condition ? { Condition: condition } : {}),
  });
const keysOf = (issued: { accessKeyId: string; secretAccessKey: string; sessionToken: string }) => ({
  accessKeyId: issued.accessKeyId,
  secretAccessKey: issued.secretAccessKey,
  sessionToken: issued.sessionToken,
});

/** A person signed in by Identity Center, as the portal hands out credentials. */
const signedIn = (userName: string, userId: string) => {
  const role = aws.state.putRole({
    accountId: prod,
    name: 'AWSReservedSSO_CurfewUser_0123456789abcdef',
    path: '/aws-reserved/sso.amazonaws.com/eu-central-1/',
    trust: statement({ Principal: { Federated: 'sso' }, Action: 'sts:AssumeRoleWithSAML' }),
    inline: { set: statement({ Action: 'sts:AssumeRole', Resource: 'arn:aws:iam::*:role/curfew/people/*' }) },
  });
  const caller = callerOfSession({ role, sessionName: userName, contextKeys: { 'identitystore:UserId': [userId] } });
  return keysOf(aws.credentials.mint({ caller, expiresAt: new Date(Date.now() + 3_600_000) }));
};
const assume = (
  keys: { accessKeyId: string; secretAccessKey: string },
  role: string,
  extra: Partial<AssumeRoleCommandInput> = {},
) => {
  const RoleArn = `arn:aws:iam::${prod}:role${role}`;
  return new STSClient(clientOf(aws, keys)).send(
    new AssumeRoleCommand({ RoleArn, RoleSessionName: 'mira.okafor.1a2b3c4d', ...extra }),
  );
};

describe('the personal role', () => {
  beforeAll(() => {
    aws.state.putRole({
      accountId: prod,
      name: 'curfew-1',
      path: '/curfew/people/',
      inline: { 'curfew-access': statement({ Action: ['sts:AssumeRole', 'iam:GetRole'], Resource: '*' }) },
      trust: trustOf(`arn:aws:iam::${prod}:root`, {
        ArnLike: {
          'aws:PrincipalArn': `arn:aws:iam::${prod}:role/aws-reserved/sso.amazonaws.com/*/AWSReservedSSO_CurfewUser_*`,
        },
        StringEquals: { 'identitystore:UserId': person, 'sts:RoleSessionName': 'mira.okafor.1a2b3c4d' },
      }),
    });
  });

  test('opens for its person and tells the session without the path of the role', async () => {
    const got = await assume(signedIn('mira.okafor@harborline.example', person), '/curfew/people/curfew-1');
    expect(got.AssumedRoleUser?.Arn).toBe(`arn:aws:sts::${prod}:assumed-role/curfew-1/mira.okafor.1a2b3c4d`);
    expect(got.AssumedRoleUser?.AssumedRoleId).toMatch(/^AROA[A-Z2-7]{17}:mira\.okafor\.1a2b3c4d$/);
    const left = (got.Credentials?.Expiration?.getTime() ?? 0) - Date.now();
    expect(left).toBeGreaterThan(3_590_000);
    expect(left).toBeLessThanOrEqual(3_600_000);
  });

  test('stays shut for another person, another session name, and where only the bare name of the role is given', async () => {
    const other = signedIn('jonas.lindqvist@harborline.example', '44444444-4444-4444-8444-444444444444');
    const mira = signedIn('mira.okafor@harborline.example', person);
    const denied = await failure(assume(other, '/curfew/people/curfew-1'));
    expect(denied).toMatchObject({
      name: 'AccessDenied',
      status: 403,
      message: `User: arn:aws:sts::${prod}:assumed-role/AWSReservedSSO_CurfewUser_0123456789abcdef/jonas.lindqvist@harborline.example is not authorized to perform: sts:AssumeRole on resource: arn:aws:iam::${prod}:role/curfew/people/curfew-1`,
    });
    const renamed = assume(mira, '/curfew/people/curfew-1', { RoleSessionName: 'somebody.else' });
    expect(await failure(renamed)).toMatchObject({ name: 'AccessDenied' });
    expect(await failure(assume(mira, '/curfew-1'))).toMatchObject({ name: 'AccessDenied' });
    expect(await failure(assume(mira, '/curfew/people/not-there'))).toMatchObject({ name: 'AccessDenied' });
  });

  test('role chaining ends after an hour', async () => {
    aws.state.putRole({
      accountId: prod,
      name: 'long',
      path: '/curfew/people/',
      trust: trustOf(prod),
      maxSessionSeconds: 43_200,
    });
    const mira = signedIn('mira.okafor@harborline.example', person);
    expect(await failure(assume(mira, '/curfew/people/long', { DurationSeconds: 3601 }))).toMatchObject({
      name: 'ValidationError',
      message: expect.stringContaining('role chaining'),
    });
    expect(await failure(assume(mira, '/curfew/people/long', { DurationSeconds: 899 }))).toMatchObject({
      name: 'ValidationError',
    });
    const admin = aws.addUser('chainless', statement({ Action: 'sts:*', Resource: '*' }));
    const long = await assume(admin, '/curfew/people/long', { DurationSeconds: 43_200 });
    expect((long.Credentials?.Expiration?.getTime() ?? 0) - Date.now()).toBeGreaterThan(43_000_000);
  });

  test('a session policy narrows, and a role made again is another role', async () => {
    const admin = aws.addUser('narrower', statement({ Action: 'sts:*', Resource: '*' }));
    aws.state.putRole({
      accountId: prod,
      name: 'reader',
      trust: trustOf(prod),
      inline: { p: statement({ Action: 'iam:*', Resource: '*' }) },
    });
    const got = await assume(admin, '/reader', {
      Policy: JSON.stringify(statement({ Action: 'sts:*', Resource: '*' })),
    });
    const iamOf = (credentials: typeof got.Credentials) =>
      new IAMClient(
        clientOf(aws, {
          accessKeyId: credentials?.AccessKeyId ?? '',
          secretAccessKey: credentials?.SecretAccessKey ?? '',
          sessionToken: credentials?.SessionToken ?? '',
        }),
      );
    const look = new GetRoleCommand({ RoleName: 'reader' });
    expect((await failure(iamOf(got.Credentials).send(look))).message).toMatch(
      /because no session policy allows the iam:GetRole action$/,
    );
    const wide = iamOf((await assume(admin, '/reader')).Credentials);
    expect((await wide.send(look)).Role?.RoleName).toBe('reader');
    const role = aws.state.role(prod, 'reader');
    if (!role) throw new Error('The role is there');
    aws.state.roles.put(`${prod}/reader`, { ...role, id: 'AROAMADEAGAINMADEAGAI' }, 'at once');
    expect(await failure(wide.send(look))).toMatchObject({ name: 'AccessDenied' });
  });
});

describe('who must allow', () => {
  const nothing = { Action: 'ssm:DescribeSessions', Resource: '*' };

  test('a trust policy that names the caller is enough in its own account', async () => {
    const keys = aws.addUser('named', statement(nothing));
    aws.state.putRole({ accountId: prod, name: 'direct', trust: trustOf(`arn:aws:iam::${prod}:user/named`) });
    expect((await assume(keys, '/direct')).AssumedRoleUser?.Arn).toContain('assumed-role/direct/');
  });

  test('one that names the account leaves it to the caller’s own policies', async () => {
    const keys = aws.addUser('unnamed', statement(nothing));
    aws.state.putRole({ accountId: prod, name: 'delegated', trust: trustOf(prod) });
    expect((await failure(assume(keys, '/delegated'))).message).toMatch(
      /because no identity-based policy allows the sts:AssumeRole action$/,
    );
  });

  test('over accounts both sides must allow, and the external id must fit', async () => {
    const keys = aws.addUser('backend', statement({ Action: 'sts:AssumeRole', Resource: '*' }));
    const silent = aws.addUser('silent', statement(nothing));
    const users = ['backend', 'silent'].map((name) => `arn:aws:iam::${prod}:user/${name}`);
    aws.state.putRole({
      accountId: dev,
      name: 'CurfewBroker',
      path: '/curfew/broker/',
      trust: statement({
        Principal: { AWS: users },
        Action: 'sts:AssumeRole',
        Condition: { StringEquals: { 'sts:ExternalId': 'curfew-development' } },
      }),
    });
    const go = (from: typeof keys, ExternalId?: string) =>
      assume(from, '', {
        RoleArn: `arn:aws:iam::${dev}:role/curfew/broker/CurfewBroker`,
        ...(ExternalId ? { ExternalId } : {}),
      });
    const got = await go(keys, 'curfew-development');
    const whoAmI = await new STSClient(
      clientOf(aws, {
        accessKeyId: got.Credentials?.AccessKeyId ?? '',
        secretAccessKey: got.Credentials?.SecretAccessKey ?? '',
        sessionToken: got.Credentials?.SessionToken ?? '',
      }),
    ).send(new GetCallerIdentityCommand({}));
    expect(whoAmI.Account).toBe(dev);
    expect(await failure(go(keys))).toMatchObject({ name: 'AccessDenied' });
    expect(await failure(go(keys, 'guessed'))).toMatchObject({ name: 'AccessDenied' });
    expect(await failure(go(silent, 'curfew-development'))).toMatchObject({ name: 'AccessDenied' });
  });

  test('what is not played is refused and not ignored', async () => {
    const keys = aws.addUser('tagger', statement({ Action: 'sts:*', Resource: '*' }));
    const tagged = assume(keys, '/direct', { Tags: [{ Key: 'team', Value: 'payments' }] });
    expect(await failure(tagged)).toMatchObject({ name: 'ValidationError' });
  });
});
