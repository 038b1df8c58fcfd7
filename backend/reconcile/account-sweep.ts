/** One account while it is swept, for the parts of the sweep. */
import { type SessionDocumentSetting, sessionDocumentSetting } from '../access-policy/session-document.ts';
import type { AccountConfig, Config } from '../config.ts';
import type { Log } from '../log.ts';
import type { Db } from '../store/open.ts';
import { mendUnseen, type NewFinding, noteFinding } from './findings.ts';
import type { ReconcileAws } from './pass.ts';

/** Reading all roles of an account is most of what a sweep costs: every fifth does, and none later than this. */
const thoroughlyMs = 300_000;

/** Milliseconds between two comparisons of roles and session documents, by those between two sweeps. */
export const thoroughMsOf = (sweepMs: number): number => Math.max(sweepMs, Math.min(5 * sweepMs, thoroughlyMs));

export type SweepDeps = {
  db: Db;
  aws: ReconcileAws;
  config: Pick<Config, 'partition' | 'signIn' | 'directory' | 'accounts'>;
  /** ARNs of roles that the trail has already; in memory only. */
  knownRoles: Set<string>;
  /** The next pass over this principal compares its role, however short ago one did. */
  recheck: (principalId: string) => void;
  /** Milliseconds between two comparisons of roles and session documents. */
  thoroughMs: number;
  /** Milliseconds that the app has to tell of a session that it started. */
  appTellsMs: number;
  /** True when this backend is about to stop: what was not looked at is left to the next sweep. */
  stopped: () => boolean;
  now: () => Date;
  log: Log;
};

/** One account while it is swept: notes what is found there. */
export type AccountSweep = SweepDeps & {
  account: AccountConfig;
  documents: SessionDocumentSetting;
  /** `mended`: it was put right as it was found. */
  note: (found: Omit<NewFinding, 'accountId' | 'accountName'>, mended?: boolean) => Promise<void>;
  /** Closes what this complete look did not see; `region` null: of the whole account. */
  closeUnseen: (kinds: readonly NewFinding['kind'][], region: string | null, seen: Iterable<string>) => Promise<void>;
};

export const accountSweep = (deps: SweepDeps, account: AccountConfig): AccountSweep => {
  const { db, now, log } = deps;
  const where = { accountId: account.id, accountName: account.name };
  const begun = now();
  return {
    ...deps,
    account,
    documents: sessionDocumentSetting(account),
    note: async (found, mended = false) => {
      const when = { at: now(), adminGroup: deps.config.directory.adminGroup, mended };
      const told = await noteFinding(db, { ...found, ...where }, when);
      if (told === 'new') log.warn({ ...found, accountId: account.id, mended }, 'the sweep found something');
    },
    closeUnseen: async (kinds, region, seen) => {
      await mendUnseen(db, { kinds, accountId: account.id, region, begun, seen }, now());
    },
  };
};
