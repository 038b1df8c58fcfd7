/** What is remembered of Cedar's answers is what Cedar would say: random questions of a small world, rules of every form. */
import { cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { statefulIsAuthorized } from '@cedar-policy/cedar-wasm/nodejs';
import fc from 'fast-check';
import { afterAll, expect, test } from 'vitest';
import { question, type RuleAction, type RuleFacts, type RulePerson, sampleFacts } from './facts.ts';
import { type LoadedRules, loadRules } from './load.ts';
import { questionKeys, type Relevance } from './relevance.ts';

const defaults = fileURLToPath(new URL('../../deploy/rules', import.meta.url));
const folders: string[] = [];
afterAll(() => {
  for (const folder of folders) rmSync(folder, { recursive: true });
});
const load = async (rules: string): Promise<LoadedRules> => {
  const folder = mkdtempSync(join(tmpdir(), 'curfew-relevance-'));
  folders.push(folder);
  cpSync(defaults, folder, { recursive: true });
  writeFileSync(join(folder, '50-more.cedar'), rules);
  const loaded = await loadRules(folder, ['team', 'env']);
  if (!loaded.ok) throw new Error(JSON.stringify(loaded.problems));
  return loaded.loaded;
};
const permit = (scope: string, condition: string): string => `@id("one") permit (${scope}) when { ${condition} };`;
const anybody = 'principal, action, resource';
/** Where rules may look at any tag (RQ-07). */
const asking = 'principal, action == Curfew::Action::"request", resource';

const person = fc.record({
  id: fc.constantFrom('a1', 'a2', 'a3'),
  userName: fc.constantFrom('mira', 'dele'),
  groups: fc.subarray(['payments-engineers', 'payments-leads', 'search-leads', 'admins']),
});
const facts: fc.Arbitrary<RuleFacts> = fc.record({
  person,
  instance: fc.record({
    accountId: fc.constantFrom('111111111111', '222222222222'),
    accountName: fc.constantFrom('payments', 'search'),
    region: fc.constantFrom('eu-central-1', 'us-east-1'),
    instanceId: fc.constantFrom('i-1', 'i-2'),
    name: fc.constantFrom('api-1', 'db-1'),
    kind: fc.constantFrom('ec2', 'hybrid'),
    platform: fc.constantFrom('Linux', 'Windows'),
    tags: fc.dictionary(fc.constantFrom('team', 'env', 'tier'), fc.constantFrom('payments', 'search', 'dev', 'prod')),
  }),
  context: fc.record({
    durationSeconds: fc.constantFrom(900, 3600),
    totalSeconds: fc.constantFrom(900, 7200),
    capability: fc.constant('shell'),
    reason: fc.constantFrom('look', 'mend'),
    ticket: fc.constantFrom(null, 'OPS-1'),
    localHour: fc.constantFrom(3, 12),
    weekday: fc.constantFrom('monday', 'sunday'),
    breakGlass: fc.boolean(),
    asksLately: fc.constantFrom(0, 5),
  }),
});
const asked = fc.oneof(
  fc.record({ action: fc.constantFrom<RuleAction>('request', 'autoApprove'), facts, approver: fc.constant(null) }),
  fc.record({ action: fc.constant<RuleAction>('approve'), facts, approver: person }),
);
type Asked = typeof asked extends fc.Arbitrary<infer T> ? T : never;

const cedarSays = ({ cedarId }: LoadedRules, { action, facts: told, approver }: Asked): string => {
  const answer = statefulIsAuthorized({
    ...question(action, told, approver),
    preparsedPolicySetId: cedarId,
    preparsedSchemaName: cedarId,
    validateRequest: true,
  });
  if (answer.type === 'failure') throw new Error(JSON.stringify(answer.errors));
  const { decision, diagnostics } = answer.response;
  return JSON.stringify([
    decision,
    [...diagnostics.reason].sort(),
    diagnostics.errors.map(({ policyId }) => policyId).sort(),
  ]);
};

test.each([
  ['the default rules alone', '@id("none") forbid (principal, action, resource) when { false };'],
  ['an attribute', permit(anybody, 'resource.accountName == "payments"')],
  ['a pattern of a name', permit(asking, 'resource.name like "db-*"')],
  ['a tag by another tag', permit(asking, 'resource.hasTag("team") && resource.hasTag(resource.getTag("team"))')],
  ['one instance', permit('principal, action, resource == Curfew::Instance::"111111111111/eu-central-1/i-1"', 'true')],
  ['one instance in a set', permit(anybody, '[Curfew::Instance::"111111111111/eu-central-1/i-1"].contains(resource)')],
  ['one person', permit('principal == Curfew::Person::"a1", action, resource', 'true')],
  ['a group', permit('principal in Curfew::Group::"admins", action, resource', 'true')],
  ['one of two groups', permit(anybody, 'principal in [Curfew::Group::"admins", Curfew::Group::"search-leads"]')],
  ['a person of a group by type', permit(anybody, 'principal is Curfew::Person in Curfew::Group::"admins"')],
  ['a user name', permit(anybody, 'principal.userName == "dele"')],
  [
    'the reason, the ticket and the hour',
    permit(anybody, 'context.reason == "mend" && context has ticket && context.localHour < 6'),
  ],
  [
    'the requester’s groups',
    permit('principal, action == Curfew::Action::"approve", resource', 'context.requester in Curfew::Group::"admins"'),
  ],
  [
    'the requester’s name',
    permit(
      'principal, action == Curfew::Action::"approve", resource',
      'context.requester.userName == principal.userName',
    ),
  ],
  [
    'the requester’s teams',
    permit('principal, action == Curfew::Action::"approve", resource', 'context.requester.hasTag("payments")'),
  ],
  [
    'a person named in a condition',
    permit(
      'principal, action == Curfew::Action::"approve", resource',
      '[Curfew::Person::"a2"].contains(context.requester)',
    ),
  ],
  [
    'an unless',
    '@id("one") permit (principal, action, resource) unless { resource.region == "us-east-1" || context.asksLately > 2 };',
  ],
  [
    'if, then, else',
    permit(anybody, 'if context.breakGlass then resource.platform == "Linux" else context.weekday == "monday"'),
  ],
])('questions with one key have one answer: %s', async (_what, rules) => {
  const loaded = await load(rules);
  const known = new Map<string, string>();
  fc.assert(
    fc.property(fc.array(asked, { minLength: 30, maxLength: 60 }), (questions) => {
      for (const one of questions) {
        const key = questionKeys(loaded.relevance, one.action, one.facts)(one.approver);
        const said = cedarSays(loaded, one);
        expect(known.get(key) ?? said).toBe(said);
        known.set(key, said);
      }
    }),
    { numRuns: 25 },
  );
});

test('with the default rules, instances and people that differ in nothing of interest share an answer', async () => {
  const { relevance } = await load('@id("none") forbid (principal, action, resource) when { false };');
  const key = (of: Relevance, change: { name?: string; reason?: string; id?: string }): string => {
    const { person: who, instance, context } = sampleFacts;
    const approver: RulePerson = { id: change.id ?? 'b', userName: change.id ?? 'b', groups: ['team-leads'] };
    const told = {
      person: who,
      instance: { ...instance, instanceId: change.name ?? 'i-1', name: change.name ?? 'a' },
      context: { ...context, reason: change.reason ?? 'r' },
    };
    return questionKeys(of, 'approve', told)(approver);
  };
  expect(key(relevance, { name: 'i-2' })).toBe(key(relevance, {}));
  expect(key(relevance, { reason: 'other' })).toBe(key(relevance, {}));
  expect(key(relevance, { id: 'c' })).toBe(key(relevance, {}));
  // One's own request is another question.
  expect(key(relevance, { id: sampleFacts.person.id })).not.toBe(key(relevance, {}));
});
