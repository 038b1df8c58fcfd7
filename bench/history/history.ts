/** Two years of requests and everything that came of them, written straight into a fresh database. */
import type pg from 'pg';
import type { AuditEvent } from '../../backend/audit/event.ts';
import type { PersonFacts } from '../../backend/store/people.ts';
import {
  accountIdOf,
  companyPeople,
  companySizes,
  firstLead,
  historyMs,
  instanceOf,
  isLead,
  iso,
  plain,
  seedCompany,
  seedHeads,
  seedSideTables,
  teamOf,
} from './company.ts';
import { openChain, openTables, type Told, tellRequest } from './story.ts';

/** `grants`: those that live. */
export type HistorySizes = { auditRows: number; requests: number; grants: number };

/** A small generator (mulberry32): a history must be the same at every run. */
const randomFrom = (seed: number): (() => number) => {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
};

const fateOf = (fromEnd: number, luck: number, sizes: HistorySizes): Told['fate'] => {
  if (fromEnd < companySizes.waiting) return 'waiting';
  if (fromEnd < companySizes.waiting + sizes.grants) return 'live';
  if (luck < 0.76) return 'ended';
  if (luck < 0.86) return 'denied';
  return luck < 0.93 ? 'lapsed' : 'withdrawn';
};

/** When request `fromEnd` (counted from the newest) was made: the live ones within the last hour, the others over two years. */
const askedAt = (fromEnd: number, now: number, sizes: HistorySizes): number => {
  const recent = companySizes.waiting + sizes.grants;
  if (fromEnd < recent) return now - 180_000 - Math.round((fromEnd / recent) * 3_000_000);
  const older = Math.max(1, sizes.requests - recent);
  return now - 4 * 3_600_000 - Math.round(((fromEnd - recent) / older) * historyMs);
};

/**
 * Fills a migrated, empty database.
 * @param client of a superuser: triggers and foreign keys are off while it writes, or it would take ten times as long.
 */
export const seedHistory = async (client: pg.Client, sizes: HistorySizes, now: Date): Promise<PersonFacts[]> => {
  const people = companyPeople(now);
  const leadsOf = Map.groupBy(
    people.filter((_, index) => isLead(index)),
    (person) => teamOf(people.indexOf(person)),
  );
  await client.query('set session_replication_role = replica');
  await client.query('set synchronous_commit = off');
  await seedCompany(client, people, now);
  const tables = openTables(client);
  const chain = openChain(tables);
  const random = randomFrom(20_261_122);
  const perTeam = companySizes.instances / companySizes.teams;
  // Sign-ins fill up what requests do not bring: so many before each request.
  const rowsPerRequest = 8.35;
  const filling = Math.max(0, sizes.auditRows - rowsPerRequest * sizes.requests) / sizes.requests;
  let owed = 0;
  for (let number = 0; number < sizes.requests; number += 1) {
    const fromEnd = sizes.requests - 1 - number;
    // A few people ask for much: the busiest of 2,375 for some 7 % of everything.
    const live = fromEnd < companySizes.waiting + sizes.grants;
    const index = Math.floor(firstLead * random() ** (live ? 1 : 3));
    const person = people[index];
    if (person === undefined) throw new Error(`There is no person ${index}.`);
    const instance = instanceOf(teamOf(index) + companySizes.teams * Math.floor(random() * perTeam));
    const fate = fateOf(fromEnd, random(), sizes);
    const at = askedAt(fromEnd, now.getTime(), sizes);
    for (owed += filling; owed >= 1 && chain.rows() < sizes.auditRows; owed -= 1) {
      const event: AuditEvent = {
        kind: 'signed_in',
        at: iso(at - 1_000),
        actor: { kind: 'person', person: plain(person) },
        arn: `arn:aws:sts::${accountIdOf(0)}:assumed-role/AWSReservedSSO_CurfewUser_0123456789abcdef/${person.userName}`,
      };
      await chain.append(event, {});
    }
    const leads = leadsOf.get(teamOf(index)) ?? [];
    const lead = leads[number % leads.length];
    if (lead === undefined) throw new Error('A team has no lead.');
    const byRule = fate === 'lapsed' || fate === 'waiting' || fate === 'denied' ? false : instance.tags.env !== 'prod';
    await tellRequest(tables, chain, {
      number,
      at,
      person,
      fate,
      byRule,
      instance,
      leads,
      lead,
      now: now.getTime(),
    });
  }
  for (const table of Object.values(tables)) await table.flush();
  const head = chain.head();
  await client.query('update audit_head set sequence = $1, hash = $2', [head.sequence, head.hash]);
  await seedSideTables(client, people);
  await seedHeads(client);
  await client.query('set session_replication_role = default');
  await client.query('vacuum (analyze)');
  return people;
};
