import http from 'node:http';
import { networkInterfaces } from 'node:os';
import { afterEach, describe, expect, it } from 'vitest';
import { type LoopbackCallback, listenForCallback } from './loopback-callback.ts';

const path = '/oauth/callback';
const state = 'b7b1c0de-0000-4000-8000-000000000001';
const open: LoopbackCallback[] = [];
const listen = async (patienceMs = 60_000): Promise<LoopbackCallback> => {
  const callback = await listenForCallback({ path, state, patienceMs });
  open.push(callback);
  return callback;
};
afterEach(() => {
  for (const callback of open.splice(0)) callback.close();
});

type Asked = { host?: string; address?: string; method?: string };
const ask = (
  port: number,
  target: string,
  { host = `127.0.0.1:${port}`, address = '127.0.0.1', method = 'GET' }: Asked = {},
): Promise<{ status: number; headers: http.IncomingHttpHeaders; body: string }> =>
  new Promise((resolve, reject) => {
    const request = http.request({ host: address, port, path: target, method, headers: { host } }, (response) => {
      let body = '';
      response.setEncoding('utf8');
      response.on('data', (text: string) => {
        body += text;
      });
      response.on('end', () => resolve({ status: response.statusCode ?? 0, headers: response.headers, body }));
    });
    request.on('error', reject);
    request.end();
  });
const settled = (promise: Promise<unknown>): Promise<string> =>
  Promise.race([
    promise.then(
      () => 'resolved',
      () => 'rejected',
    ),
    new Promise<string>((resolve) => setTimeout(() => resolve('open'), 50)),
  ]);

describe('where the browser comes back', () => {
  it('takes one code with the right state, and is closed then', async () => {
    const { port, code } = await listen();
    const answer = await ask(port, `${path}?code=abc&state=${state}`);
    expect(answer.status).toBe(200);
    expect(answer.headers).toMatchObject({ 'cache-control': 'no-store', 'referrer-policy': 'no-referrer' });
    expect(answer.body).not.toContain('abc');
    expect(await code).toBe('abc');
    await expect(ask(port, `${path}?code=abc&state=${state}`)).rejects.toThrow(
      /ECONNREFUSED|ECONNRESET|socket hang up/,
    );
  });

  it.each([
    ['no state', `${path}?code=evil`, 400],
    ['a wrong state', `${path}?code=evil&state=${state.replace('1', '2')}`, 400],
    ['a state that is longer', `${path}?code=evil&state=${state}x`, 400],
    ['another path', `/oauth/callback/../x?code=evil&state=${state}`, 404],
    ['the root', `/?code=evil&state=${state}`, 404],
  ])('APP-01 %s changes nothing', async (_what, target, status) => {
    const { port, code } = await listen();
    expect((await ask(port, target)).status).toBe(status);
    expect(await settled(code)).toBe('open');
    await ask(port, `${path}?code=good&state=${state}`);
    expect(await code).toBe('good');
  });

  it('APP-01 reflects nothing of what it is asked', async () => {
    const { port, code } = await listen();
    const markup = encodeURIComponent('<script>alert(1)</script>');
    const wrong = await ask(port, `${path}?error=${markup}&error_description=${markup}&state=${markup}`);
    const right = await ask(port, `${path}?error=${markup}&error_description=${markup}&state=${state}`);
    for (const { body, headers } of [wrong, right]) {
      expect(body).not.toMatch(/alert|script/);
      expect(headers['content-security-policy']).toContain("default-src 'none'");
    }
    await expect(code).rejects.toMatchObject({ code: 'proof_refused' });
  });

  it('APP-01 twenty wrong states end the flow', async () => {
    const { port, code } = await listen();
    for (let tries = 0; tries < 19; tries += 1) await ask(port, `${path}?code=evil&state=wrong-${tries}`);
    expect(await settled(code)).toBe('open');
    expect((await ask(port, `${path}?code=evil&state=wrong-19`)).status).toBe(400);
    await expect(code).rejects.toMatchObject({ code: 'proof_refused' });
  });

  it('APP-01 waits no longer than it was told', async () => {
    const { code } = await listen(20);
    await expect(code).rejects.toMatchObject({ code: 'sign_in_needed' });
  });

  it.each(['evil.com', 'localhost', '127.0.0.1', '[::1]', '127.0.0.1.evil.com'])(
    'APP-02 a page that has rebound its name comes with Host %s, and gets nothing',
    async (name) => {
      const { port, code } = await listen();
      const host = name === '127.0.0.1' ? `${name}:${port + 1}` : `${name}:${port}`;
      expect((await ask(port, `${path}?code=evil&state=${state}`, { host })).status).toBe(404);
      expect((await ask(port, `${path}?code=evil&state=${state}`, { method: 'POST' })).status).toBe(404);
      expect(await settled(code)).toBe('open');
    },
  );

  it('APP-02 listens on 127.0.0.1 only, each time on a port that the system chose', async () => {
    const [one, other] = [await listen(), await listen()];
    expect(one.port).not.toBe(other.port);
    const addresses = Object.values(networkInterfaces())
      .flatMap((list) => list ?? [])
      .filter(({ family, internal }) => family === 'IPv4' && !internal)
      .map(({ address }) => address);
    for (const address of [...addresses, '127.0.0.2', '::1']) {
      await expect(ask(one.port, `${path}?code=x&state=${state}`, { address }), address).rejects.toThrow();
    }
  });
});
