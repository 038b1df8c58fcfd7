/** The backend's configuration: one validated YAML file plus environment. The only reader of process.env here. */
import { readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { z } from 'zod';
import { accountId, regionName } from '../src/shared/access.ts';
import { limits } from '../src/shared/limits.ts';
import { parseYamlFile } from './yaml-file.ts';

const roleArn = z.string().regex(/^arn:aws[a-z-]*:iam::\d{12}:role\/[\w+=,.@/-]{1,512}$/);
const policyArn = z.string().regex(/^arn:aws[a-z-]*:iam::\d{12}:policy\/[\w+=,.@/-]{1,512}$/);
const iamGroupName = z.string().regex(/^[\w+=,.@-]{1,128}$/);
const seconds = (most: number, otherwise: number) => z.int().min(1).max(most).default(otherwise);

/** Tags that `deploy/rules` looks at, and `deploy/scp.json` reserves. */
export const defaultTrustedTags: readonly string[] = ['team', 'env'];
/** A tag's key as AWS allows it. */
const tagKey = z.string().min(1).max(128);

const hangsOn = {
  carrier: z.enum(['inline', 'managed']),
  /** How many managed policies a principal may have besides (`inline`) or at all (`managed`); missing: none, or one. */
  managedPolicies: z.int().min(0).max(10).optional(),
};

const account = z.strictObject({
  id: accountId,
  name: z.string().min(1).max(64),
  regions: z.array(regionName).min(1),
  /** Role that the backend assumes to write access policies and end sessions. */
  brokerRoleArn: roleArn,
  /** Role of the provisioner process; the backend never assumes it. */
  provisionerRoleArn: roleArn,
  /** Made per installation and account by `npm run external-id` (threats AWS-10). */
  externalId: z.string().regex(/^[\w+=,.@:/-]{16,200}$/),
  boundaryArn: policyArn,
  /** Parameters of the account's stack that its session documents are made of; missing: the template's defaults (threats AWS-12). */
  sessionDocuments: z.strictObject({ idleMinutes: z.int().min(1).max(60), logBucket: z.string().max(63) }).optional(),
  /** What carries the access policy (design 6). `user` and `group` need a directory of IAM users. */
  principal: z.discriminatedUnion('kind', [
    z.strictObject({ kind: z.literal('role'), ...hangsOn }),
    z.strictObject({ kind: z.literal('user'), ...hangsOn }),
    /** Every member of this IAM group gets what any of them is granted (threats RQ-20). */
    z.strictObject({ kind: z.literal('group'), ...hangsOn, group: iamGroupName }),
  ]),
});
type Account = z.output<typeof account>;

/** Every account once, each with ARNs of its own: a slip here would lead into somebody else's account (threats AWS-10). */
const accountsFit = (accounts: readonly Account[], context: z.RefinementCtx): void => {
  for (const [index, one] of accounts.entries()) {
    if (accounts.findIndex(({ id }) => id === one.id) !== index) {
      context.addIssue({ code: 'custom', path: [index, 'id'], message: `account ${one.id} stands twice` });
    }
    if (one.principal.carrier === 'managed' && one.principal.managedPolicies === 0) {
      context.addIssue({
        code: 'custom',
        path: [index, 'principal', 'managedPolicies'],
        message: 'must be 1 to 10 where the carrier is managed',
      });
    }
    if (accounts.findIndex(({ externalId }) => externalId === one.externalId) !== index) {
      context.addIssue({
        code: 'custom',
        path: [index, 'externalId'],
        message: 'is that of another account: npm run external-id makes one for each',
      });
    }
    for (const name of ['brokerRoleArn', 'provisionerRoleArn', 'boundaryArn'] as const) {
      if (one[name].split(':')[4] === one.id) continue;
      context.addIssue({ code: 'custom', path: [index, name], message: `is not in account ${one.id}` });
    }
  }
};

/** Who people are, and who approves: Identity Center's identity store, or IAM users where there is no Identity Center. */
const directory = z.discriminatedUnion('kind', [
  z.strictObject({
    /** Left out by configurations from before there was another. */
    kind: z.literal('identity-store').optional(),
    identityStoreId: z.string().regex(/^d-[0-9a-f]{10}$/),
    region: regionName,
    /** Groups whose members get personal roles. */
    groups: z.array(z.string().min(1).max(256)).min(1),
    adminGroup: z.string().min(1).max(256),
  }),
  z.strictObject({
    /** The IAM users of the sign-in accounts; people sign in with an AWS profile. */
    kind: z.literal('iam-users'),
    /** IAM groups, by the same name in each sign-in account, whose members may use Curfew. */
    groups: z.array(iamGroupName).min(1),
    adminGroup: iamGroupName,
  }),
]);

const fields = z.strictObject({
  organisationName: z.string().min(1).max(64),
  partition: z.enum(['aws', 'aws-cn', 'aws-us-gov', 'aws-eusc']).default('aws'),
  listen: z.strictObject({ host: z.string().default('127.0.0.1'), port: z.int().min(0).max(65535) }),
  /** The origin people configure in the app, e.g. https://curfew.example.com: identity proofs are bound to it. */
  origin: z.string().min(8).max(200),
  database: z.strictObject({ url: z.string().min(1) }).optional(),
  signIn: z.strictObject({
    permissionSet: z.string().regex(/^[\w+=,.@-]{1,32}$/),
    accounts: z.array(accountId).min(1),
    stsRegion: regionName,
    ssoRegion: regionName,
    deviceCodeAllowed: z.boolean().default(false),
  }),
  directory,
  accounts: z.array(account).min(1).superRefine(accountsFit),
  /** Folder with schema.cedarschema and *.cedar, beside this file unless absolute. */
  rulesFolder: z.string().min(1),
  /**
   * Tags of instances that rules may look at which give access without a person. Whoever can set them gives themselves access, so each
   * must be reserved (`deploy/scp.json`), and one that changed in the last 24 h has a person decide (threats RQ-07).
   */
  trustedTags: z
    .array(tagKey)
    .max(20)
    .refine((keys) => new Set(keys).size === keys.length, { message: 'one of them stands twice' })
    .default([...defaultTrustedTags]),
  /** Folder for keys (0700, files 0600): decision.key and audit.key are made when missing. */
  keysFolder: z.string().min(1),
  /** File that every signed head of the trail is appended to, where the database's admins cannot rewrite it (threats AU-02). */
  auditAnchor: z.string().min(1).optional(),
  ticketUrl: z
    .url({ protocol: /^https$/ })
    .nullable()
    .default(null),
  limits: z
    .strictObject({
      tokenLifeSeconds: seconds(limits.tokenLifeSeconds, limits.tokenLifeSeconds),
      connectWithinSeconds: seconds(limits.connectWithinSeconds, limits.connectWithinSeconds),
      requestLapsesSeconds: seconds(limits.requestLapsesSeconds, limits.requestLapsesSeconds),
    })
    .prefault({}),
  intervals: z
    .strictObject({
      inventorySeconds: seconds(3600, 60),
      /** Tags of instances that are known. */
      tagsSeconds: seconds(3600, 300),
      sweepSeconds: seconds(3600, 60),
      auditHeadSeconds: seconds(60, 60),
      /** Quiet time after an end until its receipt is sealed (design 7); shorter ones are for exercises on local-aws. */
      sealSeconds: seconds(600, limits.sealSeconds),
    })
    .prefault({}),
});

/** What carries the access policy must be what people sign in as: an IAM user has no personal role, and a role is no IAM user's. */
const principalProblem = (
  one: Account,
  { directory, signIn }: Pick<z.output<typeof fields>, 'directory' | 'signIn'>,
): string | null => {
  if (directory.kind !== 'iam-users') {
    if (one.principal.kind === 'role') return null;
    return `${one.principal.kind} needs people who are IAM users: directory.kind iam-users`;
  }
  if (one.principal.kind === 'role')
    return 'role needs Identity Center: with directory.kind iam-users it is user or group';
  return signIn.accounts.includes(one.id) ? null : `${one.id} must be among signIn.accounts: its own IAM users sign in`;
};

/** Sign-ins are vouched for by accounts whose reserved roles (or users) we can look up: those must be ours. */
const fitting = fields.superRefine(({ signIn, accounts, directory }, context) => {
  for (const [at, id] of signIn.accounts.entries()) {
    if (accounts.some((one) => one.id === id)) continue;
    context.addIssue({
      code: 'custom',
      path: ['signIn', 'accounts', at],
      message: `${id} is not among the accounts below`,
    });
  }
  for (const [at, one] of accounts.entries()) {
    const message = principalProblem(one, { directory, signIn });
    if (message !== null) context.addIssue({ code: 'custom', path: ['accounts', at, 'principal', 'kind'], message });
  }
});

const anObject = z.record(z.string(), z.unknown());

/** Without Identity Center nobody has a permission set or a home region to write down. */
const withoutIdentityCenter = (file: unknown): unknown => {
  const read = z
    .looseObject({ directory: z.looseObject({ kind: z.literal('iam-users') }), signIn: anObject })
    .safeParse(file);
  if (!read.success) return file;
  const { signIn } = read.data;
  return { ...read.data, signIn: { permissionSet: 'none', ssoRegion: signIn['stsRegion'], ...signIn } };
};

const configSchema = z.preprocess(withoutIdentityCenter, fitting);

export type Config = z.output<typeof configSchema> & { databaseUrl: string };
export type AccountConfig = Config['accounts'][number];

/** @throws Error when the account is not configured. */
export const accountOf = ({ accounts }: Pick<Config, 'accounts'>, accountId: string): AccountConfig => {
  const account = accounts.find(({ id }) => id === accountId);
  if (account === undefined) throw new Error(`Account ${accountId} is not configured`);
  return account;
};

/** Where the access of a principal hangs. What is no longer configured so is on its way out: inline only. */
export const policyPlaceOf = (
  { accounts }: Pick<Config, 'accounts'>,
  accountId: string,
  kind: AccountConfig['principal']['kind'],
): { carrier: 'inline' | 'managed'; managedPolicies: number } => {
  const principal = accounts.find(({ id }) => id === accountId)?.principal;
  if (principal?.kind !== kind) return { carrier: 'inline', managedPolicies: 0 };
  const { carrier, managedPolicies = carrier === 'managed' ? 1 : 0 } = principal;
  return { carrier, managedPolicies };
};

/** The identity store that people come from. @throws Error where people are IAM users: nobody has a personal role there. */
export const identityStoreOf = ({ directory }: Pick<Config, 'directory'>) => {
  if (directory.kind === 'iam-users') throw new Error('People are IAM users here: there is no identity store.');
  return directory;
};

/**
 * The file alone, for a process that opens no database (the provisioner).
 * @throws FileError naming line and column of everything that is wrong.
 */
export const readConfigFile = (file = process.env['CURFEW_CONFIG']) => {
  if (file === undefined || file === '') {
    throw new Error(
      'Curfew needs a configuration file: set CURFEW_CONFIG to its path (see deploy/curfew.example.yml).',
    );
  }
  if (process.env['NODE_TLS_REJECT_UNAUTHORIZED'] === '0') {
    throw new Error('NODE_TLS_REJECT_UNAUTHORIZED switches off the check of certificates: unset it (threats API-15).');
  }
  const beside = (path: string) => resolve(dirname(file), path);
  const config = parseYamlFile(configSchema, readFileSync(file, 'utf8'), file);
  const { rulesFolder, keysFolder, auditAnchor } = config;
  const anchored = auditAnchor === undefined ? {} : { auditAnchor: beside(auditAnchor) };
  return { ...config, ...anchored, rulesFolder: beside(rulesFolder), keysFolder: beside(keysFolder) };
};

/** Listens for this machine only. */
export const isLoopback = (host: string): boolean => ['127.0.0.1', '::1', 'localhost'].includes(host);

/** Postgres's address: DATABASE_URL, else the file's; null when there is neither. */
export const databaseUrlOf = (file: { database?: { url: string } | undefined }): string | null =>
  process.env['DATABASE_URL'] ?? file.database?.url ?? null;

/**
 * Reads the file named by CURFEW_CONFIG (or the argument). DATABASE_URL wins over the file, so that
 * secrets need not stand in it.
 * @throws FileError naming line and column of everything that is wrong.
 */
export const loadConfig = (file = process.env['CURFEW_CONFIG']): Config => {
  const config = readConfigFile(file);
  const databaseUrl = databaseUrlOf(config);
  if (databaseUrl === null) {
    throw new Error(`No database: set DATABASE_URL, or database.url in ${file}.`);
  }
  return { ...config, databaseUrl };
};

/**
 * Where STS is asked instead of AWS's regional host: the SDK's own settings, read here because the identity proof is sent
 * without the SDK. Null: AWS itself.
 */
export const stsEndpoint = (): string | null => {
  if (process.env['AWS_IGNORE_CONFIGURED_ENDPOINT_URLS'] === 'true') return null;
  return process.env['AWS_ENDPOINT_URL_STS'] ?? process.env['AWS_ENDPOINT_URL'] ?? null;
};
