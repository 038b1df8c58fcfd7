/**
 * Runs docs/first-hour.md as a person would: every `sh` block, in order, in one shell's environment, against local-aws.
 *
 * Three things are put in place of AWS, and nothing else: the block of one's own values gets those of local-aws's world; the
 * commands that need CloudFormation, sso-admin, a browser or a download are recorded instead (a program of the same name stands
 * before the real one in PATH), and the world that local-aws then plays is made from the very templates, parameters and permission
 * set that were recorded; port 7420 is a free one. Every command must be one that is run or one that is recorded.
 */
import { type ChildProcess, execFile, spawn, spawnSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { parseDocument } from 'yaml';
import { z } from 'zod';
import { organisation } from '../../src/shared/desktop.ts';
import { type LocalAws, startLocalAws } from '../local-aws/start.ts';
import { asPerson } from '../local-aws/testing/act-as.ts';
import { deployTemplate, worldEntities } from './template.ts';

const root = resolve(import.meta.dirname, '../..');
const home = '739164205518';
const target = '482011773306';
const person = 'mira.okafor@harborline.example';
const operator = {
  arn: `arn:aws:iam::${home}:user/operator`,
  key: 'AKIAOPERATOROPERATOR',
  secret: 'local-aws/operator/opens-nothing',
};

const found = (program: string): string | null => {
  const { status, stdout } = spawnSync('bash', ['-c', `type -P ${program}`], { encoding: 'utf8' });
  return status === 0 ? stdout.trim() : null;
};
const lacking = ['aws', 'openssl', 'curl'].filter((program) => found(program) === null);
if (lacking.length > 0) console.warn(`docs/first-hour.md is not run here: ${lacking.join(', ')} not installed.`);

const scratch = mkdtempSync(join(tmpdir(), 'curfew-hour-'));
const stateFile = join(scratch, 'state.sh');
const recordFile = join(scratch, 'recorded');
const stops: Array<() => Promise<void>> = [];
let aws: LocalAws;

/** A program that stands before the real one: records what `recorded` matches and answers it, hands on everything else. */
const stand = (program: string, recorded: string): void => {
  const file = join(scratch, 'bin', program);
  const lines = [
    '#!/usr/bin/env bash',
    'words="$*"',
    `record() { { printf '%s\\x1f' ${program} "$@"; printf '\\x1e'; } >> ${recordFile}; }`,
    `case "$words" in`,
    recorded,
    `  *) exec ${found(program) ?? program} "$@" ;;`,
    'esac',
  ];
  writeFileSync(file, lines.join('\n'));
  chmodSync(file, 0o755);
};

const standIns = (): void => {
  mkdirSync(join(scratch, 'bin'));
  stand(
    'aws',
    [
      '  "cloudformation deploy "*|"identitystore create-group-membership "*) record "$@" ;;',
      '  "sso-admin put-inline-policy"*|"sso-admin create-account-assignment "*|"sso login "*) record "$@" ;;',
      '  "sso-admin list-instances "*InstanceArn*) record "$@"; echo arn:aws:sso:::instance/ssoins-1234567890abcdef ;;',
      '  "sso-admin list-instances "*IdentityStoreId*) record "$@"; echo d-9067f4a2c1 ;;',
      '  "sso-admin create-permission-set "*) record "$@"; echo arn:aws:sso:::permissionSet/ssoins-1/ps-1 ;;',
      '  "identitystore create-group "*curfew-users*) record "$@"; echo 93d4c8a2-50a1-7003-9b1e-5f6a70c0a107 ;;',
      '  "identitystore create-group "*curfew-admins*) record "$@"; echo 93d4c8a2-50a1-7003-9b1e-5f6a70c0a108 ;;',
    ].join('\n'),
  );
  stand('npm', '  ci|"run build") record "$@" ;;');
  stand('node', '  node_modules/electron/install.js) record "$@" ;;');
  stand('npx', '  "electron .") record "$@" "$CURFEW_BACKEND_URL" "$CURFEW_START_URL" "$CURFEW_SSO_REGION" ;;');
};

const recorded = (): string[][] =>
  existsSync(recordFile)
    ? readFileSync(recordFile, 'utf8')
        .split('\x1e')
        .filter((line) => line !== '')
        .map((line) => line.split('\x1f').slice(0, -1))
    : [];

const optionOf = (words: readonly string[], name: string): string => words[words.indexOf(name) + 1] ?? '';

const shellEnv = (): NodeJS.ProcessEnv => ({
  PATH: `${join(scratch, 'bin')}:${process.env['PATH']}`,
  HOME: scratch,
  LANG: 'C.UTF-8',
  AWS_EC2_METADATA_DISABLED: 'true',
  AWS_PAGER: '',
});

/** One block in a bash that has the variables of the blocks before it. @returns everything it printed. */
const bash = async (block: string): Promise<string> => {
  const script = `set -euo pipefail; [ ! -f ${stateFile} ] || source ${stateFile}\n${block}\nexport -p > ${stateFile}`;
  const options = { cwd: root, env: shellEnv(), timeout: 120_000 };
  try {
    const { stdout, stderr } = await promisify(execFile)('bash', ['-c', script], options);
    return stdout + stderr;
  } catch (cause) {
    const { stdout, stderr } = Object.assign({ stdout: '', stderr: '' }, cause);
    throw new Error(`${block}\n${stdout}${stderr}`, { cause });
  }
};

const freePort = (): Promise<number> =>
  new Promise((done, fail) => {
    const server = createServer();
    server.once('error', fail);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() =>
        address !== null && typeof address === 'object' ? done(address.port) : fail(new Error('no port')),
      );
    });
  });

const emptyDatabase = async (): Promise<string> => {
  const url = inject('postgresUrl');
  const admin = new pg.Client({ connectionString: url });
  await admin.connect();
  const name = `first_hour_${process.pid}`;
  await admin.query(`create database ${name}`);
  await admin.end();
  return url.replace(/\/postgres\?/, `/${name}?`);
};

/** The `sh` blocks of the page, with our values in place of the reader's. */
const readBlocks = async (port: number): Promise<string[]> => {
  const page = readFileSync(join(root, 'docs/first-hour.md'), 'utf8');
  const own: Record<string, string> = {
    HOME_ACCOUNT: home,
    TARGET_ACCOUNT: target,
    START_URL: 'https://harborline.awsapps.com/start',
    OPERATOR_ARN: operator.arn,
    FIRST_PERSON: person,
    DATABASE_URL: await emptyDatabase(),
  };
  return [...page.matchAll(/^```sh\n(.*?)^```$/gms)].map(([, block = '']) => {
    const replaced = Object.entries(own).reduce(
      (text, [name, value]) =>
        text.replace(new RegExp(`^export ${name}=[^$\\s]\\S*`, 'm'), `export ${name}='${value}'`),
      block,
    );
    return replaced.replaceAll('7420', String(port));
  });
};

const parametersOf = (words: readonly string[]): Record<string, string> =>
  Object.fromEntries(
    words.slice(words.indexOf('--parameter-overrides') + 1).map((pair): [string, string] => {
      const at = pair.indexOf('=');
      return [pair.slice(0, at), pair.slice(at + 1)];
    }),
  );

/** local-aws's world, with what the recorded commands would have made in place of its own. */
const worldOf = (commands: readonly string[][]): string => {
  const deployed = commands
    .filter((words) => words[1] === 'cloudformation')
    .map((words) => ({
      file: optionOf(words, '--template-file'),
      profile: optionOf(words, '--profile'),
      parameters: parametersOf(words),
    }));
  expect(deployed.map(({ file, profile }) => [file, profile])).toEqual([
    ['deploy/curfew-identities.yml', 'admin-home'],
    ['deploy/curfew-account.yml', 'admin-target'],
  ]);
  const [identities, account] = deployed.map(({ file, parameters }, at) =>
    worldEntities(deployTemplate(join(root, file), at === 0 ? home : target, parameters)),
  );
  const set = commands.find((words) => words[2] === 'put-inline-policy-to-permission-set') ?? [];
  const world = parseDocument(readFileSync(join(root, 'dev/local-aws/world.yml'), 'utf8'));
  const accounts = z.array(z.object({ id: z.string() })).parse(world.toJS().accounts);
  const at = (id: string) => ['accounts', accounts.findIndex((one) => one.id === id)];
  world.delete('everyAccount');
  world.setIn([...at(home), 'roles'], identities?.roles);
  world.setIn(
    [...at(home), 'users'],
    [
      {
        name: 'operator',
        accessKeys: [{ accessKeyId: operator.key, secretAccessKey: operator.secret }],
        inlinePolicies: {
          Admin: { Version: '2012-10-17', Statement: [{ Effect: 'Allow', Action: '*', Resource: '*' }] },
        },
      },
    ],
  );
  for (const key of ['roles', 'managedPolicies', 'sessionDocuments'] as const) {
    world.setIn([...at(target), key], account?.[key]);
  }
  world.setIn(['permissionSets', 0, 'inlinePolicy'], JSON.parse(optionOf(set, '--inline-policy')));
  return world.toString();
};

const startWorld = async (): Promise<void> => {
  const worldFile = join(scratch, 'world.yml');
  writeFileSync(worldFile, worldOf(recorded()));
  aws = await startLocalAws({ worldFile, stateFile: null, port: 0, runFolder: join(scratch, 'instances') });
  stops.push(() => aws.close());
  writeFileSync(stateFile, `${readFileSync(stateFile, 'utf8')}export AWS_ENDPOINT_URL=${aws.endpoint}\n`);
};

/** Starts the block that keeps running, and waits until it is ready. */
const startBackend = async (block: string, port: number): Promise<void> => {
  const child: ChildProcess = spawn('bash', ['-c', `source ${stateFile}\n${block}`], {
    cwd: root,
    env: shellEnv(),
    detached: true,
    stdio: 'ignore',
  });
  const ended = new Promise<void>((done) => child.once('exit', () => done()));
  stops.push(async () => {
    if (child.pid !== undefined && child.exitCode === null) process.kill(-child.pid, 'SIGTERM');
    await ended;
  });
  for (const until = Date.now() + 60_000; Date.now() < until; await sleep(200)) {
    const answer = await fetch(`http://127.0.0.1:${port}/readyz`).catch(() => null);
    await answer?.body?.cancel();
    if (answer?.ok === true) return;
  }
  throw new Error('The backend did not get ready.');
};

const writeCredentials = (sections: Record<string, Record<string, string>>): void => {
  mkdirSync(join(scratch, '.aws'), { recursive: true });
  const text = Object.entries(sections).map(([name, values]) =>
    [`[${name}]`, ...Object.entries(values).map(([key, value]) => `${key} = ${value}`)].join('\n'),
  );
  writeFileSync(join(scratch, '.aws/credentials'), `${text.join('\n')}\n`, { mode: 0o600 });
};

describe.runIf(lacking.length === 0)('docs/first-hour.md', () => {
  let blocks: string[];
  let port: number;
  /** What a block printed, by a piece of the block. */
  const printed: Array<{ block: string; out: string }> = [];
  const outOf = (piece: string) => printed.filter(({ block }) => block.includes(piece)).map(({ out }) => out);

  beforeAll(async () => {
    standIns();
    port = await freePort();
    blocks = await readBlocks(port);
    const admin = { aws_access_key_id: operator.key, aws_secret_access_key: operator.secret };
    writeCredentials({ 'admin-home': admin });
  });
  afterAll(async () => {
    for (const stop of stops.reverse()) await stop();
    rmSync(scratch, { recursive: true, force: true });
  });

  test('every command works, in order', async () => {
    // The permission set comes after the first question to AWS: so the blocks that make the world are read ahead.
    const made = blocks.findIndex((block) => block.includes('put-inline-policy-to-permission-set'));
    for (const block of blocks.slice(0, made + 1))
      await bash(block.replace(/^export PERSON=.*\n.*$/m, 'export PERSON=later'));
    await startWorld();
    const from = blocks.findIndex((block) => block.includes('get-user-id'));
    for (const block of blocks.slice(from)) {
      if (block.includes('--as person')) {
        const { accessKeyId, secretAccessKey, sessionToken = '' } = await asPerson(aws, person, { accountId: target });
        writeCredentials({
          'curfew-person': {
            aws_access_key_id: accessKeyId,
            aws_secret_access_key: secretAccessKey,
            aws_session_token: sessionToken,
          },
        });
      }
      if (block.includes('npm run backend')) await startBackend(block, port);
      else printed.push({ block, out: await bash(block) });
    }
  }, 300_000);

  test('who is who: the backend’s profile enters its role, the provisioner made the roles, the doctor is content', () => {
    expect(outOf('get-caller-identity').join()).toContain(`arn:aws:sts::${home}:assumed-role/curfew-backend/`);
    expect(outOf('npm run provision').join()).toContain(`"event":"made","accountId":"${target}"`);
    const doctors = outOf('npm run doctor').join('\n');
    expect(doctors.match(/nothing is wrong: \d+ OK, 0 not OK/g)).toHaveLength(3);
    expect(doctors).toContain(`${person} through ${target}`);
  });

  test('the app is told where it belongs', () => {
    const started = recorded().find(([program]) => program === 'npx') ?? [];
    const [backendUrl, startUrl, ssoRegion] = started.slice(3);
    // The app takes these three by this schema (src/main/config.ts).
    expect(organisation.parse({ backendUrl, startUrl, ssoRegion })).toMatchObject({
      backendUrl: `http://127.0.0.1:${port}`,
      ssoRegion: 'eu-central-1',
    });
  });

  test('the permission set is assigned to the group that gets personal roles', () => {
    const assigned = recorded().find((words) => words[2] === 'create-account-assignment') ?? [];
    const users = aws.world.groups.find(({ name }) => name === 'curfew-users');
    expect([optionOf(assigned, '--target-id'), optionOf(assigned, '--principal-id')]).toEqual([target, users?.id]);
    const joined = recorded().filter((words) => words[2] === 'create-group-membership');
    const id = aws.world.people.find(({ userName }) => userName === person)?.id;
    expect(joined.slice(-2).map((words) => optionOf(words, '--member-id'))).toEqual([`UserId=${id}`, `UserId=${id}`]);
  });
});

describe('deploy/curfew-identities.yml', () => {
  test('AWS-09 each may enter its own role and read the identity store, and nothing else', () => {
    const file = join(root, 'deploy/curfew-identities.yml');
    const { roles } = worldEntities(deployTemplate(file, home, { OperatorArn: operator.arn }));
    const statements = z.object({
      Statement: z.tuple([
        z.strictObject({
          Sid: z.string(),
          Effect: z.literal('Allow'),
          Action: z.literal('sts:AssumeRole'),
          Resource: z.string(),
        }),
        z.strictObject({
          Sid: z.string(),
          Effect: z.literal('Allow'),
          Action: z.array(z.string().regex(/^identitystore:(Get|Describe|List)\w+$/)),
          Resource: z.literal('*'),
        }),
      ]),
    });
    const entered = roles.map(({ name, inlinePolicies }) => [
      name,
      ...Object.values(inlinePolicies).map((document) => statements.parse(document).Statement[0].Resource),
    ]);
    expect(entered).toEqual([
      ['curfew-backend', 'arn:aws:iam::*:role/curfew/broker/CurfewBroker'],
      ['curfew-provisioner', 'arn:aws:iam::*:role/curfew/provisioner/CurfewProvisioner'],
    ]);
  });
});

describe('docs/operating.md', () => {
  const page = readFileSync(join(root, 'docs/operating.md'), 'utf8');

  test('names only lines that the backend can log', () => {
    const sources = readdirSync(join(root, 'backend'), { recursive: true, encoding: 'utf8' })
      .filter((file) => file.endsWith('.ts') && !file.endsWith('.test.ts'))
      .map((file) => readFileSync(join(root, 'backend', file), 'utf8'))
      .join('\n');
    const [, table = ''] = page.split('| `msg` | means |');
    const named = [...(table.split('\n\n')[0] ?? '').matchAll(/^\| `([^`]+)` \|/gm)].map(([, words = '']) => words);
    expect(named.length).toBeGreaterThan(4);
    expect(named.filter((words) => !sources.includes(`'${words}'`))).toEqual([]);
  });

  test('names only commands that there are', () => {
    const { scripts } = z
      .object({ scripts: z.record(z.string(), z.string()) })
      .parse(JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')));
    const named = [...page.matchAll(/npm run ([\w:-]+)/g)].map(([, script = '']) => script);
    expect(named.filter((script) => !(script in scripts))).toEqual([]);
  });
});
