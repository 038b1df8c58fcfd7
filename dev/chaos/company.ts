/** The people, machines and rules of all histories, and what stays the same for them: keys, local-aws, the backend's clients. */
import { createSecretKey } from 'node:crypto';
import path from 'node:path';
import { personalRoleTemplate } from '../../backend/access-policy/personal-role.ts';
import { openBroker } from '../../backend/aws/broker.ts';
import { createIam, roleSetting } from '../../backend/aws/iam.ts';
import { createSsm } from '../../backend/aws/ssm.ts';
import { createSweepReads } from '../../backend/aws/sweep-reads.ts';
import type { Config } from '../../backend/config.ts';
import type { ReconcileAws } from '../../backend/reconcile/pass.ts';
import { openRules, type RuleBook } from '../../backend/rules/rules.ts';
import type { PersonFacts } from '../../backend/store/people.ts';
import type { SealKey } from '../../backend/store/seal.ts';
import type { InstanceRef } from '../../src/shared/access.ts';
import { type ChaosAws, openChaosAws } from './aws.ts';
import { type ChaosStore, openChaosStore } from './store.ts';

const prod = '482011773306';
const dev = '739164205518';
export const startsAt = new Date('2026-11-22T10:00:00.000Z');

const staff = {
  mira: ['payments-engineers'],
  jonas: ['payments-leads'],
  aiko: ['payments-leads'],
  kofi: ['search-engineers'],
  dele: ['curfew-admins'],
} as const;
export type Name = keyof typeof staff;
export const names: readonly Name[] = ['mira', 'jonas', 'aiko', 'kofi', 'dele'];

export const personNamed = (name: Name): PersonFacts => ({
  id: `c2c5d4e4-1021-70aa-8b10-1f2e3d4c7b0${names.indexOf(name)}`,
  userName: `${name}@harborline.example`,
  displayName: name.charAt(0).toUpperCase() + name.slice(1),
  email: `${name}@harborline.example`,
  enabled: true,
  groups: [...staff[name], 'curfew-users'],
  checkedAt: startsAt,
});

/** Of the world that comes with local-aws: in two accounts and two regions, some given at once and some by a lead. */
export const machineNames = [
  'payments-api-1',
  'payments-api-2',
  'payments-api-3',
  'payments-sim-d1',
  'payments-sim-d2',
  'search-index-1',
] as const;
export type MachineName = (typeof machineNames)[number];
export type Machine = InstanceRef & { name: string; accountName: string; tags: Record<string, string> };

const account = (id: string, name: string, regions: string[]): Config['accounts'][number] => ({
  id,
  name,
  regions,
  brokerRoleArn: `arn:aws:iam::${id}:role/curfew/broker/CurfewBroker`,
  provisionerRoleArn: `arn:aws:iam::${id}:role/curfew/provisioner/CurfewProvisioner`,
  externalId: `curfew-${id}-local`,
  boundaryArn: `arn:aws:iam::${id}:policy/curfew/boundary/CurfewBoundary`,
  principal: { kind: 'role', carrier: 'inline' },
});

export const identityStoreId = 'd-9067f4a2c1';

const config: Config = {
  organisationName: 'Harborline',
  partition: 'aws',
  listen: { host: '127.0.0.1', port: 0 },
  origin: 'http://127.0.0.1:7420',
  databaseUrl: 'postgres://unused.invalid/none',
  signIn: {
    permissionSet: 'CurfewUser',
    accounts: [prod, dev],
    stsRegion: 'eu-central-1',
    ssoRegion: 'eu-central-1',
    deviceCodeAllowed: false,
  },
  directory: { identityStoreId, region: 'eu-central-1', groups: ['curfew-users'], adminGroup: 'curfew-admins' },
  accounts: [
    account(prod, 'payments-prod', ['eu-central-1', 'eu-west-1']),
    account(dev, 'payments-dev', ['eu-central-1']),
  ],
  rulesFolder: path.resolve(import.meta.dirname, '..', '..', 'deploy', 'rules'),
  keysFolder: 'unused',
  ticketUrl: null,
  limits: { tokenLifeSeconds: 28_800, connectWithinSeconds: 28_800, requestLapsesSeconds: 28_800 },
  intervals: { inventorySeconds: 60, sweepSeconds: 3600, auditHeadSeconds: 60, sealSeconds: 30 },
};

export type Company = {
  config: Config;
  rules: RuleBook;
  sealKey: SealKey;
  aws: ChaosAws;
  /** The backend's own way to AWS. */
  reconcileAws: ReconcileAws;
  machines: readonly Machine[];
  machine: (name: MachineName) => Machine;
  store: ChaosStore;
  close: () => Promise<void>;
};

const hire = (aws: Parameters<Parameters<typeof openChaosAws>[0]>[0]): void => {
  for (const { id: accountId } of config.accounts) {
    for (const name of names) {
      const { path: rolePath, ...template } = personalRoleTemplate(roleSetting(config, accountId), personNamed(name));
      const { boundaryArn: boundary, tags, trust } = template;
      aws.putRole({ accountId, name: template.name, path: rolePath, trust, boundary, tags });
    }
  }
};

/** @param postgresUrl of a cluster that may be thrown away. The environment of this process has the backend's own keys from then on. */
export const openCompany = async (postgresUrl: string): Promise<Company> => {
  const aws = openChaosAws(hire);
  const keys = aws.world.accounts.flatMap(({ users }) => users).find(({ name }) => name === 'curfew-backend');
  Object.assign(process.env, {
    AWS_REGION: 'eu-central-1',
    AWS_EC2_METADATA_DISABLED: 'true',
    AWS_ACCESS_KEY_ID: keys?.accessKeys[0]?.accessKeyId,
    AWS_SECRET_ACCESS_KEY: keys?.accessKeys[0]?.secretAccessKey,
  });
  // Keys are as old as they really are; budgets and waits are of the history's time, so they cost none of ours.
  const timing = { now: () => new Date(), sleep: async (ms: number) => aws.clock().pass(ms), random: () => 0.5 };
  const broker = openBroker({ config, as: 'broker', timing, buckets: aws.buckets, requestHandler: aws.requestHandler });
  const machines = aws.world.instances.flatMap(({ account: accountId, region, id: instanceId, name, tags }) =>
    machineNames.some((one) => one === name)
      ? [
          {
            accountId,
            region,
            instanceId,
            name,
            tags,
            accountName: accountId === prod ? 'payments-prod' : 'payments-dev',
          },
        ]
      : [],
  );
  const store = await openChaosStore(postgresUrl);
  return {
    config,
    rules: await openRules(config.rulesFolder),
    sealKey: createSecretKey(Buffer.alloc(32, 7)),
    aws,
    reconcileAws: { iam: createIam(broker), ssm: createSsm(broker), reads: createSweepReads(broker) },
    machines,
    machine: (name) => {
      const found = machines.find((one) => one.name === name);
      if (found === undefined) throw new Error(`The world has no ${name}.`);
      return found;
    },
    store,
    close: async () => {
      broker.close();
      await store.close();
    },
  };
};
