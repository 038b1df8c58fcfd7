/** One history: a database, a clock, people who come and go, and the backends that live at the moment. */
import { type Access, createAccess } from '../../backend/access/access.ts';
import type { AccessDeps } from '../../backend/access/deps.ts';
import { mayDecide } from '../../backend/access/judge.ts';
import { gatherRecorded } from '../../backend/access/recorded.ts';
import { createLookAgain } from '../../backend/inventory/look-again.ts';
import { createLog } from '../../backend/log.ts';
import { newId } from '../../backend/store/ids.ts';
import type { Db } from '../../backend/store/open.ts';
import { type PersonFacts, savePerson, standingOf } from '../../backend/store/people.ts';
import { loadRequests } from '../../backend/store/requests.ts';
import type { Reader } from '../../backend/store/visibility.ts';
import { holderArn } from '../local-aws/iam/state.ts';
import type { Caller } from '../local-aws/service.ts';
import { type Clock, createClock } from './clock.ts';
import type { Company } from './company.ts';
import { type Crew, startCrew } from './crew.ts';
import { type Name, names, type Office, type OfficeName, startsAt } from './offices.ts';
import { type MachineTags, watchTags } from './tags.ts';

export type History = {
  company: Company;
  office: Office;
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
  /** As whom a person asks Systems Manager in an account. */
  callerIn: (accountId: string, name: Name) => Caller;
  /** What Systems Manager lists no more. */
  vanished: Set<string>;
  tags: MachineTags;
  crew: Crew;
  /** How the next backend dies that does. */
  nextDeath: () => 'gone' | 'silent';
  setNextDeath: (how: 'gone' | 'silent') => void;
  close: () => Promise<void>;
};

/** That AWS cannot tell about an instance is what histories are for. */
const quietLog = createLog({ write: () => undefined });

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

/** Opens one at 2026-11-22 10:00 UTC with everybody at work and one backend running. */
export const openHistory = async (company: Company, officeName: OfficeName): Promise<History> => {
  const office = company.office(officeName);
  const { db } = company.store;
  await company.store.clear();
  const clock = createClock(startsAt);
  company.aws.begin(clock, office);
  const people = new Map(names.map((name) => [name, office.person(name)]));
  const known = (name: Name): PersonFacts => people.get(name) ?? office.person(name);
  for (const person of people.values()) await savePerson(db, person);
  await putMachines(db, company);

  const nameOf = (personId: string): Name => names.find((name) => known(name).id === personId) ?? 'mira';
  const vanished = new Set<string>();
  const tags = watchTags();
  const { look } = createLookAgain(
    {
      db,
      ssm: {
        managedInstances: async (...asked) =>
          (await company.ssm.managedInstances(...asked)).filter(({ instanceId }) => !vanished.has(instanceId)),
        tagsOf: async (...asked) => {
          const read = await company.ssm.tagsOf(...asked);
          return new Map(
            [...read].map(([id, ofWorld]) => {
              const env = tags.environment(id);
              return [id, env === null ? ofWorld : { ...ofWorld, env }];
            }),
          );
        },
      },
      trustedTags: office.config.trustedTags,
      patienceMs: 30_000,
      now: clock.now,
      log: quietLog,
    },
    office.config.accounts.flatMap(({ id, name, regions }) =>
      regions.map((region) => ({ accountId: id, accountName: name, region })),
    ),
  );
  const deps: AccessDeps = {
    db,
    rules: company.rules,
    sealKey: company.sealKey,
    config: office.config,
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
        roleArn: holderArn(office.holder(company.aws.iam(), accountId, nameOf(id))),
      }),
    },
    groupReach: async (accountId) =>
      office.shared(accountId)
        ? { accountId, accountName: accountId, group: 'oncall', members: names.length, names: [...names] }
        : null,
    lookAgain: look,
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
  let death: 'gone' | 'silent' = 'gone';
  const crew = await startCrew({ company, config: office.config, clock, db });
  return {
    company,
    office,
    clock,
    db,
    deps,
    access: createAccess(deps),
    person: known,
    nameOf,
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
    callerIn: (accountId, name) => office.caller(company.aws.iam(), accountId, name),
    vanished,
    tags,
    crew,
    nextDeath: () => death,
    setNextDeath: (how) => {
      death = how;
    },
    close: crew.close,
  };
};
