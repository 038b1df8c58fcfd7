import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { GetRoleCommand, ListRolesCommand } from '@aws-sdk/client-iam';
import { DescribeSessionsCommand, SSMClient, TerminateSessionCommand } from '@aws-sdk/client-ssm';
import { ListAccountsCommand, SSOClient } from '@aws-sdk/client-sso';
import { afterAll, describe, expect, it } from 'vitest';
import { type LocalAws, startLocalAws } from './start.ts';
import { asBroker, asPerson, assumeRole, iamClient, makePersonalRole, signIn } from './testing/act-as.ts';
import { readWorld } from './world.ts';

const folder = mkdtempSync(path.join(tmpdir(), 'local-aws-control-'));
const worldFile = path.join(import.meta.dirname, 'world.yml');
const prod = '482011773306';
const mira = 'mira.okafor@harborline.example';
const opened: LocalAws[] = [];
const start = async (stateFile: string | null = null) => {
  const aws = await startLocalAws({ worldFile, stateFile, port: 0, runFolder: path.join(folder, 'run') });
  opened.push(aws);
  return aws;
};
afterAll(async () => {
  for (const aws of opened) await aws.close();
  rmSync(folder, { recursive: true, force: true });
});

describe('over HTTP', () => {
  it('moves people and instances, which the services show at once', async () => {
    const aws = await start();
    const call = async (method: string, body: unknown, headers: Record<string, string> = {}) => {
      const response = await fetch(`${aws.endpoint}/_control/${method}`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', ...headers },
        body: JSON.stringify(body),
      });
      return { status: response.status, body: JSON.stringify(await response.json()) };
    };
    expect((await fetch(`${aws.endpoint}/_control/health`)).status).toBe(200);
    await signIn(aws, mira);
    expect((await call('changePerson', { userName: mira, enabled: false })).status).toBe(200);
    await expect(signIn(aws, mira)).rejects.toThrow('could not sign in: 403');
    const changed = await call('changeInstance', {
      id: 'i-0f3a9c1d7b24e8a61',
      tags: { env: 'staging', service: null },
    });
    expect(JSON.parse(changed.body)).toMatchObject({ tags: { env: 'staging', team: 'payments' } });
    expect(changed.body).not.toContain('payments-api"}');

    const refused = [
      await call('changePerson', { userName: 'nobody' }),
      await call('changePerson', { userName: mira, colour: 'red' }),
      await call('nothing', {}),
      await call('world', {}, { origin: 'https://evil.example' }),
      await call('world', {}, { 'content-type': 'text/plain' }),
    ];
    expect(refused.map((one) => one.status)).toEqual([404, 400, 404, 403, 415]);
    const world = await call('world', {});
    expect(world.body).toContain('payments-ledger-db-1');
    expect(world.body).not.toContain('secretAccessKey');
  });
});

describe('in this process', () => {
  it('lets a name go to somebody else, and instances come and go', async () => {
    const { control, world } = await start();
    control.changePerson({ userName: mira, newUserName: 'mira.o@harborline.example' });
    const newcomer = {
      userName: mira,
      id: 'c2c5d4e4-1021-70aa-8b10-1f2e3d4c5b99',
      displayName: 'Mira Orlov',
      email: mira,
      groups: ['search-engineers'],
    };
    expect(control.addPerson(newcomer)).toMatchObject({ enabled: true });
    expect(() => control.addPerson(newcomer)).toThrow('already');
    expect(() => control.addPerson({ ...newcomer, userName: 'x@harborline.example', groups: ['nobodies'] })).toThrow(
      'There is no group nobodies.',
    );
    const node = {
      id: 'mi-0123456789abcdef0',
      name: 'payments-api-9',
      account: prod,
      region: 'eu-central-1',
      ipAddress: '10.9.9.9',
    };
    control.addInstance(node);
    expect(world.instances.find((one) => one.id === node.id)).toMatchObject({ online: true, platform: 'Linux' });
    expect(() => control.addInstance(node)).toThrow('already');
    control.removeInstance({ id: node.id });
    expect(world.instances.some((one) => one.id === node.id)).toBe(false);
    expect(() => control.removeInstance({ id: node.id })).toThrow('There is no instance');
  });

  it('ends sign-ins and takes faults away, each without touching the other', async () => {
    const aws = await start();
    const { control, world } = aws;
    const portal = new SSOClient({ region: world.organisation.region, endpoint: aws.endpoint, maxAttempts: 1 });
    const accessToken = await signIn(aws, mira);
    const accounts = () => portal.send(new ListAccountsCommand({ accessToken }));
    control.changeSettings({ spreadingDelayMs: 7 });
    control.addFault({ match: { service: 'sso' }, times: null, effect: { kind: 'error', code: 'TooBusy' } });
    await expect(accounts()).rejects.toMatchObject({ name: 'TooBusy' });
    control.clearFaults();
    expect((await accounts()).accountList?.length).toBeGreaterThan(0);
    expect(control.faults()).toMatchObject({ rules: [], settings: { spreadingDelayMs: 7 } });
    control.endSignIns();
    await expect(accounts()).rejects.toMatchObject({ name: 'UnauthorizedException' });
    portal.destroy();
  });
});

describe('over a restart', () => {
  it('finds roles, their ids and credentials again; the file is for its owner alone', async () => {
    const stateFile = path.join(folder, 'state.json');
    const before = await start(stateFile);
    before.control.changeSettings({ spreadingDelayMs: 0 });
    const role = await makePersonalRole(before, mira, prod);
    const credentials = await asBroker(before, prod);
    const { Role } = await iamClient(before, credentials).send(new GetRoleCommand({ RoleName: role.name }));
    await before.close();
    expect(statSync(stateFile).mode & 0o777).toBe(0o600);

    const after = await start(stateFile);
    const again = await iamClient(after, credentials).send(new GetRoleCommand({ RoleName: role.name }));
    expect(again.Role?.RoleId).toBe(Role?.RoleId);
    expect(again.Role?.PermissionsBoundary).toEqual(Role?.PermissionsBoundary);
    const { Roles = [] } = await iamClient(after, credentials).send(
      new ListRolesCommand({ PathPrefix: '/curfew/people/' }),
    );
    expect(Roles.map((one) => one.RoleName)).toEqual([role.name]);
    // The person enters it with a sign-in of after the restart: the ids in the trust still agree.
    await assumeRole(after, await asPerson(after, mira, { accountId: prod }), role);
  });

  it('says which file it cannot use', async () => {
    const stateFile = path.join(folder, 'broken.json');
    writeFileSync(stateFile, '{"version":1}');
    await expect(start(stateFile)).rejects.toThrow(`${stateFile} is not a state of local-aws`);
    expect(readFileSync(stateFile, 'utf8')).toBe('{"version":1}');
  });
});

// Real processes, on a machine that may be busy.
describe('the command line', { timeout: 90_000 }, () => {
  const cli = (args: string[]) => {
    const child = spawn(process.execPath, [path.join(import.meta.dirname, 'cli.ts'), ...args], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let out = '';
    let err = '';
    child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
      out += chunk;
    });
    child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
      err += chunk;
    });
    const ended = new Promise<number | null>((resolve) => child.once('close', resolve));
    const said = (pattern: RegExp) =>
      new Promise<string>((resolve, reject) => {
        const look = () => {
          const found = pattern.exec(out)?.[0];
          if (found !== undefined) resolve(found);
        };
        child.stdout.on('data', look);
        child.once('close', () => reject(new Error(`It ended: ${err}`)));
      });
    return { child, ended, said, run: async () => ({ code: await ended, out, err }) };
  };

  it('serves until it is told to stop, and steers a running one', async () => {
    const stateFile = path.join(folder, 'served.json');
    const served = cli(['serve', '--port', '0', '--state', stateFile, '--run', path.join(folder, 'served')]);
    const endpoint = await served.said(/http:\/\/127\.0\.0\.1:\d+/);
    const at = ['--endpoint', endpoint];
    const set = await cli(['faults', 'spreading', '2500', ...at]).run();
    expect(set).toMatchObject({ code: 0, err: '' });
    await cli([
      'faults',
      'fail',
      'ssm',
      'StartSession',
      'InternalServerError',
      '--status',
      '500',
      '--always',
      ...at,
    ]).run();
    const shown = JSON.parse((await cli(['faults', ...at]).run()).out);
    expect(shown.settings).toEqual({ spreadingDelayMs: 2500, rateLimits: true, clockAheadMs: 0, trailDelayMs: 2000 });
    expect(shown.rules).toEqual([
      {
        match: { service: 'ssm', operation: 'StartSession' },
        after: 0,
        times: null,
        effect: { kind: 'error', code: 'InternalServerError', message: 'Injected by local-aws', status: 500 },
      },
    ]);
    const wrong = await cli(['person', 'nobody', '--disable', ...at]).run();
    expect(wrong).toMatchObject({ code: 1, err: 'There is no person nobody.\n' });
    await signIn({ endpoint, world: readWorld(worldFile) }, mira);
    served.child.kill('SIGTERM');
    expect(await served.ended).toBe(0);
    expect(JSON.parse(readFileSync(stateFile, 'utf8')).signIn.portalSessions).toHaveLength(1);
  });

  it('tells what is wrong in a sentence', async () => {
    const results = await Promise.all([
      cli(['dance']).run(),
      cli(['faults', 'spreading', 'soon']).run(),
      cli(['serve', '--world', path.join(folder, 'absent.yml')]).run(),
      cli(['world', '--endpoint', 'http://127.0.0.1:1']).run(),
    ]);
    expect(results.map((one) => one.code)).toEqual([1, 1, 1, 1]);
    expect(results[0]?.err).toContain('There is no command dance.');
    expect(results[1]?.err).toBe('MS must be a number.\n');
    expect(results[2]?.err).toContain('absent.yml');
    expect(results[3]?.err).toContain('No local-aws answers');
  });
});

describe('a crowd', () => {
  it('has sessions without shells that are listed and ended like all others', async () => {
    const aws = await start();
    const region = 'eu-central-1';
    const ssm = new SSMClient({ region, endpoint: aws.endpoint, credentials: await asBroker(aws, prod) });
    const owner = `arn:aws:sts::${prod}:assumed-role/CurfewBroker/somebody`;
    const wanted = { owner, target: 'i-0f3a9c1d7b24e8a61', documentName: 'Curfew-Shell-060', maxSessionMinutes: 60 };
    const nobodys = { ...wanted, owner: `arn:aws:sts::${prod}:assumed-role/Nobody/somebody` };
    expect(() => aws.control.addHollowSessions({ sessions: [nobodys] })).toThrow('There is no role Nobody');
    const [SessionId = ''] = aws.control.addHollowSessions({ sessions: [wanted] });
    const active = async () => {
      const { Sessions = [] } = await ssm.send(new DescribeSessionsCommand({ State: 'Active' }));
      return Sessions.map(({ SessionId: id, Owner, Target }) => ({ id, Owner, Target }));
    };
    expect(await active()).toEqual([{ id: SessionId, Owner: owner, Target: wanted.target }]);
    await ssm.send(new TerminateSessionCommand({ SessionId }));
    await expect.poll(active, { timeout: 20_000 }).toEqual([]);
    ssm.destroy();
  });
});
