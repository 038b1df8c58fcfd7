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

describe('the stream of changes', () => {
  const connected = 'event: connected\ndata: {}\n\n';
  const refused = {
    message: 'x',
    code: -32_001,
    data: { code: 'UNAUTHORIZED', httpStatus: 401, refusal: { code: 'sign_in_needed' } },
  };
  const eventStream = (response: http.ServerResponse, ...parts: string[]): void => {
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    for (const part of parts) response.write(part);
  };

  /** Listens until something is told as it is waited for. */
  const listenTo = async (answer: (response: http.ServerResponse) => void, after: string | null = null) => {
    const asked: string[] = [];
    const origin = await answering((request, response) => {
      asked.push(decodeURIComponent(request.url ?? ''));
      answer(response);
    });
    const told: string[] = [];
    let look = (): void => undefined;
    const tell = (what: string): void => {
      told.push(what);
      look();
    };
    const client = createBackendClient({
      url: origin,
      token: () => 'token',
      onUnauthorized: () => tell('unauthorized'),
    });
    const stop = client.subscribe(
      {
        onChange: ({ topic }, id) => tell(`${topic} ${id}`),
        onReach: (ok) => tell(ok ? 'reached' : 'lost'),
        onOver: () => tell('over'),
      },
      after,
    );
    const until = (what: string): Promise<void> =>
      new Promise((resolve) => {
        look = () => {
          if (told.includes(what)) resolve();
        };
        look();
      });
    return { asked, told, stop, until };
  };

  it.each([
    ['a balancer without a backend', 503],
    ['a gateway that gave up', 502],
    ['a limit', 429],
    ['a token that does not stand', 401],
  ])('is over, and says so, when it is answered by %s', async (_what, status) => {
    const { told, until } = await listenTo((response) => {
      response.writeHead(status, { 'content-type': 'text/html' });
      response.end('no');
    });
    await until('over');
    expect(told.filter((one) => one === 'over')).toHaveLength(1);
  });

  it('is over when the token has run out meanwhile, which is told too', async () => {
    const { told, until } = await listenTo((response) =>
      eventStream(response, connected, `event: serialized-error\ndata: ${JSON.stringify(refused)}\n\n`),
    );
    await until('over');
    expect(told).toContain('unauthorized');
  });

  it('hands on the id of each change, and asks for what came after the one that was heard last', async () => {
    const change = JSON.stringify({ topic: 'grants', id: null });
    const { asked, told, until, stop } = await listenTo(
      (response) => eventStream(response, connected, `id: 42\ndata: ${change}\n\n`),
      '41',
    );
    await until('grants 42');
    expect(asked[0]).toContain('"lastEventId":"41"');
    stop();
    expect(told).not.toContain('over');
  });
});
