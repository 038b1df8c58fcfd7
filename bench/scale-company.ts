/** A made-up company of any size, with grants that live: who has what until when, and the world file that local-aws plays for it. */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { parse } from 'yaml';
import { z } from 'zod';
import { type CompiledGrant, compileAccessPolicy, personalCarrier } from '../backend/access-policy/compile.ts';
import { personalRoleTemplate } from '../backend/access-policy/personal-role.ts';
import {
  accessPolicyName,
  personalRoleArn,
  personalRoleName,
  roleSessionName,
  sessionOwnerArn,
} from '../backend/access-policy/principal.ts';
import { newId } from '../backend/store/ids.ts';
import type { InstanceRef, Person } from '../src/shared/access.ts';

export type CompanySize = {
  accounts: number;
  /** Personal roles with something on them, in all accounts together. */
  principals: number;
  /** How many accounts each person has a role in; at most `accounts`. */
  accountsEach: number;
  grants: number;
  /** Of all grants, the part (0 to 1) that has a session open. */
  sessionShare: number;
  /** When the grant of this number (0 and up) ends. */
  endsAt: (number: number) => Date;
};

export type LiveGrant = {
  id: string;
  requestId: string;
  instance: InstanceRef;
  connectedAt: Date;
  endsAt: Date;
  hasSession: boolean;
};

/** One person in one account, with everything that lives there. */
export type Holder = {
  person: Person;
  accountId: string;
  name: string;
  arn: string;
  sessionName: string;
  /** Whose sessions they are, as SSM tells it. */
  owner: string;
  grants: LiveGrant[];
  /** The one inline policy, as the backend would have written it. */
  document: string;
};

export type Company = {
  identityStoreId: string;
  homeRegion: string;
  /** Who signs people in. */
  signInAccount: string;
  permissionSet: string;
  accounts: Array<{ id: string; name: string }>;
  region: string;
  people: Person[];
  instances: Array<InstanceRef & { name: string }>;
  holders: Holder[];
  /** For local-aws: JSON, which is YAML. */
  world: string;
};

const region = 'eu-central-1';
const permissionSet = 'CurfewUser';
const instancesEach = 100;
/** Every grant lasts an hour, so that those of one role share a session document. */
export const grantSeconds = 3600;

const anything = z.record(z.string(), z.unknown());
/** What of local-aws' own world is kept: its organisation, its groups, and what every account has. */
const ownWorld = z.object({
  organisation: z.looseObject({ identityStoreId: z.string(), region: z.string() }),
  groups: z.array(anything),
  permissionSets: z.array(anything),
  accounts: z.array(z.looseObject({ id: z.string(), name: z.string(), users: z.array(anything).default([]) })),
  everyAccount: anything,
});

const hexOf = (text: string, digits: number): string =>
  createHash('sha256').update(text).digest('hex').slice(0, digits);

const personOf = (number: number): Person => {
  const name = `crowd.${String(number).padStart(4, '0')}`;
  return {
    id: `c2c5d4e4-1021-70aa-8b10-${hexOf(name, 12)}`,
    userName: `${name}@harborline.example`,
    displayName: `Crowd ${number}`,
  };
};

/** Who has a role where: everybody in `accountsEach` accounts, and as many in each. */
const placesOf = ({ accounts, principals, accountsEach }: CompanySize): Array<{ person: number; account: number }> =>
  Array.from({ length: principals }, (_, number) => {
    const person = Math.floor(number / accountsEach);
    return { person, account: (person + Math.floor((number % accountsEach) * (accounts / accountsEach))) % accounts };
  });

const documentOf = (holder: Omit<Holder, 'document'>): string => {
  const { accountId, sessionName } = holder;
  const grants = holder.grants.map(
    ({ id, instance, connectedAt, endsAt }): CompiledGrant => ({
      id,
      instances: [instance],
      notBefore: connectedAt,
      endsAt,
    }),
  );
  const compiled = compileAccessPolicy({ ...personalCarrier({ partition: 'aws', accountId, sessionName }), grants });
  const [only] = compiled.documents;
  if (only === undefined || compiled.documents.length !== 1)
    throw new Error('The grants of one role need one document.');
  return only.document;
};

/** @throws Error when a role's grants have no room in its inline policy. */
export const makeCompany = (size: CompanySize): Company => {
  const read = ownWorld.parse(
    parse(readFileSync(path.resolve(import.meta.dirname, '../dev/local-aws/world.yml'), 'utf8')),
  );
  const { identityStoreId, region: homeRegion } = read.organisation;
  // The backend's own user lives in one of local-aws' accounts, so those come first.
  const known = read.accounts.toSorted((a, b) => b.users.length - a.users.length);
  const accounts = Array.from({ length: size.accounts }, (_, at) => ({
    email: `aws-${at}@harborline.example`,
    ...(known[at] ?? { id: String(600_000_000_000 + at * 7_919), name: `scale-${String(at).padStart(2, '0')}` }),
  }));
  const signInAccount = accounts[0]?.id ?? '';
  const places = placesOf(size);
  const people = Array.from({ length: Math.ceil(size.principals / size.accountsEach) }, (_, at) => personOf(at));
  const instances = accounts.flatMap(({ id: accountId }) =>
    Array.from({ length: instancesEach }, (_, at) => ({
      accountId,
      region,
      instanceId: `i-${hexOf(`${accountId}/${at}`, 17)}`,
      name: `node-${String(at).padStart(3, '0')}`,
    })),
  );
  const holders = places.map(({ person: number, account }, at): Holder => {
    const person = people[number] ?? personOf(number);
    const accountId = accounts[account]?.id ?? '';
    const name = personalRoleName(identityStoreId, person.id);
    const sessionName = roleSessionName(person.userName, person.id);
    const mine = Array.from({ length: size.grants }, (_, grant) => grant).filter(
      (grant) => grant % size.principals === at,
    );
    const holder = {
      ...{ person, accountId, name, sessionName },
      arn: personalRoleArn('aws', accountId, name),
      owner: sessionOwnerArn({ partition: 'aws', accountId, roleName: name, sessionName }),
      grants: mine.map((grant, nth): LiveGrant => {
        const endsAt = size.endsAt(grant);
        const { accountId: _, ...rest } = instances[account * instancesEach + ((at * 7 + nth) % instancesEach)] ?? {
          region,
          instanceId: '',
        };
        return {
          id: newId('grt'),
          requestId: newId('req'),
          instance: { accountId, region: rest.region, instanceId: rest.instanceId },
          connectedAt: new Date(endsAt.getTime() - grantSeconds * 1000),
          endsAt,
          hasSession: Math.floor((grant + 1) * size.sessionShare) > Math.floor(grant * size.sessionShare),
        };
      }),
    };
    return { ...holder, document: documentOf(holder) };
  });
  const setting = (accountId: string) => ({
    ...{ partition: 'aws', accountId, identityStoreId, permissionSet },
    ssoRegion: homeRegion,
    signInAccounts: [signInAccount],
    boundaryArn: `arn:aws:iam::${accountId}:policy/curfew/boundary/CurfewBoundary`,
  });
  const roleOf = (holder: Holder) => {
    const template = personalRoleTemplate(setting(holder.accountId), holder.person);
    const { name, path: at, tags, boundaryArn } = template;
    const inlinePolicies = { [accessPolicyName]: JSON.parse(holder.document) };
    return { ...{ name, path: at, tags, boundaryArn, inlinePolicies }, trust: JSON.parse(template.trust) };
  };
  const ids = new Set(accounts.map(({ id }) => id));
  const world = {
    ...{ organisation: read.organisation, groups: read.groups, everyAccount: read.everyAccount },
    people: people.map((person) => ({
      ...person,
      email: person.userName,
      groups: ['payments-engineers', 'curfew-users'],
    })),
    permissionSets: read.permissionSets.map((set) => ({
      ...set,
      assignments: z
        .array(z.looseObject({ account: z.string() }))
        .parse(set['assignments'])
        .filter(({ account }) => ids.has(account)),
    })),
    accounts: accounts.map((account) => ({
      ...account,
      roles: holders.filter(({ accountId }) => accountId === account.id).map(roleOf),
    })),
    instances: instances.map(({ accountId, region: where, instanceId, name }, at) => ({
      id: instanceId,
      name,
      account: accountId,
      region: where,
      ipAddress: `10.${(at >> 16) & 255}.${(at >> 8) & 255}.${at & 255}`,
      tags: { team: 'payments', env: 'dev' },
    })),
  };
  return {
    ...{ identityStoreId, homeRegion, signInAccount, permissionSet, region, people, instances, holders },
    accounts: accounts.map(({ id, name }) => ({ id, name })),
    world: JSON.stringify(world),
  };
};
