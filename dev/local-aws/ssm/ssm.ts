/**
 * Systems Manager as Curfew and its session client use it: inventory, sessions, session documents (aws-facts 4 to 8).
 * Every operation is authorised on the resources that AWS names for it, before it looks whether they exist.
 */
import { z } from 'zod';
import {
  type Action,
  type Authorise,
  AwsError,
  type Caller,
  type JsonService,
  type SignedRequest,
} from '../service.ts';
import type { SessionHost } from '../session-host/host-types.ts';
import type { World, WorldInstance } from '../world.ts';
import { epochSeconds, type Place, pageOf, parseInput, placeOf } from './input.ts';
import { describeInstanceInformation, listTagsForResource } from './instance-information.ts';
import { createSessionDocuments, documentArn } from './session-documents.ts';
import { newSessionId, type SessionRecord, type SessionTable } from './session-table.ts';

const startInput = z.object({
  Target: z.string().min(1).max(400),
  DocumentName: z
    .string()
    .regex(/^[a-zA-Z0-9_\-.:/]{3,128}$/)
    .default('SSM-SessionManagerRunShell'),
  Reason: z.string().min(1).max(256).optional(),
  Parameters: z.record(z.string(), z.array(z.string())).optional(),
});
const sessionInput = z.object({ SessionId: z.string().min(1).max(96) });
const statusInput = z.object({ Target: z.string().min(1).max(400) });
const filterKeys = ['InvokedAfter', 'InvokedBefore', 'Target', 'Owner', 'Status', 'SessionId', 'AccessType'];
const sessionsInput = z.object({
  State: z.enum(['Active', 'History']),
  MaxResults: z.int().min(1).max(200).default(200),
  NextToken: z.string().optional(),
  Filters: z
    .array(z.object({ key: z.string(), value: z.string().min(1).max(400) }))
    .min(1)
    .max(6)
    .default([]),
});

/** The ARN is built from the place of the call: an id of another account or region is simply not there. */
const targetArn = ({ accountId, region }: Place, target: string): string =>
  target.startsWith('mi-')
    ? `arn:aws:ssm:${region}:${accountId}:managed-instance/${target}`
    : `arn:aws:ec2:${region}:${accountId}:instance/${target}`;

const tagKeys = (tags: Record<string, string>): Record<string, string[]> =>
  Object.fromEntries(
    Object.entries(tags).flatMap(([key, value]) => [
      [`aws:ResourceTag/${key}`, [value]],
      [`ssm:resourceTag/${key}`, [value]],
    ]),
  );

/** What becomes visible of a session in DescribeSessions. */
const described = (session: SessionRecord, status: string) => ({
  SessionId: session.sessionId,
  Target: session.target,
  Status: status,
  StartDate: epochSeconds(session.startedAt),
  EndDate: session.endedAt ? epochSeconds(session.endedAt) : undefined,
  DocumentName: session.documentName,
  Owner: session.owner,
  Reason: session.reason ?? undefined,
  Details: session.details ?? undefined,
  OutputUrl: {},
  MaxSessionDuration: String(session.maxSessionMinutes),
  AccessType: 'Standard',
});

/** @param streamBase where the data channel is: `ws://127.0.0.1:<port>`, asked at each start. */
export const createSsm = (options: {
  world: World;
  host: SessionHost;
  sessions: SessionTable;
  authorise: Authorise;
  streamBase: () => string;
  now: () => Date;
}): JsonService => {
  const { world, host, sessions, authorise, now } = options;
  const startedAt = now();
  const documents = createSessionDocuments({ world, authorise, now });

  const instanceAt = (place: Place, id: string): WorldInstance | undefined =>
    world.instances.find((one) => one.id === id && one.account === place.accountId && one.region === place.region);

  const targetResource = (place: Place, target: string): Action['resources'][number] => ({
    arn: targetArn(place, target),
    contextKeys: {
      'ssm:SessionDocumentAccessCheck': ['true'],
      ...tagKeys(instanceAt(place, target)?.tags ?? {}),
    },
  });

  const anywhere = ({ accountId, region }: Place): Action['resources'] => [
    { arn: `arn:aws:ssm:${region}:${accountId}:*` },
  ];

  /** Resume and terminate are judged on the session and its tags (aws-facts 4.3, 4.4). */
  const authoriseOnSession = (
    caller: Caller,
    place: Place,
    action: string,
    sessionId: string,
  ): SessionRecord | undefined => {
    const session = sessions.find(place, sessionId);
    const tags = session
      ? { 'aws:ssmmessages:target-id': session.target, 'aws:ssmmessages:session-id': session.ownerUserId }
      : {};
    authorise(caller, {
      action,
      resources: [
        { arn: `arn:aws:ssm:${place.region}:${place.accountId}:session/${sessionId}`, contextKeys: tagKeys(tags) },
      ],
    });
    return session;
  };

  const streamUrl = (sessionId: string): string =>
    `${options.streamBase()}/v1/data-channel/${sessionId}?role=publish_subscribe`;

  const startSession = (input: unknown, caller: Caller, request: SignedRequest) => {
    const wanted = parseInput(startInput, input);
    const place = placeOf(caller, request);
    const contextKeys = { 'ssm:SessionDocumentAccessCheck': ['true'] };
    authorise(caller, {
      action: 'ssm:StartSession',
      resources: [targetResource(place, wanted.Target), { arn: documentArn(place, wanted.DocumentName), contextKeys }],
    });
    const document = documents.at(place, wanted.DocumentName);
    const instance = instanceAt(place, wanted.Target);
    if (!instance?.online) throw new AwsError('TargetNotConnected', `${wanted.Target} is not connected.`);
    const session: SessionRecord = {
      sessionId: newSessionId(caller.userId.split(':')[1] ?? caller.entity.name),
      ...place,
      target: instance.id,
      documentName: document.name,
      owner: caller.arn,
      ownerUserId: caller.userId,
      reason: wanted.Reason ?? null,
      maxSessionMinutes: document.maxSessionMinutes,
      startedAt: now(),
      phase: 'open',
      endedAt: null,
      details: null,
      failed: false,
      everConnected: false,
    };
    sessions.add(session);
    const { tokenValue } = host.open({
      sessionId: session.sessionId,
      instance: { instanceId: instance.id, name: instance.name, ...place },
      documentName: document.name,
      maxSessionMinutes: document.maxSessionMinutes,
      owner: caller.arn,
      ...(instance.shell === undefined ? {} : { shell: instance.shell }),
    });
    return { SessionId: session.sessionId, TokenValue: tokenValue, StreamUrl: streamUrl(session.sessionId) };
  };

  const resumeSession = (input: unknown, caller: Caller, request: SignedRequest) => {
    const { SessionId } = parseInput(sessionInput, input);
    const session = authoriseOnSession(caller, placeOf(caller, request), 'ssm:ResumeSession', SessionId);
    if (!session) throw new AwsError('DoesNotExistException', `Session ${SessionId} does not exist.`);
    const renewed = session.phase === 'open' ? host.renewToken(SessionId) : null;
    // A session that is over answers without a token: clients read that as "timed out" (ssm-protocol 1).
    return renewed
      ? { SessionId, TokenValue: renewed.tokenValue, StreamUrl: streamUrl(SessionId) }
      : { SessionId, StreamUrl: streamUrl(SessionId) };
  };

  const terminateSession = (input: unknown, caller: Caller, request: SignedRequest) => {
    const { SessionId } = parseInput(sessionInput, input);
    const session = authoriseOnSession(caller, placeOf(caller, request), 'ssm:TerminateSession', SessionId);
    if (!session) throw new AwsError('DoesNotExistException', `Session ${SessionId} does not exist.`);
    sessions.terminate(session);
    return { SessionId };
  };

  const filterValue = (session: SessionRecord, key: string): string => {
    const values: Record<string, string> = {
      Target: session.target,
      Owner: session.owner,
      Status: sessions.statusOf(session),
      SessionId: session.sessionId,
      AccessType: 'Standard',
    };
    return values[key] ?? '';
  };

  const passes = (session: SessionRecord, { key, value }: { key: string; value: string }): boolean => {
    if (key === 'InvokedAfter') return session.startedAt.getTime() >= Date.parse(value);
    if (key === 'InvokedBefore') return session.startedAt.getTime() <= Date.parse(value);
    return filterValue(session, key) === value;
  };

  const describeSessions = (input: unknown, caller: Caller, request: SignedRequest) => {
    const wanted = parseInput(sessionsInput, input);
    const place = placeOf(caller, request);
    authorise(caller, { action: 'ssm:DescribeSessions', resources: anywhere(place) });
    if (wanted.Filters.some(({ key }) => !filterKeys.includes(key))) {
      throw new AwsError('InvalidFilterKey', 'The specified key is not valid.');
    }
    const found = sessions
      .list(place)
      .filter((one) => sessions.isActive(one) === (wanted.State === 'Active'))
      .filter((one) => wanted.Filters.every((filter) => passes(one, filter)));
    const { items, NextToken } = pageOf(found, wanted.MaxResults, wanted.NextToken);
    return { Sessions: items.map((one) => described(one, sessions.statusOf(one))), NextToken };
  };

  const getConnectionStatus = (input: unknown, caller: Caller, request: SignedRequest) => {
    const { Target } = parseInput(statusInput, input);
    const place = placeOf(caller, request);
    authorise(caller, { action: 'ssm:GetConnectionStatus', resources: [targetResource(place, Target)] });
    return { Target, Status: instanceAt(place, Target)?.online === true ? 'connected' : 'notconnected' };
  };

  return {
    service: 'ssm',
    protocol: 'json',
    operations: {
      StartSession: startSession,
      ResumeSession: resumeSession,
      TerminateSession: terminateSession,
      DescribeSessions: describeSessions,
      GetConnectionStatus: getConnectionStatus,
      DescribeInstanceInformation: (input, caller, request) => {
        const place = placeOf(caller, request);
        authorise(caller, { action: 'ssm:DescribeInstanceInformation', resources: anywhere(place) });
        const lastSeen = new Date(startedAt.getTime() - 2 * 3600 * 1000);
        return describeInstanceInformation(input, { world, ...place, now: now(), lastSeen });
      },
      ListTagsForResource: (input, caller, request) => {
        const place = placeOf(caller, request);
        authorise(caller, { action: 'ssm:ListTagsForResource', resources: anywhere(place) });
        return listTagsForResource(input, { world, ...place });
      },
      ...documents.operations,
    },
  };
};
