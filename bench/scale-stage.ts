/** Postgres, local-aws and the backend for a made-up company, each a process of its own: the backend is the very one that ships. */
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { stringify } from 'yaml';
import { type Db, openStore, type Store } from '../backend/store/open.ts';
import { openSealKey } from '../backend/store/seal.ts';
import { controlOf, type LocalAwsControl } from '../dev/driver/local-aws-control.ts';
import { spawnTied, type TiedProcess } from '../dev/machine/tied-process.ts';
import { startPostgres } from '../dev/postgres/supervisor.ts';
import type { Company } from './scale-company.ts';
import { writeRows, writeSessions } from './scale-rows.ts';

const root = path.resolve(import.meta.dirname, '..');
/** The shortest of session documents that fits an hour. */
const documentName = 'Curfew-Shell-060';
const sessionsAtOnce = 500;

export type ScaleStage = {
  db: Db;
  databaseUrl: string;
  control: LocalAwsControl;
  backendLog: string;
  /** Starts the backend; resolves when it is ready. @returns its address. */
  startBackend: () => Promise<string>;
  close: () => Promise<void>;
};

/**
 * The address that a process says when it listens; all its lines go to `keep` for as long as it runs.
 * @throws Error when it ends first.
 */
const addressSaid = (tied: TiedProcess, what: string, keep: (line: string) => void): Promise<string> =>
  new Promise((resolve, reject) => {
    for (const stream of [tied.child.stdout, tied.child.stderr]) {
      if (stream === null) continue;
      createInterface({ input: stream }).on('line', (line) => {
        keep(line);
        const said = /(?: at |"address":")(http:\/\/127\.0\.0\.1:\d+)/.exec(line)?.[1];
        if (said !== undefined) resolve(said);
      });
    }
    tied.ended.then((code) => reject(new Error(`${what} ended with code ${code} before it listened.`)), reject);
  });

const configOf = (company: Company, folder: string): Record<string, unknown> => ({
  organisationName: 'Harborline',
  listen: { host: '127.0.0.1', port: 0 },
  origin: 'http://127.0.0.1:7420',
  signIn: {
    ...{ permissionSet: company.permissionSet, accounts: [company.signInAccount] },
    ...{ stsRegion: company.homeRegion, ssoRegion: company.homeRegion },
  },
  directory: {
    ...{ identityStoreId: company.identityStoreId, region: company.homeRegion },
    ...{ groups: ['curfew-users'], adminGroup: 'curfew-admins' },
  },
  accounts: company.accounts.map(({ id, name }) => ({
    ...{ id, name, regions: [company.region], externalId: `curfew-${id}-local` },
    brokerRoleArn: `arn:aws:iam::${id}:role/curfew/broker/CurfewBroker`,
    provisionerRoleArn: `arn:aws:iam::${id}:role/curfew/provisioner/CurfewProvisioner`,
    boundaryArn: `arn:aws:iam::${id}:policy/curfew/boundary/CurfewBoundary`,
    principal: { kind: 'role', carrier: 'inline' },
  })),
  rulesFolder: path.join(root, 'deploy', 'rules'),
  keysFolder: path.join(folder, 'keys'),
});

const openSessions = async (control: LocalAwsControl, company: Company): Promise<Map<string, string>> => {
  const wanted = company.holders.flatMap(({ owner, grants }) =>
    grants
      .filter(({ hasSession }) => hasSession)
      .map(({ id, instance }) => ({ id, owner, target: instance.instanceId })),
  );
  const ids = new Map<string, string>();
  for (let from = 0; from < wanted.length; from += sessionsAtOnce) {
    const some = wanted.slice(from, from + sessionsAtOnce);
    const sessions = some.map(({ owner, target }) => ({ owner, target, documentName, maxSessionMinutes: 60 }));
    const made = await control.call('addHollowSessions', { sessions });
    for (const [at, { id }] of some.entries()) ids.set(id, made[at] ?? '');
  }
  return ids;
};

/** @throws Error after a minute. */
const untilReady = async (address: string): Promise<void> => {
  for (const until = Date.now() + 60_000; ; await sleep(100)) {
    const answer = await fetch(`${address}/readyz`).catch(() => null);
    await answer?.body?.cancel();
    if (answer?.ok === true) return;
    if (Date.now() > until) throw new Error('The backend does not get ready.');
  }
};

/** Starts Postgres and local-aws, and gives the company everything that lives in it. AWS's own rates hold. */
const awsSaid = (line: string): void => {
  // What local-aws says of itself is no result; its own faults are.
  if (line.includes('fault')) console.error(line);
};

export const openScaleStage = async (company: Company): Promise<ScaleStage> => {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'curfew-scale-'));
  // As root the database server runs as somebody else.
  fs.chmodSync(folder, 0o755);
  const stops: Array<() => Promise<void>> = [
    async () => fs.rmSync(folder, { recursive: true, force: true, maxRetries: 20 }),
  ];
  const close = async (): Promise<void> => {
    for (const stop of stops.splice(0).reverse()) await stop();
  };
  try {
    const postgres = await startPostgres({ folder: path.join(folder, 'postgres') });
    stops.push(postgres.stop);
    const admin = new pg.Client({ connectionString: postgres.url('postgres') });
    await admin.connect();
    await admin.query('create database curfew');
    await admin.end();
    const databaseUrl = postgres.url('curfew');
    const store: Store = await openStore(databaseUrl, () => undefined);
    stops.push(store.close);

    const worldFile = path.join(folder, 'world.yml');
    fs.writeFileSync(worldFile, company.world);
    const env = { PATH: process.env['PATH'], HOME: process.env['HOME'] };
    const serve = ['serve', '--port', '0', '--run', path.join(folder, 'run'), '--world', worldFile];
    const aws = spawnTied([process.execPath, path.join(root, 'dev/local-aws/cli.ts'), ...serve], { cwd: root, env });
    stops.push(aws.stop);
    const endpoint = await addressSaid(aws, 'local-aws', (line) => awsSaid(line));
    const control = controlOf(endpoint);

    const keys = path.join(folder, 'keys');
    await writeRows(store.reconcile, company, openSealKey(keys));
    await writeSessions(store.reconcile, company, await openSessions(control, company));
    await pgAnalyze(databaseUrl);

    const backendLog = path.join(folder, 'backend.log');
    const startBackend = async (): Promise<string> => {
      const configFile = path.join(folder, 'backend.yml');
      fs.writeFileSync(configFile, stringify(configOf(company, folder)));
      const out = fs.createWriteStream(backendLog, { flags: 'a' });
      const backend = spawnTied([process.execPath, path.join(root, 'backend/server.ts')], {
        cwd: root,
        env: {
          ...env,
          AWS_ENDPOINT_URL: endpoint,
          AWS_REGION: company.homeRegion,
          AWS_EC2_METADATA_DISABLED: 'true',
          AWS_ACCESS_KEY_ID: 'AKIACURFEWBACKENDDEV',
          AWS_SECRET_ACCESS_KEY: 'local-aws/curfew-backend/opens-nothing-0',
          CURFEW_CONFIG: configFile,
          DATABASE_URL: databaseUrl,
        },
      });
      stops.push(async () => {
        await backend.stop();
        out.end();
      });
      const address = await addressSaid(backend, 'The backend', (line) => out.write(`${line}\n`));
      await untilReady(address);
      return address;
    };
    return { db: store.reconcile, databaseUrl, control, backendLog, startBackend, close };
  } catch (error) {
    await close();
    throw error;
  }
};

/** The planner knows its tables, as it does wherever Postgres has run for a while. */
const pgAnalyze = async (url: string): Promise<void> => {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  await client.query('vacuum analyze');
  await client.end();
};
