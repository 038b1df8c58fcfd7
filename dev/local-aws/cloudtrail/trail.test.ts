/** The event history of local-aws: what it tells, to whom, where and when. */
import { expect, test } from 'vitest';
import { z } from 'zod';
import type { Caller, SignedRequest } from '../service.ts';
import { createTrail } from './trail.ts';

const accountId = '111122223333';
const alice: Caller = {
  accountId,
  arn: `arn:aws:iam::${accountId}:user/alice`,
  userId: 'AIDAALICE',
  entity: { kind: 'user', accountId, name: 'alice' },
  contextKeys: {},
};
const answered = z.object({
  Events: z.array(z.object({ EventName: z.string(), EventTime: z.number(), CloudTrailEvent: z.string() })),
  NextToken: z.string().optional(),
});

const open = () => {
  let now = Date.UTC(2026, 10, 22, 12);
  const asked: unknown[] = [];
  const trail = createTrail({
    state: { role: () => undefined },
    authorise: (_caller, action) => asked.push(action),
    now: () => new Date(now),
    delayMs: () => 300_000,
  });
  const record = (
    about: { service: string; caller: Caller },
    operation: string,
    input: unknown,
    errorCode: string | null,
  ) => trail.record({ ...about, operation, region: 'eu-central-1', input, userAgent: 'cli', errorCode });
  const call = (operation: string, input: unknown, errorCode: string | null = null, caller = alice) =>
    record({ service: 'iam', caller }, operation, input, errorCode);
  const callSsm = (operation: string, input: unknown, errorCode: string | null = null) =>
    record({ service: 'ssm', caller: alice }, operation, input, errorCode);
  const lookUp = async (input: object, region = 'us-east-1', caller = alice) => {
    const request: SignedRequest = {
      ...{ method: 'POST', path: '/', query: new URLSearchParams(), headers: {}, body: Buffer.alloc(0) },
      ...{ now: new Date(now), service: 'cloudtrail', region, requestId: 'r', operation: 'LookupEvents' },
    };
    return answered.parse(await trail.service.operations['LookupEvents']?.(input, caller, request));
  };
  return { call, callSsm, lookUp, asked, pass: (ms: number) => (now += ms) };
};
const about = (AttributeValue: string) => ({ LookupAttributes: [{ AttributeKey: 'ResourceName', AttributeValue }] });

test('an event of IAM is told in us-east-1 after its delay, newest first, in pages', async () => {
  const { call, lookUp, asked, pass } = open();
  for (const operation of ['CreateRole', 'PutRolePolicy', 'TagRole']) {
    call(operation, { RoleName: 'one', PolicyName: 'p' });
    pass(1000);
  }
  expect((await lookUp(about('one'))).Events).toEqual([]);
  pass(300_000);
  const names = async (input: object, region?: string) =>
    (await lookUp(input, region)).Events.map(({ EventName }) => EventName);
  expect(await names(about('one'))).toEqual(['TagRole', 'PutRolePolicy', 'CreateRole']);
  expect(await names(about('one'), 'eu-central-1')).toEqual([]);
  expect(await names(about('another'))).toEqual([]);
  const EndTime = Date.UTC(2026, 10, 22, 12) / 1000 + 1;
  expect(await names({ ...about('one'), EndTime })).toEqual(['PutRolePolicy', 'CreateRole']);
  const first = await lookUp({ ...about('one'), MaxResults: 2 });
  expect(first.Events).toHaveLength(2);
  const rest = await lookUp({ ...about('one'), MaxResults: 2, NextToken: first.NextToken });
  expect(rest).toMatchObject({ Events: [{ EventName: 'CreateRole' }] });
  expect(asked[0]).toMatchObject({
    action: 'cloudtrail:LookupEvents',
    contextKeys: { 'aws:RequestedRegion': ['us-east-1'] },
  });
});

test('it says who, whereto and whether it was refused, and nothing of another account', async () => {
  const { call, lookUp, pass } = open();
  call('UpdateAssumeRolePolicy', { RoleName: 'one', PolicyDocument: '{}' }, 'AccessDenied');
  const stranger = { ...alice, accountId: '999988887777' };
  call('CreateRole', { RoleName: 'one' }, null, stranger);
  pass(300_000);
  const { Events } = await lookUp(about('one'));
  expect(Events).toHaveLength(1);
  expect(JSON.parse(Events[0]?.CloudTrailEvent ?? '')).toMatchObject({
    eventName: 'UpdateAssumeRolePolicy',
    eventTime: '2026-11-22T12:00:00Z',
    awsRegion: 'us-east-1',
    sourceIPAddress: '127.0.0.1',
    errorCode: 'AccessDenied',
    userIdentity: { type: 'IAMUser', arn: alice.arn, userName: 'alice' },
    requestParameters: { roleName: 'one', policyDocument: '{}' },
  });
});

test('AWS-12 what was done to a session document is told in its own region only, by the operation’s name, refused or not', async () => {
  const { callSsm: ssm, lookUp, pass } = open();
  const named = { Name: 'Curfew-Shell-060' };
  ssm('UpdateDocument', { ...named, Content: '{}', DocumentVersion: '$LATEST' });
  ssm('UpdateDocumentDefaultVersion', { ...named, DocumentVersion: '2' });
  ssm('DeleteDocument', named, 'AccessDeniedException');
  pass(300_000);
  const by = (AttributeValue: string) => ({ LookupAttributes: [{ AttributeKey: 'EventName', AttributeValue }] });
  const [updated] = (await lookUp(by('UpdateDocument'), 'eu-central-1')).Events;
  expect(JSON.parse(updated?.CloudTrailEvent ?? '')).toMatchObject({
    eventSource: 'ssm.amazonaws.com',
    eventName: 'UpdateDocument',
    awsRegion: 'eu-central-1',
    requestParameters: { name: 'Curfew-Shell-060', content: '{}', documentVersion: '$LATEST' },
    readOnly: false,
  });
  const [refused] = (await lookUp(by('DeleteDocument'), 'eu-central-1')).Events;
  expect(JSON.parse(refused?.CloudTrailEvent ?? '')).toMatchObject({ errorCode: 'AccessDeniedException' });
  expect((await lookUp(by('UpdateDocument'))).Events).toEqual([]);
  // Nowhere does AWS say that a document is found by its name.
  expect((await lookUp(about('Curfew-Shell-060'), 'eu-central-1')).Events).toEqual([]);
});
