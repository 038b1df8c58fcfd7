/** EC2: DescribeInstances over the world's instances of one account and region. */
import { z } from 'zod';
import { matchesPattern } from './authorization/match-pattern.ts';
import { type Authorise, AwsError, type QueryService } from './service.ts';
import type { WorldInstance } from './world.ts';

const filterValueLimit = 200;

const describeInput = z.object({
  InstanceId: z.array(z.string()).default([]),
  Filter: z.array(z.object({ Name: z.string(), Value: z.array(z.string()).default([]) })).default([]),
  MaxResults: z.coerce.number().int().optional(),
  NextToken: z.string().optional(),
});
type DescribeInput = z.infer<typeof describeInput>;

const invalid = (code: string, message: string): AwsError => new AwsError(code, message, 400);

/** EC2 tells the name as the tag `Name`. */
const tagsOf = (instance: WorldInstance): Record<string, string> => ({ Name: instance.name, ...instance.tags });

/** The values a filter looks at; null for a filter that is not known. */
const filtered = (name: string, instance: WorldInstance): string[] | null => {
  const tags = tagsOf(instance);
  if (name.startsWith('tag:')) {
    const value = tags[name.slice('tag:'.length)];
    return value === undefined ? [] : [value];
  }
  const known: Record<string, string[]> = {
    'instance-id': [instance.id],
    'tag-key': Object.keys(tags),
    'tag-value': Object.values(tags),
    'private-ip-address': [instance.ipAddress],
    'instance-state-name': ['running'],
    'instance-state-code': ['16'],
    platform: instance.platform === 'Windows' ? ['windows'] : [],
    'owner-id': [instance.account],
  };
  return known[name] ?? null;
};

const passes = (instance: WorldInstance, filter: DescribeInput['Filter'][number]): boolean => {
  const values = filtered(filter.Name, instance);
  if (values === null) throw invalid('InvalidParameterValue', `The filter '${filter.Name}' is invalid`);
  return filter.Value.some((pattern) => values.some((value) => matchesPattern(pattern, value, null)));
};

const checkInput = (input: DescribeInput): void => {
  const { InstanceId: ids, MaxResults: most } = input;
  if (most !== undefined && ids.length > 0) {
    throw invalid(
      'InvalidParameterCombination',
      'The parameter instancesSet cannot be used with the parameter maxResults',
    );
  }
  if (most !== undefined && (most < 5 || most > 1000)) {
    throw invalid(
      'InvalidParameterValue',
      `Value ( ${most} ) for parameter maxResults is invalid. Expecting a value between 5 and 1000.`,
    );
  }
  if (input.Filter.reduce((sum, filter) => sum + filter.Value.length, 0) > filterValueLimit) {
    throw invalid(
      'FilterLimitExceeded',
      `The maximum number of filter values specified on a single call is ${filterValueLimit}`,
    );
  }
  const malformed = ids.find((id) => !/^i-(?:[0-9a-f]{8}|[0-9a-f]{17})$/.test(id));
  if (malformed !== undefined) throw invalid('InvalidInstanceID.Malformed', `Invalid id: "${malformed}"`);
};

const checkFound = (ids: string[], all: WorldInstance[]): void => {
  const missing = ids.filter((id) => all.every((instance) => instance.id !== id));
  if (missing.length === 1) {
    throw invalid('InvalidInstanceID.NotFound', `The instance ID '${missing[0]}' does not exist`);
  }
  if (missing.length > 1) {
    throw invalid('InvalidInstanceID.NotFound', `The instance IDs '${missing.join(', ')}' do not exist`);
  }
};

const offsetOf = (token: string | undefined): number => {
  const text = token === undefined ? '0' : Buffer.from(token, 'base64url').toString('utf8');
  if (!/^\d{1,9}$/.test(text)) throw invalid('InvalidNextToken', 'The token is invalid.');
  return Number(text);
};

const described = (instance: WorldInstance) => ({
  instanceId: instance.id,
  instanceState: { code: 16, name: 'running' },
  privateIpAddress: instance.ipAddress,
  platform: instance.platform === 'Windows' ? 'windows' : undefined,
  platformDetails: instance.platform === 'Windows' ? 'Windows' : 'Linux/UNIX',
  placement: { availabilityZone: `${instance.region}a`, tenancy: 'default' },
  tagSet: Object.entries(tagsOf(instance)).map(([key, value]) => ({ key, value })),
});

/** `instances` is asked at every call: the world may change while running. Hybrid nodes (`mi-`) are not EC2's. */
export const createEc2Service = (deps: { instances: () => WorldInstance[]; authorise: Authorise }): QueryService => ({
  service: 'ec2',
  protocol: 'query',
  namespace: 'http://ec2.amazonaws.com/doc/2016-11-15/',
  dialect: 'ec2',
  operations: {
    DescribeInstances: (raw, caller, request) => {
      const contextKeys = { 'ec2:Region': [request.region], 'aws:RequestedRegion': [request.region] };
      deps.authorise(caller, { action: 'ec2:DescribeInstances', resources: [{ arn: '*', contextKeys }] });
      const read = describeInput.safeParse(raw);
      if (!read.success)
        throw invalid('InvalidParameterValue', `Invalid value for ${read.error.issues[0]?.path.join('.')}`);
      const input = read.data;
      checkInput(input);
      const here = deps
        .instances()
        .filter(
          ({ account, region, id }) => account === caller.accountId && region === request.region && id.startsWith('i-'),
        );
      checkFound(input.InstanceId, here);
      const wanted = here.filter(
        (instance) =>
          (input.InstanceId.length === 0 || input.InstanceId.includes(instance.id)) &&
          input.Filter.every((filter) => passes(instance, filter)),
      );
      const from = offsetOf(input.NextToken);
      const end = from + (input.MaxResults ?? 1000);
      return {
        reservationSet: wanted.slice(from, end).map((instance) => ({
          reservationId: instance.id.replace(/^i-/, 'r-'),
          ownerId: instance.account,
          groupSet: [],
          instancesSet: [described(instance)],
        })),
        nextToken: end < wanted.length ? Buffer.from(String(end)).toString('base64url') : undefined,
      };
    },
  },
});
