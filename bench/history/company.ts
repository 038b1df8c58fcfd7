/** A company that uses Curfew much: its people, accounts, instances, and what grows beside requests. The same at every run. */
import { createHash } from 'node:crypto';
import type pg from 'pg';
import { personalRoleArn, personalRoleName, roleSessionName } from '../../backend/access-policy/principal.ts';
import type { PersonFacts } from '../../backend/store/people.ts';
import type { Person } from '../../src/shared/access.ts';
import { tableWriter } from './table-writer.ts';

export const companySizes = { people: 2_500, instances: 5_000, accounts: 20, teams: 40, waiting: 50 } as const;
const leadsPerTeam = 3;
const admins = 5;
export const historyMs = 730 * 86_400_000;
export const identityStoreId = 'd-9067f4a2c1';
export const region = 'eu-central-1';
export const mac = 'f'.repeat(64);

export const accountIdOf = (index: number): string => String(480_000_000_000 + index * 7_919);
export const accountNameOf = (index: number): string => `company-${String(index).padStart(2, '0')}`;

const letters = 'abcdefghijklmnopqrstuvwxyz234567';
/** An id of ours, from a number instead of randomness. */
export const idOf = (prefix: string, number: number): string => {
  const digest = createHash('sha256').update(`${prefix}${number}`).digest();
  return `${prefix}_${Array.from(digest.subarray(0, 26), (byte) => letters[byte & 31]).join('')}`;
};

export const teamOf = (person: number): number => person % companySizes.teams;
export const firstLead = companySizes.people - admins - companySizes.teams * leadsPerTeam;
const isAdmin = (index: number): boolean => index >= companySizes.people - admins;
export const isLead = (index: number): boolean => index >= firstLead && !isAdmin(index);

const groupsOf = (index: number): string[] => {
  const team = `team${String(teamOf(index)).padStart(2, '0')}`;
  return [
    'curfew-users',
    ...(isAdmin(index) ? ['curfew-admins'] : []),
    `${team}-${isLead(index) ? 'leads' : 'engineers'}`,
  ];
};

/** Everybody: engineers first, the busiest of them first; then three leads a team, then admins. */
export const companyPeople = (now: Date): PersonFacts[] =>
  Array.from({ length: companySizes.people }, (_, index) => {
    const number = String(index).padStart(4, '0');
    return {
      id: `c2c5d4e4-1021-70aa-8b10-1f2e3d4c${number}`,
      userName: `person.${number}@company.example`,
      displayName: `Person ${number}`,
      email: `person.${number}@company.example`,
      enabled: true,
      groups: groupsOf(index),
      checkedAt: now,
    };
  });

export const heaviestEngineer = 0;
export const someAdmin = companySizes.people - 1;

export const plain = ({ id, userName, displayName }: PersonFacts): Person => ({ id, userName, displayName });

const instanceIdOf = (index: number): string =>
  `i-${createHash('sha256').update(`i${index}`).digest('hex').slice(0, 17)}`;
const accountOfTeam = (team: number): number => team % companySizes.accounts;

/** Instance `index` belongs to team `index mod 40`, and is in that team's account. */
export const instanceOf = (index: number) => {
  const team = index % companySizes.teams;
  const account = accountOfTeam(team);
  const env = index % 3 === 0 ? 'prod' : 'staging';
  const name = `team${String(team).padStart(2, '0')}-${env}-${String(index).padStart(4, '0')}`;
  const tags = { team: `team${String(team).padStart(2, '0')}`, env, service: `service-${index % 200}` };
  return { accountId: accountIdOf(account), account, instanceId: instanceIdOf(index), name, tags };
};

export const iso = (at: number): string => new Date(at).toISOString();

export const seedCompany = async (client: pg.Client, people: readonly PersonFacts[], now: Date): Promise<void> => {
  const peopleTable = tableWriter(client, 'people');
  const principals = tableWriter(client, 'principals');
  for (const [index, person] of people.entries()) {
    await peopleTable.add({
      id: person.id,
      user_name: person.userName,
      display_name: person.displayName,
      email: person.email,
      enabled: true,
      groups: person.groups,
      checked_at: now.toISOString(),
    });
    const accountId = accountIdOf(accountOfTeam(teamOf(index)));
    const name = personalRoleName(identityStoreId, person.id);
    await principals.add({
      id: `${accountId}/${person.id}/1`,
      account_id: accountId,
      person_id: person.id,
      kind: 'role',
      carrier: 'inline',
      name,
      arn: personalRoleArn('aws', accountId, name),
      session_name: roleSessionName(person.userName, person.id),
      document_hash: mac,
      document_at: now.toISOString(),
      due_at: iso(now.getTime() + 600_000 + index * 1_000),
      attempts: 0,
      slot: 1,
      managed_policies: 0,
    });
  }
  const instances = tableWriter(client, 'instances');
  for (let index = 0; index < companySizes.instances; index += 1) {
    const { accountId, account, instanceId, name, tags } = instanceOf(index);
    await instances.add({
      account_id: accountId,
      region,
      instance_id: instanceId,
      account_name: accountNameOf(account),
      name,
      kind: 'ec2',
      platform: 'Linux',
      tags: tags,
      online: true,
      first_seen_at: iso(now.getTime() - historyMs),
      checked_at: now.toISOString(),
      gone_at: null,
    });
  }
  const places = tableWriter(client, 'inventory_places');
  for (let index = 0; index < companySizes.accounts; index += 1) {
    await places.add({
      account_id: accountIdOf(index),
      region,
      account_name: accountNameOf(index),
      checked_at: now.toISOString(),
    });
  }
  for (const table of [peopleTable, principals, instances, places]) await table.flush();
};

/** What grows beside requests: findings that were mended, changes of the last hour, tokens of the last week, switches of two years. */
export const seedSideTables = async (client: pg.Client, people: readonly PersonFacts[]): Promise<void> => {
  const admin = people[someAdmin]?.id ?? '';
  await client.query(
    `insert into findings (id, kind, account_id, account_name, region, subject, what, advice, since, last_seen, mended_at)
     select 'fnd_' || i, case when i <= 60 or i % 2 = 0 then 'bypass' else 'slow_ending' end, $1, 'company-00', $2, 'session-' || i, 'what', 'advice',
       now() - i * interval '4 hours', now() - i * interval '4 hours', case when i <= 60 then null else now() - i * interval '3 hours 59 minutes' end
     from generate_series(1, 4000) i`,
    [accountIdOf(0), region],
  );
  await client.query(
    `insert into changes (at, topic, ref, audience)
     select now() - (20000 - i) * interval '0.17 seconds', 'grants', 'grt_' || i, array[$1::text, 'c2c5d4e4-1021-70aa-8b10-1f2e3d4c' || lpad((i % 2500)::text, 4, '0')]
     from generate_series(1, 20000) i order by i`,
    [admin],
  );
  await client.query(
    `insert into tokens (hash, person_id, proved_at, expires_at)
     select sha256(convert_to('t' || i, 'utf8')), 'c2c5d4e4-1021-70aa-8b10-1f2e3d4c' || lpad((i % 2500)::text, 4, '0'),
       now() - (i / 2500) * interval '1 day', now() - (i / 2500) * interval '1 day' + interval '8 hours'
     from generate_series(0, 19999) i`,
  );
  await client.query(
    `insert into kill_switches (id, scope, person_id, name, reason, by_id, at, lifted_at, lifted_by, done_at, total_ms, audit_sequence)
     select 'kil_' || i, 'person', 'c2c5d4e4-1021-70aa-8b10-1f2e3d4c' || lpad((i % 2500)::text, 4, '0'), 'Person', 'exercise', $1,
       now() - i * interval '1 day', now() - i * interval '23 hours', $1, now() - i * interval '23.9 hours', 900, 1
     from generate_series(2, 400) i`,
    [admin],
  );
};

/** Signed heads, one a minute of two years would be a million: one for each hundred rows stands for them. */
export const seedHeads = (client: pg.Client) =>
  client.query(
    `insert into audit_signature (sequence, hash, at, key_id, signature)
     select sequence, hash, at, 'bench', 'bench' from audit where sequence % 100 = 0`,
  );
