/** What stays the same for all histories of this process: rules, keys, local-aws, the store, and the backends' clients. */
import { createSecretKey } from 'node:crypto';
import { openBroker } from '../../backend/aws/broker.ts';
import { createIam } from '../../backend/aws/iam.ts';
import { createSsm, type Ssm } from '../../backend/aws/ssm.ts';
import { createSweepReads } from '../../backend/aws/sweep-reads.ts';
import type { ReconcileAws } from '../../backend/reconcile/pass.ts';
import { openRules, type RuleBook } from '../../backend/rules/rules.ts';
import type { SealKey } from '../../backend/store/seal.ts';
import { prod } from '../../backend/testing/harborline.ts';
import type { InstanceRef } from '../../src/shared/access.ts';
import { type ChaosAws, openChaosAws } from './aws.ts';
import { type Office, type OfficeName, officeNames, openOffice } from './offices.ts';
import { type ChaosStore, openChaosStore } from './store.ts';
import { type Ends, inProcess } from './transport.ts';

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

/** A backend's way to AWS: one at a time may use it. */
export type Way = {
  aws: ReconcileAws;
  /** Asked around each call from then on, until others are set. */
  setEnds: (ends: Ends) => void;
};

export type Company = {
  office: (name: OfficeName) => Office;
  rules: RuleBook;
  sealKey: SealKey;
  aws: ChaosAws;
  /** What people's calls ask AWS about instances: of no backend that dies, but AWS's faults hit it too. */
  ssm: Pick<Ssm, 'managedInstances' | 'tagsOf'>;
  /** As many as there are backends alive at once. */
  ways: readonly [Way, Way];
  machines: readonly Machine[];
  machine: (name: MachineName) => Machine;
  store: ChaosStore;
  close: () => Promise<void>;
};

/** @param postgresUrl of a cluster that may be thrown away. The environment of this process has the backend's own keys from then on. */
export const openCompany = async (postgresUrl: string): Promise<Company> => {
  const offices = new Map(officeNames.map((name) => [name, openOffice(name)]));
  const office = (name: OfficeName): Office => {
    const known = offices.get(name);
    if (known === undefined) throw new Error(`There is no office ${name}.`);
    return known;
  };
  const aws = openChaosAws();
  const keys = aws.world.accounts.flatMap(({ users }) => users).find(({ name }) => name === 'curfew-backend');
  Object.assign(process.env, {
    AWS_REGION: 'eu-central-1',
    AWS_EC2_METADATA_DISABLED: 'true',
    AWS_ACCESS_KEY_ID: keys?.accessKeys[0]?.accessKeyId,
    AWS_SECRET_ACCESS_KEY: keys?.accessKeys[0]?.secretAccessKey,
  });
  const closing: Array<() => void> = [];
  const openDoor = (ends: Ends) => {
    const requestHandler = inProcess(aws.server, ends);
    // Keys are as old as they really are; budgets and waits are of the history's time, so they cost none of ours.
    const timing = { now: () => new Date(), sleep: async (ms: number) => aws.clock().pass(ms), random: () => 0.5 };
    // The accounts are the same ones in every office.
    const { config } = office('roles');
    const broker = openBroker({ config, as: 'broker', timing, buckets: aws.buckets, requestHandler });
    closing.push(broker.close);
    return broker;
  };
  const openWay = (): Way => {
    let ends: Ends = {};
    const broker = openDoor({ before: async () => ends.before?.(), after: async (target) => ends.after?.(target) });
    return {
      aws: { iam: createIam(broker), ssm: createSsm(broker), reads: createSweepReads(broker) },
      setEnds: (next) => {
        ends = next;
      },
    };
  };
  const machines = aws.world.instances.flatMap(({ account: accountId, region, id: instanceId, name, tags }) => {
    if (!machineNames.some((one) => one === name)) return [];
    return [
      {
        accountId,
        region,
        instanceId,
        name,
        tags,
        accountName: accountId === prod ? 'payments-prod' : 'payments-dev',
      },
    ];
  });
  const store = await openChaosStore(postgresUrl);
  return {
    office,
    rules: await openRules(office('roles').config.rulesFolder, office('roles').config.trustedTags),
    sealKey: createSecretKey(Buffer.alloc(32, 7)),
    aws,
    ssm: createSsm(openDoor({})),
    ways: [openWay(), openWay()],
    machines,
    machine: (name) => {
      const found = machines.find((one) => one.name === name);
      if (found === undefined) throw new Error(`The world has no ${name}.`);
      return found;
    },
    store,
    close: async () => {
      for (const close of closing) close();
      await store.close();
    },
  };
};
