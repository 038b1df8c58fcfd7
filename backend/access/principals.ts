/** A person's principal in an account, and what its access policy carries and would carry. */
import type { InstanceRef, Person } from '../../src/shared/access.ts';
import { Refusal } from '../../src/shared/refusal.ts';
import type { PolicyCarrier } from '../access-policy/compile.ts';
import { type PlannedGrant, roomFor } from '../access-policy/headroom.ts';
import { personalRoleName, roleSessionName } from '../access-policy/principal.ts';
import { identityStoreOf, policyPlaceOf } from '../config.ts';
import { refOfRow } from '../store/instances.ts';
import type { Db, Tx } from '../store/open.ts';
import { groupBy } from '../store/rows.ts';
import type { AccessDeps } from './deps.ts';
import { plainRef, type ReadyRole } from './gather.ts';

type PrincipalDeps = Pick<AccessDeps, 'config'>;

/** What carries a person's access in an account, by the configuration. Names as IAM has them, without path. */
type Carried = { kind: 'role'; name: string; sessionName: string } | { kind: 'user' | 'group'; name: string };

const carriedBy = ({ config }: PrincipalDeps, accountId: string, person: Person): Carried => {
  const principal = config.accounts.find(({ id }) => id === accountId)?.principal;
  if (principal?.kind === 'group') return { kind: 'group', name: principal.group };
  if (principal?.kind === 'user') return { kind: 'user', name: person.userName };
  return {
    kind: 'role',
    name: personalRoleName(identityStoreOf(config).identityStoreId, person.id),
    sessionName: roleSessionName(person.userName, person.id),
  };
};

/** A role or a group is known by what it is called for good; a group's members share one. */
const principalId = (accountId: string, carried: Carried, personId: string): string =>
  carried.kind === 'group' ? `${accountId}/group/${carried.name}` : `${accountId}/${personId}/1`;

/** The name within an IAM user's ARN, which may have a path before it. */
const nameIn = (userArn: string): string => userArn.slice(userArn.lastIndexOf('/') + 1);

/** What a grant needs of its principal's row. */
export type PrincipalRef = { id: string; arn: string };

/** Which row of the person's it is, or is to be, and what it is called. */
type RowOf = { id: string; slot: number; name: string; sessionName: string; dueAt: Date };

/**
 * An IAM user keeps its id but not its name or path, by which it is written to and its sessions are known. So each ARN that a person had has
 * a row of its own: what is left on the old one ends there, and its seals and receipts stay true.
 */
const rowOfUser = async (
  tx: Tx,
  { accountId, roleArn: arn }: ReadyRole,
  { person, dueAt, now }: { person: Person; dueAt: Date; now: Date },
): Promise<RowOf> => {
  const rows = await tx
    .selectFrom('principals')
    .select(['id', 'slot', 'arn'])
    .where('account_id', '=', accountId)
    .where('person_id', '=', person.id)
    .execute();
  // By the ARN that was checked and not by the person's name: one of the two may be a minute older than the other.
  const name = nameIn(arn);
  const known = rows.find((row) => row.arn === arn);
  if (known !== undefined) return { id: known.id, slot: known.slot, name, sessionName: name, dueAt };
  const slot = 1 + Math.max(0, ...rows.map((row) => row.slot));
  const id = `${accountId}/${person.id}/${slot}`;
  // What was written on the user under another name went along with it: a pass sees that and takes it off now, not with the first connect.
  return { id, slot, name, sessionName: name, dueAt: rows.length === 0 ? dueAt : now };
};

/**
 * The rows of the person's principals, made when they are missing and locked; the reconciler will look at them at `dueAt`.
 * A role session name stays when the person is renamed. Call before anything appends to the audit trail: the reconciler
 * takes its locks in the same order.
 * @returns by account id. @throws Error when a row names another role than the one that was checked.
 */
export const ensurePrincipals = async (
  tx: Tx,
  deps: PrincipalDeps & Pick<AccessDeps, 'now'>,
  { roles, person, dueAt }: { roles: readonly ReadyRole[]; person: Person; dueAt: Date },
): Promise<Map<string, PrincipalRef>> => {
  const principals = new Map<string, PrincipalRef>();
  for (const role of roles.toSorted((a, b) => a.accountId.localeCompare(b.accountId))) {
    const carried = carriedBy(deps, role.accountId, person);
    const { sessionName, ...own }: RowOf =
      carried.kind === 'user'
        ? await rowOfUser(tx, role, { person, dueAt, now: deps.now() })
        : {
            id: principalId(role.accountId, carried, person.id),
            slot: 1,
            name: carried.name,
            sessionName: carried.kind === 'role' ? carried.sessionName : carried.name,
            dueAt,
          };
    const row = await tx
      .insertInto('principals')
      .values({
        id: own.id,
        slot: own.slot,
        account_id: role.accountId,
        person_id: carried.kind === 'group' ? null : person.id,
        kind: carried.kind,
        carrier: policyPlaceOf(deps.config, role.accountId, carried.kind).carrier,
        name: own.name,
        arn: role.roleArn,
        session_name: sessionName,
        document_hash: null,
        document_at: null,
        due_at: own.dueAt,
        problem: null,
      })
      .onConflict((conflict) =>
        conflict.column('id').doUpdateSet((eb) => ({
          due_at: eb.fn('least', [eb.ref('principals.due_at'), eb.ref('excluded.due_at')]),
        })),
      )
      .returning(['id', 'arn'])
      .executeTakeFirstOrThrow();
    if (row.arn !== role.roleArn) throw new Error(`Principal ${row.id} is ${row.arn}; ${role.roleArn} was checked.`);
    principals.set(role.accountId, row);
  }
  return principals;
};

/** Whose document it is: by the row when there is one, else as the row will be made. */
export const carrierOf = async (
  db: Db,
  deps: PrincipalDeps,
  { accountId, person }: { accountId: string; person: Person },
): Promise<PolicyCarrier & { principal: string }> => {
  const carried = carriedBy(deps, accountId, person);
  const place = { partition: deps.config.partition, accountId, ...policyPlaceOf(deps.config, accountId, carried.kind) };
  if (carried.kind !== 'role') return { ...place, kind: carried.kind, principal: carried.name };
  const row = await db
    .selectFrom('principals')
    .select(['session_name', 'name'])
    .where('id', '=', principalId(accountId, carried, person.id))
    .executeTakeFirst();
  return {
    ...place,
    kind: 'role',
    sessionName: row?.session_name ?? carried.sessionName,
    principal: row?.name ?? carried.name,
  };
};

/** The grants that the access policy on a person's principal in an account is, or will be, compiled from. */
export const plannedGrants = async (
  db: Db,
  deps: PrincipalDeps,
  { accountId, person }: { accountId: string; person: Person },
): Promise<PlannedGrant[]> => {
  const carried = carriedBy(deps, accountId, person);
  const rows = await db
    .selectFrom('grants')
    .select(['id', 'state', 'duration_seconds', 'connected_at', 'ends_at'])
    .where((eb) =>
      carried.kind === 'user'
        ? eb(
            'principal_id',
            'in',
            eb
              .selectFrom('principals')
              .select('principals.id')
              .where('principals.account_id', '=', accountId)
              .where('kind', '=', 'user')
              .where('name', '=', carried.name)
              .where('principals.person_id', '=', person.id),
          )
        : eb('principal_id', '=', principalId(accountId, carried, person.id)),
    )
    .where('state', 'in', ['ready', 'granting', 'active'])
    .orderBy('approved_at')
    .execute();
  if (rows.length === 0) return [];
  const refs = await db
    .selectFrom('grant_instances')
    .selectAll()
    .where(
      'grant_id',
      'in',
      rows.map((row) => row.id),
    )
    .orderBy('position')
    .execute();
  const byGrant = groupBy(refs, (ref) => ref.grant_id);
  return rows.map((row) => {
    const grant = { id: row.id, instances: (byGrant.get(row.id) ?? []).map(refOfRow) };
    return row.connected_at !== null && row.ends_at !== null
      ? { ...grant, notBefore: row.connected_at, endsAt: row.ends_at }
      : { ...grant, afterConnectSeconds: row.duration_seconds };
  });
};

/** @throws Refusal `policy_full` when the grants may come to have no room in the access policy: before a person is bothered. */
export const assertRoom = (carrier: PolicyCarrier, accountName: string, grants: readonly PlannedGrant[]): void => {
  const { fits, needed, limit } = roomFor(carrier, grants);
  if (fits) return;
  const whose = carrier.kind === 'group' ? ', yours or another member’s of the group' : '';
  throw new Refusal('policy_full', {
    message: `The access policy in ${accountName} has no room for this: it could come to need ${needed} of ${limit} characters, as each access ends at a time of its own. Ask for fewer instances, or end other access there first${whose}.`,
  });
};

/** What is asked, as grants to be: one for each account. */
export const plannedFor = (
  instances: ReadonlyArray<InstanceRef & { accountName: string }>,
  durationSeconds: number,
): Array<{ accountId: string; accountName: string; grant: PlannedGrant }> =>
  [...groupBy(instances, (instance) => instance.accountId)].map(([accountId, ofAccount]) => ({
    accountId,
    accountName: ofAccount[0]?.accountName ?? accountId,
    grant: { id: 'asked', instances: ofAccount.map(plainRef), afterConnectSeconds: durationSeconds },
  }));

/** @throws Refusal `policy_full` when what is asked does not fit beside what the person has, in any of the accounts. */
export const assertRoomFor = async (
  deps: Pick<AccessDeps, 'db' | 'config'>,
  person: Person,
  asked: { instances: ReadonlyArray<InstanceRef & { accountName: string }>; durationSeconds: number },
): Promise<void> => {
  for (const { accountId, accountName, grant } of plannedFor(asked.instances, asked.durationSeconds)) {
    const carrier = await carrierOf(deps.db, deps, { accountId, person });
    const now = await plannedGrants(deps.db, deps, { accountId, person });
    assertRoom(carrier, accountName, [...now, grant]);
  }
};

/** @throws Refusal `policy_full` when a live grant's longer window has no room beside what else there is. */
export const assertRoomToExtend = async (
  deps: Pick<AccessDeps, 'db' | 'config'>,
  person: Person,
  extended: { grantId: string; accountId: string; accountName: string; bySeconds: number },
): Promise<void> => {
  const { accountId, accountName, bySeconds, grantId } = extended;
  const carrier = await carrierOf(deps.db, deps, { accountId, person });
  const planned = await plannedGrants(deps.db, deps, { accountId, person });
  const after = planned.map((grant) =>
    grant.id === grantId && 'endsAt' in grant
      ? { ...grant, endsAt: new Date(grant.endsAt.getTime() + bySeconds * 1000) }
      : grant,
  );
  assertRoom(carrier, accountName, after);
};
