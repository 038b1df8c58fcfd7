/**
 * A database that is older than its anchor knows nothing of what ended, was withdrawn or revoked since (threats AU-02). Until an
 * admin confirms, nothing begins on it; what it takes for live is ended, because it may have ended long ago.
 */
import { randomUUID } from 'node:crypto';
import { existsSync } from 'node:fs';
import type { EndCause } from '../../src/shared/access.ts';
import { grantActions } from '../../src/shared/lifecycle.ts';
import { type Anchor, anchorHeads, compareWithAnchor, lastCommonRow, openAnchor, readAnchor } from '../audit/anchor.ts';
import { appendAudit } from '../audit/chain.ts';
import { type AuditKey, signHead, signRestore } from '../audit/heads.ts';
import type { Log } from '../log.ts';
import type { Db } from '../store/open.ts';
import type { AccessDeps } from './deps.ts';
import { endEverything, lockEverything } from './end.ts';
import { openHold } from './pause.ts';

const curfew = { kind: 'curfew' } as const;
const confirmCommand = 'npm run audit -- confirm-restore';

/** Ends what this database takes for live, person by person. */
const endStale = async (deps: Pick<AccessDeps, 'db' | 'sealKey' | 'now'>, until: Date): Promise<number> => {
  const { db } = deps;
  const owners = await db
    .selectFrom('grants')
    .select('person_id')
    .distinct()
    .where('state', 'in', [...grantActions.end])
    .where('approved_at', '<=', until)
    .execute();
  const cause: EndCause = { kind: 'inventory', what: 'the database was restored from a backup' };
  let ended = 0;
  for (const { person_id: personId } of owners) {
    await db.transaction().execute(async (tx) => {
      const ids = await lockEverything(tx, personId);
      await endEverything(tx, deps, { ids, cause, actor: curfew, at: deps.now() });
      ended += ids.length;
    });
  }
  return ended;
};

/**
 * Compares the database with its anchor, and holds everything when it is behind. Safe to repeat: what a crash left undone of it is
 * done by the next call.
 * @returns whether a hold stands now.
 */
const holdUnlessEven = async (
  deps: Pick<AccessDeps, 'db' | 'sealKey' | 'now'> & { anchor: Anchor; log: Log },
): Promise<boolean> => {
  const { db, anchor, log, now } = deps;
  const standing = await compareWithAnchor(db, anchor);
  let hold = await openHold(db);
  if (hold === undefined && standing.state === 'even') return false;
  if (hold === undefined && standing.state === 'behind') {
    const { what, anchored, trail } = standing;
    hold = await db.transaction().execute(async (tx) => {
      const made = await tx
        .insertInto('trail_holds')
        .values({ id: randomUUID(), found_at: now(), what, anchored_sequence: anchored, trail_sequence: trail })
        // Another backend saw it at the same time.
        .onConflict((conflict) => conflict.doNothing())
        .returningAll()
        .executeTakeFirst();
      if (made === undefined) return undefined;
      await appendAudit(tx, { kind: 'trail_held', what, at: now().toISOString(), actor: curfew });
      return made;
    });
    log.error({ event: 'trail_held', what }, `nothing is granted until an admin confirms: ${confirmCommand}`);
  }
  const ended = await endStale(deps, hold?.found_at ?? now());
  if (ended > 0) log.warn({ event: 'stale_grants_ended', ended }, 'ended what a restored database took for live');
  return true;
};

/**
 * An admin says that the database was restored on purpose: the anchor goes on from the newest row of this trail, and things may begin again.
 * @param by who, as they name themselves at the command line.
 * @returns what was held; null when nothing was.
 */
export const confirmRestore = async (
  deps: { db: Db; anchorFile: string; now: () => Date; key: AuditKey },
  by: string,
): Promise<string | null> => {
  const { db, anchorFile, now, key } = deps;
  const hold = await openHold(db);
  if (hold === undefined) return null;
  const after = existsSync(anchorFile) ? await lastCommonRow(db, readAnchor(anchorFile)) : 0;
  await db.transaction().execute(async (tx) => {
    const at = now();
    await appendAudit(tx, { kind: 'restore_confirmed', what: hold.what, by, at: at.toISOString(), actor: curfew });
    await tx.updateTable('trail_holds').set({ confirmed_at: at, confirmed_by: by }).where('id', '=', hold.id).execute();
    // Before it commits: a hold that is gone while the anchor still says otherwise would come back at the next look.
    openAnchor(anchorFile).append([{ kind: 'restored', head: await signRestore(tx, key, { after, now: at }) }]);
  });
  return hold.what;
};

/**
 * One round of care for the trail: signs its newest row, compares the database with the anchor, and anchors what is new. Before the
 * first one of a process nothing may begin.
 */
export const keepTrail = async (
  deps: Pick<AccessDeps, 'db' | 'sealKey' | 'now'> & { key: AuditKey; anchor: Anchor | null; log: Log },
): Promise<void> => {
  const { db, key, anchor, log, now } = deps;
  await signHead(db, key, now());
  if (anchor === null || (await holdUnlessEven({ ...deps, anchor }))) return;
  try {
    await anchorHeads(db, anchor, now());
  } catch (error) {
    // Endings must go on while the anchor's disk is full or away; the next round tries again.
    log.error({ event: 'anchor_failed', error }, 'signed heads could not be anchored');
  }
};
