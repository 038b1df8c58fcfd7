/**
 * IAM users and groups that carry access (threats AWS-09, AWS-13). They are not ours as personal roles are: of what hangs on them only the
 * access policy is looked at, and policies below the path of spilled ones.
 */
import type { CarrierDetail } from '../aws/sweep-reads.ts';
import type { AccountSweep } from './account-sweep.ts';
import { type Carried, isAsRecorded, isOwnSpilled, makeDue, removeLeftover } from './sweep-carried.ts';

type Kind = 'user' | 'group';

type KnownPrincipal = {
  id: string;
  kind: 'role' | Kind;
  name: string;
  arn: string;
  person_id: string | null;
  document_hash: string | null;
  managed_policies: number;
  /** Something may hang on it by its grants. */
  open: boolean;
};

const unfinished = ['ready', 'granting', 'active', 'ending'] as const;

const readPrincipals = async ({ db, account }: AccountSweep): Promise<KnownPrincipal[]> => {
  const rows = await db
    .selectFrom('principals')
    .select(['id', 'kind', 'name', 'arn', 'person_id', 'document_hash', 'managed_policies'])
    .select(({ exists, selectFrom }) =>
      exists(
        selectFrom('grants')
          .select('grants.id')
          .whereRef('grants.principal_id', '=', 'principals.id')
          .where('grants.state', 'in', unfinished),
      ).as('open'),
    )
    .where('account_id', '=', account.id)
    .where('kind', 'in', ['user', 'group'])
    .execute();
  return rows.map(({ open, ...row }) => ({ ...row, open: Boolean(open) }));
};

const mayCarry = ({ open, document_hash, managed_policies }: KnownPrincipal): boolean =>
  open || document_hash !== null || managed_policies > 0;

/** Is it still the one that was granted, behind its fence? The pass compares it by itself, and ends what hangs there. */
const isOurs = ({ account }: AccountSweep, principal: KnownPrincipal, detail: CarrierDetail | undefined): boolean => {
  if (detail?.arn !== principal.arn) return false;
  return (
    principal.kind === 'group' || (detail.id === principal.person_id && detail.boundaryArn === account.boundaryArn)
  );
};

const carriedBy = (
  { account }: AccountSweep,
  kind: Kind,
  name: string,
  detail: CarrierDetail | undefined,
): Carried => ({
  holder: { accountId: account.id, kind, name },
  arn: detail?.arn ?? '',
  document: detail?.document ?? null,
  attached: detail?.spilled ?? [],
});

const checkPrincipal = async (
  sweep: AccountSweep,
  { principal, carried, detail }: { principal: KnownPrincipal; carried: Carried; detail: CarrierDetail | undefined },
): Promise<void> => {
  const changed = principal.open && !isOurs(sweep, principal, detail);
  if (changed) sweep.recheck(principal.id);
  if (changed || !isAsRecorded(carried, principal)) await makeDue(sweep, principal.id);
};

/** Spilled access of somebody else, hung there. @param formerNames what its user was called before. @returns the subjects. */
const noteForeign = async (
  sweep: AccountSweep,
  { holder, arn, attached }: Carried,
  formerNames: readonly string[],
): Promise<string[]> => {
  const own = [holder, ...formerNames.map((formerName) => ({ ...holder, formerName }))];
  const foreign = attached.filter((policy) => !own.some((named) => isOwnSpilled(named, policy)));
  for (const policy of foreign) {
    await sweep.note({
      kind: 'leftover_policy',
      region: null,
      subject: `${arn} ${policy}`,
      what: `The IAM ${holder.kind} ${holder.name} carries a managed policy with access that is not its own: ${policy}.`,
      advice: `Find out in CloudTrail who put it there (${holder.kind === 'user' ? 'AttachUserPolicy' : 'AttachGroupPolicy'} of ${holder.name}) and take it off.`,
    });
  }
  return foreign.map((policy) => `${arn} ${policy}`);
};

/** Other names by which rows that may still carry access know this user. */
const formerNames = (principals: readonly KnownPrincipal[], detail: CarrierDetail | undefined): string[] =>
  principals
    .filter((one) => one.person_id === detail?.id && one.name !== detail.name && mayCarry(one))
    .map(({ name }) => name);

const sweepKind = async (sweep: AccountSweep, kind: Kind): Promise<string[]> => {
  const details = await sweep.aws.reads.carrierDetails(sweep.account.id, kind);
  // Read after IAM was: a document that a pass has written meanwhile looks changed, and another pass compares it.
  const principals = (await readPrincipals(sweep)).filter((one) => one.kind === kind);
  const known = new Map(principals.map((one) => [one.name, one]));
  const left: string[] = [];
  for (const name of new Set([...details.keys(), ...principals.filter(mayCarry).map((one) => one.name)])) {
    if (sweep.stopped()) return left;
    const detail = details.get(name);
    const principal = known.get(name);
    const carried = carriedBy(sweep, kind, name, detail);
    const former = formerNames(principals, detail);
    if (principal !== undefined) await checkPrincipal(sweep, { principal, carried, detail });
    // Of a user who was renamed it is the pass that takes it off, and says when it is gone.
    else if (carried.document !== null && former.length === 0) left.push(...(await removeLeftover(sweep, carried)));
    left.push(...(await noteForeign(sweep, carried, former)));
  }
  return left;
};

/**
 * Compares the users or groups of an account, where access is on them by the configuration or may still be from before it changed.
 * @returns the subjects of what was found and left.
 */
export const sweepCarriers = async (sweep: AccountSweep): Promise<string[]> => {
  const kinds = new Set((await readPrincipals(sweep)).filter(mayCarry).map(({ kind }) => kind));
  kinds.add(sweep.account.principal.kind);
  const left: string[] = [];
  for (const kind of ['user', 'group'] as const) if (kinds.has(kind)) left.push(...(await sweepKind(sweep, kind)));
  return left;
};
