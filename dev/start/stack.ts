/**
 * Everything below the app on one machine: Postgres, local-aws, the backend and the provisioner, each a process of its own tied to ours. `npm
 * start`, the tour and the end-to-end tests all run this very stack; they differ in the folder and the ports.
 */
import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { stringify } from 'yaml';
import { readWorld, type World } from '../local-aws/world.ts';
import { spawnTied, type TiedProcess } from '../machine/tied-process.ts';
import { type RunningPostgres, startPostgres } from '../postgres/supervisor.ts';

const root = path.resolve(import.meta.dirname, '..', '..');
const ownWorld = path.join(root, 'dev', 'local-aws', 'world.yml');

const readyDeadlineMs = 60_000;

export type StackOptions = {
  /** Where data, keys, logs and state live; the same folder finds the same data again. */
  folder: string;
  /** Told what is being started. */
  say: (line: string) => void;
  /** Ports to try first; a port that is taken is replaced by a free one, and that is said. */
  ports?: { localAws: number; backend: number };
  /** False for throw-away stacks: no fsync. */
  durable?: boolean;
  /** Another world than the one that comes with local-aws: its YAML file. */
  worldFile?: string;
  /** What the backend alone is told in place of an address, e.g. that of a proxy that watches or cuts; it gets the true one. */
  between?: { localAws?: (url: string) => Promise<string>; database?: (url: string) => Promise<string> };
  /** Laid over the generated configuration, e.g. shorter intervals. */
  configure?: Record<string, unknown>;
};

export type Stack = {
  folder: string;
  world: World;
  localAwsUrl: string;
  backendUrl: string;
  databaseUrl: string;
  /** What an app instance needs in its environment to be at home here: managed settings and the endpoint. */
  appEnv: Record<string, string>;
  /** For tests: what an engineer of ours would do by hand. */
  backend: { stop: () => Promise<void>; kill: () => Promise<void>; start: () => Promise<void> };
  provision: () => Promise<void>;
  /**
   * For tests, on a throw-away stack only: what anybody has done since the first call is undone, for local-aws, its instances and the
   * database alike. The first call, before anybody does anything, notes what that is. No app may be open. The provisioner does not come
   * back: its roles are there. @throws Error when a part does not start again.
   */
  renew: () => Promise<void>;
  stop: () => Promise<void>;
};

const isFree = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const server = net.createServer();
    server.once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });

const freePort = (): Promise<number> =>
  new Promise((resolve, reject) => {
    const server = net.createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() =>
        typeof address === 'object' && address !== null ? resolve(address.port) : reject(new Error('no port')),
      );
    });
  });

const choosePort = async (wanted: number | undefined, what: string, say: (line: string) => void): Promise<number> => {
  if (wanted !== undefined && (await isFree(wanted))) return wanted;
  const port = await freePort();
  if (wanted !== undefined) say(`Port ${wanted} is taken, so ${what} uses ${port}.`);
  return port;
};

/** Waits until an address answers 200. @throws Error with the process's last log lines when it ends or stays silent. */
const untilReady = async (url: string, tied: TiedProcess, what: { name: string; log: string }): Promise<void> => {
  let code: number | null = null;
  void tied.ended.then((ended) => {
    code = ended;
  });
  for (const until = Date.now() + readyDeadlineMs; ; await sleep(60)) {
    const answer = await fetch(url).catch(() => null);
    await answer?.body?.cancel();
    if (answer?.ok === true) return;
    if (code !== null || Date.now() > until) {
      const words = fs.readFileSync(what.log, 'utf8').split('\n').slice(-12).join('\n');
      const how = code === null ? `did not get ready within ${readyDeadlineMs / 1000} s` : `ended with code ${code}`;
      await tied.stop();
      throw new Error(`${what.name} ${how}. Its last words (${what.log}):\n${words}`);
    }
  }
};

/** Nothing of the caller's own AWS set-up may leak in: these processes play in a made-up world. */
const plainEnv = (): NodeJS.ProcessEnv => {
  const kept = [
    'PATH',
    'HOME',
    'LANG',
    'TZ',
    'TMPDIR',
    'DISPLAY',
    'CHROMIUM',
    'NODE_EXTRA_CA_CERTS',
    'NODE_V8_COVERAGE',
  ];
  return Object.fromEntries(
    kept.flatMap((name) => (process.env[name] === undefined ? [] : [[name, process.env[name]]])),
  );
};

const awsEnv = (localAwsUrl: string, region: string, folder: string): Record<string, string> => ({
  AWS_ENDPOINT_URL: localAwsUrl,
  AWS_REGION: region,
  AWS_EC2_METADATA_DISABLED: 'true',
  AWS_CONFIG_FILE: path.join(folder, 'no-aws-config'),
  AWS_SHARED_CREDENTIALS_FILE: path.join(folder, 'no-aws-credentials'),
});

const keysOf = (world: World, userName: string): Record<string, string> => {
  const key = world.accounts.flatMap((account) => account.users).find((user) => user.name === userName)?.accessKeys[0];
  if (key === undefined) throw new Error(`The world has no access key for ${userName}.`);
  return { AWS_ACCESS_KEY_ID: key.accessKeyId, AWS_SECRET_ACCESS_KEY: key.secretAccessKey };
};

const backendConfig = (world: World, folder: string, port: number): Record<string, unknown> => {
  const { organisation } = world;
  return {
    organisationName: organisation.name,
    listen: { host: '127.0.0.1', port },
    origin: `http://127.0.0.1:${port}`,
    signIn: {
      permissionSet: 'CurfewUser',
      accounts: world.accounts.map((account) => account.id),
      stsRegion: organisation.region,
      ssoRegion: organisation.region,
      deviceCodeAllowed: true,
    },
    directory: {
      identityStoreId: organisation.identityStoreId,
      region: organisation.region,
      groups: ['curfew-users'],
      adminGroup: 'curfew-admins',
    },
    accounts: world.accounts.map((account) => ({
      id: account.id,
      name: account.name,
      regions: [...new Set(world.instances.filter((one) => one.account === account.id).map((one) => one.region))],
      brokerRoleArn: `arn:aws:iam::${account.id}:role/curfew/broker/CurfewBroker`,
      provisionerRoleArn: `arn:aws:iam::${account.id}:role/curfew/provisioner/CurfewProvisioner`,
      externalId: `curfew-${account.id}-local`,
      boundaryArn: `arn:aws:iam::${account.id}:policy/curfew/boundary/CurfewBoundary`,
      principal: { kind: 'role', carrier: 'inline' },
    })),
    rulesFolder: path.join(root, 'deploy', 'rules'),
    keysFolder: path.join(folder, 'keys'),
    intervals: { inventorySeconds: 20, tagsSeconds: 20, sweepSeconds: 30, auditHeadSeconds: 30 },
  };
};

/** Open to pass through: as root the server runs as somebody else (dev/postgres). */
const throwAwayFolder = (): string => {
  const made = fs.mkdtempSync(path.join(os.tmpdir(), 'curfew-data-'));
  fs.chmodSync(made, 0o755);
  return made;
};

const emptyDatabase = async (postgres: RunningPostgres): Promise<void> => {
  const client = new pg.Client({ connectionString: postgres.url('postgres') });
  await client.connect();
  try {
    await client.query('drop database if exists curfew with (force)');
    await client.query('create database curfew');
  } finally {
    await client.end();
  }
};

const ensureDatabase = async (postgres: RunningPostgres): Promise<string> => {
  const client = new pg.Client({ connectionString: postgres.url('postgres') });
  await client.connect();
  try {
    const { rowCount } = await client.query("select 1 from pg_database where datname = 'curfew'");
    if (rowCount === 0) await client.query('create database curfew');
  } finally {
    await client.end();
  }
  return postgres.url('curfew');
};

/** Starts the stack, in order; what was started is stopped again when a later part fails. */
export const startStack = async (options: StackOptions): Promise<Stack> => {
  const { folder, say } = options;
  const logs = path.join(folder, 'logs');
  fs.mkdirSync(logs, { recursive: true });
  const worldFile = options.worldFile ?? ownWorld;
  const world = readWorld(worldFile);
  const stops: Array<() => Promise<void>> = [];
  const stop = async (): Promise<void> => {
    for (const next of stops.splice(0).reverse()) await next();
  };

  const launch = (
    name: string,
    args: [string, ...string[]],
    env: Record<string, string>,
  ): { tied: TiedProcess; log: string } => {
    const log = path.join(logs, `${name}.log`);
    const out = fs.createWriteStream(log, { flags: 'a' });
    const tied = spawnTied([process.execPath, ...args], { cwd: root, env: { ...plainEnv(), ...env } });
    tied.child.stdout?.pipe(out, { end: false });
    tied.child.stderr?.pipe(out, { end: false });
    void tied.ended.then(() => out.end());
    return { tied, log };
  };

  try {
    const cluster = options.durable === false ? throwAwayFolder() : folder;
    if (options.durable === false) stops.push(async () => fs.rmSync(cluster, { recursive: true, force: true }));
    const postgres = await startPostgres({ folder: path.join(cluster, 'postgres'), durable: options.durable ?? true });
    stops.push(postgres.stop);
    const databaseUrl = await ensureDatabase(postgres);
    say('Postgres          on a unix socket, data kept');

    const localAwsPort = await choosePort(options.ports?.localAws, 'local-aws', say);
    const localAwsUrl = `http://127.0.0.1:${localAwsPort}`;
    const stateFile = path.join(folder, 'local-aws.json');
    const runFolder = path.join(folder, 'instances');
    let aws: TiedProcess | null = null;
    const startAws = async (): Promise<void> => {
      const cli = path.join(root, 'dev/local-aws/cli.ts');
      const where = ['--port', String(localAwsPort), '--state', stateFile, '--run', runFolder, '--world', worldFile];
      const started = launch('local-aws', [cli, 'serve', ...where], {});
      aws = started.tied;
      await untilReady(`${localAwsUrl}/_control/health`, started.tied, { name: 'local-aws', log: started.log });
    };
    const stopAws = async (): Promise<void> => {
      const current = aws;
      aws = null;
      await current?.stop();
    };
    stops.push(stopAws);
    await startAws();
    say(
      `local-aws         ${localAwsUrl}  a stand-in for AWS: ${world.instances.length} instances in ${world.accounts.length} accounts`,
    );

    const env = awsEnv(localAwsUrl, world.organisation.region, folder);
    const port = await choosePort(options.ports?.backend, 'the backend', say);
    const backendUrl = `http://127.0.0.1:${port}`;
    const configFile = path.join(folder, 'backend.yml');
    fs.writeFileSync(configFile, stringify({ ...backendConfig(world, folder, port), ...options.configure }));

    const provision = async (): Promise<void> => {
      const once = launch('provisioner', [path.join(root, 'backend/provisioner/main.ts')], {
        ...env,
        ...keysOf(world, 'curfew-provisioner'),
        CURFEW_CONFIG: configFile,
        DATABASE_URL: databaseUrl,
      });
      const code = await once.tied.ended;
      if (code !== 0) throw new Error(`The provisioner ended with code ${code}: see ${once.log}.`);
    };
    await provision();
    const keeper = launch('provisioner', [path.join(root, 'backend/provisioner/main.ts'), '--watch', '30'], {
      ...env,
      ...keysOf(world, 'curfew-provisioner'),
      CURFEW_CONFIG: configFile,
      DATABASE_URL: databaseUrl,
    });
    stops.push(keeper.tied.stop);
    say(
      `provisioner       keeps a personal role for each of ${world.people.filter((one) => one.enabled && one.groups.includes('curfew-users')).length} people in every account`,
    );

    const toBackend = {
      localAws: (await options.between?.localAws?.(localAwsUrl)) ?? localAwsUrl,
      database: (await options.between?.database?.(databaseUrl)) ?? databaseUrl,
    };
    let running: TiedProcess | null = null;
    const startBackend = async (): Promise<void> => {
      const started = launch('backend', [path.join(root, 'backend/server.ts')], {
        ...awsEnv(toBackend.localAws, world.organisation.region, folder),
        ...keysOf(world, 'curfew-backend'),
        CURFEW_CONFIG: configFile,
        DATABASE_URL: toBackend.database,
      });
      running = started.tied;
      await untilReady(`${backendUrl}/readyz`, started.tied, { name: 'The backend', log: started.log });
    };
    const stopBackend = async (): Promise<void> => {
      const current = running;
      running = null;
      await current?.stop();
    };
    const killBackend = async (): Promise<void> => {
      const current = running;
      running = null;
      // The group holds the shell beside it too, so nothing is left to wait for.
      if (current?.child.pid !== undefined) process.kill(-current.child.pid, 'SIGKILL');
      await current?.ended;
    };
    stops.push(stopBackend);
    await startBackend();
    say(`backend           ${backendUrl}  health at /healthz, metrics at /metrics`);

    const firstState = `${stateFile}.first`;
    const renewAws = async (): Promise<void> => {
      await stopAws();
      if (fs.existsSync(firstState)) fs.copyFileSync(firstState, stateFile);
      else fs.copyFileSync(stateFile, firstState);
      fs.rmSync(runFolder, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
      await startAws();
    };
    const renew = async (): Promise<void> => {
      if (options.durable !== false) throw new Error('Only a throw-away stack is renewed: this one keeps its data.');
      await Promise.all([killBackend(), keeper.tied.stop()]);
      await Promise.all([renewAws(), emptyDatabase(postgres)]);
      await startBackend();
    };

    return {
      folder,
      world,
      localAwsUrl,
      backendUrl,
      databaseUrl,
      appEnv: {
        CURFEW_BACKEND_URL: backendUrl,
        CURFEW_START_URL: world.organisation.startUrl,
        CURFEW_SSO_REGION: world.organisation.region,
        ...env,
      },
      backend: {
        stop: stopBackend,
        start: startBackend,
        kill: killBackend,
      },
      provision,
      renew,
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
};
