/** Sign-in where people are IAM users: the very same proof, believed only for users of the listed accounts who are in the groups. */
import { TRPCClientError } from '@trpc/client';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { type IdentityProof, identityProof, serverIdOf } from '../../src/shared/identity-proof.ts';
import { type StsStandin, signProof, startSts, type TestIdentity } from '../aws/testing/sts-standin.ts';
import type { PersonFacts } from '../store/people.ts';
import { noAccess } from '../testing/no-access.ts';
import { devAccount, prodAccount, startTestBackend, type TestBackend, testConfig } from '../testing/test-backend.ts';

const danaId = 'AIDAQWERTYUIOPASDFGH';
const dana: PersonFacts = {
  id: danaId,
  userName: 'dana',
  displayName: 'Dana Whitfield',
  email: null,
  enabled: true,
  groups: ['curfew-users'],
  checkedAt: new Date(),
};

let keys = 0;
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
const user = (name: string, account = devAccount) => `arn:aws:iam::${account}:user/${name}`;
const danaHolds = holder(user('curfew/people/dana'), danaId);
const withoutPath = holder(user('dana'), danaId);

const others: Array<[string, TestIdentity]> = [
  ['root', holder(`arn:aws:iam::${devAccount}:root`, devAccount)],
  ['a federated user', holder(`arn:aws:sts::${devAccount}:federated-user/dana`, `${devAccount}:dana`)],
  ['a session of a role', holder(`arn:aws:sts::${devAccount}:assumed-role/dana/dana`, 'AROAQWERTYUIOPASDFGH:dana')],
  [
    'a session of the requester permission set',
    holder(
      `arn:aws:sts::${devAccount}:assumed-role/AWSReservedSSO_CurfewUser_0123456789abcdef/dana`,
      'AROAQWERTYUIOPASDFGH:dana',
    ),
  ],
  ['a user of an account that is not listed', holder(user('dana', prodAccount), danaId, prodAccount)],
  ['an account that is not its ARN’s', holder(user('dana'), danaId, prodAccount)],
  ['a user of another partition', holder(`arn:aws-cn:iam::${devAccount}:user/dana`, danaId)],
  ['a user id that is none', holder(user('dana'), 'AROAQWERTYUIOPASDFGH')],
  ['a name with more behind it', holder(`${user('dana')}:root`, danaId)],
  ['a user who is in none of the groups', holder(user('noor'), 'AIDANOORNOORNOORNOOR')],
];

let sts: StsStandin;
let backend: TestBackend;
let known: PersonFacts | null = dana;
let asked: string[] = [];
beforeAll(async () => {
  sts = await startSts([danaHolds, withoutPath, ...others.map(([, identity]) => identity)]);
  backend = await startTestBackend({
    access: noAccess,
    sts: sts.endpoint,
    iamUsers: {
      afresh: async (accountId, userId) => {
        asked.push(`${accountId}/${userId}`);
        return userId === known?.id ? known : null;
      },
    },
  });
});
afterAll(async () => {
  await backend.close();
  await sts.close();
});
beforeEach(async () => {
  known = dana;
  asked = [];
  sts.answerWith(null);
  await backend.people.put(dana);
});

const serverId = serverIdOf(testConfig.origin);
const proofOf = async (identity: TestIdentity, over: { serverId?: string | null; at?: Date } = {}) => {
  const { nonce } = await backend.client(null).nonce.mutate();
  const forWhom = over.serverId === undefined ? serverId : over.serverId;
  return signProof(identity, { nonce, serverId: forWhom, at: over.at ?? backend.now() });
};
const prove = async (proof: IdentityProof): Promise<string> => {
  try {
    await backend.client(null).prove.mutate(proof);
    return 'ok';
  } catch (error) {
    if (!(error instanceof TRPCClientError)) throw error;
    return error.data?.refusal?.code ?? `fault ${error.data?.faultId}`;
  }
};
const lastRefused = async () => {
  const row = await backend.store.api
    .selectFrom('audit')
    .select('event')
    .where('kind', '=', 'sign_in_refused')
    .orderBy('sequence', 'desc')
    .limit(1)
    .executeTakeFirst();
  return row?.event.kind === 'sign_in_refused' ? row.event : null;
};

test.each([
  ['with a path', danaHolds],
  ['without', withoutPath],
])('an IAM user %s is signed in by UserId, with an audit row', async (_what, identity) => {
  const { token, me } = await backend.client(null).prove.mutate(await proofOf(identity));
  expect(me.person).toEqual({ id: danaId, userName: 'dana', displayName: 'Dana Whitfield' });
  expect((await backend.client(token).overview.query()).me.person.id).toBe(danaId);
  expect(asked).toEqual([`${devAccount}/${danaId}`]);
  const rows = await backend.store.api.selectFrom('audit').select('event').where('actor_id', '=', danaId).execute();
  expect(rows.map(({ event }) => event)).toContainEqual(
    expect.objectContaining({ kind: 'signed_in', arn: identity.arn }),
  );
});

test('ID-01 the proof of a user works once', async () => {
  const proof = await proofOf(danaHolds);
  expect(await prove(proof)).toBe('ok');
  expect(await prove(proof)).toBe('proof_refused');
  const { nonce } = await backend.client(null).nonce.mutate();
  expect(await prove({ ...proof, nonce })).toBe('proof_refused');
});

test.each([
  ['another server id', 'https://evil.example.com'],
  ['no server id', null],
])('ID-02 the proof of a user for %s is worth nothing here', async (_what, otherId) => {
  expect(await prove(await proofOf(danaHolds, { serverId: otherId }))).toBe('proof_refused');
  expect(asked).toEqual([]);
});

describe('ID-03 a user’s proof is taken as it is or not at all', () => {
  test('a long-lived key is invalid: only temporary credentials sign', async () => {
    const proof = { ...(await proofOf(danaHolds)), accessKeyId: 'AKIAAAAAAAAAAAAAAAAA' };
    expect(identityProof.safeParse(proof).success).toBe(false);
    const calls = sts.calls();
    expect(await prove(proof)).toBe('invalid_input');
    expect(sts.calls()).toBe(calls);
  });

  test('an altered signature is refused', async () => {
    const proof = await proofOf(danaHolds);
    const signature = `${proof.signature.slice(0, -1)}${proof.signature.endsWith('0') ? '1' : '0'}`;
    expect(await prove({ ...proof, signature })).toBe('proof_refused');
    expect(asked).toEqual([]);
  });
});

test('ID-04 a proof of a minute ago is late', async () => {
  const at = new Date(backend.now().getTime() - 61_000);
  expect(await prove(await proofOf(danaHolds, { at }))).toBe('clock_skewed');
});

describe('ID-06 nobody else', () => {
  test.each(others)('%s is refused and written down', async (_what, identity) => {
    expect(await prove(await proofOf(identity))).toBe('proof_refused');
    expect((await lastRefused())?.arn).toBe(identity.arn);
  });

  test('ID-08 a user who was made anew under the same name is not the one who was', async () => {
    known = { ...dana, id: 'AIDAANOTHERANOTHERAN' };
    expect(await prove(await proofOf(danaHolds))).toBe('proof_refused');
    expect((await lastRefused())?.why).toContain('IAM group');
  });
});
