/** One history: a database, a clock, people who come and go, and the backend that lives at the moment, if one does. */
import { type Access, createAccess } from '../../backend/access/access.ts';
import type { AccessDeps } from '../../backend/access/deps.ts';
import { mayDecide } from '../../backend/access/judge.ts';
import { gatherRecorded } from '../../backend/access/recorded.ts';
import { personalRoleArn, personalRoleName, roleSessionName } from '../../backend/access-policy/principal.ts';
import { newId } from '../../backend/store/ids.ts';
import type { Db } from '../../backend/store/open.ts';
import { type PersonFacts, savePerson, standingOf } from '../../backend/store/people.ts';
import { loadRequests } from '../../backend/store/requests.ts';
import type { Reader } from '../../backend/store/visibility.ts';
import type { IamRole } from '../local-aws/iam/state.ts';
import { type ChaosBackend, startBackend } from './backend.ts';
import { type Clock, createClock } from './clock.ts';
import { type Company, identityStoreId, type Name, names, personNamed, startsAt } from './company.ts';

export type History = {
  company: Company;
  clock: Clock;
  db: Db;
  deps: AccessDeps;
  access: Access;
  person: (name: Name) => PersonFacts;
  nameOf: (personId: string) => Name;
  /** Changes what the identity store says from now on. */
  setEnabled: (name: Name, enabled: boolean) => void;
  /** As the API makes it for a call about this request. */
  reader: (name: Name, requestId: string | null) => Promise<Reader>;
  roleIn: (accountId: string, name: Name) => { role: IamRole; sessionName: string };
  /** Null while none runs. */
  backend: () => ChaosBackend | null;
  /** Starts one where none runs. */
  start: () => void;
  /** Ends it in an orderly way, or lets go of a dead one. */
  stop: () => Promise<void>;
  close: () => Promise<void>;
};

const putMachines = async (db: Db, company: Company): Promise<void> => {
  const seen = { first_seen_at: startsAt, checked_at: startsAt, gone_at: null, online: true };
  const rows = company.machines.map(({ accountId, accountName, region, instanceId, name, tags }) => ({
    ...seen,
    account_id: accountId,
    account_name: accountName,
    region,
    instance_id: instanceId,
    name,
    kind: 'ec2' as const,
    platform: 'Linux' as const,
    tags: JSON.stringify(tags),
  }));
  await db.insertInto('instances').values(rows).execute();
};

/** Opens one at 2026-11-22 10:00 UTC with everybody at work and a backend running. */
export const openHistory = async (company: Company): Promise<History> => {
  const { db } = company.store;
  await company.store.clear();
  const clock = createClock(startsAt);
  company.aws.begin(clock);
  const people = new Map(names.map((name) => [name, personNamed(name)]));
  const known = (name: Name): PersonFacts => people.get(name) ?? personNamed(name);
  for (const person of people.values()) await savePerson(db, person);
  await putMachines(db, company);

  const deps: AccessDeps = {
    db,
    rules: company.rules,
    sealKey: company.sealKey,
    config: company.config,
    directory: {
      person: async (id) => [...people.values()].find((person) => person.id === id) ?? null,
      standings: async (ids) => ({
        known: new Map(
          ids.map((id) => [id, standingOf([...people.values()].find((person) => person.id === id) ?? null)]),
        ),
        failure: null,
      }),
      membersOf: async (group) =>
        [...people.values()].filter(({ enabled, groups }) => enabled && groups.includes(group)),
    },
    roles: {
      check: async (accountId, { id }) => ({
        accountId,
        accountName: accountId,
        state: 'ready',
        roleArn: personalRoleArn('aws', accountId, personalRoleName(identityStoreId, id)),
      }),
    },
    groupReach: async () => null,
    now: clock.now,
    // Whether the backend hears of it at once is the history's affair.
    nudge: () => undefined,
    newId,
  };
  const decidable = async (person: PersonFacts, requestId: string | null): Promise<string[]> => {
    if (requestId === null) return [];
    const set = company.rules.current();
    const waiting = await loadRequests(db, {
      where: (eb) => eb.and([eb('requests.state', '=', 'waiting'), eb('requests.id', '=', requestId)]),
      now: clock.now(),
    });
    const recorded = await Promise.all(waiting.map((request) => gatherRecorded(deps, set, request)));
    return recorded
      .filter(({ ask }) => ask.instances.length > 0 && mayDecide(set, ask, person))
      .map(({ request }) => request.id);
  };
  const onGone = async (holder: number): Promise<void> => {
    await db
      .updateTable('principals')
      .set({ holder: null, due_at: clock.now() })
      .where('holder', '=', holder)
      .execute();
  };
  const place = { clock, onGone };
  let backend: ChaosBackend | null = startBackend(company, place);
  const stop = async (): Promise<void> => {
    const current = backend;
    backend = null;
    await current?.stop();
    company.aws.setAlive(() => true);
  };
  return {
    company,
    clock,
    db,
    deps,
    access: createAccess(deps),
    person: known,
    nameOf: (personId) => names.find((name) => known(name).id === personId) ?? 'mira',
    setEnabled: (name, enabled) => void people.set(name, { ...known(name), enabled }),
    reader: async (name, requestId) => {
      const person = known(name);
      const { id, userName, displayName, groups } = person;
      return {
        person: { id, userName, displayName },
        groups,
        isAdmin: groups.includes('curfew-admins'),
        decidable: await decidable(person, requestId),
      };
    },
    roleIn: (accountId, name) => {
      const { id, userName } = known(name);
      const role = company.aws.iam().role(accountId, personalRoleName(identityStoreId, id));
      if (role === undefined) throw new Error(`${name} has no role in ${accountId}.`);
      return { role, sessionName: roleSessionName(userName, id) };
    },
    backend: () => backend,
    start: () => {
      backend ??= startBackend(company, place);
    },
    stop,
    close: stop,
  };
};
