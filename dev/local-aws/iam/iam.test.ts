import {
  AttachRolePolicyCommand,
  CreatePolicyCommand,
  CreatePolicyVersionCommand,
  CreateRoleCommand,
  DeletePolicyCommand,
  DeletePolicyVersionCommand,
  DeleteRoleCommand,
  DeleteRolePermissionsBoundaryCommand,
  DeleteRolePolicyCommand,
  DetachRolePolicyCommand,
  GetPolicyCommand,
  GetPolicyVersionCommand,
  GetRoleCommand,
  GetRolePolicyCommand,
  GetUserCommand,
  IAMClient,
  ListAttachedRolePoliciesCommand,
  ListEntitiesForPolicyCommand,
  ListRolePoliciesCommand,
  ListRolesCommand,
  ListRoleTagsCommand,
  PutGroupPolicyCommand,
  PutRolePermissionsBoundaryCommand,
  PutRolePolicyCommand,
  PutUserPolicyCommand,
  TagRoleCommand,
  UntagRoleCommand,
  UpdateAssumeRolePolicyCommand,
} from '@aws-sdk/client-iam';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { failure } from '../testing/failure.ts';
import { clientOf, prod, type SmallAws, startSmallAws } from '../testing/small-aws.ts';

let aws: SmallAws;
let iam: IAMClient;
beforeAll(async () => {
  aws = await startSmallAws();
  iam = new IAMClient(clientOf(aws));
});
afterAll(() => aws.close());

const peoplePath = '/curfew/people/';
const trust = JSON.stringify({
  Version: '2012-10-17',
  Statement: [{ Effect: 'Allow', Principal: { AWS: prod }, Action: 'sts:AssumeRole' }],
});
const allow = (action: string, extra: Record<string, unknown> = {}): string =>
  JSON.stringify({ Version: '2012-10-17', Statement: [{ Effect: 'Allow', Action: action, Resource: '*', ...extra }] });
/** A policy with this many characters that count. */
const sized = (characters: number): string => {
  const empty = allow('ssm:StartSession', { Condition: { StringEquals: { k: '' } } });
  return allow('ssm:StartSession', { Condition: { StringEquals: { k: 'x'.repeat(characters - empty.length) } } });
};
const makeRole = (RoleName: string, Path = peoplePath) =>
  iam.send(new CreateRoleCommand({ RoleName, Path, AssumeRolePolicyDocument: trust }));

describe('roles', () => {
  test('a role is told back with path, id, tags, boundary and encoded trust', async () => {
    const boundary = await iam.send(
      new CreatePolicyCommand({ PolicyName: 'Fence', Path: '/curfew/boundary/', PolicyDocument: allow('ssm:*') }),
    );
    const made = await iam.send(
      new CreateRoleCommand({
        RoleName: 'curfew-told',
        Path: peoplePath,
        AssumeRolePolicyDocument: trust,
        Description: 'for <Mira> & "others"',
        PermissionsBoundary: boundary.Policy?.Arn,
        Tags: [{ Key: 'curfew:person', Value: 'p-1' }],
      }),
    );
    expect(made.Role?.RoleId).toMatch(/^AROA[A-Z2-7]{17}$/);
    const { Role } = await iam.send(new GetRoleCommand({ RoleName: 'CURFEW-TOLD' }));
    expect(Role).toMatchObject({
      RoleName: 'curfew-told',
      Arn: `arn:aws:iam::${prod}:role/curfew/people/curfew-told`,
      Description: 'for <Mira> & "others"',
      MaxSessionDuration: 3600,
      PermissionsBoundary: { PermissionsBoundaryArn: `arn:aws:iam::${prod}:policy/curfew/boundary/Fence` },
      Tags: [{ Key: 'curfew:person', Value: 'p-1' }],
    });
    expect(decodeURIComponent(Role?.AssumeRolePolicyDocument ?? '')).toBe(trust);
    expect(Role?.AssumeRolePolicyDocument).not.toContain('{');
  });

  test('lists by path in pages, without tags and boundary', async () => {
    for (const name of ['a', 'b', 'c']) await makeRole(`paged-${name}`, '/paged/');
    const first = await iam.send(new ListRolesCommand({ PathPrefix: '/paged/', MaxItems: 2 }));
    expect(first).toMatchObject({ IsTruncated: true, Roles: [{ RoleName: 'paged-a' }, { RoleName: 'paged-b' }] });
    const rest = await iam.send(new ListRolesCommand({ PathPrefix: '/paged/', MaxItems: 2, Marker: first.Marker }));
    expect(rest).toMatchObject({ IsTruncated: false, Roles: [{ RoleName: 'paged-c' }] });
    expect(rest.Roles?.[0]?.Tags).toBeUndefined();
  });

  test('names, paths and trust are checked, with the names of the errors', async () => {
    await makeRole('Twice');
    expect(await failure(makeRole('twice'))).toMatchObject({ code: 'EntityAlreadyExists', status: 409 });
    expect(await failure(makeRole('with space'))).toMatchObject({ code: 'ValidationError', status: 400 });
    expect(await failure(makeRole('x'.repeat(65)))).toMatchObject({ code: 'ValidationError' });
    expect(await failure(makeRole('bad-path', 'curfew'))).toMatchObject({ code: 'ValidationError' });
    const withTrust = (AssumeRolePolicyDocument: string) =>
      failure(iam.send(new CreateRoleCommand({ RoleName: 'never', AssumeRolePolicyDocument })));
    expect(await withTrust('{')).toMatchObject({ code: 'MalformedPolicyDocument', status: 400 });
    const stranger = trust.replace(`"${prod}"`, `"arn:aws:iam::${prod}:role/nobody"`);
    expect(await withTrust(stranger)).toMatchObject({
      code: 'MalformedPolicyDocument',
      message: `Invalid principal in policy: "AWS":"arn:aws:iam::${prod}:role/nobody"`,
    });
    const long = trust.replace('"Action"', `"Sid":"${'a'.repeat(2048)}","Action"`);
    expect(await withTrust(long)).toMatchObject({ code: 'LimitExceeded', status: 409 });
    expect(await failure(iam.send(new GetRoleCommand({ RoleName: 'never' })))).toMatchObject({
      name: 'NoSuchEntityException',
      code: 'NoSuchEntity',
      status: 404,
      message: 'The role with name never cannot be found.',
    });
  });

  test('tags come and go; system tags and repeated keys do not', async () => {
    await makeRole('tagged');
    const tag = (...keys: string[]) =>
      iam.send(new TagRoleCommand({ RoleName: 'tagged', Tags: keys.map((Key) => ({ Key, Value: 'v' })) }));
    await tag('a', 'b');
    await iam.send(new UntagRoleCommand({ RoleName: 'tagged', TagKeys: ['a'] }));
    const { Tags } = await iam.send(new ListRoleTagsCommand({ RoleName: 'tagged' }));
    expect(Tags).toEqual([{ Key: 'b', Value: 'v' }]);
    expect(await failure(tag('aws:x'))).toMatchObject({ code: 'InvalidInput' });
    expect(await failure(tag('c', 'C'))).toMatchObject({ code: 'InvalidInput' });
  });

  test('a boundary is set only to what exists, and taken off', async () => {
    await makeRole('fenced');
    const put = (PermissionsBoundary: string) =>
      iam.send(new PutRolePermissionsBoundaryCommand({ RoleName: 'fenced', PermissionsBoundary }));
    expect(await failure(put(`arn:aws:iam::${prod}:policy/not-there`))).toMatchObject({ code: 'NoSuchEntity' });
    await put(`arn:aws:iam::${prod}:policy/curfew/boundary/Fence`);
    await iam.send(new DeleteRolePermissionsBoundaryCommand({ RoleName: 'fenced' }));
    const { Role } = await iam.send(new GetRoleCommand({ RoleName: 'fenced' }));
    expect(Role?.PermissionsBoundary).toBeUndefined();
  });

  test('roles of Identity Center are only modifiable by AWS', async () => {
    const name = 'AWSReservedSSO_CurfewUser_0123456789abcdef';
    const path = '/aws-reserved/sso.amazonaws.com/eu-central-1/';
    aws.state.putRole({ accountId: prod, name, path, trust });
    const put = new PutRolePolicyCommand({ RoleName: name, PolicyName: 'p', PolicyDocument: allow('ssm:*') });
    expect(await failure(iam.send(put))).toMatchObject({
      code: 'UnmodifiableEntity',
      status: 400,
      message: `Cannot perform the operation on the protected role '${name}' - this role is only modifiable by AWS`,
    });
  });
});

describe('inline policies', () => {
  const put = (PolicyName: string, PolicyDocument: string, RoleName = 'inline') =>
    iam.send(new PutRolePolicyCommand({ RoleName, PolicyName, PolicyDocument }));
  beforeAll(() => makeRole('inline'));

  test('put twice is one policy, told back exactly as it was put', async () => {
    await put('curfew-access', allow('ssm:GetConnectionStatus'));
    const second = `{\n "Version": "2012-10-17",\n "Statement": {"Effect": "Allow", "Action": "ssm:*", "Resource": "*", "Sid": "A"}\n}`;
    await put('curfew-access', second);
    const got = await iam.send(new GetRolePolicyCommand({ RoleName: 'inline', PolicyName: 'curfew-access' }));
    expect(decodeURIComponent(got.PolicyDocument ?? '')).toBe(second);
    const { PolicyNames } = await iam.send(new ListRolePoliciesCommand({ RoleName: 'inline' }));
    expect(PolicyNames).toEqual(['curfew-access']);
  });

  test('all inline policies of a role share 10,240 characters; white space does not count', async () => {
    await makeRole('full');
    await put('one', sized(10_000), 'full');
    await put('two', `${sized(240)}${' '.repeat(5000)}`, 'full');
    expect(await failure(put('three', allow('ssm:*'), 'full'))).toMatchObject({
      code: 'LimitExceeded',
      status: 409,
      message: 'Maximum policy size of 10240 bytes exceeded for role full',
    });
    expect(await failure(put('two', sized(241), 'full'))).toMatchObject({ code: 'LimitExceeded' });
  });

  test('users have 2,048 characters, groups 5,120', async () => {
    aws.state.putUser({ accountId: prod, name: 'small' });
    aws.state.putGroup({ accountId: prod, name: 'team' });
    const user = (size: number) =>
      iam.send(new PutUserPolicyCommand({ UserName: 'small', PolicyName: 'p', PolicyDocument: sized(size) }));
    const group = (size: number) =>
      iam.send(new PutGroupPolicyCommand({ GroupName: 'team', PolicyName: 'p', PolicyDocument: sized(size) }));
    await user(2048);
    expect((await failure(user(2049))).message).toBe('Maximum policy size of 2048 bytes exceeded for user small');
    await group(5120);
    expect((await failure(group(5121))).message).toBe('Maximum policy size of 5120 bytes exceeded for group team');
  });

  test('what is malformed or has letters that IAM does not take is refused', async () => {
    expect(await failure(put('bad', '{"Version":"2012-10-17"}'))).toMatchObject({ code: 'MalformedPolicyDocument' });
    expect(await failure(put('bad', allow('ssm:*', { Sid: 'Ж' })))).toMatchObject({ code: 'ValidationError' });
    expect(await failure(put('bad name', allow('ssm:*')))).toMatchObject({ code: 'ValidationError' });
    expect(await failure(put('p', allow('ssm:*'), 'nobody'))).toMatchObject({ code: 'NoSuchEntity' });
  });

  test('a role with policies is not deleted; deleting a policy twice is NoSuchEntity', async () => {
    await makeRole('leaving');
    await put('p', allow('ssm:*'), 'leaving');
    const removeRole = () => iam.send(new DeleteRoleCommand({ RoleName: 'leaving' }));
    const removePolicy = () => iam.send(new DeleteRolePolicyCommand({ RoleName: 'leaving', PolicyName: 'p' }));
    expect(await failure(removeRole())).toMatchObject({ code: 'DeleteConflict', status: 409 });
    await removePolicy();
    expect(await failure(removePolicy())).toMatchObject({
      code: 'NoSuchEntity',
      message: 'The role policy with name p cannot be found.',
    });
    await removeRole();
  });
});

describe('managed policies', () => {
  test('five versions at most, and numbers are never used again', async () => {
    const { Policy } = await iam.send(
      new CreatePolicyCommand({ PolicyName: 'Versions', PolicyDocument: allow('a:b') }),
    );
    const PolicyArn = Policy?.Arn;
    const add = (action: string, SetAsDefault: boolean) =>
      iam.send(new CreatePolicyVersionCommand({ PolicyArn, PolicyDocument: allow(action), SetAsDefault }));
    for (const action of ['a:c', 'a:d', 'a:e']) await add(action, false);
    expect((await add('a:f', true)).PolicyVersion).toMatchObject({ VersionId: 'v5', IsDefaultVersion: true });
    expect(await failure(add('a:g', false))).toMatchObject({ code: 'LimitExceeded', status: 409 });
    const drop = (VersionId: string) => iam.send(new DeletePolicyVersionCommand({ PolicyArn, VersionId }));
    expect(await failure(drop('v5'))).toMatchObject({ code: 'DeleteConflict' });
    await drop('v1');
    expect((await add('a:g', false)).PolicyVersion?.VersionId).toBe('v6');
    const version = await iam.send(new GetPolicyVersionCommand({ PolicyArn, VersionId: 'v5' }));
    expect(decodeURIComponent(version.PolicyVersion?.Document ?? '')).toBe(allow('a:f'));
    expect(await failure(iam.send(new DeletePolicyCommand({ PolicyArn })))).toMatchObject({ code: 'DeleteConflict' });
  });

  test('attached to ten at most, listed from both ends, not deleted while in use', async () => {
    await makeRole('holder');
    const arns: string[] = [];
    for (let index = 0; index < 11; index++) {
      const made = await iam.send(new CreatePolicyCommand({ PolicyName: `m${index}`, PolicyDocument: allow('a:b') }));
      arns.push(made.Policy?.Arn ?? '');
    }
    const attach = (PolicyArn: string) => iam.send(new AttachRolePolicyCommand({ RoleName: 'holder', PolicyArn }));
    for (const arn of arns.slice(0, 10)) await attach(arn);
    expect(await failure(attach(arns[10] ?? ''))).toMatchObject({
      code: 'LimitExceeded',
      message: 'Cannot exceed quota for PoliciesPerRole: 10',
    });
    const [first = ''] = arns;
    await attach(first);
    const held = await iam.send(new ListAttachedRolePoliciesCommand({ RoleName: 'holder' }));
    expect(held.AttachedPolicies).toHaveLength(10);
    const users = await iam.send(new ListEntitiesForPolicyCommand({ PolicyArn: first }));
    expect(users.PolicyRoles).toMatchObject([{ RoleName: 'holder' }]);
    expect((await iam.send(new GetPolicyCommand({ PolicyArn: first }))).Policy?.AttachmentCount).toBe(1);
    expect(await failure(iam.send(new DeletePolicyCommand({ PolicyArn: first })))).toMatchObject({
      code: 'DeleteConflict',
    });
    await iam.send(new DetachRolePolicyCommand({ RoleName: 'holder', PolicyArn: first }));
    await iam.send(new DeletePolicyCommand({ PolicyArn: first }));
  });

  test('6,144 characters, a name only once whatever the path', async () => {
    const make = (PolicyName: string, PolicyDocument: string, Path = '/') =>
      iam.send(new CreatePolicyCommand({ PolicyName, PolicyDocument, Path }));
    await make('Large', sized(6144));
    expect(await failure(make('Larger', sized(6145)))).toMatchObject({ code: 'LimitExceeded' });
    expect(await failure(make('large', allow('a:b'), '/other/'))).toMatchObject({ code: 'EntityAlreadyExists' });
  });
});

describe('rights', () => {
  const fence = `arn:aws:iam::${prod}:policy/curfew/boundary/RightsFence`;
  const fenced = { StringEquals: { 'iam:PermissionsBoundary': fence } };
  const people = `arn:aws:iam::${prod}:role/curfew/people/*`;
  let broker: IAMClient;
  const put = (client: IAMClient, RoleName: string) =>
    client.send(new PutRolePolicyCommand({ RoleName, PolicyName: 'curfew-access', PolicyDocument: allow('ssm:*') }));

  beforeAll(() => {
    aws.state.putManagedPolicy({
      accountId: prod,
      name: 'RightsFence',
      path: '/curfew/boundary/',
      document: allow('ssm:*'),
    });
    const keys = aws.addUser('broker', {
      Version: '2012-10-17',
      Statement: [
        {
          Effect: 'Allow',
          Action: ['iam:PutRolePolicy', 'iam:CreateRole', 'iam:TagRole'],
          Resource: people,
          Condition: fenced,
        },
        { Effect: 'Allow', Action: 'iam:GetRole', Resource: people },
        { Effect: 'Deny', Action: 'iam:UpdateAssumeRolePolicy', Resource: '*' },
      ],
    });
    broker = new IAMClient(clientOf(aws, keys));
    aws.state.putRole({ accountId: prod, name: 'with-fence', path: peoplePath, trust, boundary: fence });
    aws.state.putRole({ accountId: prod, name: 'without-fence', path: peoplePath, trust });
    aws.state.putRole({ accountId: prod, name: 'elsewhere', path: '/curfew/broker/', trust, boundary: fence });
  });

  test('AWS-07 the broker writes policies on fenced roles of its path and nowhere else', async () => {
    await put(broker, 'with-fence');
    for (const [name, path] of [
      ['without-fence', peoplePath],
      ['elsewhere', '/curfew/broker/'],
    ]) {
      expect(await failure(put(broker, name ?? ''))).toMatchObject({
        name: 'AccessDenied',
        status: 403,
        message: `User: arn:aws:iam::${prod}:user/broker is not authorized to perform: iam:PutRolePolicy on resource: arn:aws:iam::${prod}:role${path}${name} because no identity-based policy allows the iam:PutRolePolicy action`,
      });
    }
  });

  test('AWS-09 nobody without the right rewrites a trust, and an explicit deny is named', async () => {
    const rewrite = new UpdateAssumeRolePolicyCommand({ RoleName: 'with-fence', PolicyDocument: trust });
    expect((await failure(broker.send(rewrite))).message).toMatch(/with an explicit deny in an identity-based policy$/);
  });

  test('a role is made only with the boundary that the maker is held to', async () => {
    const make = (PermissionsBoundary?: string) =>
      broker.send(
        new CreateRoleCommand({
          RoleName: 'made-by-broker',
          Path: peoplePath,
          AssumeRolePolicyDocument: trust,
          Tags: [{ Key: 'curfew:person', Value: 'x' }],
          ...(PermissionsBoundary ? { PermissionsBoundary } : {}),
        }),
      );
    expect(await failure(make())).toMatchObject({ name: 'AccessDenied' });
    await make(fence);
    expect((await broker.send(new GetRoleCommand({ RoleName: 'made-by-broker' }))).Role?.RoleName).toBe(
      'made-by-broker',
    );
  });

  test('what does not exist has no path: rights on a path then do not reach it', async () => {
    expect(await failure(broker.send(new GetRoleCommand({ RoleName: 'not-yet' })))).toMatchObject({
      name: 'AccessDenied',
      message: `User: arn:aws:iam::${prod}:user/broker is not authorized to perform: iam:GetRole on resource: role not-yet because no identity-based policy allows the iam:GetRole action`,
    });
  });

  test('GetUser without a name tells who is asking', async () => {
    expect((await iam.send(new GetUserCommand({}))).User).toMatchObject({ UserName: 'admin', Path: '/' });
  });
});

describe('spreading', () => {
  test('a write is told back at once; the policy engine sees it after the delay, and so does a removal', async () => {
    const clock = { at: new Date() };
    const slow = await startSmallAws({ clock, spreadingDelayMs: 1000 });
    try {
      const admin = new IAMClient(clientOf(slow));
      const reader = new IAMClient(clientOf(slow, slow.addUser('reader', JSON.parse(allow('ssm:StartSession')))));
      const may = async (): Promise<boolean> => {
        const name = await reader.send(new GetRoleCommand({ RoleName: 'nobody' })).catch((error: Error) => error.name);
        return name === 'NoSuchEntityException';
      };
      const later = (ms: number): void => {
        clock.at = new Date(clock.at.getTime() + ms);
      };
      const policy = { UserName: 'reader', PolicyName: 'reads' };
      await admin.send(new PutUserPolicyCommand({ ...policy, PolicyDocument: allow('iam:GetRole') }));
      expect(slow.state.user(prod, 'reader')?.inline['reads']).toBe(allow('iam:GetRole'));
      expect(await may()).toBe(false);
      later(999);
      expect(await may()).toBe(false);
      later(1);
      expect(await may()).toBe(true);
      await admin.send(new PutUserPolicyCommand({ ...policy, PolicyDocument: allow('iam:ListRoles') }));
      expect(await may()).toBe(true);
      later(1000);
      expect(await may()).toBe(false);
    } finally {
      await slow.close();
    }
  });

  test('state survives a restart, and the world is laid over it', async () => {
    await makeRole('kept');
    await iam.send(
      new PutRolePolicyCommand({ RoleName: 'kept', PolicyName: 'curfew-access', PolicyDocument: allow('ssm:*') }),
    );
    const before = aws.state.role(prod, 'kept');
    const again = await startSmallAws();
    try {
      again.state.restore(JSON.parse(JSON.stringify(aws.state.snapshot())));
      expect(again.state.role(prod, 'kept')).toEqual(before);
      const laid = again.state.putRole({ accountId: prod, name: 'kept', path: peoplePath, trust, description: 'new' });
      expect(laid).toMatchObject({ id: before?.id, description: 'new', inline: { 'curfew-access': allow('ssm:*') } });
    } finally {
      await again.close();
    }
  });
});
