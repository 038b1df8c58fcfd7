/** The promises of design 2, held against what a history has come to: what the rows say, what the trail says, and what AWS would allow. */
import { firstPreviousHash, hashOfRow } from '../../backend/audit/chain.ts';
import { refOfRow } from '../../backend/store/instances.ts';
import { groupBy } from '../../backend/store/rows.ts';
import { decisionContent, decisionSealHolds, grantContent, grantSealHolds } from '../../backend/store/seal.ts';
import { kindsOfGrant, kindsOfRequest } from '../../backend/testing/kinds-of-state.ts';
import { type InstanceRef, refKey } from '../../src/shared/access.ts';
import { globalContextKeys } from '../local-aws/authorization/authorise.ts';
import { evaluate } from '../local-aws/authorization/evaluate.ts';
import { requestContext } from '../local-aws/authorization/match-pattern.ts';
import { type PolicyDocument, parsePolicyDocument } from '../local-aws/authorization/policy-document.ts';
import { holderKey, type PolicyHolder } from '../local-aws/iam/state.ts';
import type { Machine } from './company.ts';
import type { History } from './history.ts';
import { type Name, names } from './offices.ts';

/** As one instant has them: a backend that is thought dead may still be at work. */
const rowsOf = ({ db }: History, afterSequence: number) =>
  db
    .transaction()
    .setIsolationLevel('repeatable read')
    .execute(async (tx) => {
      const requests = await tx.selectFrom('requests').selectAll().orderBy('id').execute();
      const decisions = await tx.selectFrom('decisions').selectAll().orderBy('id').execute();
      const grants = await tx.selectFrom('grants').selectAll().orderBy('id').execute();
      const refs = await tx.selectFrom('grant_instances').selectAll().orderBy('position').execute();
      const principals = await tx.selectFrom('principals').selectAll().execute();
      const audit = await tx
        .selectFrom('audit')
        .selectAll()
        .where('sequence', '>', afterSequence)
        .orderBy('sequence')
        .execute();
      return { requests, decisions, grants, refs: groupBy(refs, ({ grant_id }) => grant_id), principals, audit };
    });
type Rows = Awaited<ReturnType<typeof rowsOf>>;
type GrantRow = Rows['grants'][number];

/** A promise that did not hold. */
class Broken extends Error {}

const hold = (promise: string, holds: boolean, what: () => unknown): void => {
  if (!holds) throw new Broken(`${promise}: ${JSON.stringify(what())}`);
};

const whole = (at: Date): number => Math.floor(at.getTime() / 1000);

/** Whether a person could start a session on a machine with these policies now. */
const judge = (
  history: History,
  who: { name: Name; machine: Machine },
  policies: { identity: PolicyDocument[]; boundary: PolicyDocument[] | null },
): boolean => {
  const { name, machine } = who;
  const { accountId, region, instanceId } = machine;
  const { contextKeys } = history.callerIn(accountId, name);
  const context = requestContext(contextKeys, globalContextKeys(history.company.aws.now()), {
    'ssm:SessionDocumentAccessCheck': ['true'],
  });
  const may = (resource: string): boolean =>
    evaluate({ action: 'ssm:StartSession', resource, context, ...policies, session: null }).decision === 'allow';
  if (!may(`arn:aws:ec2:${region}:${accountId}:instance/${instanceId}`)) return false;
  return ['015', '030', '060', '120', '240', '480', '720'].some((minutes) =>
    may(`arn:aws:ssm:${region}:${accountId}:document/Curfew-Shell-${minutes}`),
  );
};

const parsed = new Map<string, PolicyDocument>();
const parse = (text: string): PolicyDocument => {
  const known = parsed.get(text) ?? parsePolicyDocument(text, 'identity');
  if (parsed.size > 2000) parsed.clear();
  parsed.set(text, known);
  return known;
};

const judged = new Map<string, boolean>();
/** The same texts at the same second are judged once. */
const allowedBy = (
  history: History,
  who: { name: Name; machine: Machine },
  texts: { identity: readonly string[]; boundary: string | null },
): boolean => {
  // Nothing stands there that could allow anything.
  if (texts.identity.length === 0) return false;
  const key = JSON.stringify([
    history.office.name,
    who.name,
    who.machine.name,
    whole(history.company.aws.now()),
    texts,
  ]);
  const known = judged.get(key);
  if (known !== undefined) return known;
  const boundary = texts.boundary === null ? null : [parse(texts.boundary)];
  const allows = judge(history, who, { identity: texts.identity.map(parse), boundary });
  if (judged.size > 5000) judged.clear();
  judged.set(key, allows);
  return allows;
};

type View = 'seen' | 'newest';

/** Whatever carries policies of this person in this account, as IAM's control plane has it. */
const holdersOf = ({ company, office }: History, accountId: string, name: Name): PolicyHolder[] => {
  const iam = company.aws.iam();
  const user = office.name === 'roles' ? undefined : iam.user(accountId, name);
  if (user === undefined) return [office.holder(iam, accountId, name)];
  return [user, ...user.groups.flatMap((group) => iam.groups.get(holderKey(accountId, group)) ?? [])];
};

/** As IAM's evaluator sees it, or as its control plane has it, which spreads only then. */
const allowed = (history: History, who: { name: Name; machine: Machine }, view: View): boolean => {
  const { accountId } = who.machine;
  const iam = history.company.aws.iam();
  const seen = iam.seenPolicies(history.callerIn(accountId, who.name));
  const boundary = seen.boundary?.document ?? null;
  if (view === 'seen') {
    return allowedBy(history, who, { identity: seen.identity.map(({ document }) => document), boundary });
  }
  const texts = holdersOf(history, accountId, who.name).flatMap(({ inline, attached }) => [
    ...Object.values(inline),
    ...attached.flatMap((arn) => {
      const policy = iam.policies.get(arn);
      return policy?.versions.find(({ id }) => id === policy.defaultVersionId)?.document ?? [];
    }),
  ]);
  return allowedBy(history, who, { identity: texts, boundary });
};

const covers = (rows: Rows, grant: GrantRow, machine: Machine): boolean =>
  (rows.refs.get(grant.id) ?? []).some((ref) => refKey(refOfRow(ref)) === refKey(machine));

export type Promises = {
  /** After any step. `settled`: a backend has just done all that was due. @throws Broken. */
  check: (settled: boolean) => Promise<void>;
  /**
   * When the history is over and nothing disturbs any more: everything is closed and proved. @throws Broken.
   * @param swept whether leftovers were looked for since: until then a managed policy may be there that hangs on nothing and opens nothing,
   * made by a call whose answer nobody waited for any longer (decision 9).
   */
  checkEnd: (swept: boolean) => Promise<void>;
};

export const watchPromises = (history: History): Promises => {
  let lastSequence = 0;
  let lastHash = firstPreviousHash;
  const kindAt = new Map<number, { kind: string; about: string | null; requestId: string | null }>();
  /** How the trail says that Curfew ended a session, by its id. */
  const endedSessions = new Map<string, 'session_terminated' | 'session_unexplained'>();
  /** The latest end that IAM may ever have been told of a grant, by its id. */
  const latestEnd = new Map<string, Date>();

  const checkTrail = (rows: Rows): void => {
    for (const row of rows.audit) {
      const expected = hashOfRow({ sequence: lastSequence + 1, previousHash: lastHash, event: row.event });
      hold('4 the trail is a chain', row.sequence === lastSequence + 1 && row.hash === expected, () => row.sequence);
      lastSequence = row.sequence;
      lastHash = row.hash;
      const { event } = row;
      if (event.kind === 'session_terminated' || event.kind === 'session_unexplained') {
        endedSessions.set(event.sessionId, event.kind);
      }
      kindAt.set(row.sequence, { kind: row.kind, about: row.grant_id, requestId: row.request_id });
    }
    for (const row of rows.requests) {
      const told = kindAt.get(row.audit_sequence);
      const fits = told?.requestId === row.id && kindsOfRequest[row.state].includes(told.kind);
      hold('4 a request’s state is in the trail', fits, () => [row.id, row.state, told]);
    }
    for (const row of rows.grants) {
      const told = kindAt.get(row.audit_sequence);
      const fits = told?.about === row.id && kindsOfGrant[row.state].includes(told.kind);
      hold('4 a grant’s state is in the trail', fits, () => [row.id, row.state, told]);
    }
  };

  /** What a rule gave, and what began of it: each is judged once, after the step that did it. */
  const judgedByTags = new Set<string>();
  const checkTags = (what: 'decision' | 'connect', id: string, refs: readonly InstanceRef[]): void => {
    if (judgedByTags.has(`${what} ${id}`)) return;
    judgedByTags.add(`${what} ${id}`);
    const here = history.company.machines.filter((machine) => refs.some((ref) => refKey(ref) === refKey(machine)));
    const may = here.every((machine) => history.tags.ruleMayGive(machine, history.clock.now()));
    hold('1 no rule gives by a tag of today', may && here.length === refs.length, () => [what, id]);
  };

  const checkDecisions = (rows: Rows): void => {
    const { sealKey } = history.company;
    for (const row of rows.decisions) {
      hold('9 nobody decides their own', row.person_id !== row.requester_id, () => row.id);
      hold('1 a decision is sealed', decisionSealHolds(sealKey, decisionContent(row), row.mac), () => row.id);
      if (row.person_id === null && row.verdict === 'yes') checkTags('decision', row.id, row.instances ?? []);
    }
    const made = new Set<string>();
    for (const grant of rows.grants) {
      const yeses = rows.decisions.filter((one) => one.request_id === grant.request_id && one.verdict === 'yes');
      const refs = (rows.refs.get(grant.id) ?? []).map(refOfRow);
      hold('1 a yes stands behind each grant', yeses.length > 0 && refs.length > 0, () => grant.id);
      const within = yeses.every((yes) => {
        const given = new Set((yes.instances ?? []).map(refKey));
        return refs.every((ref) => given.has(refKey(ref)));
      });
      hold('2 a grant is not wider than each yes', within, () => grant.id);
      const arn = rows.principals.find(({ id }) => id === grant.principal_id)?.arn ?? '';
      hold('1 a grant is sealed', grantSealHolds(sealKey, grantContent(grant, refs, arn), grant.mac), () => grant.id);
      const key = `${grant.request_id} ${grant.account_id}`;
      hold('1 one yes makes one grant', !made.has(key), () => key);
      made.add(key);
      const byRule = yeses.every(({ person_id }) => person_id === null);
      if (byRule && grant.connected_at !== null) checkTags('connect', grant.id, refs);
    }
  };

  /** Whose yes lets this person in: on a group everybody's. */
  const grantsOn = (rows: Rows, name: Name, machine: Machine): GrantRow[] =>
    rows.grants.filter(
      (grant) =>
        (history.office.shared(machine.accountId) || grant.person_id === history.person(name).id) &&
        covers(rows, grant, machine),
    );

  const rememberEnds = (rows: Rows): void => {
    for (const { id, ends_at } of rows.grants) {
      const known = latestEnd.get(id);
      if (ends_at !== null && (known === undefined || known < ends_at)) latestEnd.set(id, ends_at);
    }
  };

  /** Whatever failed or died: what AWS allows was granted, and its end has not come. */
  const checkAtMost = (who: { name: Name; machine: Machine }, mine: readonly GrantRow[]): void => {
    // The dates in a policy are judged by AWS's clock, which may differ by the little that is allowed.
    const now = history.company.aws.now();
    const granted = mine.some(({ id, connected_at }) => {
      const end = latestEnd.get(id);
      return connected_at !== null && end !== undefined && whole(connected_at) <= whole(now) && now < end;
    });
    hold('2 AWS allows no more than was granted', granted || !allowed(history, who, 'seen'), () => [
      who.name,
      who.machine.name,
    ]);
    const open = mine.some(({ state }) => ['granting', 'active', 'ending'].includes(state));
    // What a grant that failed had opened is closed by the next pass over its principal.
    const failed = mine.some(({ state }) => state === 'failed');
    hold('7 what is said to have ended stands in no policy', open || failed || !allowed(history, who, 'newest'), () => [
      who.name,
      who.machine.name,
      mine.map(({ id, state }) => [id, state]),
    ]);
  };

  /**
   * Statements of one end are merged and begin with the youngest of their grants, which has begun by the database's clock; where AWS's
   * is behind it, starting waits for that difference (decision 8).
   */
  const begunForAws = (rows: Rows, { name, machine: { accountId } }: { name: Name; machine: Machine }): boolean => {
    const now = history.company.aws.now();
    const { id } = history.person(name);
    return rows.grants
      .filter(
        ({ account_id, person_id }) =>
          account_id === accountId && (history.office.shared(accountId) || person_id === id),
      )
      .every(({ state, connected_at }) => connected_at === null || state === 'ended' || connected_at <= now);
  };

  /** With nothing left to do: AWS holds exactly what is granted, and no session is open that no grant covers. */
  const checkSettled = (rows: Rows, who: { name: Name; machine: Machine }, mine: readonly GrantRow[]): void => {
    const now = history.company.aws.now();
    const live = mine.filter(({ state }) => state === 'granting' || state === 'active');
    const must =
      begunForAws(rows, who) &&
      live.some(
        ({ connected_at, ends_at }) =>
          connected_at !== null && ends_at !== null && connected_at <= now && whole(now) < whole(ends_at),
      );
    const may = live.some(({ ends_at }) => ends_at !== null && now < ends_at);
    const does = allowed(history, who, 'newest');
    hold('6 AWS holds what is granted', does || !must, () => [who, mine.map(({ id, state }) => [id, state])]);
    hold('3 AWS holds nothing else', may || !does, () => [who, mine.map(({ id, state }) => [id, state])]);
  };

  const sessionsOn = (name: Name, machine: Machine) => {
    const owner = history.callerIn(machine.accountId, name).arn;
    const table = history.company.aws.sessions();
    return table
      .list({ accountId: machine.accountId, region: machine.region })
      .filter((one) => one.owner === owner && one.target === machine.instanceId && table.isActive(one));
  };

  const checkSessions = (who: { name: Name; machine: Machine }, mine: readonly GrantRow[]): void => {
    const open = sessionsOn(who.name, who.machine);
    if (open.length === 0) return;
    const over = mine.every(
      ({ state, receipt }) =>
        state === 'ready' || state === 'lapsed' || (state === 'ended' && receipt?.stage === 'sealed'),
    );
    hold('3 no session outlives a sealed receipt', !over, () => [who, mine.map(({ id, state }) => [id, state])]);
  };

  /** Nobody but Curfew ends a session here, and AWS tells nobody afterwards who did. */
  const checkTold = (rows: Rows): void => {
    const receipts = new Set(rows.grants.flatMap(({ receipt }) => receipt?.sessionsTerminated ?? []));
    const table = history.company.aws.sessions();
    for (const session of table.list()) {
      if (table.isActive(session)) continue;
      const kind = endedSessions.get(session.sessionId);
      hold('4 the trail tells of each session that was ended', kind !== undefined, () => session);
      const proved = kind !== 'session_terminated' || receipts.has(session.sessionId);
      hold('7 a receipt names each session that was ended for it', proved, () => session);
    }
  };

  let read: { rows: Rows; changes: number } | null = null;
  const readRows = async (): Promise<Rows> => {
    const changes = history.company.store.changes();
    if (read?.changes === changes) return read.rows;
    const rows = await rowsOf(history, lastSequence);
    checkTrail(rows);
    checkDecisions(rows);
    rememberEnds(rows);
    read = { rows, changes };
    return rows;
  };

  const check = async (settled: boolean): Promise<Rows> => {
    const rows = await readRows();
    const now = history.clock.now();
    const nothingToDo =
      settled &&
      rows.principals.every(
        ({ due_at, holder, problem }) => holder === null && problem === null && (due_at === null || due_at > now),
      );
    for (const machine of history.company.machines) {
      for (const name of names) {
        const who = { name, machine };
        const mine = grantsOn(rows, name, machine);
        checkAtMost(who, mine);
        checkSessions(who, mine);
        if (nothingToDo) checkSettled(rows, who, mine);
      }
    }
    if (nothingToDo) {
      const late = rows.grants.find(
        ({ state, ends_at }) =>
          state === 'ending' || ((state === 'granting' || state === 'active') && ends_at !== null && ends_at <= now),
      );
      hold('3 what is due to end has ended', late === undefined, () => [late?.id, late?.state, late?.ends_at, now]);
    }
    const faults = history.crew.unexpected();
    hold('no fault of its own', faults.length === 0, () => faults.map((fault) => String(fault)));
    return rows;
  };

  const finalKinds = (grant: GrantRow, kinds: readonly string[]): boolean => {
    const count = (kind: string): number => kinds.filter((one) => one === kind).length;
    if (count('grant_made') !== 1) return false;
    if (grant.state === 'ended') {
      return ['grant_ending', 'grant_ended', 'grant_sealed'].every((kind) => count(kind) === 1);
    }
    return count(grant.state === 'lapsed' ? 'grant_lapsed' : 'grant_failed') === 1 && count('grant_ended') === 0;
  };

  return {
    check: async (settled) => void (await check(settled)),
    checkEnd: async (swept) => {
      const rows = await check(true);
      const kinds = groupBy([...kindAt.values()], ({ about }) => about ?? '');
      for (const grant of rows.grants) {
        const over = ['ended', 'lapsed', 'failed'].includes(grant.state);
        hold('3 every grant comes to its end', over, () => {
          const principal = rows.principals.find(({ id }) => id === grant.principal_id);
          return [grant.id, grant.state, principal?.kind, principal?.holder, principal?.due_at, principal?.problem];
        });
        hold('7 every end has its sealed receipt', grant.state !== 'ended' || grant.receipt?.stage === 'sealed', () => [
          grant.id,
          grant.receipt,
        ]);
        const told = (kinds.get(grant.id) ?? []).map(({ kind }) => kind);
        hold('4 the trail tells each end once', finalKinds(grant, told), () => [grant.id, grant.state, told]);
      }
      checkTold(rows);
      for (const machine of history.company.machines) {
        for (const name of names) {
          hold('5 no session is left', sessionsOn(name, machine).length === 0, () => [name, machine.name]);
          const holders = holdersOf(history, machine.accountId, name);
          const left = holders.flatMap(({ inline, attached }) => [...Object.keys(inline), ...attached]);
          hold('5 no policy is left', left.length === 0, () => [name, machine.accountId, left]);
        }
      }
      const spilled = history.company.aws
        .iam()
        .policies.all()
        .filter(({ path }) => path === '/curfew/grants/');
      hold('5 no managed policy is left', !swept || spilled.length === 0, () => spilled.map(({ arn }) => arn));
    },
  };
};
