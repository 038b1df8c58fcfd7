/** Takes what the AWS SDK's clients have signed to a server in this process: the same bytes without sockets in between. */
import { type HttpHandler, type HttpRequest, HttpResponse } from '@smithy/protocol-http';
import type { AwsServer } from '../local-aws/server.ts';

const textOf = (value: string | string[] | null | undefined): string => [value ?? ''].flat().join(',');

const bytesOf = (body: unknown): Buffer => {
  if (body === undefined) return Buffer.alloc(0);
  if (typeof body === 'string') return Buffer.from(body);
  if (body instanceof Uint8Array) return Buffer.from(body.buffer, body.byteOffset, body.byteLength);
  throw new TypeError('A request body is text or bytes here');
};

const queryOf = ({ query }: HttpRequest): URLSearchParams =>
  new URLSearchParams(
    Object.entries(query).flatMap(([key, value]) => [value ?? ''].flat().map((one): [string, string] => [key, one])),
  );

/** What happens on the way: before a call comes to AWS, and before its answer comes back. What they throw, the caller gets. */
export type Ends = {
  before?: () => Promise<void>;
  /** @param target of a call in JSON, e.g. `AmazonSSM.TerminateSession`; null: the call has none. */
  after?: (target: string | null) => Promise<void>;
};

/** As the network would do it, a lost answer is a connection that was cut. */
export const inProcess = (server: Pick<AwsServer, 'answer'>, ends: Ends): HttpHandler => ({
  handle: async (request) => {
    await ends.before?.();
    const headers = new Map(
      Object.entries(request.headers).map(([name, value]) => [name.toLowerCase(), textOf(value)]),
    );
    const outcome = await server.answer({
      method: request.method,
      path: request.path,
      query: queryOf(request),
      headers: Object.fromEntries(headers),
      body: bytesOf(request.body),
      now: new Date(),
    });
    await ends.after?.(headers.get('x-amz-target') ?? null);
    if (outcome === null) throw Object.assign(new Error('The answer is lost.'), { code: 'ECONNRESET' });
    const body = typeof outcome.body === 'string' ? Buffer.from(outcome.body) : outcome.body;
    const answered = { ...outcome.headers, 'content-length': String(body.length), date: new Date().toUTCString() };
    return { response: new HttpResponse({ statusCode: outcome.status, headers: answered, body }) };
  },
  updateHttpClientConfig: () => undefined,
  httpHandlerConfigs: () => ({}),
});
