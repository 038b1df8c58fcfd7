/**
 * Ending a session that is granted, but was not opened by the app (threats AWS-02). An admin asks for it here; the reconciler does it
 * (`reconcile/end-found.ts`). The access stays: this is no kill switch.
 */
import { Refusal } from '../../src/shared/refusal.ts';
import type { EndFoundInput, FindingKind } from '../../src/shared/views.ts';
import { appendAudit } from '../audit/chain.ts';
import { recordChange } from '../store/changes.ts';
import { loadPeople } from '../store/people.ts';
import type { Reader } from '../store/visibility.ts';
import type { AccessDeps } from './deps.ts';
import { instantOf } from './rows.ts';

/** Why Curfew does not end what a finding of this kind is about. */
const whyNot = (kind: FindingKind): string =>
  kind === 'bypass'
    ? 'Curfew gave nobody this session, so it does not end it. End it in the Systems Manager console.'
    : 'This finding is not about a session that an admin may end.';

/**
 * Puts on record that the session is to be ended, by whom and why.
 * @throws Refusal `not_allowed` (no admin; a finding about something else, or about a session that is not ours), `not_found`,
 * `wrong_state` (the session is gone, or somebody has asked already).
 */
export const endFound = async (
  deps: Pick<AccessDeps, 'db' | 'now'>,
  caller: Reader,
  input: EndFoundInput,
): Promise<void> => {
  if (!caller.isAdmin) throw new Refusal('not_allowed', { message: 'This is for admins.' });
  const { findingId, reason } = input;
  const by = caller.person;
  await deps.db.transaction().execute(async (tx) => {
    const found = await tx
      .selectFrom('findings')
      .selectAll()
      .where('id', '=', findingId)
      .forNoKeyUpdate()
      .executeTakeFirst();
    if (found === undefined) throw new Refusal('not_found');
    const { kind, account_id: accountId, region, mended_at: mendedAt, end_asked_at: askedAt } = found;
    if (kind !== 'session_outside_app' || accountId === null || region === null) {
      throw new Refusal('not_allowed', { message: whyNot(kind) });
    }
    if (mendedAt !== null) {
      throw new Refusal('wrong_state', { message: 'This session is gone already.', at: instantOf(mendedAt) });
    }
    if (askedAt !== null && found.end_problem === null) {
      const asker = found.end_asked_by ?? '';
      const name = (await loadPeople(tx, [asker])).get(asker)?.displayName ?? 'Somebody';
      throw new Refusal('wrong_state', {
        message: `${name} is ending this session already.`,
        by: name,
        at: instantOf(askedAt),
      });
    }
    const at = deps.now();
    await appendAudit(tx, {
      kind: 'session_end_asked',
      at: instantOf(at),
      actor: { kind: 'person', person: by },
      findingId,
      accountId,
      region,
      sessionId: found.subject,
      what: found.what,
      reason,
    });
    await tx
      .updateTable('findings')
      .set({ end_asked_at: at, end_asked_by: by.id, end_reason: reason, terminated_at: null, end_problem: null })
      .where('id', '=', findingId)
      .execute();
    // Nobody but admins: they hear of everything.
    await recordChange(tx, { topic: 'me', ref: null, audience: [] });
  });
};
