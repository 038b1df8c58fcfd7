/**
 * Kill switches (threats RQ-18). Pulling one is one transaction: from its commit on nothing within reach begins. What lives is then ended
 * person by person, a transaction each, by whichever backend comes to it: what a crash leaves undone is found again by looking at what
 * still lives within reach of a switch that is on.
 */
import { sql } from 'kysely';
import type { Person } from '../../src/shared/access.ts';
import { type KillSwitch, type PullInput, wordToType } from '../../src/shared/kill-switch.ts';
import { limits } from '../../src/shared/limits.ts';
import { Refusal } from '../../src/shared/refusal.ts';
import { appendAudit } from '../audit/chain.ts';
import { recordChange, tellChange } from '../store/changes.ts';
import {
  endingAlready,
  isReached,
  loadSwitch,
  loadSwitchRows,
  noteEndingAlready,
  reachesYou,
  reachOf,
  type SwitchRow,
  scopeOf,
} from '../store/kill-switches.ts';
import { addNotices } from '../store/notices.ts';
import type { Db, Tx } from '../store/open.ts';
import { loadPeople } from '../store/people.ts';
import { known } from '../store/rows.ts';
import { grantsIn, peopleIn, requestsIn } from '../store/switch-reach.ts';
import type { Reader } from '../store/visibility.ts';
import type { AccessDeps } from './deps.ts';
import { endEverything, lockEverything } from './end.ts';
import { keepOthersFromBeginning } from './pause.ts';
import { closeRequest, instantOf } from './rows.ts';
import { type NamedReach, reachFor } from './switch-scope.ts';
import { liftedWords, pulledWords, stoppedWords } from './words.ts';

/** How many grants or requests of a person one transaction ends: the audit trail must not be held for long. */
const together = 25;

/** Admins as our own rows know them: telling them must not depend on the identity store. */
const adminsBut = async (tx: Tx, deps: AccessDeps, except: string): Promise<string[]> => {
  const rows = await tx
    .selectFrom('people')
    .select('id')
    .where('enabled', '=', true)
    .where(sql<boolean>`${deps.config.directory.adminGroup} = any(groups)`)
    .where('id', '<>', except)
    .execute();
  return rows.map(({ id }) => id);
};

const tellAdmins = async (
  tx: Tx,
  deps: AccessDeps,
  told: { switchId: string; by: Person; at: Date; words: { title: string; body: string } },
): Promise<void> => {
  const { switchId, by, at, words } = told;
  const admins = await adminsBut(tx, deps, by.id);
  const target = { kind: 'switch' as const, id: switchId };
  await addNotices(
    tx,
    admins.map((personId) => ({ personId, at, kind: 'ended' as const, ...words, target })),
  );
  if (admins.length > 0) await recordChange(tx, { topic: 'notices', ref: null, audience: admins });
};

const columnsOf = ({ scope, within, name }: NamedReach) => ({
  scope: scope.kind,
  person_id: scope.kind === 'person' ? scope.personId : null,
  account_id: scope.kind === 'account' ? scope.accountId : scope.kind === 'instance' ? scope.instance.accountId : null,
  region: scope.kind === 'instance' ? scope.instance.region : null,
  instance_id: scope.kind === 'instance' ? scope.instance.instanceId : null,
  within: within === null ? null : JSON.stringify(within),
  name,
});

/** @throws Refusal `wrong_state` when the very same one is on. */
const assertNotOn = async (tx: Tx, reach: NamedReach, byId: string): Promise<void> => {
  const same = (await loadSwitchRows(tx, 'on')).find(
    (row) =>
      JSON.stringify(scopeOf(row)) === JSON.stringify(reach.scope) &&
      (row.within === null) === (reach.within === null) &&
      (row.within === null || row.by_id === byId),
  );
  if (same === undefined) return;
  const by = known(await loadPeople(tx, [same.by_id]), same.by_id).displayName;
  throw new Refusal('wrong_state', { message: `${by} has stopped this already.`, by, at: instantOf(same.at) });
};

/**
 * Pulls a kill switch: nothing within its reach begins any more, everything that lives there ends, and requests that wait are taken back.
 * @returns the switch with its progress so far; the rest is done within some seconds by `enforceSwitches`.
 * @throws Refusal `not_found`, `not_allowed`, `invalid_input` (what is to be typed is not there), `wrong_state` (it is on already).
 */
export const pull = async (deps: AccessDeps, caller: Reader, input: PullInput): Promise<KillSwitch> => {
  const reach = await reachFor(deps, caller, input.scope);
  const word = wordToType(input.scope.kind, reach.name);
  if (word !== null && input.typed?.trim() !== word) {
    throw new Refusal('invalid_input', { path: 'typed', message: `is not ${word}: type it to be sure` });
  }
  const id = deps.newId('kil');
  const by = caller.person;
  await deps.db.transaction().execute(async (tx) => {
    await keepOthersFromBeginning(tx);
    await assertNotOn(tx, reach, by.id);
    const at = deps.now();
    const audit_sequence = await appendAudit(tx, {
      kind: 'kill_switch_pulled',
      at: instantOf(at),
      actor: { kind: 'person', person: by },
      switchId: id,
      scope: input.scope,
      name: reach.name,
      within: reach.within === null ? null : [...reach.within],
      reason: input.reason,
    });
    await tx
      .insertInto('kill_switches')
      .values({ id, ...columnsOf(reach), reason: input.reason, by_id: by.id, at, audit_sequence })
      .execute();
    await tellAdmins(tx, deps, { switchId: id, by, at, words: pulledWords(reach.name, by, input.reason) });
    await recordChange(tx, { topic: 'me', ref: null, audience: null });
  });
  // The switch is on, whatever becomes of this: `enforceSwitches` does the rest, and tells what goes wrong.
  await Promise.allSettled([enforceOne(deps, id, together)]);
  return loadSwitch(deps.db, caller, id);
};

type Stopping = { row: SwitchRow; by: Person; personId: string; at: Date };

/** Ends and takes back one lot of a person's; the switch is locked so that nobody lifts it meanwhile. */
const stopLot = async (tx: Tx, deps: AccessDeps, { row, by, personId, at }: Stopping): Promise<number> => {
  const on = await tx
    .selectFrom('kill_switches')
    .select('id')
    .where('id', '=', row.id)
    .where('lifted_at', 'is', null)
    .forShare()
    .executeTakeFirst();
  if (on === undefined) return 0;
  const reach = reachOf(row);
  const grants = await lockEverything(tx, personId, { where: grantsIn(reach), limit: together });
  // After those that can be ended are locked: one that began to end meanwhile is seen here. Before the first audit row: it may wait for
  // whoever holds such a grant.
  await noteEndingAlready(tx, row, personId);
  const waiting = await tx
    .selectFrom('requests')
    .select('id')
    .where('requester_id', '=', personId)
    .where('state', '=', 'waiting')
    .where(requestsIn(reach))
    .orderBy('id')
    .limit(together)
    .forNoKeyUpdate()
    .execute();
  if (grants.length + waiting.length === 0) return 0;
  const actor = { kind: 'person', person: by } as const;
  const requester = known(await loadPeople(tx, [personId]), personId);
  await takeBack(
    tx,
    waiting.map(({ id }) => id),
    { actor, requester, at, switchId: row.id },
  );
  const cause = { kind: 'kill', person: by, switchId: row.id, reason: row.reason } as const;
  await endEverything(tx, deps, { ids: grants, cause, actor, at });
  const hit = { switch_id: row.id, person_id: personId };
  await tx
    .insertInto('kill_switch_hits')
    .values([
      ...grants.map((grant_id) => ({ ...hit, grant_id, request_id: null })),
      ...waiting.map(({ id }) => ({ ...hit, grant_id: null, request_id: id })),
    ])
    .onConflict((conflict) => conflict.doNothing())
    .execute();
  const [grant] = grants;
  const [request] = waiting;
  if (personId !== by.id) {
    const target =
      grant === undefined ? { kind: 'request' as const, id: request?.id ?? '' } : { kind: 'grant' as const, id: grant };
    const words = stoppedWords({ grants: grants.length, requests: waiting.length }, by, row.reason);
    await addNotices(tx, [{ personId, at, kind: 'ended', ...words, target }]);
    await recordChange(tx, { topic: 'notices', ref: null, audience: [personId] });
  }
  return grants.length + waiting.length;
};

/** Takes back requests, which are locked. */
export const takeBack = async (
  tx: Tx,
  ids: readonly string[],
  taken: { actor: { kind: 'person'; person: Person }; requester: Person; at: Date; switchId: string | null },
): Promise<void> => {
  const { actor, requester, at, switchId } = taken;
  for (const id of ids) {
    const auditSequence = await appendAudit(tx, {
      kind: 'request_withdrawn',
      stopped: { switchId },
      at: instantOf(at),
      actor,
      requestId: id,
      requester,
    });
    await closeRequest(tx, { id }, { state: 'withdrawn', at, auditSequence });
    await tellChange(tx, { topic: 'requests', id, requestId: id });
  }
};

/** What a switch did, from the rows of what it hit. */
const tallyOf = async (db: Db, id: string) =>
  db
    .selectFrom('kill_switch_hits')
    .leftJoin('grants', 'grants.id', 'kill_switch_hits.grant_id')
    .where('switch_id', '=', id)
    .select(({ fn }) => [
      fn.count<number>('kill_switch_hits.grant_id').as('grants'),
      fn.count<number>('kill_switch_hits.request_id').as('requests'),
      sql<number>`count(*) filter (where grants.state = 'ending')`.as('ending'),
      sql<number>`count(*) filter (where ${endingAlready})`.as('already'),
      sql<Date | null>`max((grants.receipt ->> 'sessionsGoneAt')::timestamptz)`.as('last'),
    ])
    .executeTakeFirstOrThrow();

/** Writes the switch's own receipt when every grant has one: like theirs not sealed yet, but gone and looked for. */
const noteDone = async (deps: AccessDeps, row: SwitchRow): Promise<void> => {
  if (row.done_at !== null) return;
  const tally = await tallyOf(deps.db, row.id);
  if (tally.ending > 0) return;
  await deps.db.transaction().execute(async (tx) => {
    const open = await tx
      .selectFrom('kill_switches')
      .select('id')
      .where('id', '=', row.id)
      .where('done_at', 'is', null)
      .forNoKeyUpdate()
      .executeTakeFirst();
    if (open === undefined) return;
    const at = deps.now();
    const { grants, already, requests } = tally;
    const totalMs = Math.max(0, (tally.last ?? at).getTime() - row.at.getTime());
    const { id: switchId, name } = row;
    const audit_sequence = await appendAudit(tx, {
      kind: 'kill_switch_done',
      at: instantOf(at),
      actor: { kind: 'curfew' },
      switchId,
      name,
      grants: grants - already,
      ...(already === 0 ? {} : { already }),
      requests,
      totalMs,
    });
    await tx
      .updateTable('kill_switches')
      .set({ done_at: at, total_ms: totalMs, audit_sequence })
      .where('id', '=', row.id)
      .execute();
    // Nobody but admins: they hear of everything.
    await recordChange(tx, { topic: 'me', ref: null, audience: [] });
  });
};

/** One switch, at most so many people now. @returns how many grants and requests it stopped. @throws the last failure, after all were tried. */
const enforce = async (deps: AccessDeps, row: SwitchRow, mostPeople: number): Promise<number> => {
  let stopped = 0;
  let failure: { error: unknown } | null = null;
  const people = row.lifted_at === null ? await peopleIn(deps.db, reachOf(row), row.id) : [];
  const by = known(await loadPeople(deps.db, [row.by_id]), row.by_id);
  for (const personId of people.slice(0, mostPeople)) {
    try {
      for (;;) {
        const lot = await deps.db
          .transaction()
          .execute((tx) => stopLot(tx, deps, { row, by, personId, at: deps.now() }));
        stopped += lot;
        if (lot > 0) deps.nudge();
        if (lot < together) break;
      }
    } catch (error) {
      // One whose rows are held by somebody keeps nobody else alive; the next round tries again.
      failure = { error };
    }
  }
  if (failure !== null) throw failure.error;
  if (people.length <= mostPeople) await noteDone(deps, row);
  return stopped;
};

const enforceOne = async (deps: AccessDeps, id: string, mostPeople: number): Promise<void> => {
  const row = (await loadSwitchRows(deps.db, 'open')).find((one) => one.id === id);
  if (row !== undefined) await enforce(deps, row, mostPeople);
};

/**
 * Ends what lives within reach of the switches that are on, and writes their receipts. Call it every second: it also finishes what a
 * backend that died had begun. Several backends may do it at once.
 * @returns how many grants and requests it stopped.
 * @throws the last failure, after every switch was tried.
 */
export const enforceSwitches = async (deps: AccessDeps): Promise<number> => {
  let stopped = 0;
  let failure: { error: unknown } | null = null;
  for (const row of await loadSwitchRows(deps.db, 'open')) {
    try {
      stopped += await enforce(deps, row, Number.POSITIVE_INFINITY);
    } catch (error) {
      failure = { error };
    }
  }
  if (failure !== null) throw failure.error;
  return stopped;
};

/** @throws Refusal `own_request` when it stopped the caller or has yet to, by any of their sign-ins. */
const assertNotReached = async (db: Db, row: SwitchRow, me: Person): Promise<void> => {
  if (await isReached(db, row, me.id)) throw new Refusal('own_request', { message: reachesYou });
};

/**
 * Lifts a kill switch; what it ended stays ended.
 * @param provedAt when the caller last proved who they are.
 * @throws Refusal `not_found`, `own_request` (it reaches the caller), `fresh_sign_in_needed`, `wrong_state` (lifted already).
 */
export const lift = async (
  deps: AccessDeps,
  caller: Reader,
  { switchId, provedAt }: { switchId: string; provedAt: Date },
): Promise<KillSwitch> => {
  const row = (await loadSwitchRows(deps.db, 'all')).find(({ id }) => id === switchId);
  if (row === undefined || !(caller.isAdmin || row.by_id === caller.person.id)) {
    // Whoever only sees it because it stopped them hears why; for all others it does not exist.
    if (row !== undefined) {
      await loadSwitch(deps.db, caller, switchId);
      await assertNotReached(deps.db, row, caller.person);
      throw new Refusal('not_allowed', { message: 'Only an admin, or the approver who pulled it, may lift it.' });
    }
    throw new Refusal('not_found');
  }
  await assertNotReached(deps.db, row, caller.person);
  if (deps.now().getTime() - provedAt.getTime() > limits.freshSignInSeconds * 1000) {
    throw new Refusal('fresh_sign_in_needed');
  }
  const by = caller.person;
  await deps.db.transaction().execute(async (tx) => {
    const at = deps.now();
    const locked = await tx
      .selectFrom('kill_switches')
      .select(['id', 'lifted_at', 'lifted_by'])
      .where('id', '=', switchId)
      .forNoKeyUpdate()
      .executeTakeFirstOrThrow();
    if (locked.lifted_at !== null) {
      const name = (await loadPeople(tx, [locked.lifted_by ?? ''])).get(locked.lifted_by ?? '')?.displayName;
      throw new Refusal('wrong_state', {
        message: 'It has been lifted already.',
        at: instantOf(locked.lifted_at),
        ...(name === undefined ? {} : { by: name }),
      });
    }
    // Again: nobody is being stopped by it while it is locked, so what holds now holds until it is lifted.
    await assertNotReached(tx, row, by);
    const audit_sequence = await appendAudit(tx, {
      kind: 'kill_switch_lifted',
      at: instantOf(at),
      actor: { kind: 'person', person: by },
      switchId,
      scope: scopeOf(row),
      name: row.name,
    });
    await tx
      .updateTable('kill_switches')
      .set({ lifted_at: at, lifted_by: by.id, audit_sequence })
      .where('id', '=', switchId)
      .execute();
    await tellAdmins(tx, deps, { switchId, by, at, words: liftedWords(row.name, by) });
    await recordChange(tx, { topic: 'me', ref: null, audience: null });
  });
  return loadSwitch(deps.db, caller, switchId);
};
