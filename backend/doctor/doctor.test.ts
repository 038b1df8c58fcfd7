/** The doctor over local-aws: all is well in its world, and each of many breakages is found with its advice. */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { chmodSync, cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { type Document, parseDocument, stringify } from 'yaml';
import { z } from 'zod';
import { accessPolicyName } from '../access-policy/principal.ts';
import type { Config } from '../config.ts';
import { openProvisioner } from '../provisioner/provisioner.ts';
import { callList, dev, mira, prod, roleDump, roleNameOf, sceneConfig } from '../provisioner/testing/scene.ts';
import { type FreshStore, freshStore } from '../testing/fresh-store.ts';
import { type DoctorOptions, examine } from './doctor.ts';
import type { Finding } from './finding.ts';

const root = resolve(import.meta.dirname, '../..');
const scratch = mkdtempSync(join(tmpdir(), 'curfew-doctor-'));
const running: ChildProcess[] = [];

/** Starts local-aws with its own world, changed. @returns its endpoint. */
const startWorld = async (name: string, change: (world: Document) => void): Promise<string> => {
  const world = parseDocument(readFileSync(join(root, 'dev/local-aws/world.yml'), 'utf8'));
  change(world);
  const file = join(scratch, `${name}.yml`);
  writeFileSync(file, world.toString());
  const args = [join(root, 'dev/local-aws/cli.ts'), 'serve', '--port', '0', '--world', file];
  const child = spawn(process.execPath, [...args, '--run', join(scratch, `${name}-run`)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  running.push(child);
  for await (const line of createInterface({ input: child.stdout })) {
    const endpoint = /http:\/\/127\.0\.0\.1:\d+/.exec(line)?.[0];
    if (endpoint !== undefined) return endpoint;
  }
  throw new Error('local-aws did not start');
};

let store: FreshStore;
let sound: string;
let config: Config;

const asBackend = (): void => {
  vi.stubEnv('AWS_ACCESS_KEY_ID', 'AKIACURFEWBACKENDDEV');
  vi.stubEnv('AWS_SECRET_ACCESS_KEY', 'local-aws/curfew-backend/opens-nothing-0');
};
const asProvisioner = (): void => {
  vi.stubEnv('AWS_ACCESS_KEY_ID', 'AKIACURFEWPROVISIONR');
  vi.stubEnv('AWS_SECRET_ACCESS_KEY', 'local-aws/curfew-provisioner/opens-none');
};

const control = async (method: string, body: object, endpoint = sound): Promise<unknown> => {
  const answer = await fetch(`${endpoint}/_control/${method}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  const text = await answer.text();
  if (!answer.ok) throw new Error(text);
  return text === '' ? null : JSON.parse(text);
};

beforeAll(async () => {
  store = await freshStore();
  sound = await startWorld('sound', () => undefined);
  const keysFolder = join(scratch, 'keys');
  mkdirSync(keysFolder, { mode: 0o700 });
  writeFileSync(join(keysFolder, 'decision.key'), 'not read by the doctor\n', { mode: 0o600 });
  config = { ...sceneConfig, databaseUrl: store.url, keysFolder, rulesFolder: join(root, 'deploy/rules') };
  vi.stubEnv('AWS_ENDPOINT_URL', sound);
  asProvisioner();
  const provisioner = openProvisioner(config);
  for await (const line of provisioner.run({ removeLeavers: false })) expect(line.event).toMatch(/made|done/);
  provisioner.close();
  vi.unstubAllEnvs();
});
beforeEach(() => {
  vi.stubEnv('AWS_ENDPOINT_URL', sound);
  asBackend();
});
afterEach(() => vi.unstubAllEnvs());
afterAll(async () => {
  for (const child of running) child.kill('SIGTERM');
  await store.close();
  rmSync(scratch, { recursive: true, force: true });
});

const doctor = async (change: Partial<Config> = {}, options: Partial<DoctorOptions> = {}): Promise<Finding[]> => {
  const all: Finding[] = [];
  const given = { as: 'backend', personId: null, stsEndpoint: process.env['AWS_ENDPOINT_URL'] ?? null } as const;
  for await (const finding of examine({
    ...given,
    now: () => new Date(),
    ...options,
    config: { ...config, ...change },
  }))
    all.push(finding);
  return all;
};
const wrong = (findings: readonly Finding[]) => findings.filter(({ state }) => state !== 'ok');
const account = (id: string) => config.accounts.filter((one) => one.id === id);
/** Only what is on this machine, so that a test takes no rounds through accounts. */
const alone = { accounts: [], signIn: { ...sceneConfig.signIn, accounts: [] } };

describe('all is well', () => {
  test('for the backend: every prerequisite is looked at', async () => {
    const findings = await doctor();
    expect(wrong(findings)).toEqual([]);
    const checks = new Set(findings.map(({ check }) => check));
    for (const check of [
      ...[
        'sign-in accounts',
        'rules',
        'keys',
        'Postgres',
        'the trail in Postgres',
        'clock',
        'sign-in',
        'group curfew-users',
      ],
      ...[
        'enter the broker',
        'broker asks for its external id',
        'the provisioner stays closed',
        'rights of the broker',
      ],
      ...['boundary', 'CloudTrail', 'permission set CurfewUser', 'personal roles', 'session documents', 'instances'],
    ]) {
      expect(checks).toContain(check);
    }
    expect(findings.filter(({ check }) => check === 'instances')).toHaveLength(4);
    expect(JSON.stringify(findings)).not.toContain(config.accounts[0]?.externalId);
  });

  test('also where the broker may not ask CloudTrail, which is said', async () => {
    const match = { service: 'cloudtrail', operation: 'LookupEvents' };
    const effect = { kind: 'error', code: 'AccessDeniedException', status: 400 };
    await control('addFault', { match, times: null, effect });
    const signIn = { ...config.signIn, accounts: [prod] };
    const findings = await doctor({ accounts: account(prod), signIn });
    await control('clearFaults', {});
    const [trail, ...others] = findings.filter(({ check }) => check === 'CloudTrail');
    expect(others).toEqual([]);
    const refused = ['IAM', ...(config.accounts.find(({ id }) => id === prod)?.regions ?? [])].map(
      (where) => `${where} (AccessDeniedException)`,
    );
    const found = expect.stringContaining(`not allowed for ${refused.join(', ')}, so findings there do not say who`);
    expect(trail).toMatchObject({ state: 'ok', found });
  });

  test('where people are IAM users: a right to list them that is missing is said, and nothing is wrong', async () => {
    const accounts = account(dev).map((one) => ({ ...one, principal: { kind: 'user', carrier: 'inline' } as const }));
    const directory = { kind: 'iam-users' as const, groups: ['curfew-users'], adminGroup: 'payments-leads' };
    const onUsers = { accounts, directory, signIn: { ...config.signIn, accounts: [dev] } };
    const lists = async () => (await doctor(onUsers)).filter(({ check }) => check === 'renamed users');
    expect(await lists()).toMatchObject([{ state: 'ok', found: 'are found by their id' }]);
    const effect = { kind: 'error', code: 'AccessDenied', status: 403 };
    await control('addFault', { match: { service: 'iam', operation: 'ListUsers' }, times: null, effect });
    const refused = await lists();
    await control('clearFaults', {});
    const found = expect.stringContaining('iam:ListUsers: AccessDenied, so they are found more slowly');
    expect(refused).toMatchObject([{ state: 'ok', found }]);
  });

  test('for the provisioner', async () => {
    asProvisioner();
    const findings = await doctor({}, { as: 'provisioner' });
    expect(wrong(findings)).toEqual([]);
    expect(findings.map(({ check }) => check)).toContain('the broker stays closed');
  });

  test('it changes nothing in AWS', async () => {
    await control('forgetCalls', {});
    await doctor({ accounts: account(prod) });
    const calls = callList.parse(await control('calls', { service: 'iam' }));
    // One write is tried, with a text that IAM never stores: the world that somebody changed, below, shows that.
    expect(calls.filter(({ operation }) => !/^(Get|List)/.test(operation))).toMatchObject([
      { operation: 'PutRolePolicy' },
    ]);
  });
});

describe('on this machine', () => {
  test('rules that do not validate are told with file, line and column', async () => {
    const rulesFolder = join(scratch, 'rules');
    cpSync(join(root, 'deploy/rules'), rulesFolder, { recursive: true });
    writeFileSync(
      join(rulesFolder, '50-own.cedar'),
      '@id("own")\npermit (principal, action, resource) when { nonsense };\n',
    );
    const [rules] = wrong(await doctor({ ...alone, rulesFolder }));
    expect(rules).toMatchObject({ check: 'rules', state: 'not-ok', advice: expect.stringContaining(rulesFolder) });
    expect(rules?.found).toMatch(/50-own\.cedar:2:\d+ /);
  });

  test('keys that others can read', async () => {
    const key = join(config.keysFolder, 'decision.key');
    chmodSync(key, 0o644);
    expect(wrong(await doctor(alone))).toMatchObject([
      { check: 'keys', state: 'not-ok', advice: expect.stringContaining(`chmod 600 ${key}`) },
    ]);
    chmodSync(key, 0o600);
    chmodSync(config.keysFolder, 0o755);
    expect(wrong(await doctor(alone))).toMatchObject([
      { check: 'keys', state: 'not-ok', advice: expect.stringContaining(`chmod 700 ${config.keysFolder}`) },
    ]);
    chmodSync(config.keysFolder, 0o700);
  });

  test('a database that is not there, and none at all', async () => {
    const databaseUrl = 'postgres://curfew:a-secret-word@127.0.0.1:1/curfew';
    const unreachable = wrong(await doctor({ ...alone, databaseUrl }));
    expect(unreachable).toMatchObject([
      { check: 'Postgres', state: 'not-ok', advice: expect.stringContaining('DATABASE_URL') },
    ]);
    expect(JSON.stringify(unreachable)).not.toContain('a-secret-word');
    expect(wrong(await doctor({ ...alone, databaseUrl: '' }))).toMatchObject([{ check: 'Postgres', state: 'not-ok' }]);
  });

  test('a clock that is a minute fast', async () => {
    const now = () => new Date(Date.now() + 60_000);
    expect(wrong(await doctor(alone, { now }))).toMatchObject([
      {
        check: 'clock',
        state: 'not-ok',
        found: expect.stringMatching(/^(59|60)\.\d s ahead/),
        advice: expect.stringContaining('NTP'),
      },
    ]);
  });
});

describe('in Identity Center', () => {
  test('a group that is not there, and one with nobody in it', async () => {
    const directory = { ...config.directory, groups: ['no-such-group'] };
    await control('changePerson', { userName: 'dele.adeyemi@harborline.example', groups: ['curfew-users'] });
    const found = wrong(await doctor({ ...alone, directory }));
    await control('changePerson', {
      userName: 'dele.adeyemi@harborline.example',
      groups: ['platform-engineers', 'curfew-users', 'curfew-admins'],
    });
    expect(found).toMatchObject([
      { check: 'group no-such-group', state: 'not-ok', advice: expect.stringContaining('directory.groups') },
      { check: 'group curfew-admins', state: 'not-ok', found: 'nobody enabled is in it' },
    ]);
  });

  test('no right to list people or groups: it works one by one, and is told', async () => {
    for (const operation of ['ListUsers', 'ListGroups']) {
      const effect = { kind: 'error', code: 'AccessDeniedException', status: 400 };
      await control('addFault', { match: { service: 'identitystore', operation }, times: null, effect });
      const found = wrong(await doctor(alone));
      await control('clearFaults', {});
      expect(found).toMatchObject([
        {
          check: 'lists of people and groups',
          state: 'not-ok',
          found: expect.stringContaining(`identitystore:${operation}`),
          advice: expect.stringContaining('deploy/curfew-identities.yml'),
        },
      ]);
    }
  });

  test('a sign-in account that the backend cannot look into', async () => {
    const found = wrong(await doctor({ accounts: [] }));
    expect(found).toMatchObject([
      {
        check: 'sign-in accounts',
        state: 'not-ok',
        found: expect.stringContaining(prod),
        advice: expect.stringContaining('accounts'),
      },
    ]);
  });
});

describe('in an account', () => {
  test('AWS-10 a wrong external id, and the other account is looked at all the same', async () => {
    const accounts = config.accounts.map((one) =>
      one.id === prod ? { ...one, externalId: 'somebody-elses-external-id' } : one,
    );
    const findings = await doctor({ accounts });
    expect(wrong(findings)).toMatchObject([
      {
        area: `payments-prod (${prod})`,
        check: 'enter the broker',
        state: 'not-ok',
        advice: expect.stringContaining('ExternalId'),
      },
      { area: `payments-prod (${prod})`, check: 'everything else here', state: 'unchecked' },
    ]);
    expect(findings.some(({ area, check }) => area.includes(dev) && check === 'personal roles')).toBe(true);
  });

  test('credentials of somebody else', async () => {
    asProvisioner();
    expect(wrong(await doctor({ accounts: account(dev) }))).toContainEqual(
      expect.objectContaining({ check: 'enter the broker', advice: expect.stringContaining('BackendPrincipalArn') }),
    );
    vi.stubEnv('AWS_SECRET_ACCESS_KEY', 'mistyped');
    expect(wrong(await doctor({ accounts: account(dev) }))).toContainEqual(
      expect.objectContaining({ check: 'AWS credentials', advice: expect.stringContaining('AWS_PROFILE') }),
    );
  });

  test('a region where every instance is offline, a permission set of another name, a person without a role', async () => {
    const ids = ['i-0eb2714c5d986fa03', 'i-01f8c6a3d97e2b540'];
    for (const id of ids) await control('changeInstance', { id, online: false });
    await control('addPerson', {
      userName: 'new.hire@harborline.example',
      id: 'c2c5d4e4-1021-70aa-8b10-1f2e3d4c5b99',
      displayName: 'New Hire',
      email: 'new.hire@harborline.example',
      groups: ['curfew-users'],
    });
    const signIn = { ...config.signIn, accounts: [dev] };
    const found = wrong(await doctor({ accounts: account(dev), signIn: { ...signIn, permissionSet: 'Other' } }));
    const roles = wrong(await doctor({ accounts: account(dev), signIn: config.signIn }));
    for (const id of ids) await control('changeInstance', { id, online: true });
    await control('changePerson', { userName: 'new.hire@harborline.example', groups: [] });
    expect(found).toContainEqual(
      expect.objectContaining({
        check: 'instances',
        area: expect.stringContaining('eu-west-1'),
        advice: expect.stringContaining('SSM agent'),
      }),
    );
    expect(found).toContainEqual(
      expect.objectContaining({
        check: 'permission set Other',
        advice: expect.stringContaining(`Assign Other in ${dev}`),
      }),
    );
    expect(roles).toContainEqual(
      expect.objectContaining({
        check: 'personal roles',
        found: '1 of 11 missing: new.hire@harborline.example',
        advice: expect.stringContaining('npm run provision'),
      }),
    );
  });
});

describe('in an account that somebody changed', () => {
  test('AWS-07 AWS-09 AWS-10 AWS-12 trust, rights, fence and documents that are not the template’s', async () => {
    const endpoint = await startWorld('changed', (world) => {
      const broker = ['everyAccount', 'roles', 0];
      world.deleteIn([...broker, 'trust', 'Statement', 0, 'Condition']);
      const rights = [...broker, 'inlinePolicies', 'CurfewBroker', 'Statement'];
      const never = z
        .array(z.looseObject({ Sid: z.string() }))
        .parse(world.toJS().everyAccount.roles[0].inlinePolicies.CurfewBroker.Statement);
      world.deleteIn([...rights, never.findIndex(({ Sid }) => Sid === 'NeverOnAnotherRole')]);
      world.addIn([...broker, 'inlinePolicies', 'CurfewBroker', 'Statement'], {
        Effect: 'Allow',
        Action: 'iam:PutRolePolicy',
        Resource: '*',
      });
      world.addIn(['everyAccount', 'managedPolicies', 0, 'document', 'Statement'], {
        Effect: 'Allow',
        Action: ['ssm:StartSession', 'ssm:SendCommand'],
        Resource: '*',
      });
      world.deleteIn(['everyAccount', 'sessionDocuments', 4]);
      world.setIn(['everyAccount', 'sessionDocuments', 0, 'maxSessionMinutes'], 700);
      world.addIn(['everyAccount', 'roles'], {
        name: roleNameOf(mira),
        path: '/curfew/people/',
        trust: {
          Version: '2012-10-17',
          Statement: [{ Effect: 'Allow', Principal: { AWS: `arn:aws:iam::${dev}:root` }, Action: 'sts:AssumeRole' }],
        },
        boundaryArn: 'arn:aws:iam::{account}:policy/curfew/boundary/CurfewBoundary',
        tags: { 'curfew:person': mira.id },
      });
    });
    vi.stubEnv('AWS_ENDPOINT_URL', endpoint);
    const found = wrong(await doctor({ accounts: account(prod), signIn: { ...config.signIn, accounts: [prod] } }));
    const of = (check: string) => found.find((one) => one.check === check);
    expect(of('broker asks for its external id')).toMatchObject({ advice: expect.stringContaining('AWS-10') });
    expect(of('rights of the broker')).toMatchObject({
      found: 'it may write policies on roles outside /curfew/people/',
    });
    expect(of('boundary')?.found).toBe('it allows ssm:SendCommand; it allows ssm:StartSession on *');
    expect(of('personal roles')?.found).toContain(`${mira.userName} (its trust policy is not the one Curfew gives)`);
    expect(of('session documents')).toMatchObject({
      found:
        'not as the template has them: Curfew-Shell-015 (inputs.maxSessionDuration), Curfew-Shell-240 (it does not exist)',
      advice: expect.stringContaining('deploy/curfew-account.yml in eu-central-1'),
    });
    const broker = roleDump.parse(await control('role', { account: prod, name: 'CurfewBroker' }, endpoint));
    // The doctor tried a write, and nothing of it is there.
    expect(broker.inlinePolicies).not.toHaveProperty(accessPolicyName);
  });
});

describe('for a person', () => {
  test('credentials that are not the permission set’s, and a backend that does not answer', async () => {
    const findings = await doctor({ origin: 'http://127.0.0.1:1' }, { as: 'person' });
    expect(wrong(findings)).toMatchObject([
      {
        check: 'credentials',
        state: 'not-ok',
        found: expect.stringContaining('user/curfew/curfew-backend'),
        advice: expect.stringContaining('aws configure sso'),
      },
      { check: 'backend', state: 'not-ok', advice: expect.stringContaining('Start the backend') },
    ]);
  });
});

describe('npm run doctor', () => {
  const run = async (file: string, ...args: string[]) => {
    const env = { ...process.env, CURFEW_CONFIG: file, DATABASE_URL: store.url, AWS_REGION: 'eu-central-1' };
    const options = { env, cwd: root, timeout: 60_000 };
    return promisify(execFile)(process.execPath, ['backend/doctor/main.ts', ...args], options).then(
      ({ stdout }) => ({ code: 0, out: stdout }),
      (error: unknown) => {
        const { code, stdout, stderr } = Object.assign({ code: -1, stdout: '', stderr: '' }, error);
        return { code, out: `${stdout}${stderr}` };
      },
    );
  };
  const configFile = (name: string, change: Record<string, unknown> = {}): string => {
    const { databaseUrl: _none, ...file } = config;
    const path = join(scratch, name);
    writeFileSync(path, stringify({ ...file, accounts: account(dev), ...change }));
    return path;
  };
  const signIn = { ...sceneConfig.signIn, accounts: [dev] };

  test('exit code 0, a table for people and JSON for programs', async () => {
    const all = await run(configFile('good.yml', { signIn }), '--json');
    // The personal roles of this world trust sessions of two accounts, so here they differ.
    expect(JSON.parse(all.out)).toMatchObject({ well: false });
    const table = await run(configFile('both.yml', { accounts: config.accounts }));
    expect(table.out).toMatch(/payments-prod \(482011773306\)\n {2}OK {11}enter the broker/);
    expect(table).toMatchObject({ code: 0, out: expect.stringMatching(/nothing is wrong: \d+ OK, 0 not OK\n$/) });
    // Two whole processes, on however busy a machine.
  }, 120_000);

  test('exit code 1 with advice, 2 when called wrongly', async () => {
    const broken = await run(configFile('broken.yml', { signIn, keysFolder: join(scratch, 'sound.yml') }));
    expect(broken.code).toBe(1);
    expect(broken.out).toMatch(/NOT OK {7}keys .* is a file\n {15}→ Let keysFolder/);
    const malformed = await run(configFile('malformed.yml', { partition: 'aws-moon' }));
    expect(malformed.code).toBe(1);
    expect(malformed.out).toMatch(/malformed\.yml:\d+:\d+ partition/);
    expect((await run(join(scratch, 'none.yml'))).out).toContain('CURFEW_CONFIG');
    expect(await run(configFile('good.yml'), '--as', 'auditor')).toMatchObject({ code: 2 });
  });
});
