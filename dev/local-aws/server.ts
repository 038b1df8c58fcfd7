/**
 * One HTTP server for every AWS service: unsigned routes first (sign-in, portal, control), then signed calls, sent to the
 * service that the credential scope names. Listens on 127.0.0.1 only.
 */
import { randomUUID } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import type { CredentialStore } from './authorization/credential-store.ts';
import { SignatureRefusal, signatureError, type VerifiedSignature, verifySignature } from './authorization/sigv4.ts';
import type { TrailCall } from './cloudtrail/trail.ts';
import { queryAnswer, queryError, readForm, readInput } from './query-protocol.ts';
import {
  AwsError,
  type AwsRequest,
  type AwsResponse,
  type FaultHooks,
  type SignedService,
  type UnsignedRoute,
} from './service.ts';

export type AwsServerOptions = {
  now: () => Date;
  credentials: CredentialStore;
  /** Asked for at every request, so that services can be made after the server listens and its port is known. */
  services: () => SignedService[];
  unsignedRoutes: () => UnsignedRoute[];
  faults: FaultHooks;
  /** Told of every signed call that a service has answered, or refused for what the caller may not. */
  record?: (call: TrailCall) => void;
  /** A websocket upgrade, with the request in the form that `verifySignature` reads. Without it upgrades are cut. */
  onUpgrade?: (upgrade: { message: IncomingMessage; socket: Duplex; head: Buffer; request: AwsRequest }) => void;
  /** Told of what is nobody's expected answer, with the id that the client sees. */
  onFault: (error: unknown, requestId: string) => void;
};

export type AwsServer = {
  /** The same answer to a signed call that does not come over the network; null: done, and the answer is lost on purpose. */
  answer(request: AwsRequest): Promise<AwsResponse | null>;
  /** Listens on 127.0.0.1 (`port` 0 = any free one) and tells the endpoint, `http://127.0.0.1:<port>`. */
  listen(port: number): Promise<string>;
  /** Cuts open connections and stops listening. */
  close(): Promise<void>;
};

const bodyLimit = 1024 * 1024;

const readBody = async (message: IncomingMessage): Promise<Buffer> => {
  const chunks: Buffer[] = [];
  let length = 0;
  // The socket must outlive a body that is too large: its sender is told so.
  for await (const chunk of message.iterator({ destroyOnReturn: false })) {
    if (!Buffer.isBuffer(chunk)) throw new TypeError('A request body is read as bytes');
    length += chunk.length;
    if (length > bodyLimit) throw new AwsError('RequestEntityTooLarge', 'The request is larger than 1 MiB.', 413);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
};

/** A node request in the form of `service.ts`. The path stays encoded as received; repeated headers are joined by commas. */
export const awsRequest = (message: IncomingMessage, body: Buffer, now: Date): AwsRequest => {
  const [path = '/', ...query] = (message.url ?? '/').split('?');
  const headers = Object.fromEntries(
    Object.entries(message.headers).flatMap(([name, value]) =>
      value === undefined ? [] : [[name, Array.isArray(value) ? value.join(',') : value]],
    ),
  );
  return {
    method: message.method ?? 'GET',
    path: path || '/',
    query: new URLSearchParams(query.join('?')),
    headers,
    body,
    now,
  };
};

const jsonError = (error: AwsError, requestId: string): AwsResponse => ({
  status: error.status,
  headers: {
    'content-type': 'application/x-amz-json-1.1',
    'x-amzn-requestid': requestId,
    'x-amzn-errortype': error.code,
  },
  body: JSON.stringify({ __type: error.code, message: error.message }),
});

/** An empty body is an empty input. */
const readJson = (body: Buffer): { value: unknown } | null => {
  if (body.length === 0) return { value: {} };
  try {
    return { value: JSON.parse(body.toString('utf8')) };
  } catch {
    return null;
  }
};

/** The service that a request is for, as far as can be told before its signature is verified: errors need its shape. */
const guessScope = (request: AwsRequest): string | undefined => {
  const credential =
    /Credential=([^,\s]+)/.exec(request.headers['authorization'] ?? '')?.[1] ?? request.query.get('X-Amz-Credential');
  const scope = credential?.split('/')[3];
  if (scope !== undefined) return scope;
  const target = request.headers['x-amz-target'];
  if (target !== undefined) return target.startsWith('AWSIdentityStore.') ? 'identitystore' : 'ssm';
  return /^(iam|sts|ec2|ssm|identitystore)\./.exec(request.headers['host'] ?? '')?.[1];
};

const operationOf = (service: SignedService, request: AwsRequest, form: URLSearchParams): string =>
  service.protocol === 'query' ? (form.get('Action') ?? '') : (request.headers['x-amz-target']?.split('.')[1] ?? '');

const unknownOperation = (service: SignedService, operation: string): AwsError => {
  if (service.protocol === 'json') {
    return new AwsError('UnknownOperationException', `local-aws does not know ${service.service}:${operation}.`);
  }
  if (service.dialect === 'ec2') {
    return new AwsError('InvalidAction', `The action ${operation} is not valid for this web service.`);
  }
  return new AwsError('InvalidAction', `Could not find operation ${operation} for version of ${service.service}.`);
};

const dialectOf = (service: SignedService): 'query' | 'ec2' | 'json' =>
  service.protocol === 'json' ? 'json' : service.dialect;

/** `null` = the call was done and its answer is lost on purpose. */
type Outcome = AwsResponse | null;

/** Builds the server; nothing listens yet. */
export const createAwsServer = (options: AwsServerOptions): AwsServer => {
  const asAwsError = (error: unknown, service: SignedService, requestId: string): AwsError => {
    if (error instanceof AwsError) return error;
    if (error instanceof SignatureRefusal) return signatureError(error, dialectOf(service));
    options.onFault(error, requestId);
    const code = service.protocol === 'json' ? 'InternalServerError' : 'ServiceFailure';
    return new AwsError(code, `local-aws failed on this call (${requestId}).`, 500);
  };

  const run = async (service: SignedService, request: AwsRequest, requestId: string): Promise<Outcome> => {
    const verified: VerifiedSignature = verifySignature(request, options.credentials);
    const form = service.protocol === 'query' ? readForm(request) : new URLSearchParams();
    const operation = operationOf(service, request, form);
    const known = Object.hasOwn(service.operations, operation);
    if (!known) throw unknownOperation(service, operation);
    const { caller, region } = verified;
    const call = { service: service.service, operation, accountId: caller.accountId, region };
    await options.faults.beforeCall(call);
    const signed = { ...request, service: service.service, region, requestId, operation };
    const recorded = async <T>(input: unknown, work: () => Promise<T> | T): Promise<T> => {
      const about = { service: service.service, operation, region, caller, input };
      const userAgent = request.headers['user-agent'] ?? '';
      try {
        const result = await work();
        options.record?.({ ...about, userAgent, errorCode: null });
        return result;
      } catch (error) {
        if (error instanceof AwsError) options.record?.({ ...about, userAgent, errorCode: error.code });
        throw error;
      }
    };
    if (service.protocol === 'query') {
      const read = readInput(form);
      const result = await recorded(read, () => service.operations[operation]?.(read, caller, signed));
      if (options.faults.loseAnswer?.(call)) return null;
      return queryAnswer(result ?? {}, { service, operation, requestId, request });
    }
    const input = readJson(request.body);
    if (!input) throw new AwsError('SerializationException', 'The body is not JSON.');
    const result = await recorded(input.value, () => service.operations[operation]?.(input.value, caller, signed));
    if (options.faults.loseAnswer?.(call)) return null;
    const headers = { 'content-type': 'application/x-amz-json-1.1', 'x-amzn-requestid': requestId };
    return { status: 200, headers, body: JSON.stringify(result ?? {}) };
  };

  const answerSigned = async (request: AwsRequest, requestId: string): Promise<Outcome> => {
    const scope = guessScope(request);
    const service = options.services().find((one) => one.service === scope);
    if (!service) {
      return jsonError(
        new AwsError('UnknownOperationException', 'local-aws knows no service for this request.', 404),
        requestId,
      );
    }
    try {
      return await run(service, request, requestId);
    } catch (error) {
      const awsError = asAwsError(error, service, requestId);
      return service.protocol === 'json'
        ? jsonError(awsError, requestId)
        : queryError(awsError, { service, requestId, request });
    }
  };

  const answer = async (message: IncomingMessage, requestId: string): Promise<Outcome> => {
    try {
      const request = awsRequest(message, await readBody(message), options.now());
      const route = options.unsignedRoutes().find((one) => one.match(request));
      return route ? await route.handle(request) : await answerSigned(request, requestId);
    } catch (error) {
      if (error instanceof AwsError) return jsonError(error, requestId);
      // A client that went away in the middle of its request waits for no answer.
      if (message.destroyed && !message.complete) return null;
      options.onFault(error, requestId);
      return jsonError(new AwsError('InternalServerError', `local-aws failed (${requestId}).`, 500), requestId);
    }
  };

  const send = (outcome: Outcome, response: ServerResponse): void => {
    if (outcome === null) {
      response.socket?.destroy();
      return;
    }
    response.writeHead(outcome.status, { ...outcome.headers, 'content-length': Buffer.byteLength(outcome.body) });
    response.end(outcome.body);
  };

  const server = createServer((message, response) => {
    const requestId = randomUUID();
    answer(message, requestId)
      .then((outcome) => send(outcome, response))
      .catch((error: unknown) => {
        options.onFault(error, requestId);
        response.destroy();
      });
  });
  server.on('upgrade', (message, socket, head) => {
    if (!options.onUpgrade) {
      socket.destroy();
      return;
    }
    options.onUpgrade({ message, socket, head, request: awsRequest(message, Buffer.alloc(0), options.now()) });
  });

  return {
    answer: (request) => answerSigned(request, randomUUID()),
    listen: (port) =>
      new Promise((resolve, reject) => {
        server.once('error', reject);
        server.listen(port, '127.0.0.1', () => {
          server.off('error', reject);
          const address = server.address();
          if (address === null || typeof address === 'string') reject(new Error('The server has no port'));
          else resolve(`http://127.0.0.1:${address.port}`);
        });
      }),
    close: () =>
      new Promise((resolve, reject) => {
        server.close((error) => (error ? reject(error) : resolve()));
        server.closeAllConnections();
      }),
  };
};
