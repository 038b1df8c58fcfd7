/**
 * Who wrote something in AWS, by CloudTrail's event history (threats AWS-12, AWS-13): the management events of the last 90 days, whether or
 * not the account keeps a trail. It knows a call some minutes after it was made (5 as a rule, about 15 at most), takes two lookups a
 * second in an account and region, each by one attribute, and has each region's own events, IAM's only in the region where IAM is (AWS:
 * LookupEvents, CloudTrail user guide).
 */
import { type LookupAttribute, LookupEventsCommand } from '@aws-sdk/client-cloudtrail';
import { z } from 'zod';
import type { Broker } from './broker.ts';

/** One call that was done. */
export type TrailEvent = {
  /** The operation, e.g. `PutRolePolicy`. */
  name: string;
  /** The service, e.g. `iam.amazonaws.com`: some have operations of the same name. */
  source: string;
  at: Date;
  /** Who called: an ARN, or what AWS says instead of one. */
  who: string;
  /** ARN of the role, with its path, whose session it was; null: nobody's. */
  role: string | null;
  /** The address it came from, or an AWS service's name. */
  from: string | null;
  /** What it was about, by the name of the parameter; text only. */
  parameters: Readonly<Record<string, string>>;
};

/**
 * What calls are looked up by, and where: `resource` as events name it (a role's, user's or group's name, a policy's name or ARN), in IAM's
 * region; or the `operation`, in any region.
 */
export type TrailLookup = { resource: string } | { operation: string; region: string };

export type CloudTrail = {
  /**
   * The newest call of this lookup that `wanted` is true of, looked for among the newest 150 of the time.
   * @returns null when there is none, or CloudTrail does not know it yet.
   * @throws AwsProblem when it cannot be asked; `AccessDenied…` where the broker may not.
   */
  newestAbout: (
    accountId: string,
    about: TrailLookup & { from: Date; until: Date },
    wanted: (event: TrailEvent) => boolean,
  ) => Promise<TrailEvent | null>;
};

const mostPages = 3;
const pageSize = 50;

const told = z.object({
  eventName: z.string(),
  eventSource: z.string(),
  eventTime: z.iso.datetime(),
  errorCode: z.string().optional(),
  sourceIPAddress: z.string().optional(),
  requestParameters: z.record(z.string(), z.unknown()).nullish(),
  userIdentity: z.object({
    type: z.string().optional(),
    arn: z.string().optional(),
    principalId: z.string().optional(),
    invokedBy: z.string().optional(),
    sessionContext: z.object({ sessionIssuer: z.object({ arn: z.string().optional() }).optional() }).optional(),
  }),
});

/** Null: a call that AWS refused, or an event of another shape. */
const eventOf = (text: string | undefined): TrailEvent | null => {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text ?? '');
  } catch {
    return null;
  }
  const read = told.safeParse(parsed);
  if (!read.success || read.data.errorCode !== undefined) return null;
  const {
    eventName: name,
    eventSource: source,
    eventTime,
    userIdentity,
    sourceIPAddress,
    requestParameters,
  } = read.data;
  const { arn, invokedBy, principalId, type } = userIdentity;
  return {
    name,
    source,
    at: new Date(eventTime),
    who: arn ?? invokedBy ?? principalId ?? type ?? 'somebody',
    role: userIdentity.sessionContext?.sessionIssuer?.arn ?? null,
    from: sourceIPAddress ?? null,
    parameters: Object.fromEntries(
      Object.entries(requestParameters ?? {}).flatMap(([key, value]) =>
        typeof value === 'string' ? [[key, value]] : [],
      ),
    ),
  };
};

const placeOf = (about: TrailLookup, iamRegion: string): { region: string; by: LookupAttribute } =>
  'resource' in about
    ? { region: iamRegion, by: { AttributeKey: 'ResourceName', AttributeValue: about.resource } }
    : { region: about.region, by: { AttributeKey: 'EventName', AttributeValue: about.operation } };

export const createCloudTrail = (broker: Broker): CloudTrail => ({
  newestAbout: async (accountId, about, wanted) => {
    const { cloudtrail, iamRegion, call } = broker.account(accountId);
    const { region, by } = placeOf(about, iamRegion);
    const send = (command: LookupEventsCommand) => () => cloudtrail(region).send(command);
    let token: string | undefined;
    for (let page = 1; page <= mostPages; page += 1) {
      const command = new LookupEventsCommand({
        LookupAttributes: [by],
        StartTime: about.from,
        EndTime: about.until,
        MaxResults: pageSize,
        ...(token === undefined ? {} : { NextToken: token }),
      });
      const answer = await call('cloudtrail:LookupEvents', 'lookup-events', send(command), region);
      // Newest first.
      for (const { CloudTrailEvent } of answer.Events ?? []) {
        const event = eventOf(CloudTrailEvent);
        if (event !== null && wanted(event)) return event;
      }
      token = answer.NextToken;
      if (token === undefined || token === '') return null;
    }
    return null;
  },
});
