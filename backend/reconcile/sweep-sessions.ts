/**
 * Who has a session open, and does a grant explain it? One list for a region, without a filter: so sessions that were opened past Curfew
 * are seen too (threats AWS-02).
 */
import { instanceId } from '../../src/shared/access.ts';
import { comparableOwner, isPersonalRoleName, sessionOwnerArn, userOwnerArn } from '../access-policy/principal.ts';
import type { Iam } from '../aws/iam.ts';
import type { ActiveSession } from '../aws/ssm.ts';
import type { Config } from '../config.ts';
import type { Db } from '../store/open.ts';
import type { AccountSweep } from './account-sweep.ts';
import { type FormerMember, formerOwner, isFromThen, readReach } from './group-members.ts';
import { announceEndings, begunInRegion, type Ending, recordTerminated, tellAws } from './terminations.ts';

/** How long somebody is not in a group any more until their sessions end, milliseconds. */
const surelyLeftMs = 60_000;

type OwnersDeps = {
  db: Db;
  aws: { iam: Pick<Iam, 'readGroup'> };
  account: { id: string };
  config: Pick<Config, 'partition'>;
  now: () => Date;
};

type Owners = {
  /** Owner ARN to the ids of the principals whose grants may explain the owner's sessions. */
  principals: ReadonlyMap<string, readonly string[]>;
  /** Owner ARN to the groups that they were in while access hung there. */
  former: ReadonlyMap<string, readonly FormerMember[]>;
  /** Roles that nobody but Curfew has a use for, as far as rows know them. */
  roles: ReadonlySet<string>;
};

const roleOf = (owner: string): string | null =>
  /^arn:[^:]+:sts::\d{12}:assumed-role\/([^/]+)\//.exec(owner)?.[1] ?? null;
const userOf = (owner: string): string | null => /:user\/([^/]+)$/.exec(comparableOwner(owner))?.[1] ?? null;

/** Owners of what is not finished on a group: what was granted to them by name is theirs, in the group or not. */
const grantedOn = async ({ db, account, config }: OwnersDeps, principalId: string): Promise<string[]> => {
  const rows = await db
    .selectFrom('grants')
    .innerJoin('people', 'people.id', 'grants.person_id')
    .select('people.user_name')
    .distinct()
    .where('grants.principal_id', '=', principalId)
    .where('grants.state', 'in', ['granting', 'active', 'ending'])
    .execute();
  return rows.map(({ user_name: userName }) => userOwnerArn(config.partition, account.id, userName));
};

/** Whose these sessions are. Costs as much as there are sessions, however many people have access. */
export const readOwners = async (deps: OwnersDeps, sessions: readonly ActiveSession[]): Promise<Owners> => {
  const { db, aws, account, config, now } = deps;
  const { partition } = config;
  const names = new Set(sessions.flatMap(({ owner }) => roleOf(owner) ?? userOf(owner) ?? []));
  const rows = await db
    .selectFrom('principals')
    .select(['id', 'kind', 'name', 'arn', 'session_name'])
    .where('account_id', '=', account.id)
    .where((eb) => eb.or([eb('kind', '=', 'group'), eb('name', 'in', ['', ...names])]))
    .execute();
  const principals = new Map<string, string[]>();
  const former = new Map<string, FormerMember[]>();
  const explains = (owner: string, id: string): void => {
    principals.set(owner, [...(principals.get(owner) ?? []), id]);
  };
  for (const { id, kind, name, arn, session_name: sessionName } of rows) {
    if (kind === 'role')
      explains(sessionOwnerArn({ partition, accountId: account.id, roleName: name, sessionName }), id);
    if (kind === 'user') explains(comparableOwner(arn), id);
    if (kind !== 'group') continue;
    // What one member was granted all of them may use (threats RQ-20).
    const reach = await readReach({ db, iam: aws.iam, now }, { id, account_id: account.id, name });
    const owners = reach.members.map((userName) => userOwnerArn(partition, account.id, userName));
    for (const owner of new Set([...owners, ...(await grantedOn(deps, id))])) explains(owner, id);
    for (const one of reach.former) {
      const owner = formerOwner(partition, account.id, one);
      former.set(owner, [...(former.get(owner) ?? []), one]);
    }
  }
  return { principals, former, roles: new Set(rows.flatMap(({ kind, name }) => (kind === 'role' ? [name] : []))) };
};

/** Pairs of principal and instance which a grant covers that lives or is in its last looks, of these principals. */
const readCovered = async (
  { db, account }: AccountSweep,
  region: string,
  { principals, former }: Owners,
): Promise<ReadonlySet<string>> => {
  const ids = new Set([...principals.values()].flat());
  for (const { principalId } of [...former.values()].flat()) ids.add(principalId);
  if (ids.size === 0) return new Set();
  const rows = await db
    .selectFrom('grants')
    .innerJoin('grant_instances', 'grant_instances.grant_id', 'grants.id')
    .select(['grants.principal_id', 'grant_instances.instance_id'])
    .where('grants.principal_id', 'in', [...ids])
    .where('grant_instances.account_id', '=', account.id)
    .where('grant_instances.region', '=', region)
    .where((eb) =>
      eb.or([
        eb('grants.state', 'in', ['granting', 'active', 'ending']),
        eb.and([eb('grants.state', '=', 'ended'), eb(eb.ref('grants.receipt', '->>').key('stage'), '=', 'gone')]),
      ]),
    )
    .execute();
  return new Set(rows.map((row) => `${row.principal_id} ${row.instance_id}`));
};

/** Of these sessions, the ones that an app told us of. */
const readKnown = async ({ db }: AccountSweep, ids: readonly string[]): Promise<ReadonlySet<string>> => {
  if (ids.length === 0) return new Set();
  const rows = await db
    .selectFrom('sessions')
    .select('id')
    .where('id', 'in', [...ids])
    .execute();
  return new Set(rows.map(({ id }) => id));
};

const since = ({ startedAt }: ActiveSession): string => (startedAt === null ? '' : ` since ${startedAt.toISOString()}`);

/** AWS has ended it: to the admins, and into the trail. */
const noteTerminated = async (sweep: AccountSweep, ending: Ending): Promise<void> => {
  const { session, why } = ending;
  if (why.for !== 'nobody') return;
  const { what, advice } = why;
  await sweep.note({ kind: 'session_without_grant', region: session.region, subject: session.id, what, advice });
  await recordTerminated(sweep.db, ending, null, sweep.now());
};

/** Ends a session and writes it down. @param told `why` follows "had a session on …" in what is found. */
const endSession = async (
  sweep: AccountSweep,
  session: ActiveSession,
  told: { why: string; advice: string },
): Promise<void> => {
  const { db, account, aws, now } = sweep;
  const what = `${session.owner} had a session on ${session.target}${since(session)} ${told.why}. Curfew terminated it.`;
  const why = { for: 'nobody', what, advice: told.advice } as const;
  const ending: Ending = { accountId: account.id, principalId: null, session, why };
  await announceEndings(db, [ending], now());
  await tellAws(db, aws.ssm, ending);
  await noteTerminated(sweep, ending);
};

/** A session on a role of ours that no grant explains. */
const endUnexplained = (sweep: AccountSweep, session: ActiveSession): Promise<void> =>
  endSession(sweep, session, {
    why: 'that no grant explains',
    advice:
      'Look in CloudTrail who let this role start it (PutRolePolicy, AttachRolePolicy), and ask its owner what it was for.',
  });

/** Whoever left the group by which alone they had this session has it no more (decision 10). */
const endFormer = (sweep: AccountSweep, session: ActiveSession, { group }: FormerMember): Promise<void> =>
  endSession(sweep, session, {
    why: `by the IAM group ${group}, and is not in it any more`,
    advice: `If they should have access still, an AWS admin puts them back into ${group}, or they ask for themselves.`,
  });

const noteBypass = (sweep: AccountSweep, session: ActiveSession): Promise<void> =>
  sweep.note({
    kind: 'bypass',
    region: session.region,
    subject: session.id,
    what: `${session.owner} has a session on ${session.target}${since(session)} that no grant of Curfew explains. Curfew leaves it alone.`,
    advice:
      'Ask its owner, and end it in the Systems Manager console if it should not be. The service control policy deploy/scp.json keeps sessions past Curfew from being started.',
  });

const noteOutsideApp = (sweep: AccountSweep, session: ActiveSession): Promise<void> =>
  sweep.note({
    kind: 'session_outside_app',
    region: session.region,
    subject: session.id,
    what: `${session.owner} has a session on ${session.target}${since(session)} that is granted, but no Curfew app has told of it: it was started outside the app (with the AWS CLI, say), or the app could not reach the backend.`,
    advice:
      'Access is theirs until the grant ends, and the session ends with it. Its output is logged only by the session document.',
  });

/** Whether a role is one that the provisioner made. All roles of an account are listed only for one that could be, and that no row knows. */
const isOurs = async (
  name: string | null,
  owners: Owners,
  personalRoles: () => Promise<readonly string[] | null>,
): Promise<boolean> =>
  name !== null &&
  (owners.roles.has(name) || (isPersonalRoleName(name) && (await personalRoles())?.includes(name) === true));

/** The group that explains a session only by somebody's time in it. */
const formerOf = ({ former }: Owners, covered: ReadonlySet<string>, session: ActiveSession): FormerMember | undefined =>
  former
    .get(comparableOwner(session.owner))
    ?.find((one) => covered.has(`${one.principalId} ${session.target}`) && isFromThen(one, session));

type Look = {
  begun: Date;
  owners: Owners;
  covered: ReadonlySet<string>;
  personalRoles: () => Promise<readonly string[] | null>;
};

/** No grant explains it: ended when it comes from what Curfew gave, else reported. */
const judgeUnexplained = async (sweep: AccountSweep, session: ActiveSession, look: Look): Promise<void> => {
  const { begun, owners, covered, personalRoles } = look;
  const left = formerOf(owners, covered, session);
  if (left === undefined) {
    const ours = await isOurs(roleOf(session.owner), owners, personalRoles);
    await (ours ? endUnexplained(sweep, session) : noteBypass(sweep, session));
    return;
  }
  // One answer of IAM may be older than the one before: it is asked again first.
  if (begun.getTime() - left.seenAt.getTime() >= surelyLeftMs) await endFormer(sweep, session, left);
};

/**
 * Sorts every active session of a region into explained, ended, reported.
 * @param personalRoles names of the personal roles that are there; null when they could not be listed.
 */
export const sweepSessions = async (
  sweep: AccountSweep,
  region: string,
  personalRoles: () => Promise<readonly string[] | null>,
): Promise<void> => {
  const { db, account, aws, now, appTellsMs } = sweep;
  const begun = now();
  const begunEndings = await begunInRegion(db, account.id, region);
  const sessions = await aws.ssm.activeSessions(account.id, region, null);
  // Read after the list: whatever was granted before a session began is there by now.
  const owners = await readOwners(sweep, sessions);
  const covered = await readCovered(sweep, region, owners);
  const known = await readKnown(
    sweep,
    sessions.map(({ id }) => id),
  );
  const look = { begun, owners, covered, personalRoles };
  const seen: string[] = [];
  const listed = new Set(sessions.map(({ id }) => id));
  // What an earlier sweep ended, and did not live to write down.
  for (const ending of begunEndings.filter(({ why, session }) => why.for === 'nobody' && !listed.has(session.id))) {
    seen.push(ending.session.id);
    await noteTerminated(sweep, ending);
  }
  for (const session of sessions) {
    // Sessions of ECS tasks and the like are on no instance that Curfew could grant.
    if (!instanceId.safeParse(session.target).success) continue;
    const explained = (owners.principals.get(comparableOwner(session.owner)) ?? []).some((id) =>
      covered.has(`${id} ${session.target}`),
    );
    if (!explained) {
      seen.push(session.id);
      await judgeUnexplained(sweep, session, look);
      continue;
    }
    if (known.has(session.id)) continue;
    seen.push(session.id);
    const young = session.startedAt !== null && begun.getTime() - session.startedAt.getTime() < appTellsMs;
    if (!young) await noteOutsideApp(sweep, session);
  }
  await sweep.closeUnseen(['session_without_grant', 'bypass', 'session_outside_app'], region, seen);
};
