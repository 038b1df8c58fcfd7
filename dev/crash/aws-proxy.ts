/** A proxy in front of local-aws that sees each call go and its answer come. Headers pass unchanged: they are signed. */
import http from 'node:http';
import type { Gate, Traffic, Watcher } from './traffic.ts';

const bodyOf = async (message: http.IncomingMessage): Promise<Buffer> => {
  const chunks: Buffer[] = [];
  for await (const chunk of message) chunks.push(Buffer.from(chunk));
  return Buffer.concat(chunks);
};

const trafficOf = ({ headers, url = '/' }: http.IncomingMessage, body: Buffer): Traffic => {
  const service = /Credential=([^,\s]+)/.exec(headers.authorization ?? '')?.[1]?.split('/')[3] ?? 'aws';
  const target = headers['x-amz-target'];
  const named = typeof target === 'string' ? target.split('.')[1] : new URLSearchParams(body.toString()).get('Action');
  const operation = named ?? url;
  // What AWS was told or asked is a step of its own, whichever it was.
  return { from: 'aws', what: `${service}:${operation}`, changes: true };
};

type Answer = { status: number; headers: http.IncomingHttpHeaders; body: Buffer };

const forward = (to: string, message: http.IncomingMessage, body: Buffer): Promise<Answer> =>
  new Promise((resolve, reject) => {
    const { method, headers, url = '/' } = message;
    const request = http.request(new URL(url, to), { method, headers, agent: false }, (answer) => {
      bodyOf(answer).then(
        (whole) => resolve({ status: answer.statusCode ?? 502, headers: answer.headers, body: whole }),
        reject,
      );
    });
    request.on('error', reject);
    request.end(body);
  });

/** @param to where local-aws is, `http://127.0.0.1:<port>`. */
export const startAwsProxy = async (to: string, gate: Gate): Promise<Watcher> => {
  const pass = async (message: http.IncomingMessage, response: http.ServerResponse): Promise<void> => {
    const body = await bodyOf(message);
    const traffic = trafficOf(message, body);
    if (!gate(traffic, 'before')) return;
    const answer = await forward(to, message, body);
    if (!gate(traffic, 'after')) return;
    response.writeHead(answer.status, answer.headers);
    response.end(answer.body);
  };
  const proxy = http.createServer((message, response) => {
    // A side that is gone, or an answer that local-aws lost on purpose: the other side sees its connection end.
    pass(message, response).catch(() => response.destroy());
  });
  await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
  const address = proxy.address();
  if (address === null || typeof address === 'string') throw new Error('The proxy has no port.');
  return {
    url: `http://127.0.0.1:${address.port}`,
    cut: () => proxy.closeAllConnections(),
    close: () =>
      new Promise((resolve) => {
        proxy.close(() => resolve());
        proxy.closeAllConnections();
      }),
  };
};
