/** Random histories of granting and ending, with all that may go wrong, and the promises held after every step. */
import fc from 'fast-check';
import { type Company, openCompany } from './company.ts';
import { describeStep, maybeStep, type Step } from './happenings.ts';
import { type History, openHistory } from './history.ts';
import { type OfficeName, officeNames } from './offices.ts';
import { watchPromises } from './promises.ts';
import { bringToEnd, sweepAtEnd, take } from './steps.ts';

/**
 * What histories came by, and how often: steps by their name, refusals (`refused paused`), the states that grants were left in, and for each
 * office what lived there (`roles: active`, `roles: sessions ended`). They are worth something only if they get around.
 */
export type Reached = ReadonlyMap<string, number>;

export type ChaosOptions = {
  /** Of a cluster that may be thrown away, its database `postgres`. */
  postgresUrl: string;
  histories: number;
  /** How many steps each history has. */
  steps: number;
  seed: number;
  /** Of one history that failed, as it was printed: only this one is lived again. */
  path?: string;
  /** Called after each history with what it came by, and how often. */
  onHistory?: (reached: Reached) => void;
  /** Called once, when one broke a promise, with what broke: from then on it is made shorter. */
  onBroken?: (what: string) => void;
  /** False: it is told as long as it was. */
  shorten?: boolean;
};

export type ChaosResult =
  | { ok: true; histories: number; reached: Reached }
  | { ok: false; histories: number; seed: number; path: string; steps: string[]; what: string };

type Life = { office: OfficeName; steps: ReadonlyArray<Step | null> };

const count = (reached: Map<string, number>, what: string, times = 1): void => {
  if (times > 0) reached.set(what, (reached.get(what) ?? 0) + times);
};

/** What came of it. */
const countOutcome = async ({ company, db, office }: History, reached: Map<string, number>): Promise<void> => {
  const grants = await db.selectFrom('grants').select(['state', 'active_at']).execute();
  for (const { state } of grants) count(reached, state);
  count(reached, `${office.name}: active`, grants.filter((grant) => grant.active_at !== null).length);
  const sessions = company.aws.sessions();
  const ended = sessions.list().filter((session) => !sessions.isActive(session));
  count(reached, `${office.name}: sessions ended`, ended.length);
};

/** @returns what it came by. */
const live = async (company: Company, { office, steps }: Life): Promise<Reached> => {
  const history = await openHistory(company, office);
  const reached = new Map<string, number>();
  count(reached, office);
  try {
    const promises = watchPromises(history);
    for (const one of steps) {
      if (one === null) continue;
      const { settled, refused } = await take(history, one);
      count(reached, refused === null ? one.do : `refused ${refused}`);
      await promises.check(settled);
    }
    await bringToEnd(history, promises.check);
    // First without the sweep, which would mend what was left over.
    await promises.checkEnd(false);
    await sweepAtEnd(history);
    await promises.checkEnd(true);
    await countOutcome(history, reached);
    return reached;
  } finally {
    await history.close();
  }
};

/** Lives the histories one after the other. Stops at the first that breaks a promise and makes it as short as it can. */
export const chaos = async (options: ChaosOptions): Promise<ChaosResult> => {
  const company = await openCompany(options.postgresUrl);
  const all = new Map<string, number>();
  let lived = 0;
  let broken = false;
  try {
    const steps = fc.array(maybeStep, { minLength: options.steps, maxLength: options.steps });
    const lives = fc.record({ office: fc.constantFrom(...officeNames), steps });
    const property = fc.asyncProperty(lives, async (one) => {
      let reached: Reached;
      try {
        reached = await live(company, one);
      } catch (error) {
        if (!broken) options.onBroken?.(error instanceof Error ? error.message : String(error));
        broken = true;
        throw error;
      }
      if (broken) return;
      lived += 1;
      for (const [what, times] of reached) count(all, what, times);
      options.onHistory?.(reached);
    });
    const result = await fc.check(property, {
      seed: options.seed,
      numRuns: options.histories,
      endOnFailure: options.shorten === false,
      ...(options.path === undefined ? {} : { path: options.path }),
    });
    if (!result.failed) return { ok: true, histories: lived, reached: all };
    const [shortest] = result.counterexample ?? [];
    const error = result.errorInstance;
    return {
      ok: false,
      histories: lived,
      seed: result.seed,
      path: result.counterexamplePath ?? '',
      steps: [
        `in ${shortest?.office}`,
        ...(shortest?.steps ?? []).flatMap((one) => (one === null ? [] : [describeStep(one)])),
      ],
      what: error instanceof Error ? (error.stack ?? error.message) : String(error),
    };
  } finally {
    await company.close();
  }
};
