/** Looks for the sessions of one principal, and ends those that no grant explains any more (design 7). */
import { comparableOwner, userOwnerArn } from '../access-policy/principal.ts';
import { TakenOver } from '../aws/errand.ts';
import { noteEnding } from './changes-of-state.ts';
import { type FormerMember, formerOwner, isFromThen, readReach } from './group-members.ts';
import { factsOf, inState, noteFound, type Pass } from './pass.ts';
import { endStray, lookRegions, type SeenSession, type Step } from './plan.ts';
import { userArns } from './principal-place.ts';
import { announceEndings, begunOnPrincipal, type Ending, recordTerminated, tellAws } from './terminations.ts';
import { coveredElsewhere, coverKey } from './wished.ts';

/** So often what begins waits for another look after what ends: IAM takes some seconds to spread, and sessions are begun anew until then. */
const looksBeforeBeginning = 4;

/**
 * Whom AWS is asked for: the owner on a role; on a user each ARN that it is known by; null: everybody. That is asked too where an end was
 * begun of a session under a name that this pass does not know, for it is gone only when it is not listed.
 */
const ownersAsked = (pass: Pass, owners: ReadonlySet<string>, begun: readonly Ending[]): Array<string | null> => {
  const { kind } = pass.state.principal;
  if (kind === 'group') return [null];
  const arns = kind === 'user' ? userArns(pass) : [...owners].slice(0, 1);
  const known = new Set(arns.map(comparableOwner));
  const unknown = kind === 'user' && begun.some(({ session }) => !known.has(comparableOwner(session.owner)));
  return arns.length === 0 || unknown ? [null] : arns;
};

/**
 * Whose sessions are looked for: its own on a role or a user, also by the name that a renamed one has now; on a group those of who is or
 * was in it, and of who was granted.
 */
const sessionsIn = async (
  pass: Pass,
  region: string,
  begun: readonly Ending[],
): Promise<{ own: SeenSession[]; listed: ReadonlySet<string> }> => {
  const { deps, state } = pass;
  const { account_id: accountId, kind } = state.principal;
  const owners = new Set(state.wished.grants.map(({ owner }) => owner));
  const left = new Map<string, FormerMember>();
  if (kind === 'group') {
    const group = { ...state.principal, name: pass.moved?.name ?? state.principal.name };
    const reach = await readReach({ db: pass.db, iam: deps.aws.iam, now: deps.now }, group);
    for (const userName of reach.members) owners.add(userOwnerArn(deps.partition, accountId, userName));
    for (const one of reach.former) left.set(formerOwner(deps.partition, accountId, one), one);
  }
  if (kind === 'user') for (const arn of userArns(pass)) owners.add(comparableOwner(arn));
  const looks = ownersAsked(pass, owners, begun).map((owner) => deps.aws.ssm.activeSessions(accountId, region, owner));
  const found = (await Promise.all(looks)).flat();
  const own = found
    .map((session) => ({ ...session, owner: comparableOwner(session.owner) }))
    .filter((session) => {
      const former = left.get(session.owner);
      return owners.has(session.owner) || (former !== undefined && isFromThen(former, session));
    });
  const listed = new Set(found.map(({ id }) => id));
  if (own.length === 0) return { own: [], listed };
  // Read after the list: whatever was granted before a session began is there by now.
  const covered = await coveredElsewhere(pass.db, state.principal, deps.partition);
  const judged = own.map((session) => ({
    ...session,
    elsewhere: covered.has(coverKey(session.owner, region, session.target)),
  }));
  return { own: judged, listed };
};

/** All of it, whatever becomes of each: one that AWS refuses, or does not answer, keeps no other waiting. @throws the first problem, at the end. */
const eachByItself = async (work: ReadonlyArray<Promise<void>>): Promise<void> => {
  const problems = (await Promise.allSettled(work)).flatMap((one) => (one.status === 'rejected' ? [one.reason] : []));
  if (problems.length > 0) throw problems.find((problem) => problem instanceof TakenOver) ?? problems[0];
};

export type Terminate = Extract<Step, { do: 'terminate' }>;

const endingOf = ({ state }: Pass, { session, grantId }: Terminate): Ending => {
  const { account_id: accountId, id: principalId } = state.principal;
  if (grantId !== null) return { accountId, principalId, session, why: { for: 'grant', grantId } };
  const what = `${session.owner} had a session on ${session.target} that no grant explains. Curfew terminated it.`;
  const advice = 'Look in CloudTrail how it was started (StartSession), and ask its owner what it was for.';
  return { accountId, principalId, session, why: { for: 'nobody', what, advice } };
};

/** AWS has ended it: into the trail, and to the admins when no grant explains it. */
const noteTerminated = async (pass: Pass, ending: Ending): Promise<void> => {
  const { session, why } = ending;
  const { region, id: subject } = session;
  if (why.for === 'nobody') {
    const { what, advice } = why;
    await noteFound(pass, { kind: 'session_without_grant', region, subject, what, advice }, false);
  }
  const facts = why.for === 'grant' ? (pass.state.grants.get(why.grantId) ?? null) : null;
  await recordTerminated(pass.db, ending, facts, pass.deps.now());
};

/** @param left how many sessions each ended grant is known to have; it counts on. */
export const terminateAll = async (
  pass: Pass,
  steps: readonly Terminate[],
  left: Map<string, number> = new Map(),
): Promise<void> => {
  const { db, deps } = pass;
  for (const { grantId } of steps) if (grantId !== null) left.set(grantId, (left.get(grantId) ?? 0) + 1);
  for (const [grantId, sessionsLeft] of left) {
    const facts = factsOf(pass, grantId);
    if (facts.row.state === 'ending') await noteEnding(db, facts, { sessionsLeft });
  }
  const endings = steps.map((step) => endingOf(pass, step));
  await announceEndings(db, endings, deps.now());
  await eachByItself(
    endings.map(async (ending) => {
      await tellAws(db, deps.aws.ssm, ending);
      await noteTerminated(pass, ending);
    }),
  );
};

/** What was ended is seen to be gone by another look only, and AWS needs a moment until then. */
export const forgetSessions = async (pass: Pass): Promise<void> => {
  pass.seen = { ...pass.seen, sessions: undefined };
  await pass.deps.sleep(pass.deps.lookAgainMs);
};

/**
 * Looks in each region by itself, and ends at once what is stray there: a region whose SSM is away takes half a minute to say so.
 * @throws the first problem, when every region was tried. Then nothing counts as seen: no receipt stands on half a look.
 */
const look = async (pass: Pass, regions: readonly string[]): Promise<void> => {
  const found: SeenSession[] = [];
  const left = new Map<string, number>();
  let ended = false;
  pass.seen = { ...pass.seen, sessions: undefined };
  // What an earlier pass began to end, and did not live to write down.
  const begun = await begunOnPrincipal(pass.db, pass.state.principal.id);
  await eachByItself(
    regions.map(async (region) => {
      const { listed, own: there } = await sessionsIn(pass, region, begun);
      for (const ending of begun) {
        if (ending.session.region === region && !listed.has(ending.session.id)) await noteTerminated(pass, ending);
      }
      found.push(...there);
      const stray = endStray(pass.state.wished, there);
      if (stray.length === 0) return;
      ended = true;
      await terminateAll(pass, stray, left);
    }),
  );
  pass.looks += 1;
  pass.quietAt = pass.deps.now();
  if (ended) await forgetSessions(pass);
  else pass.seen = { ...pass.seen, sessions: { regions, found } };
};

/** A look that the plan wants. One that fails keeps no beginning waiting: it is made again when that is done, or has failed. */
export const tend = async (pass: Pass, regions: readonly string[]): Promise<void> => {
  const { deps, seen, state } = pass;
  const waits = seen.tended !== true && inState(pass, 'granting').length > 0 && inState(pass, 'ending').length > 0;
  try {
    await look(pass, regions);
    if (pass.looks >= looksBeforeBeginning) pass.seen = { ...pass.seen, tended: true };
  } catch (error) {
    if (error instanceof TakenOver || !waits) throw error;
    pass.seen = { ...pass.seen, tended: true };
    deps.log.error({ error, principal: state.principal.arn }, 'sessions of what ends could not be ended yet');
  }
};

/**
 * Promise 3, any one lock may fail: when the policy cannot be read or changed, the sessions of what ends are ended all the same, once a
 * pass. It is no proof, so nothing is finished on it: whoever still has the policy may begin another one.
 */
export const endSessionsAnyway = async (pass: Pass): Promise<void> => {
  const { deps, state } = pass;
  const regions = lookRegions(state.wished, deps.now());
  if (regions.length === 0) return;
  try {
    await look(pass, regions);
  } catch (error) {
    if (error instanceof TakenOver) throw error;
    deps.log.error({ error, principal: state.principal.arn }, 'sessions of what ends could not be ended');
  }
};
