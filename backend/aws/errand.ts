/**
 * What a call to AWS is made for. It belongs to the work and not to the call: one principal's pass becomes urgent in the
 * middle, when one of its grants falls due, and every call that is still waiting becomes urgent with it. So it travels with
 * the work and is read when a call may go out.
 */
import { AsyncLocalStorage } from 'node:async_hooks';

/** Most urgent first: an ending never waits for a beginning, nor either of them for a look (design 7). */
export const urgencies = ['ending', 'beginning', 'looking'] as const;
export type Urgency = (typeof urgencies)[number];

/** Another backend may have taken the work over, so this one must not go on with it. Expected, and never swallowed on its way out. */
export class TakenOver extends Error {}

export type Errand = {
  /** May be raised while the work goes on. */
  urgency: Urgency;
  /**
   * When it began, milliseconds on the monotonic clock: of equally urgent ones the oldest goes first, so that what was begun is finished.
   * Left out: each call by itself, when it comes.
   */
  since?: number;
  /** Called when a call is wanted, before it waits for its budget. */
  asks?: () => void;
  /** Called right before each call goes out. @throws TakenOver when the work may no longer be this process's to do. */
  stillMine?: () => void;
};

const errands = new AsyncLocalStorage<Errand>();

/** Does the work; all its calls to AWS are made for this errand. */
export const onErrand = <T>(errand: Errand, work: () => Promise<T>): Promise<T> => errands.run(errand, work);

/** Somebody waits for an answer: neither an ending nor something that can wait. */
const untold: Errand = { urgency: 'beginning' };

/** What the present work is for. */
export const currentErrand = (): Errand => errands.getStore() ?? untold;

/** Is `a` more urgent than `b`? */
export const moreUrgent = (a: Urgency, b: Urgency): boolean => urgencies.indexOf(a) < urgencies.indexOf(b);
