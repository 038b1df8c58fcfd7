/** The access policy on one role, user or group, compared with the row of its principal; without a row it is a leftover (threats AWS-13). */
import { sql } from 'kysely';
import { accessPolicyName, grantsPath, managedPolicyName, type PolicyHolder } from '../access-policy/principal.ts';
import { appendAudit } from '../audit/chain.ts';
import { AwsProblem } from '../aws/errors.ts';
import type { AccountSweep } from './account-sweep.ts';
import { documentsHash } from './changes-of-state.ts';

/** What hangs on a principal, as the sweep read it. */
export type Carried = {
  holder: PolicyHolder;
  arn: string;
  /** The inline access policy; null: there is none. */
  document: string | null;
  /** ARNs of attached managed policies. */
  attached: readonly string[];
};

const words = { role: 'role', user: 'IAM user', group: 'IAM group' } as const;
const calls = { role: 'PutRolePolicy', user: 'PutUserPolicy', group: 'PutGroupPolicy' } as const;

/** Is this managed policy one that carries access of this very principal? */
export const isOwnSpilled = (holder: PolicyHolder, arn: string): boolean =>
  arn.includes(`:policy${grantsPath}${managedPolicyName(holder, 1).slice(0, -1)}`);

/** Does it carry what was last read back there? What has spilled into managed policies is for a pass to read. */
export const isAsRecorded = (
  { holder, document, attached }: Carried,
  principal: { document_hash: string | null; managed_policies: number },
): boolean => {
  if (principal.managed_policies > 0 || attached.some((arn) => isOwnSpilled(holder, arn))) return false;
  return documentsHash(document === null ? [] : [{ slot: 0, document }]) === principal.document_hash;
};

/** A pass compares everything on this principal, mends what differs and says so. */
export const makeDue = async ({ db, now }: AccountSweep, principalId: string): Promise<void> => {
  await db
    .updateTable('principals')
    .set({ due_at: sql<Date>`least(due_at, ${now()})` })
    .where('id', '=', principalId)
    .execute();
};

/** @returns why it is still there; null: it is deleted. */
const remove = async ({ aws }: AccountSweep, holder: PolicyHolder): Promise<string | null> => {
  try {
    await aws.iam.documents.write(holder, { do: 'delete', slot: 0 });
    return null;
  } catch (error) {
    if (error instanceof AwsProblem && error.kind !== 'retry') return `AWS answered ${error.code}`;
    throw error;
  }
};

/** An access policy of Curfew’s name where no grant of this installation knows one. @returns its subject, when it had to be left. */
export const removeLeftover = async (sweep: AccountSweep, { holder, arn }: Carried): Promise<string[]> => {
  const { db, account, now } = sweep;
  const why = await remove(sweep, holder);
  const called = words[holder.kind];
  if (why === null) {
    const what = `an access policy on ${holder.kind === 'role' ? 'a' : 'an'} ${called} that no grant of this installation knows was deleted`;
    const at = now().toISOString();
    const actor = { kind: 'curfew' as const };
    await db
      .transaction()
      .execute((tx) =>
        appendAudit(tx, { kind: 'access_policy_mended', accountId: account.id, principal: arn, what, at, actor }),
      );
  }
  const subject = `${arn} ${accessPolicyName}`;
  const outcome = why === null ? 'Curfew deleted it.' : `It could not be deleted: ${why}.`;
  await sweep.note(
    {
      kind: 'leftover_policy',
      region: null,
      subject,
      what: `The ${called} ${holder.name} carried an access policy of Curfew’s name that no grant of this installation knows. ${outcome}`,
      advice: `Find out in CloudTrail who wrote it (${calls[holder.kind]})${why === null ? '' : ', and delete it'}. If another Curfew installation did, it must not share this account.`,
    },
    why === null,
  );
  return why === null ? [] : [subject];
};
