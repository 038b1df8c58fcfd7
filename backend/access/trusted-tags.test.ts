/** Tags that rules trust, against local-aws: set right before access is asked for, decided, connected to and extended; and AWS out of reach. */
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import type { Because, Grant, InstanceRef, RequestDraft } from '../../src/shared/access.ts';
import { becauseWords } from '../../src/shared/person-decides.ts';
import { personalRoleArn, personalRoleName } from '../access-policy/principal.ts';
import { type Inventory, startInventory } from '../inventory/inventory.ts';
import {
  apiOne,
  callList,
  dev,
  jonas,
  mira,
  openScene,
  type Scene,
  sceneConfig,
} from '../provisioner/testing/scene.ts';
import { openRules } from '../rules/rules.ts';
import { loadGrants } from '../store/grants.ts';
import { newId } from '../store/ids.ts';
import type { PersonFacts } from '../store/people.ts';
import type { Reader } from '../store/visibility.ts';
import { testPeople } from '../testing/test-people.ts';
import { type Access, createAccess } from './access.ts';

/** Given at once by the default rules: of Payments, and env=staging. */
const staging: InstanceRef = { accountId: dev, region: 'eu-central-1', instanceId: 'i-0d3b8a7e14f6295cc' };
/** Of Search: the rules do not speak of it to an engineer of Payments. */
const foreign: InstanceRef = { ...apiOne, instanceId: 'i-0a1de74c5f8b92360' };

const factsOf = (person: typeof mira, group: string): PersonFacts => ({
  ...person,
  email: null,
  enabled: true,
  groups: ['curfew-users', group],
  checkedAt: new Date(),
});
const people = [factsOf(mira, 'payments-engineers'), factsOf(jonas, 'payments-leads')];

let scene: Scene;
let inventory: Inventory;
let access: Access;
/** Each test has a day and more of its own, so that none remembers what another one changed. */
let aheadMs = 0;
const now = () => new Date(Date.now() + aheadMs);
const dayMs = 24 * 3_600_000;

beforeAll(async () => {
  scene = await openScene();
  const { db } = scene.store;
  const directory = testPeople(db);
  for (const person of people) await directory.put(person);
  const { trustedTags, accounts } = sceneConfig;
  inventory = startInventory({
    ...{ db, ssm: scene.aws.ssm, accounts, trustedTags, now, log: scene.log },
    // Nothing is read but when somebody waits for it.
    ...{ intervalMs: 3_600_000, tagsMs: 3_600_000, patienceMs: 60_000 },
  });
  await inventory.refresh();
  access = createAccess({
    db,
    rules: await openRules(fileURLToPath(new URL('../../deploy/rules', import.meta.url)), trustedTags),
    sealKey: scene.sealKey,
    config: sceneConfig,
    directory,
    roles: {
      check: async (accountId, { id }) => ({
        ...{ accountId, accountName: accountId, state: 'ready' },
        roleArn: personalRoleArn('aws', accountId, personalRoleName('d-9067f4a2c1', id)),
      }),
    },
    groupReach: async () => null,
    lookAgain: inventory.lookAgain,
    now,
    nudge: () => undefined,
    newId,
  });
});
afterAll(async () => {
  await inventory.stop();
  await scene.close();
});
const nameOf = { [apiOne.instanceId]: 'payments-api-1', [staging.instanceId]: 'payments-api-s1' };
const tag = (ref: InstanceRef, tags: Record<string, string | null>) =>
  scene.control('changeInstance', { id: ref.instanceId, name: nameOf[ref.instanceId], tags });
beforeEach(async () => {
  await tag(staging, { env: 'staging', team: 'payments' });
  await tag(apiOne, { env: 'production', team: 'payments' });
  await inventory.refresh();
  await access.endAllOfPerson(mira);
  aheadMs += dayMs + 60_000;
});
afterEach(() => scene.control('clearFaults'));

const draft = (ref: InstanceRef, more: Partial<RequestDraft> = {}): RequestDraft => ({
  ...{ instances: [ref], capability: 'shell', durationSeconds: 1800, reason: 'look at the queue', ticket: null },
  ...more,
});
const reader = async (person: PersonFacts): Promise<Reader> => {
  const { id, userName, displayName, groups } = person;
  const rows = await scene.store.db.selectFrom('requests').select('id').where('state', '=', 'waiting').execute();
  return { person: { id, userName, displayName }, groups, isAdmin: false, decidable: rows.map((row) => row.id) };
};
const [asker, lead] = [people[0] ?? raise(), people[1] ?? raise()];
function raise(): never {
  throw new Error('Nobody works here.');
}
const refusal = (code: string, message?: RegExp) =>
  expect.objectContaining({
    code,
    ...(message === undefined ? {} : { detail: expect.objectContaining({ message: expect.stringMatching(message) }) }),
  });
const grantOf = async (requestId: string): Promise<Grant> => {
  const [grant] = await loadGrants(scene.store.db, (eb) => eb('grants.request_id', '=', requestId));
  if (grant === undefined) throw new Error('The request has no grant.');
  return grant;
};
const givenAtOnce = async (): Promise<Grant> => {
  const request = await access.submit(mira, draft(staging));
  expect(request).toMatchObject({ state: 'approved' });
  return grantOf(request.id);
};
const decideYes = async (requestId: string, seenHash: string) =>
  access.decide(await reader(lead), { requestId, seenHash, verdict: 'yes', less: null, comment: null });
const cardOf = async (requestId: string) => access.card(await reader(lead), requestId);
const whyOf = (because: readonly Because[] | undefined) => becauseWords(because ?? [], now().getTime());

/** EC2 says no for good, in every account and region. */
const hideTags = () =>
  scene.control('addFault', {
    match: { service: 'ec2', operation: 'DescribeInstances' },
    times: null,
    effect: { kind: 'error', code: 'UnauthorizedOperation', status: 403 },
  });

test('RQ-07 a tag set right before asking: what a rule gave by the old one is not given, nor by the new one', async () => {
  expect(await access.submit(mira, draft(staging))).toMatchObject({ state: 'approved' });
  await tag(staging, { env: 'production' });
  const asked = await access.submit(mira, draft(staging));
  expect(asked).toMatchObject({ state: 'waiting', instances: [{ tags: { env: 'production' } }] });
  // No rule would give it by the tag as it is: there is nothing to explain.
  expect(asked.because).toBeUndefined();

  await tag(apiOne, { env: 'dev' });
  const bypass = await access.submit(mira, draft(apiOne));
  expect(bypass).toMatchObject({ state: 'waiting', instances: [{ tags: { env: 'dev' } }] });
  expect(whyOf(bypass.because)).toBe('The tag env of payments-api-1 changed just now, so a person decides.');
});

test('RQ-07 there and back within 24 hours still counts, and the form says it before anything is sent; after 24 hours it is forgotten', async () => {
  const calls = async () => callList.parse(await scene.control('calls')).length;
  await tag(staging, { env: 'production' });
  await inventory.lookAgain([staging]);
  await tag(staging, { env: 'staging' });
  await inventory.lookAgain([staging]);
  aheadMs += 12 * 60_000;
  const before = await calls();
  const { verdict, perInstance } = await access.preview(mira, draft(staging));
  expect(await calls()).toBe(before);
  const words = 'The tag env of payments-api-s1 changed 12 minutes ago, so a person decides.';
  expect(verdict).toMatchObject({ kind: 'person', approvers: [{ id: jonas.id }] });
  expect(perInstance[0]?.verdict).toEqual(verdict);
  expect(verdict.kind === 'person' && whyOf(verdict.because)).toBe(words);
  const asked = await access.submit(mira, draft(staging));
  expect(asked).toMatchObject({ state: 'waiting', because: [{ key: 'env' }] });
  expect((await cardOf(asked.id)).tagChanges).toMatchObject([
    {
      name: 'payments-api-s1',
      changes: [
        { key: 'env', from: 'staging', to: 'production' },
        { key: 'env', from: 'production', to: 'staging' },
      ],
    },
  ]);
  aheadMs += dayMs;
  expect(await access.submit(mira, draft(staging))).toMatchObject({ state: 'approved' });
});

test('RQ-07 a tag that rules do not trust may change as it likes', async () => {
  await tag(staging, { service: 'other', owner: 'mira' });
  expect(await access.submit(mira, draft(staging))).toMatchObject({
    state: 'approved',
    instances: [{ tags: { owner: 'mira' } }],
  });
  await tag(staging, { owner: null });
});

test('RQ-07 a tag set while the card is open, or set and set back: the yes is refused, and the card says old and new', async () => {
  const { id } = await access.submit(mira, draft(apiOne));
  const first = await cardOf(id);
  expect(first.tagChanges).toBeUndefined();
  await tag(apiOne, { env: 'development' });
  await expect(decideYes(id, first.seenHash)).rejects.toEqual(refusal('changed'));
  const second = await cardOf(id);
  expect(second.tagChanges).toMatchObject([{ changes: [{ key: 'env', from: 'production', to: 'development' }] }]);
  await tag(apiOne, { env: 'production' });
  await expect(decideYes(id, second.seenHash)).rejects.toEqual(refusal('changed'));
  const third = await cardOf(id);
  expect(third.tagChanges?.[0]?.changes).toHaveLength(2);
  // As it was at the first look, and yet somebody was at it.
  await expect(decideYes(id, first.seenHash)).rejects.toEqual(refusal('changed'));
  expect(await decideYes(id, third.seenHash)).toMatchObject({ state: 'approved' });
});

test('RQ-07 a tag set between a rule’s yes and the first connect: refused, also when it is set back', async () => {
  const grant = await givenAtOnce();
  await tag(staging, { env: 'production' });
  const connect = async () => access.connect(await reader(asker), grant.id);
  const askAgain = refusal(
    'not_allowed',
    /^The tag env of payments-api-s1 changed just now, so a person decides\. Ask again\.$/,
  );
  await expect(connect()).rejects.toEqual(refusal('not_allowed', /does not any more\. Ask again/));
  await tag(staging, { env: 'staging' });
  await expect(connect()).rejects.toEqual(askAgain);
  expect((await grantOf(grant.requestId)).state).toBe('ready');
});

test('RQ-07 more time on what a rule gave is asked of a person once a tag has changed', async () => {
  const grant = await givenAtOnce();
  await access.connect(await reader(asker), grant.id);
  await tag(staging, { env: 'dev' });
  const more = await access.extend(await reader(asker), { grantId: grant.id, bySeconds: 600, reason: null });
  expect(more).toMatchObject({ kind: 'asked', request: { state: 'waiting', because: [{ key: 'env' }] } });
});

test('RQ-07 AWS cannot tell: a rule gives nothing at once, a person’s yes and its connect go on', async () => {
  await hideTags();
  const asked = await access.submit(mira, draft(staging));
  expect(asked).toMatchObject({ state: 'waiting', because: [{ kind: 'tags-unread' }] });
  expect(whyOf(asked.because)).toBe(
    'The tags of payments-api-s1 could not be read from AWS when it was asked, so a person decides.',
  );
  const { seenHash } = await cardOf(asked.id);
  expect(await decideYes(asked.id, seenHash)).toMatchObject({ state: 'approved' });
  const { grant } = await access.connect(await reader(asker), (await grantOf(asked.id)).id);
  expect(grant.state).toBe('granting');
});

test('RQ-07 AWS cannot tell at the first connect of what a rule gave: busy, and it goes on when AWS tells again', async () => {
  const { id } = await givenAtOnce();
  await hideTags();
  const wait = refusal('busy', /AWS does not tell whether the tags of payments-api-s1 are still the same\. Try again/);
  await expect(access.connect(await reader(asker), id)).rejects.toEqual(wait);
  await scene.control('clearFaults');
  expect((await access.connect(await reader(asker), id)).grant.state).toBe('granting');
});

test('RQ-07 more time on what a rule gave is asked of a person while AWS cannot tell', async () => {
  const grant = await givenAtOnce();
  await access.connect(await reader(asker), grant.id);
  await hideTags();
  const more = await access.extend(await reader(asker), { grantId: grant.id, bySeconds: 600, reason: null });
  expect(more).toMatchObject({ kind: 'asked', request: { because: [{ kind: 'tags-unread' }] } });
});

test('RQ-07 AWS is asked only for those who may see the instance, and not for a no', async () => {
  const calls = async () =>
    callList.parse(await scene.control('calls')).filter(({ service }) => service === 'ssm' || service === 'ec2').length;
  const { id } = await access.submit(mira, draft(apiOne));
  const { seenHash } = await cardOf(id);
  const before = await calls();
  await expect(access.submit(mira, draft(foreign))).rejects.toEqual(refusal('not_found'));
  await access.decide(await reader(lead), { requestId: id, seenHash, verdict: 'no', comment: 'not now' });
  expect(await calls()).toBe(before);
});
