/** One principal, brought to where it should be: look, plan, do, look again (design 7). */
import type { EndCause } from '../../src/shared/access.ts';
import { effective, type PolicyWrite } from '../access-policy/policy-writes.ts';
import { currentErrand, TakenOver } from '../aws/errand.ts';
import { AwsProblem } from '../aws/errors.ts';
import type { Db } from '../store/open.ts';
import {
  activateGrant,
  beginEnding,
  documentsHash,
  failGrant,
  finishGrant,
  lapseGrant,
  noteEnding,
  noteLook,
} from './changes-of-state.ts';
import { endSessionsAnyway, forgetSessions, type Terminate, tend, terminateAll } from './looks.ts';
import { factsOf, inState, type Pass, type RunDeps } from './pass.ts';
import { planPrincipal, type Step } from './plan.ts';
import { readDocuments, writeDocument } from './principal-place.ts';
import { afterLook, goneReceipt, keptByOthers } from './receipt.ts';
import { terminatedSessions } from './terminations.ts';
import { type GrantFacts, type PrincipalState, readPrincipal } from './wished.ts';
import { closeBroken, documentIsOurs, noteForeignDocument, principalIsOurs, stillOurs } from './write-guards.ts';

/** One pass has about ten steps; one that never settles is a fault, told and tried again later. */
const mostTurns = 60;
const mostWrites = 4;

/** How many managed policies may be there: those that were, and those that may be made. */
const managedOf = ({ state }: Pass): number =>
  Math.max(state.principal.managed_policies, state.wished.carrier.managedPolicies);

/** Reads all documents back and remembers what is there (promise 7: the screen claims only this). */
const readBack = async (pass: Pass): Promise<void> => {
  const documents = await readDocuments(pass, managedOf(pass));
  // What was seen of sessions is older than these documents, so it proves nothing about them.
  pass.seen = { ...pass.seen, documents, sessions: undefined };
};

/** An end was moved since the documents were last on record. They may be the same: more time was taken back, or other access goes as far. */
const endsMoved = ({ state }: Pass): boolean => {
  const { document_at: readAt } = state.principal;
  return [...state.grants.values()].some(
    ({ row }) => row.state === 'active' && row.end_set_at !== null && readAt !== null && row.end_set_at > readAt,
  );
};

const rememberDocuments = async (pass: Pass): Promise<void> => {
  const { db, deps, seen, state } = pass;
  const { id, document_hash, managed_policies } = state.principal;
  if (seen.documents === undefined) return;
  const hash = documentsHash(effective(seen.documents));
  const managed = Math.max(0, ...seen.documents.map(({ slot }) => slot));
  if (hash === document_hash && managed === managed_policies && !endsMoved(pass)) return;
  const read = { document_hash: hash, document_at: deps.now(), managed_policies: managed };
  // A backend that stood still must not write over what another one has read back meanwhile.
  await db
    .updateTable('principals')
    .set(read)
    .where('id', '=', id)
    .where('document_hash', 'is not distinct from', document_hash)
    .execute();
};

/** Before a managed policy is made its number is on record, so that whoever comes after a crash looks for it. */
const announceManaged = async ({ db, state }: Pass, writes: readonly PolicyWrite[]): Promise<void> => {
  const highest = Math.max(0, ...writes.map(({ slot }) => slot));
  if (highest <= state.principal.managed_policies) return;
  const { id } = state.principal;
  await db.updateTable('principals').set({ managed_policies: highest }).where('id', '=', id).execute();
};

/**
 * IAM's no for good: giving access fails, with advice, and never waits in a loop; taking it away is tried until it works.
 */
const unlessRefused = async (pass: Pass, work: () => Promise<void>): Promise<void> => {
  try {
    await work();
  } catch (error) {
    const given = inState(pass, 'granting');
    if (!(error instanceof AwsProblem) || error.kind === 'retry' || given.length === 0) throw error;
    const { db, deps, state } = pass;
    deps.log.error({ error, principal: state.principal.arn }, 'IAM does not let an access policy be given');
    const failure = { code: error.code, advice: error.advice, at: deps.now() };
    for (const facts of given) await failGrant(db, facts, failure);
    // Some of it may have been written: it is read again, and taken away.
    pass.seen = { ...pass.seen, documents: undefined, sessions: undefined };
  }
};

const changePolicy = async (pass: Pass, step: Extract<Step, { do: 'change-policy' }>): Promise<void> => {
  const { writes, opens, grants } = step;
  const { state } = pass;
  await noteForeignDocument(pass);
  if (opens && !((await principalIsOurs(pass)) && (await documentIsOurs(pass, grants)))) return;
  pass.writes += 1;
  if (pass.writes > mostWrites) throw new Error(`The access policy of ${state.principal.arn} does not stay as written`);
  await announceManaged(pass, writes);
  for (const write of writes) await writeDocument(pass, write);
  await readBack(pass);
  await rememberDocuments(pass);
};

const finish = async (pass: Pass, facts: GrantFacts): Promise<void> => {
  const { db, deps, looks, quietAt, seen } = pass;
  const receipt = goneReceipt({
    endsAt: facts.row.ends_at,
    policyGoneAt: facts.row.policy_gone_at ?? deps.now(),
    quietAt,
    sessionsTerminated: await terminatedSessions(db, facts.row.id),
    looks,
    stays: keptByOthers(facts, pass.state.grants.values()),
  });
  const stillOpen = (seen.sessions?.found ?? []).map(({ id }) => id);
  await finishGrant(db, facts, { receipt, stillOpen, at: deps.now() });
  deps.lastLooks.set(facts.row.id, deps.now());
};

const noteFurtherLook = async (pass: Pass, facts: GrantFacts): Promise<void> => {
  const { db, deps, quietAt } = pass;
  if (facts.receipt === null) throw new Error(`Grant ${facts.row.id} has ended without a receipt`);
  const at = deps.now();
  const sessionsTerminated = await terminatedSessions(db, facts.row.id);
  const look = { at, endsAt: facts.row.ends_at, quietAt, sealMs: deps.sealMs, sessionsTerminated };
  const receipt = afterLook(facts.receipt, look);
  const sealed = receipt.stage === 'sealed';
  await noteLook(db, facts, { receipt, sealed, at });
  if (sealed) deps.lastLooks.delete(facts.row.id);
  else deps.lastLooks.set(facts.row.id, at);
};

/** There is no room for this grant: it is not given, or (the configuration allows less than before) it ends. */
const makeRoom = async ({ db, deps }: Pass, facts: GrantFacts): Promise<void> => {
  const at = deps.now();
  if (facts.row.state === 'granting') {
    const advice = 'The access policy has no room for this. End other access first, then ask again.';
    await failGrant(db, facts, { code: 'policy_full', advice, at });
    return;
  }
  const cause: EndCause = { kind: 'inventory', what: 'the access policy has no room for it any more' };
  await beginEnding(db, facts, { cause, at, sealKey: deps.sealKey });
};

type SingleStep = Exclude<Step, Terminate>;

const doStep = async (pass: Pass, step: SingleStep): Promise<void> => {
  const { db, deps } = pass;
  const at = deps.now();
  switch (step.do) {
    case 'lapse':
      await lapseGrant(db, factsOf(pass, step.grantId), at);
      return;
    case 'begin-ending':
      await beginEnding(db, factsOf(pass, step.grantId), { cause: { kind: 'time' }, at, sealKey: deps.sealKey });
      return;
    case 'refuse-full':
      await makeRoom(pass, factsOf(pass, step.grantId));
      return;
    case 'read-policy':
      await unlessRefused(pass, () => readBack(pass));
      return;
    case 'change-policy':
      await unlessRefused(pass, () => changePolicy(pass, step));
      return;
    case 'note-policy-gone':
      await noteEnding(db, factsOf(pass, step.grantId), { policyGoneAt: at });
      pass.seen = { ...pass.seen, tended: false };
      return;
    case 'activate':
      await rememberDocuments(pass);
      await activateGrant(db, factsOf(pass, step.grantId), {
        principal: pass.state.principal,
        documents: step.documents,
        at,
      });
      return;
    case 'look':
      await tend(pass, step.regions);
      return;
    case 'finish':
      await finish(pass, factsOf(pass, step.grantId));
      return;
    case 'note-look':
      await noteFurtherLook(pass, factsOf(pass, step.grantId));
      return;
  }
};

const doSteps = async (pass: Pass, steps: readonly Step[]): Promise<void> => {
  const stray = steps.filter((step) => step.do === 'terminate');
  if (stray.length > 0) {
    await terminateAll(pass, stray);
    await forgetSessions(pass);
  }
  for (const step of steps) if (step.do !== 'terminate') await doStep(pass, step);
};

const aboutSessions = (step: Step): boolean => step.do === 'look' || step.do === 'terminate';

/** @returns true when nothing is left to do for now. */
const takeTurn = async (pass: Pass): Promise<boolean> => {
  const { deps, state } = pass;
  if (state.broken.length > 0) {
    await closeBroken(pass, state.broken);
    return false;
  }
  // No end waits for a comparison: the next pass makes it.
  if (currentErrand().urgency !== 'ending' && !(await stillOurs(pass))) return false;
  let steps: readonly Step[] = [];
  try {
    steps = planPrincipal(state.wished, pass.seen, deps.now());
    await doSteps(pass, steps);
  } catch (error) {
    if (!(error instanceof TakenOver || steps.some(aboutSessions))) await endSessionsAnyway(pass);
    throw error;
  }
  if (steps.length > 0) return false;
  await rememberDocuments(pass);
  return true;
};

/**
 * Brings one principal to where it should be now. Safe to repeat from any point it may have been cut off at.
 * @returns what is left to wait for; null when there is no such principal.
 * @throws AwsProblem when AWS could not be asked or would not do it; faults of ours.
 */
export const runPrincipal = async (db: Db, principalId: string, deps: RunDeps): Promise<PrincipalState | null> => {
  let pass: Pass | null = null;
  let before: PrincipalState | null = null;
  for (let turn = 0; turn < mostTurns; turn += 1) {
    const state: PrincipalState | null = await readPrincipal(db, principalId, deps, before);
    if (state === null) return null;
    before = state;
    const known: Pass = pass ?? {
      db,
      deps,
      state,
      seen: { documents: undefined, sessions: undefined },
      looks: 0,
      writes: 0,
      quietAt: deps.now(),
    };
    pass = known;
    known.state = state;
    if (await takeTurn(known)) return state;
  }
  throw new Error(`Principal ${principalId} does not settle`);
};
