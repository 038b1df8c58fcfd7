/**
 * What no row asks for, looked for from AWS's side: access policies without a grant, foreign policies on our roles, sessions
 * that no grant explains (threats AWS-02, AWS-13). Ours is mended, the rest reported, each finding once.
 */
import { accessPolicyName, peoplePath, personTag, sessionOwnerArn } from '../access-policy/principal.ts';
import { appendAudit } from '../audit/chain.ts';
import type { ActiveSession } from '../aws/ssm.ts';
import type { AccountConfig } from '../config.ts';
import type { Log } from '../log.ts';
import type { Db } from '../store/open.ts';
import { recordTerminated } from './changes-of-state.ts';
import type { ReconcileAws } from './run.ts';

export type SweepDeps = {
  db: Db;
  aws: ReconcileAws;
  accounts: readonly AccountConfig[];
  partition: string;
  /** ARNs of roles that the trail has already; in memory only. */
  knownRoles: Set<string>;
  now: () => Date;
  log: Log;
};

const curfew = { kind: 'curfew' } as const;

/** Reports once: the audit trail remembers what was told. */
const reportOnce = (deps: SweepDeps, finding: { accountId: string; principal: string; what: string }): Promise<void> =>
  deps.db.transaction().execute(async (tx) => {
    const told = await tx
      .selectFrom('audit')
      .select('sequence')
      .where('kind', '=', 'leftover_reported')
      .where((eb) => eb(eb.ref('event', '->>').key('principal'), '=', finding.principal))
      .where((eb) => eb(eb.ref('event', '->>').key('what'), '=', finding.what))
      .executeTakeFirst();
    if (told !== undefined) return;
    deps.log.warn(finding, 'something on a personal role that Curfew did not put there');
    await appendAudit(tx, { kind: 'leftover_reported', ...finding, at: deps.now().toISOString(), actor: curfew });
  });

/** The provisioner has no database: the first sweep that sees one of its roles writes it into the trail. */
const noteProvisioned = async (deps: SweepDeps, accountId: string, roleName: string, arn: string): Promise<void> => {
  if (deps.knownRoles.has(arn)) return;
  const role = await deps.aws.iam.readRole(accountId, roleName);
  const personId = role?.tags[personTag];
  if (personId === undefined) return;
  await deps.db.transaction().execute(async (tx) => {
    const told = await tx
      .selectFrom('audit')
      .select('sequence')
      .where('kind', '=', 'role_provisioned')
      .where((eb) => eb(eb.ref('event', '->>').key('principal'), '=', arn))
      .executeTakeFirst();
    if (told !== undefined) return;
    const at = deps.now().toISOString();
    await appendAudit(tx, { kind: 'role_provisioned', accountId, principal: arn, personId, at, actor: curfew });
  });
  deps.knownRoles.add(arn);
};

const sweepRole = async (deps: SweepDeps, accountId: string, roleName: string): Promise<void> => {
  const { db, aws } = deps;
  const policies = await aws.iam.inlinePolicies(accountId, roleName);
  const principal = await db
    .selectFrom('principals')
    .select(['id', 'arn'])
    .where('account_id', '=', accountId)
    .where('name', '=', roleName)
    .executeTakeFirst();
  const arn = principal?.arn ?? `arn:${deps.partition}:iam::${accountId}:role${peoplePath}${roleName}`;
  await noteProvisioned(deps, accountId, roleName, arn);
  for (const policy of policies) {
    if (policy === accessPolicyName) continue;
    await reportOnce(deps, { accountId, principal: arn, what: `an inline policy that is not Curfew’s: ${policy}` });
  }
  if (!policies.includes(accessPolicyName)) return;
  if (principal !== undefined) {
    // The pass over this principal compares the document with its rows, and deletes it when nothing is left.
    await db.updateTable('principals').set({ due_at: deps.now() }).where('id', '=', principal.id).execute();
    return;
  }
  await aws.iam.deleteAccessPolicy(accountId, roleName);
  const what = 'an access policy on a role that no grant of this installation knows was deleted';
  await db.transaction().execute((tx) =>
    appendAudit(tx, {
      kind: 'access_policy_mended',
      accountId,
      principal: arn,
      what,
      at: deps.now().toISOString(),
      actor: curfew,
    }),
  );
};

/** Is there a grant, live or in its last looks, that explains this session? */
const explained = async (deps: SweepDeps, accountId: string, session: ActiveSession, principalId: string) => {
  const row = await deps.db
    .selectFrom('grants')
    .innerJoin('grant_instances', 'grant_instances.grant_id', 'grants.id')
    .select('grants.id')
    .where('grants.principal_id', '=', principalId)
    .where('grant_instances.account_id', '=', accountId)
    .where('grant_instances.region', '=', session.region)
    .where('grant_instances.instance_id', '=', session.target)
    .where((eb) =>
      eb.or([
        eb('grants.state', 'in', ['granting', 'active', 'ending']),
        eb.and([eb('grants.state', '=', 'ended'), eb(eb.ref('grants.receipt', '->>').key('stage'), '=', 'gone')]),
      ]),
    )
    .executeTakeFirst();
  return row !== undefined;
};

/** Ends and writes down every session of a role of ours that no grant explains. */
const sweepSessions = async (deps: SweepDeps, account: AccountConfig, roleNames: readonly string[]): Promise<void> => {
  const { db, aws, partition } = deps;
  const principals = await db.selectFrom('principals').selectAll().where('account_id', '=', account.id).execute();
  const byOwner = new Map(
    principals.map((principal) => [
      sessionOwnerArn({
        partition,
        accountId: account.id,
        roleName: principal.name,
        sessionName: principal.session_name,
      }),
      principal.id,
    ]),
  );
  const ours = [...new Set([...roleNames, ...principals.map(({ name }) => name)])].map(
    (name) => `arn:${partition}:sts::${account.id}:assumed-role/${name}/`,
  );
  for (const region of account.regions) {
    const sessions = await aws.ssm.activeSessions(account.id, region, null);
    for (const session of sessions.filter(({ owner }) => ours.some((prefix) => owner.startsWith(prefix)))) {
      const principalId = byOwner.get(session.owner);
      if (principalId !== undefined && (await explained(deps, account.id, session, principalId))) continue;
      await aws.ssm.terminate(account.id, region, session.id);
      const found = { facts: null, accountId: account.id, owner: session.owner, at: deps.now() };
      await recordTerminated(db, session, found);
    }
  }
};

/** One account after the other; one that cannot be swept does not keep the others from it. */
export const sweepAccounts = async (deps: SweepDeps): Promise<void> => {
  for (const account of deps.accounts) {
    try {
      const roleNames = await deps.aws.iam.personalRoles(account.id);
      for (const roleName of roleNames) await sweepRole(deps, account.id, roleName);
      await sweepSessions(deps, account, roleNames);
    } catch (error) {
      deps.log.error({ error, accountId: account.id }, 'an account could not be swept');
    }
  }
};
