import { createServer } from 'node:http';
import { CloudTrailClient } from '@aws-sdk/client-cloudtrail';
import { EC2Client } from '@aws-sdk/client-ec2';
import { IAMClient } from '@aws-sdk/client-iam';
import { SSMClient } from '@aws-sdk/client-ssm';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { testConfig } from '../testing/test-backend.ts';
import type { Broker } from './broker.ts';
import { createSsm, type Ssm } from './ssm.ts';

const account = testConfig.accounts[0];
const region = 'eu-central-1';
const ownerOf = (session: string): string => `arn:aws:sts::${account?.id}:assumed-role/curfew-x/${session}`;
const session = (id: string, owner: string, status = 'Connected') => ({
  SessionId: id,
  Owner: ownerOf(owner),
  Target: 'i-0f3a9c1d7b24e8a61',
  Status: status,
});
/** Two pages from an SSM that does not filter at all. */
const pages = [
  { Sessions: [session('alice.1-a', 'alice.1'), session('alice.1-b-b', 'alice.1-b')], NextToken: 'second' },
  {
    Sessions: [session('alice.1-c', 'alice.1'), session('alice.1-d', 'alice.1', 'Terminated'), session('x', 'ALICE.1')],
  },
];

const server = createServer((request, response) => {
  let body = '';
  request.on('data', (chunk: Buffer) => {
    body += chunk.toString();
  });
  request.on('end', () => {
    response.writeHead(200, { 'content-type': 'application/x-amz-json-1.1' });
    response.end(JSON.stringify(body.includes('"second"') ? pages[1] : pages[0]));
  });
});
let ssm: Ssm;
beforeAll(async () => {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  if (address === null || typeof address === 'string' || account === undefined) throw new Error('no port');
  const credentials = { accessKeyId: 'AKIAAAAAAAAAAAAAAAAA', secretAccessKey: 'of-nobody' };
  const client = { endpoint: `http://127.0.0.1:${address.port}`, credentials, maxAttempts: 1 };
  const broker: Broker = {
    account: () => ({
      account,
      iam: new IAMClient({ ...client, region }),
      ec2: () => new EC2Client({ ...client, region }),
      iamRegion: region,
      cloudtrail: () => new CloudTrailClient({ ...client, region }),
      ssm: (wanted) => new SSMClient({ ...client, region: wanted }),
      call: (_call, _budget, send) => send(),
    }),
    accounts: testConfig.accounts,
    close: () => undefined,
  };
  ssm = createSsm(broker);
});
afterAll(() => {
  server.close();
});

test('AWS-04 sessions of exactly the owner, whatever SSM’s filter lets through, from every page', async () => {
  const found = await ssm.activeSessions(account?.id ?? '', region, ownerOf('alice.1'));
  expect(found.map(({ id }) => id)).toEqual(['alice.1-a', 'alice.1-c']);
});

test('without an owner: all that have not ended', async () => {
  const found = await ssm.activeSessions(account?.id ?? '', region, null);
  expect(found.map(({ id }) => id)).toEqual(['alice.1-a', 'alice.1-b-b', 'alice.1-c', 'x']);
});
