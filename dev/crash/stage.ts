/** Where backends are killed: a throw-away stack whose backend reaches Postgres and AWS through proxies that watch. */
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { parse, stringify } from 'yaml';
import { z } from 'zod';
import { type AuditKey, openAuditKey } from '../../backend/audit/heads.ts';
import { type Db, openStore } from '../../backend/store/open.ts';
import { openSealKey, type SealKey } from '../../backend/store/seal.ts';
import { createPersonalRole } from '../../src/main/aws/personal-role.ts';
import type { InstanceRef } from '../../src/shared/access.ts';
import { controlOf, type LocalAwsControl } from '../driver/local-aws-control.ts';
import { type SignedIn, signInAsPerson, until } from '../driver/person-at-api.ts';
import { type Stack, startStack } from '../start/stack.ts';
import { startAwsProxy } from './aws-proxy.ts';
import { createPoints, type Points } from './points.ts';
import { startPostgresProxy } from './postgres-proxy.ts';
import type { Gate, Watcher } from './traffic.ts';

/** Somebody who works here, signed in, with a role of their own in the one account. */
export type Worker = {
  id: string;
  backend: SignedIn['backend'];
  personalRole: ReturnType<typeof createPersonalRole>;
};

export type Stage = {
  stack: Stack;
  control: LocalAwsControl;
  /** The database, past the proxy. */
  db: Db;
  sealKey: SealKey;
  auditKey: AuditKey;
  points: Points;
  account: string;
  instance: InstanceRef;
  /** The next one in turn: nobody asks too often in an hour. */
  nextWorker: () => Promise<Worker>;
  /** Ends every connection of the backend to Postgres and AWS that is open now. */
  cut: () => void;
  /** Kills the backend where it stands. Nothing of it passes the proxies from then on. */
  kill: () => Promise<void>;
  close: () => Promise<void>;
};

const account = '739164205518';
/** Each may ask sixty times in an hour. */
const staff = 10;

const looseWorld = z.looseObject({
  groups: z.array(z.unknown()),
  permissionSets: z.array(
    z.looseObject({ name: z.string(), assignments: z.array(z.looseObject({ account: z.string() })) }),
  ),
  accounts: z.array(z.looseObject({ id: z.string() })),
  instances: z.array(z.looseObject({ account: z.string() })),
});

const workerName = (number: number): string => `worker-${number}@harborline.example`;
const workerId = (number: number): string => `c2c5d4e4-1021-70aa-8b10-1f2e3d4c6${String(number).padStart(3, '0')}`;

/** One account and one team of the world that comes with local-aws: a sweep of it takes a second. */
const smallWorld = (): string => {
  const file = path.resolve(import.meta.dirname, '..', 'local-aws', 'world.yml');
  const world = looseWorld.parse(parse(fs.readFileSync(file, 'utf8')));
  const ours = (one: { account: string }): boolean => one.account === account;
  return stringify({
    ...world,
    people: Array.from({ length: staff }, (_, number) => ({
      userName: workerName(number),
      id: workerId(number),
      displayName: `Worker ${number}`,
      email: workerName(number),
      groups: ['payments-engineers', 'curfew-users'],
    })),
    permissionSets: world.permissionSets
      .filter(({ name }) => name === 'CurfewUser')
      .map((set) => ({ ...set, assignments: set.assignments.filter(ours) })),
    accounts: world.accounts.filter(({ id }) => id === account),
    instances: world.instances.filter(ours),
  });
};

const worker = async (stack: Stack, number: number): Promise<Worker> => {
  const { backend, signIn } = await signInAsPerson(stack, workerName(number));
  const credentialsFor = (accountId: string) => signIn.credentialsFor(accountId);
  const personalRole = createPersonalRole({ credentialsFor, now: () => new Date() });
  return { id: workerId(number), backend, personalRole };
};

const firstMachine = async ({ backend }: Worker): Promise<InstanceRef> => {
  const found = await until('the inventory', async () => {
    const query = { search: 'payments-sim', accounts: [], regions: [], tags: {}, onlineOnly: true };
    const { items } = await backend.instances({ ...query, sort: 'name', cursor: null, limit: 1 });
    return items[0] ?? null;
  });
  return { accountId: found.accountId, region: found.region, instanceId: found.instanceId };
};

/**
 * Starts it all: some five seconds. `AWS_ENDPOINT_URL` and its like of this process point to it from then on.
 * @param another gate for the proxies in place of that of the points.
 */
export const openStage = async (another?: Gate): Promise<Stage> => {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'curfew-crash-'));
  const points = createPoints();
  const gate = another ?? points.gate;
  const proxies: Watcher[] = [];
  const behind = async (starting: Promise<Watcher>): Promise<string> => {
    const proxy = await starting;
    proxies.push(proxy);
    return proxy.url;
  };
  const worldFile = path.join(folder, 'world.yml');
  fs.writeFileSync(worldFile, smallWorld());
  const stack = await startStack({
    folder,
    say: () => undefined,
    durable: false,
    worldFile,
    between: {
      localAws: (url) => behind(startAwsProxy(url, gate)),
      database: (url) => behind(startPostgresProxy(url, gate)),
    },
    // Only what the job itself sets off is to be seen, as far as that can be.
    configure: {
      intervals: {
        inventorySeconds: 3600,
        tagsSeconds: 3600,
        sweepSeconds: 3600,
        auditHeadSeconds: 60,
        sealSeconds: 1,
      },
    },
  });
  Object.assign(process.env, stack.appEnv);
  const control = controlOf(stack.localAwsUrl);
  await control.call('changeSettings', { spreadingDelayMs: 0 });
  const store = await openStore(stack.databaseUrl, () => undefined);
  const keys = path.join(folder, 'keys');
  const signedIn = new Map<number, Worker>();
  let turn = 0;
  const cut = (): void => {
    for (const proxy of proxies) proxy.cut();
  };
  const nextWorker = async (): Promise<Worker> => {
    const number = turn % staff;
    turn += 1;
    const known = signedIn.get(number) ?? (await worker(stack, number));
    signedIn.set(number, known);
    return known;
  };
  return {
    stack,
    control,
    db: store.api,
    sealKey: openSealKey(keys),
    auditKey: openAuditKey(keys),
    points,
    account,
    instance: await firstMachine(await nextWorker()),
    nextWorker,
    cut,
    kill: async () => {
      await stack.backend.kill();
      cut();
    },
    close: async () => {
      await store.close();
      await stack.stop();
      for (const proxy of proxies) await proxy.close();
      fs.rmSync(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
    },
  };
};
