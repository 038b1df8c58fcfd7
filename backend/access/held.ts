/** What no rule may give by itself, whatever it says: instances whose trusted tags changed lately or could not be read (threats RQ-07). */
import { type Because, type Instance, refKey, type TagChange } from '../../src/shared/access.ts';
import { limits } from '../../src/shared/limits.ts';
import { type InstanceRow, loadInstancesByRef } from '../store/instances.ts';
import type { Db } from '../store/open.ts';

/** Why a person decides, by `refKey`; an instance that a rule may give is not in it. */
export type Held = ReadonlyMap<string, readonly Because[]>;

/** Where a person decides in any case, or nobody does. */
export const nothingHeld: Held = new Map();

/** Trusted tags of an instance that changed in the 24 h before `now`, oldest first. */
export const changedLately = (row: Pick<InstanceRow, 'tag_changes'>, now: Date): TagChange[] => {
  const since = now.getTime() - limits.tagChangeSeconds * 1000;
  return row.tag_changes.filter(({ at }) => Date.parse(at) > since);
};

const nameOf = ({ name, instanceId }: Instance): string => name || instanceId;

/** The newest change of each tag. */
const changedTags = (instance: Instance, changes: readonly TagChange[]): Because[] =>
  [...new Map(changes.map((change) => [change.key, change])).values()].map(({ key, at }) => ({
    kind: 'tag-changed',
    name: nameOf(instance),
    key,
    at,
  }));

/**
 * What is held of these instances. Read it after the instances themselves: a tag that changes in between is then noticed.
 * @param unread of those, what AWS could not tell about now.
 */
export const gatherHeld = async (
  db: Db,
  instances: readonly Instance[],
  { now, unread }: { now: Date; unread: ReadonlySet<string> },
): Promise<Held> => {
  const rows = await loadInstancesByRef(db, instances);
  const reasons = instances.map((instance): [string, Because[]] => {
    const key = refKey(instance);
    const row = rows.get(key);
    const changes = row === undefined ? [] : changedLately(row, now);
    const notRead: Because[] = unread.has(key) ? [{ kind: 'tags-unread', name: nameOf(instance) }] : [];
    return [key, [...changedTags(instance, changes), ...notRead]];
  });
  return new Map(reasons.filter(([, because]) => because.length > 0));
};
