/**
 * The list of what Curfew found and no row explains: one open row for one thing, an audit row when it appears and when it is gone,
 * one notice for each admin. Whoever sees it again only moves `lastSeen`.
 */
import { type Expression, type ExpressionBuilder, type Selectable, type SqlBool, sql } from 'kysely';
import { type Finding, type FindingKind, findingKinds } from '../../src/shared/views.ts';
import { appendAudit } from '../audit/chain.ts';
import { recordChange } from '../store/changes.ts';
import { newId } from '../store/ids.ts';
import { addNotices } from '../store/notices.ts';
import type { Db, Tx } from '../store/open.ts';
import type { Schema } from '../store/schema.ts';
import { hasAuthor } from './author-questions.ts';

/** What a finding is about: the same thing is never listed twice at a time. */
export type FindingKey = {
  kind: FindingKind;
  /** Null: of the installation, not of one account. */
  accountId: string | null;
  region: string | null;
  /** An ARN or a session id; cut to 300 characters. */
  subject: string;
};

export type NewFinding = FindingKey & {
  accountName: string | null;
  /** A sentence for people: what, and what Curfew did about it. */
  what: string;
  /** What to do now. */
  advice: string;
};

export type FindingRow = Selectable<Schema['findings']>;

const curfew = { kind: 'curfew' } as const;
const mostCharacters = 300;

const stillOpen =
  ({ kind, accountId, region, subject }: FindingKey) =>
  (eb: ExpressionBuilder<Schema, 'findings'>): Expression<SqlBool> =>
    eb.and([
      eb('kind', '=', kind),
      eb('account_id', 'is not distinct from', accountId),
      eb('region', 'is not distinct from', region),
      eb('subject', '=', subject.slice(0, mostCharacters)),
      eb('mended_at', 'is', null),
    ]);

const record = (tx: Tx, row: FindingRow, kind: 'finding_reported' | 'finding_mended', at: Date): Promise<number> =>
  appendAudit(tx, {
    kind,
    findingId: row.id,
    finding: row.kind,
    accountId: row.account_id,
    region: row.region,
    subject: row.subject,
    what: row.what,
    at: at.toISOString(),
    actor: curfew,
  });

/** Tells every admin once. `failed` is the kind of notice that backends of the version before know too. */
const tellAdmins = async (tx: Tx, row: FindingRow, { at, adminGroup }: { at: Date; adminGroup: string }) => {
  const admins = await tx
    .selectFrom('people')
    .select('id')
    .where('enabled', '=', true)
    .where(sql<boolean>`${adminGroup} = any(groups)`)
    .execute();
  const notices = admins.map(({ id: personId }) => ({
    personId,
    at,
    kind: 'failed' as const,
    title: row.account_name === null ? 'Curfew found something' : `Curfew found something in ${row.account_name}`,
    body: `${row.what} ${row.advice}`.slice(0, 1000),
    target: { kind: 'finding' as const, id: row.id },
  }));
  await addNotices(tx, notices);
  if (admins.length > 0) {
    await recordChange(tx, { topic: 'notices', ref: null, audience: admins.map(({ id }) => id) });
  }
};

/**
 * Writes down what was found. A new one gets its audit row and its notices in the same transaction.
 * @param when.at the instant at which it was seen.
 * @param when.adminGroup whose members are told; null tells nobody.
 * @param when.mended it was mended as it was found: the row is closed at once, and told all the same.
 */
export const noteFinding = (
  db: Db,
  found: NewFinding,
  when: { at: Date; adminGroup: string | null; mended?: boolean },
): Promise<'new' | 'known'> =>
  db.transaction().execute(async (tx) => {
    const { at, adminGroup, mended = false } = when;
    const { what, advice } = found;
    const known = await tx
      .updateTable('findings')
      .set({ what, advice, last_seen: sql<Date>`greatest(last_seen, ${at}::timestamptz)` })
      .where(stillOpen(found))
      .returningAll()
      .executeTakeFirst();
    if (known !== undefined) {
      if (mended) await close(tx, known, at);
      return 'known';
    }
    if (await endedJustNow(tx, found, at)) return 'known';
    const made = await tx
      .insertInto('findings')
      .values({
        id: newId('fnd'),
        kind: found.kind,
        account_id: found.accountId,
        account_name: found.accountName,
        region: found.region,
        subject: found.subject.slice(0, mostCharacters),
        what,
        advice,
        since: at,
        last_seen: at,
        mended_at: mended ? at : null,
        author: null,
        author_due_at: hasAuthor(found) ? at : null,
      })
      // Another backend saw it at the same time.
      .onConflict((conflict) => conflict.doNothing())
      .returningAll()
      .executeTakeFirst();
    if (made === undefined) return 'known';
    await record(tx, made, 'finding_reported', at);
    if (adminGroup !== null) await tellAdmins(tx, made, { at, adminGroup });
    return 'new';
  });

const close = async (tx: Tx, row: FindingRow, at: Date): Promise<void> => {
  await tx
    .updateTable('findings')
    .set({ mended_at: sql<Date>`greatest(since, ${at}::timestamptz)` })
    .where('id', '=', row.id)
    .execute();
  await record(tx, row, 'finding_mended', at);
  // Nobody but admins: they hear of everything.
  await recordChange(tx, { topic: 'me', ref: null, audience: [] });
};

/** A look that began before Curfew ended the session may still have seen it; its id is never given again. */
const endedJustNow = async (tx: Tx, found: FindingKey, at: Date): Promise<boolean> => {
  const row = await tx
    .selectFrom('findings')
    .select('id')
    .where('kind', '=', found.kind)
    .where('account_id', 'is not distinct from', found.accountId)
    .where('region', 'is not distinct from', found.region)
    .where('subject', '=', found.subject.slice(0, mostCharacters))
    .where('terminated_at', 'is not', null)
    .where('mended_at', '>', new Date(at.getTime() - 60_000))
    .executeTakeFirst();
  return row !== undefined;
};

/** It is not there any more. Does nothing when it was not listed. @returns whether it was. */
export const noteMended = async (db: Db, key: FindingKey, at: Date): Promise<boolean> => {
  // Nearly always nothing is listed: that costs one look and no transaction.
  if ((await db.selectFrom('findings').select('id').where(stillOpen(key)).executeTakeFirst()) === undefined)
    return false;
  return db.transaction().execute(async (tx) => {
    const row = await tx.selectFrom('findings').selectAll().where(stillOpen(key)).forUpdate().executeTakeFirst();
    if (row === undefined) return false;
    await close(tx, row, at);
    return true;
  });
};

/** Is anything of this kind listed as still there? */
export const anyOpen = async (db: Db, kind: FindingKind): Promise<boolean> => {
  const open = db.selectFrom('findings').select('id').where('kind', '=', kind).where('mended_at', 'is', null);
  return (await open.limit(1).executeTakeFirst()) !== undefined;
};

/** `region` null: of every region and of none. `begun`: before anything of AWS was read. `seen`: subjects that are still there. */
type Look = {
  kinds: readonly FindingKind[];
  accountId: string;
  region: string | null;
  begun: Date;
  seen: Iterable<string>;
};

const notSeenAgain = ({ kinds, accountId, region, begun, seen }: Look) => {
  const subjects = [...seen].map((subject) => subject.slice(0, mostCharacters));
  return (eb: ExpressionBuilder<Schema, 'findings'>): Expression<SqlBool> =>
    eb.and([
      eb('mended_at', 'is', null),
      eb('kind', 'in', [...kinds]),
      eb('account_id', '=', accountId),
      eb('subject', 'not in', ['', ...subjects]),
      // Another backend, whose look is newer, may have seen it meanwhile.
      eb('last_seen', '<', begun),
      ...(region === null ? [] : [eb('region', '=', region)]),
    ]);
};

/** Closes what a complete look at a place did not see again. */
export const mendUnseen = async (db: Db, look: Look, at: Date): Promise<number> => {
  const unseen = notSeenAgain(look);
  if ((await db.selectFrom('findings').select('id').where(unseen).limit(1).executeTakeFirst()) === undefined) return 0;
  return db.transaction().execute(async (tx) => {
    const rows = await tx.selectFrom('findings').selectAll().where(unseen).forUpdate().execute();
    for (const row of rows) await close(tx, row, at);
    return rows.length;
  });
};

type ShownRow = FindingRow & { by_name: string | null };

const endingOf = (row: ShownRow): Pick<Finding, 'ending'> => {
  const { by_name: by, end_asked_at: at, end_reason: reason, terminated_at: terminatedAt, end_problem: problem } = row;
  if (at === null || by === null || reason === null) return {};
  return {
    ending: { by, at: at.toISOString(), reason, terminatedAt: terminatedAt?.toISOString() ?? null, problem },
  };
};

const findingOf = (row: ShownRow): Finding => ({
  id: row.id,
  kind: row.kind,
  accountId: row.account_id,
  accountName: row.account_name,
  region: row.region,
  subject: row.subject,
  what: row.what,
  advice: row.advice,
  since: row.since.toISOString(),
  lastSeen: row.last_seen.toISOString(),
  mendedAt: row.mended_at?.toISOString() ?? null,
  ...endingOf(row),
  ...(row.author === null ? {} : { author: row.author }),
});

const shownRows = (db: Db) =>
  db
    .selectFrom('findings')
    .leftJoin('people', 'people.id', 'findings.end_asked_by')
    .selectAll('findings')
    .select('people.display_name as by_name');

/** One of them. For admins only: the caller sees to that. @throws when there is none of this id. */
export const loadFinding = async (db: Db, id: string): Promise<Finding> =>
  findingOf(await shownRows(db).where('findings.id', '=', id).executeTakeFirstOrThrow());

/** Newest first, open ones before those that are mended. For admins only: the caller sees to that. */
export const listFindings = async (db: Db, options: { openOnly: boolean; limit: number }): Promise<Finding[]> => {
  const rows = await shownRows(db)
    .$if(options.openOnly, (qb) => qb.where('mended_at', 'is', null))
    .orderBy(sql`mended_at is not null`)
    .orderBy('last_seen', 'desc')
    .orderBy('findings.id')
    .limit(options.limit)
    .execute();
  return rows.map(findingOf);
};

/** How many are open, of every kind: for the metric. */
export const countOpenFindings = async (db: Db): Promise<Map<FindingKind, number>> => {
  const rows = await db
    .selectFrom('findings')
    .select((eb) => ['kind', eb.fn.countAll().as('count')])
    .where('mended_at', 'is', null)
    .groupBy('kind')
    .execute();
  const counts = new Map<FindingKind, number>(findingKinds.map((kind) => [kind, 0]));
  for (const { kind, count } of rows) counts.set(kind, Number(count));
  return counts;
};
