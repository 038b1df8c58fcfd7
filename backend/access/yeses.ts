/** The yeses that a waiting request has already: whose counts, and whose counts no more (threats RQ-04, RQ-06, RQ-10, RQ-20). */
import type { AccessRequest, InstanceRef, Instant, Person } from '../../src/shared/access.ts';
import type { RuleSet } from '../rules/rules.ts';
import { recordChange } from '../store/changes.ts';
import { addNotices } from '../store/notices.ts';
import type { Db, Tx } from '../store/open.ts';
import type { PersonFacts } from '../store/people.ts';
import { decisionContent, decisionSealHolds } from '../store/seal.ts';
import type { AccessDeps } from './deps.ts';
import { type Ask, isSamePerson, mayDecide } from './judge.ts';
import { lookAgainWords } from './words.ts';

/** What was asked, and the hash over what a yes to it means now. */
type Asked = { request: AccessRequest; ask: Ask; seenHash: string };

export type Yes = { id: string; person: Person; at: Instant; instances: InstanceRef[]; durationSeconds: number };
/** Its giver as the identity store has them now, who may still decide. */
export type StandingYes = Yes & { giver: PersonFacts };
/**
 * `changed`: it was to something else; `may_not_decide`: its giver may not decide it any more; `same_person`: it is the second of one
 * human with two sign-ins. `giver`: null unless they may still decide.
 */
export type FallenYes = Yes & { why: 'changed' | 'may_not_decide' | 'same_person'; giver: PersonFacts | null };

/** `unsealed`: ids of people in whose names somebody put one into the database, which counts for nothing (threats AU-05). */
export type Yeses = { standing: StandingYes[]; fallen: FallenYes[]; unsealed: string[] };

type Row = { yes: Yes; seenHash: string | null; sealed: boolean };

/** Those that are still there, oldest first. */
const readYeses = async (deps: Pick<AccessDeps, 'db' | 'sealKey'>, request: AccessRequest): Promise<Row[]> => {
  const given = request.state === 'waiting' ? request.yeses : [];
  if (given.length === 0) return [];
  const rows = await deps.db.selectFrom('decisions').selectAll().where('request_id', '=', request.id).execute();
  const byId = new Map(rows.map((row) => [row.id, row]));
  return given.flatMap((decision) => {
    const row = byId.get(decision.id);
    if (row === undefined || decision.verdict !== 'yes' || decision.by.kind !== 'person') return [];
    const { id, at, instances, durationSeconds } = decision;
    const yes = { id, person: decision.by.person, at, instances, durationSeconds };
    return [{ yes, seenHash: row.seen_hash, sealed: decisionSealHolds(deps.sealKey, decisionContent(row), row.mac) }];
  });
};

/** Sorts the yeses of a request by whether they count now: for exactly what is there, by people who may decide, each human once. */
export const gatherYeses = async (
  deps: Pick<AccessDeps, 'db' | 'sealKey' | 'directory'>,
  set: RuleSet,
  { request, ask, seenHash }: Asked,
): Promise<Yeses> => {
  const standing: StandingYes[] = [];
  const fallen: FallenYes[] = [];
  const rows = await readYeses(deps, request);
  for (const { yes, seenHash: given, sealed } of rows) {
    if (!sealed) continue;
    const known = await deps.directory.person(yes.person.id);
    const giver = known !== null && mayDecide(set, ask, known) ? known : null;
    if (given !== seenHash) fallen.push({ ...yes, giver, why: 'changed' });
    else if (giver === null) fallen.push({ ...yes, giver, why: 'may_not_decide' });
    else if (standing.some((other) => isSamePerson(other.giver, giver))) {
      fallen.push({ ...yes, giver, why: 'same_person' });
    } else standing.push({ ...yes, giver });
  }
  return { standing, fallen, unsealed: rows.flatMap(({ yes, sealed }) => (sealed ? [] : [yes.person.id])) };
};

/** What tells this person that they said yes already; null when they did not, or to something that has changed since. */
export const saidYesAlready = ({ standing, fallen, unsealed }: Yeses, approver: PersonFacts): string | null => {
  const own = [...standing, ...fallen.filter(({ why }) => why !== 'changed')].some(
    ({ person }) => person.id === approver.id,
  );
  if (own || unsealed.includes(approver.id)) return 'You said yes already; it waits for somebody else.';
  const other = standing.find(({ giver }) => isSamePerson(giver, approver));
  return other === undefined ? null : `You said yes already as ${other.person.userName}; it waits for somebody else.`;
};

/**
 * Takes yeses that count no more off the request, so that a grant has behind it exactly the yeses that made it, and whoever gave one
 * may give another. They stay in the audit trail, where the decision that follows says that they count no more.
 */
export const setAside = async (tx: Tx, yeses: readonly Yes[]): Promise<void> => {
  if (yeses.length === 0) return;
  await tx
    .deleteFrom('decisions')
    .where(
      'id',
      'in',
      yeses.map(({ id }) => id),
    )
    .execute();
};

/** Asks people whose yes was to something else to look again. */
export const askAgain = async (
  tx: Tx,
  { request, people, at }: { request: AccessRequest; people: readonly Person[]; at: Date },
): Promise<void> => {
  if (people.length === 0) return;
  const words = lookAgainWords({ ...request, extends: request.purpose.kind === 'extend' });
  const target = { kind: 'request' as const, id: request.id };
  await addNotices(
    tx,
    people.map(({ id: personId }) => ({ personId, at, kind: 'to-approve' as const, ...words, target })),
  );
  await recordChange(tx, { topic: 'notices', ref: null, audience: people.map(({ id }) => id) });
};

/** When this person said yes to something that has changed since; null: they did not. The trail knows it also when the yes was set aside. */
export const changedSinceYes = async (
  db: Db,
  { request, seenHash }: Pick<Asked, 'request' | 'seenHash'>,
  personId: string,
): Promise<Instant | null> => {
  if (request.state !== 'waiting') return null;
  const last = await db
    .selectFrom('audit')
    .select('event')
    .where('request_id', '=', request.id)
    .where('kind', '=', 'request_decided')
    .where('actor_id', '=', personId)
    .orderBy('sequence', 'desc')
    .limit(1)
    .executeTakeFirst();
  if (last === undefined || last.event.kind !== 'request_decided' || last.event.seenHash === seenHash) return null;
  return last.event.at;
};
