/** The backend's API over real HTTP and real Postgres for tests; only what is outside the backend is played. */
import { createSecretKey, randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createTRPCClient, httpLink } from '@trpc/client';
import { serverIdOf } from '../../src/shared/identity-proof.ts';
import type { PersonalRole } from '../../src/shared/views.ts';
import { apiPath } from '../../src/shared/views.ts';
import type { ApiDeps } from '../api/deps.ts';
import { createMetrics } from '../api/metrics.ts';
import type { AppRouter } from '../api/router.ts';
import { serveApi } from '../api/serve.ts';
import type { SignInDeps } from '../api/sign-in.ts';
import { issueToken } from '../api/tokens.ts';
import { openAuditKey } from '../audit/heads.ts';
import { watchChain } from '../audit/state.ts';
import { callerIdentity } from '../aws/caller-identity.ts';
import type { Config } from '../config.ts';
import { createLog } from '../log.ts';
import { openRules, type RuleBook } from '../rules/rules.ts';
import { startChangeFeed } from '../store/changes.ts';
import { newId } from '../store/ids.ts';
import { openStore, type Store } from '../store/open.ts';
import type { PersonFacts } from '../store/people.ts';
import { freshStore } from './fresh-store.ts';
import { type TestPeople, testPeople } from './test-people.ts';

export const devAccount = '739164205518';
export const prodAccount = '482011773306';

const account = (id: string, name: string) => ({
  id,
  name,
  regions: ['eu-central-1'],
  brokerRoleArn: `arn:aws:iam::${id}:role/curfew/broker/CurfewBroker`,
  provisionerRoleArn: `arn:aws:iam::${id}:role/curfew/provisioner/CurfewProvisioner`,
  externalId: `curfew-${id}-test`,
  boundaryArn: `arn:aws:iam::${id}:policy/curfew/boundary/CurfewBoundary`,
  principal: { kind: 'role' as const, carrier: 'inline' as const },
});

export const testConfig: Config = {
  organisationName: 'Harborline',
  partition: 'aws',
  listen: { host: '127.0.0.1', port: 0 },
  origin: 'https://curfew.harborline.example',
  databaseUrl: '',
  signIn: {
    permissionSet: 'CurfewUser',
    accounts: [devAccount],
    stsRegion: 'eu-central-1',
    ssoRegion: 'eu-central-1',
    deviceCodeAllowed: false,
  },
  directory: {
    identityStoreId: 'd-9067f4a2c1',
    region: 'eu-central-1',
    groups: ['curfew-users'],
    adminGroup: 'curfew-admins',
  },
  accounts: [account(devAccount, 'payments-dev'), account(prodAccount, 'payments-prod')],
  rulesFolder: fileURLToPath(new URL('../../deploy/rules/', import.meta.url)),
  trustedTags: ['team', 'env'],
  keysFolder: '',
  ticketUrl: null,
  limits: { tokenLifeSeconds: 8 * 3600, connectWithinSeconds: 8 * 3600, requestLapsesSeconds: 8 * 3600 },
  intervals: { inventorySeconds: 60, tagsSeconds: 300, sweepSeconds: 60, auditHeadSeconds: 60, sealSeconds: 90 },
};

export type TestBackend = {
  address: string;
  router: AppRouter;
  store: Store;
  rules: RuleBook;
  people: TestPeople;
  /** Lines of the log so far. */
  logged: () => string;
  /** The clock of the backend runs this much ahead. */
  ahead: (ms: number) => void;
  now: () => Date;
  /** A token of a person, as sign-in gives it. */
  tokenFor: (person: PersonFacts) => Promise<string>;
  client: (token: string | null) => ReturnType<typeof clientOf>;
  close: () => Promise<void>;
};

const clientOf = (address: string, token: string | null) =>
  createTRPCClient<AppRouter>({
    links: [
      httpLink({
        url: `${address}${apiPath}`,
        headers: () => (token === null ? {} : { authorization: `Bearer ${token}` }),
      }),
    ],
  });

export type TestBackendOptions = {
  /** In place of the real decisions. */
  access?: ApiDeps['access'];
  /** Where STS is. */
  sts?: string;
  reservedRoleId?: (accountId: string, roleName: string) => Promise<string | null>;
  /** People are IAM users, and this is what is known of them. */
  iamUsers?: SignInDeps['iamUsers'];
};

/** Starts it; `close` lets go of everything. */
export const startTestBackend = async (options: TestBackendOptions): Promise<TestBackend> => {
  const config = testConfig;
  const fresh = await freshStore();
  const keysFolder = mkdtempSync(join(tmpdir(), 'curfew-keys-'));
  let aheadMs = 0;
  const now = () => new Date(Date.now() + aheadMs);
  const lines: string[] = [];
  const log = createLog({ write: (line) => lines.push(line) });
  const store = await openStore(fresh.url, (error) => log.warn({ event: 'database', error }, 'connection lost'));
  const people = testPeople(store.api);
  const rules = await openRules(config.rulesFolder, config.trustedTags);
  const feed = await startChangeFeed({
    db: store.reconcile,
    listenConnection: store.listenConnection,
    onError: (error) => log.warn({ event: 'listen', error }, 'feed'),
  });
  const roleReady = async (accountId: string): Promise<PersonalRole> => ({
    accountId,
    accountName: accountId,
    state: 'ready',
    roleArn: `arn:aws:iam::${accountId}:role/curfew/people/curfew-test`,
  });
  const { http, router, stop } = await serveApi({
    db: store.api,
    rules,
    sealKey: createSecretKey(randomBytes(32)),
    config,
    directory: people,
    roles: { check: roleReady },
    groupReach: async () => null,
    lookAgain: async () => ({ unread: new Set<string>() }),
    now,
    nudge: () => undefined,
    newId,
    version: '0.0.0',
    feed,
    inventory: { refresh: async () => undefined },
    signIn: {
      callerIdentity: (proof) =>
        callerIdentity(proof, { serverId: serverIdOf(config.origin), endpoint: options.sts ?? 'http://127.0.0.1:9' }),
      reservedRoleId: options.reservedRoleId ?? (async () => null),
      iamUsers: options.iamUsers ?? null,
    },
    chain: watchChain(store.api),
    auditKey: openAuditKey(keysFolder),
    awsClocks: () => [],
    metrics: createMetrics(),
    log,
    ...(options.access === undefined ? {} : { access: options.access }),
  });
  return {
    address: http.address,
    router,
    store,
    rules,
    people,
    logged: () => lines.join(''),
    ahead: (ms) => {
      aheadMs = ms;
    },
    now,
    tokenFor: async (person) => {
      const issued = await issueToken(store.api, person.id, {
        now: now(),
        lifeSeconds: config.limits.tokenLifeSeconds,
      });
      return issued.token.reveal();
    },
    client: (token) => clientOf(http.address, token),
    close: async () => {
      await stop(1_000);
      await feed.stop();
      await store.close();
      await fresh.close();
      rmSync(keysFolder, { recursive: true, force: true });
    },
  };
};
