/** Personal roles and what hangs on them (threats AWS-09, AWS-13): ours without a grant is removed, what is not ours is listed. */
import { type NotNull, sql } from 'kysely';
import {
  personalRoleTemplate,
  type RoleSetting,
  type RoleTemplate,
  roleDifferences,
  type SeenRole,
} from '../access-policy/personal-role.ts';
import {
  accessPolicyName,
  personalRoleArn,
  personalRoleName,
  personTag,
  roleSessionName,
  userNameTag,
} from '../access-policy/principal.ts';
import { appendAudit } from '../audit/chain.ts';
import { roleSetting } from '../aws/iam.ts';
import type { PersonalRoleDetail } from '../aws/sweep-reads.ts';
import type { AccountSweep } from './account-sweep.ts';
import { type Carried, isAsRecorded, isOwnSpilled, makeDue, removeLeftover } from './sweep-carried.ts';
import { sweepCarriers } from './sweep-carriers.ts';
import { sweepSpilled } from './sweep-spilled.ts';

const curfew = { kind: 'curfew' } as const;

type KnownPrincipal = {
  id: string;
  person_id: string;
  session_name: string;
  document_hash: string | null;
  managed_policies: number;
};
const principalColumns = ['id', 'person_id', 'session_name', 'document_hash', 'managed_policies'] as const;
type KnownPerson = { user_name: string; enabled: boolean; groups: string[] };

/** What our rows say about the roles of an account. */
type Rows = {
  principals: ReadonlyMap<string, KnownPrincipal>;
  people: ReadonlyMap<string, KnownPerson>;
};

const readRows = async ({ db, account }: AccountSweep): Promise<Rows> => {
  const principals = await db
    .selectFrom('principals')
    .select(['name', ...principalColumns])
    .where('account_id', '=', account.id)
    .where('kind', '=', 'role')
    .$narrowType<{ person_id: NotNull }>()
    .execute();
  const people = await db.selectFrom('people').select(['id', 'user_name', 'enabled', 'groups']).execute();
  return {
    principals: new Map(principals.map((row) => [row.name, row])),
    people: new Map(people.map((row) => [row.id, row])),
  };
};

/** The principal on this role as the rows know it now: one may have been made, and its policy written, since they were read. */
const principalNow = async ({ db, account }: AccountSweep, name: string): Promise<KnownPrincipal | undefined> =>
  await db
    .selectFrom('principals')
    .select(principalColumns)
    .where('account_id', '=', account.id)
    .where('kind', '=', 'role')
    .where('name', '=', name)
    .$narrowType<{ person_id: NotNull }>()
    .executeTakeFirst();

type Role = {
  name: string;
  arn: string;
  seen: SeenRole;
  detail: PersonalRoleDetail;
  principal: KnownPrincipal | undefined;
  rows: Rows;
};

/** Whose role it is; null: it does not say, or its name belongs to somebody else. */
const personOf = ({ name, seen, principal }: Role, setting: RoleSetting): string | null => {
  const id = principal?.person_id ?? seen.tags[personTag];
  if (id === undefined || !/^[0-9a-f-]{1,47}$/.test(id)) return null;
  return personalRoleName(setting.identityStoreId, id) === name ? id : null;
};

/** The role as the provisioner makes it; null: it makes none of this name. */
const templateOf = (role: Role, setting: RoleSetting): RoleTemplate | null => {
  const id = personOf(role, setting);
  if (id === null) return null;
  // A person without access yet may have been renamed since: then the session name is the one of the name on the role.
  const userName = role.seen.tags[userNameTag] ?? role.rows.people.get(id)?.user_name ?? '';
  const sessionName = role.principal?.session_name ?? roleSessionName(userName, id);
  return personalRoleTemplate(setting, { id, userName }, sessionName);
};

/** @returns whether it is as Curfew made it. */
const compareRole = async (sweep: AccountSweep, role: Role, setting: RoleSetting): Promise<boolean> => {
  const template = templateOf(role, setting);
  const differences = template === null ? [] : roleDifferences(template, role.seen);
  if (template !== null && differences.length === 0) return true;
  await sweep.note({
    kind: 'role_not_ours',
    region: null,
    subject: role.arn,
    what:
      template === null
        ? `The role ${role.name} stands where personal roles are, but Curfew’s provisioner did not make it: its name and its tag ${personTag} do not belong together.`
        : `The personal role ${role.name} is not as Curfew made it: ${differences.join('; ')}. Nothing is granted on it.`,
    advice: `Find out in CloudTrail who did it (CreateRole, UpdateAssumeRolePolicy, PutRolePermissionsBoundary, TagRole of ${role.name}), delete the role, and run the provisioner.`,
  });
  return false;
};

/** Learns in one query which of these roles the trail has already. */
const learnProvisioned = async ({ db, knownRoles }: AccountSweep, arns: readonly string[]): Promise<void> => {
  const unknown = arns.filter((arn) => !knownRoles.has(arn));
  if (unknown.length === 0) return;
  const { rows } = await sql<{ arn: string }>`
    select event ->> 'principal' as arn from audit
    where kind = 'role_provisioned' and event ->> 'principal' = any(${unknown})
  `.execute(db);
  for (const { arn } of rows) knownRoles.add(arn);
};

/** The provisioner has no database: the first sweep that sees one of its roles writes it into the trail. */
const noteProvisioned = async (sweep: AccountSweep, role: Role): Promise<void> => {
  const { db, knownRoles, now, account } = sweep;
  const personId = role.seen.tags[personTag];
  if (knownRoles.has(role.arn) || personId === undefined) return;
  await db.transaction().execute(async (tx) => {
    const told = await tx
      .selectFrom('audit')
      .select('sequence')
      .where('kind', '=', 'role_provisioned')
      .where((eb) => eb(eb.ref('event', '->>').key('principal'), '=', role.arn))
      .executeTakeFirst();
    if (told !== undefined) return;
    const at = now().toISOString();
    const who = { accountId: account.id, principal: role.arn, personId };
    await appendAudit(tx, { kind: 'role_provisioned', ...who, at, actor: curfew });
  });
  knownRoles.add(role.arn);
};

/** A leaver's role is the provisioner's to delete. @returns whether it is one. */
const noteLeaver = async (sweep: AccountSweep, role: Role, setting: RoleSetting): Promise<boolean> => {
  const person = role.rows.people.get(personOf(role, setting) ?? '');
  if (person === undefined) return false;
  const member = person.groups.some((group) => sweep.config.directory.groups.includes(group));
  if (person.enabled && member) return false;
  await sweep.note({
    kind: 'leaver_role',
    region: null,
    subject: role.arn,
    what: `${person.user_name} ${person.enabled ? 'is in none of the groups that may use Curfew' : 'left the organisation'}, but still has the personal role ${role.name}. No access hangs on it.`,
    advice: 'Run the provisioner with --remove-leavers: npm run provision -- --remove-leavers.',
  });
  return true;
};

/** @returns the subjects of what was found and left. */
const sweepPolicies = async (sweep: AccountSweep, role: Role): Promise<string[]> => {
  const { attached } = role.detail;
  const inline = [...role.detail.inline.keys()];
  const carried: Carried = {
    holder: { accountId: sweep.account.id, kind: 'role', name: role.name },
    arn: role.arn,
    document: role.detail.inline.get(accessPolicyName) ?? null,
    attached,
  };
  const foreign = [
    ...inline.filter((name) => name !== accessPolicyName).map((name) => ({ name, how: 'an inline policy' })),
    ...attached
      // Its own ones are called like the role; somebody may have hung another person's there.
      .filter((arn) => !isOwnSpilled(carried.holder, arn))
      .map((name) => ({ name, how: 'a managed policy' })),
  ];
  const seen: string[] = [];
  for (const { name, how } of foreign) {
    const subject = `${role.arn} ${name}`;
    seen.push(subject);
    await sweep.note({
      kind: 'leftover_policy',
      region: null,
      subject,
      what: `The personal role ${role.name} carries ${how} that is not Curfew’s: ${name}. The boundary is all that holds it.`,
      advice: `Find out in CloudTrail who put it there (PutRolePolicy, AttachRolePolicy of ${role.name}) and take it off the role.`,
    });
  }
  // Read after IAM was: whoever writes a policy has put its principal on record by then.
  const principal = role.principal ?? (await principalNow(sweep, role.name));
  if (carried.document !== null && principal === undefined) seen.push(...(await removeLeftover(sweep, carried)));
  // The pass over this principal compares the documents with its rows, and deletes them when nothing is left.
  if (principal !== undefined && !isAsRecorded(carried, principal)) await makeDue(sweep, principal.id);
  return seen;
};

/**
 * All roles below the path of personal roles, and users and groups where they carry access.
 * @param roleNames null when they could not be listed: then nothing that was found of roles is taken for gone.
 */
export const sweepRoles = async (sweep: AccountSweep, roleNames: readonly string[] | null): Promise<void> => {
  const { account, aws, config } = sweep;
  const spilled = [...(await sweepSpilled(sweep)), ...(await sweepCarriers(sweep))];
  if (sweep.stopped()) return;
  if (account.principal.kind !== 'role') {
    await sweep.closeUnseen(['leftover_policy'], null, spilled);
    return;
  }
  if (roleNames === null) return;
  const setting = roleSetting(config, account.id);
  const details = roleNames.length === 0 ? new Map() : await aws.reads.personalRoleDetails(account.id);
  // Read after IAM was: a document that a pass has written meanwhile looks changed, and another pass compares it.
  const rows = await readRows(sweep);
  const arnOf = (name: string): string => personalRoleArn(config.partition, account.id, name);
  await learnProvisioned(sweep, roleNames.map(arnOf));
  const seen = { role: [] as string[], leaver: [] as string[], policy: [...spilled] };
  let complete = true;
  for (const name of roleNames) {
    if (sweep.stopped()) return;
    const detail = details.get(name);
    const arn = arnOf(name);
    if (detail === undefined) {
      // It was deleted, or made, between the two lists: the next sweep knows.
      complete = false;
      continue;
    }
    const role: Role = { name, arn, seen: detail.role, detail, principal: rows.principals.get(name), rows };
    await noteProvisioned(sweep, role);
    if (!(await compareRole(sweep, role, setting))) {
      seen.role.push(arn);
      // Its pass ends what hangs there.
      if (role.principal !== undefined) {
        sweep.recheck(role.principal.id);
        await makeDue(sweep, role.principal.id);
      }
    }
    if (await noteLeaver(sweep, role, setting)) seen.leaver.push(arn);
    seen.policy.push(...(await sweepPolicies(sweep, role)));
  }
  if (!complete) return;
  await sweep.closeUnseen(['role_not_ours'], null, seen.role);
  await sweep.closeUnseen(['leaver_role'], null, seen.leaver);
  await sweep.closeUnseen(['leftover_policy'], null, seen.policy);
};
