import http from 'node:http';
import { afterEach, describe, expect, it } from 'vitest';
import { Refusal } from '../shared/refusal.ts';
import { checkBackend, createBackendClient } from './backend-client.ts';
import { Unreachable } from './ports.ts';

const servers: http.Server[] = [];
afterEach(async () => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
});

/** Something that answers on loopback; returns its origin. */
const answering = (listener: http.RequestListener): Promise<string> =>
  new Promise((resolve) => {
    const server = http.createServer(listener);
    servers.push(server);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      resolve(`http://127.0.0.1:${typeof address === 'object' && address !== null ? address.port : 0}`);
    });
  });

const clientOf = (url: string, token: string | null = null) =>
  createBackendClient({ url, token: () => token, onUnauthorized: () => undefined });

describe('a backend that is not there', () => {
  it('is called unreachable, by its name', async () => {
    const origin = await answering(() => undefined);
    await new Promise((resolve) => servers.splice(0)[0]?.close(resolve));
    const failure = await clientOf(origin)
      .info()
      .catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(Unreachable);
    expect(failure).toMatchObject({ what: `the backend ${new URL(origin).host}` });
  });

  it.each([
    ['a web page', 200, 'text/html', '<h1>It works!</h1>'],
    ['other JSON', 200, 'application/json', '{"hello": 1}'],
    ['a gateway that gave up', 502, 'text/html', 'Bad gateway'],
    ['nothing', 204, 'text/plain', ''],
    ['half an answer', 200, 'application/json', '[{"result":'],
  ])('%s in its place is no answer', async (_what, status, type, body) => {
    const origin = await answering((_request, response) => {
      response.writeHead(status, { 'content-type': type });
      response.end(body);
    });
    await expect(clientOf(origin).info()).rejects.toBeInstanceOf(Unreachable);
  });

  it('an address that somebody typed wrong is told apart: nobody there, and somebody else', async () => {
    const origin = await answering((_request, response) => {
      response.setHeader('content-type', 'text/html');
      response.end('<h1>It works!</h1>');
    });
    const { host } = new URL(origin);
    const refusal = (message: string) => ({ code: 'invalid_input', detail: { path: 'backendUrl', message } });
    await expect(checkBackend(origin)).rejects.toMatchObject(
      refusal(`What answers at ${host} is not a Curfew backend.`),
    );
    const [server] = servers.splice(0);
    server?.closeAllConnections();
    await new Promise((resolve) => server?.close(resolve));
    await expect(checkBackend(origin)).rejects.toMatchObject(refusal(`Nobody answers at ${host}.`));
  });

  it('API-09 a redirect is not followed, and the token goes nowhere else', async () => {
    const seen: Array<string | undefined> = [];
    const elsewhere = await answering((request, response) => {
      seen.push(request.headers.authorization);
      response.end('[]');
    });
    const origin = await answering((_request, response) => {
      response.writeHead(307, { location: `${elsewhere}/` });
      response.end();
    });
    await expect(clientOf(origin, 'canary').overview()).rejects.toBeInstanceOf(Unreachable);
    expect(seen).toEqual([]);
  });

  it.each(['http://curfew.example.com', 'https://curfew.example.com/api', 'curfew', 'https://u:p@curfew.example.com'])(
    'API-09 an address like %s is refused before anything is sent',
    (url) => {
      expect(() => clientOf(url)).toThrow(Refusal);
    },
  );
});
