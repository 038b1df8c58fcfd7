/** Reads everything that a decision needs, before anything is decided (style: gather first, then check). */
import { type Instance, type InstanceRef, type Person, refKey } from '../../src/shared/access.ts';
import { Refusal } from '../../src/shared/refusal.ts';
import type { PersonalRole } from '../../src/shared/views.ts';
import { instanceOf, loadInstancesByRef, refOfRow } from '../store/instances.ts';
import type { Db } from '../store/open.ts';
import { directoryWords, type PersonFacts } from '../store/people.ts';
import type { AccessDeps } from './deps.ts';
import type { Ask } from './judge.ts';

/** Access that begins at most this long after the last has ended continues it (threats RQ-13). */
const adjoiningSeconds = 600;

/** Only what names an instance. */
export const plainRef = ({ accountId, region, instanceId }: InstanceRef): InstanceRef => ({
  accountId,
  region,
  instanceId,
});

/** Each instance once, in the order given. */
const withoutDoubles = (refs: readonly InstanceRef[]): InstanceRef[] => [
  ...new Map(refs.map((ref) => [refKey(ref), ref])).values(),
];

/** The instances as the inventory has them now. @throws Refusal `not_found` when one is not, or no longer, there. */
export const gatherInstances = async (db: Db, refs: readonly InstanceRef[]): Promise<Instance[]> => {
  const rows = await loadInstancesByRef(db, refs);
  return withoutDoubles(refs).map((ref) => {
    const row = rows.get(refKey(ref));
    if (row === undefined || row.gone_at !== null) throw new Refusal('not_found');
    return instanceOf(row);
  });
};

type Interval = { from: number; until: number };

/** The beginning of what is continuous up to `now`, milliseconds; `now` itself when nothing adjoins. */
export const continuousSince = (intervals: readonly Interval[], now: number): number => {
  let since = now;
  for (const { from, until } of intervals.toSorted((a, b) => b.until - a.until)) {
    if (until >= since - adjoiningSeconds * 1000 && from < since) since = from;
  }
  return since;
};

/** Longer ago than this no yes matters: access is continuous for 12 h at most, and begins within 8 h of its yes. */
const lookBackMs = 3 * 24 * 3_600_000;

/** Intervals of late in which this person had access to each of the instances, by `refKey`. */
const accessIntervals = async (
  db: Db,
  personId: string,
  { refs, until }: { refs: readonly InstanceRef[]; until: Date },
): Promise<Map<string, Interval[]>> => {
  // Somebody's grants of late are few; those of an instance are as many as its history is long. With an offset Postgres looks for the
  // instances of each by itself, and never reads those of all grants because it takes somebody's for many.
  const rows = await db
    .selectFrom('grants')
    .innerJoinLateral(
      (eb) =>
        eb
          .selectFrom('grant_instances')
          .select(['account_id', 'region', 'instance_id'])
          .whereRef('grant_id', '=', 'grants.id')
          // Never an empty list: all that was asked for may have left the inventory.
          .where('instance_id', 'in', ['', ...refs.map((ref) => ref.instanceId)])
          .offset(0)
          .as('part'),
      (join) => join.onTrue(),
    )
    .select(['connected_at', 'ends_at', 'closed_at', 'part.account_id', 'part.region', 'part.instance_id'])
    .where('person_id', '=', personId)
    .where('approved_at', '>', new Date(until.getTime() - lookBackMs))
    .where('connected_at', 'is not', null)
    .execute();
  const intervals = new Map<string, Interval[]>();
  for (const row of rows) {
    if (row.connected_at === null || row.ends_at === null) continue;
    // A grant that failed was closed before its end; all others are closed after it.
    const until = Math.min(row.ends_at.getTime(), (row.closed_at ?? row.ends_at).getTime());
    const key = refKey(refOfRow(row));
    intervals.set(key, [...(intervals.get(key) ?? []), { from: row.connected_at.getTime(), until }]);
  }
  return intervals;
};

/**
 * Seconds of continuous access up to `until` for each instance, by `refKey`; an instance without any is left out.
 * @param until now for a new request; the present end for an extension.
 */
const usedSeconds = async (
  db: Db,
  personId: string,
  { refs, until }: { refs: readonly InstanceRef[]; until: Date },
): Promise<Map<string, number>> => {
  const intervals = await accessIntervals(db, personId, { refs, until });
  return new Map(
    [...intervals].map(([key, ranges]) => {
      const since = continuousSince(ranges, until.getTime());
      return [key, Math.ceil((until.getTime() - since) / 1000)];
    }),
  );
};

/** How often this person asked for each of the instances in the 24 h before `now`, but for one request; by `refKey`. */
const asksLately = async (
  db: Db,
  personId: string,
  { refs, now, except }: { refs: readonly InstanceRef[]; now: Date; except: string | null },
): Promise<Map<string, number>> => {
  const rows = await db
    .selectFrom('requests')
    .innerJoinLateral(
      (eb) =>
        eb
          .selectFrom('request_instances')
          .select(['account_id', 'region', 'instance_id'])
          .whereRef('request_id', '=', 'requests.id')
          .where('instance_id', 'in', ['', ...refs.map((ref) => ref.instanceId)])
          .offset(0)
          .as('part'),
      (join) => join.onTrue(),
    )
    .select(['part.account_id', 'part.region', 'part.instance_id'])
    .where('requester_id', '=', personId)
    .where('submitted_at', '>', new Date(now.getTime() - 24 * 3_600_000))
    .where('requests.id', '<>', except ?? '')
    .execute();
  const counts = new Map<string, number>();
  for (const row of rows) counts.set(refKey(refOfRow(row)), (counts.get(refKey(refOfRow(row))) ?? 0) + 1);
  return counts;
};

/** The person as the identity store knows them now. @throws Refusal `not_allowed` when they left or were disabled. */
export const gatherPerson = async (deps: Pick<AccessDeps, 'directory'>, personId: string): Promise<PersonFacts> => {
  const person = await deps.directory.person(personId);
  if (person === null || !person.enabled) {
    throw new Refusal('not_allowed', {
      message: `This person is not, or no longer, in ${directoryWords(personId)}.`,
    });
  }
  return person;
};

/** Everybody who may have a part in it: the members of the configured groups, each once. */
export const gatherCandidates = async (deps: Pick<AccessDeps, 'directory' | 'config'>): Promise<PersonFacts[]> => {
  const groups = await Promise.all(deps.config.directory.groups.map((group) => deps.directory.membersOf(group)));
  return [...new Map(groups.flat().map((person) => [person.id, person])).values()].sort((a, b) =>
    a.displayName.localeCompare(b.displayName),
  );
};

type AskInput = Pick<Ask, 'person' | 'instances' | 'capability' | 'durationSeconds' | 'reason' | 'ticket' | 'held'> & {
  /** The present end of the grant that is extended; null for a new request. */
  extendsFrom: Date | null;
  /** The request itself when it is on record already: it does not count as one before it. */
  requestId?: string;
};

/** Completes a request with the history that rules may look at. */
export const gatherAsk = async (deps: Pick<AccessDeps, 'db' | 'now'>, input: AskInput): Promise<Ask> => {
  const { extendsFrom, requestId, ...rest } = input;
  const at = deps.now();
  const refs = input.instances;
  const [used, lately] = await Promise.all([
    usedSeconds(deps.db, input.person.id, { refs, until: extendsFrom ?? at }),
    asksLately(deps.db, input.person.id, { refs, now: at, except: requestId ?? null }),
  ]);
  return { ...rest, at, usedSeconds: used, asksLately: lately };
};

/** The person's roles in these accounts, each once. */
export const gatherRoles = (
  deps: Pick<AccessDeps, 'roles'>,
  person: Person,
  instances: readonly InstanceRef[],
): Promise<PersonalRole[]> => {
  const accounts = [...new Set(instances.map((instance) => instance.accountId))];
  return Promise.all(accounts.map((accountId) => deps.roles.check(accountId, person)));
};

export type ReadyRole = Extract<PersonalRole, { state: 'ready' }>;

/** @throws Refusal `role_missing` that says in which account, and who mends it. */
export const requireRoles = (roles: readonly PersonalRole[]): ReadyRole[] =>
  roles.map((role) => {
    if (role.state === 'ready') return role;
    throw new Refusal('role_missing', { message: `${role.accountName}: ${role.advice}` });
  });
