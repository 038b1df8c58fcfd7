/** The AWS CLI against local-aws, where the CLI is installed: a program that we did not write, with a signer and parsers of its own. */
import { execFile, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { PutRolePolicyCommand } from '@aws-sdk/client-iam';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type LocalAws, startLocalAws } from './start.ts';
import { asBroker, type Credentials, iamClient, keysOf, makePersonalRole, signIn } from './testing/act-as.ts';

const run = promisify(execFile);
const prod = '482011773306';
const dev = '739164205518';
const mira = 'mira.okafor@harborline.example';

const version = spawnSync('aws', ['--version'], { encoding: 'utf8' });
const present = version.status === 0;
if (!present) console.warn('The AWS CLI is not installed here: its tests against local-aws are skipped.');

let aws: LocalAws;
let folder: string;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'curfew-cli-'));
  aws = await startLocalAws({
    worldFile: resolve(import.meta.dirname, 'world.yml'),
    stateFile: null,
    port: 0,
    runFolder: folder,
  });
  aws.control.changeSettings({ spreadingDelayMs: 0 });
});
afterAll(async () => {
  await aws.close();
  rmSync(folder, { recursive: true, force: true });
});

/** Nothing of the machine's own AWS set-up gets in. */
const envOf = (credentials: Credentials | null): NodeJS.ProcessEnv => ({
  PATH: process.env['PATH'],
  HOME: folder,
  AWS_ENDPOINT_URL: aws.endpoint,
  AWS_DEFAULT_REGION: 'eu-central-1',
  AWS_CONFIG_FILE: join(folder, 'none'),
  AWS_SHARED_CREDENTIALS_FILE: join(folder, 'none'),
  AWS_EC2_METADATA_DISABLED: 'true',
  AWS_MAX_ATTEMPTS: '1',
  AWS_PAGER: '',
  ...(credentials === null
    ? {}
    : {
        AWS_ACCESS_KEY_ID: credentials.accessKeyId,
        AWS_SECRET_ACCESS_KEY: credentials.secretAccessKey,
        ...(credentials.sessionToken === undefined ? {} : { AWS_SESSION_TOKEN: credentials.sessionToken }),
      }),
});

/** What the CLI prints as JSON. @throws with its standard error when it fails. */
const cli = async (credentials: Credentials | null, ...args: string[]): Promise<unknown> => {
  const { stdout } = await run('aws', [...args, '--output', 'json'], { env: envOf(credentials), timeout: 60_000 });
  return JSON.parse(stdout);
};

/** What the CLI prints when it fails. */
const complaint = async (credentials: Credentials, ...args: string[]): Promise<string> => {
  const { status, stderr } = await run('aws', args, { env: envOf(credentials), timeout: 60_000 }).then(
    () => ({ status: 'done', stderr: '' }),
    (error: unknown) => ({
      status: 'failed',
      stderr: error instanceof Error && 'stderr' in error ? String(error.stderr) : '',
    }),
  );
  expect(status).toBe('failed');
  return stderr.trim();
};

const wait = 120_000;

describe.runIf(present)(`aws (${present ? (version.stdout || version.stderr).split(' ')[0] : 'not installed'})`, () => {
  test(
    'sts get-caller-identity, and a key that is not the right one',
    async () => {
      const backend = keysOf(aws, 'curfew-backend');
      expect(await cli(backend, 'sts', 'get-caller-identity')).toMatchObject({
        Account: dev,
        Arn: `arn:aws:iam::${dev}:user/curfew/curfew-backend`,
      });
      const wrong = { ...backend, secretAccessKey: 'somebody-guesses' };
      expect(await complaint(wrong, 'sts', 'get-caller-identity')).toMatch(
        /An error occurred \(SignatureDoesNotMatch\) when calling the GetCallerIdentity operation/,
      );
    },
    wait,
  );

  test(
    'sts assume-role: with the external id, and AWS-10 the wording of a denial without it',
    async () => {
      const backend = keysOf(aws, 'curfew-backend');
      const arn = `arn:aws:iam::${prod}:role/curfew/broker/CurfewBroker`;
      const enter = ['sts', 'assume-role', '--role-arn', arn, '--role-session-name', 'by-hand'];
      expect(await cli(backend, ...enter, '--external-id', `curfew-${prod}-local`)).toMatchObject({
        AssumedRoleUser: { Arn: `arn:aws:sts::${prod}:assumed-role/CurfewBroker/by-hand` },
        Credentials: { AccessKeyId: expect.stringMatching(/^ASIA/) },
      });
      expect(await complaint(backend, ...enter)).toContain(
        `An error occurred (AccessDenied) when calling the AssumeRole operation: User: arn:aws:iam::${dev}:user/curfew/curfew-backend is not authorized to perform: sts:AssumeRole on resource: ${arn}`,
      );
    },
    wait,
  );

  test(
    'iam list-roles, get-role-policy and a denied write',
    async () => {
      const role = await makePersonalRole(aws, mira, prod);
      const broker = await asBroker(aws, prod);
      const document = {
        Version: '2012-10-17',
        Statement: [{ Effect: 'Allow', Action: 'ssm:GetConnectionStatus', Resource: '*' }],
      };
      await iamClient(aws, broker).send(
        new PutRolePolicyCommand({
          RoleName: role.name,
          PolicyName: 'curfew-access',
          PolicyDocument: JSON.stringify(document),
        }),
      );
      expect(await cli(broker, 'iam', 'list-roles', '--path-prefix', '/curfew/people/')).toMatchObject({
        Roles: [{ RoleName: role.name, Path: '/curfew/people/', Arn: role.arn }],
      });
      const read = ['iam', 'get-role-policy', '--role-name', role.name, '--policy-name', 'curfew-access'];
      // Decoded by the CLI: what IAM sends is URL-encoded.
      expect(await cli(broker, ...read)).toMatchObject({ PolicyDocument: document });
      const own = ['iam', 'get-role-policy', '--role-name', 'CurfewBroker', '--policy-name', 'CurfewBroker'];
      expect(await complaint(broker, ...own)).toContain(
        `An error occurred (AccessDenied) when calling the GetRolePolicy operation: User: arn:aws:sts::${prod}:assumed-role/CurfewBroker/curfew is not authorized to perform: iam:GetRolePolicy on resource: arn:aws:iam::${prod}:role/curfew/broker/CurfewBroker because no identity-based policy allows the iam:GetRolePolicy action`,
      );
    },
    wait,
  );

  test(
    'ssm describe-instance-information over pages, and describe-sessions',
    async () => {
      const broker = await asBroker(aws, prod);
      // The CLI follows the pages by itself.
      const pages = [
        'ssm',
        'describe-instance-information',
        '--page-size',
        '5',
        '--query',
        'InstanceInformationList[].InstanceId',
      ];
      const expected = aws.world.instances.filter(
        ({ account, region }) => account === prod && region === 'eu-central-1',
      );
      expect(await cli(broker, ...pages)).toEqual(expect.arrayContaining(expected.map(({ id }) => id)));
      expect(await cli(broker, 'ssm', 'describe-sessions', '--state', 'Active')).toEqual({ Sessions: [] });
    },
    wait,
  );

  test(
    'sso-oidc register-client, sso list-accounts',
    async () => {
      const client = ['--client-name', 'by-hand', '--client-type', 'public', '--scopes', 'sso:account:access'];
      expect(await cli(null, 'sso-oidc', 'register-client', ...client)).toMatchObject({
        clientId: expect.any(String),
        clientSecret: expect.any(String),
        clientSecretExpiresAt: expect.any(Number),
      });
      const accounts = await cli(null, 'sso', 'list-accounts', '--access-token', await signIn(aws, mira));
      expect(accounts).toMatchObject({
        accountList: expect.arrayContaining([
          expect.objectContaining({ accountId: prod, accountName: 'payments-prod' }),
          expect.objectContaining({ accountId: dev }),
        ]),
      });
    },
    wait,
  );
});
