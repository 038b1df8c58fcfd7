import { type IncomingHttpHeaders, request } from 'node:http';
import { connect } from 'node:net';
import { sql } from 'kysely';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { apiPath } from '../../src/shared/views.ts';
import { recordChange } from '../store/changes.ts';
import { noAccess } from '../testing/no-access.ts';
import { startTestBackend, type TestBackend, testConfig } from '../testing/test-backend.ts';
import { personNamed } from '../testing/test-people.ts';

const mira = personNamed('mira', ['payments-engineers']);
const other = personNamed('other');

let backend: TestBackend;
let token: string;
beforeAll(async () => {
  backend = await startTestBackend({ access: noAccess });
  await backend.people.put(mira);
  await backend.people.put(other);
  token = await backend.tokenFor(mira);
});
afterAll(() => backend.close());

type Sent = { status: number; headers: IncomingHttpHeaders; text: string };
/** fetch hides Host and Origin from us; this does not. */
const send = (
  method: string,
  path: string,
  options: { headers?: Record<string, string>; body?: string; address?: string } = {},
): Promise<Sent> =>
  new Promise((resolve, reject) => {
    const url = new URL(path, options.address ?? backend.address);
    const sent = request(url, { method, headers: options.headers ?? {} }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('end', () =>
        resolve({
          status: response.statusCode ?? 0,
          headers: response.headers,
          text: Buffer.concat(chunks).toString('utf8'),
        }),
      );
      response.on('error', reject);
    });
    sent.on('error', reject);
    sent.end(options.body);
  });
const json = { 'content-type': 'application/json' };

describe('API-08 what a web page could send never reaches the router', () => {
  const nonces = async (): Promise<number> => {
    const { rows } = await sql<{ n: number }>`select count(*)::int as n from nonces`.execute(backend.store.api);
    return rows[0]?.n ?? -1;
  };
  const refused: Array<[string, string, Record<string, string>, number]> = [
    ['a rebound name', 'POST', { ...json, host: 'evil.com:80' }, 403],
    ['a name of ours at another port', 'POST', { ...json, host: 'localhost:1' }, 403],
    ['a foreign origin', 'POST', { ...json, origin: 'https://evil.com' }, 403],
    ['the null origin', 'POST', { ...json, origin: 'null' }, 403],
    ['text', 'POST', { 'content-type': 'text/plain' }, 415],
    ['a form', 'POST', { 'content-type': 'application/x-www-form-urlencoded' }, 415],
    ['a multipart form', 'POST', { 'content-type': 'multipart/form-data; boundary=x' }, 415],
    ['no content type', 'POST', {}, 415],
    ['a preflight', 'OPTIONS', { origin: 'https://evil.com', 'access-control-request-method': 'POST' }, 403],
    ['a preflight without an origin', 'OPTIONS', {}, 405],
    ['PUT', 'PUT', json, 405],
    ['a mutation by GET', 'GET', {}, 405],
  ];
  test.each(refused)('%s', async (_what, method, headers, status) => {
    const before = await nonces();
    const answer = await send(method, `${apiPath}/nonce`, { headers });
    expect(answer.status).toBe(status);
    expect(Object.keys(answer.headers).filter((name) => name.startsWith('access-control'))).toEqual([]);
    expect(answer.headers['set-cookie']).toBeUndefined();
    expect(await nonces()).toBe(before);
  });

  test('no Host at all', async () => {
    const { hostname, port } = new URL(backend.address);
    const text = await new Promise<string>((resolve, reject) => {
      const socket = connect(Number(port), hostname, () => socket.write(`GET ${apiPath}/info HTTP/1.0\r\n\r\n`));
      let heard = '';
      socket.on('data', (chunk) => {
        heard += chunk.toString();
      });
      socket.on('end', () => resolve(heard));
      socket.on('error', reject);
    });
    expect(text).toMatch(/^HTTP\/1.1 403 /);
  });

  test('the configured origin’s host and loopback names pass', async () => {
    const { port } = new URL(backend.address);
    for (const host of [new URL(testConfig.origin).host, `127.0.0.1:${port}`, `localhost:${port}`]) {
      expect((await send('GET', `${apiPath}/info`, { headers: { host } })).status).toBe(200);
    }
    const headers = { ...json, origin: testConfig.origin, host: new URL(testConfig.origin).host };
    expect((await send('POST', `${apiPath}/nonce`, { headers })).status).toBe(200);
  });
});

describe('API-05 sizes are bounded', () => {
  const refusalOf = ({ text }: Sent): unknown => {
    const parsed: unknown = JSON.parse(text);
    const [first] = Array.isArray(parsed) ? parsed : [parsed];
    return first.error.data.refusal.code;
  };

  test('a body over 64 KiB', async () => {
    const body = JSON.stringify({ noticeIds: ['x'.repeat(64 * 1024)] });
    const headers = { ...json, authorization: `Bearer ${token}` };
    const answer = await send('POST', `${apiPath}/markRead`, { headers, body });
    expect(answer.status).toBe(413);
    expect(refusalOf(answer)).toBe('too_large');
  });

  test('a batch of eleven', async () => {
    const path = `${apiPath}/${Array.from({ length: 11 }, () => 'info').join(',')}?batch=1`;
    const answer = await send('GET', path);
    expect(answer.status).toBe(400);
    expect(refusalOf(answer)).toBe('invalid_input');
    expect((await send('GET', `${apiPath}/info,info?batch=1`)).status).toBe(200);
  });

  test('what is wrong is named, with at most 64 characters of it', async () => {
    const key = 'canary'.repeat(40);
    const tries = [{ [key]: 1 }, { tags: { [key]: ['x'] } }, { accounts: [key] }, { sort: key }];
    for (const input of tries) {
      const query = encodeURIComponent(JSON.stringify(input));
      const headers = { authorization: `Bearer ${token}` };
      const answer = await send('GET', `${apiPath}/instances?input=${query}`, { headers });
      expect(answer.status).toBe(400);
      expect(refusalOf(answer)).toBe('invalid_input');
      expect(answer.text).not.toContain('canary'.repeat(11));
    }
  });
});

test('health, readiness and metrics', async () => {
  expect((await send('GET', '/healthz', { headers: { host: '10.0.0.7:8080' } })).text).toBe('alive\n');
  expect((await send('GET', '/readyz')).status).toBe(200);
  const metrics = await send('GET', '/metrics');
  expect(metrics.text).toContain('curfew_calls_total{procedure="info",outcome="ok"}');
  expect((await send('GET', '/metrics', { headers: { host: 'evil.com' } })).status).toBe(403);
  expect((await send('GET', '/elsewhere')).status).toBe(404);
});

describe('event streams', () => {
  let open: Array<{ close: () => void }> = [];
  afterEach(() => {
    for (const stream of open) stream.close();
    open = [];
  });

  /** Opens a stream and collects what comes until it ends. */
  const listen = async (as: string, lastEventId?: string) => {
    const stop = new AbortController();
    const input = lastEventId === undefined ? '' : `?input=${encodeURIComponent(JSON.stringify({ lastEventId }))}`;
    const response = await fetch(`${backend.address}${apiPath}/changes${input}`, {
      headers: { authorization: `Bearer ${as}`, accept: 'text/event-stream' },
      signal: stop.signal,
    });
    let text = '';
    const decoder = new TextDecoder();
    const ended = (async () => {
      for await (const chunk of response.body ?? []) text += decoder.decode(chunk, { stream: true });
    })().catch(() => undefined);
    open.push({ close: () => stop.abort() });
    const until = async (what: string | RegExp, ms = 5_000): Promise<void> => {
      for (const end = Date.now() + ms; !(typeof what === 'string' ? text.includes(what) : what.test(text)); ) {
        if (Date.now() > end) throw new Error(`The stream did not say ${what}; it said:\n${text}`);
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    };
    return { status: response.status, said: () => text, until, ended };
  };
  const change = (ref: string, audience: string[] | null) =>
    backend.store.api.transaction().execute((tx) => recordChange(tx, { topic: 'requests', ref, audience }));
  const ids = (text: string): string[] => [...text.matchAll(/^id: (\d+)$/gm)].map((match) => match[1] ?? '');

  test('API-04 a person hears what is for them and for everybody, and nothing else', async () => {
    const [mine, theirs] = [await listen(token), await listen(await backend.tokenFor(other))];
    await mine.until('"topic":"me"');
    await theirs.until('"topic":"me"');
    await change('req_for_mira', [mira.id]);
    await change('req_for_all', null);
    await mine.until('req_for_all');
    await theirs.until('req_for_all');
    expect(mine.said()).toContain('req_for_mira');
    expect(theirs.said()).not.toContain('req_for_mira');
  });

  test('an admin hears what is for others too', async () => {
    const admin = personNamed('admin', [testConfig.directory.adminGroup]);
    await backend.people.put(admin);
    const stream = await listen(await backend.tokenFor(admin));
    await stream.until('"topic":"me"');
    await change('req_of_mira', [mira.id]);
    await stream.until('req_of_mira');
  });

  test('a change that is rolled back is not told', async () => {
    const mine = await listen(token);
    await mine.until('"topic":"me"');
    const work = backend.store.api.transaction().execute(async (tx) => {
      await recordChange(tx, { topic: 'requests', ref: 'req_undone', audience: null });
      throw new Error('undone');
    });
    await expect(work).rejects.toThrow('undone');
    await change('req_done', null);
    await mine.until('req_done');
    expect(mine.said()).not.toContain('req_undone');
  });

  test('who comes back with the last id hears what was missed', async () => {
    const first = await listen(token);
    await first.until('"topic":"me"');
    const last = ids(first.said()).at(-1) ?? '';
    for (const stream of open.splice(0)) stream.close();
    await change('req_missed', [mira.id]);
    await change('req_not_mine', [other.id]);
    const again = await listen(token, last);
    await again.until('req_missed');
    await change('req_live', null);
    await again.until('req_live');
    expect(again.said()).not.toContain('req_not_mine');
  });

  test('who was away too long is told to fetch everything', async () => {
    const late = await listen(token, '999999999');
    for (const topic of ['requests', 'grants', 'notices', 'inventory', 'me']) await late.until(`"topic":"${topic}"`);
  });

  test('API-06 a token has five streams at most', async () => {
    const own = await backend.tokenFor(mira);
    for (let n = 0; n < 5; n += 1) await (await listen(own)).until('"topic":"me"');
    const sixth = await listen(own);
    await sixth.until('too_many');
    for (const stream of open.splice(0)) stream.close();
    await sixth.ended;
    await expect
      .poll(async () => {
        const again = await listen(own);
        await again.until(/"topic":"me"|too_many/);
        return again.said().includes('too_many');
      })
      .toBe(false);
  });

  test('ID-11 after sign-out the token is worthless and its stream closes within 5 s', async () => {
    const own = await backend.tokenFor(mira);
    const stream = await listen(own);
    await stream.until('"topic":"me"');
    await backend.client(own).signOut.mutate({ endGrants: false });
    await expect(backend.client(own).overview.query()).rejects.toThrow('sign_in_needed');
    const late = new Promise<'late'>((resolve) => setTimeout(() => resolve('late'), 5_000));
    expect(await Promise.race([stream.ended.then(() => 'closed'), late])).toBe('closed');
    expect(stream.said()).toContain('sign_in_needed');
  });
});

describe('API-11 a fault tells its id and nothing else', () => {
  let broken: TestBackend;
  let miras: string;
  beforeEach(async () => {
    broken = await startTestBackend({});
    await broken.people.put(mira);
    miras = await broken.tokenFor(mira);
  });
  afterEach(() => broken.close());

  const expectFault = (answer: Sent): void => {
    const { error } = JSON.parse(answer.text);
    expect(answer.status).toBe(500);
    expect(error).toEqual({
      code: -32603,
      message: 'fault',
      data: {
        code: 'INTERNAL_SERVER_ERROR',
        httpStatus: 500,
        faultId: expect.stringMatching(/^[0-9a-f]{12}$/),
      },
    });
    expect(broken.logged()).toContain(error.data.faultId);
  };
  const inputs: Record<string, unknown> = {
    signOut: { endGrants: false },
    markRead: { noticeIds: [] },
    instances: {},
    audit: {},
  };

  test('the database without its tables, under every procedure', async () => {
    const { rows } = await sql<{ name: string }>`
      select tablename as name from pg_tables where schemaname = 'public' and tablename not in ('tokens', 'people')`.execute(
      broken.store.reconcile,
    );
    for (const { name } of rows) {
      await sql`alter table ${sql.table(name)} rename to ${sql.id(`gone_${name}`)}`.execute(broken.store.reconcile);
    }
    const procedures = Object.entries(broken.router._def.procedures).filter(
      ([name]) => !['info', 'prove', 'changes'].includes(name),
    );
    expect(procedures.length).toBeGreaterThan(15);
    for (const [name, procedure] of procedures) {
      const headers = { ...json, authorization: `Bearer ${miras}` };
      const input = JSON.stringify(inputs[name] ?? {});
      const answer =
        procedure._def.type === 'query'
          ? await send('GET', `${apiPath}/${name}?input=${encodeURIComponent(input)}`, {
              headers,
              address: broken.address,
            })
          : await send('POST', `${apiPath}/${name}`, { headers, body: input, address: broken.address });
      expectFault(answer);
      expect(answer.text).not.toMatch(/relation|select|gone_|\/|\.ts/);
    }
  });

  test('an identity store that cannot be reached', async () => {
    await sql`update people set checked_at = now() - interval '6 minutes'`.execute(broken.store.api);
    broken.people.breakWith(new Error('connect ECONNREFUSED 10.1.2.3:443 canary.internal'));
    const headers = { authorization: `Bearer ${miras}` };
    const answer = await send('GET', `${apiPath}/overview`, { headers, address: broken.address });
    expectFault(answer);
    expect(answer.text).not.toMatch(/canary|10\.1/);
  });

  test('an identity store that is away for a moment disturbs nobody', async () => {
    broken.people.breakWith(new Error('away'));
    expect((await broken.client(miras).audit.query({})).rows).toEqual([]);
  });
});
