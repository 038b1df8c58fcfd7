/** Ending before the time: by the owner, by whoever may decide it, by an admin, or by signing out. */

import type { Expression, SqlBool } from 'kysely';
import type { EndCause, Grant, Person } from '../../src/shared/access.ts';
import type { Stays } from '../../src/shared/kill-switch.ts';
import { grantActions } from '../../src/shared/lifecycle.ts';
import { Refusal } from '../../src/shared/refusal.ts';
import { appendAudit } from '../audit/chain.ts';
import type { Actor } from '../audit/event.ts';
import { recordChange, tellChange } from '../store/changes.ts';
import { loadGrant, loadGrants } from '../store/grants.ts';
import { addNotices } from '../store/notices.ts';
import type { Tx } from '../store/open.ts';
import { directoryWords } from '../store/people.ts';
import type { Reader } from '../store/visibility.ts';
import type { AccessDeps } from './deps.ts';
import { gatherPerson } from './gather.ts';
import { nothingHeld } from './held.ts';
import { type Ask, mayDecide } from './judge.ts';
import { presentPerson } from './recorded.ts';
import { aboutGrant, changeGrant, closeRequest, instantOf, lockGrant } from './rows.ts';
import { staysAfter } from './stays.ts';
import { revokedWords } from './words.ts';

/**
 * Locks requests for more time on grants: before the first audit row is written, because whoever decides one holds it
 * while waiting to write theirs.
 */
const lockExtensions = async (tx: Tx, grantIds: readonly string[]): Promise<void> => {
  await tx
    .selectFrom('requests')
    .select('id')
    .where('extends_grant_id', 'in', ['', ...grantIds])
    .where('state', '=', 'waiting')
    .orderBy('id')
    .forNoKeyUpdate()
    .execute();
};

/** Requests for more time on a grant that ends have nothing left to be decided. They are locked. */
const lapseExtensions = async (tx: Tx, grant: { id: string; owner: Person }, at: Date): Promise<void> => {
  const waiting = await tx
    .selectFrom('requests')
    .select('id')
    .where('extends_grant_id', '=', grant.id)
    .where('state', '=', 'waiting')
    .execute();
  for (const { id } of waiting) {
    const auditSequence = await appendAudit(tx, {
      kind: 'request_lapsed',
      at: instantOf(at),
      actor: { kind: 'curfew' },
      requestId: id,
      requester: grant.owner,
    });
    await closeRequest(tx, { id }, { state: 'lapsed', at, auditSequence });
    await tellChange(tx, { topic: 'requests', id, requestId: id });
  }
};

type Ending = { grantId: string; cause: EndCause; actor: Actor; at: Date };

/** Puts a grant into `ending`; its end is now, and the reconciler does the rest. */
const beginEnding = async (tx: Tx, deps: Pick<AccessDeps, 'sealKey'>, ending: Ending): Promise<void> => {
  const { grantId, cause, at } = ending;
  const grant = await lockGrant(tx, grantId, { action: 'end', dueAt: at });
  await lockExtensions(tx, [grantId]);
  const { ends_at } = grant.row;
  await changeGrant(tx, deps.sealKey, {
    grant,
    change: { state: 'ending', cause, ends_at: ends_at === null || ends_at > at ? at : ends_at },
    event: {
      kind: 'grant_ending',
      at: instantOf(at),
      actor: ending.actor,
      ...aboutGrant(grant),
      cause,
    },
  });
  await lapseExtensions(tx, { id: grantId, owner: grant.owner }, at);
  const requestId = grant.row.request_id;
  await tellChange(tx, { topic: 'grants', id: grantId, requestId });
};

/** Whose grant it is and who would end it, as the directory has them now. @throws what the directory throws. */
const gatherBoth = (deps: AccessDeps, caller: Reader, grant: Grant) =>
  Promise.all([presentPerson(deps, grant.person), gatherPerson(deps, caller.person.id)]);

const couldDecide = (
  deps: AccessDeps,
  grant: Grant,
  [owner, approver]: Awaited<ReturnType<typeof gatherBoth>>,
): boolean => {
  const ask: Ask = {
    person: owner,
    // Also those that left the inventory: ending must always be possible.
    instances: grant.instances,
    capability: grant.capability,
    durationSeconds: grant.durationSeconds,
    reason: grant.reason,
    ticket: grant.ticket,
    at: deps.now(),
    usedSeconds: new Map(),
    asksLately: new Map(),
    held: nothingHeld,
  };
  return mayDecide(deps.rules.current(), ask, approver);
};

/** May the caller end this grant of somebody else's: as an admin, or because the rules let them decide it? */
export const mayRevoke = async (deps: AccessDeps, caller: Reader, grant: Grant): Promise<boolean> =>
  caller.isAdmin || couldDecide(deps, grant, await gatherBoth(deps, caller, grant));

/**
 * May the caller end it: as its owner, whom nobody else has to vouch for, or as `mayRevoke` tells?
 * @throws Refusal `busy` when that hangs on a directory that cannot be asked now.
 */
export const mayEnd = async (deps: AccessDeps, caller: Reader, grant: Grant): Promise<boolean> => {
  if (grant.person.id === caller.person.id || caller.isAdmin) return true;
  const people = await gatherBoth(deps, caller, grant).catch((error: unknown) => {
    if (error instanceof Refusal) throw error;
    throw new Refusal('busy', {
      message: `Whether you may end this hangs on ${directoryWords(grant.person.id)}, which cannot be asked now. Try again in a few seconds, or have its owner or an admin end it. It ends on time in any case.`,
      retryAfterMs: 5_000,
      cause: error,
    });
  });
  return couldDecide(deps, grant, people);
};

/**
 * A grant that the caller sees, or may end because the rules let them decide it: also one that a rule gave, of which no request ever
 * came to them. @throws Refusal `not_found`, the same for both and for what is not there; `busy` as `mayEnd`.
 */
export const loadToEnd = async (deps: AccessDeps, caller: Reader, grantId: string): Promise<[Grant, Reader]> => {
  const [grant] = await loadGrants(deps.db, (eb) => eb('grants.id', '=', grantId), 1);
  const ending = grant !== undefined && grantActions.end.some((state) => state === grant.state);
  const revocable = ending && (await mayEnd(deps, caller, grant)) ? [grantId] : [];
  const reader = { ...caller, revocable: [...(caller.revocable ?? []), ...revocable] };
  return [await loadGrant(deps.db, reader, grantId), reader];
};

/**
 * Ends a grant that the caller owns, may decide, or may end as an admin.
 * @returns the grant, now `ending` (the screen says "ended" only when the reconciler has verified it), and what stays reachable by
 * other grants of its owner (threats RQ-21).
 * @throws Refusal `not_found`, `not_allowed`, `wrong_state`, `busy` as `mayEnd`.
 */
export const end = async (
  deps: AccessDeps,
  caller: Reader,
  { grantId, comment }: { grantId: string; comment: string | null },
): Promise<Grant & { stays: Stays }> => {
  const [grant, reader] = await loadToEnd(deps, caller, grantId);
  const own = grant.person.id === caller.person.id;
  if (!(await mayEnd(deps, caller, grant))) {
    throw new Refusal('not_allowed', { message: 'Only its owner, an approver or an admin may end this access.' });
  }
  const person = caller.person;
  const cause: EndCause = own ? { kind: 'owner', person } : { kind: 'revoked', person, comment };
  const at = deps.now();
  await deps.db.transaction().execute(async (tx) => {
    await beginEnding(tx, deps, { grantId, cause, actor: { kind: 'person', person }, at });
    if (own) return;
    const words = revokedWords(grant, person, comment);
    const target = { kind: 'grant' as const, id: grantId };
    await addNotices(tx, [{ personId: grant.person.id, at, kind: 'ended', ...words, target }]);
    await recordChange(tx, { topic: 'notices', ref: null, audience: [grant.person.id] });
  });
  deps.nudge();
  const ended = await loadGrant(deps.db, reader, grantId);
  return { ...ended, stays: await staysAfter(deps.db, ended) };
};

/** Some of a person's grants: by a condition on `grants`, so many at most, or by their ids. */
type Choice = { where: Expression<SqlBool>; limit: number } | { grantIds: readonly string[] };

/**
 * Locks everything of a person that can be ended, or what a condition on `grants` chooses, before the first audit row is written: whoever writes one holds the trail,
 * and must not wait for a row of somebody who waits for the trail (rows.ts).
 * @returns ids of the grants.
 */
export const lockEverything = async (tx: Tx, personId: string, choice?: Choice): Promise<string[]> => {
  const principals = await tx
    .selectFrom('principals')
    .select('id')
    // By what they have, not by whose it is: a group's principal is nobody's own.
    .where('id', 'in', (eb) => eb.selectFrom('grants').select('principal_id').where('person_id', '=', personId))
    .orderBy('id')
    .forNoKeyUpdate()
    .execute();
  const grants = await tx
    .selectFrom('grants')
    .select('id')
    .where('principal_id', 'in', ['', ...principals.map(({ id }) => id)])
    .where('person_id', '=', personId)
    .where('state', 'in', [...grantActions.end])
    .where((eb) => {
      if (choice === undefined) return eb.lit(true);
      return 'where' in choice ? choice.where : eb('id', 'in', ['', ...choice.grantIds]);
    })
    .orderBy('id')
    .limit(choice !== undefined && 'limit' in choice ? choice.limit : 10_000)
    .forNoKeyUpdate()
    .execute();
  const ids = grants.map(({ id }) => id);
  await lockExtensions(tx, ids);
  return ids;
};

/** Ends grants that `lockEverything` has locked. */
export const endEverything = async (
  tx: Tx,
  deps: Pick<AccessDeps, 'sealKey'>,
  { ids, ...ending }: Omit<Ending, 'grantId'> & { ids: readonly string[] },
): Promise<void> => {
  for (const grantId of ids) await beginEnding(tx, deps, { grantId, ...ending });
};

/**
 * Ends everything that a person has, because they sign out and want it so.
 * @returns ids of the grants that are ending now.
 */
export const endAllOfPerson = async (deps: AccessDeps, person: Person): Promise<string[]> => {
  const at = deps.now();
  const ids = await deps.db.transaction().execute(async (tx) => {
    const locked = await lockEverything(tx, person.id);
    const cause: EndCause = { kind: 'signed-out', person };
    await endEverything(tx, deps, { ids: locked, cause, actor: { kind: 'person', person }, at });
    return locked;
  });
  if (ids.length > 0) deps.nudge();
  return ids;
};
