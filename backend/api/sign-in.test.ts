import { request } from 'node:http';
import { TRPCClientError } from '@trpc/client';
import { sql } from 'kysely';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { type IdentityProof, serverIdOf } from '../../src/shared/identity-proof.ts';
import { apiPath } from '../../src/shared/views.ts';
import { type StsStandin, signProof, startSts, type TestIdentity } from '../aws/testing/sts-standin.ts';
import { noAccess } from '../testing/no-access.ts';
import { devAccount, startTestBackend, type TestBackend, testConfig } from '../testing/test-backend.ts';
import { personNamed } from '../testing/test-people.ts';

const mira = personNamed('mira', ['payments-engineers']);
const roleName = 'AWSReservedSSO_CurfewUser_0123456789abcdef';
const roleId = 'AROAQWERTYUIOPASDFGH';
let keys = 0;
/** Credentials of their own for each identity: the secret is what the signature stands on. */
const holder = (arn: string, userId: string, account = devAccount): TestIdentity => {
  keys += 1;
  const letter = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ'[keys] ?? 'Z';
  return {
    accessKeyId: `ASIA${letter.repeat(16)}`,
    secretAccessKey: `canary-secret-${letter.repeat(20)}`,
    sessionToken: `canarytoken${letter.repeat(40)}`,
    account,
    arn,
    userId,
  };
};
const session = (role: string, name: string, account = devAccount) =>
  `arn:aws:sts::${account}:assumed-role/${role}/${name}`;
const miraHolds = holder(session(roleName, mira.userName), `${roleId}:${mira.userName}`);

const others: Array<[string, TestIdentity]> = [
  ['root', holder(`arn:aws:iam::${devAccount}:root`, devAccount)],
  ['an IAM user', holder(`arn:aws:iam::${devAccount}:user/mira`, 'AIDAQWERTYUIOPASDFGH')],
  ['a federated user', holder(`arn:aws:sts::${devAccount}:federated-user/mira`, `${devAccount}:mira`)],
  [
    'another permission set',
    holder(session('AWSReservedSSO_ReadOnly_0123456789abcdef', mira.userName), `${roleId}:${mira.userName}`),
  ],
  ['a personal role', holder(session('curfew-0123456789abcdef0123', 'mira.01234567'), `${roleId}:mira.01234567`)],
  [
    'an account that is not listed',
    holder(session(roleName, mira.userName, '999988887777'), `${roleId}:${mira.userName}`, '999988887777'),
  ],
  [
    'an account that is not its ARN’s',
    holder(session(roleName, mira.userName), `${roleId}:${mira.userName}`, '999988887777'),
  ],
  ['a user id of another session', holder(session(roleName, mira.userName), `${roleId}:bob@harborline.example`)],
  ['nobody of the identity store', holder(session(roleName, 'ghost@x.example'), `${roleId}:ghost@x.example`)],
];
/** ID-07: the right name, but a role that Identity Center did not make has another RoleId. */
const lookAlike = holder(session(roleName, mira.userName), `AROALOOKALIKELOOKALI:${mira.userName}`);

let sts: StsStandin;
let backend: TestBackend;
beforeAll(async () => {
  sts = await startSts([miraHolds, lookAlike, ...others.map(([, identity]) => identity)]);
  backend = await startTestBackend({
    access: noAccess,
    sts: sts.endpoint,
    reservedRoleId: async (_account, name) => (name === roleName ? roleId : null),
  });
});
afterAll(async () => {
  await backend.close();
  await sts.close();
});
beforeEach(async () => {
  sts.answerWith(null);
  await backend.people.put(mira);
});

const serverId = serverIdOf(testConfig.origin);
const proofOf = async (identity: TestIdentity, over: { serverId?: string | null; at?: Date } = {}) => {
  const { nonce } = await backend.client(null).nonce.mutate();
  return signProof(identity, {
    nonce,
    serverId: over.serverId === undefined ? serverId : over.serverId,
    at: over.at ?? backend.now(),
  });
};

/** The refusal's code, or what happened instead. */
const outcome = async (call: Promise<unknown>): Promise<string> => {
  try {
    await call;
    return 'ok';
  } catch (error) {
    if (!(error instanceof TRPCClientError)) throw error;
    return error.data?.refusal?.code ?? `fault ${error.data?.faultId}`;
  }
};
const prove = (proof: IdentityProof): Promise<string> => outcome(backend.client(null).prove.mutate(proof));

const post = async (procedure: string, body: string): Promise<{ status: number; text: string }> => {
  const response = await fetch(`${backend.address}${apiPath}/${procedure}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body,
  });
  return { status: response.status, text: await response.text() };
};

const tokens = async (): Promise<number> => {
  const { rows } = await sql<{ n: number }>`select count(*)::int as n from tokens`.execute(backend.store.api);
  return rows[0]?.n ?? -1;
};
const refusedArns = async (): Promise<Array<string | null>> => {
  const rows = await backend.store.api
    .selectFrom('audit')
    .select('event')
    .where('kind', '=', 'sign_in_refused')
    .orderBy('sequence')
    .execute();
  return rows.map(({ event }) => (event.kind === 'sign_in_refused' ? event.arn : null));
};

test('a person proves who they are and is signed in, with an audit row', async () => {
  const { token, me } = await backend.client(null).prove.mutate(await proofOf(miraHolds));
  expect(me.person).toEqual({ id: mira.id, userName: mira.userName, displayName: mira.displayName });
  expect((await backend.client(token).overview.query()).me.person.id).toBe(mira.id);
  const rows = await backend.store.api.selectFrom('audit').select('kind').where('actor_id', '=', mira.id).execute();
  expect(rows.map(({ kind }) => kind)).toContain('signed_in');
});

describe('ID-01 a proof works once', () => {
  test('the same body twice, and an old signature with a new nonce: one token', async () => {
    const before = await tokens();
    const proof = await proofOf(miraHolds);
    expect(await prove(proof)).toBe('ok');
    expect(await prove(proof)).toBe('proof_refused');
    const { nonce } = await backend.client(null).nonce.mutate();
    expect(await prove({ ...proof, nonce })).toBe('proof_refused');
    expect(await tokens()).toBe(before + 1);
  });

  test('twice at once: one wins', async () => {
    const proof = await proofOf(miraHolds);
    const outcomes = await Promise.all([prove(proof), prove(proof), prove(proof)]);
    expect(outcomes.sort()).toEqual(['ok', 'proof_refused', 'proof_refused']);
  });

  test('the nonce is used up also when STS says no', async () => {
    const proof = await proofOf(miraHolds);
    sts.answerWith((response) => response.writeHead(403).end('{}'));
    expect(await prove(proof)).toBe('proof_refused');
    sts.answerWith(null);
    const calls = sts.calls();
    expect(await prove(proof)).toBe('proof_refused');
    expect(sts.calls()).toBe(calls);
  });

  test('a nonce that is a minute old is refused', async () => {
    const { nonce } = await backend.client(null).nonce.mutate();
    await sql`update nonces set expires_at = now() - interval '1 ms'`.execute(backend.store.api);
    const proof = await signProof(miraHolds, { nonce, serverId, at: backend.now() });
    expect(await prove(proof)).toBe('proof_refused');
  });
});

describe('ID-02 a proof for another backend is worth nothing here', () => {
  test.each([
    ['another server id', 'https://evil.example.com'],
    ['another port', `${serverId}:8443`],
    ['no server id', null],
  ])('%s', async (_what, otherId) => {
    const before = await tokens();
    expect(await prove(await proofOf(miraHolds, { serverId: otherId }))).toBe('proof_refused');
    expect(await tokens()).toBe(before);
  });
});

describe('ID-03 nothing of the client’s decides where the backend calls', () => {
  const bad: Array<[string, Record<string, unknown>]> = [
    ['a host in the region', { region: 'us-east-1.evil.com/#' }],
    ['a line break in the region', { region: 'eu-central-1\r\nx-evil: 1' }],
    ['the global pseudo region', { region: 'aws-global' }],
    ['another region than ours', { region: 'us-east-1' }],
    ['a line break in the key id', { accessKeyId: 'ASIA\r\nAAAAAAAAAAAAAA' }],
    ['a long-lived key', { accessKeyId: 'AKIAAAAAAAAAAAAAAAAA' }],
    ['a line break in the nonce', { nonce: `${'a'.repeat(42)}\n` }],
    ['a line break in the token', { sessionToken: 'abcdefghijklmnop\r\nhost: evil' }],
    ['a url', { url: 'https://evil.example.com' }],
    ['a host', { host: 'evil.example.com' }],
    ['headers', { headers: { host: 'evil.example.com' } }],
    ['a body', { body: 'Action=AssumeRole' }],
  ];
  test.each(bad)('%s is invalid before any connection', async (_what, change) => {
    const calls = sts.calls();
    const answer = await post('prove', JSON.stringify({ ...(await proofOf(miraHolds)), ...change }));
    expect(answer.status).toBe(400);
    expect(JSON.parse(answer.text).error.data.refusal.code).toBe('invalid_input');
    expect(answer.text).not.toContain('evil');
    expect(sts.calls()).toBe(calls);
  });

  const identityJson = (extra: string) =>
    `{"GetCallerIdentityResponse":{"GetCallerIdentityResult":{"Account":"${devAccount}","Arn":"${miraHolds.arn}",${extra}"UserId":"${miraHolds.userId}"}}}`;

  test('a redirect is an answer like any other wrong one, and is not followed', async () => {
    const proof = await proofOf(miraHolds);
    const calls = sts.calls();
    sts.answerWith((response) => response.writeHead(302, { location: `${sts.endpoint}/elsewhere` }).end());
    expect(await prove(proof)).toBe('proof_refused');
    expect(sts.calls()).toBe(calls + 1);
  });

  test.each([
    ['two ARNs', identityJson(`"Arn":"${miraHolds.arn}",`)],
    ['no JSON', '<GetCallerIdentityResponse/>'],
    ['another shape', `{"Account":"${devAccount}","Arn":"${miraHolds.arn}","UserId":"${miraHolds.userId}"}`],
  ])('%s', async (_what, body) => {
    const proof = await proofOf(miraHolds);
    sts.answerWith((response) => response.end(body));
    expect(await prove(proof)).toBe('proof_refused');
  });

  test('a mebibyte is not read to its end', async () => {
    const proof = await proofOf(miraHolds);
    sts.answerWith((response) => response.end(`{"filler":"${'x'.repeat(1024 * 1024)}"}`));
    expect(await prove(proof)).toMatch(/^fault [0-9a-f]{12}$/);
  });
});

describe('ID-04 the signed date is within a minute of the backend’s clock', () => {
  test.each([
    ['61 s early', -61_000, 'clock_skewed'],
    ['61 s late', 61_500, 'clock_skewed'],
    ['14 min', -14 * 60_000, 'clock_skewed'],
    ['1970', -Date.now(), 'clock_skewed'],
    ['58 s early', -58_000, 'ok'],
    ['58 s late', 58_000, 'ok'],
  ])('%s', async (_what, offMs, expected) => {
    const at = new Date(backend.now().getTime() + offMs);
    expect(await prove(await proofOf(miraHolds, { at }))).toBe(expected);
  });

  test('nobody signs in while the clocks of backend and database differ', async () => {
    backend.ahead(10_000);
    try {
      expect(await prove(await proofOf(miraHolds))).toMatch(/^fault /);
    } finally {
      backend.ahead(0);
    }
  });
});

describe('ID-06 only the requester permission set of the listed accounts', () => {
  test.each(others)('%s is refused and written down', async (_what, identity) => {
    const before = await tokens();
    expect(await prove(await proofOf(identity))).toBe('proof_refused');
    expect(await tokens()).toBe(before);
    expect((await refusedArns()).at(-1)).toBe(identity.arn);
  });

  test('a disabled person is refused', async () => {
    await backend.people.put({ ...mira, enabled: false });
    expect(await prove(await proofOf(miraHolds))).toBe('proof_refused');
  });
});

test('ID-07 a role that only looks like Identity Center’s is refused', async () => {
  expect(await prove(await proofOf(lookAlike))).toBe('proof_refused');
  expect((await refusedArns()).at(-1)).toBe(lookAlike.arn);
});

test('ID-08 a user name that another person carried lately is refused', async () => {
  const former = { ...mira, id: '99999999-0000-4000-8000-000000000000' };
  await backend.store.api
    .insertInto('people')
    .values({
      id: former.id,
      user_name: mira.userName,
      display_name: 'former mira',
      email: null,
      enabled: true,
      groups: [],
      checked_at: new Date(Date.now() - 3_600_000),
    })
    .execute();
  expect(await prove(await proofOf(miraHolds))).toBe('proof_refused');
  await sql`update people set checked_at = now() - interval '13 hours' where id = ${former.id}`.execute(
    backend.store.api,
  );
  expect(await prove(await proofOf(miraHolds))).toBe('ok');
});

describe('ID-09 every token that does not stand gets the same answer', () => {
  test('byte for byte', async () => {
    const good = await backend.tokenFor(mira);
    const revoked = await backend.tokenFor(mira);
    await backend.client(revoked).signOut.mutate({ endGrants: false });
    const expired = await backend.tokenFor(mira);
    await sql`update tokens set expires_at = now() - interval '1 s' where hash = sha256(${Buffer.from(expired)})`.execute(
      backend.store.api,
    );
    const { rows } = await sql<{ hash: Buffer }>`select hash from tokens limit 1`.execute(backend.store.api);
    const storedHash = rows[0]?.hash.toString('base64url') ?? '';
    const attempts: Array<[string, string, Array<[string, string]>]> = [
      ['none', '', []],
      ['revoked', '', [['authorization', `Bearer ${revoked}`]]],
      ['expired', '', [['authorization', `Bearer ${expired}`]]],
      ['truncated', '', [['authorization', `Bearer ${good.slice(0, -1)}`]]],
      ['hash', '', [['authorization', `Bearer ${storedHash}`]]],
      ['other scheme', '', [['authorization', `Basic ${good}`]]],
      ['query string', `?token=${good}&authorization=Bearer%20${good}`, []],
      ['cookie', '', [['cookie', `token=${good}`]]],
    ];
    const answers = new Set<string>();
    for (const [, query, headers] of attempts) {
      const response = await fetch(`${backend.address}${apiPath}/overview${query}`, { headers });
      answers.add(`${response.status} ${await response.text()}`);
    }
    answers.add(await twice(good));
    expect([...answers]).toHaveLength(1);
    expect([...answers][0]).toContain('"sign_in_needed"');
    expect(await outcome(backend.client(good).overview.query())).toBe('ok');
  });

  test('a token of a person who was disabled since does not stand', async () => {
    const token = await backend.tokenFor(mira);
    await backend.people.put({ ...mira, enabled: false });
    expect(await outcome(backend.client(token).overview.query())).toBe('sign_in_needed');
  });
});

/** fetch would join the two headers into one. */
const twice = (token: string): Promise<string> =>
  new Promise((resolve, reject) => {
    const url = new URL(`${backend.address}${apiPath}/overview`);
    const bearer = `Bearer ${token}`;
    const headers = ['host', url.host, 'authorization', bearer, 'authorization', bearer];
    const sent = request(url, { headers }, (response) => {
      let text = '';
      response.on('data', (chunk: Buffer) => {
        text += chunk.toString('utf8');
      });
      response.on('end', () => resolve(`${response.statusCode} ${text}`));
    });
    sent.on('error', reject);
    sent.end();
  });

test('ID-05 more than 120 nonces a minute from one address are refused', async () => {
  const outcomes = await Promise.all(Array.from({ length: 130 }, () => outcome(backend.client(null).nonce.mutate())));
  expect(outcomes).toContain('too_many');
  const token = await backend.tokenFor(mira);
  expect(await outcome(backend.client(token).overview.query())).toBe('ok');
});

test('AU-09 no secret of a proof is in the log', () => {
  expect(backend.logged()).toContain('sign_in_refused');
  expect(backend.logged()).not.toContain('canary');
});
