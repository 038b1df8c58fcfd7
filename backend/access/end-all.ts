/** "End all of this person on this instance" (threats RQ-21), and which live grants somebody may end at all. */
import { type EndCause, type Grant, type InstanceRef, refKey } from '../../src/shared/access.ts';
import type { EndedAll, Stays } from '../../src/shared/kill-switch.ts';
import { grantActions } from '../../src/shared/lifecycle.ts';
import { Refusal } from '../../src/shared/refusal.ts';
import { recordChange } from '../store/changes.ts';
import { loadGrants } from '../store/grants.ts';
import { addNotices } from '../store/notices.ts';
import type { Reader } from '../store/visibility.ts';
import type { AccessDeps } from './deps.ts';
import { endEverything, loadToEnd, lockEverything, mayEnd, mayRevoke } from './end.ts';
import { takeBack } from './kill-switch.ts';
import { grantsOn, staysAfter, waitingOn } from './stays.ts';
import { revokedWords } from './words.ts';

/** What ending this grant would leave reachable. @throws Refusal `not_found`. */
export const whatStays = async (deps: AccessDeps, caller: Reader, grantId: string): Promise<Stays> => {
  const [grant] = await loadToEnd(deps, caller, grantId);
  return staysAfter(deps.db, grant);
};

export type EndAllInput = { grantId: string; instance: InstanceRef; comment: string | null };

/** Those of these grants that the caller may end. */
const endable = async (deps: AccessDeps, caller: Reader, ids: readonly string[]): Promise<Grant[]> => {
  const grants = ids.length === 0 ? [] : await loadGrants(deps.db, (eb) => eb('grants.id', 'in', [...ids]));
  const may = await Promise.all(grants.map((grant) => mayEnd(deps, caller, grant)));
  return grants.filter((_, index) => may[index] === true);
};

/**
 * Ends every grant of the owner of this grant that covers the instance and that the caller may end, and takes back what the owner has
 * waiting for it. The grant itself may be ending already.
 * @returns what is ending now, how many requests were taken back, and what stays because the caller may not end it.
 * @throws Refusal `not_found`, `not_allowed`, `invalid_input` when the instance is not one of the grant's; `busy` as `mayEnd`.
 */
export const endAllOn = async (deps: AccessDeps, caller: Reader, input: EndAllInput): Promise<EndedAll> => {
  const [grant] = await loadToEnd(deps, caller, input.grantId);
  const { person: owner } = grant;
  const own = owner.id === caller.person.id;
  if (!(await mayEnd(deps, caller, grant))) {
    throw new Refusal('not_allowed', { message: 'Only its owner, an approver or an admin may end this access.' });
  }
  if (!grant.instances.some((one) => refKey(one) === refKey(input.instance))) {
    throw new Refusal('invalid_input', { path: 'instance', message: 'is not part of this access' });
  }
  const refs = [input.instance];
  const chosen = await endable(deps, caller, await grantsOn(deps.db, owner.id, refs));
  const waiting = await waitingOn(deps.db, owner.id, refs);
  const person = caller.person;
  const actor = { kind: 'person', person } as const;
  const cause: EndCause = own ? { kind: 'owner', person } : { kind: 'revoked', person, comment: input.comment };
  const at = deps.now();
  const done = await deps.db.transaction().execute(async (tx) => {
    const ids = await lockEverything(tx, owner.id, {
      grantIds: chosen.map(({ id }) => id),
    });
    const requests = await tx
      .selectFrom('requests')
      .select('id')
      .where('id', 'in', ['', ...waiting])
      .where('state', '=', 'waiting')
      .orderBy('id')
      .forNoKeyUpdate()
      .execute();
    const requestIds = requests.map(({ id }) => id);
    await takeBack(tx, requestIds, { actor, requester: owner, at, switchId: null });
    await endEverything(tx, deps, { ids, cause, actor, at });
    const [first] = chosen;
    if (!own && first !== undefined && ids.length > 0) {
      const instances = grant.instances.filter((one) => refKey(one) === refKey(input.instance));
      const words = revokedWords({ instances, durationSeconds: grant.durationSeconds }, person, input.comment);
      await addNotices(tx, [
        { personId: owner.id, at, kind: 'ended', ...words, target: { kind: 'grant', id: first.id } },
      ]);
      await recordChange(tx, { topic: 'notices', ref: null, audience: [owner.id] });
    }
    return { ids, withdrawn: requestIds.length };
  });
  if (done.ids.length > 0) deps.nudge();
  const ended = await loadGrants(deps.db, (eb) => eb('grants.id', 'in', ['', ...done.ids]));
  const stays = await staysAfter(deps.db, { id: '', person: owner, instances: refs });
  return { ended, withdrawn: done.withdrawn, stays: { ...stays, waiting: 0 } };
};

const answerMs = 60_000;

/** Remembers for a minute who may end what: a grant hardly changes, but rules, groups and the hour do. */
export const createRevocable = (deps: AccessDeps): ((caller: Reader) => Promise<string[]>) => {
  const answers = new Map<string, { until: number; may: boolean }>();
  return async (caller) => {
    const rows = await deps.db
      .selectFrom('grants')
      .select(['id', 'mac'])
      .where('state', 'in', [...grantActions.end, 'ending'])
      .where('person_id', '<>', caller.person.id)
      .orderBy('approved_at', 'desc')
      .orderBy('id')
      .limit(2_000)
      .execute();
    const now = deps.now().getTime();
    for (const [key, { until }] of answers) if (until <= now) answers.delete(key);
    const hash = deps.rules.current().hash;
    const key = (id: string): string => `${hash} ${caller.person.id} ${caller.groups.join(',')} ${id}`;
    const unknown = rows.filter(({ id }) => !answers.has(key(id)));
    if (unknown.length > 0) {
      const grants = await loadGrants(
        deps.db,
        (eb) =>
          eb(
            'grants.id',
            'in',
            unknown.map(({ id }) => id),
          ),
        unknown.length,
      );
      for (const grant of grants) {
        answers.set(key(grant.id), { until: now + answerMs, may: await mayRevoke(deps, caller, grant) });
      }
    }
    return rows.flatMap(({ id }) => (answers.get(key(id))?.may === true ? [id] : []));
  };
};
