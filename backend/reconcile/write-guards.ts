/** What stands before a write, and what happens when it does not hold: whose principal, whose document, whose rows these are. */
import type { EndCause } from '../../src/shared/access.ts';
import { effective } from '../access-policy/policy-writes.ts';
import { appendAudit } from '../audit/chain.ts';
import { TakenOver } from '../aws/errand.ts';
import { beginEnding, documentsHash, failGrant, takeBackMoreTime } from './changes-of-state.ts';
import { beyondCarried, carriedDocuments, documentTrouble } from './document-check.ts';
import { notingMembers } from './group-members.ts';
import { factsOf, inState, noteFound, type Pass } from './pass.ts';
import type { WishedGrant } from './plan.ts';
import { principalTrouble } from './principal-check.ts';
import { newNameOf } from './principal-place.ts';
import type { BrokenSeal } from './wished.ts';

/** Nothing may hang on this role any more: what is being given fails, what is given ends. */
const closeAll = async (pass: Pass, why: { code: string; advice: string; cause: EndCause }): Promise<void> => {
  const { db, deps } = pass;
  const at = deps.now();
  for (const facts of inState(pass, 'granting')) await failGrant(db, facts, { ...why, at });
  for (const facts of inState(pass, 'active'))
    await beginEnding(db, facts, { cause: why.cause, at, sealKey: deps.sealKey });
};

/** Threats AWS-09, before every write that opens something. @returns false when everything on the principal was closed. */
export const principalIsOurs = async (pass: Pass): Promise<boolean> => {
  const { deps, state } = pass;
  const [owner] = [...state.grants.values()].map((facts) => facts.owner);
  // Whom a group is about to reach is on record before it does.
  const noting = notingMembers({ db: pass.db, iam: deps.aws.iam, now: deps.now }, state.principal.id);
  const aws = { iam: { ...deps.aws.iam, ...noting } };
  const renamedTo = () => newNameOf(pass);
  const trouble = await principalTrouble({ ...deps, aws, renamedTo }, state.principal, owner);
  if (trouble === null) return true;
  const { code, advice, what, differences } = trouble;
  deps.log.error({ principal: state.principal.arn, code, differences }, 'a principal is not as it should be');
  await closeAll(pass, { code, advice, cause: { kind: 'inventory', what } });
  return false;
};

/**
 * Between writes somebody may change whom a role trusts, so a role that access hangs on is compared at intervals too. A role
 * that cannot be read now keeps nothing from ending.
 */
export const stillOurs = async (pass: Pass): Promise<boolean> => {
  const { deps, state } = pass;
  const { id, arn } = state.principal;
  const last = deps.roleChecks.get(id);
  const fresh = last !== undefined && deps.now().getTime() - last.getTime() < deps.roleCheckMs;
  if (fresh || inState(pass, 'active').length === 0) return true;
  try {
    const ours = await principalIsOurs(pass);
    if (ours) deps.roleChecks.set(id, deps.now());
    return ours;
  } catch (error) {
    if (error instanceof TakenOver) throw error;
    deps.log.error({ error, principal: arn }, 'a principal could not be compared');
    return true;
  }
};

/** Has something fallen due on this principal, since its rows were read, that the policy must lose? */
const anEndCame = async ({ db, deps, state }: Pass): Promise<boolean> => {
  const ending = await db
    .selectFrom('grants')
    .select('id')
    .where('principal_id', '=', state.principal.id)
    .where((eb) =>
      eb.or([
        eb.and([eb('state', '=', 'ending'), eb('policy_gone_at', 'is', null)]),
        eb.and([eb('state', 'in', ['granting', 'active']), eb('ends_at', '<=', deps.now())]),
      ]),
    )
    .limit(1)
    .executeTakeFirst();
  return ending !== undefined;
};

/**
 * Waits for an answer that only a beginning needs, and no longer than until an end comes: the principal is held meanwhile, and a
 * region whose SSM hangs takes a minute to say so.
 * @returns what was answered; `given-up`: an end came first.
 */
const unlessAnEndComes = async <T>(pass: Pass, asked: Promise<T>): Promise<T | 'given-up'> => {
  let waiting = true;
  const answered = asked.finally(() => {
    waiting = false;
  });
  const watched = async (): Promise<T | 'given-up'> => {
    for (;;) {
      await pass.deps.sleep(pass.deps.lookAgainMs);
      if (!waiting) return answered;
      if (await anEndCame(pass)) return 'given-up';
    }
  };
  return Promise.race([answered, watched()]);
};

/** What is asked about session documents; `given-up` when an end goes first, which asks for no more than it can have at once. */
const askDocuments = async (pass: Pass, asked: Promise<string | null>): Promise<string | null | 'given-up'> => {
  const { deps, state } = pass;
  try {
    return await unlessAnEndComes(pass, asked);
  } catch (error) {
    if (error instanceof TakenOver || !(await anEndCame(pass))) throw error;
    deps.log.error({ error, principal: state.principal.arn }, 'a session document could not be compared');
    return 'given-up';
  }
};

/**
 * Threats AWS-12, before access is given or lengthened. More time that leads onto a changed document is taken back as far as the
 * present one does not hold it; what lives goes on.
 * @param grants those that the documents to be written are for.
 * @returns false when what was to be given was not, or an end came that goes first: then it is planned anew.
 */
export const documentIsOurs = async (pass: Pass, grants: readonly WishedGrant[]): Promise<boolean> => {
  const { db, deps, seen, state } = pass;
  const account = deps.account(state.principal.account_id);
  const carried = carriedDocuments(effective(seen.documents ?? []));
  const longer = beyondCarried(grants, carried);
  const answer = await askDocuments(pass, documentTrouble(deps.aws.ssm, account, { grants, carried }));
  if (answer === null) return true;
  // Without what begins the end can be written; more time is part of what lives, so an end that stands waits for no answer about it.
  const endStands = inState(pass, 'ending').some(({ row }) => row.policy_gone_at === null);
  if (answer === 'given-up' && !(endStands && longer.length > 0)) return false;
  const unasked = 'Its session document could not be compared when other access ended. Ask for more time again.';
  const advice = answer === 'given-up' ? unasked : answer;
  deps.log.error({ principal: state.principal.arn, advice }, 'nothing is given on a session document');
  const at = deps.now();
  for (const { id, endsAt } of longer) {
    await takeBackMoreTime(db, factsOf(pass, id), { endsAt, advice, at, sealKey: deps.sealKey });
  }
  if (longer.length > 0) return false;
  for (const facts of inState(pass, 'granting')) {
    await failGrant(db, facts, { code: 'session_document_changed', advice, at });
  }
  return false;
};

/** What hangs on the principal is neither what should be nor what we last read there: somebody else wrote. */
export const noteForeignDocument = async (pass: Pass): Promise<void> => {
  const { db, deps, seen, state } = pass;
  const { principal } = state;
  const hash = documentsHash(effective(seen.documents ?? []));
  if (pass.writes > 0 || hash === principal.document_hash) return;
  const what =
    hash === null
      ? 'the access policy had been deleted by somebody else'
      : 'the access policy was not the one that was last read back';
  await db.transaction().execute((tx) =>
    appendAudit(tx, {
      kind: 'access_policy_mended',
      accountId: principal.account_id,
      principal: principal.arn,
      what,
      at: deps.now().toISOString(),
      actor: { kind: 'curfew' },
    }),
  );
  await noteFound(
    pass,
    {
      kind: 'changed_document',
      region: null,
      subject: principal.arn,
      what: `On ${principal.name} ${what}. Curfew writes what its rows say.`,
      advice: `Find out in CloudTrail who did it (PutRolePolicy, DeleteRolePolicy, CreatePolicyVersion and the like for ${principal.name}), unless Curfew was stopped in the middle of a write.`,
    },
    true,
  );
};

/** Threats AU-05: alarm, audit, and no access by such a row: one being given fails, one that was given ends. */
export const closeBroken = async (pass: Pass, broken: readonly BrokenSeal[]): Promise<void> => {
  const { db, deps } = pass;
  for (const { table, rowId, grantId } of broken) {
    const facts = factsOf(pass, grantId);
    const at = deps.now();
    deps.log.error({ table, rowId, grantId }, 'a seal does not hold: somebody changed rows behind Curfew’s back');
    const event = {
      kind: 'seal_broken' as const,
      table,
      rowId,
      accountId: facts.row.account_id,
      at: at.toISOString(),
      actor: { kind: 'curfew' as const },
    };
    const advice = 'Curfew’s records of this access were changed by somebody else. Tell its admin, then ask again.';
    if (facts.row.state === 'granting') {
      await failGrant(db, facts, { code: 'seal_broken', advice, at, first: event });
    } else {
      const cause: EndCause = { kind: 'inventory', what: 'its record was changed behind Curfew’s back' };
      await beginEnding(db, facts, { cause, at, sealKey: deps.sealKey, first: event });
    }
  }
};
