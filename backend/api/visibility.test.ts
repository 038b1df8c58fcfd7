import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { InstanceRef, RequestDraft } from '../../src/shared/access.ts';
import { apiPath } from '../../src/shared/views.ts';
import { newId } from '../store/ids.ts';
import { devAccount, prodAccount, startTestBackend, type TestBackend } from '../testing/test-backend.ts';
import { putInstances } from '../testing/test-inventory.ts';
import { personNamed } from '../testing/test-people.ts';

const mira = personNamed('mira', ['payments-engineers']);
const jonas = personNamed('jonas', ['payments-leads']);
const stranger = personNamed('stranger', ['search-engineers']);
const admin = personNamed('admin', ['curfew-admins']);

const region = 'eu-central-1';
const dev = { accountId: devAccount, region, instanceId: 'i-0aaaaaaaaaaaaaaa1', name: 'pay-d1', env: 'staging' };
const prod = { accountId: prodAccount, region, instanceId: 'i-0aaaaaaaaaaaaaaa2', name: 'pay-p1', env: 'production' };
const search = {
  accountId: devAccount,
  region,
  instanceId: 'i-0aaaaaaaaaaaaaaa3',
  name: 'search-d1',
  env: 'staging',
};
const refOf = ({ accountId, region: at, instanceId }: InstanceRef): InstanceRef => ({
  accountId,
  region: at,
  instanceId,
});
const draftFor = (instance: InstanceRef): RequestDraft => ({
  instances: [refOf(instance)],
  capability: 'shell',
  durationSeconds: 900,
  reason: 'canary-reason of mira',
  ticket: null,
});

let backend: TestBackend;
let tokens: Record<'mira' | 'jonas' | 'stranger' | 'admin', string>;
/** What is Mira's: the ids that a stranger tries. */
let hers: Ids;
/** Ids of the same form that mean nothing. */
const nothing = {
  waiting: newId('req'),
  decided: newId('req'),
  grant: newId('grt'),
  session: `mira.00000000-${'a'.repeat(26)}`,
  notice: newId('ntc'),
  killSwitch: newId('kil'),
  person: 'nobody',
  instance: { accountId: devAccount, region, instanceId: 'i-0fffffffffffffff1' },
};
type Ids = typeof nothing;

beforeAll(async () => {
  backend = await startTestBackend({});
  for (const person of [mira, jonas, stranger, admin]) await backend.people.put(person);
  await putInstances(backend.store.api, [
    { ...dev, team: 'payments' },
    { ...prod, team: 'payments' },
    { ...search, team: 'search' },
  ]);
  tokens = {
    mira: await backend.tokenFor(mira),
    jonas: await backend.tokenFor(jonas),
    stranger: await backend.tokenFor(stranger),
    admin: await backend.tokenFor(admin),
  };
  const client = backend.client(tokens.mira);
  const decided = await client.submit.mutate(draftFor(dev));
  const waiting = await client.submit.mutate(draftFor(prod));
  const grant = decided.state === 'approved' ? (decided.grantIds[0] ?? '') : '';
  const { connection } = await client.connect.mutate({ grantId: grant });
  if (connection.as !== 'personal-role') throw new Error('Mira has a personal role.');
  const session = `${connection.roleSessionName}-${'b'.repeat(26)}`;
  await client.sessionStarted.mutate({ grantId: grant, instance: refOf(dev), sessionId: session });
  const notices = (await backend.client(tokens.jonas).overview.query()).notices;
  // On a colleague who has nothing, so that nothing of hers is ended.
  const { id: killSwitch } = await backend
    .client(tokens.admin)
    .pullSwitch.mutate({ scope: { kind: 'person', personId: jonas.id }, reason: 'canary switch', typed: null });
  hers = {
    waiting: waiting.id,
    decided: decided.id,
    grant,
    session,
    notice: notices[0]?.id ?? '',
    killSwitch,
    person: mira.id,
    instance: refOf(dev),
  };
});
afterAll(() => backend.close());

type Kind = 'query' | 'mutation';
const call = async (token: string, procedure: string, kind: Kind, input: unknown): Promise<string> => {
  const url = `${backend.address}${apiPath}/${procedure}`;
  const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' };
  const response =
    kind === 'query'
      ? await fetch(`${url}?input=${encodeURIComponent(JSON.stringify(input))}`, { headers })
      : await fetch(url, { method: 'POST', headers, body: JSON.stringify(input) });
  return `${response.status} ${await response.text()}`;
};

const seenHash = '0'.repeat(64);
const bothRequests = (ids: Ids) => [{ requestId: ids.waiting }, { requestId: ids.decided }];

const bothScopes = (ids: Ids) => [
  { kind: 'person', personId: ids.person },
  { kind: 'instance', instance: ids.instance },
];

/** Per procedure: the inputs made of ids, or why it takes none of anybody's. */
const table: Record<string, { kind: Kind; inputs: (ids: Ids) => unknown[] } | string> = {
  info: 'public',
  nonce: 'public',
  prove: 'public',
  signOut: 'takes no id',
  overview: 'takes no id: looked at below',
  instances: 'takes no id: looked at below',
  audit: 'takes no id: looked at below',
  changes: 'takes no id: looked at below',
  refreshInventory: 'takes no id',
  preview: 'instances are tried below',
  submit: 'instances are tried below',
  spreadingMeasured: 'accounts are everybody’s',
  withdraw: { kind: 'mutation', inputs: bothRequests },
  card: { kind: 'query', inputs: bothRequests },
  claim: { kind: 'mutation', inputs: bothRequests },
  decide: {
    kind: 'mutation',
    inputs: (ids) =>
      [ids.waiting, ids.decided].flatMap((requestId) => [
        { requestId, seenHash, verdict: 'yes', less: null, comment: null },
        { requestId, seenHash, verdict: 'no', comment: 'no' },
      ]),
  },
  connect: { kind: 'mutation', inputs: (ids) => [{ grantId: ids.grant }] },
  extend: { kind: 'mutation', inputs: (ids) => [{ grantId: ids.grant, bySeconds: 900 }] },
  end: { kind: 'mutation', inputs: (ids) => [{ grantId: ids.grant, comment: null }] },
  sessionStarted: {
    kind: 'mutation',
    inputs: (ids) => [{ grantId: ids.grant, instance: refOf(dev), sessionId: ids.session }],
  },
  sessionEnded: { kind: 'mutation', inputs: (ids) => [{ sessionId: ids.session }] },
  live: 'takes no id: looked at below',
  switches: 'takes no id: looked at below',
  endings: 'for admins only',
  findings: 'for admins only',
  endFound: 'for admins only',
  health: 'for admins only',
  switchTargets: 'for admins only',
  whatStays: { kind: 'query', inputs: (ids) => [{ grantId: ids.grant }] },
  endAllOn: { kind: 'mutation', inputs: (ids) => [{ grantId: ids.grant, instance: refOf(dev), comment: null }] },
  switchStory: { kind: 'query', inputs: (ids) => [{ switchId: ids.killSwitch }] },
  liftSwitch: { kind: 'mutation', inputs: (ids) => [{ switchId: ids.killSwitch }] },
  previewSwitch: { kind: 'mutation', inputs: (ids) => bothScopes(ids).map((scope) => ({ scope })) },
  pullSwitch: {
    kind: 'mutation',
    inputs: (ids) => bothScopes(ids).map((scope) => ({ scope, reason: 'try', typed: null })),
  },
  markRead: { kind: 'mutation', inputs: (ids) => [{ noticeIds: [ids.notice] }] },
  story: { kind: 'query', inputs: bothRequests },
  exportAudit: {
    kind: 'mutation',
    inputs: (ids) => [
      { format: 'jsonl', requestId: ids.waiting, cursor: null },
      { format: 'csv', requestId: ids.decided, cursor: null },
    ],
  },
};

describe('API-01 what a person may not see is answered like what does not exist', () => {
  test('every procedure has a row', () => {
    expect(Object.keys(table).sort()).toEqual(Object.keys(backend.router._def.procedures).sort());
  });

  const withIds = Object.entries(table).flatMap(([name, row]) => (typeof row === 'string' ? [] : [{ name, ...row }]));
  test.each(withIds)('$name: same bytes as for a random id', async ({ name, kind, inputs }) => {
    const random = inputs(nothing);
    for (const [index, input] of inputs(hers).entries()) {
      const answer = await call(tokens.stranger, name, kind, input);
      expect(answer).toBe(await call(tokens.stranger, name, kind, random[index]));
      if (name !== 'markRead') expect(answer).toMatch(/^404 .*"not_found"/);
    }
  });

  test('nothing of hers was changed by the tries', async () => {
    const { requests, grants } = await backend.client(tokens.mira).overview.query();
    expect(requests.map(({ id, state }) => [id, state])).toEqual([
      [hers.waiting, 'waiting'],
      [hers.decided, 'approved'],
    ]);
    expect(grants.map(({ state, sessions }) => [state, sessions.map(({ endedAt }) => endedAt)])).toEqual([
      ['granting', [null]],
    ]);
    const [notice] = (await backend.client(tokens.jonas).overview.query()).notices;
    expect(notice?.readAt).toBeNull();
  });

  test.each(['preview', 'submit'])('%s: an instance of another team is like one that is nowhere', async (procedure) => {
    const nowhere = { ...dev, instanceId: 'i-0fffffffffffffff0' };
    const answer = await call(tokens.stranger, procedure, 'mutation', draftFor(prod));
    expect(answer).toBe(await call(tokens.stranger, procedure, 'mutation', draftFor(nowhere)));
    expect(answer).toMatch(/^404 /);
  });

  test('lists, counts and filters of a stranger know nothing of hers', async () => {
    const everything = [
      await call(tokens.stranger, 'overview', 'query', null),
      await call(tokens.stranger, 'instances', 'query', { search: 'pay' }),
      await call(tokens.stranger, 'instances', 'query', {}),
      await call(tokens.stranger, 'audit', 'query', {}),
      await call(tokens.stranger, 'audit', 'query', { search: 'canary-reason' }),
      await call(tokens.stranger, 'audit', 'query', { person: mira.id }),
      await call(tokens.stranger, 'live', 'query', {}),
      await call(tokens.stranger, 'live', 'query', { search: 'pay' }),
      await call(tokens.stranger, 'switches', 'query', null),
    ].join('\n');
    for (const word of [hers.waiting, hers.decided, hers.grant, hers.session, dev.instanceId, prod.name, 'canary']) {
      expect(everything).not.toContain(word);
    }
    expect((await backend.client(tokens.stranger).instances.query({ search: 'pay' })).matching).toBe(0);
    expect((await backend.client(tokens.stranger).instances.query({})).askable).toBe(1);
  });

  test('what is for admins is for nobody else', async () => {
    for (const [procedure, input] of [
      ['endings', null],
      ['findings', {}],
      ['health', null],
      ['switchTargets', { kind: 'person' }],
    ] as const) {
      expect(await call(tokens.stranger, procedure, 'query', input)).toMatch(/^403 .*"not_allowed"/);
      expect(await call(tokens.admin, procedure, 'query', input)).toMatch(/^200 /);
    }
    for (const token of [tokens.stranger, tokens.jonas]) {
      const ending = { findingId: `fnd_${'a'.repeat(26)}`, reason: 'try' };
      expect(await call(token, 'endFound', 'mutation', ending)).toMatch(/^403 .*"not_allowed"/);
    }
    const everything = { scope: { kind: 'everything' }, reason: 'try', typed: 'everything' };
    for (const token of [tokens.stranger, tokens.jonas]) {
      expect(await call(token, 'pullSwitch', 'mutation', everything)).toMatch(/^403 .*"not_allowed"/);
    }
  });

  test('an approver sees and may end what a rule gave on instances that they may decide about', async () => {
    const live = await backend.client(tokens.jonas).live.query({});
    expect(live.items.map(({ id }) => id)).toEqual([hers.grant]);
    expect(live).toMatchObject({ matching: 1, sessions: 1 });
    expect((await backend.client(tokens.jonas).live.query({ search: 'PAY-d1 mira' })).matching).toBe(1);
    expect((await backend.client(tokens.jonas).live.query({ search: 'pay_d1' })).matching).toBe(0);
    expect((await backend.client(tokens.admin).live.query({})).matching).toBe(1);
    expect(await call(tokens.jonas, 'whatStays', 'query', { grantId: hers.grant })).toMatch(/^200 /);
  });

  test('the whole trail is for admins', async () => {
    const input = { format: 'jsonl', requestId: null, cursor: null };
    expect(await call(tokens.stranger, 'exportAudit', 'mutation', input)).toMatch(/^403 .*"not_allowed"/);
    expect(await call(tokens.admin, 'exportAudit', 'mutation', input)).toMatch(/^200 .*canary-reason/);
    // Where an export goes on is said by the client, so it opens nothing.
    const later = { ...input, cursor: { part: 'rows', to: 1_000_000, rows: 1, after: 0 } };
    expect(await call(tokens.stranger, 'exportAudit', 'mutation', later)).toMatch(/^403 .*"not_allowed"/);
  });

  test('the approver who was asked sees the request and its story, an admin all of it', async () => {
    for (const token of [tokens.jonas, tokens.admin]) {
      const story = await backend.client(token).story.query({ requestId: hers.waiting });
      expect(story.rows.map(({ kind }) => kind)).toEqual(['request_submitted']);
    }
    expect(await call(tokens.jonas, 'story', 'query', { requestId: hers.decided })).toMatch(/^404 /);
    expect((await backend.client(tokens.jonas).overview.query()).toDecide.map(({ id }) => id)).toEqual([hers.waiting]);
  });

  test('an approver who left the group sees it no longer', async () => {
    await backend.people.put({ ...jonas, groups: [] });
    try {
      expect(await call(tokens.jonas, 'story', 'query', { requestId: hers.waiting })).toMatch(/^404 /);
    } finally {
      await backend.people.put(jonas);
    }
  });
});

describe('API-03 cursors and filters are no oracle', () => {
  const many = Array.from({ length: 5 }, (_, n) => ({
    ...dev,
    instanceId: `i-0bbbbbbbbbbbbbbb${n}`,
    name: `web-${n}`,
    team: 'payments',
  }));

  test('pages follow each other without gap or double, both ways', async () => {
    await putInstances(backend.store.api, many);
    for (const sort of ['name', '-name'] as const) {
      const names: string[] = [];
      let cursor: string | null = null;
      do {
        const page: Awaited<ReturnType<ReturnType<TestBackend['client']>['instances']['query']>> = await backend
          .client(tokens.mira)
          .instances.query({ search: 'web', sort, limit: 2, cursor });
        names.push(...page.items.map(({ name }) => name));
        expect(page.matching).toBe(5);
        cursor = page.nextCursor;
      } while (cursor !== null);
      const expected = many.map(({ name }) => name);
      expect(names).toEqual(sort === 'name' ? expected : expected.reverse());
    }
  });

  test('a cursor of another person, another filter, or a changed one is invalid', async () => {
    const { nextCursor } = await backend.client(tokens.mira).instances.query({ search: 'web', limit: 2 });
    const cursor = nextCursor ?? '';
    const tries: Array<[string, unknown]> = [
      [tokens.jonas, { search: 'web', limit: 2, cursor }],
      [tokens.mira, { search: 'we', limit: 2, cursor }],
      [tokens.mira, { search: 'web', limit: 2, cursor: `x${cursor}` }],
      [tokens.mira, { search: 'web', limit: 2, cursor: 'x' }],
    ];
    for (const [token, input] of tries)
      expect(await call(token, 'instances', 'query', input)).toMatch(/^400 .*"cursor"/);
  });

  test('% and _ in a search of the audit trail stand for themselves', async () => {
    const found = async (search: string) => (await backend.client(tokens.mira).audit.query({ search })).rows.length;
    expect(await found('canary-reason')).toBeGreaterThan(0);
    expect(await found('canary_reason')).toBe(0);
    expect(await found('canary%reason')).toBe(0);
  });
});
