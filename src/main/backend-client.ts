/**
 * The backend as the main process sees it: typed calls over tRPC, changes over an event stream. The only file that knows the router's
 * type. Bearer token in the Authorization header only; no redirects are followed.
 */
import { createTRPCClient, httpBatchLink, httpSubscriptionLink, splitLink, TRPCClientError } from '@trpc/client';
import { EventSource } from 'eventsource';
import { z } from 'zod';
import type { AppRouter } from '../../backend/api/router.ts';
import { serverIdOf } from '../shared/identity-proof.ts';
import { limits } from '../shared/limits.ts';
import { isRefusalCode, Refusal } from '../shared/refusal.ts';
import { apiPath } from '../shared/views.ts';
import { type BackendClient, type BackendClientOptions, Unreachable } from './ports.ts';

const answerWithinMs = 20_000;

/** What the backend puts into `data` of an error (backend/api/call-error.ts). */
const failureData = z.object({
  refusal: z
    .object({
      code: z.string(),
      path: z.string().optional(),
      message: z.string().optional(),
      retryAfterMs: z.number().optional(),
      by: z.string().optional(),
      at: z.string().optional(),
    })
    .optional(),
  faultId: z.string().optional(),
});

/** The backend had a fault of its own; its id leads to its log. */
class BackendFault extends Error {
  readonly faultId: string;

  constructor(faultId: string, options?: ErrorOptions) {
    super(`the backend had a fault, id ${faultId}`, options);
    this.name = 'BackendFault';
    this.faultId = faultId;
  }
}

const loopback = /^http:\/\/(127\.0\.0\.1|localhost|\[::1\])(:|$)/;

/** @throws Refusal `invalid_input` for what is no origin, or http beyond this computer (threats API-09). */
const checkedOrigin = (url: string): string => {
  const origin = serverIdOf(url);
  if (!origin.startsWith('https://') && !loopback.test(origin)) {
    throw new Refusal('invalid_input', { path: 'backendUrl', message: 'must begin with https://' });
  }
  return origin;
};

/** @returns the error that callers of `BackendClient` are promised. */
const translated = (cause: unknown, host: string): unknown => {
  if (!(cause instanceof TRPCClientError)) return cause;
  const data = failureData.safeParse(cause.data);
  const { refusal, faultId } = data.success ? data.data : {};
  if (refusal !== undefined && isRefusalCode(refusal.code)) {
    const { code, path, message, retryAfterMs, by, at } = refusal;
    return new Refusal(code, {
      ...(path === undefined ? {} : { path }),
      ...(message === undefined ? {} : { message }),
      ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
      ...(by === undefined ? {} : { by }),
      ...(at === undefined ? {} : { at }),
      cause,
    });
  }
  if (faultId !== undefined) return new BackendFault(faultId, { cause });
  // No answer of ours at all: nobody there, cut off, or something else answers at this address.
  return new Unreachable(`the backend ${host}`, { cause });
};

/** No answer came at all: fetch itself failed, or its time was over. */
const isSilence = (error: unknown): boolean => {
  const cause = error instanceof TRPCClientError ? error.cause : undefined;
  return cause?.message === 'fetch failed' || cause?.name === 'TimeoutError' || cause?.name === 'AbortError';
};

/**
 * Asks at an address that somebody typed for the backend's public facts. @throws Refusal `invalid_input` in words for the person when
 * nobody answers there within 20 s, or somebody who is not Curfew.
 */
export const checkBackend = async (url: string): Promise<void> => {
  try {
    await createBackendClient({ url, token: () => null, onUnauthorized: () => undefined }).info();
  } catch (error) {
    if (!(error instanceof Unreachable)) throw error;
    const { host } = new URL(url);
    throw new Refusal('invalid_input', {
      path: 'backendUrl',
      message: isSilence(error.cause)
        ? `Nobody answers at ${host}.`
        : `What answers at ${host} is not a Curfew backend.`,
      cause: error,
    });
  }
};

export const createBackendClient = (options: BackendClientOptions): BackendClient => {
  const origin = checkedOrigin(options.url);
  const { host } = new URL(origin);
  const url = `${origin}${apiPath}`;
  const authorization = (): Record<string, string> => {
    const token = options.token();
    return token === null ? {} : { authorization: `Bearer ${token}` };
  };

  const client = createTRPCClient<AppRouter>({
    links: [
      splitLink({
        condition: (operation) => operation.type === 'subscription',
        true: httpSubscriptionLink({
          url,
          EventSource,
          eventSourceOptions: () => ({
            fetch: (input, init) =>
              fetch(input, { ...init, redirect: 'error', headers: { ...init.headers, ...authorization() } }),
          }),
        }),
        false: httpBatchLink({
          url,
          maxURLLength: 4_000,
          maxItems: limits.callsPerBatch,
          headers: authorization,
          fetch: (input, init) =>
            fetch(input, {
              ...init,
              redirect: 'error',
              signal: AbortSignal.any([AbortSignal.timeout(answerWithinMs), ...(init?.signal ? [init.signal] : [])]),
            }),
        }),
      }),
    ],
  });

  const call = async <T>(work: () => Promise<T>): Promise<T> => {
    const withToken = options.token() !== null;
    try {
      return await work();
    } catch (cause) {
      const error = translated(cause, host);
      if (error instanceof Refusal && error.code === 'sign_in_needed' && withToken) options.onUnauthorized();
      throw error;
    }
  };
  const silent = (work: () => Promise<unknown>): Promise<void> => call(async () => void (await work()));

  return {
    info: () => call(() => client.info.query()),
    nonce: () => call(() => client.nonce.mutate()),
    prove: (proof) => call(() => client.prove.mutate(proof)),
    signOut: (input) => silent(() => client.signOut.mutate(input)),
    overview: () => call(() => client.overview.query()),
    instances: (query) => call(() => client.instances.query(query)),
    refreshInventory: () => silent(() => client.refreshInventory.mutate()),
    preview: (draft) => call(() => client.preview.mutate(draft)),
    submit: (draft) => call(() => client.submit.mutate(draft)),
    withdraw: (input) => call(() => client.withdraw.mutate(input)),
    card: (input) => call(() => client.card.query(input)),
    claim: (input) => silent(() => client.claim.mutate(input)),
    decide: (input) => call(() => client.decide.mutate(input)),
    connect: (input) => call(() => client.connect.mutate(input)),
    extend: (input) => call(() => client.extend.mutate(input)),
    end: (input) => call(() => client.end.mutate(input)),
    whatStays: (input) => call(() => client.whatStays.query(input)),
    endAllOn: (input) => call(() => client.endAllOn.mutate(input)),
    live: (query) => call(() => client.live.query(query)),
    endings: () => call(() => client.endings.query()),
    switches: () => call(() => client.switches.query()),
    switchStory: (input) => call(() => client.switchStory.query(input)),
    previewSwitch: (input) => call(() => client.previewSwitch.mutate(input)),
    switchTargets: (query) => call(() => client.switchTargets.query(query)),
    pullSwitch: (input) => call(() => client.pullSwitch.mutate(input)),
    liftSwitch: (input) => call(() => client.liftSwitch.mutate(input)),
    findings: (input) => call(() => client.findings.query(input)),
    endFound: (input) => call(() => client.endFound.mutate(input)),
    health: () => call(() => client.health.query()),
    sessionStarted: (input) => silent(() => client.sessionStarted.mutate(input)),
    sessionEnded: (input) => silent(() => client.sessionEnded.mutate(input)),
    spreadingMeasured: (input) => silent(() => client.spreadingMeasured.mutate(input)),
    markRead: (input) => silent(() => client.markRead.mutate(input)),
    audit: (query) => call(() => client.audit.query(query)),
    story: (input) => call(() => client.story.query(input)),
    exportAudit: (input) => call(() => client.exportAudit.mutate(input)),
    subscribe: ({ onChange, onReach, onOver }, after) => {
      let over = false;
      const end = (): void => {
        if (over) return;
        over = true;
        onReach(false);
        onOver();
      };
      const subscription = client.changes.subscribe(after === null ? undefined : { lastEventId: after }, {
        onData: ({ id, data }) => onChange(data, id),
        onStarted: () => onReach(true),
        onConnectionStateChange: ({ state }) => {
          if (state === 'connecting') onReach(false);
        },
        onError: (error) => {
          const told = translated(error, host);
          if (told instanceof Refusal && told.code === 'sign_in_needed') options.onUnauthorized();
          end();
        },
        onComplete: end,
      });
      return () => {
        over = true;
        subscription.unsubscribe();
      };
    },
  };
};
