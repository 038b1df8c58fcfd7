/**
 * Where the documents of a principal are. IAM users and groups are renamed and moved to other paths, and what hangs on them goes along in
 * AWS, while a row knows them by the name of before (decision 18). Where that name is nobody's, or somebody else's, a user is looked for by
 * its id, which is never given twice, and a group by what hangs on it: nothing is said to be gone that stands under another name.
 */
import { type Selectable, sql } from 'kysely';
import { effective, type PolicyWrite, type SeenDocument } from '../access-policy/policy-writes.ts';
import type { PolicyHolder } from '../access-policy/principal.ts';
import { sessionDocuments } from '../access-policy/session-document.ts';
import { AwsProblem } from '../aws/errors.ts';
import type { FoundUser } from '../aws/iam.ts';
import type { Schema } from '../store/schema.ts';
import { documentsHash } from './changes-of-state.ts';
import type { Moved, Pass } from './pass.ts';
import { isOwnSpilled } from './sweep-carried.ts';

/** Beside AWS's clock, which judges the dates in documents, ours may be wrong by this, milliseconds. */
const clockDoubtMs = 60_000;
const longestSessionMs = Math.max(...sessionDocuments.map(({ minutes }) => minutes)) * 60_000;

const namedIn = ({ state }: Pass): PolicyHolder => {
  const { account_id: accountId, kind, name } = state.principal;
  return { accountId, kind, name };
};

const holderOf = (pass: Pass): PolicyHolder => {
  const holder = namedIn(pass);
  return pass.moved ? { ...holder, name: pass.moved.name, formerName: holder.name } : holder;
};

/** The ARNs by which AWS may tell the sessions of this user: each keeps the one that it was begun by. */
export const userArns = ({ moved, state }: Pass): string[] => [state.principal.arn, ...(moved ? [moved.arn] : [])];

/** Is there another row of this user name? Its user left, or came after ours had another name. */
const hasNamesake = async ({ db, state }: Pass): Promise<boolean> => {
  const { id, account_id: accountId, name } = state.principal;
  const other = await db
    .selectFrom('principals')
    .select('id')
    .where('account_id', '=', accountId)
    .where('kind', '=', 'user')
    .where('name', '=', name)
    .where('id', '!=', id)
    .limit(1)
    .executeTakeFirst();
  return other !== undefined;
};

/**
 * The name of an IAM user who was deleted, or renamed, may be somebody else's now, who was granted access too: what is written there is
 * theirs, and the end of what hung on the old user must not take it away. Asked only where there are two rows of one name.
 */
const nameIsAnothers = async (pass: Pass): Promise<boolean> => {
  if (!(await hasNamesake(pass))) return false;
  const { account_id: accountId, name, arn, person_id: personId } = pass.state.principal;
  const user = await pass.deps.aws.iam.readUser(accountId, name);
  return user !== null && (user.userId !== personId || user.arn !== arn);
};

/** Who has the name now, if that is our user: perhaps on another path, with which AWS tells their sessions. */
const whoIsHere = async ({ deps, state }: Pass): Promise<FoundUser | null> => {
  const { account_id: accountId, name, person_id: personId } = state.principal;
  const user = await deps.aws.iam.readUser(accountId, name);
  return user?.userId === personId ? { arn: user.arn, name } : null;
};

/** Could anything of ours hang on this user, wherever it is? */
const mayHang = ({ state }: Pass): boolean => {
  const { document_hash: hash, managed_policies: managed } = state.principal;
  return hash !== null || managed > 0 || [...state.grants.values()].some(({ row }) => row.state !== 'ready');
};

/**
 * When nothing is open any more of what was written for the grants of this pass, wherever it stands: its dates are over, and so is the
 * longest session that may have begun in them. Null: nothing ever was.
 */
const overAt = ({ state }: Pass): number | null => {
  const ends = [...state.grants.values()].flatMap(({ row }) =>
    // Not `ends_at`: an early end moves that to the instant at which it was asked for.
    row.connected_at === null ? [] : [row.connected_at.getTime() + row.duration_seconds * 1000],
  );
  return ends.length === 0 ? null : Math.max(...ends) + longestSessionMs + clockDoubtMs;
};

/**
 * The value. Where AWS refuses it for good we know neither whether a document still stands nor whose sessions are theirs: nothing is said to
 * be gone, and admins hear of an ending that takes long, with AWS's answer. Not for ever: once all of it is over by its own dates,
 * `otherwise` is true.
 * @throws AwsProblem before that.
 */
const unlessOver = async <T>(pass: Pass, work: Promise<T>, otherwise: T): Promise<T> => {
  try {
    return await work;
  } catch (error) {
    const { deps, state } = pass;
    const end = overAt(pass);
    const over = end === null || deps.now().getTime() > end;
    if (!(error instanceof AwsProblem) || error.kind !== 'permanent' || !over) throw error;
    deps.log.error({ error, principal: state.principal.arn }, 'a user could not be looked for; what they had is over');
    return otherwise;
  }
};

/** By its id, as AWS has it now. An installation whose broker may not list users yet has the sweep's reading, which is dearer. */
const lookUp = async ({ deps, state }: Pass): Promise<FoundUser | null> => {
  const { account_id: accountId, person_id: personId, arn } = state.principal;
  if (personId === null) throw new Error(`The user ${arn} has no person`);
  try {
    return await deps.aws.iam.findUser(accountId, personId);
  } catch (error) {
    if (!(error instanceof AwsProblem) || error.code !== 'AccessDenied') throw error;
    deps.log.error({ error, principal: arn, advice: error.advice }, 'users may not be listed; all are read instead');
    const details = await deps.aws.reads.carrierDetails(accountId, 'user');
    return [...details.values()].find(({ id }) => id === personId) ?? null;
  }
};

const notYet = (code: string, call: string): AwsProblem =>
  new AwsProblem({ kind: 'retry', code, call, advice: 'This goes by in some seconds. Curfew asks again.' });

/**
 * Where a user is whose name is not there, or is another's; null: nowhere, it was deleted. What this pass has found is compared and not
 * looked for again; who was deleted does not come back.
 */
const whereIs = async (pass: Pass): Promise<Moved | null> => {
  const { deps, moved, state } = pass;
  const { account_id: accountId, arn, person_id: personId } = state.principal;
  if (moved === null) return null;
  if (moved !== undefined) {
    const user = await deps.aws.iam.readUser(accountId, moved.name);
    if (user?.userId === personId && user.arn === moved.arn) return moved;
  }
  const found = await unlessOver(pass, lookUp(pass), null);
  // One answer of IAM may be older than the other.
  if (found?.arn === arn) throw notYet('NotConsistentYet', 'iam:ListUsers');
  return found === null ? null : { arn: found.arn, name: found.name, namesake: await hasNamesake(pass) };
};

/** The name that the user has now, for words; null when that is not known. */
export const newNameOf = async (pass: Pass): Promise<string | null> => {
  try {
    return (await whereIs(pass))?.name ?? null;
  } catch (error) {
    if (error instanceof AwsProblem) return null;
    throw error;
  }
};

type PrincipalRow = Selectable<Schema['principals']>;

/** The row of this user as it is called now: made when they asked again. */
const rowOfNow = ({ db, state }: Pass, { arn }: Moved): Promise<PrincipalRow | undefined> =>
  db
    .selectFrom('principals')
    .selectAll()
    .where('account_id', '=', state.principal.account_id)
    .where('kind', '=', 'user')
    .where('person_id', '=', state.principal.person_id)
    .where('arn', '=', arn)
    .where('id', '!=', state.principal.id)
    .executeTakeFirst();

/**
 * The inline policy of a user who asked again under the new name is the other row's to write, whose pass takes ours off. It has done so when
 * what stands there is what it read back.
 * @throws AwsProblem before that; then it is due.
 */
const assertRewritten = async ({ db, deps }: Pass, other: PrincipalRow): Promise<void> => {
  const { id, account_id: accountId, name, managed_policies: managed, document_hash: hash } = other;
  const theirs = await deps.aws.iam.documents.read({ accountId, kind: 'user', name }, managed);
  if (documentsHash(effective(theirs)) === hash) return;
  await db
    .updateTable('principals')
    .set({ due_at: sql<Date>`least(due_at, ${deps.now()})` })
    .where('id', '=', id)
    .execute();
  throw notYet('NotRewrittenYet', 'iam:GetUserPolicy');
};

const readMoved = async (pass: Pass, moved: Moved, managed: number): Promise<SeenDocument[]> => {
  const { deps, state } = pass;
  const other = await rowOfNow(pass, moved);
  if (other !== undefined) await assertRewritten(pass, other);
  const documents =
    other?.name === state.principal.name ? [] : await deps.aws.iam.documents.read(holderOf(pass), managed);
  const own = other === undefined ? documents : documents.filter(({ slot }) => slot > 0);
  return moved.namesake ? own.filter(({ attached }) => attached) : own;
};

/** Names of groups that rows know: what hangs on those is another pass's. */
const groupsOnRecord = async ({ db, state }: Pass): Promise<Set<string>> => {
  const rows = await db
    .selectFrom('principals')
    .select('name')
    .where('account_id', '=', state.principal.account_id)
    .where('kind', '=', 'group')
    .execute();
  return new Set(rows.map(({ name }) => name));
};

/** A row knows no id of its group: the one that carries what is called ours, and that no row knows; or the one that this pass has found. */
const groupOfNow = async (pass: Pass): Promise<Moved | null> => {
  const { deps, moved } = pass;
  const named = namedIn(pass);
  const details = await deps.aws.reads.carrierDetails(named.accountId, 'group');
  const known = await groupsOnRecord(pass);
  const found = [...details.values()].find(
    ({ name, document, spilled }) =>
      !known.has(name) && (document !== null || spilled.some((arn) => isOwnSpilled(named, arn))),
  );
  if (found !== undefined) return { arn: found.arn, name: found.name, namesake: false };
  return moved && details.has(moved.name) ? moved : null;
};

const readOfGroup = async (pass: Pass, managed: number): Promise<SeenDocument[]> => {
  const { iam } = pass.deps.aws;
  const { accountId, name } = namedIn(pass);
  const here = await iam.documents.read(namedIn(pass), managed);
  if (effective(here).length > 0 || !mayHang(pass) || (await iam.readGroup(accountId, name)) !== null) {
    pass.moved = undefined;
    return here;
  }
  pass.moved = await unlessOver(pass, groupOfNow(pass), null);
  return pass.moved === null ? here : unlessOver(pass, iam.documents.read(holderOf(pass), managed), []);
};

/**
 * Reads what the principal has of ours, wherever its user or group is now, and notes that in the pass. All are listed only when nothing of
 * ours is under the name that the row has and that name is not the user's or the group's.
 */
export const readDocuments = async (pass: Pass, managed: number): Promise<SeenDocument[]> => {
  const { documents } = pass.deps.aws.iam;
  const { kind } = pass.state.principal;
  if (kind === 'role') return documents.read(namedIn(pass), managed);
  if (kind === 'group') return readOfGroup(pass, managed);
  const anothers = await nameIsAnothers(pass);
  const here = anothers ? [] : await documents.read(namedIn(pass), managed);
  if (effective(here).length > 0 || !mayHang(pass)) {
    pass.moved = undefined;
    return here;
  }
  // Asked for after it was read: a user who is renamed in between is not taken for one with nothing on it.
  const user = anothers ? null : await whoIsHere(pass);
  if (user !== null) {
    pass.moved = user.arn === pass.state.principal.arn ? undefined : { ...user, namesake: await hasNamesake(pass) };
    return here;
  }
  pass.moved = await whereIs(pass);
  return pass.moved === null ? here : unlessOver(pass, readMoved(pass, pass.moved, managed), []);
};

/** One step, where `readDocuments` has found the user. @throws AwsProblem when it is another row's to make by now: then it is read again. */
export const writeDocument = async (pass: Pass, write: PolicyWrite): Promise<void> => {
  const { deps, moved } = pass;
  // It hangs on somebody else perhaps, who has the name now: it is only taken off. The sweep deletes what nobody needs.
  if (moved?.namesake === true && write.do === 'delete' && write.slot > 0) return;
  // They may have asked again, under the new name, since it was read.
  const inline = moved && write.slot === 0;
  if (inline && (await rowOfNow(pass, moved)) !== undefined) throw notYet('NotRewrittenYet', 'iam:DeleteUserPolicy');
  await deps.aws.iam.documents.write(holderOf(pass), write);
};
