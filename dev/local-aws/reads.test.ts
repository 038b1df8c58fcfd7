import { DescribeInstancesCommand, type DescribeInstancesCommandInput, EC2Client } from '@aws-sdk/client-ec2';
import {
  DescribeGroupCommand,
  DescribeUserCommand,
  GetGroupIdCommand,
  GetUserIdCommand,
  IdentitystoreClient,
  IsMemberInGroupsCommand,
  ListGroupMembershipsCommand,
  ListGroupMembershipsForMemberCommand,
  ListGroupsCommand,
  ListUsersCommand,
} from '@aws-sdk/client-identitystore';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { failure } from './testing/failure.ts';
import { adminKeys, clientOf, prod, type SmallAws, startSmallAws } from './testing/small-aws.ts';

let aws: SmallAws;
beforeAll(async () => {
  aws = await startSmallAws();
});
afterAll(() => aws.close());

describe('EC2 DescribeInstances', () => {
  const find = (input: DescribeInstancesCommandInput = {}, region = 'eu-central-1') =>
    new EC2Client({ ...clientOf(aws), region }).send(new DescribeInstancesCommand(input));
  const idsOf = async (call: ReturnType<typeof find>) =>
    (await call).Reservations?.flatMap(({ Instances }) => Instances?.map(({ InstanceId }) => InstanceId) ?? []);

  test('tells the instances of one account and region, without hybrid nodes', async () => {
    const { Reservations } = await find();
    expect(Reservations).toHaveLength(2);
    expect(Reservations?.[0]).toMatchObject({
      OwnerId: prod,
      Instances: [
        {
          InstanceId: 'i-0a1b2c3d4e5f60001',
          State: { Name: 'running', Code: 16 },
          PrivateIpAddress: '10.0.0.1',
          Tags: [
            { Key: 'Name', Value: 'payments-api-1' },
            { Key: 'env', Value: 'production' },
            { Key: 'team', Value: 'payments' },
          ],
        },
      ],
    });
    expect(await idsOf(find({}, 'eu-west-1'))).toEqual(['i-0a1b2c3d4e5f60003']);
  });

  test('filters by id and tags, with wildcards; all filters must hold', async () => {
    const by = (...filters: Array<[string, string[]]>) =>
      idsOf(find({ Filters: filters.map(([Name, Values]) => ({ Name, Values })) }));
    expect(await by(['instance-id', ['i-0a1b2c3d4e5f60002', 'i-ffffffffffffffff0']])).toEqual(['i-0a1b2c3d4e5f60002']);
    expect(await by(['tag:env', ['prod*']])).toEqual(['i-0a1b2c3d4e5f60001']);
    expect(await by(['tag:env', ['prod*']], ['tag:team', ['search']])).toEqual([]);
    expect(await failure(by(['colour', ['red']]))).toMatchObject({ name: 'InvalidParameterValue' });
  });

  test('one unknown id fails the whole call; ids and MaxResults do not go together', async () => {
    const InstanceIds = ['i-0a1b2c3d4e5f60001', 'i-0a1b2c3d4e5f60003'];
    expect(await failure(find({ InstanceIds }))).toMatchObject({
      name: 'InvalidInstanceID.NotFound',
      status: 400,
      message: "The instance ID 'i-0a1b2c3d4e5f60003' does not exist",
    });
    expect(await failure(find({ InstanceIds: ['i-1'] }))).toMatchObject({ name: 'InvalidInstanceID.Malformed' });
    expect(await failure(find({ InstanceIds: ['i-0a1b2c3d4e5f60001'], MaxResults: 5 }))).toMatchObject({
      name: 'InvalidParameterCombination',
    });
    expect(await failure(find({ MaxResults: 4 }))).toMatchObject({ name: 'InvalidParameterValue' });
  });

  test('goes on from a token, and refuses without the right', async () => {
    const more = Array.from({ length: 6 }, (_, index) => ({
      ...aws.world.instances[0],
      id: `i-0a1b2c3d4e5f6010${index}`,
      name: `more-${index}`,
      region: 'ap-southeast-2',
    }));
    const [first] = aws.world.instances;
    if (!first) throw new Error('The world has instances');
    aws.world.instances.push(...more.map((one) => ({ ...first, ...one })));
    const page = await find({ MaxResults: 5 }, 'ap-southeast-2');
    expect(page.Reservations).toHaveLength(5);
    expect(await idsOf(find({ MaxResults: 5, NextToken: page.NextToken }, 'ap-southeast-2'))).toEqual([
      'i-0a1b2c3d4e5f60105',
    ]);
    const keys = aws.addUser('blind', {
      Version: '2012-10-17',
      Statement: [{ Effect: 'Allow', Action: 'ssm:*', Resource: '*' }],
    });
    const blind = new EC2Client(clientOf(aws, keys)).send(new DescribeInstancesCommand({}));
    expect(await failure(blind)).toMatchObject({
      name: 'UnauthorizedOperation',
      status: 403,
      message: `You are not authorized to perform this operation. User: arn:aws:iam::${prod}:user/blind is not authorized to perform: ec2:DescribeInstances because no identity-based policy allows the ec2:DescribeInstances action`,
    });
  });
});

describe('the identity store', () => {
  const IdentityStoreId = 'd-9067f4a2c1';
  const mira = '33333333-3333-4333-8333-333333333333';
  const engineers = '11111111-1111-4111-8111-111111111111';
  const leads = '22222222-2222-4222-8222-222222222222';
  const store = () => new IdentitystoreClient(clientOf(aws, adminKeys));
  const userId = (AttributeValue: string, AttributePath = 'userName') =>
    store().send(
      new GetUserIdCommand({
        IdentityStoreId,
        AlternateIdentifier: { UniqueAttribute: { AttributePath, AttributeValue } },
      }),
    );

  test('finds people by user name without regard to case, and by mail', async () => {
    expect((await userId('Mira.Okafor@harborline.example')).UserId).toBe(mira);
    expect((await userId('mira.okafor@harborline.example', 'emails.value')).UserId).toBe(mira);
    expect(await failure(userId('nobody@harborline.example'))).toMatchObject({
      name: 'ResourceNotFoundException',
      message: 'USER not found.',
    });
    expect(await failure(userId('Mira', 'displayName'))).toMatchObject({ name: 'ValidationException' });
  });

  test('tells a person with status, and that another is disabled', async () => {
    const user = await store().send(new DescribeUserCommand({ IdentityStoreId, UserId: mira }));
    expect(user).toMatchObject({
      UserName: 'mira.okafor@harborline.example',
      DisplayName: 'Mira Okafor',
      Emails: [{ Value: 'mira.okafor@harborline.example', Primary: true }],
      UserStatus: 'ENABLED',
    });
    const { UserId } = await userId('jonas.lindqvist@harborline.example');
    const jonas = await store().send(new DescribeUserCommand({ IdentityStoreId, UserId }));
    expect(jonas.UserStatus).toBe('DISABLED');
    expect(
      await failure(store().send(new DescribeUserCommand({ IdentityStoreId: 'd-0000000000', UserId }))),
    ).toMatchObject({ name: 'ResourceNotFoundException' });
  });

  test('lists people and groups in pages', async () => {
    const first = await store().send(new ListUsersCommand({ IdentityStoreId, MaxResults: 1 }));
    expect(first.Users).toHaveLength(1);
    const rest = await store().send(new ListUsersCommand({ IdentityStoreId, NextToken: first.NextToken }));
    expect(rest.Users).toMatchObject([{ DisplayName: 'Jonas Lindqvist' }]);
    expect(rest.NextToken).toBeUndefined();
    const { Groups } = await store().send(new ListGroupsCommand({ IdentityStoreId }));
    expect(Groups?.map(({ DisplayName }) => DisplayName)).toEqual(['payments-engineers', 'payments-leads']);
  });

  test('knows who is in which group, from both ends', async () => {
    const groupId = await store().send(
      new GetGroupIdCommand({
        IdentityStoreId,
        AlternateIdentifier: { UniqueAttribute: { AttributePath: 'displayName', AttributeValue: 'payments-leads' } },
      }),
    );
    expect(groupId.GroupId).toBe(leads);
    expect(await store().send(new DescribeGroupCommand({ IdentityStoreId, GroupId: leads }))).toMatchObject({
      DisplayName: 'payments-leads',
    });
    const ofMira = await store().send(
      new ListGroupMembershipsForMemberCommand({ IdentityStoreId, MemberId: { UserId: mira } }),
    );
    expect(ofMira.GroupMemberships?.map(({ GroupId }) => GroupId)).toEqual([engineers]);
    const ofEngineers = await store().send(new ListGroupMembershipsCommand({ IdentityStoreId, GroupId: engineers }));
    expect(ofEngineers.GroupMemberships).toHaveLength(2);
    expect(ofEngineers.GroupMemberships?.[0]?.MembershipId).toBe(ofMira.GroupMemberships?.[0]?.MembershipId);
    const both = await store().send(
      new IsMemberInGroupsCommand({ IdentityStoreId, MemberId: { UserId: mira }, GroupIds: [engineers, leads] }),
    );
    expect(both.Results?.map(({ MembershipExists }) => MembershipExists)).toEqual([true, false]);
  });

  test('refuses without the right, in the words of a JSON service', async () => {
    const keys = aws.addUser('outsider', {
      Version: '2012-10-17',
      Statement: [{ Effect: 'Allow', Action: 'iam:*', Resource: '*' }],
    });
    const call = new IdentitystoreClient(clientOf(aws, keys)).send(new ListUsersCommand({ IdentityStoreId }));
    expect(await failure(call)).toMatchObject({
      name: 'AccessDeniedException',
      status: 400,
      message: expect.stringContaining(`user/outsider is not authorized to perform: identitystore:ListUsers`),
    });
  });
});
