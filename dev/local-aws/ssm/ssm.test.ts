import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Sha256 } from '@aws-crypto/sha256-js';
import { DeleteRolePolicyCommand, type IAMClient, PutRolePolicyCommand } from '@aws-sdk/client-iam';
import {
  CreateDocumentCommand,
  DeleteDocumentCommand,
  DescribeDocumentCommand,
  DescribeInstanceInformationCommand,
  DescribeSessionsCommand,
  GetConnectionStatusCommand,
  GetDocumentCommand,
  ListTagsForResourceCommand,
  ResumeSessionCommand,
  SSMClient,
  StartSessionCommand,
  TerminateSessionCommand,
  UpdateDocumentCommand,
  UpdateDocumentDefaultVersionCommand,
} from '@aws-sdk/client-ssm';
import { HttpRequest } from '@smithy/protocol-http';
import { SignatureV4 } from '@smithy/signature-v4';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { type LocalAws, startLocalAws } from '../start.ts';
import {
  asBroker,
  asPerson,
  assumeRole,
  type Credentials,
  iamClient,
  keysOf,
  makePersonalRole,
} from '../testing/act-as.ts';

const folder = mkdtempSync(path.join(tmpdir(), 'local-aws-ssm-'));
const prod = '482011773306';
const region = 'eu-central-1';
const api1 = 'i-0f3a9c1d7b24e8a61';
const api2 = 'i-05d81b70c9e3f4a22';
const custody = 'i-0d92f6c3b8e4a1705';
const offline = 'mi-0a57c2be9d13f4680';
const mira = 'mira.okafor@harborline.example';
const kofi = 'kofi.vance@harborline.example';

type Actor = { role: Awaited<ReturnType<typeof makePersonalRole>>; credentials: Credentials; ssm: SSMClient };
let aws: LocalAws;
let broker: SSMClient;
let brokerIam: IAMClient;
let me: Actor;

const ssmOf = (credentials: Credentials, where = region) =>
  new SSMClient({ region: where, endpoint: aws.endpoint, credentials, maxAttempts: 1 });

const become = async (userName: string): Promise<Actor> => {
  const role = await makePersonalRole(aws, userName, prod);
  const credentials = await assumeRole(aws, await asPerson(aws, userName, { accountId: prod }), role);
  return { role, credentials, ssm: ssmOf(credentials) };
};

type Allowed = { instances: string[]; document?: string; until?: string; resumeOn?: string[] };
const arnOf = (id: string) =>
  id.startsWith('mi-')
    ? `arn:aws:ssm:${region}:${prod}:managed-instance/${id}`
    : `arn:aws:ec2:${region}:${prod}:instance/${id}`;
const put = (
  actor: Actor,
  { instances, document = 'Curfew-Shell-015', until = '2099-01-01T00:00:00Z', resumeOn = instances }: Allowed,
) =>
  brokerIam.send(
    new PutRolePolicyCommand({
      RoleName: actor.role.name,
      PolicyName: 'curfew-access',
      PolicyDocument: JSON.stringify({
        Version: '2012-10-17',
        Statement: [
          { Effect: 'Allow', Action: 'ssmmessages:OpenDataChannel', Resource: '*' },
          {
            Effect: 'Allow',
            Action: 'ssm:TerminateSession',
            Resource: `arn:aws:ssm:*:${prod}:session/${actor.role.sessionName}-*`,
          },
          {
            Effect: 'Allow',
            Action: ['ssm:StartSession', 'ssm:GetConnectionStatus'],
            Resource: [...instances.map(arnOf), `arn:aws:ssm:${region}:${prod}:document/${document}`],
            Condition: {
              BoolIfExists: { 'ssm:SessionDocumentAccessCheck': 'true' },
              DateLessThan: { 'aws:CurrentTime': until },
            },
          },
          {
            Effect: 'Allow',
            Action: 'ssm:ResumeSession',
            Resource: `arn:aws:ssm:${region}:${prod}:session/${actor.role.sessionName}-*`,
            Condition: { StringLike: { 'ssm:resourceTag/aws:ssmmessages:target-id': resumeOn } },
          },
        ],
      }),
    }),
  );

const start = (actor: Actor, target: string, document = 'Curfew-Shell-015') =>
  actor.ssm.send(new StartSessionCommand({ Target: target, DocumentName: document, Reason: 'Curfew grt_test' }));
const failure = (promise: Promise<unknown>): Promise<Error> =>
  promise.then(
    () => new Error('it was allowed'),
    (error: unknown) => (error instanceof Error ? error : new Error(String(error))),
  );
const eventually = async (what: () => Promise<boolean> | boolean): Promise<void> => {
  for (let tries = 0; tries < 200; tries++) {
    if (await what()) return;
    await sleep(25);
  }
  throw new Error('It never came to that');
};
const statusOf = (sessionId: string | undefined) =>
  aws.control.sessions().find((one) => one.sessionId === sessionId)?.status;

beforeAll(async () => {
  aws = await startLocalAws({
    worldFile: path.join(import.meta.dirname, '../world.yml'),
    stateFile: null,
    port: 0,
    runFolder: path.join(folder, 'run'),
  });
  aws.control.changeSettings({ spreadingDelayMs: 0, rateLimits: false });
  const brokerCredentials = await asBroker(aws, prod);
  broker = ssmOf(brokerCredentials);
  brokerIam = iamClient(aws, brokerCredentials);
  me = await become(mira);
});
beforeEach(async () => {
  aws.control.reset();
  aws.control.changeSettings({ spreadingDelayMs: 0, rateLimits: false });
  await put(me, { instances: [api1] });
});
afterAll(async () => {
  await aws.close();
  rmSync(folder, { recursive: true, force: true });
});

describe('StartSession', () => {
  it('opens exactly the allowed instance with the allowed document', async () => {
    const session = await start(me, api1);
    expect(session.SessionId).toMatch(new RegExp(`^${me.role.sessionName.replaceAll('.', '\\.')}-[a-z0-9]{26}$`));
    expect(session.StreamUrl).toBe(
      `${aws.endpoint.replace('http', 'ws')}/v1/data-channel/${session.SessionId}?role=publish_subscribe`,
    );
    expect(session.TokenValue?.length).toBeLessThanOrEqual(300);

    const owner = `arn:aws:sts::${prod}:assumed-role/${me.role.name}/${me.role.sessionName}`;
    const other = await failure(start(me, api2));
    expect(other.name).toBe('AccessDeniedException');
    expect(other.message).toBe(
      `User: ${owner} is not authorized to perform: ssm:StartSession on resource: ${arnOf(api2)} because no identity-based policy allows the ssm:StartSession action`,
    );
    const longer = await failure(start(me, api1, 'Curfew-Shell-720'));
    expect([longer.name, longer.message.includes(`:document/Curfew-Shell-720 because no identity-based`)]).toEqual([
      'AccessDeniedException',
      true,
    ]);
    const preferences = await failure(me.ssm.send(new StartSessionCommand({ Target: api1 })));
    expect(preferences.message).toContain('document/SSM-SessionManagerRunShell');
  });

  it('ends with the date in the access policy', async () => {
    await put(me, { instances: [api1], until: new Date(Date.now() - 1000).toISOString().replace(/\.\d+/, '') });
    expect((await failure(start(me, api1))).name).toBe('AccessDeniedException');
  });

  it('never opens a fenced node, whatever the access policy says', async () => {
    await put(me, { instances: [custody] });
    const fenced = await failure(start(me, custody));
    expect(fenced.message).toContain('with an explicit deny in a permissions boundary');
  });

  it('knows nodes that do not answer, other regions and missing documents', async () => {
    await put(me, { instances: [offline, api1], document: 'Curfew-Shell-*' });
    const notThere = await failure(start(me, offline));
    expect([notThere.name, notThere.message]).toEqual(['TargetNotConnected', `${offline} is not connected.`]);
    expect((await failure(start(me, api1, 'Curfew-Shell-999'))).name).toBe('InvalidDocument');
    const elsewhere = ssmOf(me.credentials, 'eu-west-1');
    const document = { Target: api1, DocumentName: 'Curfew-Shell-015' };
    expect((await failure(elsewhere.send(new StartSessionCommand(document)))).name).toBe('AccessDeniedException');
    aws.control.changeInstance({ id: api1, online: false });
    expect((await failure(start(me, api1))).name).toBe('TargetNotConnected');
    const { Status } = await me.ssm.send(new GetConnectionStatusCommand({ Target: api1 }));
    expect(Status).toBe('notconnected');
    aws.control.changeInstance({ id: api1, online: true });
  });

  it('AWS-07 is denied to the broker', async () => {
    const denied = await failure(
      broker.send(new StartSessionCommand({ Target: api1, DocumentName: 'Curfew-Shell-015' })),
    );
    expect(denied.message).toContain('with an explicit deny in an identity-based policy');
  });

  it('is not seen before IAM has spread, and not after the removal has', async () => {
    aws.control.changeSettings({ spreadingDelayMs: 800 });
    await put(me, { instances: [api1, api2] });
    expect((await failure(me.ssm.send(new GetConnectionStatusCommand({ Target: api2 })))).name).toBe(
      'AccessDeniedException',
    );
    await sleep(850);
    expect((await me.ssm.send(new GetConnectionStatusCommand({ Target: api2 }))).Status).toBe('connected');
    await brokerIam.send(new DeleteRolePolicyCommand({ RoleName: me.role.name, PolicyName: 'curfew-access' }));
    expect((await start(me, api2)).SessionId).toBeDefined();
    await sleep(850);
    expect((await failure(start(me, api2))).name).toBe('AccessDeniedException');
  });
});

describe('the data channel', () => {
  const dial = async (streamUrl: string | undefined, credentials: Credentials | null): Promise<WebSocket | number> => {
    const url = new URL(streamUrl ?? 'ws://nowhere');
    let headers: Record<string, string> = {};
    if (credentials) {
      const signer = new SignatureV4({ service: 'ssmmessages', region, credentials, sha256: Sha256 });
      const request = new HttpRequest({
        method: 'GET',
        hostname: url.hostname,
        path: url.pathname,
        query: Object.fromEntries(url.searchParams),
        headers: { host: url.host },
      });
      ({ headers } = await signer.sign(request));
    }
    const socket = new WebSocket(url, { headers });
    return new Promise((resolve, reject) => {
      socket.once('open', () => resolve(socket));
      socket.once('unexpected-response', (_request, response) => resolve(response.statusCode ?? 0));
      socket.once('error', reject);
    });
  };

  it('opens for the owner of the session only, signed, and shows as Connected', async () => {
    const session = await start(me, api1);
    expect(statusOf(session.SessionId)).toBe('Connecting');
    expect(await dial(session.StreamUrl, null)).toBe(403);
    const stranger = await asPerson(aws, kofi, { accountId: prod });
    expect(await dial(session.StreamUrl, stranger)).toBe(403);
    expect(await dial(session.StreamUrl, { ...me.credentials, secretAccessKey: 'wrong' })).toBe(403);

    const socket = await dial(session.StreamUrl, me.credentials);
    if (typeof socket === 'number') throw new Error(`The gateway said ${socket}`);
    socket.on('error', () => undefined);
    const token = {
      MessageSchemaVersion: '1.0',
      RequestId: crypto.randomUUID(),
      ClientId: crypto.randomUUID(),
      TokenValue: session.TokenValue,
    };
    socket.send(JSON.stringify(token));
    await eventually(() => statusOf(session.SessionId) === 'Connected');
    aws.control.drop({ sessionId: session.SessionId });
    await eventually(() => statusOf(session.SessionId) === 'Disconnected');

    const resumed = await me.ssm.send(new ResumeSessionCommand({ SessionId: session.SessionId }));
    expect(resumed.StreamUrl).toBe(session.StreamUrl);
    expect(resumed.TokenValue).not.toBe(session.TokenValue);
    await put(me, { instances: [api1], resumeOn: [api2] });
    const refused = await failure(me.ssm.send(new ResumeSessionCommand({ SessionId: session.SessionId })));
    expect(refused.name).toBe('AccessDeniedException');
  });
});

describe('sessions', () => {
  it('are found by owner and target, page by page, and end for ever', async () => {
    // What earlier tests left may still be on its way out.
    await eventually(() => aws.control.sessions().every((one) => one.status === 'Terminated'));
    await put(me, { instances: [api1, api2] });
    const first = await start(me, api1);
    const second = await start(me, api2);
    const owner = `arn:aws:sts::${prod}:assumed-role/${me.role.name}/${me.role.sessionName}`;
    const byOwner = { State: 'Active' as const, Filters: [{ key: 'Owner' as const, value: owner }] };
    const page = await broker.send(new DescribeSessionsCommand({ ...byOwner, MaxResults: 1 }));
    const rest = await broker.send(
      new DescribeSessionsCommand({ ...byOwner, MaxResults: 1, NextToken: page.NextToken }),
    );
    expect([page.Sessions?.[0]?.SessionId, rest.Sessions?.[0]?.SessionId, rest.NextToken]).toEqual([
      second.SessionId,
      first.SessionId,
      undefined,
    ]);
    expect(page.Sessions?.[0]).toMatchObject({
      Target: api2,
      Owner: owner,
      DocumentName: 'Curfew-Shell-015',
      MaxSessionDuration: '15',
      Reason: 'Curfew grt_test',
      Status: 'Connecting',
    });
    expect(page.Sessions?.[0]?.StartDate?.getTime()).toBeGreaterThan(Date.now() - 10_000);

    await broker.send(new TerminateSessionCommand({ SessionId: first.SessionId }));
    await broker.send(new TerminateSessionCommand({ SessionId: first.SessionId }));
    await eventually(() => statusOf(first.SessionId) === 'Terminated');
    const active = await broker.send(new DescribeSessionsCommand(byOwner));
    expect(active.Sessions?.map((one) => one.SessionId)).toEqual([second.SessionId]);
    const history = await broker.send(
      new DescribeSessionsCommand({ State: 'History', Filters: [{ key: 'SessionId', value: first.SessionId }] }),
    );
    expect(history.Sessions?.map((one) => one.Status)).toEqual(['Terminated']);
    const over = await me.ssm.send(new ResumeSessionCommand({ SessionId: first.SessionId }));
    expect(over.TokenValue).toBeUndefined();
  });

  it('AWS-04 are terminated by their owner and by nobody like them', async () => {
    const other = await become(kofi);
    const session = await start(me, api1);
    expect((await failure(other.ssm.send(new TerminateSessionCommand({ SessionId: session.SessionId })))).name).toBe(
      'AccessDeniedException',
    );
    await me.ssm.send(new TerminateSessionCommand({ SessionId: session.SessionId }));
    await eventually(() => statusOf(session.SessionId) === 'Terminated');
  });

  it('AWS-06 are not listed for the person, only for the broker', async () => {
    expect((await failure(me.ssm.send(new DescribeSessionsCommand({ State: 'Active' })))).name).toBe(
      'AccessDeniedException',
    );
  });

  it('are refused in AWS words when asked for wrongly', async () => {
    // The SDK's types know the keys; a caller from elsewhere need not.
    const key: 'Owner' = JSON.parse('"Nothing"');
    const wrongKey = { State: 'Active' as const, Filters: [{ key, value: 'x' }] };
    expect((await failure(broker.send(new DescribeSessionsCommand(wrongKey)))).name).toBe('InvalidFilterKey');
    expect((await failure(broker.send(new DescribeSessionsCommand({ State: 'Active', MaxResults: 500 })))).name).toBe(
      'ValidationException',
    );
    expect((await failure(broker.send(new DescribeSessionsCommand({ State: 'Active', NextToken: 'x' })))).name).toBe(
      'InvalidNextToken',
    );
    const unknown = new TerminateSessionCommand({ SessionId: 'nobody-0123456789abcdefghijklmnop' });
    expect((await failure(broker.send(unknown))).name).toBe('DoesNotExistException');
  });
});

describe('inventory and documents', () => {
  it('are told per region, page by page, with filters', async () => {
    const all: string[] = [];
    let NextToken: string | undefined;
    do {
      const page = await broker.send(new DescribeInstanceInformationCommand({ MaxResults: 5, NextToken }));
      expect(page.InstanceInformationList?.length).toBeLessThanOrEqual(5);
      all.push(...(page.InstanceInformationList ?? []).map((one) => one.InstanceId ?? ''));
      NextToken = page.NextToken;
    } while (NextToken !== undefined);
    const here = aws.world.instances.filter((one) => one.account === prod && one.region === region);
    expect(all.toSorted()).toEqual(here.map((one) => one.id).toSorted());

    const lost = await broker.send(
      new DescribeInstanceInformationCommand({ Filters: [{ Key: 'PingStatus', Values: ['ConnectionLost'] }] }),
    );
    expect(lost.InstanceInformationList).toHaveLength(1);
    expect(lost.InstanceInformationList?.[0]).toMatchObject({
      InstanceId: offline,
      ResourceType: 'ManagedInstance',
      Name: 'payments-export-1',
    });
    const tagged = await broker.send(
      new DescribeInstanceInformationCommand({ Filters: [{ Key: 'tag:team', Values: ['search'] }] }),
    );
    expect(tagged.InstanceInformationList).toHaveLength(2);
    const tags = await broker.send(
      new ListTagsForResourceCommand({ ResourceType: 'ManagedInstance', ResourceId: offline }),
    );
    expect(tags.TagList).toContainEqual({ Key: 'team', Value: 'payments' });
    const unknownKey = new DescribeInstanceInformationCommand({ Filters: [{ Key: 'Colour', Values: ['red'] }] });
    expect((await failure(broker.send(unknownKey))).name).toBe('InvalidFilterKey');
    expect((await failure(broker.send(new DescribeInstanceInformationCommand({ MaxResults: 51 })))).name).toBe(
      'ValidationException',
    );
    expect((await failure(me.ssm.send(new DescribeInstanceInformationCommand({})))).name).toBe('AccessDeniedException');
  });

  it('AWS-12 show a change of a session document by its content and its hash', async () => {
    const Name = 'Curfew-Shell-030';
    const { Content } = await broker.send(new GetDocumentCommand({ Name }));
    expect(JSON.parse(Content ?? '')).toMatchObject({
      sessionType: 'Standard_Stream',
      inputs: { maxSessionDuration: '30' },
    });
    const before = await broker.send(new DescribeDocumentCommand({ Name }));
    aws.control.changeDocument({ account: prod, name: Name, maxSessionMinutes: 1440 });
    const after = await broker.send(new DescribeDocumentCommand({ Name }));
    expect(after.Document?.Hash).not.toBe(before.Document?.Hash);
    expect((await failure(broker.send(new GetDocumentCommand({ Name: 'SSM-SessionManagerRunShell' })))).name).toBe(
      'AccessDeniedException',
    );
  });

  it('AWS-12 let whoever may change a session document, in one region, from the version on that is the default', async () => {
    const Name = 'Curfew-Shell-120';
    const by = keysOf(aws, 'break-glass');
    const [here, elsewhere] = [ssmOf(by), ssmOf(by, 'eu-west-1')];
    const contentIn = async (ssm: SSMClient) => (await ssm.send(new GetDocumentCommand({ Name }))).Content ?? '';
    const before = await contentIn(here);
    const Content = before.replace('"maxSessionDuration":"120"', '"maxSessionDuration":"1440"');
    const update = { Name, Content, DocumentVersion: '$LATEST' };
    expect((await failure(broker.send(new UpdateDocumentCommand(update)))).name).toBe('AccessDeniedException');
    const { DocumentDescription } = await here.send(new UpdateDocumentCommand(update));
    expect(DocumentDescription).toMatchObject({ DocumentVersion: '2', LatestVersion: '2', DefaultVersion: '1' });
    expect(await contentIn(here)).toBe(before);
    await here.send(new UpdateDocumentDefaultVersionCommand({ Name, DocumentVersion: '2' }));
    expect(await contentIn(here)).toBe(Content);
    const again = { ...update, Name: `arn:aws:ssm:${region}:${prod}:document/${Name}` };
    expect((await failure(here.send(new UpdateDocumentCommand(again)))).name).toBe('DuplicateDocumentContent');
    const bad = { ...update, Content: 'no JSON' };
    expect((await failure(here.send(new UpdateDocumentCommand(bad)))).name).toBe('InvalidDocumentContent');

    await here.send(new DeleteDocumentCommand({ Name }));
    expect((await failure(contentIn(here))).name).toBe('InvalidDocument');
    expect((await failure(here.send(new DeleteDocumentCommand({ Name })))).name).toBe('InvalidDocument');
    const made = { Name, Content: before, DocumentType: 'Session' } as const;
    await here.send(new CreateDocumentCommand(made));
    expect((await failure(here.send(new CreateDocumentCommand(made)))).name).toBe('DocumentAlreadyExists');
    expect([await contentIn(here), await contentIn(elsewhere)]).toEqual([before, before]);
  });
});

describe('faults', () => {
  it('hold AWS rates: more than three StartSession in a second are throttled', async () => {
    aws.control.changeSettings({ rateLimits: true });
    const attempt = () =>
      start(me, api1).then(
        () => 'started',
        (error: unknown) => (error instanceof Error ? error.name : ''),
      );
    // How many exactly is tried with a clock of its own in faults.test.ts; here the machine may be slow.
    const names = await Promise.all(Array.from({ length: 10 }, attempt));
    expect(names.filter((name) => name === 'started').length).toBeGreaterThanOrEqual(3);
    expect(names).toContain('ThrottlingException');
    expect(aws.control.calls({ operation: 'StartSession' }).map((call) => call.outcome)).toContain('throttled');
  });

  it('do a call and lose its answer, and list what was called', async () => {
    aws.control.forgetCalls();
    aws.control.addFault({ match: { service: 'iam', operation: 'PutRolePolicy' }, effect: { kind: 'lose-answer' } });
    const lost = await failure(put(me, { instances: [api2] }));
    expect(lost.message).toMatch(/socket hang up|ECONNRESET/);
    expect((await start(me, api2)).SessionId).toBeDefined();
    expect(aws.control.calls().map((call) => [call.service, call.operation, call.outcome])).toEqual([
      ['iam', 'PutRolePolicy', 'answer-lost'],
      ['ssm', 'StartSession', 'let-through'],
    ]);
    await put(me, { instances: [api1] });
  });

  it('hit the nth call of an operation with any error', async () => {
    aws.control.addFault({
      match: { service: 'ssm', operation: 'DescribeSessions' },
      after: 1,
      times: 2,
      effect: { kind: 'error', code: 'InternalServerError', status: 500 },
    });
    const look = () =>
      broker.send(new DescribeSessionsCommand({ State: 'Active' })).then(
        () => 'fine',
        (error: Error) => error.name,
      );
    expect([await look(), await look(), await look(), await look()]).toEqual([
      'fine',
      'InternalServerError',
      'InternalServerError',
      'fine',
    ]);
    expect(aws.control.faults().rules).toEqual([]);
  });
});
