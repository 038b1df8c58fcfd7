/** A small organisation on a real Postgres, for tests of access: people, instances, rules, roles, and a clock that is set by hand. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Instance, InstanceRef, Person, RequestDraft } from '../../../src/shared/access.ts';
import type { GroupReach } from '../../../src/shared/group-reach.ts';
import type { PersonalRole } from '../../../src/shared/views.ts';
import { personalRoleArn, personalRoleName } from '../../access-policy/principal.ts';
import { auditSentence } from '../../audit/sentence.ts';
import { defaultTrustedTags } from '../../config.ts';
import { openRules, type RuleBook } from '../../rules/rules.ts';
import { newId } from '../../store/ids.ts';
import { type PersonFacts, savePerson, standingOf } from '../../store/people.ts';
import { loadRequests } from '../../store/requests.ts';
import { openSealKey } from '../../store/seal.ts';
import type { Reader } from '../../store/visibility.ts';
import { freshStore } from '../../testing/fresh-store.ts';
import { type Access, createAccess } from '../access.ts';
import type { AccessDeps } from '../deps.ts';
import { mayDecide } from '../judge.ts';
import { gatherRecorded } from '../recorded.ts';

const identityStoreId = 'd-9067f4a2c1';
const payments = '482011773306';
const search = '739164205518';

const staff = {
  mira: ['payments-engineers'],
  elin: ['payments-engineers'],
  jonas: ['payments-leads'],
  aiko: ['payments-leads'],
  rhea: ['search-leads'],
  kofi: ['search-engineers'],
  dele: ['curfew-admins'],
} as const satisfies Record<string, readonly string[]>;
export type Name = keyof typeof staff;
const staffNames: readonly Name[] = ['mira', 'elin', 'jonas', 'aiko', 'rhea', 'kofi', 'dele'];

const personFacts = (name: Name, index: number): PersonFacts => ({
  id: `c2c5d4e4-1021-70aa-8b10-1f2e3d4c5b0${index}`,
  userName: `${name}@harborline.example`,
  displayName: name.charAt(0).toUpperCase() + name.slice(1),
  email: `${name}@harborline.example`,
  enabled: true,
  groups: [...staff[name]],
  checkedAt: new Date('2026-11-22T09:00:00.000Z'),
});

const machine = (name: string, team: string, env: string): Omit<Instance, 'firstSeenAt' | 'checkedAt'> => ({
  accountId: team === 'payments' ? payments : search,
  accountName: team,
  region: 'eu-central-1',
  instanceId: `i-${Buffer.from(name).toString('hex').padEnd(17, '0').slice(0, 17)}`,
  name,
  kind: 'ec2',
  platform: 'Linux',
  tags: { team, env },
  online: true,
});

const machines = {
  staging: machine('s1-payments', 'payments', 'staging'),
  staging2: machine('s2-payments', 'payments', 'staging'),
  prod: machine('p1-payments', 'payments', 'prod'),
  prod2: machine('p2-payments', 'payments', 'prod'),
  index: machine('x1-search', 'search', 'prod'),
};
export type Machine = keyof typeof machines;

export type Office = Awaited<ReturnType<typeof openOffice>>;

/** Opens it at 2026-11-22 10:00 UTC; `close` lets the database and the key go. */
export const openOffice = async (options: { rulesFolder?: string } = {}) => {
  const store = await freshStore();
  const keys = mkdtempSync(join(tmpdir(), 'curfew-keys-'));
  const rules: RuleBook = await openRules(
    options.rulesFolder ?? fileURLToPath(new URL('../../../deploy/rules', import.meta.url)),
    defaultTrustedTags,
  );
  let current = rules.current();
  let time = new Date('2026-11-22T10:00:00.000Z');
  let nudges = 0;
  const people = new Map(staffNames.map((name, index) => [name, personFacts(name, index)]));
  const known = (name: Name): PersonFacts => {
    const person = people.get(name);
    if (person === undefined) throw new Error(`${name} does not work here.`);
    return person;
  };
  const missingRoles = new Set<string>();
  let reach: GroupReach | null = null;
  const gone = new Set<string>();

  for (const person of people.values()) await savePerson(store.db, person);
  const seen = { first_seen_at: time, checked_at: time, gone_at: null };
  for (const one of Object.values(machines)) {
    const { accountId, accountName, instanceId, tags, ...rest } = one;
    await store.db
      .insertInto('instances')
      .values({
        ...rest,
        ...seen,
        account_id: accountId,
        account_name: accountName,
        instance_id: instanceId,
        tags: JSON.stringify(tags),
      })
      .execute();
  }

  const roleOf = async (accountId: string, person: Person): Promise<PersonalRole> =>
    missingRoles.has(person.id)
      ? { accountId, accountName: accountId, state: 'missing', advice: 'Run the provisioner.' }
      : {
          accountId,
          accountName: accountId,
          state: 'ready',
          roleArn: personalRoleArn('aws', accountId, personalRoleName(identityStoreId, person.id)),
        };

  const deps: AccessDeps = {
    db: store.db,
    rules: { current: () => current },
    sealKey: openSealKey(keys),
    config: {
      partition: 'aws',
      directory: {
        identityStoreId,
        region: 'eu-central-1',
        groups: ['everybody'],
        adminGroup: 'curfew-admins',
      },
      accounts: [],
      limits: { tokenLifeSeconds: 28_800, connectWithinSeconds: 28_800, requestLapsesSeconds: 28_800 },
    },
    directory: {
      person: async (id) => [...people.values()].find((person) => person.id === id && !gone.has(id)) ?? null,
      standings: async (ids) => ({
        known: new Map(
          ids.map((id) => [
            id,
            standingOf([...people.values()].find((person) => person.id === id && !gone.has(id)) ?? null),
          ]),
        ),
        failure: null,
      }),
      membersOf: async (group) =>
        [...people.values()].filter(
          (person) => person.enabled && (group === 'everybody' || person.groups.includes(group)),
        ),
    },
    roles: { check: roleOf },
    groupReach: async () => reach,
    // What AWS tells stands in the rows already (`retag`).
    lookAgain: async () => ({ unread: new Set<string>() }),
    now: () => new Date(time),
    nudge: () => {
      nudges += 1;
    },
    newId,
  };
  const access: Access = createAccess(deps);

  /** Ids of the waiting requests that this person may decide; of `among` only, when it is given. */
  const decidableBy = async (approver: PersonFacts, among?: readonly string[]): Promise<string[]> => {
    const set = current;
    const waiting = await loadRequests(store.db, {
      where: (eb) => {
        const isWaiting = eb('requests.state', '=', 'waiting');
        return among === undefined ? isWaiting : eb.and([isWaiting, eb('requests.id', 'in', ['', ...among])]);
      },
      now: time,
    });
    const recorded = await Promise.all(waiting.map((request) => gatherRecorded(deps, set, request)));
    return recorded.filter(({ ask }) => mayDecide(set, ask, approver)).map(({ request }) => request.id);
  };

  return {
    deps,
    access,
    db: store.db,
    url: store.url,
    person: (name: Name): Person => {
      const { id, userName, displayName } = known(name);
      return { id, userName, displayName };
    },
    /** Changes what the identity store says from now on. */
    change: (name: Name, facts: Partial<PersonFacts>) => {
      people.set(name, { ...known(name), ...facts });
    },
    /** The identity store knows them no more; what our own rows know stays. */
    remove: (name: Name) => {
      gone.add(known(name).id);
    },
    /** As the API makes it for a call; `among`: only these requests matter to the caller, which saves time. */
    reader: async (name: Name, among?: readonly string[]): Promise<Reader> => {
      const { id, userName, displayName, groups } = known(name);
      return {
        person: { id, userName, displayName },
        groups,
        isAdmin: groups.includes('curfew-admins'),
        decidable: await decidableBy(known(name), among),
      };
    },
    ref: (name: Machine): InstanceRef => {
      const { accountId, region, instanceId } = machines[name];
      return { accountId, region, instanceId };
    },
    /** Tags as AWS has them from now on, and as nobody remembers them otherwise. */
    retag: async (name: Machine, tags: Record<string, string>) => {
      const { instanceId } = machines[name];
      await store.db
        .updateTable('instances')
        .set({ tags: JSON.stringify(tags) })
        .where('instance_id', '=', instanceId)
        .execute();
    },
    draft: (names: readonly Machine[], more: Partial<RequestDraft> = {}): RequestDraft => ({
      instances: names.map((name) => {
        const { accountId, region, instanceId } = machines[name];
        return { accountId, region, instanceId };
      }),
      capability: 'shell',
      durationSeconds: 3600,
      reason: 'look at the worker queue',
      ticket: null,
      ...more,
    }),
    /** From now on every account's access policies hang on this group; null: on one person each. */
    giveToGroup: (now: GroupReach | null) => {
      reach = now;
    },
    takeRoleAway: (name: Name) => {
      missingRoles.add(known(name).id);
    },
    useRules: (book: RuleBook) => {
      current = book.current();
    },
    pass: (seconds: number) => {
      time = new Date(time.getTime() + seconds * 1000);
    },
    nudges: () => nudges,
    /** What the trail says of a request, oldest first. */
    sentencesOf: async (requestId: string): Promise<string[]> => {
      const rows = await store.db
        .selectFrom('audit')
        .select('event')
        .where('request_id', '=', requestId)
        .orderBy('sequence')
        .execute();
      return rows.map(({ event }) => auditSentence(event));
    },
    close: async () => {
      await store.close();
      rmSync(keys, { recursive: true });
    },
  };
};
