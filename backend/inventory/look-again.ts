/**
 * A second look at a few instances, for somebody who waits: before access is given, tags are read from AWS again (threats RQ-07). What it
 * finds is kept as any reading is. Those who come while a place is being looked at share the next look: after an incident everybody asks.
 */
import { type InstanceRef, refKey } from '../../src/shared/access.ts';
import { onErrand } from '../aws/errand.ts';
import { AwsProblem } from '../aws/errors.ts';
import type { Ssm } from '../aws/ssm.ts';
import type { Log } from '../log.ts';
import type { Db } from '../store/open.ts';
import { groupBy } from '../store/rows.ts';
import { keepReading, type Place } from './keep.ts';

/** `unread`: those that AWS could not tell about in time, by `refKey`; what is known of them is as old as it was. Faults are thrown. */
export type LookAgain = (refs: readonly InstanceRef[]) => Promise<{ unread: ReadonlySet<string> }>;

type LookAgainDeps = {
  db: Db;
  ssm: Pick<Ssm, 'managedInstances' | 'tagsOf'>;
  trustedTags: readonly string[];
  patienceMs: number;
  now: () => Date;
  log: Log;
};

const lookAt = async (deps: LookAgainDeps, place: Place, ids: readonly string[]): Promise<void> => {
  const { db, ssm, trustedTags, now } = deps;
  const { accountId, region } = place;
  const readAt = now();
  const ofEc2 = ids.filter((id) => id.startsWith('i-'));
  const [managed, tags] = await onErrand({ urgency: 'beginning' }, () =>
    Promise.all([ssm.managedInstances(accountId, region, ids), ssm.tagsOf(accountId, region, ofEc2)]),
  );
  const found = managed
    .filter(({ instanceId }) => ids.includes(instanceId))
    .map((one) => ({ ...one, tags: tags.get(one.instanceId) ?? {} }));
  await keepReading(db, place, { found, readAt, only: ids, trustedTags });
};

/** @returns whether the work was done in time. @throws what it throws within that time. */
const within = async (ms: number, work: Promise<void>): Promise<boolean> => {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<'late'>((resolve) => {
    timer = setTimeout(() => resolve('late'), ms);
  });
  try {
    return (await Promise.race([work, late])) !== 'late';
  } finally {
    clearTimeout(timer);
  }
};

/** A look that hangs holds up the next one for this long at most. */
const mostWaitMs = 1_000;

/** Looks at one place, one after the other. The promise is of a look that began after the call. */
const createPlaceLooks = (look: (ids: readonly string[]) => Promise<void>) => {
  const going = new Set<Promise<void>>();
  let newest: Promise<void> | null = null;
  let next: { ids: Set<string>; done: Promise<void> } | null = null;
  const begin = (ids: Iterable<string>): Promise<void> => {
    const done = look([...ids]);
    // How it fails is for those who asked; whoever comes next has a look of their own.
    const over = done
      .catch(() => undefined)
      .finally(() => {
        going.delete(over);
        if (newest === over) newest = null;
      });
    going.add(over);
    newest = over;
    return done;
  };
  const beginNext = (): Promise<void> => {
    const ids = next?.ids ?? [];
    next = null;
    return begin(ids);
  };
  return {
    look: (ids: readonly string[]): Promise<void> => {
      if (next === null) {
        if (newest === null) return begin(ids);
        next = { ids: new Set(), done: within(mostWaitMs, newest).then(beginNext) };
      }
      for (const id of ids) next.ids.add(id);
      return next.done;
    },
    done: async (): Promise<void> => {
      await next?.done.catch(() => undefined);
      await Promise.all(going);
    },
  };
};

/** @param places all that are configured: what is known of others is not read any more. */
export const createLookAgain = (deps: LookAgainDeps, places: readonly Place[]) => {
  const { log, patienceMs } = deps;
  const looks = new Map(
    places.map((place) => [`${place.accountId}/${place.region}`, createPlaceLooks((ids) => lookAt(deps, place, ids))]),
  );
  /** Whether these were read. */
  const read = async (where: string, ids: readonly string[]): Promise<boolean> => {
    const work = looks.get(where)?.look(ids);
    if (work === undefined) return false;
    try {
      const inTime = await within(patienceMs, work);
      if (inTime) return true;
      work.catch((error: unknown) => log.warn({ error, where }, 'a late look at instances failed'));
      log.warn({ where, patienceMs }, 'AWS did not tell about instances in time');
    } catch (error) {
      if (!(error instanceof AwsProblem)) throw error;
      log.warn({ error, where }, 'AWS did not tell about instances');
    }
    return false;
  };
  const look: LookAgain = async (refs) => {
    const byPlace = [...groupBy(refs, ({ accountId, region }) => `${accountId}/${region}`)];
    const unread = await Promise.all(
      byPlace.map(async ([where, here]) => {
        const ids = here.map(({ instanceId }) => instanceId);
        return (await read(where, ids)) ? [] : here.map(refKey);
      }),
    );
    return { unread: new Set(unread.flat()) };
  };
  return { look, done: () => Promise.all([...looks.values()].map(({ done }) => done())) };
};
