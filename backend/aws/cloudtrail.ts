/**
 * Who wrote something in IAM, by CloudTrail's event history (threats AWS-13): the management events of the last 90 days, whether or not
 * the account keeps a trail. It knows a call some minutes after it was made (5 as a rule, about 15 at most), takes two lookups a second
 * in an account and region, and has IAM's events only in the region where IAM is (AWS: LookupEvents, CloudTrail user guide).
 */
import { LookupEventsCommand } from '@aws-sdk/client-cloudtrail';
import { z } from 'zod';
import type { Broker } from './broker.ts';

/** One call that was done. */
export type TrailEvent = {
  /** The operation, e.g. `PutRolePolicy`. */
  name: string;
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

export type CloudTrail = {
  /**
   * The newest call about this resource that `wanted` is true of, looked for among the newest 150 of the time.
   * @param about.resource as events name it: a role's, user's or group's name, a policy's name or ARN.
   * @returns null when there is none, or CloudTrail does not know it yet.
   * @throws AwsProblem when it cannot be asked; `AccessDenied…` where the broker may not.
   */
  newestAbout: (
    accountId: string,
    about: { resource: string; from: Date; until: Date },
    wanted: (event: TrailEvent) => boolean,
  ) => Promise<TrailEvent | null>;
};

const mostPages = 3;
const pageSize = 50;

const told = z.object({
  eventName: z.string(),
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
  const { eventName: name, eventTime, userIdentity, sourceIPAddress, requestParameters } = read.data;
  const { arn, invokedBy, principalId, type } = userIdentity;
  return {
    name,
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

export const createCloudTrail = (broker: Broker): CloudTrail => ({
  newestAbout: async (accountId, { resource, from, until }, wanted) => {
    const { cloudtrail, call } = broker.account(accountId);
    let token: string | undefined;
    for (let page = 1; page <= mostPages; page += 1) {
      const command = new LookupEventsCommand({
        LookupAttributes: [{ AttributeKey: 'ResourceName', AttributeValue: resource }],
        StartTime: from,
        EndTime: until,
        MaxResults: pageSize,
        ...(token === undefined ? {} : { NextToken: token }),
      });
      const answer = await call('cloudtrail:LookupEvents', 'lookup-events', () => cloudtrail().send(command));
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
