/**
 * Looks for sessions, shared: many principals that end at once want to see the sessions of one account and region at a rate
 * of six calls a second. One call can answer them all, so whoever waits for the budget is answered by the call that goes out.
 */
import { currentErrand, type Errand, moreUrgent, onErrand, type Urgency } from './errand.ts';

/** One page of the active sessions of a place: of this owner, or of everybody. */
export type LookPage<T> = (
  owner: string | null,
  token: string | undefined,
) => Promise<{ items: readonly T[]; next: string | undefined }>;

export type LookOptions<T> = {
  /**
   * Makes one call within its budget. `send` is called when it may go out, and again when it is repeated.
   * @throws what the call throws.
   */
  call: (send: () => ReturnType<LookPage<T>>) => ReturnType<LookPage<T>>;
  page: LookPage<T>;
  ownerOf: (item: T) => string;
};

type Waiting<T> = {
  owner: string | null;
  errand: Errand;
  answer: (found: T[]) => void;
  fail: (error: unknown) => void;
};

/** One place's looks. The returned function resolves with what was active at some instant after it was called. */
export const createLooks = <T>({ call, page, ownerOf }: LookOptions<T>): ((owner: string | null) => Promise<T[]>) => {
  const waiting: Array<Waiting<T>> = [];
  let going = false;
  /** How many calls it took to see everybody's, the last time. */
  let pagesOfAll = 1;

  const mostUrgent = (some: ReadonlyArray<Waiting<T>>): Urgency => {
    let first: Urgency = 'looking';
    for (const { errand } of some) if (moreUrgent(errand.urgency, first)) first = errand.urgency;
    return first;
  };
  /** Whom the call that goes out now answers: all who wait if that is cheaper than one after the other. */
  const choose = (): { owner: string | null; batch: Array<Waiting<T>> } => {
    const first = mostUrgent(waiting);
    const owner = waiting.find(({ errand }) => errand.urgency === first)?.owner ?? null;
    const owners = new Set(waiting.map((one) => one.owner));
    const everybody = owner === null || owners.size > pagesOfAll;
    const batch = waiting.filter((one) => everybody || one.owner === owner);
    for (const one of batch) waiting.splice(waiting.indexOf(one), 1);
    return { owner: everybody ? null : owner, batch };
  };
  type Chosen = ReturnType<typeof choose>;
  const everyPage = async (errand: Errand, send: (token: string | undefined) => ReturnType<LookPage<T>>) => {
    const found: T[] = [];
    let token: string | undefined;
    let pages = 0;
    do {
      const answered = await onErrand(errand, () => call(() => send(token)));
      found.push(...answered.items);
      token = answered.next === '' ? undefined : answered.next;
      pages += 1;
    } while (token !== undefined);
    return { found, pages };
  };
  const look = async (): Promise<void> => {
    // Chosen when the call goes out, not when it is asked for: whoever comes until then is answered too.
    let chosen: Chosen | null = null;
    const errand: Errand = {
      get urgency() {
        return mostUrgent([...waiting, ...(chosen?.batch ?? [])]);
      },
    };
    try {
      const { found, pages } = await everyPage(errand, (token) => {
        chosen ??= choose();
        return page(chosen.owner, token);
      });
      answerAll(chosen, found, pages);
    } catch (error) {
      failAll(chosen, error);
    }
  };
  const answerAll = (chosen: Chosen | null, found: readonly T[], pages: number): void => {
    if (chosen?.owner === null) pagesOfAll = pages;
    // By exact owner, whatever the filter does: `alice` never ends the sessions of `alice-bob` (threats AWS-04).
    for (const { owner, answer } of chosen?.batch ?? []) {
      answer(owner === null ? [...found] : found.filter((item) => ownerOf(item) === owner));
    }
  };
  /** Before a call went out nobody was chosen: then it failed for all who wait. */
  const failAll = (chosen: Chosen | null, error: unknown): void => {
    for (const { fail } of chosen?.batch ?? waiting.splice(0)) fail(error);
  };
  const start = async (): Promise<void> => {
    if (going) return;
    going = true;
    while (waiting.length > 0) await look();
    going = false;
  };

  return (owner) =>
    new Promise((answer, fail) => {
      waiting.push({ owner, errand: currentErrand(), answer, fail });
      void start();
    });
};
