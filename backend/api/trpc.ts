/** The foundation of all procedures: who calls, how failures are answered, what is counted. */
import { initTRPC } from '@trpc/server';
import { callError, formatCallError, refusalOf } from './call-error.ts';
import type { Caller } from './caller.ts';
import type { Metrics } from './metrics.ts';
import { callLimit } from './rate-limit.ts';

export type Context = {
  /** The client's address, for limits. */
  address: string;
  /** Looked up once per HTTP request, also for a batch. @throws Refusal `sign_in_needed`. */
  caller: () => Promise<Caller>;
  metrics: Pick<Metrics, 'called'>;
  now: () => Date;
};

const heartbeatMs = 15_000;
/** Over all tokens and addresses of a person (threats API-05). */
const callsPerMinute = 1_200;

const t = initTRPC.context<Context>().create({
  isDev: false,
  errorFormatter: formatCallError,
  sse: {
    ping: { enabled: true, intervalMs: heartbeatMs },
    client: { reconnectAfterInactivityMs: 3 * heartbeatMs },
  },
});

const answered = t.middleware(async ({ next, path, ctx }) => {
  const since = performance.now();
  const result = await next();
  const outcome = result.ok ? 'ok' : (refusalOf(result.error)?.code ?? 'fault');
  ctx.metrics.called(path, outcome, performance.now() - since);
  if (!result.ok) throw callError(result.error);
  return result;
});

const perPerson = callLimit(callsPerMinute, 60_000);

const withCaller = t.middleware(async ({ next, ctx }) => {
  const caller = await ctx.caller();
  perPerson.count(caller.reader.person.id, ctx.now());
  return next({ ctx: { ...ctx, ...caller } });
});

export const router = t.router;
/** For everybody, before sign-in. */
export const open = t.procedure.use(answered);
/** For whoever holds a token that stands; `ctx.reader` is who. */
export const signedIn = open.use(withCaller);
