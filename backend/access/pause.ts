/**
 * What a kill switch keeps from beginning (threats RQ-18): while one is on, whoever asks, decides, connects or extends within its scope
 * is refused. A switch is a row, so it holds for every backend on this database and survives restarts.
 */
import { sql } from 'kysely';
import { type InstanceRef, refKey } from '../../src/shared/access.ts';
import { Refusal } from '../../src/shared/refusal.ts';
import type { Paused } from '../../src/shared/views.ts';
import { type SwitchRow, scopeOf } from '../store/kill-switches.ts';
import type { Db, Tx } from '../store/open.ts';
import { plainRef } from './gather.ts';
import { instantOf } from './rows.ts';

/** Ids of everybody who has a part in it, and the instances it is about. */
export type Matter = { people: readonly string[]; instances: readonly InstanceRef[] };

/** Does this switch hold for any of it? */
const isHeldBy = (row: SwitchRow, { people, instances }: Matter): boolean => {
  const scope = scopeOf(row);
  switch (scope.kind) {
    case 'everything':
      return true;
    case 'account':
      return instances.some((ref) => ref.accountId === scope.accountId);
    case 'instance':
      return instances.some((ref) => refKey(ref) === refKey(scope.instance));
    case 'person':
      if (!people.includes(scope.personId)) return false;
      return row.within === null || instances.some((ref) => row.within?.includes(refKey(ref)) === true);
  }
};

const switchesOn = (db: Db) =>
  db
    .selectFrom('kill_switches')
    .innerJoin('people', 'people.id', 'kill_switches.by_id')
    .selectAll('kill_switches')
    .select('people.display_name as by_name')
    .where('lifted_at', 'is', null)
    .orderBy('at')
    .orderBy('kill_switches.id')
    .execute();

/** The sentence for a person: who stopped what, and why. */
const pausedWords = (row: Pick<SwitchRow, 'scope' | 'name' | 'reason'>, byName: string): string =>
  `${byName} stopped ${row.scope === 'everything' ? 'everything' : `all access ${row.scope === 'person' ? 'of' : 'to'} ${row.name}`}: “${row.reason}”`;

/** The database is older than its anchor, and nobody has confirmed yet that it was restored on purpose (trail-hold.ts). */
export const openHold = (db: Db) =>
  db.selectFrom('trail_holds').selectAll().where('confirmed_at', 'is', null).orderBy('found_at').executeTakeFirst();

/** What stops this matter now, and which of its instances; null: nothing. */
export const pausedNow = async (db: Db, matter: Matter): Promise<Paused | null> => {
  const hold = await openHold(db);
  if (hold !== undefined) {
    return {
      message: `Nothing is given until Curfew’s admin confirms that the database was restored. ${hold.what}`,
      by: null,
      at: instantOf(hold.found_at),
      instances: matter.instances.map(plainRef),
    };
  }
  const held = (await switchesOn(db)).find((row) => isHeldBy(row, matter));
  if (held === undefined) return null;
  const { people, instances } = matter;
  return {
    message: pausedWords(held, held.by_name),
    by: held.by_name,
    at: instantOf(held.at),
    instances: instances.filter((one) => isHeldBy(held, { people, instances: [one] })).map(plainRef),
  };
};

/** @throws Refusal `paused` that says who stopped it, when and why. */
export const assertNotPaused = async (db: Db, matter: Matter): Promise<void> => {
  const paused = await pausedNow(db, matter);
  if (paused === null) return;
  const { message, by, at } = paused;
  throw new Refusal('paused', { message, at, ...(by === null ? {} : { by }) });
};

const lockName = 'curfew kill switches';

/**
 * To be called first in every transaction that begins or lengthens access. Pulling a switch waits for all of these that run, and those
 * that come later wait for it: nothing slips in between.
 * @throws Refusal `paused`.
 */
export const beginUnlessPaused = async (tx: Tx, matter: Matter): Promise<void> => {
  // Two statements: the second one sees what was committed while the first one waited.
  await sql`select pg_advisory_xact_lock_shared(hashtextextended(${lockName}, 0))`.execute(tx);
  await assertNotPaused(tx, matter);
};

/** Waits until nothing that could begin access is in flight, and keeps it so until the transaction is over. */
export const keepOthersFromBeginning = async (tx: Tx): Promise<void> => {
  await sql`select pg_advisory_xact_lock(hashtextextended(${lockName}, 0))`.execute(tx);
};
