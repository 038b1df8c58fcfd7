/** What the access decisions need from outside: readers, a clock, and a bell. Nothing here touches AWS. */
import type { InstanceRef, Person } from '../../src/shared/access.ts';
import type { GroupReach } from '../../src/shared/group-reach.ts';
import type { PersonalRole } from '../../src/shared/views.ts';
import type { Config } from '../config.ts';
import type { RuleBook, RuleSet } from '../rules/rules.ts';
import type { Db } from '../store/open.ts';
import type { PersonFacts, Standings } from '../store/people.ts';
import type { SealKey } from '../store/seal.ts';

/** The identity store; a person is read at most 60 s before the answer (threats RQ-06). */
export type Directory = {
  /** Null when the identity store knows no such person. */
  person: (personId: string) => Promise<PersonFacts | null>;
  /**
   * The people of a group, by its display name; empty when there is no such group. In large organisations it is some minutes old: to be
   * told, counted and shown, never to decide by (decision 14).
   */
  membersOf: (group: string) => Promise<readonly PersonFacts[]>;
  /** How these people stand now, nothing remembered; never throws (ID-12). */
  standings: (personIds: readonly string[]) => Promise<Standings>;
};

export type PersonalRoles = {
  /** Is this person's role in the account there and ours? Looked up at most 60 s ago. */
  check: (accountId: string, person: Person) => Promise<PersonalRole>;
};

/** Instances whose tags AWS could not tell now, by `refKey`. What it told stands in the inventory. */
export type LookedAgain = { unread: ReadonlySet<string> };

export type AccessDeps = {
  db: Db;
  rules: Pick<RuleBook, 'current'>;
  sealKey: SealKey;
  config: Pick<Config, 'partition' | 'directory' | 'accounts' | 'limits'>;
  directory: Directory;
  roles: PersonalRoles;
  /** Who gets what is granted in this account, at most a minute old; null: nobody but the person who asks. */
  groupReach: (accountId: string) => Promise<GroupReach | null>;
  /** Has the inventory read these instances from AWS before access to them is given (threats RQ-07). Costs the time of one or two calls. */
  lookAgain: (refs: readonly InstanceRef[]) => Promise<LookedAgain>;
  now: () => Date;
  /** Called after a commit that gives the reconciler work; losing it costs time only. */
  nudge: () => void;
  newId: (prefix: 'req' | 'grt' | 'dec' | 'kil') => string;
};

/** The rules were reloaded while something was judged: judge it again (threats RQ-08). */
class RulesChanged extends Error {}

/** Call right before commit: what was judged by a set must be recorded while that set is in force. */
export const assertInForce = (deps: Pick<AccessDeps, 'rules'>, set: RuleSet): void => {
  if (deps.rules.current().hash !== set.hash) throw new RulesChanged('The rules changed while they were asked.');
};

/** Does the work with the set in force; again when another set came into force before it was done. */
export const withRules = async <T>(deps: Pick<AccessDeps, 'rules'>, work: (set: RuleSet) => Promise<T>): Promise<T> => {
  for (let tries = 1; ; tries += 1) {
    try {
      return await work(deps.rules.current());
    } catch (error) {
      if (!(error instanceof RulesChanged) || tries >= 5) throw error;
    }
  }
};
