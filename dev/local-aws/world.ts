/**
 * The made-up organisation that local-aws plays: people, groups, permission sets, accounts, IAM entities, instances.
 *
 * `worldFile` is what `world.yml` may say; `World` is the same with everything spelt out for each account. A world is alive:
 * the control API changes people and instances in place, so read it at each call and keep no copies.
 */
import { readFileSync } from 'node:fs';
import { z } from 'zod';
import { parseYamlFile } from '../../backend/yaml-file.ts';
import { accountId, instanceId, regionName } from '../../src/shared/access.ts';

const name = z.string().regex(/^[\w+=,.@-]{1,128}$/);
const path = z.string().regex(/^\/(?:[\w./-]+\/)?$/);
const policyShape = z.looseObject({
  Version: z.literal('2012-10-17'),
  Statement: z.array(z.looseObject({ Effect: z.enum(['Allow', 'Deny']) })).min(1),
});
/**
 * An IAM document as a plain object; the evaluator judges what is in it. Kept as it was written: IAM gives back every document in the order
 * of its keys, and whoever compares it with what they wrote must not see a change.
 */
const policyDocument = z.custom<z.infer<typeof policyShape>>().superRefine((document, context) => {
  for (const { path: at, message } of policyShape.safeParse(document).error?.issues ?? []) {
    context.addIssue({ code: 'custom', path: at, message });
  }
});

const policies = z.record(name, policyDocument).default({});
const tags = z.record(z.string().min(1).max(128), z.string().max(256)).default({});

const worldUser = z.strictObject({
  name,
  path: path.default('/'),
  /** Development keys that everybody may know: they open nothing but local-aws. */
  accessKeys: z
    .array(
      z.strictObject({
        accessKeyId: z.string().regex(/^AKIA[A-Z2-7]{16}$/),
        secretAccessKey: z.string().min(20).max(64),
      }),
    )
    .default([]),
  groups: z.array(name).default([]),
  inlinePolicies: policies,
  attachedPolicyArns: z.array(z.string()).default([]),
  boundaryArn: z.string().nullable().default(null),
  tags,
});
const worldGroup = z.strictObject({
  name,
  path: path.default('/'),
  inlinePolicies: policies,
  attachedPolicyArns: z.array(z.string()).default([]),
});
const worldRole = z.strictObject({
  name,
  path: path.default('/'),
  trust: policyDocument,
  inlinePolicies: policies,
  attachedPolicyArns: z.array(z.string()).default([]),
  boundaryArn: z.string().nullable().default(null),
  maxSessionSeconds: z.int().min(3600).max(43_200).default(3600),
  tags,
  description: z.string().default(''),
});
const worldManagedPolicy = z.strictObject({ name, path: path.default('/'), document: policyDocument });
const worldSessionDocument = z.strictObject({
  name: z.string().regex(/^[A-Za-z0-9_.-]{3,128}$/),
  description: z.string(),
  /** Minutes after which the service ends a session (aws-facts 5: 1 to 1440). */
  maxSessionMinutes: z.int().min(1).max(1440),
  idleMinutes: z.int().min(1).max(60).default(15),
  /** Who a shell runs as, when not ssm-user; only told, the shells here run as whoever runs this. */
  runAsUser: z.string().min(1).max(256).nullable().default(null),
});
export const worldInstance = z.strictObject({
  id: instanceId,
  name: z.string().min(1).max(256),
  account: accountId,
  region: regionName,
  platform: z.enum(['Linux', 'Windows', 'MacOS']).default('Linux'),
  platformName: z.string().default('Amazon Linux'),
  platformVersion: z.string().default('2023'),
  /** Whether the SSM agent answers. A node that does not is told as ConnectionLost. */
  online: z.boolean().default(true),
  ipAddress: z.ipv4(),
  agentVersion: z.string().default('3.3.2746.0'),
  tags,
  /** A program in place of the login shell, e.g. for a hostile instance in a test. */
  shell: z.array(z.string().min(1)).min(1).optional(),
});

export const worldPerson = z.strictObject({
  userName: z.string().min(1).max(128),
  id: z.uuid(),
  displayName: z.string().min(1),
  email: z.email(),
  enabled: z.boolean().default(true),
  groups: z.array(z.string()),
});

const inAccount = z.strictObject({
  users: z.array(worldUser).default([]),
  groups: z.array(worldGroup).default([]),
  roles: z.array(worldRole).default([]),
  managedPolicies: z.array(worldManagedPolicy).default([]),
  sessionDocuments: z.array(worldSessionDocument).default([]),
});

const worldFileSchema = z.strictObject({
  organisation: z.strictObject({
    name: z.string().min(1),
    organisationId: z.string().regex(/^o-[a-z0-9]{10,32}$/),
    identityStoreId: z.string().regex(/^d-[0-9a-f]{10}$/),
    startUrl: z.url(),
    /** Home region of Identity Center. */
    region: regionName,
  }),
  groups: z.array(
    z.strictObject({ name: z.string().min(1).max(1024), id: z.uuid(), description: z.string().default('') }),
  ),
  people: z.array(worldPerson),
  permissionSets: z.array(
    z.strictObject({
      name: z.string().regex(/^[\w+=,.@-]{1,32}$/),
      description: z.string().default(''),
      sessionSeconds: z.int().min(3600).max(43_200).default(3600),
      inlinePolicy: policyDocument,
      /** Groups of Identity Center that get the set in an account. `suffix` ends the name of the role there. */
      assignments: z.array(
        z.strictObject({
          account: accountId,
          suffix: z.string().regex(/^[0-9a-f]{16}$/),
          groups: z.array(z.string()).min(1),
        }),
      ),
    }),
  ),
  accounts: z
    .array(z.strictObject({ id: accountId, name: z.string().min(1), email: z.email(), ...inAccount.shape }))
    .min(1),
  /** What every account has. `{account}` stands for the account's id. */
  everyAccount: inAccount.prefault({}),
  instances: z.array(worldInstance),
});
type WorldFile = z.infer<typeof worldFileSchema>;

type WorldRole = z.infer<typeof worldRole>;
export type WorldSessionDocument = z.infer<typeof worldSessionDocument>;
export type WorldInstance = z.infer<typeof worldInstance>;
export type WorldPerson = z.infer<typeof worldPerson>;
export type WorldDirectoryGroup = WorldFile['groups'][number];
/** `roles` holds the roles of permission sets too. */
type WorldAccount = WorldFile['accounts'][number];
export type World = {
  organisation: WorldFile['organisation'];
  /** Identity Center's groups, not IAM's. */
  groups: WorldDirectoryGroup[];
  people: WorldPerson[];
  permissionSets: WorldFile['permissionSets'];
  accounts: WorldAccount[];
  instances: WorldInstance[];
};

/** The path of permission set roles: without the region where Identity Center's home is us-east-1 (aws-facts 1.9). */
const reservedRolePath = (homeRegion: string): string =>
  homeRegion === 'us-east-1' ? '/aws-reserved/sso.amazonaws.com/' : `/aws-reserved/sso.amazonaws.com/${homeRegion}/`;

export const reservedRoleName = (permissionSet: string, suffix: string): string =>
  `AWSReservedSSO_${permissionSet}_${suffix}`;

const reservedRoles = (file: WorldFile, account: string): WorldRole[] =>
  file.permissionSets.flatMap((set) =>
    set.assignments
      .filter((assignment) => assignment.account === account)
      .map((assignment) => ({
        name: reservedRoleName(set.name, assignment.suffix),
        path: reservedRolePath(file.organisation.region),
        trust: {
          Version: '2012-10-17' as const,
          Statement: [
            {
              Effect: 'Allow' as const,
              Principal: {
                Federated: `arn:aws:iam::${account}:saml-provider/AWSSSO_${assignment.suffix}_DO_NOT_DELETE`,
              },
              Action: ['sts:AssumeRoleWithSAML', 'sts:TagSession'],
              Condition: { StringEquals: { 'SAML:aud': 'https://signin.aws.amazon.com/saml' } },
            },
          ],
        },
        inlinePolicies: { AwsSSOInlinePolicy: set.inlinePolicy },
        attachedPolicyArns: [],
        boundaryArn: null,
        maxSessionSeconds: 43_200,
        tags: {},
        description: set.description,
      })),
  );

/** The values that are there more than once. */
const repeated = (values: string[]): string[] => values.filter((one, at) => values.indexOf(one) !== at);

/** What contradicts itself although every single value is well formed. One sentence each. */
const contradictions = (file: WorldFile): string[] => {
  const accounts = new Set(file.accounts.map((account) => account.id));
  const groups = new Set(file.groups.map((group) => group.name));
  const assignments = file.permissionSets.flatMap((set) => set.assignments.map((one) => ({ set: set.name, ...one })));
  const unique = {
    person: file.people.map((person) => person.userName.toLowerCase()),
    'person id': file.people.map((person) => person.id),
    group: file.groups.map((group) => group.name),
    account: file.accounts.map((account) => account.id),
    instance: file.instances.map((instance) => instance.id),
    'access key': [...file.accounts, file.everyAccount].flatMap((account) =>
      account.users.flatMap((user) => user.accessKeys.map((key) => key.accessKeyId)),
    ),
  };
  const namedGroups = [
    ...file.people.flatMap((person) => person.groups.map((group) => ({ who: person.userName, group }))),
    ...assignments.flatMap((one) => one.groups.map((group) => ({ who: `permission set ${one.set}`, group }))),
  ];
  const namedAccounts = [
    ...file.instances.map((instance) => ({ who: `instance ${instance.id}`, account: instance.account })),
    ...assignments.map((one) => ({ who: `permission set ${one.set}`, account: one.account })),
  ];
  const iamGroups = file.accounts.flatMap((account) => {
    const known = new Set([...account.groups, ...file.everyAccount.groups].map((group) => group.name));
    return [...account.users, ...file.everyAccount.users].flatMap((user) =>
      user.groups
        .filter((group) => !known.has(group))
        .map((group) => `IAM user ${user.name} of ${account.name} names an IAM group that is not there: ${group}`),
    );
  });
  return [
    ...iamGroups,
    ...Object.entries(unique).flatMap(([what, values]) =>
      repeated(values).map((one) => `${what} ${one} is there twice`),
    ),
    ...namedGroups
      .filter((one) => !groups.has(one.group))
      .map((one) => `${one.who} names a group that is not there: ${one.group}`),
    ...namedAccounts
      .filter((one) => !accounts.has(one.account))
      .map((one) => `${one.who} names an account that is not there: ${one.account}`),
  ];
};

const worldSchema = worldFileSchema.superRefine((file, context) => {
  for (const message of contradictions(file)) context.addIssue({ code: 'custom', message });
});

/** @param fileName for messages only. @throws FileError with file, line and column of everything that is wrong. */
export const parseWorld = (text: string, fileName: string): World => {
  const file = parseYamlFile(worldSchema, text, fileName);
  const accounts = file.accounts.map((account): WorldAccount => {
    const every = inAccount.parse(JSON.parse(JSON.stringify(file.everyAccount).replaceAll('{account}', account.id)));
    return {
      ...account,
      users: [...account.users, ...every.users],
      groups: [...account.groups, ...every.groups],
      roles: [...account.roles, ...every.roles, ...reservedRoles(file, account.id)],
      managedPolicies: [...account.managedPolicies, ...every.managedPolicies],
      sessionDocuments: [...account.sessionDocuments, ...every.sessionDocuments],
    };
  });
  const { organisation, groups, people, permissionSets, instances } = file;
  return { organisation, groups, people, permissionSets, accounts, instances };
};

/** @throws FileError, or the error of reading the file. */
export const readWorld = (file: string): World => parseWorld(readFileSync(file, 'utf8'), file);

/** The ARN that IAM knows an instance by: hybrid nodes (`mi-`) belong to SSM. */
export const instanceArn = (instance: WorldInstance): string =>
  instance.id.startsWith('mi-')
    ? `arn:aws:ssm:${instance.region}:${instance.account}:managed-instance/${instance.id}`
    : `arn:aws:ec2:${instance.region}:${instance.account}:instance/${instance.id}`;
