/** The configuration of the made-up organisation that local-aws plays (`dev/local-aws/world.yml`), as tests begin with it. */
import type { AccountConfig, Config } from '../config.ts';

export const prod = '482011773306';
export const dev = '739164205518';
export const identityStoreId = 'd-9067f4a2c1';

/** One of its accounts; the ARNs and the external id are the world's. */
export const harborlineAccount = (
  account: Pick<AccountConfig, 'id' | 'name' | 'regions'> & Partial<Pick<AccountConfig, 'principal'>>,
): AccountConfig => {
  const { id } = account;
  return {
    brokerRoleArn: `arn:aws:iam::${id}:role/curfew/broker/CurfewBroker`,
    provisionerRoleArn: `arn:aws:iam::${id}:role/curfew/provisioner/CurfewProvisioner`,
    externalId: `curfew-${id}-local`,
    boundaryArn: `arn:aws:iam::${id}:policy/curfew/boundary/CurfewBoundary`,
    principal: { kind: 'role', carrier: 'inline' },
    ...account,
  };
};

/** Folders, address and database are of nobody: whoever needs them gives them. */
export const harborlineConfig = (accounts: AccountConfig[]): Config => ({
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
    deviceCodeAllowed: true,
  },
  directory: { identityStoreId, region: 'eu-central-1', groups: ['curfew-users'], adminGroup: 'curfew-admins' },
  accounts,
  rulesFolder: 'rules',
  trustedTags: ['team', 'env'],
  keysFolder: 'keys',
  ticketUrl: null,
  limits: { tokenLifeSeconds: 28_800, connectWithinSeconds: 28_800, requestLapsesSeconds: 28_800 },
  intervals: { inventorySeconds: 60, tagsSeconds: 300, sweepSeconds: 60, auditHeadSeconds: 60, sealSeconds: 90 },
});
