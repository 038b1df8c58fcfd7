/** What can happen to a request while it waits, besides being decided: it is taken up, taken back, or its time is over. */
import type { AccessRequest, Person } from '../../src/shared/access.ts';
import { limits } from '../../src/shared/limits.ts';
import { Refusal } from '../../src/shared/refusal.ts';
import { appendAudit } from '../audit/chain.ts';
import { recordChange, tellChange } from '../store/changes.ts';
import { addNotices } from '../store/notices.ts';
import { loadRequest, loadRequests } from '../store/requests.ts';
import type { Reader } from '../store/visibility.ts';
import type { AccessDeps } from './deps.ts';
import { gatherPerson } from './gather.ts';
import { gatherRecorded, whyNot } from './recorded.ts';
import { closeRequest, instantOf, lockWaiting } from './rows.ts';
import { requestView } from './submit.ts';
import { requestLapsedWords } from './words.ts';

/**
 * Shows the others for five minutes that the caller has the request open; whoever else had it hears of it. A hint, no lock.
 * @throws Refusal `not_found`, `own_request`, `not_allowed`, `wrong_state`.
 */
export const claim = async (deps: AccessDeps, caller: Reader, requestId: string): Promise<AccessRequest> => {
  const set = deps.rules.current();
  const now = deps.now();
  const request = await loadRequest(deps.db, caller, requestId, now);
  const [recorded, approver] = await Promise.all([
    gatherRecorded(deps, set, request),
    gatherPerson(deps, caller.person.id),
  ]);
  const refusal = await whyNot(deps, set, { recorded, approver });
  if (refusal !== null) throw refusal;
  const claimed = { person_id: caller.person.id, until: new Date(now.getTime() + limits.claimSeconds * 1000) };
  await deps.db.transaction().execute(async (tx) => {
    await lockWaiting(tx, requestId);
    await tx
      .insertInto('claims')
      .values({ request_id: requestId, ...claimed })
      .onConflict((conflict) => conflict.column('request_id').doUpdateSet(claimed))
      .execute();
    await tellChange(tx, { topic: 'requests', id: requestId, requestId });
  });
  return requestView(deps, requestId);
};

/**
 * Takes back a request of the caller's own.
 * @throws Refusal `not_found`, `not_allowed`, `wrong_state`.
 */
export const withdraw = async (deps: AccessDeps, caller: Reader, requestId: string): Promise<AccessRequest> => {
  const at = deps.now();
  const request = await loadRequest(deps.db, caller, requestId, at);
  if (request.requester.id !== caller.person.id) {
    throw new Refusal('not_allowed', { message: 'Only the person who asked can withdraw it.' });
  }
  await deps.db.transaction().execute(async (tx) => {
    await lockWaiting(tx, requestId);
    const auditSequence = await appendAudit(tx, {
      kind: 'request_withdrawn',
      at: instantOf(at),
      actor: { kind: 'person', person: request.requester },
      requestId,
      requester: request.requester,
    });
    await closeRequest(tx, request, { state: 'withdrawn', at, auditSequence });
    await tellChange(tx, { topic: 'requests', id: requestId, requestId });
  });
  return requestView(deps, requestId);
};

const lapse = (deps: AccessDeps, request: AccessRequest, at: Date) =>
  deps.db.transaction().execute(async (tx) => {
    const row = await tx
      .selectFrom('requests')
      .select('id')
      .where('id', '=', request.id)
      .where('state', '=', 'waiting')
      .forNoKeyUpdate()
      .skipLocked()
      .executeTakeFirst();
    // Whoever holds it is deciding it this moment; the next round looks again.
    if (row === undefined) return false;
    const requester: Person = request.requester;
    const auditSequence = await appendAudit(tx, {
      kind: 'request_lapsed',
      at: instantOf(at),
      actor: { kind: 'curfew' },
      requestId: request.id,
      requester,
    });
    await closeRequest(tx, request, { state: 'lapsed', at, auditSequence });
    const words = requestLapsedWords(request);
    const target = { kind: 'request' as const, id: request.id };
    await addNotices(tx, [{ personId: requester.id, at, kind: 'lapsed', ...words, target }]);
    await recordChange(tx, { topic: 'notices', ref: null, audience: [requester.id] });
    await tellChange(tx, { topic: 'requests', id: request.id, requestId: request.id });
    return true;
  });

/**
 * Lapses waiting requests whose time is over, and those for more time on a grant that lives no more. Several backends may
 * do it at once. (Grants whose time is over are the reconciler's.)
 * @returns how many lapsed.
 */
export const lapseDue = async (deps: AccessDeps): Promise<number> => {
  const at = deps.now();
  const due = await loadRequests(deps.db, {
    where: (eb) =>
      eb.and([
        eb('requests.state', '=', 'waiting'),
        eb.or([
          eb('requests.lapses_at', '<=', at),
          eb.exists(
            eb
              .selectFrom('grants')
              .select('grants.id')
              .whereRef('grants.id', '=', 'requests.extends_grant_id')
              .where('grants.state', 'not in', ['granting', 'active']),
          ),
        ]),
      ]),
    now: at,
    order: 'oldest',
    limit: 100,
  });
  if (due.length === 0) return 0;
  let lapsed = 0;
  for (const request of due) if (await lapse(deps, request, at)) lapsed += 1;
  return lapsed;
};
