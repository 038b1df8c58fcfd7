/** The measured proof that a grant has ended, in its two stages: gone, and sealed after a quiet time (design 7). Pure. */
import { type Receipt, refKey } from '../../src/shared/access.ts';
import type { GrantFacts } from './wished.ts';

/** What was verified: when the access policy was read back without the grant, and since when no session was found. */
export type Verified = {
  /** Null: the grant never had an end. */
  endsAt: Date | null;
  policyGoneAt: Date;
  quietAt: Date;
  sessionsTerminated: string[];
  looks: number;
  stays: NonNullable<Receipt['stays']>;
};

/** What the other live grants of a principal keep reachable of this one's instances: its receipt claims nothing about it (RQ-21). */
export const keptByOthers = (
  ended: Pick<GrantFacts, 'row' | 'instances'>,
  all: Iterable<Pick<GrantFacts, 'row' | 'instances'>>,
): NonNullable<Receipt['stays']> => {
  const keys = new Set(ended.instances.map(refKey));
  return [...all].flatMap(({ row, instances }) => {
    const { id: grantId, state, ends_at: until } = row;
    if (grantId === ended.row.id || until === null || (state !== 'granting' && state !== 'active')) return [];
    return instances
      .filter((instance) => keys.has(refKey(instance)))
      .map((instance) => ({ instance, grantId, until: until.toISOString() }));
  });
};

/** Milliseconds after the end; 0 when it was before. */
const lateness = (endsAt: Date | null, at: Date): number =>
  Math.max(0, at.getTime() - (endsAt?.getTime() ?? at.getTime()));

/** The first stage. */
export const goneReceipt = ({
  endsAt,
  policyGoneAt,
  quietAt,
  sessionsTerminated,
  looks,
  stays,
}: Verified): Receipt => ({
  stage: 'gone',
  policyGoneAt: policyGoneAt.toISOString(),
  policyGoneMs: lateness(endsAt, policyGoneAt),
  sessionsGoneAt: quietAt.toISOString(),
  sessionsGoneMs: lateness(endsAt, quietAt),
  sessionsTerminated,
  looks,
  sealedAt: null,
  ...(stays.length === 0 ? {} : { stays }),
});

/** The receipt after one more look, sealed when it has been quiet for `sealMs` milliseconds. */
export const afterLook = (
  before: Receipt,
  look: Pick<Verified, 'endsAt' | 'quietAt' | 'sessionsTerminated'> & { at: Date; sealMs: number },
): Receipt => {
  const { at, endsAt, quietAt, sealMs, sessionsTerminated } = look;
  const found =
    sessionsTerminated.length > before.sessionsTerminated.length
      ? { sessionsTerminated, sessionsGoneAt: quietAt.toISOString(), sessionsGoneMs: lateness(endsAt, quietAt) }
      : {};
  const receipt: Receipt = { ...before, ...found, looks: before.looks + 1 };
  const quietSince = Math.max(Date.parse(receipt.policyGoneAt), Date.parse(receipt.sessionsGoneAt));
  if (at.getTime() < quietSince + sealMs) return receipt;
  return { ...receipt, stage: 'sealed', sealedAt: at.toISOString() };
};
