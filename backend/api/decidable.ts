/** Which waiting requests of others the rules in force let a person decide, asked anew each minute. */

import { limits } from '../../src/shared/limits.ts';
import type { Directory } from '../access/deps.ts';
import { nothingHeld } from '../access/held.ts';
import { type Ask, mayDecide } from '../access/judge.ts';
import { gatherRecorded } from '../access/recorded.ts';
import type { RuleSet } from '../rules/rules.ts';
import { createInventoryCopy } from '../store/instances.ts';
import type { Db } from '../store/open.ts';
import type { PersonFacts } from '../store/people.ts';
import { loadRequests } from '../store/requests.ts';

export type Approvals = {
  /** Ids of waiting requests of others that this person may decide now. */
  decidableBy: (person: PersonFacts) => Promise<string[]>;
  /** True when there is an instance for which this person could approve a request of some colleague. */
  mayApproveSomething: (person: PersonFacts) => Promise<boolean>;
};

export type ApprovalsDeps = {
  db: Db;
  rules: { current: () => RuleSet };
  directory: Directory;
  now: () => Date;
};

const answerMs = 60_000;
/** No person's id: a made-up colleague in the same groups. */
const somebodyElse = '0';
const answersKept = 20_000;

/** Remembers answers for a minute: a request never changes, but rules, groups and the hour do. */
const createAnswers = (now: () => Date) => {
  const answers = new Map<string, { until: number; answer: boolean }>();
  return async (key: string, find: () => Promise<boolean>): Promise<boolean> => {
    const at = now().getTime();
    const known = answers.get(key);
    if (known !== undefined && known.until > at) return known.answer;
    if (answers.size >= answersKept) answers.clear();
    const answer = await find();
    answers.set(key, { until: at + answerMs, answer });
    return answer;
  };
};

export const createApprovals = (deps: ApprovalsDeps): Approvals => {
  const { db, rules, directory, now } = deps;
  const answers = createAnswers(now);
  const inventory = createInventoryCopy(db);

  const groupsKey = (person: PersonFacts): string => `${person.id} ${person.groups.join(',')}`;

  return {
    decidableBy: async (person) => {
      // Ids only: this is asked at every call, and nearly all of its answers are remembered.
      const waiting = await db
        .selectFrom('requests')
        .select('id')
        .where('state', '=', 'waiting')
        .where('requester_id', '<>', person.id)
        .orderBy('submitted_at')
        .execute();
      const set = rules.current();
      const decidable: string[] = [];
      for (const { id } of waiting) {
        const may = await answers(`${set.hash} ${groupsKey(person)} ${id}`, async () => {
          const [request] = await loadRequests(db, { where: (eb) => eb('requests.id', '=', id), now: now() });
          if (request === undefined) return false;
          const requester = await directory.person(request.requester.id);
          if (requester?.enabled !== true) return false;
          // Whom it would reach does not change who may decide it.
          const { ask } = await gatherRecorded({ ...deps, groupReach: async () => null }, set, request);
          return ask.instances.length > 0 && mayDecide(set, ask, person);
        });
        if (may) decidable.push(id);
      }
      return decidable;
    },
    mayApproveSomething: (person) => {
      const set = rules.current();
      return answers(`${set.hash} ${groupsKey(person)} anything`, async () => {
        const colleague: PersonFacts = { ...person, id: somebodyElse, email: null };
        const ask: Ask = {
          person: colleague,
          instances: [],
          capability: 'shell',
          durationSeconds: limits.shortestGrantSeconds,
          reason: 'approvals',
          ticket: null,
          at: now(),
          usedSeconds: new Map(),
          asksLately: new Map(),
          held: nothingHeld,
        };
        return (await inventory()).some((instance) => mayDecide(set, { ...ask, instances: [instance] }, person));
      });
    },
  };
};
