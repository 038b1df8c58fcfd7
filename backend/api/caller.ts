/**
 * Who calls: the person of a token as the identity store knows them now, with what the rules let them decide. Whoever asks for something or
 * decides is read anew by what does it (threats RQ-06).
 */
import { Refusal } from '../../src/shared/refusal.ts';
import type { Directory } from '../aws/directory.ts';
import type { Secret } from '../log.ts';
import type { Db } from '../store/open.ts';
import type { PersonFacts } from '../store/people.ts';
import type { Reader } from '../store/visibility.ts';
import { authenticate, type TokenFacts } from './tokens.ts';

export type Caller = { reader: Reader; facts: PersonFacts; token: TokenFacts };

export type CallerDeps = {
  db: Db;
  directory: Pick<Directory, 'reader'>;
  adminGroup: string;
  /** Ids of waiting requests that the rules in force let this person decide now. */
  decidableBy: (person: PersonFacts) => Promise<string[]>;
  now: () => Date;
};

/** Older than this, what was known of a person counts as unknown, and unknown is the strict side (threats ID-12). */
const knownMs = 5 * 60_000;

/** What the identity store says, or what it said in the last five minutes while it cannot be asked. */
const factsOf = async (deps: CallerDeps, personId: string): Promise<PersonFacts | null> => {
  try {
    return await deps.directory.reader(personId);
  } catch (error) {
    const row = await deps.db.selectFrom('people').selectAll().where('id', '=', personId).executeTakeFirst();
    if (row === undefined || deps.now().getTime() - row.checked_at.getTime() > knownMs) throw error;
    const { id, user_name: userName, display_name: displayName, email, enabled, groups } = row;
    return { id, userName, displayName, email, enabled, groups, checkedAt: row.checked_at };
  }
};

/** @throws Refusal `sign_in_needed` for every token that does not stand for an enabled person, always the same. */
export const callerOf = async (deps: CallerDeps, bearer: Secret | null): Promise<Caller> => {
  const token = await authenticate(deps.db, bearer, deps.now());
  const facts = await factsOf(deps, token.personId);
  if (facts === null || !facts.enabled) throw new Refusal('sign_in_needed');
  const { id, userName, displayName, groups } = facts;
  const reader: Reader = {
    person: { id, userName, displayName },
    groups,
    isAdmin: groups.includes(deps.adminGroup),
    decidable: await deps.decidableBy(facts),
  };
  return { reader, facts, token };
};
