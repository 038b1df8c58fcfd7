/** Everything IAM knows, per account: roles, users, groups and managed policies, with the delay of spreading. */
import { z } from 'zod';
import { entityArn } from '../authorization/caller.ts';
import { uniqueId } from '../authorization/credential-store.ts';
import { parsePolicyDocument } from '../authorization/policy-document.ts';
import type { Caller } from '../service.ts';
import { createSpreadingTable, type SpreadingTable } from './spreading-table.ts';

const holder = {
  accountId: z.string(),
  name: z.string(),
  path: z.string(),
  id: z.string(),
  createdAt: z.coerce.date(),
  tags: z.record(z.string(), z.string()),
  /** Inline policies: name to JSON text, exactly as it was put. */
  inline: z.record(z.string(), z.string()),
  /** ARNs of attached managed policies. */
  attached: z.array(z.string()),
};
const roleSchema = z.object({
  ...holder,
  kind: z.literal('role'),
  trust: z.string(),
  description: z.string().optional(),
  maxSessionSeconds: z.number(),
  boundary: z.string().optional(),
});
const userSchema = z.object({
  ...holder,
  kind: z.literal('user'),
  groups: z.array(z.string()),
  boundary: z.string().optional(),
});
const groupSchema = z.object({ ...holder, kind: z.literal('group') });
const policySchema = z.object({
  /** `aws` for policies of AWS's own. */
  accountId: z.string(),
  name: z.string(),
  path: z.string(),
  id: z.string(),
  arn: z.string(),
  description: z.string().optional(),
  createdAt: z.coerce.date(),
  updatedAt: z.coerce.date(),
  tags: z.record(z.string(), z.string()),
  versions: z.array(z.object({ id: z.string(), document: z.string(), createdAt: z.coerce.date() })),
  defaultVersionId: z.string(),
  /** Number of the newest version ever made: numbers are never used again. */
  lastVersion: z.number(),
});
const snapshotSchema = z.object({
  roles: z.array(roleSchema),
  users: z.array(userSchema),
  groups: z.array(groupSchema),
  policies: z.array(policySchema),
});

export type IamRole = z.infer<typeof roleSchema>;
export type IamUser = z.infer<typeof userSchema>;
export type IamGroup = z.infer<typeof groupSchema>;
export type ManagedPolicy = z.infer<typeof policySchema>;
export type PolicyHolder = IamRole | IamUser | IamGroup;

/** Documents are given as JSON text or as plain values, which are written compactly. */
type Document = string | Record<string, unknown>;
type HolderSeed = {
  accountId: string;
  name: string;
  /** Begins and ends with a slash; `/` when left out. */
  path?: string | undefined;
  tags?: Record<string, string> | undefined;
  inline?: Record<string, Document> | undefined;
  /** ARNs of managed policies. */
  attached?: string[] | undefined;
};
export type RoleSeed = HolderSeed & {
  trust: Document;
  /** ARN of the permissions boundary. */
  boundary?: string | undefined;
  description?: string | undefined;
  maxSessionSeconds?: number | undefined;
};
export type UserSeed = HolderSeed & { groups?: string[] | undefined; boundary?: string | undefined };
export type ManagedPolicySeed = {
  accountId: string;
  name: string;
  path?: string | undefined;
  document: Document;
  description?: string | undefined;
};

/** What the policy engine sees of one caller. `boundary: null` = none set; its document is null when it is gone (allows nothing). */
export type SeenPolicies = {
  identity: Array<{ name: string; document: string }>;
  boundary: { name: string; document: string | null } | null;
};

export type IamState = {
  /** Tables by `holderKey` (policies: by ARN). The IAM operations read and write here. */
  roles: SpreadingTable<IamRole>;
  users: SpreadingTable<IamUser>;
  groups: SpreadingTable<IamGroup>;
  policies: SpreadingTable<ManagedPolicy>;
  /**
   * Load the world, visible at once. An entity that is there already (restored) keeps its id, its creation date and
   * inline policies and attachments that the seed does not name; all else is the seed's.
   */
  putRole(seed: RoleSeed): IamRole;
  putUser(seed: UserSeed): IamUser;
  putGroup(seed: HolderSeed): IamGroup;
  putManagedPolicy(seed: ManagedPolicySeed): ManagedPolicy;
  role(accountId: string, name: string): IamRole | undefined;
  user(accountId: string, name: string): IamUser | undefined;
  /**
   * The policies that count for a caller now, as spread. A session of a role that was deleted, or deleted and made
   * again, sees nothing.
   */
  seenPolicies(caller: Caller): SeenPolicies;
  /** Plain JSON of the newest state; `restore` parses it (ZodError otherwise), visible at once. Restore first, then load the world. */
  snapshot(): unknown;
  restore(snapshot: unknown): void;
};

/** Names are unique in an account without regard to case. */
export const holderKey = (accountId: string, name: string): string => `${accountId}/${name.toLowerCase()}`;

/** Throws MalformedPolicyDocument: a world that cannot be judged must not load. */
const textOf = (document: Document, kind: 'identity' | 'trust'): string => {
  const text = typeof document === 'string' ? document : JSON.stringify(document);
  parsePolicyDocument(text, kind);
  return text;
};

/** The default version's document of a managed policy. */
const defaultDocument = (policy: ManagedPolicy): string =>
  policy.versions.find((version) => version.id === policy.defaultVersionId)?.document ?? '';

/** Makes an empty IAM. `spreadingDelayMs` is asked at every write; 0 makes writes visible at once. */
export const createIamState = (options: { now: () => Date; spreadingDelayMs: () => number }): IamState => {
  const roles = createSpreadingTable<IamRole>(options);
  const users = createSpreadingTable<IamUser>(options);
  const groups = createSpreadingTable<IamGroup>(options);
  const policies = createSpreadingTable<ManagedPolicy>(options);

  const holderOf = (seed: HolderSeed, idPrefix: string, before: PolicyHolder | undefined) => ({
    accountId: seed.accountId,
    name: seed.name,
    path: seed.path ?? '/',
    id: before?.id ?? uniqueId(idPrefix, 17),
    createdAt: before?.createdAt ?? options.now(),
    tags: { ...before?.tags, ...seed.tags },
    inline: {
      ...before?.inline,
      ...Object.fromEntries(
        Object.entries(seed.inline ?? {}).map(([name, document]) => [name, textOf(document, 'identity')]),
      ),
    },
    attached: [...new Set([...(before?.attached ?? []), ...(seed.attached ?? [])])],
  });

  const seenHolder = (caller: Caller): IamRole | IamUser | undefined => {
    const key = holderKey(caller.entity.accountId, caller.entity.name);
    const holder = caller.entity.kind === 'role' ? roles.seen(key) : users.seen(key);
    return holder?.id === caller.userId.split(':')[0] ? holder : undefined;
  };

  const seenOf = (one: PolicyHolder): SeenPolicies['identity'] => [
    ...Object.entries(one.inline).map(([name, document]) => ({ name, document })),
    ...one.attached.flatMap((arn) => {
      const policy = policies.seen(arn);
      return policy ? [{ name: arn, document: defaultDocument(policy) }] : [];
    }),
  ];

  return {
    roles,
    users,
    groups,
    policies,
    putRole: (seed) => {
      const key = holderKey(seed.accountId, seed.name);
      const role: IamRole = {
        ...holderOf(seed, 'AROA', roles.get(key)),
        kind: 'role',
        trust: textOf(seed.trust, 'trust'),
        description: seed.description,
        maxSessionSeconds: seed.maxSessionSeconds ?? 3600,
        boundary: seed.boundary,
      };
      roles.put(key, role, 'at once');
      return role;
    },
    putUser: (seed) => {
      const key = holderKey(seed.accountId, seed.name);
      const before = users.get(key);
      const user: IamUser = {
        ...holderOf(seed, 'AIDA', before),
        kind: 'user',
        groups: seed.groups ?? before?.groups ?? [],
        boundary: seed.boundary,
      };
      users.put(key, user, 'at once');
      return user;
    },
    putGroup: (seed) => {
      const key = holderKey(seed.accountId, seed.name);
      const group: IamGroup = { ...holderOf(seed, 'AGPA', groups.get(key)), kind: 'group' };
      groups.put(key, group, 'at once');
      return group;
    },
    putManagedPolicy: (seed) => {
      const path = seed.path ?? '/';
      const arn = `arn:aws:iam::${seed.accountId}:policy${path}${seed.name}`;
      const before = policies.get(arn);
      const at = options.now();
      const document = textOf(seed.document, 'identity');
      const unchanged = before !== undefined && defaultDocument(before) === document;
      const policy: ManagedPolicy = unchanged
        ? before
        : {
            accountId: seed.accountId,
            name: seed.name,
            path,
            id: before?.id ?? uniqueId('ANPA', 17),
            arn,
            description: seed.description,
            createdAt: before?.createdAt ?? at,
            updatedAt: at,
            tags: before?.tags ?? {},
            versions: [{ id: 'v1', document, createdAt: at }],
            defaultVersionId: 'v1',
            lastVersion: 1,
          };
      policies.put(arn, policy, 'at once');
      return policy;
    },
    role: (accountId, name) => roles.get(holderKey(accountId, name)),
    user: (accountId, name) => users.get(holderKey(accountId, name)),
    seenPolicies: (caller) => {
      const one = seenHolder(caller);
      if (!one) return { identity: [], boundary: null };
      const groupNames = one.kind === 'user' ? one.groups : [];
      const identity = [
        ...seenOf(one),
        ...groupNames.flatMap((name) => {
          const group = groups.seen(holderKey(one.accountId, name));
          return group ? seenOf(group) : [];
        }),
      ];
      if (one.boundary === undefined) return { identity, boundary: null };
      const boundary = policies.seen(one.boundary);
      const document = boundary ? defaultDocument(boundary) : null;
      return { identity, boundary: { name: one.boundary, document } };
    },
    snapshot: () => ({ roles: roles.all(), users: users.all(), groups: groups.all(), policies: policies.all() }),
    restore: (snapshot) => {
      const read = snapshotSchema.parse(snapshot);
      for (const one of read.roles) roles.put(holderKey(one.accountId, one.name), one, 'at once');
      for (const one of read.users) users.put(holderKey(one.accountId, one.name), one, 'at once');
      for (const one of read.groups) groups.put(holderKey(one.accountId, one.name), one, 'at once');
      for (const one of read.policies) policies.put(one.arn, one, 'at once');
    },
  };
};

/** The ARN of a role, user or group of this state. */
export const holderArn = (one: PolicyHolder): string => entityArn(one.kind, one);
