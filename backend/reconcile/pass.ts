/** What one pass over a principal works with: what it needs, what it has read, what it has seen and done so far. */
import type { FoundUser, Iam } from '../aws/iam.ts';
import type { Ssm } from '../aws/ssm.ts';
import type { SweepReads } from '../aws/sweep-reads.ts';
import type { Log } from '../log.ts';
import type { Db } from '../store/open.ts';
import type { SealKey } from '../store/seal.ts';
import { type NewFinding, noteFinding } from './findings.ts';
import type { Seen } from './plan.ts';
import type { CheckDeps } from './principal-check.ts';
import type { GrantFacts, PrincipalState, ReadingDeps } from './wished.ts';

/** What the reconciler needs of AWS. */
export type ReconcileAws = {
  iam: Pick<Iam, 'documents' | 'readRole' | 'readUser' | 'findUser' | 'readGroup' | 'inlinePolicies' | 'personalRoles'>;
  ssm: Pick<Ssm, 'activeSessions' | 'terminate' | 'sessionDocument'>;
  reads: SweepReads;
};

export type RunDeps = CheckDeps & {
  aws: ReconcileAws;
  sealKey: SealKey;
  partition: string;
  policyPlace: ReadingDeps['policyPlace'];
  /** Whose members hear of findings; null: nobody. */
  adminGroup: string | null;
  now: () => Date;
  sleep: (ms: number) => Promise<void>;
  /** Milliseconds: quiet time until a receipt is sealed, between looks in it, and between looks while sessions die. */
  sealMs: number;
  lookEveryMs: number;
  lookAgainMs: number;
  /** Milliseconds between two comparisons of a role that access hangs on. */
  roleCheckMs: number;
  /** When a principal's role was last found to be ours; in memory only. */
  roleChecks: Map<string, Date>;
  log: Log;
  lastLooks: Map<string, Date>;
  /** Told how late a grant that has ended did so, milliseconds. */
  ended: (late: { policyGoneMs: number; sessionsGoneMs: number }) => void;
};

/** An IAM user, or group, that is not, or not alone, under the name and path that its row has. */
export type Moved = FoundUser & {
  /** Another row has the name of before: managed policies that are called after it may be that one's too. */
  namesake: boolean;
};

/** What one pass has seen and done so far. */
export type Pass = {
  db: Db;
  deps: RunDeps;
  state: PrincipalState;
  seen: Seen;
  /** Where the user or group of this principal was found when its name was not there, or was another's; null: nowhere. For this pass only. */
  moved?: Moved | null | undefined;
  looks: number;
  writes: number;
  /** The first instant at which a look found nothing stray. */
  quietAt: Date;
};

/** @throws when the plan names a grant that was not read. */
export const factsOf = (pass: Pass, grantId: string): GrantFacts => {
  const facts = pass.state.grants.get(grantId);
  if (facts === undefined) throw new Error(`Grant ${grantId} was planned but not read`);
  return facts;
};

export const inState = (pass: Pass, state: 'granting' | 'active' | 'ending'): GrantFacts[] =>
  [...pass.state.grants.values()].filter(({ row }) => row.state === state);

/** For the admins: what was found on this principal. `mended`: Curfew has put it right. */
export const noteFound = async (
  { db, deps, state }: Pass,
  found: Pick<NewFinding, 'kind' | 'region' | 'subject' | 'what' | 'advice'>,
  mended: boolean,
): Promise<void> => {
  const { id: accountId, name: accountName } = deps.account(state.principal.account_id);
  const when = { at: deps.now(), adminGroup: deps.adminGroup, mended };
  await noteFinding(db, { ...found, accountId, accountName }, when);
};
