/** DescribeInstanceInformation and ListTagsForResource over the world's instances (aws-facts 7). */
import { z } from 'zod';
import { AwsError } from '../service.ts';
import type { World, WorldInstance } from '../world.ts';
import { epochSeconds, pageOf, parseInput } from './input.ts';

const describeInput = z.object({
  Filters: z.array(z.object({ Key: z.string().min(1), Values: z.array(z.string()).min(1).max(100) })).default([]),
  /** The older form, with keys in the singular of the enumeration. */
  InstanceInformationFilterList: z
    .array(z.object({ key: z.string().min(1), valueSet: z.array(z.string()).min(1).max(100) }))
    .default([]),
  MaxResults: z.int().min(5).max(50).default(10),
  NextToken: z.string().optional(),
});

const kindOf = (instance: WorldInstance): 'EC2Instance' | 'ManagedInstance' =>
  instance.id.startsWith('mi-') ? 'ManagedInstance' : 'EC2Instance';

const pingOf = (instance: WorldInstance): string => (instance.online ? 'Online' : 'ConnectionLost');

type Filter = { key: string; values: string[] };

/** What an instance has under a filter's key. */
const fieldOf = (instance: WorldInstance, key: string): string[] => {
  const fields: Record<string, string[]> = {
    InstanceIds: [instance.id],
    PingStatus: [pingOf(instance)],
    PlatformType: [instance.platform],
    PlatformTypes: [instance.platform],
    AgentVersion: [instance.agentVersion],
    ResourceType: [kindOf(instance)],
    SourceIds: [instance.id],
    SourceTypes: ['AWS::EC2::Instance'],
    ActivationIds: [],
    AssociationStatus: [],
    IamRole: [],
    'tag-key': Object.keys(instance.tags),
  };
  if (key.startsWith('tag:')) {
    const value = instance.tags[key.slice('tag:'.length)];
    return value === undefined ? [] : [value];
  }
  const values = fields[key];
  if (values === undefined) throw new AwsError('InvalidFilterKey', 'The specified key is not valid.');
  return values;
};

const isTagFilter = (filter: Filter): boolean => filter.key.startsWith('tag');

const filtersOf = (input: z.infer<typeof describeInput>): Filter[] => {
  const { Filters, InstanceInformationFilterList: older } = input;
  if (Filters.length > 0 && older.length > 0) {
    throw new AwsError('ValidationException', 'Use either Filters or InstanceInformationFilterList, not both.');
  }
  const filters = [
    ...Filters.map((one) => ({ key: one.Key, values: one.Values })),
    ...older.map((one) => ({ key: one.key, values: one.valueSet })),
  ];
  if (filters.some(isTagFilter) && !filters.every(isTagFilter)) {
    throw new AwsError('ValidationException', 'Tag filters cannot be combined with other filters.');
  }
  return filters;
};

/** @param lastSeen when nodes that do not answer were last heard of. @throws AwsError */
export const describeInstanceInformation = (
  input: unknown,
  from: { world: World; accountId: string; region: string; now: Date; lastSeen: Date },
) => {
  const wanted = parseInput(describeInput, input);
  const filters = filtersOf(wanted);
  const found = from.world.instances
    .filter((one) => one.account === from.accountId && one.region === from.region)
    .filter((one) => filters.every(({ key, values }) => fieldOf(one, key).some((value) => values.includes(value))))
    .sort((one, other) => (one.id < other.id ? -1 : 1));
  const { items, NextToken } = pageOf(found, wanted.MaxResults, wanted.NextToken);
  return {
    InstanceInformationList: items.map((one) => ({
      InstanceId: one.id,
      PingStatus: pingOf(one),
      LastPingDateTime: epochSeconds(one.online ? from.now : from.lastSeen),
      AgentVersion: one.agentVersion,
      IsLatestVersion: true,
      PlatformType: one.platform,
      PlatformName: one.platformName,
      PlatformVersion: one.platformVersion,
      ResourceType: kindOf(one),
      IPAddress: one.ipAddress,
      SourceId: one.id,
      ...(kindOf(one) === 'ManagedInstance'
        ? {
            Name: one.name,
            ComputerName: one.name,
            IamRole: 'service-role/AmazonEC2RunCommandRoleForManagedInstances',
            SourceType: 'AWS::SSM::ManagedInstance',
          }
        : {
            ComputerName: `ip-${one.ipAddress.replaceAll('.', '-')}.${one.region}.compute.internal`,
            SourceType: 'AWS::EC2::Instance',
          }),
    })),
    NextToken,
  };
};

const tagsInput = z.object({ ResourceType: z.string(), ResourceId: z.string() });

/** Tags of a hybrid node; those of EC2 instances are EC2's. @throws AwsError InvalidResourceType, InvalidResourceId */
export const listTagsForResource = (input: unknown, from: { world: World; accountId: string; region: string }) => {
  const wanted = parseInput(tagsInput, input);
  if (wanted.ResourceType !== 'ManagedInstance') {
    throw new AwsError('InvalidResourceType', `local-aws knows no tags of a ${wanted.ResourceType}.`);
  }
  const found = from.world.instances.find(
    (one) =>
      one.id === wanted.ResourceId &&
      one.account === from.accountId &&
      one.region === from.region &&
      kindOf(one) === 'ManagedInstance',
  );
  if (!found) throw new AwsError('InvalidResourceId', 'The resource ID is not valid.');
  return { TagList: Object.entries(found.tags).map(([Key, Value]) => ({ Key, Value })) };
};
