/** Who may do what in which state: every role with every action in every state of the lifecycle table, over HTTP. */
import { TRPCClientError } from '@trpc/client';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { AccessRequest, EndCause, InstanceRef, Receipt } from '../../src/shared/access.ts';
import {
  type GrantAction,
  type GrantStateName,
  grantActions,
  grantCan,
  type RequestAction,
  type RequestStateName,
  requestActions,
  requestCan,
} from '../../src/shared/lifecycle.ts';
import type { RefusalCode } from '../../src/shared/refusal.ts';
import { appendAudit } from '../audit/chain.ts';
import type { AuditEvent } from '../audit/event.ts';
import type { PersonFacts } from '../store/people.ts';
import { prodAccount, startTestBackend, type TestBackend } from '../testing/test-backend.ts';
import { putInstances } from '../testing/test-inventory.ts';
import { personNamed } from '../testing/test-people.ts';

const jonas = personNamed('jonas', ['payments-leads']);
const elin = personNamed('elin', ['payments-engineers']);
const kofi = personNamed('kofi', ['search-engineers']);
const dele = personNamed('dele', ['curfew-admins']);
const prod: InstanceRef = { accountId: prodAccount, region: 'eu-central-1', instanceId: 'i-0aaaaaaaaaaaaaaa2' };

let backend: TestBackend;
beforeAll(async () => {
  backend = await startTestBackend({});
  for (const person of [jonas, elin, kofi, dele]) await backend.people.put(person);
  await putInstances(backend.store.api, [{ ...prod, name: 'pay-p1', env: 'production', team: 'payments' }]);
});
afterAll(() => backend.close());

const roles = ['owner', 'approver', 'admin', 'colleague', 'stranger'] as const;
type Role = (typeof roles)[number];
type Client = ReturnType<TestBackend['client']>;
type Outcome = 'ok' | RefusalCode;

const clientOf = async (person: PersonFacts): Promise<Client> => backend.client(await backend.tokenFor(person));

/** One request of an engineer who has nothing else, so that no limit is reached. */
type Subject = { owner: PersonFacts; requestId: string; grantId: string; seenHash: string };
let engineers = 0;
const asked = async (): Promise<Subject> => {
  engineers += 1;
  const owner = personNamed(`eng${engineers}`, ['payments-engineers']);
  await backend.people.put(owner);
  const request = await (await clientOf(owner)).submit.mutate({
    instances: [prod],
    capability: 'shell',
    durationSeconds: 900,
    reason: 'try who may what',
    ticket: null,
  });
  const { seenHash } = await (await clientOf(jonas)).card.query({ requestId: request.id });
  return { owner, requestId: request.id, grantId: '', seenHash };
};

const decide = async (
  client: Client,
  { requestId, seenHash }: Subject,
  verdict: 'yes' | 'no',
): Promise<AccessRequest> =>
  client.decide.mutate(
    verdict === 'yes'
      ? { requestId, seenHash, verdict, less: null, comment: null }
      : { requestId, seenHash, verdict, comment: 'no' },
  );
const approved = async (): Promise<Subject> => {
  const subject = await asked();
  const request = await decide(await clientOf(jonas), subject, 'yes');
  return { ...subject, grantId: request.state === 'approved' ? (request.grantIds[0] ?? '') : '' };
};
const connected = async (): Promise<Subject> => {
  const subject = await approved();
  await (await clientOf(subject.owner)).connect.mutate({ grantId: subject.grantId });
  return subject;
};

const plain = ({ id, userName, displayName }: PersonFacts) => ({ id, userName, displayName });
const receipt: Receipt = {
  stage: 'gone',
  policyGoneAt: '2026-11-22T12:00:00.000Z',
  policyGoneMs: 1,
  sessionsGoneAt: '2026-11-22T12:00:00.000Z',
  sessionsGoneMs: 1,
  sessionsTerminated: [],
  looks: 1,
  sealedAt: null,
};

/** What only the reconciler and the clock do, as they leave it behind. */
const putState = async (subject: Subject, state: 'active' | 'ended' | 'lapsed' | 'failed'): Promise<Subject> => {
  const now = backend.now();
  const cause: EndCause = { kind: 'time' };
  const about = {
    at: now.toISOString(),
    actor: { kind: 'curfew' as const },
    grantId: subject.grantId,
    requestId: subject.requestId,
    owner: plain(subject.owner),
    accountId: prodAccount,
  };
  const events: Record<typeof state, AuditEvent> = {
    active: { kind: 'grant_active', ...about },
    ended: { kind: 'grant_ended', cause, receipt, ...about },
    lapsed: { kind: 'grant_lapsed', ...about },
    failed: { kind: 'grant_failed', code: 'x', advice: 'x', ...about },
  };
  const columns = {
    active: { active_at: now },
    ended: { cause: JSON.stringify(cause), receipt: JSON.stringify(receipt), closed_at: now, ends_at: now },
    lapsed: { closed_at: now },
    failed: { failed_code: 'x', failed_advice: 'x', closed_at: now },
  };
  await backend.store.api.transaction().execute(async (tx) => {
    const audit_sequence = await appendAudit(tx, events[state]);
    await tx
      .updateTable('grants')
      .set({ ...columns[state], state, audit_sequence })
      .where('id', '=', subject.grantId)
      .execute();
  });
  return subject;
};

const requestIn: Record<RequestStateName, () => Promise<Subject>> = {
  waiting: asked,
  approved,
  denied: async () => {
    const subject = await asked();
    await decide(await clientOf(jonas), subject, 'no');
    return subject;
  },
  withdrawn: async () => {
    const subject = await asked();
    await (await clientOf(subject.owner)).withdraw.mutate({ requestId: subject.requestId });
    return subject;
  },
  lapsed: async () => {
    const subject = await asked();
    await backend.store.api.transaction().execute(async (tx) => {
      const audit_sequence = await appendAudit(tx, {
        kind: 'request_lapsed',
        at: backend.now().toISOString(),
        actor: { kind: 'curfew' },
        requestId: subject.requestId,
        requester: plain(subject.owner),
      });
      await tx
        .updateTable('requests')
        .set({ state: 'lapsed', closed_at: backend.now(), audit_sequence })
        .where('id', '=', subject.requestId)
        .execute();
    });
    return subject;
  },
};
const grantIn: Record<GrantStateName, () => Promise<Subject>> = {
  ready: approved,
  granting: connected,
  active: async () => putState(await connected(), 'active'),
  ending: async () => {
    const subject = await connected();
    await (await clientOf(subject.owner)).end.mutate({ grantId: subject.grantId, comment: null });
    return subject;
  },
  ended: async () => putState(await connected(), 'ended'),
  lapsed: async () => putState(await approved(), 'lapsed'),
  failed: async () => putState(await connected(), 'failed'),
};

const personIn = (role: Role, subject: Subject): PersonFacts =>
  ({ owner: subject.owner, approver: jonas, admin: dele, colleague: elin, stranger: kofi })[role];

// Which actions people take; the others are the clock's and the reconciler's and have no procedure.
const requestCalls = {
  approve: (client: Client, subject: Subject) => decide(client, subject, 'yes'),
  deny: (client: Client, subject: Subject) => decide(client, subject, 'no'),
  claim: (client: Client, { requestId }: Subject) => client.claim.mutate({ requestId }),
  withdraw: (client: Client, { requestId }: Subject) => client.withdraw.mutate({ requestId }),
} as const satisfies Partial<Record<RequestAction, (client: Client, subject: Subject) => Promise<unknown>>>;
const grantCalls = {
  connect: (client: Client, { grantId }: Subject) => client.connect.mutate({ grantId }),
  extend: (client: Client, { grantId }: Subject) => client.extend.mutate({ grantId, bySeconds: 900 }),
  end: (client: Client, { grantId }: Subject) => client.end.mutate({ grantId, comment: null }),
} as const satisfies Partial<Record<GrantAction, (client: Client, subject: Subject) => Promise<unknown>>>;

type RequestCall = keyof typeof requestCalls;
type GrantCall = keyof typeof grantCalls;

const expectedOnRequest = (role: Role, action: RequestCall, state: RequestStateName): Outcome => {
  if (role === 'colleague' || role === 'stranger') return 'not_found';
  const inTime = requestCan(action, state);
  if (action === 'withdraw') return role !== 'owner' ? 'not_allowed' : inTime ? 'ok' : 'wrong_state';
  if (role === 'owner') return 'own_request';
  if (!inTime) return 'wrong_state';
  return role === 'approver' ? 'ok' : 'not_allowed';
};

const expectedOnGrant = (role: Role, action: GrantCall, state: GrantStateName): Outcome => {
  if (role === 'colleague' || role === 'stranger') return 'not_found';
  if (action !== 'end' && role !== 'owner') return 'not_allowed';
  return grantCan(action, state) ? 'ok' : 'wrong_state';
};

const outcome = async (call: Promise<unknown>): Promise<string> => {
  try {
    await call;
    return 'ok';
  } catch (error) {
    if (!(error instanceof TRPCClientError)) throw error;
    return error.data?.refusal?.code ?? `fault ${error.data?.faultId}`;
  }
};

/** Everything that a refusal must leave as it is. */
const snapshot = async (): Promise<string> => {
  const { api } = backend.store;
  const [requests, decisions, grants, claims, heads] = await Promise.all([
    api.selectFrom('requests').selectAll().orderBy('id').execute(),
    api.selectFrom('decisions').selectAll().orderBy('id').execute(),
    api.selectFrom('grants').selectAll().orderBy('id').execute(),
    api.selectFrom('claims').selectAll().orderBy('request_id').execute(),
    api.selectFrom('audit_head').selectAll().execute(),
  ]);
  return JSON.stringify({ requests, decisions, grants, claims, heads });
};

type Case<A extends string> = { role: Role; action: A; expected: string };
const casesOf = <A extends string>(
  actions: readonly A[],
  expected: (role: Role, action: A) => Outcome,
): Array<Case<A>> =>
  roles.flatMap((role) => actions.map((action) => ({ role, action, expected: expected(role, action) })));

/** Those that are refused share one subject, which must not change; each of the others has its own. */
const tryAll = async <A extends string>(
  cases: ReadonlyArray<Case<A>>,
  make: () => Promise<Subject>,
  run: (action: A, client: Client, subject: Subject) => Promise<unknown>,
): Promise<void> => {
  const untouched = await make();
  const before = await snapshot();
  const seen: Array<Case<A>> = [];
  for (const { role, action, expected } of cases) {
    if (expected === 'ok') continue;
    const client = await clientOf(personIn(role, untouched));
    seen.push({ role, action, expected: await outcome(run(action, client, untouched)) });
  }
  expect(seen).toEqual(cases.filter(({ expected }) => expected !== 'ok'));
  expect(await snapshot()).toBe(before);
  for (const { role, action } of cases.filter(({ expected }) => expected === 'ok')) {
    const subject = await make();
    expect([role, action, await outcome(run(action, await clientOf(personIn(role, subject)), subject))]).toEqual([
      role,
      action,
      'ok',
    ]);
  }
};

describe('API-02 role × action × state', () => {
  test('API-02 every action of the lifecycle table is a person’s, with a call here, or nobody’s', () => {
    expect(Object.keys(requestActions).filter((action) => !(action in requestCalls))).toEqual(['lapse']);
    expect(Object.keys(grantActions).filter((action) => !(action in grantCalls))).toEqual([
      'activate',
      'finish',
      'lapse',
      'fail',
    ]);
  });

  const requestStates: RequestStateName[] = ['waiting', 'approved', 'denied', 'withdrawn', 'lapsed'];
  test.each(requestStates)('API-02 a request that is %s', async (state) => {
    const actions: RequestCall[] = ['approve', 'deny', 'claim', 'withdraw'];
    await tryAll(
      casesOf(actions, (role, action) => expectedOnRequest(role, action, state)),
      requestIn[state],
      (action, client, subject) => requestCalls[action](client, subject),
    );
  });

  const grantStates: GrantStateName[] = ['ready', 'granting', 'active', 'ending', 'ended', 'lapsed', 'failed'];
  test.each(grantStates)('API-02 a grant that is %s', async (state) => {
    const actions: GrantCall[] = ['connect', 'extend', 'end'];
    await tryAll(
      casesOf(actions, (role, action) => expectedOnGrant(role, action, state)),
      grantIn[state],
      (action, client, subject) => grantCalls[action](client, subject),
    );
  });
});
