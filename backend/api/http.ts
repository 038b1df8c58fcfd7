/**
 * The HTTP server: looks at each request before the router does (threats API-05, API-06, API-08), serves health and metrics,
 * and stops with a deadline.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { nodeHTTPRequestHandler } from '@trpc/server/adapters/node-http';
import { limits } from '../../src/shared/limits.ts';
import { apiPath } from '../../src/shared/views.ts';
import type { Log } from '../log.ts';
import { type Db, readGeneration } from '../store/open.ts';
import { faultIdOf, refusalOf } from './call-error.ts';
import { type Caller, type CallerDeps, callerOf } from './caller.ts';
import type { Metrics } from './metrics.ts';
import type { AppRouter } from './router.ts';
import { bearerOf } from './tokens.ts';
import type { Context } from './trpc.ts';

export type HttpDeps = {
  router: AppRouter;
  /** Who calls, from the token of the Authorization header. */
  callerDeps: CallerDeps;
  metrics: Metrics;
  db: Db;
  /** The configured origin; its host is one of those that a request may name. */
  origin: string;
  listen: { host: string; port: number };
  log: Log;
  now: () => Date;
};

export type HttpServer = {
  /** Where it listens, e.g. `http://127.0.0.1:8710`. */
  address: string;
  /** Takes no new calls, waits for running ones up to the deadline, then cuts them. */
  stop: (deadlineMs: number) => Promise<void>;
};

const headersMs = 10_000;
const requestMs = 30_000;
const connectionsMost = 5_000;
const stuckCheckMs = 15_000;

const loopbackNames = ['127.0.0.1', 'localhost', '[::1]'];
const isLoopback = (host: string): boolean => ['127.0.0.1', '::1', 'localhost'].includes(host);

const plain = (response: ServerResponse, status: number, text: string): void => {
  response.writeHead(status, { 'content-type': 'text/plain; charset=utf-8', connection: 'close' });
  response.end(`${text}\n`);
};

/** Names that a request's Host header may have: a page that rebinds its own name to us does not know them. */
const hostsOf = ({ origin, listen }: HttpDeps, port: number): Set<string> => {
  const hosts = new Set([new URL(origin).host]);
  if (isLoopback(listen.host)) for (const name of loopbackNames) hosts.add(`${name}:${port}`);
  return hosts;
};

/** What is wrong with a request before any procedure is looked up; null: nothing. */
const refusedByHeaders = (
  request: IncomingMessage,
  allowed: { hosts: ReadonlySet<string>; origins: ReadonlySet<string> },
): { status: number; text: string } | null => {
  const { host, origin } = request.headersDistinct;
  if (host?.length !== 1 || !allowed.hosts.has(host[0] ?? '')) return { status: 403, text: 'unknown host' };
  if (origin !== undefined && !origin.every((one) => allowed.origins.has(one))) {
    return { status: 403, text: 'foreign origin' };
  }
  if (request.method !== 'GET' && request.method !== 'POST') return { status: 405, text: 'GET or POST' };
  const type = request.headers['content-type'];
  if (request.method === 'POST' && type?.split(';')[0]?.trim().toLowerCase() !== 'application/json') {
    return { status: 415, text: 'application/json only' };
  }
  return null;
};

/** @throws when Postgres does not answer, or is of a version that this backend might misread: then it is not ready. */
const ready = async (db: Db, response: ServerResponse): Promise<void> => {
  await readGeneration(db);
  plain(response, 200, 'ready');
};

/** Closes streams whose reader has not read for a while: their unsent bytes would pile up. */
const watchStuck = (): { watch: (response: ServerResponse) => void; stop: () => void } => {
  const streams = new Map<ServerResponse, number>();
  const timer = setInterval(() => {
    for (const [response, stuckFor] of streams) {
      const stuck = response.writableNeedDrain || response.writableLength > 1024 * 1024;
      if (stuck && stuckFor >= 1) response.destroy();
      streams.set(response, stuck ? stuckFor + 1 : 0);
    }
  }, stuckCheckMs);
  return {
    watch: (response) => {
      streams.set(response, 0);
      response.on('close', () => streams.delete(response));
    },
    stop: () => clearInterval(timer),
  };
};

const listening = (server: Server, { host, port }: HttpDeps['listen']): Promise<AddressInfo> =>
  new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen({ host, port }, () => {
      const address = server.address();
      if (address === null || typeof address === 'string') reject(new Error('The server has no TCP address.'));
      else resolve(address);
    });
  });

/** Starts to listen. @throws what the operating system says when the port cannot be had. */
export const startHttp = async (deps: HttpDeps): Promise<HttpServer> => {
  const { router, log, metrics, now } = deps;
  const stuck = watchStuck();

  const contextOf = (request: IncomingMessage): Context => {
    let caller: Promise<Caller> | null = null;
    return {
      address: request.socket.remoteAddress ?? 'unknown',
      caller: () => {
        caller ??= callerOf(deps.callerDeps, bearerOf(request.headersDistinct['authorization']));
        return caller;
      },
      metrics,
      now,
    };
  };

  const call = (request: IncomingMessage, response: ServerResponse, path: string): Promise<void> => {
    stuck.watch(response);
    return nodeHTTPRequestHandler<AppRouter, IncomingMessage, ServerResponse>({
      req: request,
      res: response,
      path,
      router,
      createContext: () => contextOf(request),
      maxBodySize: limits.bodyBytes,
      maxBatchSize: limits.callsPerBatch,
      onError: ({ error, path: procedure }) => {
        if (refusalOf(error) !== null) return;
        log.error({ event: 'fault', faultId: faultIdOf(error), procedure, error: error.cause ?? error }, 'fault');
      },
    });
  };

  let hosts: ReadonlySet<string> = new Set();
  const origins: ReadonlySet<string> = new Set([new URL(deps.origin).origin]);

  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    response.setHeader('x-content-type-options', 'nosniff');
    response.setHeader('cache-control', 'no-store');
    const [path = ''] = (request.url ?? '').split('?');
    // Probes name whatever address they were given; these two tell nothing.
    if (path === '/healthz') return plain(response, 200, 'alive');
    if (path === '/readyz') return ready(deps.db, response);
    const refused = refusedByHeaders(request, { hosts, origins });
    if (refused !== null) return plain(response, refused.status, refused.text);
    if (path === '/metrics') {
      response.setHeader('content-type', metrics.registry.contentType);
      response.end(await metrics.registry.metrics());
      return;
    }
    if (path.startsWith(`${apiPath}/`)) return call(request, response, path.slice(apiPath.length + 1));
    plain(response, 404, 'nothing here');
  };

  const server = createServer(
    {
      headersTimeout: headersMs,
      requestTimeout: requestMs,
      connectionsCheckingInterval: 2_000,
      maxHeaderSize: 16 * 1024,
      requireHostHeader: false,
    },
    (request, response) => {
      answer(request, response).catch((error: unknown) => {
        log.error({ event: 'fault', error, path: (request.url ?? '').split('?')[0] }, 'request failed');
        if (response.headersSent) response.destroy();
        else plain(response, 503, 'not available');
      });
    },
  );
  server.maxConnections = connectionsMost;
  const { port } = await listening(server, deps.listen);
  hosts = hostsOf(deps, port);

  return {
    address: `http://${deps.listen.host.includes(':') ? `[${deps.listen.host}]` : deps.listen.host}:${port}`,
    stop: async (deadlineMs) => {
      stuck.stop();
      const cut = setTimeout(() => server.closeAllConnections(), deadlineMs);
      await new Promise<void>((resolve) => {
        server.close(() => resolve());
        server.closeIdleConnections();
      });
      clearTimeout(cut);
    },
  };
};
