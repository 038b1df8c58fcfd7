/** Looks at every prerequisite of an installation, in the order in which they are set up, and changes nothing. */
import { openBroker } from '../aws/broker.ts';
import { createCloudTrail } from '../aws/cloudtrail.ts';
import { createIam } from '../aws/iam.ts';
import { openProbe } from '../aws/probe.ts';
import { createSsm } from '../aws/ssm.ts';
import { type Config, isLoopback } from '../config.ts';
import { checkAccount, checkSignInAccounts } from './account.ts';
import { type Finding, look, ok } from './finding.ts';
import { checkGroups, checkIamGroups, checkOidc, type Members } from './identity.ts';
import { checkClock, checkDatabase, checkKeys, checkRules, checkTrail } from './machine.ts';
import { checkPerson } from './person.ts';

/** Whose place the doctor takes: AWS credentials of that process or person must be in the environment. */
export const places = ['backend', 'provisioner', 'person'] as const;
export type Place = (typeof places)[number];

export type DoctorOptions = {
  /** `databaseUrl` may be empty: that is one of the findings. */
  config: Config;
  as: Place;
  /** Identity Center's UserId of the person, for `as: 'person'`. */
  personId: string | null;
  stsEndpoint: string | null;
  now: () => Date;
};

/** Findings as they are made; AWS's rate budgets are kept, so a large installation takes minutes. */
export async function* examine(options: DoctorOptions): AsyncGenerator<Finding, void, void> {
  const { config, as, personId, stsEndpoint, now } = options;
  const entered = as === 'provisioner' ? 'provisioner' : 'broker';
  const broker = openBroker({ config, as: entered });
  const probe = openProbe({ config, broker, stsEndpoint, now });
  try {
    yield checkSignInAccounts({ config });
    if (as === 'backend') {
      yield await checkRules(config);
      yield await checkKeys(config);
      const url = config.databaseUrl === '' ? null : config.databaseUrl;
      const database = await checkDatabase(url);
      yield database;
      if (url !== null && database.state === 'ok') yield await checkTrail(url, isLoopback(config.listen.host));
    }
    const where = { area: 'this machine', check: 'AWS' };
    yield { ...where, ...ok(stsEndpoint === null ? 'AWS itself' : `not AWS itself: ${stsEndpoint} (development)`) };
    yield await checkClock(probe);
    if (as === 'person') {
      if (config.directory.kind !== 'iam-users') yield await checkOidc(config, probe);
      yield* checkPerson({ config, probe, personId });
      return;
    }
    yield await look(
      { area: 'this machine', check: 'AWS credentials' },
      `Give this process the ${as}’s AWS credentials.`,
      async () => ok((await probe.whoAmI()).arn),
    );
    const members: Members = new Map();
    if (config.directory.kind === 'iam-users') {
      yield* checkIamGroups(config, broker, members);
    } else {
      yield await checkOidc(config, probe);
      yield* checkGroups({ config, probe, as }, members);
    }
    const aws = { iam: createIam(broker), ssm: createSsm(broker), trail: createCloudTrail(broker) };
    const deps = { config, as: entered, probe, ...aws, members, now } as const;
    for (const account of config.accounts) yield* checkAccount(deps, account);
  } finally {
    probe.close();
    broker.close();
  }
}
