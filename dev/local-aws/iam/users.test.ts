/** Users in lists, and users that are renamed with all they have. */
import {
  GetUserCommand,
  GetUserPolicyCommand,
  IAMClient,
  ListGroupsForUserCommand,
  ListUsersCommand,
  UpdateUserCommand,
} from '@aws-sdk/client-iam';
import { GetCallerIdentityCommand, GetSessionTokenCommand, STSClient } from '@aws-sdk/client-sts';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { failure } from '../testing/failure.ts';
import { clientOf, prod, type SmallAws, startSmallAws } from '../testing/small-aws.ts';

let aws: SmallAws;
let iam: IAMClient;
beforeAll(async () => {
  aws = await startSmallAws();
  iam = new IAMClient(clientOf(aws));
});
afterAll(() => aws.close());

const allow = (...statements: Array<{ Action: string[]; Resource: string[] }>) => ({
  Version: '2012-10-17',
  Statement: statements.map((one) => ({ Effect: 'Allow', ...one })),
});
const user = (name: string) => `arn:aws:iam::${prod}:user/${name}`;
const identity = async (keys: Parameters<typeof clientOf>[1]) =>
  (await new STSClient(clientOf(aws, keys)).send(new GetCallerIdentityCommand({}))).Arn;

test('lists by path in pages, without tags and boundary, and only who may', async () => {
  const boundary = `arn:aws:iam::${prod}:policy/curfew/boundary/Fence`;
  for (const name of ['a', 'b', 'c']) {
    aws.state.putUser({ accountId: prod, name: `paged-${name}`, path: '/paged/', tags: { team: 'x' }, boundary });
  }
  const first = await iam.send(new ListUsersCommand({ PathPrefix: '/paged/', MaxItems: 2 }));
  expect(first).toMatchObject({ IsTruncated: true, Users: [{ UserName: 'paged-a' }, { UserName: 'paged-b' }] });
  const rest = await iam.send(new ListUsersCommand({ PathPrefix: '/paged/', MaxItems: 2, Marker: first.Marker }));
  const arn = user('paged/paged-c');
  expect(rest).toMatchObject({ IsTruncated: false, Users: [{ UserName: 'paged-c', Path: '/paged/', Arn: arn }] });
  expect(rest.Users?.[0]).not.toHaveProperty('Tags');
  expect(rest.Users?.[0]).not.toHaveProperty('PermissionsBoundary');
  const { Users } = await iam.send(new ListUsersCommand({}));
  expect(Users?.map(({ UserName }) => UserName)).toEqual(expect.arrayContaining(['admin', 'paged-a']));
  const stranger = new IAMClient(
    clientOf(aws, aws.addUser('stranger', allow({ Action: ['iam:ListRoles'], Resource: ['*'] }))),
  );
  expect(await failure(stranger.send(new ListUsersCommand({})))).toMatchObject({
    name: 'AccessDenied',
    message: expect.stringContaining(`iam:ListUsers on resource: ${user('')}`),
  });
});

test('a renamed user keeps id, policies, boundary, groups and keys, and is nowhere under the old name', async () => {
  const keys = aws.addUser('mira', allow({ Action: ['iam:GetUser'], Resource: ['*'] }));
  aws.state.putGroup({ accountId: prod, name: 'oncall' });
  const boundary = `arn:aws:iam::${prod}:policy/curfew/boundary/Fence`;
  aws.state.putManagedPolicy({
    accountId: prod,
    name: 'Fence',
    path: '/curfew/boundary/',
    document: allow({ Action: ['*'], Resource: ['*'] }),
  });
  const attached = ['arn:aws:iam::aws:policy/ReadOnlyAccess'];
  const before = aws.state.putUser({ accountId: prod, name: 'mira', groups: ['oncall'], boundary, attached });
  const { Credentials } = await new STSClient(clientOf(aws, keys)).send(new GetSessionTokenCommand({}));
  const session = {
    accessKeyId: Credentials?.AccessKeyId ?? '',
    secretAccessKey: Credentials?.SecretAccessKey ?? '',
    sessionToken: Credentials?.SessionToken ?? '',
  };
  await iam.send(new UpdateUserCommand({ UserName: 'mira', NewUserName: 'mira.smith', NewPath: '/engineers/' }));
  const after = aws.state.user(prod, 'mira.smith');
  expect(after).toEqual({ ...before, name: 'mira.smith', path: '/engineers/' });
  expect(await failure(iam.send(new GetUserCommand({ UserName: 'mira' })))).toMatchObject({ code: 'NoSuchEntity' });
  const policy = { UserName: 'mira.smith', PolicyName: 'policy' };
  expect((await iam.send(new GetUserPolicyCommand(policy))).PolicyDocument).toBeDefined();
  const groups = await iam.send(new ListGroupsForUserCommand({ UserName: 'mira.smith' }));
  expect(groups.Groups).toMatchObject([{ GroupName: 'oncall' }]);
  for (const one of [keys, session]) expect(await identity(one)).toBe(user('engineers/mira.smith'));
  const { User } = await new IAMClient(clientOf(aws, keys)).send(new GetUserCommand({}));
  expect(User).toMatchObject({ UserId: before.id, UserName: 'mira.smith' });
});

test('a name is given once, whatever its case, and one’s own may change its case', async () => {
  aws.state.putUser({ accountId: prod, name: 'taken' });
  aws.state.putUser({ accountId: prod, name: 'jonas' });
  const rename = (NewUserName: string) => iam.send(new UpdateUserCommand({ UserName: 'jonas', NewUserName }));
  expect(await failure(rename('TAKEN'))).toMatchObject({ code: 'EntityAlreadyExists', status: 409 });
  expect(await failure(rename('no space'))).toMatchObject({ code: 'ValidationError' });
  await rename('Jonas');
  expect((await iam.send(new GetUserCommand({ UserName: 'jonas' }))).User?.UserName).toBe('Jonas');
});

test('whoever renames needs the right on both names', async () => {
  aws.state.putUser({ accountId: prod, name: 'ravi' });
  const rename = new UpdateUserCommand({ UserName: 'ravi', NewUserName: 'ravi.menon' });
  const may = (...names: string[]) => allow({ Action: ['iam:UpdateUser'], Resource: names.map(user) });
  const half = new IAMClient(clientOf(aws, aws.addUser('half', may('ravi'))));
  expect(await failure(half.send(rename))).toMatchObject({
    name: 'AccessDenied',
    message: expect.stringContaining(`on resource: ${user('ravi.menon')}`),
  });
  const both = new IAMClient(clientOf(aws, aws.addUser('both', may('ravi', 'ravi.menon'))));
  await both.send(rename);
  expect(aws.state.user(prod, 'ravi')).toBeUndefined();
});
