/** Random histories of granting and ending, with all that may go wrong, and the promises held after every step. */
import fc from 'fast-check';
import { type Company, openCompany } from './company.ts';
import { describeStep, maybeStep, type Step } from './happenings.ts';
import { openHistory } from './history.ts';
import { type OfficeName, officeNames } from './offices.ts';
import { watchPromises } from './promises.ts';
import { bringToEnd, sweepAtEnd, take } from './steps.ts';

export type ChaosOptions = {
  /** Of a cluster that may be thrown away, its database `postgres`. */
  postgresUrl: string;
  histories: number;
  /** How many steps each history has. */
  steps: number;
  seed: number;
  /** Of one history that failed, as it was printed: only this one is lived again. */
  path?: string;
  /** Called after each history with what it came by. */
  onHistory?: (reached: ReadonlySet<string>) => void;
  /** Called once, when one broke a promise, with what broke: from then on it is made shorter. */
  onBroken?: (what: string) => void;
  /** False: it is told as long as it was. */
  shorten?: boolean;
};

export type ChaosResult =
  | { ok: true; histories: number; reached: ReadonlySet<string> }
  | { ok: false; histories: number; seed: number; path: string; steps: string[]; what: string };

type Life = { office: OfficeName; steps: ReadonlyArray<Step | null> };

const live = async (company: Company, { office, steps }: Life, reached: Set<string>): Promise<void> => {
  const history = await openHistory(company, office);
  reached.add(office);
  try {
    const promises = watchPromises(history);
    for (const one of steps) {
      if (one === null) continue;
      const { settled, refused } = await take(history, one);
      reached.add(refused === null ? one.do : `refused ${refused}`);
      await promises.check(settled);
    }
    await bringToEnd(history, promises.check);
    // First without the sweep, which would mend what was left over.
    await promises.checkEnd(false);
    await sweepAtEnd(history);
    await promises.checkEnd(true);
    const states = await history.db.selectFrom('grants').select('state').distinct().execute();
    for (const { state } of states) reached.add(state);
  } finally {
    await history.close();
  }
};

/** Lives the histories one after the other. Stops at the first that breaks a promise and makes it as short as it can. */
export const chaos = async (options: ChaosOptions): Promise<ChaosResult> => {
  const company = await openCompany(options.postgresUrl);
  const reached = new Set<string>();
  let lived = 0;
  let broken = false;
  try {
    const steps = fc.array(maybeStep, { minLength: options.steps, maxLength: options.steps });
    const lives = fc.record({ office: fc.constantFrom(...officeNames), steps });
    const property = fc.asyncProperty(lives, async (one) => {
      try {
        await live(company, one, reached);
      } catch (error) {
        if (!broken) options.onBroken?.(error instanceof Error ? error.message : String(error));
        broken = true;
        throw error;
      }
      if (broken) return;
      lived += 1;
      options.onHistory?.(reached);
    });
    const result = await fc.check(property, {
      seed: options.seed,
      numRuns: options.histories,
      endOnFailure: options.shorten === false,
      ...(options.path === undefined ? {} : { path: options.path }),
    });
    if (!result.failed) return { ok: true, histories: lived, reached };
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
