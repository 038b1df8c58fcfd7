/** The backend's API over HTTP on a database with a long history. AWS and the identity store are played: their answers are at hand. */
import { createSecretKey, randomBytes } from 'node:crypto';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { createTRPCClient, httpLink } from '@trpc/client';
import { type Access, createAccess } from '../../backend/access/access.ts';
import { createMetrics } from '../../backend/api/metrics.ts';
import type { AppRouter } from '../../backend/api/router.ts';
import { serveApi } from '../../backend/api/serve.ts';
import { issueToken } from '../../backend/api/tokens.ts';
import { openAuditKey } from '../../backend/audit/heads.ts';
import { type ChainWatch, watchChain } from '../../backend/audit/state.ts';
import { type Directory, standingsOneByOne } from '../../backend/aws/directory.ts';
import type { Config } from '../../backend/config.ts';
import { createLog } from '../../backend/log.ts';
import { countOpenFindings } from '../../backend/reconcile/findings.ts';
import { openRules } from '../../backend/rules/rules.ts';
import { startChangeFeed } from '../../backend/store/changes.ts';
import { newId } from '../../backend/store/ids.ts';
import { openStore, type Store } from '../../backend/store/open.ts';
import { type PersonFacts, standingOf } from '../../backend/store/people.ts';
import { apiPath, type PersonalRole } from '../../src/shared/views.ts';
import { accountIdOf, accountNameOf, companySizes, identityStoreId, region } from './company.ts';

const accountOf = (index: number): Config['accounts'][number] => {
  const id = accountIdOf(index);
  return {
    id,
    name: accountNameOf(index),
    regions: [region],
    brokerRoleArn: `arn:aws:iam::${id}:role/curfew/broker/CurfewBroker`,
    provisionerRoleArn: `arn:aws:iam::${id}:role/curfew/provisioner/CurfewProvisioner`,
    externalId: `curfew-${id}-bench`,
    boundaryArn: `arn:aws:iam::${id}:policy/curfew/boundary/CurfewBoundary`,
    principal: { kind: 'role', carrier: 'inline' },
  };
};

const configOf = (): Config => ({
  organisationName: 'Company',
  partition: 'aws',
  listen: { host: '127.0.0.1', port: 0 },
  origin: 'https://curfew.company.example',
  databaseUrl: '',
  signIn: {
    permissionSet: 'CurfewUser',
    accounts: [accountIdOf(0)],
    stsRegion: region,
    ssoRegion: region,
    deviceCodeAllowed: false,
  },
  directory: { identityStoreId, region, groups: ['curfew-users'], adminGroup: 'curfew-admins' },
  accounts: Array.from({ length: companySizes.accounts }, (_, index) => accountOf(index)),
  rulesFolder: path.resolve(import.meta.dirname, '../../deploy/rules'),
  trustedTags: ['team', 'env'],
  keysFolder: '',
  ticketUrl: null,
  limits: { tokenLifeSeconds: 8 * 3600, connectWithinSeconds: 8 * 3600, requestLapsesSeconds: 8 * 3600 },
  intervals: { inventorySeconds: 60, tagsSeconds: 300, sweepSeconds: 60, auditHeadSeconds: 60, sealSeconds: 90 },
});

const directoryOf = (people: readonly PersonFacts[]): Directory => {
  const byId = new Map(people.map((person) => [person.id, person]));
  return {
    byUserName: async (userName) => people.find((person) => person.userName === userName) ?? null,
    person: async (id) => byId.get(id) ?? null,
    reader: async (id) => byId.get(id) ?? null,
    groupsOf: async (id) => byId.get(id)?.groups ?? [],
    membersOf: async (group) => people.filter(({ groups }) => groups.includes(group)),
    standings: (ids) => standingsOneByOne(ids, async (id) => standingOf(byId.get(id) ?? null)),
  };
};

const roleReady = async (accountId: string): Promise<PersonalRole> => ({
  accountId,
  accountName: accountId,
  state: 'ready',
  roleArn: `arn:aws:iam::${accountId}:role/curfew/people/curfew-bench`,
});

const clientOf = (address: string, token: string) =>
  createTRPCClient<AppRouter>({
    links: [httpLink({ url: `${address}${apiPath}`, headers: () => ({ authorization: `Bearer ${token}` }) })],
  });
export type Client = ReturnType<typeof clientOf>;

export type HistoryBackend = {
  store: Store;
  access: Access;
  chain: ChainWatch;
  address: string;
  now: () => Date;
  /** Another minute for the limits of calls and for what is remembered for a minute. */
  nextMinute: () => void;
  signedIn: (person: PersonFacts) => Promise<Client>;
  close: () => Promise<void>;
};

/** Starts it on a filled database. The clock of this backend moves on when it is told to, beside running. */
export const startHistoryBackend = async (url: string, people: readonly PersonFacts[]): Promise<HistoryBackend> => {
  const config = configOf();
  const keysFolder = fs.mkdtempSync(path.join(os.tmpdir(), 'curfew-bench-keys-'));
  let aheadMs = 0;
  const now = () => new Date(Date.now() + aheadMs);
  const log = createLog({ write: (line) => process.stderr.write(line) });
  const store = await openStore(url, (error) => log.warn({ error }, 'connection lost'));
  const directory = directoryOf(people);
  const rules = await openRules(config.rulesFolder, config.trustedTags);
  const metrics = createMetrics();
  metrics.findings(() => countOpenFindings(store.api));
  const feed = await startChangeFeed({
    db: store.reconcile,
    listenConnection: store.listenConnection,
    onError: (error) => log.warn({ error }, 'feed'),
  });
  const accessDeps = {
    db: store.api,
    rules,
    sealKey: createSecretKey(randomBytes(32)),
    config,
    directory,
    roles: { check: roleReady },
    groupReach: async () => null,
    lookAgain: async () => ({ unread: new Set<string>() }),
    now,
    nudge: () => undefined,
    newId,
  };
  const chain = watchChain(store.api);
  const served = await serveApi({
    ...accessDeps,
    version: '0.0.0',
    feed,
    inventory: { refresh: async () => undefined },
    signIn: {
      callerIdentity: () => Promise.reject(new Error('Nobody signs in here.')),
      reservedRoleId: async () => null,
      iamUsers: null,
    },
    chain,
    auditKey: openAuditKey(keysFolder),
    awsClocks: () => [],
    metrics,
    log,
  });
  return {
    store,
    // What runs by itself has connections of its own, as in `server.ts`.
    access: createAccess({ ...accessDeps, db: store.reconcile }),
    chain,
    address: served.http.address,
    now,
    nextMinute: () => {
      aheadMs += 61_000;
    },
    signedIn: async (person) => {
      const { token } = await issueToken(store.api, person.id, { now: now(), lifeSeconds: 8 * 3600 });
      return clientOf(served.http.address, token.reveal());
    },
    close: async () => {
      await served.stop(1_000);
      await feed.stop();
      await store.close();
      fs.rmSync(keysFolder, { recursive: true, force: true });
    },
  };
};
