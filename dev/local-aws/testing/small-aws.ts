/** A small organisation on a real server, for tests of the signed half: IAM, STS, EC2 and the identity store. */
import { createAuthorise } from '../authorization/authorise.ts';
import { callerOfUser } from '../authorization/caller.ts';
import { createCredentialStore } from '../authorization/credential-store.ts';
import { createEc2Service } from '../ec2.ts';
import { createIamService } from '../iam/iam-service.ts';
import { createIamState } from '../iam/state.ts';
import { createIdentityStoreService } from '../identity-store.ts';
import { createAwsServer } from '../server.ts';
import type { FaultHooks, UnsignedRoute } from '../service.ts';
import { createStsService } from '../sts.ts';
import { parseWorld } from '../world.ts';

export const prod = '482011773306';
export const dev = '739164205518';
export const adminKeys = { accessKeyId: 'AKIAADMINADMINADMIN2', secretAccessKey: 'admin-secret-of-a-test-world' };

const worldText = `
organisation:
  name: Harborline
  organisationId: o-harborline01
  identityStoreId: d-9067f4a2c1
  startUrl: https://harborline.awsapps.com/start
  region: eu-central-1
groups:
  - { name: payments-engineers, id: 11111111-1111-4111-8111-111111111111 }
  - { name: payments-leads, id: 22222222-2222-4222-8222-222222222222 }
people:
  - { userName: mira.okafor@harborline.example, id: 33333333-3333-4333-8333-333333333333, displayName: Mira Okafor, email: mira.okafor@harborline.example, groups: [payments-engineers] }
  - { userName: jonas.lindqvist@harborline.example, id: 44444444-4444-4444-8444-444444444444, displayName: Jonas Lindqvist, email: jonas.lindqvist@harborline.example, enabled: false, groups: [payments-engineers, payments-leads] }
permissionSets: []
accounts:
  - { id: '${prod}', name: payments-prod, email: prod@harborline.example }
instances:
  - { id: i-0a1b2c3d4e5f60001, name: payments-api-1, account: '${prod}', region: eu-central-1, ipAddress: 10.0.0.1, tags: { env: production, team: payments } }
  - { id: i-0a1b2c3d4e5f60002, name: payments-api-2, account: '${prod}', region: eu-central-1, ipAddress: 10.0.0.2, tags: { env: staging, team: payments } }
  - { id: i-0a1b2c3d4e5f60003, name: search-index-3, account: '${prod}', region: eu-west-1, ipAddress: 10.0.0.3, tags: { env: production, team: search } }
  - { id: mi-0a1b2c3d4e5f60004, name: edge-proxy-1, account: '${prod}', region: eu-central-1, ipAddress: 10.0.0.4, tags: {} }
`;

export type SmallAws = Awaited<ReturnType<typeof startSmallAws>>;

/**
 * Starts it on a free port with one user, `admin`, who may do everything in the prod account.
 * `clock` moves time; IAM spreads after `spreadingDelayMs` of that clock.
 */
export const startSmallAws = async (
  options: {
    clock?: { at: Date };
    spreadingDelayMs?: number;
    faults?: FaultHooks;
    unsignedRoutes?: UnsignedRoute[];
  } = {},
) => {
  const clock = options.clock;
  const now = (): Date => (clock ? clock.at : new Date());
  const world = parseWorld(worldText, 'small-world.yml');
  const state = createIamState({ now, spreadingDelayMs: () => options.spreadingDelayMs ?? 0 });
  const credentials = createCredentialStore({ now });
  const authorise = createAuthorise({ state, now });
  const admin = state.putUser({
    accountId: prod,
    name: 'admin',
    inline: { all: { Version: '2012-10-17', Statement: [{ Effect: 'Allow', Action: '*', Resource: '*' }] } },
  });
  credentials.addUserKey({ ...adminKeys, caller: callerOfUser(admin) });
  const services = [
    createIamService({ state, credentials, authorise, now }),
    createStsService({ state, credentials, now }),
    createEc2Service({ instances: () => world.instances, authorise }),
    createIdentityStoreService({ world: () => world, authorise }),
  ];
  const broken: unknown[] = [];
  const server = createAwsServer({
    now,
    credentials,
    services: () => services,
    unsignedRoutes: () => options.unsignedRoutes ?? [],
    faults: options.faults ?? { beforeCall: async () => {} },
    onFault: (error) => broken.push(error),
  });
  const endpoint = await server.listen(0);

  /** A user with its own key and one inline policy. */
  const addUser = (name: string, policy: Record<string, unknown>) => {
    const accessKeyId = `AKIA${name
      .toUpperCase()
      .replaceAll(/[^A-Z2-7]/g, '')
      .padEnd(16, '2')
      .slice(0, 16)}`;
    const user = state.putUser({ accountId: prod, name, inline: { policy } });
    const key = { accessKeyId, secretAccessKey: `secret of ${name} in a test world` };
    credentials.addUserKey({ ...key, caller: callerOfUser(user) });
    return key;
  };

  return { endpoint, state, credentials, world, broken, addUser, close: () => server.close() };
};

/** Settings for an SDK client of the small organisation; one try, so that an error is seen as it is. */
export const clientOf = (
  aws: { endpoint: string },
  credentials: { accessKeyId: string; secretAccessKey: string; sessionToken?: string } = adminKeys,
) => ({ region: 'eu-central-1', endpoint: aws.endpoint, credentials, maxAttempts: 1 });
