/**
 * Whom an IAM group reaches, and whom it reached: who leaves a group keeps the sessions that it let them open (aws-facts 3.1), so
 * members are on record from the moment access is given until the last receipt there is sealed (threats RQ-20).
 */
import { sql } from 'kysely';
import { userOwnerArn } from '../access-policy/principal.ts';
import type { Iam } from '../aws/iam.ts';
import type { Db } from '../store/open.ts';

/** What began longer than this after a member was last seen in the group is no more the group's doing, milliseconds. */
const reachesMs = 600_000;

export type MembersDeps = { db: Db; iam: Pick<Iam, 'readGroup'>; now: () => Date };

/** A group that carries access, as its row names it. */
export type CarryingGroup = { id: string; account_id: string; name: string };

/** Somebody who was in the group when it had access, and is not any more. */
export type FormerMember = { principalId: string; group: string; userName: string; seenAt: Date };

const unfinished = sql`(state in ('granting', 'active', 'ending') or (state = 'ended' and receipt ->> 'stage' = 'gone'))`;

const noteMembers = async (db: Db, principalId: string, userNames: readonly string[], at: Date): Promise<void> => {
  await sql`
    insert into group_members (principal_id, user_name, seen_at)
    select ${principalId}, name, ${at}::timestamptz from unnest(${userNames}::text[]) as name
    where exists (select from grants where principal_id = ${principalId} and state in ('granting', 'active', 'ending'))
    order by name
    on conflict (principal_id, user_name) do update set seen_at = greatest(group_members.seen_at, excluded.seen_at)
  `.execute(db);
  await sql`
    delete from group_members where principal_id = ${principalId}
      and not exists (select from grants where principal_id = ${principalId} and ${unfinished})
  `.execute(db);
};

/** `readGroup`, which puts the members that it read of this principal on record while access hangs there. */
export const notingMembers = ({ db, iam, now }: MembersDeps, principalId: string): Pick<Iam, 'readGroup'> => ({
  readGroup: async (accountId, name) => {
    // Before the answer: whoever is in it was a member then.
    const at = now();
    const group = await iam.readGroup(accountId, name);
    const userNames = (group?.members ?? []).map(({ userName }) => userName);
    await noteMembers(db, principalId, userNames, at);
    return group;
  },
});

const readFormer = async (db: Db, { id, name }: CarryingGroup, members: readonly string[]): Promise<FormerMember[]> => {
  // What stands there from grants of before those that are unfinished now says nothing about them.
  const { rows } = await sql<{ user_name: string; seen_at: Date }>`
    select user_name, seen_at from group_members
    where principal_id = ${id} and not user_name = any(${members}::text[])
      and seen_at >= (select min(connected_at) from grants where principal_id = ${id} and ${unfinished})
  `.execute(db);
  return rows.map((row) => ({ principalId: id, group: name, userName: row.user_name, seenAt: row.seen_at }));
};

/**
 * Who is in the group now, and who was while it had what is not finished yet.
 * @throws AwsProblem when IAM cannot be asked.
 */
export const readReach = async (
  deps: MembersDeps,
  group: CarryingGroup,
): Promise<{ members: string[]; former: FormerMember[] }> => {
  const seen = await notingMembers(deps, group.id).readGroup(group.account_id, group.name);
  const members = (seen?.members ?? []).map(({ userName }) => userName);
  return { members, former: await readFormer(deps.db, group, members) };
};

/** Could this session have come from their time in the group? */
export const isFromThen = ({ seenAt }: FormerMember, { startedAt }: { startedAt: Date | null }): boolean =>
  startedAt === null || startedAt.getTime() <= seenAt.getTime() + reachesMs;

/** The owner of their sessions, as looks compare it. */
export const formerOwner = (partition: string, accountId: string, { userName }: FormerMember): string =>
  userOwnerArn(partition, accountId, userName);
