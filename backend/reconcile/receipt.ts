/** The measured proof that a grant has ended, in its two stages: gone, and sealed after a quiet time (design 7). Pure. */
import type { Receipt } from '../../src/shared/access.ts';

/** What was verified: when the access policy was read back without the grant, and since when no session was found. */
export type Verified = {
  /** Null: the grant never had an end. */
  endsAt: Date | null;
  policyGoneAt: Date;
  quietAt: Date;
  sessionsTerminated: string[];
  looks: number;
};

/** Milliseconds after the end; 0 when it was before. */
const lateness = (endsAt: Date | null, at: Date): number =>
  Math.max(0, at.getTime() - (endsAt?.getTime() ?? at.getTime()));

/** The first stage. */
export const goneReceipt = ({ endsAt, policyGoneAt, quietAt, sessionsTerminated, looks }: Verified): Receipt => ({
  stage: 'gone',
  policyGoneAt: policyGoneAt.toISOString(),
  policyGoneMs: lateness(endsAt, policyGoneAt),
  sessionsGoneAt: quietAt.toISOString(),
  sessionsGoneMs: lateness(endsAt, quietAt),
  sessionsTerminated,
  looks,
  sealedAt: null,
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
