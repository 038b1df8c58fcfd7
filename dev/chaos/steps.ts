/** How each step of a history is done. */
import type { InstanceRef } from '../../src/shared/access.ts';
import { Refusal } from '../../src/shared/refusal.ts';
import { machineNames } from './company.ts';
import type { Seat } from './crew.ts';
import type { Step } from './happenings.ts';
import type { History } from './history.ts';
import { names } from './offices.ts';

const pick = <T>(rows: readonly T[], index: number): T | undefined =>
  rows.length === 0 ? undefined : rows[index % rows.length];

const plain = ({ accountId, region, instanceId }: InstanceRef): InstanceRef => ({ accountId, region, instanceId });

const submit = async (history: History, act: Extract<Step, { do: 'submit' }>): Promise<void> => {
  const { access, company } = history;
  await access.submit(history.person(act.who), {
    instances: act.what.map((name) => plain(company.machine(name))),
    capability: 'shell',
    durationSeconds: act.seconds,
    reason: 'look at the worker queue',
    ticket: null,
  });
};

const onRequest = async (history: History, act: Extract<Step, { do: 'decide' | 'withdraw' }>): Promise<void> => {
  const { access, db } = history;
  const rows = await db.selectFrom('requests').select('id').where('state', '=', 'waiting').orderBy('id').execute();
  const row = pick(rows, act.which);
  if (row === undefined) return;
  const reader = await history.reader(act.who, row.id);
  if (act.do === 'withdraw') {
    await access.withdraw(reader, row.id);
    return;
  }
  const { seenHash, request } = await access.card(reader, row.id);
  const common = { requestId: row.id, seenHash };
  if (act.verdict === 'no') {
    await access.decide(reader, { ...common, verdict: 'no', comment: 'no' });
    return;
  }
  const [first] = request.instances;
  const less =
    act.verdict === 'less' && first !== undefined ? { instances: [plain(first)], durationSeconds: 60 } : null;
  await access.decide(reader, { ...common, verdict: 'yes', less, comment: null });
};

/** Whoever may says yes to it, each in turn until one does. */
const approve = async (history: History, { which }: Extract<Step, { do: 'approve' }>): Promise<void> => {
  const { access, db } = history;
  const rows = await db.selectFrom('requests').select('id').where('state', '=', 'waiting').orderBy('id').execute();
  const row = pick(rows, which);
  if (row === undefined) return;
  for (const who of names) {
    const reader = await history.reader(who, row.id);
    if (!reader.decidable.includes(row.id)) continue;
    const { seenHash } = await access.card(reader, row.id);
    await access.decide(reader, { requestId: row.id, seenHash, verdict: 'yes', less: null, comment: null });
    return;
  }
};

const grantStates = {
  connect: ['ready', 'granting', 'active'],
  extend: ['granting', 'active'],
  end: ['ready', 'granting', 'active', 'ending'],
} as const;

const onGrant = async (history: History, act: Extract<Step, { do: 'connect' | 'extend' | 'end' }>): Promise<void> => {
  const { access, db } = history;
  const rows = await db
    .selectFrom('grants')
    .select(['id', 'person_id', 'state'])
    .where('state', 'in', [...grantStates[act.do]])
    .orderBy('id')
    .execute();
  // Whoever connects again to what lives is seldom of interest.
  const fresh = act.do === 'connect' ? rows.filter(({ state }) => state === 'ready') : [];
  const grant = pick(fresh.length > 0 ? fresh : rows, act.which);
  if (grant === undefined) return;
  const owns = history.nameOf(grant.person_id);
  const reader = await history.reader(act.do === 'end' && act.who !== 'owner' ? act.who : owns, null);
  if (act.do === 'connect') await access.connect(reader, grant.id);
  if (act.do === 'extend') {
    await access.extend(reader, { grantId: grant.id, bySeconds: act.seconds, reason: null });
  }
  if (act.do === 'end') await access.end(reader, { grantId: grant.id, comment: null });
};

/** Tries every document: somebody who wants in does. */
const open = ({ callerIn, company }: History, act: Extract<Step, { do: 'open' }>): void => {
  const { accountId, region, instanceId } = company.machine(act.what);
  const tries = ['015', '030', '060', '120', '240', '480', '720'];
  tries.some((minutes) =>
    company.aws.startSession(callerIn(accountId, act.who), {
      region,
      instanceId,
      documentName: `Curfew-Shell-${minutes}`,
    }),
  );
};

/** Its owner starts a session on what a grant is for, while it lives or has just ended. */
const use = async (history: History, { which }: Extract<Step, { do: 'use' }>): Promise<void> => {
  const { company, db, nameOf } = history;
  const rows = await db
    .selectFrom('grants')
    .innerJoin('grant_instances', 'grant_instances.grant_id', 'grants.id')
    .select(['person_id', 'instance_id'])
    .where('state', 'in', ['granting', 'active', 'ending'])
    .orderBy('grants.id')
    .orderBy('position')
    .execute();
  const row = pick(rows, which);
  const on = machineNames.find((name) => company.machine(name).instanceId === row?.instance_id);
  if (row !== undefined && on !== undefined) open(history, { do: 'open', who: nameOf(row.person_id), what: on });
};

const pull = async (history: History, act: Extract<Step, { do: 'kill' }>): Promise<void> => {
  const { accountId, accountName, ...ref } = history.company.machine(act.what);
  const instance = plain({ accountId, ...ref });
  const scopes = [
    { scope: { kind: 'person' as const, personId: history.person(act.who).id }, typed: null },
    { scope: { kind: 'instance' as const, instance }, typed: null },
    { scope: { kind: 'account' as const, accountId }, typed: accountName },
    { scope: { kind: 'everything' as const }, typed: 'everything' },
  ];
  const chosen = pick(scopes, act.scope);
  if (chosen === undefined) return;
  await history.access.pull(await history.reader('dele', null), { ...chosen, reason: 'an incident' });
};

const lift = async (history: History, act: Extract<Step, { do: 'lift' }>): Promise<void> => {
  const { access, clock, db } = history;
  const rows = await db.selectFrom('kill_switches').select('id').where('lifted_at', 'is', null).orderBy('id').execute();
  const row = pick(rows, act.which);
  if (row === undefined) return;
  await access.lift(await history.reader('dele', null), { switchId: row.id, provedAt: clock.now() });
};

/** What the inventory finds the next time. */
const vanish = async (history: History, act: Extract<Step, { do: 'vanish' }>): Promise<void> => {
  const { clock, company, db, vanished } = history;
  const { instanceId } = company.machine(act.what);
  if (act.back) vanished.delete(instanceId);
  else vanished.add(instanceId);
  await db
    .updateTable('instances')
    .set({ gone_at: act.back ? null : clock.now() })
    .where('instance_id', '=', instanceId)
    .execute();
};

/** Lets a living backend do what is due. @returns whether it did all of it. */
const work = async (history: History, by: Seat, does: 'work' | 'sweep' = 'work'): Promise<boolean> => {
  const { access, crew } = history;
  const one = crew.awake(by);
  if (one === null) return false;
  // What a backend does each second or minute besides.
  await access.enforceSwitches();
  await crew.bury();
  if (await one.backend[does]()) return true;
  await crew.retire(one.seat, history.nextDeath());
  return false;
};

/** When something falls due, also because a dead backend is noticed. */
const nextDue = async ({ clock, crew, db }: History): Promise<Date | null> => {
  const { at } = await db
    .selectFrom('principals')
    .select((eb) => eb.fn.min('due_at').as('at'))
    .where('due_at', '>', clock.now())
    .executeTakeFirstOrThrow();
  const burial = crew.nextBurial();
  if (at === null || burial === null) return at ?? burial;
  return at < burial ? at : burial;
};

const mostStops = 12;

/** Time passes, and the backend does what is due when it is due; or nobody does anything. */
const pass = async (
  history: History,
  { seconds: forSeconds, attended, by }: { seconds: number; attended: boolean; by: Seat },
): Promise<boolean> => {
  const { clock, crew } = history;
  const until = clock.now().getTime() + forSeconds * 1000;
  for (let stops = 0; attended && stops < mostStops && crew.awake(by) !== null; stops += 1) {
    const next = await nextDue(history);
    if (next === null || next.getTime() > until) break;
    clock.pass(Math.max(0, next.getTime() - clock.now().getTime()));
    await work(history, by);
  }
  clock.pass(Math.max(0, until - clock.now().getTime()));
  return attended && work(history, by);
};

const leave = async (history: History, act: Extract<Step, { do: 'leave' }>): Promise<void> => {
  history.setEnabled(act.who, false);
  await history.access.closeLeavers();
  if (act.comesBack) history.setEnabled(act.who, true);
};

const crash = async (history: History, { of, after, how, by }: Extract<Step, { do: 'crash' }>): Promise<boolean> => {
  const one = history.crew.awake(by);
  if (one === null) return false;
  // Few sessions are ended in a history.
  one.backend.dieAt({ of, after: of === 'session-ended' ? after % 2 : after });
  history.setNextDeath(how);
  return work(history, one.seat);
};

/** Its machine stands still for so long that the other backend, if there is one, takes over in the middle of its work. */
const stall = async (
  history: History,
  { after, seconds: forSeconds, by }: Extract<Step, { do: 'stall' }>,
): Promise<boolean> => {
  const { clock, crew } = history;
  const one = crew.awake(by);
  if (one === null) return false;
  const other = one.seat === 0 ? 1 : 0;
  one.backend.stallAt(after, async () => {
    clock.pass(forSeconds * 1000);
    // Its work begins with counting this one as dead.
    await work(history, other);
  });
  return work(history, one.seat);
};

/** @returns whether a backend has done all that was due, and nothing has happened since. */
const act = async (history: History, one: Step): Promise<boolean> => {
  switch (one.do) {
    case 'submit':
      await submit(history, one);
      return false;
    case 'decide':
    case 'withdraw':
      await onRequest(history, one);
      return false;
    case 'connect':
    case 'extend':
    case 'end':
      await onGrant(history, one);
      return work(history, one.by);
    case 'open':
      open(history, one);
      return false;
    case 'approve':
      await approve(history, one);
      return false;
    case 'use':
      await use(history, one);
      return false;
    case 'signOut':
      await history.access.endAllOfPerson(history.person(one.who));
      return false;
    case 'leave':
      await leave(history, one);
      return false;
    case 'comeBack':
      history.setEnabled(one.who, true);
      return false;
    case 'kill':
      await pull(history, one);
      return false;
    case 'lift':
      await lift(history, one);
      return false;
    default:
      return actOutside(history, one);
  }
};

type Outside = Extract<
  Step,
  {
    do:
      | 'vanish'
      | 'retag'
      | 'lapse'
      | 'pass'
      | 'work'
      | 'sweep'
      | 'fault'
      | 'spread'
      | 'crash'
      | 'stall'
      | 'skew'
      | 'start';
  }
>;

const actOutside = async (history: History, one: Outside): Promise<boolean> => {
  const { aws } = history.company;
  switch (one.do) {
    case 'vanish':
      await vanish(history, one);
      return false;
    case 'retag':
      history.tags.set(history.company.machine(one.what).instanceId, one.environment, history.clock.now());
      return false;
    case 'lapse':
      await history.access.lapseDue();
      return false;
    case 'pass':
      return pass(history, one);
    case 'work':
    case 'sweep':
      return work(history, one.by, one.do);
    case 'fault':
      aws.plan(one.fault, { after: one.after, times: one.times });
      return false;
    case 'spread':
      aws.setSpreading(one.ms);
      return false;
    case 'skew':
      aws.setAhead(one.ms);
      return false;
    case 'crash':
      return crash(history, one);
    case 'stall':
      return stall(history, one);
    case 'start':
      await history.crew.start(one.by);
      return work(history, one.by);
  }
};

/** Does one step. What is refused is an expected answer. @returns `settled` for `Promises.check`, and the refusal's code. */
export const take = async (history: History, one: Step): Promise<{ settled: boolean; refused: string | null }> => {
  try {
    return { settled: await act(history, one), refused: null };
  } catch (error) {
    if (error instanceof Refusal) return { settled: false, refused: error.code };
    throw error;
  }
};

/**
 * Everything heals, a backend runs, and time passes until nothing is left to wait for.
 * @param check is called after each piece of time, with what `take` returns as `settled`.
 */
export const bringToEnd = async (history: History, check: (settled: boolean) => Promise<void>): Promise<void> => {
  const { aws } = history.company;
  aws.heal();
  aws.setSpreading(0);
  aws.setAhead(0);
  // One that was to die at some step may not have come to it.
  await history.crew.close();
  await history.crew.start(0);
  const left = () =>
    history.db
      .selectFrom('grants')
      .select('id')
      .where((eb) =>
        eb.or([
          eb('state', 'in', ['ready', 'granting', 'active', 'ending']),
          eb.and([eb('state', '=', 'ended'), eb(eb.ref('receipt', '->>').key('stage'), '=', 'gone')]),
        ]),
      )
      .executeTakeFirst();
  for (let round = 0; round < 20 && (await left()) !== undefined; round += 1) {
    await check(await pass(history, { seconds: 7200, attended: true, by: 0 }));
  }
};

/** The last look for leftovers, when nothing should be left. */
export const sweepAtEnd = (history: History): Promise<boolean> => work(history, 0, 'sweep');
