/** Clocks that are far from the database's: it judges ends here, AWS's judges the dates in access policies. */
import type { Skew } from '../aws/clock-skew.ts';
import type { Db } from '../store/open.ts';
import { anyOpen, noteFinding, noteMended } from './findings.ts';

/** From this much on admins are told, and below the other it is over, milliseconds. */
const farMs = 2_000;
const nearMs = 1_500;

const seconds = (ms: number): string => `${(Math.abs(ms) / 1000).toFixed(1)} s ${ms > 0 ? 'ahead of' : 'behind'}`;

type Clock = { accountId: string | null; accountName: string | null; subject: string; ms: number };

const whatOf = ({ accountName, subject, ms }: Clock): string =>
  accountName === null
    ? `The clock of the backend ${subject} is ${seconds(ms)} the database’s.`
    : `The clock of AWS, as ${accountName} answers, is ${seconds(ms)} the database’s.`;

const adviceOf = ({ accountName, ms }: Clock): string => {
  const mend = 'Let the machines of the database and of the backends follow a time server.';
  if (accountName === null) return `Ends are judged by the database’s clock, so access is not affected. ${mend}`;
  return ms > 0
    ? `Access policies end this much earlier than Curfew says. ${mend}`
    : `Access policies end this much later than Curfew says; Curfew takes them away at its own time all the same. ${mend}`;
};

/**
 * Tells of each clock that is more than 2 s off for sure, and that it is right again.
 * @param deps.backend this process's machine; `aheadMs` of the database's clock.
 */
export const noteClocks = async (
  db: Db,
  deps: { now: Date; adminGroup: string; skews: readonly Skew[]; backend: { name: string; aheadMs: number } },
): Promise<void> => {
  const clocks = [
    ...deps.skews.map(({ accountId, accountName, ms, unsureMs }) => ({
      clock: { accountId, accountName, subject: `AWS ${accountId}`, ms },
      unsureMs,
    })),
    {
      clock: { accountId: null, accountName: null, subject: deps.backend.name, ms: deps.backend.aheadMs },
      unsureMs: 0,
    },
  ];
  const told = await anyOpen(db, 'clock_skew');
  for (const { clock, unsureMs } of clocks) {
    const { accountId, accountName, subject, ms } = clock;
    const about = { kind: 'clock_skew', accountId, region: null, subject } as const;
    if (Math.abs(ms) - unsureMs > farMs) {
      const found = { ...about, accountName, what: whatOf(clock), advice: adviceOf(clock) };
      await noteFinding(db, found, { at: deps.now, adminGroup: deps.adminGroup });
    } else if (told && Math.abs(ms) + unsureMs < nearMs) {
      await noteMended(db, about, deps.now);
    }
  }
};
