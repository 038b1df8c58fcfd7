/**
 * Kill switches: end everything of a person, of an instance, of an account, or everything, and keep it ended until somebody lifts the
 * switch. What a window sends to pull and lift one, and what it is shown.
 */
import { z } from 'zod';
import { accountId, type Grant, type Instance, type Instant, instanceRef, type Person } from './access.ts';
import { reasonText } from './text.ts';

export const switchId = z.string().regex(/^kil_[a-z2-7]{26}$/);

export const switchScope = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('person'), personId: z.string().min(1).max(200) }),
  z.strictObject({ kind: z.literal('instance'), instance: instanceRef }),
  z.strictObject({ kind: z.literal('account'), accountId }),
  z.strictObject({ kind: z.literal('everything') }),
]);
export type SwitchScope = z.infer<typeof switchScope>;

export const pullInput = z.strictObject({
  scope: switchScope,
  reason: reasonText,
  /** The account's name, or `everything`: needed for those two, so that nobody ends so much by a slip. */
  typed: z.string().max(200).nullable(),
});
export type PullInput = z.infer<typeof pullInput>;

/** What has to be typed for an account or everything; null: nothing. */
export const wordToType = (scope: SwitchScope['kind'], name: string): string | null =>
  scope === 'account' ? name : scope === 'everything' ? 'everything' : null;

export type KillSwitch = {
  id: string;
  scope: SwitchScope;
  /** What the scope was called when it was pulled: a person's or instance's or account's name, `everything`. */
  name: string;
  /** True: pulled by an approver, so it holds for the instances that this approver may decide about. */
  partly: boolean;
  reason: string;
  by: Person;
  at: Instant;
  lifted: { by: Person; at: Instant } | null;
  /**
   * Grants it waits for: those it ended so far, and `already` of them (missing: none) that were ending when it came to them. Then those
   * of them whose end is verified, sessions known to be open, requests taken back.
   */
  progress: { grants: number; already?: number; verified: number; sessions: number; requests: number };
  /** When every grant had its receipt, and how many ms after the pull the last of them was verified to be gone. */
  done: { at: Instant; totalMs: number } | null;
  /** May the caller lift it? */
  mayLift: { yes: true } | { yes: false; why: string };
};

/** One switch with what it ended: each grant with its receipt. */
export type SwitchStory = { killSwitch: KillSwitch; grants: Grant[] };

/** What a switch would end now. */
export type SwitchPreview = {
  scope: SwitchScope;
  name: string;
  at: Instant;
  totals: {
    grants: number;
    sessions: number;
    requests: number;
    people: number;
    accounts: number;
    /** Grants there that are ending already; missing from an older backend. */
    ending?: number;
  };
  /** The first of them, nearest end first. */
  grants: Grant[];
};

/** What a switch may be pulled on, found by name. */
export type SwitchTarget = { scope: SwitchScope; name: string; detail: string };

export const targetQuery = z.strictObject({
  kind: z.enum(['person', 'instance', 'account']),
  search: z.string().max(200).default(''),
});
export type TargetQuery = z.infer<typeof targetQuery>;

export const liveQuery = z.strictObject({
  search: z.string().max(200).default(''),
  cursor: z.string().max(200).nullable().default(null),
  limit: z.int().min(1).max(200).default(50),
});
export type LiveQuery = z.infer<typeof liveQuery>;

/** Live access of everybody that the caller may end, newest yes first. */
export type LivePage = {
  items: Grant[];
  nextCursor: string | null;
  matching: number;
  /** Sessions known to be open under those that match. */
  sessions: number;
};

/** An ending that is not verified yet, and why not. */
export type SlowEnding = { grant: Grant; sinceMs: number; why: string };

/** What another grant keeps reachable after one grant has ended, or would keep (threats RQ-21). */
export type StillReachable = {
  instance: Instance;
  grantId: string;
  /** `end`: until then. `connect-by`: nobody has connected yet; whoever does by then has it for that long. */
  until: { kind: 'end'; at: Instant } | { kind: 'connect-by'; at: Instant; durationSeconds: number };
};

/** What stays of the same person on the same instances. */
export type Stays = {
  reachable: StillReachable[];
  /** Requests of the person for one of these instances that wait for a decision. */
  waiting: number;
};

/** A grant whose end was asked for, and what stays of the same person on the same instances; missing from an older backend. */
export type EndedGrant = Grant & { stays?: Stays };

/** What "end all of this person on this instance" did. */
export type EndedAll = { ended: Grant[]; withdrawn: number; stays: Stays };
