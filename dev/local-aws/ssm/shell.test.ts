// The whole way: a person signs in, enters the personal role, starts a session, and our session client shows a real shell.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { PutRolePolicyCommand } from '@aws-sdk/client-iam';
import { SSMClient, StartSessionCommand, TerminateSessionCommand } from '@aws-sdk/client-ssm';
import { spawn } from 'node-pty';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { compileAccessPolicy, personalCarrier } from '../../../backend/access-policy/compile.ts';
import { type LocalAws, startLocalAws } from '../start.ts';
import { asBroker, asPerson, assumeRole, type Credentials, iamClient, makePersonalRole } from '../testing/act-as.ts';

const folder = mkdtempSync(path.join(tmpdir(), 'local-aws-shell-'));
const place = { accountId: '482011773306', region: 'eu-central-1' };
const target = 'i-0f3a9c1d7b24e8a61';
const mira = 'mira.okafor@harborline.example';
let aws: LocalAws;
let credentials: Credentials;
let broker: Credentials;

beforeAll(async () => {
  aws = await startLocalAws({
    worldFile: path.join(import.meta.dirname, '../world.yml'),
    stateFile: null,
    port: 0,
    runFolder: path.join(folder, 'run'),
  });
  aws.control.changeSettings({ spreadingDelayMs: 0 });
  const role = await makePersonalRole(aws, mira, place.accountId);
  broker = await asBroker(aws, place.accountId);
  const now = Date.now();
  const grant = {
    id: 'grt_aaaaaaaaaaaaaaaaaaaaaaaaaa',
    instances: [{ ...place, instanceId: target }],
    notBefore: new Date(now - 60_000),
    endsAt: new Date(now + 10 * 60_000),
  };
  const { documents } = compileAccessPolicy({
    ...personalCarrier({ partition: 'aws', accountId: place.accountId, sessionName: role.sessionName }),
    grants: [grant],
  });
  await iamClient(aws, broker).send(
    new PutRolePolicyCommand({
      RoleName: role.name,
      PolicyName: 'curfew-access',
      PolicyDocument: documents[0]?.document ?? '',
    }),
  );
  credentials = await assumeRole(aws, await asPerson(aws, mira, place), role);
});
afterAll(async () => {
  await aws.close();
  rmSync(folder, { recursive: true, force: true });
});

const connect = async () => {
  // A copy: the SDK writes a note of its own into the object that it is given.
  const ssm = new SSMClient({ region: place.region, endpoint: aws.endpoint, credentials: { ...credentials } });
  const session = await ssm.send(new StartSessionCommand({ Target: target, DocumentName: 'Curfew-Shell-015' }));
  const launch = {
    sessionId: session.SessionId,
    tokenValue: session.TokenValue,
    streamUrl: session.StreamUrl,
    region: place.region,
    target,
    credentials,
    ssmEndpoint: aws.endpoint,
    loopbackAllowed: true,
  };
  const client = spawn(process.execPath, [path.join(import.meta.dirname, '../../../src/session-client/main.ts')], {
    cols: 93,
    rows: 31,
    env: { PATH: process.env['PATH'], TERM: 'xterm-256color', CURFEW_SESSION: JSON.stringify(launch) },
  });
  let shown = '';
  client.onData((text) => {
    shown += text;
  });
  const ended = new Promise<number>((resolve) => client.onExit(({ exitCode }) => resolve(exitCode)));
  const see = async (pattern: RegExp): Promise<void> => {
    for (let tries = 0; tries < 400; tries++) {
      if (pattern.test(shown)) return;
      await sleep(25);
    }
    throw new Error(`${String(pattern)} was never seen in: ${shown}`);
  };
  /** The client may be gone before the last process of the shell is. */
  const terminated = () =>
    vi.waitFor(
      () => {
        const found = aws.control.sessions().find((one) => one.sessionId === session.SessionId);
        expect(found?.status).toBe('Terminated');
      },
      { timeout: 10_000 },
    );
  return { client, see, ended, terminated, sessionId: session.SessionId };
};

it('opens a shell of the terminal’s size and ends with it', async () => {
  const { client, see, ended, terminated } = await connect();
  await see(/payments-api-1/);
  client.write('stty size; echo $((6 * 7)); echo ~\r');
  await see(/31 93\r\n42\r\n/);
  client.write('exit\r');
  expect(await ended).toBe(0);
  await terminated();
});

it('goes on after the websocket was dropped', async () => {
  const { client, see, ended } = await connect();
  await see(/payments-api-1/);
  client.write('before=kept\r');
  await sleep(200);
  aws.control.drop();
  await sleep(200);
  client.write('echo was-$before-$((40 + 2))\r');
  await see(/was-kept-42/);
  expect(aws.control.calls({ operation: 'ResumeSession' })).toHaveLength(1);
  client.write('exit\r');
  await ended;
});

it('is ended by the broker although the person types on', async () => {
  const { see, ended, terminated, sessionId } = await connect();
  await see(/payments-api-1/);
  const ssm = new SSMClient({ region: place.region, endpoint: aws.endpoint, credentials: broker });
  await ssm.send(new TerminateSessionCommand({ SessionId: sessionId }));
  await ended;
  await terminated();
});
