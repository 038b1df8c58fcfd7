/**
 * Event streams: each holds no database connection, hears only what its person may hear, and closes within 5 s when its
 * token no longer stands (threats API-04, API-06, ID-11).
 */
import { limits } from '../../src/shared/limits.ts';
import { Refusal } from '../../src/shared/refusal.ts';
import type { Directory } from '../aws/directory.ts';
import type { Log } from '../log.ts';
import { type ChangeFeed, hears, type RecordedChange } from '../store/changes.ts';
import type { Db } from '../store/open.ts';
import type { Caller } from './caller.ts';
import type { Metrics } from './metrics.ts';
import { standingTokens } from './tokens.ts';

export type EventStream = {
  /** What has come since the last take, waiting for it if nothing has; null: the stream is over. */
  take: (signal: AbortSignal) => Promise<RecordedChange[] | null>;
  close: () => void;
};

export type Streams = {
  /** @throws Refusal `too_many` when this token or the backend has too many. */
  open: (caller: Caller) => EventStream;
  stop: () => void;
};

export type StreamsDeps = {
  db: Db;
  feed: Pick<ChangeFeed, 'subscribe'>;
  directory: Pick<Directory, 'person' | 'standings'>;
  adminGroup: string;
  metrics: Pick<Metrics, 'streamsOpen'>;
  log: Log;
  now: () => Date;
  /** Milliseconds between two looks at the tokens, and at whose streams they are; defaults below. */
  checkEveryMs?: { tokens: number; people: number };
};

const streamsOverall = 2_000;
const usualChecksMs = { tokens: 3_000, people: 60_000 };

type Open = {
  tokenHash: Buffer;
  personId: string;
  isAdmin: boolean;
  /** By topic and id: an event only says what to fetch again, so a slow reader's queue stays small. */
  waiting: Map<string, RecordedChange>;
  over: boolean;
  wake: () => void;
};

export const createStreams = (deps: StreamsDeps): Streams => {
  const all = new Set<Open>();

  const end = (stream: Open): void => {
    stream.over = true;
    all.delete(stream);
    deps.metrics.streamsOpen(all.size);
    stream.wake();
  };

  const unsubscribe = deps.feed.subscribe((change) => {
    for (const stream of all) {
      if (!stream.isAdmin && !hears(change, stream.personId)) continue;
      const key = `${change.event.topic} ${change.event.id}`;
      // Delete first: the newest stands at the end, so ids go up.
      stream.waiting.delete(key);
      stream.waiting.set(key, change);
      stream.wake();
    }
  });

  const checkTokens = async (): Promise<void> => {
    const open = [...all];
    const standing = await standingTokens(
      deps.db,
      open.map((stream) => stream.tokenHash),
      deps.now(),
    );
    for (const stream of open) if (!standing.has(stream.tokenHash.toString('hex'))) end(stream);
  };

  /** Admins one by one, as their streams tell more; all others together, who may be thousands. Who could not be asked about stays. */
  const checkPeople = async (): Promise<void> => {
    const open = [...all];
    const others = open.filter(({ isAdmin }) => !isAdmin);
    const { known } = await deps.directory.standings([...new Set(others.map(({ personId }) => personId))]);
    for (const stream of others) if ((known.get(stream.personId) ?? 'enabled') !== 'enabled') end(stream);
    for (const stream of open.filter(({ isAdmin }) => isAdmin)) {
      const person = await deps.directory.person(stream.personId);
      if (person?.enabled !== true) end(stream);
      else stream.isAdmin = person.groups.includes(deps.adminGroup);
    }
  };

  /** Never twice at once. */
  const every = (ms: number, work: () => Promise<void>): NodeJS.Timeout => {
    let running = false;
    return setInterval(() => {
      if (all.size === 0 || running) return;
      running = true;
      work()
        .catch((error: unknown) => deps.log.error({ event: 'stream_check_failed', error }, 'stream check failed'))
        .finally(() => {
          running = false;
        });
    }, ms);
  };
  const { tokens, people } = deps.checkEveryMs ?? usualChecksMs;
  const timers = [every(tokens, checkTokens), every(people, checkPeople)];

  return {
    open: ({ token, reader }) => {
      const mine = [...all].filter((stream) => stream.tokenHash.equals(token.hash)).length;
      if (mine >= limits.eventStreamsPerToken || all.size >= streamsOverall) {
        throw new Refusal('too_many', { retryAfterMs: 10_000 });
      }
      const stream: Open = {
        tokenHash: token.hash,
        personId: reader.person.id,
        isAdmin: reader.isAdmin,
        waiting: new Map(),
        over: false,
        wake: () => undefined,
      };
      all.add(stream);
      deps.metrics.streamsOpen(all.size);
      return {
        take: async (signal) => {
          if (stream.waiting.size === 0 && !stream.over && !signal.aborted) {
            await new Promise<void>((resolve) => {
              stream.wake = resolve;
              signal.addEventListener('abort', () => resolve(), { once: true });
            });
          }
          if (stream.over || signal.aborted) return null;
          const changes = [...stream.waiting.values()];
          stream.waiting.clear();
          return changes;
        },
        close: () => end(stream),
      };
    },
    stop: () => {
      for (const timer of timers) clearInterval(timer);
      unsubscribe();
      for (const stream of [...all]) end(stream);
    },
  };
};
