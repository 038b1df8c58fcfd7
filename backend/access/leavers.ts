/**
 * People whom the identity store disabled, or does not know any more, lose what they still have (threats ID-12): sign-ins,
 * requests that wait, and grants. An identity store that cannot be asked ends nothing: meanwhile nobody of whom nothing is
 * known can do anything (`callerOf`), and what was granted ends on time.
 */
import type { EndCause, Person } from '../../src/shared/access.ts';
import { grantActions } from '../../src/shared/lifecycle.ts';
import { appendAudit } from '../audit/chain.ts';
import { recordChange, tellChange } from '../store/changes.ts';
import type { Tx } from '../store/open.ts';
import { loadPeople, revokeTokensOf } from '../store/people.ts';
import { known } from '../store/rows.ts';
import type { AccessDeps } from './deps.ts';
import { endEverything, lockEverything } from './end.ts';
import { closeRequest, instantOf } from './rows.ts';

/** Ids of the people who have anything that a leaver must not have. */
const withSomething = async ({ db }: AccessDeps, now: Date): Promise<string[]> => {
  const [tokens, requests, grants] = await Promise.all([
    db
      .selectFrom('tokens')
      .select('person_id as id')
      .distinct()
      .where('revoked_at', 'is', null)
      .where('expires_at', '>', now)
      .execute(),
    db.selectFrom('requests').select('requester_id as id').distinct().where('state', '=', 'waiting').execute(),
    db
      .selectFrom('grants')
      .select('person_id as id')
      .distinct()
      .where('state', 'in', [...grantActions.end])
      .execute(),
  ]);
  return [...new Set([...tokens, ...requests, ...grants].map(({ id }) => id))].sort();
};

type Leaving = { person: Person; why: 'disabled' | 'gone'; at: Date };

/** Takes back the requests, which are locked. */
const withdrawAll = async (tx: Tx, ids: readonly string[], { person, at }: Leaving): Promise<void> => {
  for (const id of ids) {
    const auditSequence = await appendAudit(tx, {
      kind: 'request_withdrawn',
      left: true,
      at: instantOf(at),
      actor: { kind: 'curfew' },
      requestId: id,
      requester: person,
    });
    await closeRequest(tx, { id }, { state: 'withdrawn', at, auditSequence });
    await tellChange(tx, { topic: 'requests', id, requestId: id });
  }
};

/** @returns whether there was anything left to close: another backend may have been faster. */
const closeAllOf = (deps: AccessDeps, leaving: Leaving): Promise<boolean> =>
  deps.db.transaction().execute(async (tx) => {
    const { person, why, at } = leaving;
    const endedGrants = await lockEverything(tx, person.id);
    const waiting = await tx
      .selectFrom('requests')
      .select('id')
      .where('requester_id', '=', person.id)
      .where('state', '=', 'waiting')
      .orderBy('id')
      .forNoKeyUpdate()
      .execute();
    const tokens = await revokeTokensOf(tx, person.id, at);
    const withdrawnRequests = waiting.map(({ id }) => id);
    await withdrawAll(tx, withdrawnRequests, leaving);
    const cause: EndCause = { kind: 'left', person };
    await endEverything(tx, deps, { ids: endedGrants, cause, actor: { kind: 'curfew' }, at });
    if (tokens + withdrawnRequests.length + endedGrants.length === 0) return false;
    await appendAudit(tx, {
      kind: 'person_left',
      at: instantOf(at),
      actor: { kind: 'curfew' },
      person,
      why,
      tokens,
      withdrawnRequests,
      endedGrants,
    });
    await recordChange(tx, { topic: 'me', ref: null, audience: [person.id] });
    return true;
  });

/**
 * Closes what leavers still have, each leaver in one transaction.
 * @returns how many people had something.
 * @throws the last thing that went wrong, after everybody was tried.
 */
export const closeLeavers = async (deps: AccessDeps): Promise<number> => {
  const ids = await withSomething(deps, deps.now());
  const { known: standings, failure: unasked } = await deps.directory.standings(ids);
  const leavers = ids.flatMap((id) => {
    const why = standings.get(id);
    return why === undefined || why === 'enabled' ? [] : [{ id, why }];
  });
  const people = await loadPeople(
    deps.db,
    leavers.map(({ id }) => id),
  );
  let closed = 0;
  let failure = unasked;
  for (const { id, why } of leavers) {
    try {
      if (await closeAllOf(deps, { person: known(people, id), why, at: deps.now() })) closed += 1;
    } catch (error) {
      // One who cannot be closed keeps nobody else from it; the next round tries again.
      failure = { error };
    }
  }
  if (closed > 0) deps.nudge();
  if (failure !== null) throw failure.error;
  return closed;
};
