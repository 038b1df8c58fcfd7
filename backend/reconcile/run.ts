/** One principal, brought to where it should be: look, plan, do, look again (design 7). */
import type { EndCause } from '../../src/shared/access.ts';
import { effective, type PolicyWrite } from '../access-policy/policy-writes.ts';
import { comparableOwner, type PolicyHolder, userOwnerArn } from '../access-policy/principal.ts';
import { appendAudit } from '../audit/chain.ts';
import { currentErrand } from '../aws/errand.ts';
import { AwsProblem } from '../aws/errors.ts';
import type { Iam } from '../aws/iam.ts';
import type { Ssm } from '../aws/ssm.ts';
import type { SweepReads } from '../aws/sweep-reads.ts';
import type { Log } from '../log.ts';
import type { Db } from '../store/open.ts';
import type { SealKey } from '../store/seal.ts';
import {
  activateGrant,
  beginEnding,
  documentsHash,
  failGrant,
  finishGrant,
  lapseGrant,
  noteEnding,
  noteLook,
  recordTerminated,
  terminatedSessions,
} from './changes-of-state.ts';
import { documentTrouble } from './document-check.ts';
import { type NewFinding, noteFinding } from './findings.ts';
import { planPrincipal, type Seen, type SeenSession, type Step } from './plan.ts';
import { type CheckDeps, principalTrouble } from './principal-check.ts';
import { afterLook, goneReceipt, keptByOthers } from './receipt.ts';
import { type BrokenSeal, type GrantFacts, type PrincipalState, type ReadingDeps, readPrincipal } from './wished.ts';

/** What the reconciler needs of AWS. */
export type ReconcileAws = {
  iam: Pick<
    Iam,
    'documents' | 'readRole' | 'readUser' | 'readGroup' | 'deleteAccessPolicy' | 'inlinePolicies' | 'personalRoles'
  >;
  ssm: Pick<Ssm, 'activeSessions' | 'terminate' | 'sessionDocument'>;
  reads: SweepReads;
};

export type RunDeps = CheckDeps & {
  aws: ReconcileAws;
  sealKey: SealKey;
  partition: string;
  policyPlace: ReadingDeps['policyPlace'];
  /** Whose members hear of findings; null: nobody. */
  adminGroup: string | null;
  now: () => Date;
  sleep: (ms: number) => Promise<void>;
  /** Milliseconds: quiet time until a receipt is sealed, between looks in it, and between looks while sessions die. */
  sealMs: number;
  lookEveryMs: number;
  lookAgainMs: number;
  /** Milliseconds between two comparisons of a role that access hangs on. */
  roleCheckMs: number;
  /** When a principal's role was last found to be ours; in memory only. */
  roleChecks: Map<string, Date>;
  log: Log;
  lastLooks: Map<string, Date>;
  /** Told how late a grant that has ended did so, milliseconds. */
  ended: (late: { policyGoneMs: number; sessionsGoneMs: number }) => void;
};

/** One pass has about ten steps; one that never settles is a fault, told and tried again later. */
const mostTurns = 60;
const mostWrites = 4;

/** What one pass has seen and done so far. */
type Pass = {
  db: Db;
  deps: RunDeps;
  state: PrincipalState;
  seen: Seen;
  looks: number;
  writes: number;
  /** The first instant at which a look found nothing stray. */
  quietAt: Date;
};

const holderOf = ({ state }: Pick<Pass, 'state'>): PolicyHolder => {
  const { account_id: accountId, kind, name } = state.principal;
  return { accountId, kind, name };
};

const factsOf = (pass: Pass, grantId: string): GrantFacts => {
  const facts = pass.state.grants.get(grantId);
  if (facts === undefined) throw new Error(`Grant ${grantId} was planned but not read`);
  return facts;
};

const inState = (pass: Pass, state: 'granting' | 'active'): GrantFacts[] =>
  [...pass.state.grants.values()].filter(({ row }) => row.state === state);

/** Nothing may hang on this role any more: what is being given fails, what is given ends. */
const closeAll = async (pass: Pass, why: { code: string; advice: string; cause: EndCause }): Promise<void> => {
  const { db, deps } = pass;
  const at = deps.now();
  for (const facts of inState(pass, 'granting')) await failGrant(db, facts, { ...why, at });
  for (const facts of inState(pass, 'active'))
    await beginEnding(db, facts, { cause: why.cause, at, sealKey: deps.sealKey });
};

/** Threats AWS-09, before every write that opens something. @returns false when everything on the principal was closed. */
const principalIsOurs = async (pass: Pass): Promise<boolean> => {
  const { deps, state } = pass;
  const [owner] = [...state.grants.values()].map((facts) => facts.owner);
  const trouble = await principalTrouble(deps, state.principal, owner);
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
const stillOurs = async (pass: Pass): Promise<boolean> => {
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
    deps.log.error({ error, principal: arn }, 'a principal could not be compared');
    return true;
  }
};

/** Threats AWS-12, before access is given. @returns false when what was about to be given failed instead. */
const documentIsOurs = async (pass: Pass): Promise<boolean> => {
  const { db, deps, state } = pass;
  const account = deps.account(state.principal.account_id);
  const advice = await documentTrouble(deps.aws.ssm, account, state.wished.grants);
  if (advice === null) return true;
  deps.log.error({ principal: state.principal.arn, advice }, 'a session document is not as the template makes it');
  const at = deps.now();
  for (const facts of inState(pass, 'granting')) {
    await failGrant(db, facts, { code: 'session_document_changed', advice, at });
  }
  return false;
};

const noteFound = async (
  { db, deps, state }: Pass,
  found: Pick<NewFinding, 'kind' | 'region' | 'subject' | 'what' | 'advice'>,
  mended: boolean,
): Promise<void> => {
  const { id: accountId, name: accountName } = deps.account(state.principal.account_id);
  const when = { at: deps.now(), adminGroup: deps.adminGroup, mended };
  await noteFinding(db, { ...found, accountId, accountName }, when);
};

/** What hangs on the principal is neither what should be nor what we last read there: somebody else wrote. */
const noteForeignDocument = async (pass: Pass): Promise<void> => {
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

/** How many managed policies may be there: those that were, and those that may be made. */
const managedOf = ({ state }: Pass): number =>
  Math.max(state.principal.managed_policies, state.wished.carrier.managedPolicies);

/** Reads all documents back and remembers what is there (promise 7: the screen claims only this). */
const readBack = async (pass: Pass): Promise<void> => {
  const documents = await pass.deps.aws.iam.documents.read(holderOf(pass), managedOf(pass));
  // What was seen of sessions is older than these documents, so it proves nothing about them.
  pass.seen = { documents, sessions: undefined };
};

const rememberDocuments = async (pass: Pass): Promise<void> => {
  const { db, deps, seen, state } = pass;
  const { id, document_hash, managed_policies } = state.principal;
  if (seen.documents === undefined) return;
  const hash = documentsHash(effective(seen.documents));
  const managed = Math.max(0, ...seen.documents.map(({ slot }) => slot));
  if (hash === document_hash && managed === managed_policies) return;
  const read = { document_hash: hash, document_at: deps.now(), managed_policies: managed };
  await db.updateTable('principals').set(read).where('id', '=', id).execute();
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
  }
};

const changePolicy = async (pass: Pass, { writes, opens }: { writes: readonly PolicyWrite[]; opens: boolean }) => {
  const { deps, state } = pass;
  await noteForeignDocument(pass);
  if (opens && !((await principalIsOurs(pass)) && (await documentIsOurs(pass)))) return;
  pass.writes += 1;
  if (pass.writes > mostWrites) throw new Error(`The access policy of ${state.principal.arn} does not stay as written`);
  await announceManaged(pass, writes);
  for (const write of writes) await deps.aws.iam.documents.write(holderOf(pass), write);
  await readBack(pass);
  await rememberDocuments(pass);
};

/** Whose sessions are looked for: its own on a role or a user; on a group those of its members and of who was granted. */
const sessionsIn = async (pass: Pass, region: string): Promise<SeenSession[]> => {
  const { deps, state } = pass;
  const { account_id: accountId, kind, name, arn } = state.principal;
  const owners = new Set(state.wished.grants.map(({ owner }) => owner));
  if (kind === 'group') {
    const group = await deps.aws.iam.readGroup(accountId, name);
    for (const { userName } of group?.members ?? []) owners.add(userOwnerArn(deps.partition, accountId, userName));
  }
  const [owner = null] = kind === 'role' ? owners : kind === 'user' ? [arn] : [];
  const found = await deps.aws.ssm.activeSessions(accountId, region, owner);
  return found
    .map((session) => ({ ...session, owner: comparableOwner(session.owner) }))
    .filter((session) => owners.has(session.owner));
};

const look = async (pass: Pass, regions: readonly string[]): Promise<void> => {
  const found: SeenSession[] = [];
  for (const region of regions) found.push(...(await sessionsIn(pass, region)));
  pass.looks += 1;
  pass.quietAt = pass.deps.now();
  pass.seen = { ...pass.seen, sessions: { regions, found } };
};

const terminateAll = async (pass: Pass, steps: ReadonlyArray<Extract<Step, { do: 'terminate' }>>): Promise<void> => {
  const { db, deps, state } = pass;
  const accountId = state.principal.account_id;
  const left = new Map<string, number>();
  for (const { grantId } of steps) if (grantId !== null) left.set(grantId, (left.get(grantId) ?? 0) + 1);
  for (const [grantId, sessionsLeft] of left) {
    const facts = factsOf(pass, grantId);
    if (facts.row.state === 'ending') await noteEnding(db, facts, { sessionsLeft });
  }
  for (const { session, grantId } of steps) {
    await deps.aws.ssm.terminate(accountId, session.region, session.id);
    const facts = grantId === null ? null : factsOf(pass, grantId);
    await recordTerminated(db, session, { facts, accountId, owner: session.owner, at: deps.now() });
    if (facts !== null) continue;
    await noteFound(
      pass,
      {
        kind: 'session_without_grant',
        region: session.region,
        subject: session.id,
        what: `${session.owner} had a session on ${session.target} that no grant explains. Curfew terminated it.`,
        advice: 'Look in CloudTrail how it was started (StartSession), and ask its owner what it was for.',
      },
      false,
    );
  }
  pass.seen = { ...pass.seen, sessions: undefined };
  await deps.sleep(deps.lookAgainMs);
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

type SingleStep = Exclude<Step, { do: 'terminate' }>;

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
      await look(pass, step.regions);
      return;
    case 'finish':
      await finish(pass, factsOf(pass, step.grantId));
      return;
    case 'note-look':
      await noteFurtherLook(pass, factsOf(pass, step.grantId));
      return;
  }
};

/** Threats AU-05: alarm, audit, and no access by such a row: one being given fails, one that was given ends. */
const closeBroken = async (pass: Pass, broken: readonly BrokenSeal[]): Promise<void> => {
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

/**
 * Brings one principal to where it should be now. Safe to repeat from any point it may have been cut off at.
 * @returns what is left to wait for; null when there is no such principal.
 * @throws AwsProblem when AWS could not be asked or would not do it; faults of ours.
 */
export const runPrincipal = async (db: Db, principalId: string, deps: RunDeps): Promise<PrincipalState | null> => {
  let pass: Pass | null = null;
  for (let turn = 0; turn < mostTurns; turn += 1) {
    const state = await readPrincipal(db, principalId, deps);
    if (state === null) return null;
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
    if (state.broken.length > 0) {
      await closeBroken(known, state.broken);
      continue;
    }
    // No end waits for a comparison: the next pass makes it.
    if (currentErrand().urgency !== 'ending' && !(await stillOurs(known))) continue;
    const steps = planPrincipal(state.wished, known.seen, deps.now());
    if (steps.length === 0) {
      await rememberDocuments(known);
      return state;
    }
    const stray = steps.filter((step) => step.do === 'terminate');
    if (stray.length > 0) await terminateAll(known, stray);
    for (const step of steps) if (step.do !== 'terminate') await doStep(known, step);
  }
  throw new Error(`Principal ${principalId} does not settle`);
};
