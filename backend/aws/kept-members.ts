/**
 * Who may have a part in requests, in organisations where asking about each of them takes minutes: a copy in memory, read anew in the
 * background, so that nobody waits for it. It says whom to tell, to count and to show. Who asks and who decides is read one by one
 * (threats RQ-06, ID-12): no decision rests on the copy.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Log } from '../log.ts';
import type { PersonFacts } from '../store/people.ts';

/** Up to so many are asked about one by one, each at most half a minute ago. */
export const mostOneByOne = 60;

/**
 * Milliseconds before each call. The API takes 20 calls a second (aws-facts 1.9), and sign-ins and leavers need them: the copy costs two
 * a second however large the organisation is, but for the first time, when somebody may be waiting.
 */
export const paceMs = { first: 100, later: 500 } as const;

/** Milliseconds between the end of a reading and the next: while somebody asks, and while nobody does. */
const usualRestMs = { used: 300_000, unused: 1_800_000 } as const;

export type KeptMembers = {
  /** The enabled members of a configured group; null when so few are in all of them that each is asked about. */
  of: (group: string) => Promise<readonly PersonFacts[] | null>;
  /** What was read last of an enabled member, without waiting for anything; null: nothing. */
  find: (personId: string) => PersonFacts | null;
  /** Reads anew; who asks meanwhile is answered from what was read last. Never two readings at once. What fails keeps the last. */
  refresh: (stopping?: AbortSignal) => Promise<void>;
  /** Resolves when somebody has asked since the last reading began. */
  used: () => Promise<void>;
};

export type KeptMembersDeps = {
  groups: readonly string[];
  /** How many are in all of the groups; may be half a minute old. */
  count: () => Promise<number>;
  /** Enabled members by group; null when they are few. `pace` is to be awaited before each call. */
  read: (pace: () => Promise<void>) => Promise<ReadonlyMap<string, readonly PersonFacts[]> | null>;
  /** Waits; rejects when it is stopped meanwhile. */
  wait?: (ms: number, stopping: AbortSignal | undefined) => Promise<unknown>;
};

/** The enabled ones of each group. @param lists names of groups to ids of all their members. */
export const byGroup = (
  lists: ReadonlyMap<string, readonly string[]>,
  people: readonly PersonFacts[],
): ReadonlyMap<string, readonly PersonFacts[]> => {
  const enabled = new Map(people.flatMap((one) => (one.enabled ? [[one.id, one] as const] : [])));
  return new Map([...lists].map(([group, ids]) => [group, ids.flatMap((id) => enabled.get(id) ?? [])]));
};

export const createKeptMembers = (deps: KeptMembersDeps): KeptMembers => {
  const { groups, count, read, wait = (ms, signal) => sleep(ms, undefined, { signal }) } = deps;
  let kept: ReadonlyMap<string, readonly PersonFacts[]> | null = null;
  let byId: ReadonlyMap<string, PersonFacts> = new Map();
  let running: Promise<void> | null = null;
  let asked = Promise.withResolvers<void>();
  const held = () => kept;

  const refresh = (stopping?: AbortSignal): Promise<void> => {
    running ??= (async () => {
      asked = Promise.withResolvers<void>();
      const ms = kept === null ? paceMs.first : paceMs.later;
      kept = await read(async () => {
        await wait(ms, stopping);
      });
      byId = new Map([...(kept?.values() ?? [])].flatMap((people) => people.map((one) => [one.id, one] as const)));
    })().finally(() => {
      running = null;
    });
    return running;
  };

  return {
    refresh,
    used: () => asked.promise,
    find: (personId) => {
      asked.resolve();
      return byId.get(personId) ?? null;
    },
    of: async (group) => {
      asked.resolve();
      if (!groups.includes(group)) return null;
      if (held() === null) {
        if ((await count()) <= mostOneByOne) return null;
        // The background may have finished it while they were counted.
        if (held() === null) await refresh();
      }
      const members = held();
      return members === null ? null : (members.get(group) ?? []);
    },
  };
};

/** Reads the copy at once and again and again until it is stopped, rarely while nobody asks; what fails is logged. */
export const keepMembers = (
  { refresh, used }: Pick<KeptMembers, 'refresh' | 'used'>,
  log: Pick<Log, 'warn'>,
  restMs: { used: number; unused: number } = usualRestMs,
): { stop: () => Promise<void> } => {
  const stopping = new AbortController();
  const { signal } = stopping;
  const pause = (ms: number, until: AbortSignal) => sleep(ms, undefined, { signal: until }).catch(() => undefined);
  const running = (async () => {
    while (!signal.aborted) {
      await refresh(signal).catch((error: unknown) => {
        if (signal.aborted) return;
        log.warn(
          { event: 'members_not_read', error },
          'the members of the groups could not be read: the last copy stays',
        );
      });
      await pause(restMs.used, signal);
      const wanted = new AbortController();
      await Promise.race([used(), pause(restMs.unused - restMs.used, AbortSignal.any([signal, wanted.signal]))]);
      wanted.abort();
    }
  })();
  return {
    stop: async () => {
      stopping.abort();
      await running;
    },
  };
};
