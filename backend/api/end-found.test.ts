/** Ending a session that a finding is about: who may, in which state of it, over HTTP (threats AWS-02, API-02). */
import { TRPCClientError } from '@trpc/client';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { FindingKind } from '../../src/shared/views.ts';
import { listFindings, noteFinding, noteMended } from '../reconcile/findings.ts';
import type { PersonFacts } from '../store/people.ts';
import { prodAccount, startTestBackend, type TestBackend } from '../testing/test-backend.ts';
import { personNamed } from '../testing/test-people.ts';

const mira = personNamed('mira', ['payments-engineers']);
const jonas = personNamed('jonas', ['payments-leads']);
const dele = personNamed('dele', ['curfew-admins']);
const tomas = personNamed('tomas', ['curfew-admins']);

let backend: TestBackend;
beforeAll(async () => {
  backend = await startTestBackend({});
  for (const person of [mira, jonas, dele, tomas]) await backend.people.put(person);
});
afterAll(() => backend.close());

let sessions = 0;
const found = async (kind: FindingKind, state: 'open' | 'gone' = 'open'): Promise<string> => {
  sessions += 1;
  const key = { kind, accountId: prodAccount, region: 'eu-central-1', subject: `mira.1a2b3c4d-${sessions}` };
  const words = { accountName: 'payments-prod', what: 'There is a session.', advice: 'End it.' };
  await noteFinding(backend.store.api, { ...key, ...words }, { at: backend.now(), adminGroup: null });
  const all = await listFindings(backend.store.api, { openOnly: true, limit: 200 });
  if (state === 'gone') await noteMended(backend.store.api, key, backend.now());
  return all.find(({ subject }) => subject === key.subject)?.id ?? '';
};
const asked = async (): Promise<string> => {
  const id = await found('session_outside_app');
  await end(dele, id);
  return id;
};
const givenUp = async (): Promise<string> => {
  const id = await asked();
  await backend.store.api.updateTable('findings').set({ end_problem: 'AWS said no.' }).where('id', '=', id).execute();
  return id;
};

const end = async (person: PersonFacts, findingId: string) =>
  backend.client(await backend.tokenFor(person)).endFound.mutate({ findingId, reason: 'Past the recording' });
const outcome = async (person: PersonFacts, findingId: string): Promise<string> => {
  try {
    await end(person, findingId);
    return 'ok';
  } catch (error) {
    if (!(error instanceof TRPCClientError)) throw error;
    const { code, message } = error.data?.refusal ?? {};
    return `${code} ${message ?? ''}`.trim();
  }
};
const trail = async (id: string) =>
  (await backend.store.api.selectFrom('audit').select('event').orderBy('sequence').execute()).flatMap(({ event }) =>
    event.kind === 'session_end_asked' && event.findingId === id ? [event] : [],
  );

const subjects = {
  open: () => found('session_outside_app'),
  asked,
  givenUp,
  gone: () => found('session_outside_app', 'gone'),
  bypass: () => found('bypass'),
  'no session': () => found('role_not_ours'),
  nowhere: async () => `fnd_${'z'.repeat(26)}`,
} as const;
const forAdmins: Record<keyof typeof subjects, string | RegExp> = {
  open: 'ok',
  asked: 'wrong_state dele is ending this session already.',
  givenUp: 'ok',
  gone: 'wrong_state This session is gone already.',
  bypass: /^not_allowed Curfew gave nobody this session/,
  'no session': /^not_allowed This finding is not about a session/,
  nowhere: 'not_found',
};

test.each(Object.keys(forAdmins))(
  'API-02 AWS-02 a session that is %s: admins only, and only what is ours',
  async (state) => {
    const [name] = Object.entries(subjects).flatMap(([key, make]) => (key === state ? [make] : []));
    const [expected] = Object.entries(forAdmins).flatMap(([key, one]) => (key === state ? [one] : []));
    const id = (await name?.()) ?? '';
    const before = await trail(id);
    for (const person of [mira, jonas]) expect(await outcome(person, id)).toBe('not_allowed This is for admins.');
    expect(await trail(id)).toEqual(before);
    const answer = await outcome(tomas, id);
    if (expected instanceof RegExp) expect(answer).toMatch(expected);
    else expect(answer).toBe(expected);
    expect(await trail(id)).toHaveLength(before.length + (answer === 'ok' ? 1 : 0));
  },
);

test('AWS-02 the trail says who, which session and why, and admins see how far it is', async () => {
  const id = await asked();
  expect(await trail(id)).toMatchObject([
    { actor: { kind: 'person', person: { id: dele.id } }, accountId: prodAccount, reason: 'Past the recording' },
  ]);
  const findings = await backend.client(await backend.tokenFor(tomas)).findings.query({ openOnly: true });
  expect(findings.find((one) => one.id === id)?.ending).toMatchObject({
    by: dele.displayName,
    reason: 'Past the recording',
    terminatedAt: null,
    problem: null,
  });
});

test('AWS-02 of two admins who ask at once one is told of the other', async () => {
  const id = await found('session_outside_app');
  const answers = await Promise.all([outcome(dele, id), outcome(tomas, id)]);
  expect(answers.filter((answer) => answer === 'ok')).toHaveLength(1);
  expect(answers.filter((answer) => answer.startsWith('wrong_state'))).toHaveLength(1);
  expect(await trail(id)).toHaveLength(1);
});
