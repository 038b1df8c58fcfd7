/** A directory in memory for tests: people in a map that a test may change as it goes. */
import { type Directory, standingsOneByOne } from '../aws/directory.ts';
import type { Db } from '../store/open.ts';
import { type PersonFacts, savePerson, standingOf } from '../store/people.ts';

/** `mira` → a person with a userName like Identity Center's and a UserId of its own. */
export const personNamed = (name: string, groups: readonly string[] = []): PersonFacts => ({
  id: `${Buffer.from(name.padEnd(8, '-').slice(0, 8)).toString('hex')}-0000-4000-8000-000000000000`.slice(0, 47),
  userName: `${name}@harborline.example`,
  displayName: name,
  email: `${name}@harborline.example`,
  enabled: true,
  groups: [...groups, 'curfew-users'],
  checkedAt: new Date(),
});

export type TestPeople = Directory & {
  /** Adds or replaces a person, also in the database. */
  put: (person: PersonFacts) => Promise<void>;
  /** From now on every question about one person fails with this. */
  breakWith: (error: Error) => void;
};

/** The identity store of a test. */
export const testPeople = (db: Db): TestPeople => {
  const people = new Map<string, PersonFacts>();
  let broken: Error | null = null;
  const person = async (id: string): Promise<PersonFacts | null> => {
    if (broken !== null) throw broken;
    return people.get(id) ?? null;
  };
  return {
    breakWith: (error) => {
      broken = error;
    },
    put: async (person) => {
      people.set(person.id, person);
      await savePerson(db, person);
    },
    byUserName: async (userName) => [...people.values()].find((person) => person.userName === userName) ?? null,
    person,
    reader: person,
    groupsOf: async (id) => people.get(id)?.groups ?? [],
    membersOf: async (group) => [...people.values()].filter(({ enabled, groups }) => enabled && groups.includes(group)),
    standings: (ids) =>
      standingsOneByOne(ids, async (id) => {
        if (broken !== null) throw broken;
        return standingOf(people.get(id) ?? null);
      }),
  };
};
