/** The identity store of Identity Center: people, groups and who is in which, as the world says now. */
import { createHash } from 'node:crypto';
import { z } from 'zod';
import { type Authorise, AwsError, type Caller, type JsonService } from './service.ts';
import type { World, WorldDirectoryGroup, WorldPerson } from './world.ts';

const store = { IdentityStoreId: z.string() };
const page = { MaxResults: z.int().min(1).max(100).default(100), NextToken: z.string().optional() };
const uniqueAttribute = z.object({
  UniqueAttribute: z.object({ AttributePath: z.string(), AttributeValue: z.string() }),
});
const alternateIdentifier = z.union([
  uniqueAttribute,
  z.object({ ExternalId: z.object({ Issuer: z.string(), Id: z.string() }) }),
]);
const filters = z
  .array(z.object({ AttributePath: z.string(), AttributeValue: z.string() }))
  .max(1)
  .default([]);
const member = { MemberId: z.object({ UserId: z.string() }) };

const inputs = {
  alternate: z.object({ ...store, AlternateIdentifier: alternateIdentifier }),
  user: z.object({ ...store, UserId: z.string() }),
  group: z.object({ ...store, GroupId: z.string() }),
  list: z.object({ ...store, Filters: filters, ...page }),
  membershipsOfMember: z.object({ ...store, ...member, ...page }),
  membershipsOfGroup: z.object({ ...store, GroupId: z.string(), ...page }),
  isMember: z.object({ ...store, ...member, GroupIds: z.array(z.string()).min(1).max(100) }),
};

const parse = <T extends { IdentityStoreId: string }>(schema: z.ZodType<T>, input: unknown): T => {
  const read = schema.safeParse(input);
  if (read.success) return read.data;
  const [issue] = read.error.issues;
  const message = `1 validation error detected: Value at '${issue?.path.join('.')}' failed to satisfy constraint: ${issue?.message}`;
  throw new AwsError('ValidationException', message, 400);
};

const notFound = (what: string): AwsError => new AwsError('ResourceNotFoundException', `${what} not found.`, 400);

const pageOf = <T>(list: T[], { MaxResults, NextToken }: { MaxResults: number; NextToken?: string | undefined }) => {
  const read = NextToken === undefined ? '0' : Buffer.from(NextToken, 'base64url').toString('utf8');
  if (!/^\d{1,9}$/.test(read)) throw new AwsError('ValidationException', 'The provided NextToken is invalid.', 400);
  const end = Number(read) + MaxResults;
  const next = end < list.length ? { NextToken: Buffer.from(String(end)).toString('base64url') } : {};
  return { items: list.slice(Number(read), end), next };
};

/** The same pair always has the same membership id. */
const membershipId = (groupId: string, userId: string): string => {
  const hex = createHash('sha256').update(`${groupId}|${userId}`).digest('hex');
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20, 32)].join('-');
};

/** `world` is asked at every call: people and groups may change while running. */
export const createIdentityStoreService = (deps: { world: () => World; authorise: Authorise }): JsonService => {
  const storeId = (): string => deps.world().organisation.identityStoreId;

  /** Asks for the action on the store and on the users, groups or memberships that the action is about. */
  const permit = (caller: Caller, action: string, input: { IdentityStoreId: string }, ...subjects: string[]): void => {
    const resources = [
      { arn: `arn:aws:identitystore::${caller.accountId}:identitystore/${input.IdentityStoreId}` },
      ...subjects.map((subject) => ({ arn: `arn:aws:identitystore:::${subject}` })),
    ];
    deps.authorise(caller, { action: `identitystore:${action}`, resources });
    if (input.IdentityStoreId !== storeId()) throw notFound('IDENTITY_STORE');
  };

  const personById = (id: string): WorldPerson => {
    const found = deps.world().people.find((person) => person.id === id);
    if (!found) throw notFound('USER');
    return found;
  };
  const groupById = (id: string): WorldDirectoryGroup => {
    const found = deps.world().groups.find((group) => group.id === id);
    if (!found) throw notFound('GROUP');
    return found;
  };

  const describedUser = (person: WorldPerson) => ({
    IdentityStoreId: storeId(),
    UserId: person.id,
    UserName: person.userName,
    DisplayName: person.displayName,
    Name: {
      Formatted: person.displayName,
      GivenName: person.displayName.split(' ')[0],
      FamilyName: person.displayName.split(' ').slice(1).join(' '),
    },
    Emails: [{ Value: person.email, Type: 'work', Primary: true }],
    UserStatus: person.enabled ? 'ENABLED' : 'DISABLED',
  });
  const describedGroup = (group: WorldDirectoryGroup) => ({
    IdentityStoreId: storeId(),
    GroupId: group.id,
    DisplayName: group.name,
    Description: group.description,
  });
  const membership = (group: WorldDirectoryGroup, person: WorldPerson) => ({
    IdentityStoreId: storeId(),
    MembershipId: membershipId(group.id, person.id),
    GroupId: group.id,
    MemberId: { UserId: person.id },
  });

  /** The value of the one attribute that may be asked for; `undefined` for an external id, which no entity here has. */
  const attributeOf = (
    identifier: z.infer<typeof alternateIdentifier>,
    paths: string[],
  ): [string, string] | undefined => {
    if (!('UniqueAttribute' in identifier)) return undefined;
    const { AttributePath, AttributeValue } = identifier.UniqueAttribute;
    const path = paths.find((one) => one.toLowerCase() === AttributePath.toLowerCase());
    if (path === undefined) {
      throw new AwsError('ValidationException', `Attribute path ${AttributePath} is not supported.`, 400);
    }
    return [path, AttributeValue];
  };
  const same = (left: string, right: string): boolean => left.toLowerCase() === right.toLowerCase();

  return {
    service: 'identitystore',
    protocol: 'json',
    operations: {
      GetUserId: (raw, caller) => {
        const input = parse(inputs.alternate, raw);
        permit(caller, 'GetUserId', input, 'user/*');
        const [path, value = ''] = attributeOf(input.AlternateIdentifier, ['userName', 'emails.value']) ?? [];
        const found = deps
          .world()
          .people.find(
            (person) => path !== undefined && same(path === 'userName' ? person.userName : person.email, value),
          );
        if (!found) throw notFound('USER');
        return { UserId: found.id, IdentityStoreId: storeId() };
      },
      DescribeUser: (raw, caller) => {
        const input = parse(inputs.user, raw);
        permit(caller, 'DescribeUser', input, `user/${input.UserId}`);
        return describedUser(personById(input.UserId));
      },
      ListUsers: (raw, caller) => {
        const input = parse(inputs.list, raw);
        permit(caller, 'ListUsers', input, 'user/*');
        const [filter] = input.Filters;
        const people = deps.world().people.filter((person) => !filter || same(person.userName, filter.AttributeValue));
        const { items, next } = pageOf(people, input);
        return { Users: items.map(describedUser), ...next };
      },
      GetGroupId: (raw, caller) => {
        const input = parse(inputs.alternate, raw);
        permit(caller, 'GetGroupId', input, 'group/*');
        const [path, value = ''] = attributeOf(input.AlternateIdentifier, ['displayName']) ?? [];
        const found = deps.world().groups.find((group) => path !== undefined && same(group.name, value));
        if (!found) throw notFound('GROUP');
        return { GroupId: found.id, IdentityStoreId: storeId() };
      },
      DescribeGroup: (raw, caller) => {
        const input = parse(inputs.group, raw);
        permit(caller, 'DescribeGroup', input, `group/${input.GroupId}`);
        return describedGroup(groupById(input.GroupId));
      },
      ListGroups: (raw, caller) => {
        const input = parse(inputs.list, raw);
        permit(caller, 'ListGroups', input, 'group/*');
        const [filter] = input.Filters;
        const groups = deps.world().groups.filter((group) => !filter || same(group.name, filter.AttributeValue));
        const { items, next } = pageOf(groups, input);
        return { Groups: items.map(describedGroup), ...next };
      },
      ListGroupMembershipsForMember: (raw, caller) => {
        const input = parse(inputs.membershipsOfMember, raw);
        permit(caller, 'ListGroupMembershipsForMember', input, `user/${input.MemberId.UserId}`, 'membership/*');
        const person = personById(input.MemberId.UserId);
        const groups = deps.world().groups.filter((group) => person.groups.includes(group.name));
        const { items, next } = pageOf(groups, input);
        return { GroupMemberships: items.map((group) => membership(group, person)), ...next };
      },
      ListGroupMemberships: (raw, caller) => {
        const input = parse(inputs.membershipsOfGroup, raw);
        permit(caller, 'ListGroupMemberships', input, `group/${input.GroupId}`, 'membership/*');
        const group = groupById(input.GroupId);
        const people = deps.world().people.filter((person) => person.groups.includes(group.name));
        const { items, next } = pageOf(people, input);
        return { GroupMemberships: items.map((person) => membership(group, person)), ...next };
      },
      IsMemberInGroups: (raw, caller) => {
        const input = parse(inputs.isMember, raw);
        permit(caller, 'IsMemberInGroups', input, `user/${input.MemberId.UserId}`, 'membership/*');
        const person = personById(input.MemberId.UserId);
        const Results = input.GroupIds.map((id) => ({
          GroupId: id,
          MemberId: input.MemberId,
          MembershipExists: person.groups.includes(groupById(id).name),
        }));
        return { Results };
      },
    },
  };
};
