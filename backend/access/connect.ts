/** Connecting: the first one starts the clock, later ones open another terminal on the same grant. */
import type { Because, Connection, Grant, Person } from '../../src/shared/access.ts';
import { becauseWords } from '../../src/shared/person-decides.ts';
import { Refusal } from '../../src/shared/refusal.ts';
import { sessionDocumentFor } from '../access-policy/compile.ts';
import { userOwnerArn } from '../access-policy/principal.ts';
import type { RuleSet } from '../rules/rules.ts';
import { tellChange } from '../store/changes.ts';
import { loadGrant } from '../store/grants.ts';
import type { Db } from '../store/open.ts';
import type { Reader } from '../store/visibility.ts';
import { type AccessDeps, assertInForce, withRules } from './deps.ts';
import { gatherAsk, gatherInstances, gatherPerson, gatherRoles, requireRoles } from './gather.ts';
import { gatherHeld } from './held.ts';
import { assertNotPaused, beginUnlessPaused, type Matter } from './pause.ts';
import { assertRoom, carrierOf, plannedGrants } from './principals.ts';
import { aboutGrant, assertGrantCan, changeGrant, instantOf, lockGrant } from './rows.ts';
import { assertContinuous, requireAllowed } from './submit.ts';

/** @throws Refusal `not_allowed`: whoever sees a grant need not be the one who has it. */
export const requireOwner = (grant: Grant, person: Person): void => {
  if (grant.person.id === person.id) return;
  throw new Refusal('not_allowed', { message: `This access is ${grant.person.displayName}’s.` });
};

/**
 * What a rule gave and does not give any more. @returns the refusal: `busy` when AWS, asked again, could tell.
 */
const notByRule = (because: readonly Because[], at: Date): Refusal => {
  const changed = because.filter(({ kind }) => kind === 'tag-changed');
  if (changed.length > 0) {
    return new Refusal('not_allowed', { message: `${becauseWords(changed, at.getTime())} Ask again.` });
  }
  const [unread] = because;
  if (unread === undefined) {
    return new Refusal('not_allowed', { message: 'The rule that gave this at once does not any more. Ask again.' });
  }
  return new Refusal('busy', {
    message: `A rule gave this, and AWS does not tell whether the tags of ${unread.name} are still the same. Try again in a few seconds.`,
    retryAfterMs: 5_000,
  });
};

/**
 * Judges a grant again right before its clock starts (RQ-14): the rules, the person and the tags may have changed since the
 * yes. What a rule gave must still be given by a rule, by tags as AWS has them now; what people gave must still be allowed to be asked
 * for, and goes on by what is known when AWS cannot tell: they looked.
 */
const judgeAgain = async (deps: AccessDeps, set: RuleSet, grant: Grant): Promise<void> => {
  const person = await gatherPerson(deps, grant.person.id);
  const { unread } = await deps.lookAgain(grant.instances);
  const instances = await gatherInstances(deps.db, grant.instances);
  const { capability, durationSeconds, reason, ticket } = grant;
  const ask = await gatherAsk(deps, {
    person,
    instances,
    capability,
    durationSeconds,
    reason,
    ticket,
    extendsFrom: null,
    requestId: grant.requestId,
    held: await gatherHeld(deps.db, instances, { now: deps.now(), unread }),
  });
  assertContinuous(ask);
  const judgement = requireAllowed(set, ask);
  const byRule = grant.approvedBy.every((by) => by.kind === 'rule');
  if (byRule && judgement.kind !== 'at-once') throw notByRule(judgement.because, ask.at);
  const carrier = await carrierOf(deps.db, deps, { accountId: grant.accountId, person });
  const planned = await plannedGrants(deps.db, deps, { accountId: grant.accountId, person });
  assertRoom(carrier, grant.accountName, planned);
};

const matterOf = ({ person, instances }: Grant): Matter => ({ people: [person.id], instances });

/** Starts the clock. @throws Refusal `wrong_state` when the time to connect is over. */
const start = (deps: AccessDeps, set: RuleSet, grant: Grant) =>
  deps.db.transaction().execute(async (tx) => {
    const at = deps.now();
    await beginUnlessPaused(tx, matterOf(grant));
    const locked = await lockGrant(tx, grant.id, { action: 'connect', dueAt: at });
    // Somebody else of the same person, in another window, was first: the clock runs already.
    if (locked.row.state !== 'ready') return;
    if (locked.row.activate_by <= at) {
      const message = 'The time to connect is over. Ask again.';
      throw new Refusal('wrong_state', { message, at: instantOf(locked.row.activate_by) });
    }
    const endsAt = new Date(at.getTime() + locked.row.duration_seconds * 1000);
    await changeGrant(tx, deps.sealKey, {
      grant: locked,
      change: { state: 'granting', connected_at: at, ends_at: endsAt, end_set_at: at },
      event: {
        kind: 'grant_connected',
        at: instantOf(at),
        actor: { kind: 'person', person: locked.owner },
        ...aboutGrant(locked),
        endsAt: instantOf(endsAt),
      },
    });
    await tellChange(tx, {
      topic: 'grants',
      id: grant.id,
      requestId: grant.requestId,
    });
    assertInForce(deps, set);
  });

/**
 * What a client needs to open a session: the one session document that the principal carries while exactly its present
 * grants live (threats AWS-01), compiled as the reconciler does it.
 */
const connectionOf = async (db: Db, grantId: string): Promise<Connection> => {
  const principal = await db
    .selectFrom('grants')
    .innerJoin('principals', 'principals.id', 'grants.principal_id')
    .innerJoin('people', 'people.id', 'grants.person_id')
    .select(['principals.id', 'principals.arn', 'principals.kind', 'principals.session_name', 'principals.account_id'])
    .select('people.user_name')
    .where('grants.id', '=', grantId)
    .executeTakeFirstOrThrow();
  const live = await db
    .selectFrom('grants')
    .select(['connected_at', 'ends_at'])
    .where('principal_id', '=', principal.id)
    .where('state', 'in', ['granting', 'active'])
    .execute();
  const windows = live.flatMap(({ connected_at, ends_at }) =>
    connected_at === null || ends_at === null ? [] : [{ notBefore: connected_at, endsAt: ends_at }],
  );
  if (windows.length === 0) throw new Refusal('wrong_state', { message: 'This access has ended meanwhile.' });
  const { arn, account_id: accountId } = principal;
  const common = { grantId, accountId, documentName: sessionDocumentFor(windows), reason: `Curfew ${grantId}` };
  switch (principal.kind) {
    case 'role':
      return { ...common, as: 'personal-role', roleArn: arn, roleSessionName: principal.session_name };
    case 'user':
      return { ...common, as: 'iam-user', userArn: arn };
    case 'group': {
      const [, partition = 'aws'] = arn.split(':');
      return { ...common, as: 'iam-user', userArn: userOwnerArn(partition, accountId, principal.user_name) };
    }
  }
};

const assertNotOver = (grant: Grant, now: Date): void => {
  if ((grant.state === 'granting' || grant.state === 'active') && Date.parse(grant.endsAt) <= now.getTime()) {
    throw new Refusal('wrong_state', { message: 'This access has ended.', at: grant.endsAt });
  }
};

/**
 * The caller connects to a grant of theirs. The first connect starts its clock and records the wish; the reconciler writes
 * the access policy.
 * @throws Refusal `not_found`, `not_allowed`, `wrong_state`, `role_missing`, `limit_reached`, `policy_full`,
 * `paused` (somebody pulled a kill switch), `busy` (a rule gave it, and AWS cannot tell the tags now).
 */
export const connect = (
  deps: AccessDeps,
  caller: Reader,
  grantId: string,
): Promise<{ grant: Grant; connection: Connection }> =>
  withRules(deps, async (set) => {
    const grant = await loadGrant(deps.db, caller, grantId);
    requireOwner(grant, caller.person);
    await assertNotPaused(deps.db, matterOf(grant));
    assertGrantCan('connect', { state: grant.state, closed_at: null });
    assertNotOver(grant, deps.now());
    requireRoles(await gatherRoles(deps, grant.person, grant.instances));
    if (grant.state === 'ready') {
      await judgeAgain(deps, set, grant);
      await start(deps, set, grant);
      deps.nudge();
    }
    return { grant: await loadGrant(deps.db, caller, grantId), connection: await connectionOf(deps.db, grantId) };
  });
