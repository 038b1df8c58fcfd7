/** What people send that is wrong: each is a refusal that names the part, tells nothing else, and changes nothing. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { z } from 'zod';
import type { InstanceRef } from '../../src/shared/access.ts';
import { apiPath } from '../../src/shared/views.ts';
import { prodAccount, startTestBackend, type TestBackend } from '../testing/test-backend.ts';
import { putInstances } from '../testing/test-inventory.ts';
import { personNamed } from '../testing/test-people.ts';

const mira = personNamed('mira', ['payments-engineers']);
const jonas = personNamed('jonas', ['payments-leads']);
const prod: InstanceRef = { accountId: prodAccount, region: 'eu-central-1', instanceId: 'i-0aaaaaaaaaaaaaaa2' };
const draft = { instances: [prod], capability: 'shell', durationSeconds: 900, reason: 'why', ticket: null };

let backend: TestBackend;
let tokens: { mira: string; jonas: string };
let waiting: { requestId: string; seenHash: string };
let grantId: string;
beforeAll(async () => {
  backend = await startTestBackend({});
  for (const person of [mira, jonas]) await backend.people.put(person);
  await putInstances(backend.store.api, [{ ...prod, name: 'pay-p1', env: 'production', team: 'payments' }]);
  tokens = { mira: await backend.tokenFor(mira), jonas: await backend.tokenFor(jonas) };
  const ask = async () => {
    const { id } = await backend.client(tokens.mira).submit.mutate({ ...draft, capability: 'shell' });
    const { seenHash } = await backend.client(tokens.jonas).card.query({ requestId: id });
    return { requestId: id, seenHash };
  };
  waiting = await ask();
  const yes = { verdict: 'yes' as const, less: null, comment: null };
  const decided = await backend.client(tokens.jonas).decide.mutate({ ...(await ask()), ...yes });
  grantId = decided.state === 'approved' ? (decided.grantIds[0] ?? '') : '';
  await backend.client(tokens.mira).connect.mutate({ grantId });
});
afterAll(() => backend.close());

/** Everything that a refusal must leave as it is. */
const snapshot = async (): Promise<string> => {
  const { api } = backend.store;
  const rows = await Promise.all([
    api.selectFrom('requests').selectAll().orderBy('id').execute(),
    api.selectFrom('decisions').selectAll().orderBy('id').execute(),
    api.selectFrom('grants').selectAll().orderBy('id').execute(),
    api.selectFrom('principals').selectAll().orderBy('id').execute(),
    api.selectFrom('notices').selectAll().orderBy('id').execute(),
    api.selectFrom('sessions').selectAll().orderBy('id').execute(),
    api.selectFrom('audit_head').selectAll().execute(),
  ]);
  return JSON.stringify(rows);
};

const refused = z.object({
  error: z.object({
    data: z.object({
      refusal: z.object({
        code: z.string(),
        advice: z.string().min(1),
        path: z.string().optional(),
        message: z.string().optional(),
      }),
    }),
  }),
});

/** Sends the very bytes and answers the refusal; what was sent is not given back, and nothing has changed. */
const send = async (who: 'mira' | 'jonas', procedure: string, body: string) => {
  const before = await snapshot();
  const response = await fetch(`${backend.address}${apiPath}/${procedure}`, {
    method: 'POST',
    headers: { authorization: `Bearer ${tokens[who]}`, 'content-type': 'application/json' },
    body,
  });
  const text = await response.text();
  expect(await snapshot()).toBe(before);
  expect(text.length).toBeLessThan(2_000);
  return { status: response.status, text, ...refused.parse(JSON.parse(text)).error.data.refusal };
};
const submitting = (change: object) => send('mira', 'submit', JSON.stringify({ ...draft, ...change }));
const onInstance = (instanceId: unknown) => submitting({ instances: [{ ...prod, instanceId }] });

describe('RQ-01 instance ids', () => {
  const id = prod.instanceId;
  test.each([
    ['a wildcard', 'i-*'],
    ['a question mark', 'i-0aaaaaaaaaaaaaaa?'],
    ['everything', '*'],
    ['a trailing newline', `${id}\n`],
    ['a leading blank', ` ${id}`],
    ['an encoded wildcard', 'i-%2a'],
    ['two ids', `${id},${id}`],
    // biome-ignore lint/suspicious/noTemplateCurlyInString: it is an IAM policy variable.
    ['a policy variable', '${aws:userid}'],
    ['full-width letters', id.replace('i', '\uff49')],
    ['Cyrillic letters', id.replace('a', '\u0430')],
    ['an ARN', `arn:aws:ec2:eu-central-1:${prodAccount}:instance/${id}`],
    ['upper case', id.toUpperCase()],
    ['nothing', ''],
    ['a list', [id]],
    ['an object', { $ne: '' }],
  ])('RQ-01 %s is invalid, and the path says which', async (_what, instanceId) => {
    expect(await onInstance(instanceId)).toMatchObject({
      status: 400,
      code: 'invalid_input',
      path: 'instances.0.instanceId',
    });
  });

  test.each([
    ['another id', { instanceId: 'i-0fffffffffffffff0' }],
    ['another region', { region: 'eu-west-1' }],
    ['another account', { accountId: '999988887777' }],
  ])('RQ-01 a well-formed instance that is nowhere is not found: %s', async (_what, change) => {
    expect(await submitting({ instances: [{ ...prod, ...change }] })).toMatchObject({ status: 404, code: 'not_found' });
  });

  test.each([
    ['none', []],
    ['twenty-one', Array.from({ length: 21 }, () => prod)],
  ])('RQ-01 %s at once', async (_what, instances) => {
    expect(await submitting({ instances })).toMatchObject({ code: 'invalid_input', path: 'instances' });
  });
});

describe('RQ-02 durations, capabilities, and fields of other people’s wishes', () => {
  test.each([
    ['zero', '0'],
    ['negative', '-1'],
    ['too short', '59'],
    ['a second too long', '43201'],
    ['beyond every number', '1e999'],
    ['huge', '1e308'],
    ['half a second', '900.5'],
    ['a text', '"4h"'],
    ['null', 'null'],
  ])('RQ-02 a duration that is %s', async (_what, written) => {
    const body = JSON.stringify(draft).replace('"durationSeconds":900', `"durationSeconds":${written}`);
    expect(await send('mira', 'submit', body)).toMatchObject({ code: 'invalid_input', path: 'durationSeconds' });
    const more = `{"grantId":"${grantId}","bySeconds":${written}}`;
    expect(await send('mira', 'extend', more)).toMatchObject({ code: 'invalid_input', path: 'bySeconds' });
  });

  test.each([
    ['another capability', { capability: 'root' }, 'capability'],
    ['a document', { documentName: 'AWS-RunShellScript' }, ''],
    ['a port', { port: '5432;' }, ''],
    ['a remote host', { host: '169.254.169.254' }, ''],
    ['somebody else as requester', { requester: { id: 'x' } }, ''],
    ['a state', { state: 'approved' }, ''],
    ['a field of an instance', { instances: [{ ...prod, tags: { env: 'dev' } }] }, 'instances.0'],
    ['a prototype', { constructor: { prototype: { isAdmin: true } } }, ''],
  ])('RQ-02 %s', async (_what, change, path) => {
    const answer = await submitting(change);
    expect(answer).toMatchObject({ status: 400, code: 'invalid_input', path });
    expect(answer.text).not.toMatch(/documentName|169\.254|isAdmin|requester/);
  });
});

describe('RQ-15 text', () => {
  const texts: Array<[string, string]> = [
    ['a newline', 'a\nb'],
    ['a carriage return', 'a\rb'],
    ['an escape', 'a\u001b[2Jb'],
    ['a C1 control', 'a\u009b31mb'],
    ['a bidi override', 'a\u202eb'],
    ['a bidi isolate', 'a\u2066b'],
    ['a line separator', 'a\u2028b'],
    ['a zero-width space', 'a\u200bb'],
    ['a lone surrogate', 'a\ud800b'],
    ['501 characters', 'x'.repeat(501)],
    ['10,000 characters', 'x'.repeat(10_000)],
  ];
  test.each([...texts, ['nothing', ''], ['only blanks', ' \u00a0\u3000 ']])(
    'RQ-15 a reason with %s',
    async (_what, reason) => {
      const answer = await submitting({ reason });
      expect(answer).toMatchObject({ status: 400, code: 'invalid_input', path: 'reason' });
      expect(answer.message).toMatch(/^(is|has|Too|Invalid)/);
      const extending = { grantId, bySeconds: 900, reason };
      expect(await send('mira', 'extend', JSON.stringify(extending))).toMatchObject({ path: 'reason' });
    },
  );

  test.each(texts)('RQ-15 a comment with %s', async (_what, comment) => {
    for (const verdict of [{ verdict: 'yes', less: null }, { verdict: 'no' }]) {
      const answer = await send('jonas', 'decide', JSON.stringify({ ...waiting, ...verdict, comment }));
      expect(answer).toMatchObject({ code: 'invalid_input', path: 'comment' });
    }
    const end = await send('mira', 'end', JSON.stringify({ grantId, comment }));
    expect(end).toMatchObject({ code: 'invalid_input', path: 'comment' });
  });

  test('RQ-15 a no without a reason', async () => {
    const no = { ...waiting, verdict: 'no', comment: '  ' };
    expect(await send('jonas', 'decide', JSON.stringify(no))).toMatchObject({ code: 'invalid_input', path: 'comment' });
  });

  test.each([
    'pay-2291',
    'PAY-2291\n',
    'PAY-',
    'https://evil.example.com/PAY-1',
    'PAY-2291; drop',
    'ＰＡＹ-1',
    '',
    'P-1',
  ])('RQ-15 %j is no ticket', async (ticket) => {
    expect(await submitting({ ticket })).toMatchObject({ code: 'invalid_input', path: 'ticket' });
  });

  test('RQ-15 a mebibyte is too large, before it is parsed', async () => {
    expect(await submitting({ reason: 'x'.repeat(1024 * 1024) })).toMatchObject({ status: 413, code: 'too_large' });
  });

  test('RQ-15 what is written in two ways is kept in one', async () => {
    const written = { instances: [prod], capability: 'shell' as const, durationSeconds: 60, ticket: 'PAY-2291' };
    const reason = '  cafe\u0301 queue \u{1f41b}  ';
    const request = await backend.client(tokens.mira).submit.mutate({ ...written, reason });
    expect(request).toMatchObject({ reason: 'caf\u00e9 queue \u{1f41b}', ticket: 'PAY-2291' });
    await backend.client(tokens.mira).withdraw.mutate({ requestId: request.id });
  });
});

describe('what is no call at all', () => {
  test.each([
    ['nothing', ''],
    ['no JSON', '{"instances":'],
    ['a text', '"submit"'],
    ['a list', '[]'],
    ['null', 'null'],
    ['deep nesting', `${'['.repeat(20_000)}${']'.repeat(20_000)}`],
  ])('%s', async (_what, body) => {
    expect(await send('mira', 'submit', body)).toMatchObject({ status: 400, code: 'invalid_input' });
  });

  test.each([
    ['a hash that is none', { seenHash: 'x' }, 'seenHash'],
    ['no hash', { seenHash: undefined }, 'seenHash'],
    ['another verdict', { verdict: 'maybe' }, 'verdict'],
    ['no word on less', { less: undefined }, 'less'],
    ['less than nothing', { less: { instances: [], durationSeconds: 900 } }, 'less.instances'],
    ['an id of another kind', { requestId: 'grt_aaaaaaaaaaaaaaaaaaaaaaaaaa' }, 'requestId'],
  ])('a decision with %s', async (_what, change, path) => {
    const yes = { ...waiting, verdict: 'yes', less: null, comment: null, ...change };
    expect(await send('jonas', 'decide', JSON.stringify(yes))).toMatchObject({ code: 'invalid_input', path });
  });
});
