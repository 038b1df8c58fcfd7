/** With whom the app speaks TLS: real servers on loopback, whose certificates this process trusts or does not. */
import { once } from 'node:events';
import https from 'node:https';
import tls from 'node:tls';
import { afterEach, expect, test } from 'vitest';
import { checkBackend, createBackendClient } from './backend-client.ts';
import { Unreachable } from './ports.ts';
import { makeCertificate } from './testing/certificates.ts';

const day = 86_400_000;
const inDays = (days: number): Date => new Date(Date.now() + days * day);
const here = { ip: '127.0.0.1', from: inDays(-1), until: inDays(1) };
const made = {
  ours: makeCertificate(here),
  stranger: makeCertificate(here),
  expired: makeCertificate({ ...here, from: inDays(-3), until: inDays(-1) }),
  'not valid yet': makeCertificate({ ...here, from: inDays(1), until: inDays(3) }),
  'of another host': makeCertificate({ ...here, ip: '127.0.0.2' }),
};
const { stranger: _, ...trusted } = made;
// What is wrong with those that are trusted is then only what they are called.
tls.setDefaultCACertificates(Object.values(trusted).map(({ cert }) => cert));

const servers: https.Server[] = [];
afterEach(async () => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections();
    server.close();
    await once(server, 'close');
  }
});

/** A backend that would answer anything; `requests` are those that reached it. */
const serve = async (options: https.ServerOptions): Promise<{ url: string; port: number; requests: string[] }> => {
  const requests: string[] = [];
  const server = https.createServer(options, (request, response) => {
    requests.push(`${request.method} ${request.url} ${request.headers.authorization}`);
    response.setHeader('content-type', 'application/json');
    response.end('[{"result":{"data":{"organisationName":"Harborline"}}}]');
  });
  servers.push(server);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  return { url: `https://127.0.0.1:${port}`, port, requests };
};

const clientOf = (url: string) => createBackendClient({ url, token: () => 'canary', onUnauthorized: () => undefined });

test('API-09 a certificate that is trusted, in time and of this host is answered', async () => {
  const { url, requests } = await serve(made.ours);
  expect(await clientOf(url).info()).toMatchObject({ organisationName: 'Harborline' });
  expect(requests).toHaveLength(1);
});

test.each(['stranger', 'expired', 'not valid yet', 'of another host'] as const)(
  'API-09 a certificate that is %s: refused at entry and at use, calls and stream, and nobody hears the token',
  async (which) => {
    const { url, requests } = await serve(made[which]);
    await expect(checkBackend(url)).rejects.toMatchObject({ code: 'invalid_input', detail: { path: 'backendUrl' } });
    await expect(clientOf(url).overview()).rejects.toBeInstanceOf(Unreachable);
    let stop = (): void => undefined;
    const reached = await new Promise<boolean>((resolve) => {
      stop = clientOf(url).subscribe({ onChange: () => undefined, onReach: resolve, onOver: () => undefined }, null);
    });
    stop();
    expect(reached).toBe(false);
    expect(requests).toEqual([]);
  },
);

test('API-09 TLS older than 1.2 is not spoken', async ({ skip }) => {
  const old = { maxVersion: 'TLSv1.1', minVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' } as const;
  const { url, port, requests } = await serve({ ...made.ours, ...old });
  // It does answer whoever still speaks it.
  const ancient = tls.connect({ host: '127.0.0.1', port, ...old });
  const spoken = await once(ancient, 'secureConnect').then(
    () => ancient.getProtocol(),
    () => null,
  );
  ancient.destroy();
  skip(spoken === null, 'the OpenSSL of this Node knows nothing older than TLS 1.2 at all');
  expect(spoken).toBe('TLSv1.1');
  await expect(clientOf(url).overview()).rejects.toBeInstanceOf(Unreachable);
  expect(requests).toEqual([]);
});
