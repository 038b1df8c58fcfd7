/**
 * Where the system browser comes back after sign-in (RFC 8252): one server on 127.0.0.1 and a random port, for one answer. Nothing of the
 * request is reflected; a wrong state does not end the flow, twenty of them do (threats APP-01, APP-02).
 */
import { timingSafeEqual } from 'node:crypto';
import http from 'node:http';
import { Refusal } from '../shared/refusal.ts';

const wrongStatesAllowed = 20;

export type LoopbackCallback = {
  port: number;
  /** Resolves with the authorization code. @throws Refusal when the person or the page said no, or time was up. */
  code: Promise<string>;
  close(): void;
};

const page = (title: string, text: string): string =>
  `<!doctype html><html lang="en"><meta charset="utf-8"><title>${title}</title><style>body{font:15px/22px system-ui,sans-serif;margin:18vh auto;max-width:26rem;color:#1b1a17;background:#f5f5f2}h1{font-size:20px}@media(prefers-color-scheme:dark){body{color:#eeede8;background:#121211}}</style><h1>${title}</h1><p>${text}</p></html>`;

const pages = {
  done: page('You are signed in', 'Curfew has what it needs. You can close this page.'),
  refused: page('Not signed in', 'The sign-in was turned down. Go back to Curfew to try again.'),
  unknown: page('Nothing here', 'This address only takes the answer to a sign-in that Curfew started.'),
} as const;

const same = (a: string, b: string): boolean => {
  const [left, right] = [Buffer.from(a), Buffer.from(b)];
  return left.length === right.length && timingSafeEqual(left, right);
};

const answer = (response: http.ServerResponse, status: number, body: string): void => {
  response.writeHead(status, {
    'content-type': 'text/html; charset=utf-8',
    'cache-control': 'no-store',
    'content-security-policy': "default-src 'none'; style-src 'unsafe-inline'",
    'referrer-policy': 'no-referrer',
    'x-content-type-options': 'nosniff',
    connection: 'close',
  });
  response.end(body);
};

/**
 * @param options.state the value that the browser must bring back.
 * @param options.patienceMs how long to wait for it (10 min in the app).
 */
export const listenForCallback = async (options: {
  path: string;
  state: string;
  patienceMs: number;
}): Promise<LoopbackCallback> => {
  const { promise: code, resolve, reject } = Promise.withResolvers<string>();
  code.catch(() => undefined); // a flow that is cancelled before anybody waits is no fault
  let wrongStates = 0;
  const server = http.createServer({ maxHeaderSize: 8 * 1024 }, (request, response) => {
    const address = server.address();
    const port = typeof address === 'object' && address !== null ? address.port : 0;
    const url = URL.parse(request.url ?? '', 'http://127.0.0.1');
    // The Host check keeps out pages that rebind a name of theirs to loopback.
    if (request.method !== 'GET' || request.headers.host !== `127.0.0.1:${port}` || url?.pathname !== options.path) {
      return answer(response, 404, pages.unknown);
    }
    if (!same(url.searchParams.get('state') ?? '', options.state)) {
      wrongStates += 1;
      answer(response, 400, pages.unknown);
      if (wrongStates >= wrongStatesAllowed) {
        finish(() =>
          reject(new Refusal('proof_refused', { message: 'Too many false answers came instead of the sign-in.' })),
        );
      }
      return;
    }
    const given = url.searchParams.get('code');
    if (given === null || !/^[\x21-\x7e]{1,4096}$/.test(given)) {
      answer(response, 200, pages.refused);
      return finish(() =>
        reject(new Refusal('proof_refused', { message: 'The sign-in was turned down in the browser.' })),
      );
    }
    answer(response, 200, pages.done);
    return finish(() => resolve(given));
  });
  const late = setTimeout(
    () => finish(() => reject(new Refusal('sign_in_needed', { message: 'The browser did not come back in time.' }))),
    options.patienceMs,
  );
  late.unref();
  const finish = (settle: () => void): void => {
    clearTimeout(late);
    server.close();
    settle();
  };
  await new Promise<void>((listening, failed) => {
    server.once('error', failed);
    server.listen(0, '127.0.0.1', listening);
  });
  const address = server.address();
  if (typeof address !== 'object' || address === null) throw new Error('The callback server has no port.');
  return {
    port: address.port,
    code,
    close: () => finish(() => reject(new Refusal('sign_in_needed', { message: 'The sign-in was cancelled.' }))),
  };
};
