/** What the app tells about sessions that it opened under a grant. */
import { type InstanceRef, type Instant, refKey } from '../../src/shared/access.ts';
import { Refusal } from '../../src/shared/refusal.ts';
import { appendAudit } from '../audit/chain.ts';
import { tellChange } from '../store/changes.ts';
import { refOfRow } from '../store/instances.ts';
import type { Db, Tx } from '../store/open.ts';
import { loadPeople } from '../store/people.ts';
import { known } from '../store/rows.ts';
import { type Reader, visibleTo } from '../store/visibility.ts';

type SessionDeps = { db: Db; now: () => Date };

const grantOf = (db: Db, reader: Reader, grantId: string) =>
  db
    .selectFrom('grants')
    .innerJoin('principals', 'principals.id', 'grants.principal_id')
    .select(['grants.id', 'grants.request_id', 'grants.person_id', 'grants.account_id', 'grants.state'])
    .innerJoin('people', 'people.id', 'grants.person_id')
    .select(['principals.kind', 'principals.session_name', 'people.user_name'])
    .where('grants.id', '=', grantId)
    .where(visibleTo(reader).grants)
    .executeTakeFirst();
type GrantFacts = NonNullable<Awaited<ReturnType<typeof grantOf>>>;

const about = async (tx: Tx, grant: GrantFacts) => ({
  grantId: grant.id,
  requestId: grant.request_id,
  owner: known(await loadPeople(tx, [grant.person_id]), grant.person_id),
  accountId: grant.account_id,
});

/** @throws Refusal `not_found` when the reader may not see the grant, `not_allowed` when it is not theirs. */
const ownGrant = async (db: Db, reader: Reader, grantId: string): Promise<GrantFacts> => {
  const grant = await grantOf(db, reader, grantId);
  if (grant === undefined) throw new Refusal('not_found');
  if (grant.person_id !== reader.person.id) throw new Refusal('not_allowed');
  return grant;
};

/**
 * A session began. Telling it twice changes nothing but the instant at which the app's own timer closes it (`closesAt`): an extension
 * moves that.
 * @throws Refusal `wrong_state` when the grant gives no access now, `invalid_input` when the session is not of this grant.
 */
export const sessionStarted = async (
  { db, now }: SessionDeps,
  reader: Reader,
  input: { grantId: string; instance: InstanceRef; sessionId: string; closesAt?: Instant | undefined },
): Promise<void> => {
  const { closesAt } = input;
  const grant = await ownGrant(db, reader, input.grantId);
  if (grant.state !== 'active' && grant.state !== 'granting') throw new Refusal('wrong_state');
  const instances = await db.selectFrom('grant_instances').selectAll().where('grant_id', '=', grant.id).execute();
  if (!instances.some((row) => refKey(refOfRow(row)) === refKey(input.instance))) {
    throw new Refusal('invalid_input', { path: 'instance', message: 'is not part of this grant' });
  }
  // Session ids are made of the role session name or the IAM user's name, a dash and random letters (aws-facts 4.4).
  const name = grant.kind === 'group' ? grant.user_name : grant.session_name;
  if (!input.sessionId.startsWith(`${name}-`)) {
    throw new Refusal('invalid_input', { path: 'sessionId', message: 'is not a session of this person’s role' });
  }
  const { accountId: account_id, region, instanceId: instance_id } = input.instance;
  await db.transaction().execute(async (tx) => {
    const added = await tx
      .insertInto('sessions')
      .values({
        id: input.sessionId,
        grant_id: grant.id,
        account_id,
        region,
        instance_id,
        started_at: now(),
        ended_at: null,
        closes_at: closesAt === undefined ? null : new Date(closesAt),
      })
      .onConflict((conflict) => conflict.column('id').doNothing())
      .executeTakeFirst();
    if (added.numInsertedOrUpdatedRows !== 1n) {
      if (closesAt === undefined) return;
      const moved = await tx
        .updateTable('sessions')
        .set({ closes_at: new Date(closesAt) })
        .where('id', '=', input.sessionId)
        .where('grant_id', '=', grant.id)
        .where('ended_at', 'is', null)
        .where('closes_at', 'is distinct from', new Date(closesAt))
        .executeTakeFirst();
      if (moved.numUpdatedRows === 1n)
        await tellChange(tx, { topic: 'grants', id: grant.id, requestId: grant.request_id });
      return;
    }
    await appendAudit(tx, {
      kind: 'session_started',
      at: now().toISOString(),
      actor: { kind: 'person', person: reader.person },
      sessionId: input.sessionId,
      instance: input.instance,
      ...(closesAt === undefined ? {} : { closesAt }),
      ...(await about(tx, grant)),
    });
    await tellChange(tx, { topic: 'grants', id: grant.id, requestId: grant.request_id });
  });
};

/** A session is over, says its owner. Telling it twice, or after the backend saw it itself, changes nothing. */
export const sessionEnded = async ({ db, now }: SessionDeps, reader: Reader, sessionId: string): Promise<void> => {
  const session = await db
    .selectFrom('sessions')
    .selectAll()
    .where('sessions.id', '=', sessionId)
    .where(visibleTo(reader).sessions)
    .executeTakeFirst();
  if (session === undefined) throw new Refusal('not_found');
  const grant = await ownGrant(db, reader, session.grant_id);
  await db.transaction().execute(async (tx) => {
    const ended = await tx
      .updateTable('sessions')
      .set({ ended_at: now() })
      .where('id', '=', sessionId)
      .where('ended_at', 'is', null)
      .executeTakeFirst();
    if (ended.numUpdatedRows !== 1n) return;
    await appendAudit(tx, {
      kind: 'session_ended',
      at: now().toISOString(),
      actor: { kind: 'person', person: reader.person },
      sessionId,
      instance: refOfRow(session),
      ...(await about(tx, grant)),
    });
    await tellChange(tx, { topic: 'grants', id: grant.id, requestId: grant.request_id });
  });
};
