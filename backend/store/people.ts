/** People as last seen in the identity store. */
import { type RawBuilder, sql } from 'kysely';
import type { Person } from '../../src/shared/access.ts';
import type { Db } from './open.ts';

type PersonRow = { id: string; user_name: string; display_name: string };

const personOf = (row: PersonRow): Person => ({
  id: row.id,
  userName: row.user_name,
  displayName: row.display_name,
});

/** Where a person is looked up, in words: ids of IAM users begin with AIDA, those of Identity Center are UUIDs (decision 10). */
export const directoryWords = (personId: string): string =>
  personId.startsWith('AIDA') ? 'the IAM groups that may use Curfew' : 'the identity store';

/** The person whose id is in this column (`table.column`), for the statement that reads its row: null where the column is. */
export const personIn = <T extends Person | null>(column: string): RawBuilder<T> => sql<T>`
  (select json_build_object('id', one.id, 'userName', one.user_name, 'displayName', one.display_name)
   from people one where one.id = ${sql.ref(column)})`;

/** The people with these ids, by id. */
export const loadPeople = async (db: Db, ids: Iterable<string>): Promise<Map<string, Person>> => {
  const wanted = [...new Set(ids)];
  if (wanted.length === 0) return new Map();
  const rows = await db
    .selectFrom('people')
    .select(['id', 'user_name', 'display_name'])
    .where('id', 'in', wanted)
    .execute();
  return new Map(rows.map((row) => [row.id, personOf(row)]));
};

export type PersonFacts = Person & { email: string | null; enabled: boolean; groups: string[]; checkedAt: Date };

/** Whether somebody still belongs to the organisation. */
export type Standing = 'enabled' | 'disabled' | 'gone';

/** What was found out of many; who could not be asked about is missing in `known`, and `failure` is the last reason. */
export type Standings = { known: Map<string, Standing>; failure: { error: unknown } | null };

/** @param person null: there is none (any more). */
export const standingOf = (person: { enabled: boolean } | null): Standing => {
  if (person === null) return 'gone';
  return person.enabled ? 'enabled' : 'disabled';
};

const rowOf = (facts: PersonFacts) => ({
  user_name: facts.userName,
  display_name: facts.displayName,
  email: facts.email,
  enabled: facts.enabled,
  groups: facts.groups,
  checked_at: facts.checkedAt,
});

/** Writes what the identity store says about a person now. */
export const savePerson = async (db: Db, facts: PersonFacts): Promise<void> => {
  const row = rowOf(facts);
  await db
    .insertInto('people')
    .values({ id: facts.id, ...row })
    .onConflict((conflict) => conflict.column('id').doUpdateSet(row))
    .execute();
};

const rowsAtOnce = 500;

/** Writes what the identity store says about these people, but where something newer is known. Each person once. */
export const savePeople = async (db: Db, people: readonly PersonFacts[]): Promise<void> => {
  // In one order, so that two backends that write the same people do not wait for each other.
  const rows = people.map((facts) => ({ id: facts.id, ...rowOf(facts) })).sort((a, b) => (a.id < b.id ? -1 : 1));
  for (let at = 0; at < rows.length; at += rowsAtOnce) {
    await db
      .insertInto('people')
      .values(rows.slice(at, at + rowsAtOnce))
      .onConflict((conflict) =>
        conflict
          .column('id')
          .doUpdateSet((eb) => ({
            user_name: eb.ref('excluded.user_name'),
            display_name: eb.ref('excluded.display_name'),
            email: eb.ref('excluded.email'),
            enabled: eb.ref('excluded.enabled'),
            groups: eb.ref('excluded.groups'),
            checked_at: eb.ref('excluded.checked_at'),
          }))
          .whereRef('people.checked_at', '<=', 'excluded.checked_at'),
      )
      .execute();
  }
};

/** Makes all tokens of a person worthless from now on. @returns how many stood. */
export const revokeTokensOf = async (db: Db, personId: string, now: Date): Promise<number> => {
  const revoked = await db
    .updateTable('tokens')
    .set({ revoked_at: now })
    .where('person_id', '=', personId)
    .where('revoked_at', 'is', null)
    .where('expires_at', '>', now)
    .executeTakeFirst();
  return Number(revoked.numUpdatedRows);
};
