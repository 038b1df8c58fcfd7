/**
 * CloudTrail's event history as far as Curfew reads it: every signed call is recorded with who, what, whereto and when, can be looked up
 * by the name of a resource some time after it was made, and only in its own region. Those of IAM and STS are in us-east-1.
 */
import { randomUUID } from 'node:crypto';
import { z } from 'zod';
import { holderArn, type IamState } from '../iam/state.ts';
import { type Authorise, AwsError, type Caller, type JsonService } from '../service.ts';

/** A signed call that was authorised or refused, after it was done. */
export type TrailCall = {
  service: string;
  operation: string;
  region: string;
  caller: Caller;
  /** As the service got it. */
  input: unknown;
  userAgent: string;
  /** The code of AWS's refusal; null: it was done. */
  errorCode: string | null;
};

type Recorded = TrailCall & { id: string; at: Date };

const keptEvents = 5_000;
const globalServices: ReadonlySet<string> = new Set(['iam', 'sts']);
const readOnly = /^(Get|List|Describe|Lookup|Simulate)/;

const lookupInput = z.object({
  LookupAttributes: z
    .array(
      z.object({
        AttributeKey: z.enum(['ResourceName', 'EventName', 'Username', 'EventId', 'EventSource', 'ReadOnly']),
        AttributeValue: z.string().max(2000),
      }),
    )
    .max(1)
    .default([]),
  // Seconds since 1970, as the JSON protocol writes them.
  StartTime: z.number().optional(),
  EndTime: z.number().optional(),
  MaxResults: z.int().min(1).max(50).default(50),
  NextToken: z.string().optional(),
});

const asRecord = (value: unknown): Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? Object.fromEntries(Object.entries(value)) : {};

/** `RoleName` is `roleName` in an event. */
const parametersOf = (input: unknown): Record<string, unknown> =>
  Object.fromEntries(
    Object.entries(asRecord(input)).map(([name, value]) => [name.charAt(0).toLowerCase() + name.slice(1), value]),
  );

const resourceTypes: Record<string, string> = {
  roleName: 'AWS::IAM::Role',
  userName: 'AWS::IAM::User',
  groupName: 'AWS::IAM::Group',
  policyName: 'AWS::IAM::Policy',
  policyArn: 'AWS::IAM::Policy',
};
const resourcesOf = (parameters: Record<string, unknown>) =>
  Object.entries(resourceTypes).flatMap(([name, ResourceType]) => {
    const ResourceName = parameters[name];
    return typeof ResourceName === 'string' ? [{ ResourceType, ResourceName }] : [];
  });

const secondsOf = (at: Date): number => Math.floor(at.getTime() / 1000);

export type Trail = {
  record: (call: TrailCall) => void;
  service: JsonService;
};

/** @param deps.delayMs how long after a call it can be looked up; some five minutes in AWS, fifteen at most. */
export const createTrail = (deps: {
  state: Pick<IamState, 'role'>;
  authorise: Authorise;
  now: () => Date;
  delayMs: () => number;
}): Trail => {
  const { state, authorise, now, delayMs } = deps;
  const events: Recorded[] = [];

  const identityOf = ({ arn, userId, accountId, entity }: Caller) => {
    const known = { principalId: userId, arn, accountId };
    if (entity.kind === 'user') return { type: 'IAMUser', ...known, userName: entity.name };
    const role = state.role(entity.accountId, entity.name);
    const sessionIssuer = {
      type: 'Role',
      principalId: userId.split(':')[0] ?? '',
      arn: role === undefined ? `arn:aws:iam::${entity.accountId}:role/${entity.name}` : holderArn(role),
      accountId: entity.accountId,
      userName: entity.name,
    };
    return { type: 'AssumedRole', ...known, sessionContext: { sessionIssuer } };
  };
  const regionOf = ({ service, region }: TrailCall): string => (globalServices.has(service) ? 'us-east-1' : region);
  const shown = (event: Recorded) => {
    const requestParameters = parametersOf(event.input);
    const eventTime = event.at.toISOString().replace(/\.\d{3}Z$/, 'Z');
    const whole = {
      eventVersion: '1.11',
      userIdentity: identityOf(event.caller),
      eventTime,
      eventSource: `${event.service}.amazonaws.com`,
      eventName: event.operation,
      awsRegion: regionOf(event),
      sourceIPAddress: '127.0.0.1',
      userAgent: event.userAgent,
      ...(event.errorCode === null ? {} : { errorCode: event.errorCode }),
      requestParameters,
      responseElements: null,
      eventID: event.id,
      readOnly: readOnly.test(event.operation),
      eventType: 'AwsApiCall',
      managementEvent: true,
      recipientAccountId: event.caller.accountId,
      eventCategory: 'Management',
    };
    return {
      EventId: event.id,
      EventName: event.operation,
      EventSource: whole.eventSource,
      EventTime: secondsOf(event.at),
      ReadOnly: String(whole.readOnly),
      Username: event.caller.arn.split('/').at(-1) ?? '',
      Resources: resourcesOf(requestParameters),
      CloudTrailEvent: JSON.stringify(whole),
    };
  };
  type Shown = ReturnType<typeof shown>;
  const fits = (
    event: Shown,
    { AttributeKey: key, AttributeValue: value }: { AttributeKey: string; AttributeValue: string },
  ) => {
    if (key === 'ResourceName') return event.Resources.some(({ ResourceName }) => ResourceName === value);
    return Object.entries(event).some(([name, one]) => name.toLowerCase() === key.toLowerCase() && one === value);
  };

  return {
    record(call) {
      events.push({ ...call, id: randomUUID(), at: now() });
      if (events.length > keptEvents) events.splice(0, events.length - keptEvents);
    },
    service: {
      service: 'cloudtrail',
      protocol: 'json',
      operations: {
        LookupEvents: (raw, caller, { region }) => {
          const contextKeys = { 'aws:RequestedRegion': [region] };
          authorise(caller, { action: 'cloudtrail:LookupEvents', resources: [{ arn: '*' }], contextKeys });
          const read = lookupInput.safeParse(raw);
          if (!read.success) throw new AwsError('InvalidLookupAttributesException', 'The lookup is not a valid one.');
          const { LookupAttributes, StartTime = 0, EndTime = Number.POSITIVE_INFINITY, MaxResults } = read.data;
          const delivered = now().getTime() - delayMs();
          const found = events
            .filter((event) => event.caller.accountId === caller.accountId && regionOf(event) === region)
            .filter(({ at }) => at.getTime() <= delivered && secondsOf(at) >= StartTime && secondsOf(at) <= EndTime)
            .map(shown)
            .filter((event) => LookupAttributes.every((wanted) => fits(event, wanted)))
            .reverse();
          const from = Number(read.data.NextToken ?? 0);
          if (!Number.isInteger(from)) throw new AwsError('InvalidNextTokenException', 'The token is not one of ours.');
          const end = from + MaxResults;
          return { Events: found.slice(from, end), ...(end < found.length ? { NextToken: String(end) } : {}) };
        },
      },
    },
  };
};
