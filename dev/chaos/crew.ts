/** The backends of a history, two at most, and what happens to what a dead one held. */
import type { Config } from '../../backend/config.ts';
import type { Db } from '../../backend/store/open.ts';
import { type ChaosBackend, startBackend } from './backend.ts';
import type { Clock } from './clock.ts';
import type { Company } from './company.ts';

export const seats = [0, 1] as const;
export type Seat = (typeof seats)[number];

/** Each reads the database's clock a little differently, milliseconds. */
const readsAheadMs: Record<Seat, number> = { 0: 0, 1: 40 };
/** After this long another one notices, milliseconds: a process that is gone, and a machine that is (`backend/store/backends.ts`). */
const noticedAfterMs = { gone: 1_000, silent: 7_000 };

export type Crew = {
  /** The living one of this seat, or else of the other; one that stands still does not count. */
  awake: (first: Seat) => { seat: Seat; backend: ChaosBackend } | null;
  /** Starts one where none lives. Resolves when it can be worked with. */
  start: (seat: Seat) => Promise<void>;
  /** Lets go of one that died. */
  retire: (seat: Seat, how: 'gone' | 'silent') => Promise<void>;
  /** What the heartbeat of a living one does: what is held by nobody who lives, or stands still, falls due; the dead when they are noticed. */
  bury: () => Promise<void>;
  /** When the next dead one is noticed, if there is one. */
  nextBurial: () => Date | null;
  /** What any of them told as an error and nobody planned. */
  unexpected: () => unknown[];
  /** Ends all in an orderly way; whoever died is buried. */
  close: () => Promise<void>;
};

export const startCrew = async (place: { company: Company; config: Config; clock: Clock; db: Db }): Promise<Crew> => {
  const { clock, company, config, db } = place;
  const living = new Map<Seat, ChaosBackend>();
  const graves: Array<{ number: number; how: 'gone' | 'silent'; noticedAt: Date }> = [];
  const told: unknown[] = [];

  const buryThose = async (noticed: (grave: (typeof graves)[number]) => boolean): Promise<void> => {
    for (const grave of graves.filter(noticed)) graves.splice(graves.indexOf(grave), 1);
    const counted = [...living.values()].filter((backend) => !backend.stalls()).map((backend) => backend.number());
    await db
      .updateTable('principals')
      .set({ holder: null, due_at: clock.now() })
      .where('holder', 'is not', null)
      .where('holder', 'not in', [0, ...counted, ...graves.map((grave) => grave.number)])
      .execute();
  };
  const end = async (seat: Seat): Promise<ChaosBackend | undefined> => {
    const backend = living.get(seat);
    living.delete(seat);
    await backend?.stop();
    told.push(...(backend?.unexpected() ?? []));
    return backend;
  };
  const start = async (seat: Seat): Promise<void> => {
    if (living.has(seat)) return;
    const now = (): Date => new Date(clock.now().getTime() + readsAheadMs[seat]);
    living.set(seat, startBackend({ company, config, clock, now, way: company.ways[seat] }));
    // Whoever joins sees at once whose lock is free.
    await buryThose(({ how, noticedAt }) => how === 'gone' || noticedAt <= clock.now());
  };
  await start(0);
  return {
    awake: (first) => {
      for (const seat of [first, first === 0 ? 1 : 0] as const) {
        const backend = living.get(seat);
        if (backend !== undefined && !backend.stalls()) return { seat, backend };
      }
      return null;
    },
    start,
    retire: async (seat, how) => {
      const backend = await end(seat);
      if (backend === undefined) return;
      graves.push({ number: backend.number(), how, noticedAt: new Date(clock.now().getTime() + noticedAfterMs[how]) });
    },
    bury: () => buryThose(({ noticedAt }) => noticedAt <= clock.now()),
    nextBurial: () => {
      const [first] = graves.map(({ noticedAt }) => noticedAt).sort((a, b) => a.getTime() - b.getTime());
      return first ?? null;
    },
    unexpected: () => [...told, ...[...living.values()].flatMap((backend) => backend.unexpected())],
    close: async () => {
      for (const seat of seats) await end(seat);
      await buryThose(() => true);
    },
  };
};
