/**
 * Who did what a finding is about, asked of CloudTrail (threats AWS-12, AWS-13). It comes late and may be forbidden, so nothing waits for
 * it: the finding is written and mended without, and is asked about again, less and less often, for an hour.
 */
import { sql } from 'kysely';
import type { FoundAuthor } from '../../src/shared/views.ts';
import { managedPolicyArn } from '../access-policy/principal.ts';
import { appendAudit } from '../audit/chain.ts';
import type { CloudTrail, TrailEvent } from '../aws/cloudtrail.ts';
import { onErrand } from '../aws/errand.ts';
import { AwsProblem } from '../aws/errors.ts';
import type { AccountConfig, Config } from '../config.ts';
import type { Log } from '../log.ts';
import { takeDuty } from '../store/backends.ts';
import { recordChange } from '../store/changes.ts';
import type { Db } from '../store/open.ts';
import { thoroughMsOf } from './account-sweep.ts';
import { questionOf } from './author-questions.ts';
import type { FindingRow } from './findings.ts';

export type AuthorDeps = {
  db: Db;
  trail: CloudTrail;
  config: Pick<Config, 'partition' | 'accounts' | 'intervals'>;
  now: () => Date;
  log: Log;
};

const minute = 60_000;
const together = 20;
/** How often some backend looks whether something is to be asked, ms. */
const everyMs = 5_000;
/** After this long CloudTrail knows what there is to know. */
const settledMs = 20 * minute;
const askedForMs = 60 * minute;
/** A change is found by the next sweep; one long before that is another one. */
const lookBackMs = 24 * 60 * minute;

/** Our own two roles. */
const isOurs = ({ brokerRoleArn, provisionerRoleArn }: AccountConfig, { role }: TrailEvent): boolean =>
  role === brokerRoleArn || role === provisionerRoleArn;

const managedOf = async ({ db, config }: AuthorDeps, { kind, subject }: FindingRow): Promise<string[]> => {
  if (kind !== 'changed_document') return [];
  const row = await db.selectFrom('principals').selectAll().where('arn', '=', subject).executeTakeFirst();
  if (row === undefined) return [];
  const holder = { accountId: row.account_id, kind: row.kind, name: row.name };
  return Array.from({ length: Math.min(3, row.managed_policies) }, (_, at) =>
    managedPolicyArn(config.partition, holder, at + 1),
  );
};

/** Curfew mends what it finds at once, and events tell whole seconds: what it did then is no answer. */
const mendingMs = 2_000;

/**
 * The newest call that did it before it was found. Where Curfew writes too it must be somebody else's: when it is one of ours, what
 * somebody did after it is not known yet, and what somebody did before it was put right by it.
 */
const ask = async (deps: AuthorDeps, row: FindingRow, account: AccountConfig): Promise<TrailEvent | null> => {
  const { kind, subject, region } = row;
  const question = questionOf({ kind, subject, region, managed: await managedOf(deps, row) });
  if (question === null) return null;
  const time = { from: new Date(row.since.getTime() - lookBackMs), until: row.since };
  const ours = (event: TrailEvent): boolean => question.weWriteToo && isOurs(account, event);
  const did = (event: TrailEvent): boolean =>
    question.did(event) && !(ours(event) && event.at.getTime() > row.since.getTime() - mendingMs);
  let newest: TrailEvent | null = null;
  for (const lookup of question.lookups) {
    const found = await deps.trail.newestAbout(account.id, { ...lookup, ...time }, did);
    if (found !== null && (newest === null || found.at > newest.at)) newest = found;
  }
  return newest !== null && ours(newest) ? null : newest;
};

/** CloudTrail's answer as it stands. One from before the last comparison may be of another change: the right one is on its way perhaps. */
const authorOf = (
  event: TrailEvent | null,
  row: FindingRow,
  when: { ageMs: number; comparedMs: number },
): FoundAuthor => {
  const { ageMs, comparedMs } = when;
  const fresh = event !== null && event.at.getTime() >= row.since.getTime() - comparedMs - 2 * minute;
  if (event !== null && (fresh || ageMs >= settledMs)) {
    return { kind: 'known', who: event.who, at: event.at.toISOString(), from: event.from, did: event.name };
  }
  return { kind: ageMs >= askedForMs ? 'unknown' : 'waiting' };
};

const answer = async (deps: AuthorDeps, row: FindingRow, when: { ageMs: number; comparedMs: number }) => {
  const account = deps.config.accounts.find(({ id }) => id === row.account_id);
  if (account === undefined) return { kind: 'unknown' } as const;
  try {
    return authorOf(await ask(deps, row, account), row, when);
  } catch (error) {
    if (!(error instanceof AwsProblem)) throw error;
    deps.log.warn({ error, findingId: row.id }, 'CloudTrail could not be asked who did it');
    return { kind: error.kind === 'permanent' ? 'refused' : 'waiting' } as const;
  }
};

const keep = (deps: AuthorDeps, row: FindingRow, kept: { author: FoundAuthor; dueAt: Date | null }): Promise<void> =>
  deps.db.transaction().execute(async (tx) => {
    const { author, dueAt } = kept;
    const text = JSON.stringify(author);
    const changed = await tx
      .updateTable('findings')
      .set({ author: text })
      .where('id', '=', row.id)
      .where(sql<boolean>`author is distinct from ${text}::jsonb`)
      .executeTakeFirst();
    await tx.updateTable('findings').set({ author_due_at: dueAt }).where('id', '=', row.id).execute();
    if (changed.numUpdatedRows === 0n) return;
    if (author.kind === 'known') {
      await appendAudit(tx, {
        kind: 'finding_author',
        at: deps.now().toISOString(),
        actor: { kind: 'curfew' },
        findingId: row.id,
        accountId: row.account_id,
        subject: row.subject,
        who: author.who,
        did: author.did,
        didAt: author.at,
        from: author.from,
      });
    }
    // Nobody but admins: they hear of everything.
    await recordChange(tx, { topic: 'me', ref: null, audience: [] });
  });

/** So long a finding is one backend's: several lookups at one a second take their time. */
const claimMs = minute;

/** @returns false when another backend is at it. */
const claim = async ({ db, now }: AuthorDeps, row: FindingRow): Promise<boolean> => {
  const claimed = await db
    .updateTable('findings')
    .set({ author_due_at: new Date(now().getTime() + claimMs) })
    .where('id', '=', row.id)
    .where('author_due_at', '=', row.author_due_at)
    .executeTakeFirst();
  return claimed.numUpdatedRows > 0n;
};

const askOne = async (deps: AuthorDeps, row: FindingRow): Promise<void> => {
  const now = deps.now().getTime();
  const sweepMs = deps.config.intervals.sweepSeconds * 1000;
  const when = { ageMs: now - row.since.getTime(), comparedMs: thoroughMsOf(sweepMs) };
  const author = await answer(deps, row, when);
  const over = when.ageMs >= askedForMs || (author.kind === 'known' && when.ageMs >= settledMs);
  const dueAt = over ? null : new Date(now + Math.max(sweepMs, when.ageMs / 2));
  await keep(deps, row, { author, dueAt });
};

/**
 * Asks about the findings that are due. Call it every few seconds; it asks AWS only when one is.
 * @returns how many were due.
 */
export const findAuthors = async (deps: AuthorDeps): Promise<number> => {
  const rows = await deps.db
    .selectFrom('findings')
    .selectAll()
    .where('author_due_at', '<=', deps.now())
    .orderBy('author_due_at')
    .limit(together)
    .execute();
  if (rows.length === 0 || !(await takeDuty(deps.db, 'authors of findings', everyMs * 0.8))) return 0;
  for (const row of rows) {
    try {
      if (await claim(deps, row)) await onErrand({ urgency: 'looking' }, () => askOne(deps, row));
    } catch (error) {
      deps.log.error({ error, findingId: row.id }, 'a finding’s author could not be looked for');
    }
  }
  return rows.length;
};
