/** Managed policies under the path of spilled access: nothing but Curfew writes there, so what no principal needs is deleted (AWS-13). */
import { grantsPath, managedPolicyName } from '../access-policy/principal.ts';
import { appendAudit } from '../audit/chain.ts';
import { AwsProblem } from '../aws/errors.ts';
import type { GrantPolicy } from '../aws/sweep-reads.ts';
import type { AccountSweep } from './account-sweep.ts';

/**
 * Names of all managed policies that principals of this account may have; their numbers are on record before they are made. One on which
 * nothing hangs any more has none, whatever its row says: a write that was on its way when its backend was taken over may land after the end.
 */
const readExpected = async ({ db, account }: AccountSweep): Promise<ReadonlySet<string>> => {
  const rows = await db
    .selectFrom('principals')
    .select(['kind', 'name', 'managed_policies'])
    .where('account_id', '=', account.id)
    .where('managed_policies', '>', 0)
    .where(({ exists, selectFrom }) =>
      exists(
        selectFrom('grants')
          .select('grants.id')
          .whereRef('principal_id', '=', 'principals.id')
          .where('state', 'in', ['ready', 'granting', 'active', 'ending']),
      ),
    )
    .execute();
  return new Set(
    rows.flatMap(({ kind, name, managed_policies: count }) =>
      Array.from({ length: count }, (_, at) => managedPolicyName({ accountId: account.id, kind, name }, at + 1)),
    ),
  );
};

/** @returns why it is still there; null: it is deleted. */
const remove = async ({ aws, account }: AccountSweep, { name }: GrantPolicy): Promise<string | null> => {
  const [, stem, number] = /^(.+)-(\d{1,3})$/.exec(name) ?? [];
  if (stem === undefined || Number(number) < 1) return 'its name is none that Curfew gives';
  // A personal role's policies are called like the role; one of another principal hangs on nothing of that name.
  const holder = { accountId: account.id, kind: 'role' as const, name: stem };
  try {
    await aws.iam.documents.write(holder, { do: 'detach', slot: Number(number) });
    await aws.iam.documents.write(holder, { do: 'delete', slot: Number(number) });
    return null;
  } catch (error) {
    if (error instanceof AwsProblem && error.kind !== 'retry') return `AWS answered ${error.code}`;
    throw error;
  }
};

/** Compares the path with the rows. @returns the subjects of what was found and left. */
export const sweepSpilled = async (sweep: AccountSweep): Promise<string[]> => {
  const { db, aws, account, now } = sweep;
  const policies = await aws.reads.grantPolicies(account.id);
  // Read after the list: whoever makes one has put its number on record by then.
  const expected = await readExpected(sweep);
  const left: string[] = [];
  for (const policy of policies.filter(({ name }) => !expected.has(name))) {
    const why = await remove(sweep, policy);
    const what = `The managed policy ${policy.name} under ${grantsPath} belongs to no grant of this installation`;
    if (why === null) {
      const audit = {
        accountId: account.id,
        principal: policy.arn,
        what: 'a managed policy without a grant was deleted',
      };
      await db.transaction().execute((tx) =>
        appendAudit(tx, {
          kind: 'access_policy_mended',
          ...audit,
          at: now().toISOString(),
          actor: { kind: 'curfew' },
        }),
      );
    } else {
      left.push(policy.arn);
    }
    await sweep.note(
      {
        kind: 'leftover_policy',
        region: null,
        subject: policy.arn,
        what: why === null ? `${what}. Curfew deleted it.` : `${what}, and could not be deleted: ${why}.`,
        advice: `Find out in CloudTrail who made it (CreatePolicy, AttachUserPolicy, AttachRolePolicy of ${policy.name})${why === null ? '' : ', take it off what it hangs on, and delete it'}.`,
      },
      why === null,
    );
  }
  return left;
};
