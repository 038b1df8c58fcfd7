import { cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, expect, test } from 'vitest';
import type { RuleFacts, RulePerson } from './facts.ts';
import { openRules } from './rules.ts';

const defaults = fileURLToPath(new URL('../../deploy/rules', import.meta.url));
const trustedTags = ['team', 'env'];
const folders: string[] = [];

const folderWith = (files: Record<string, string>): string => {
  const folder = mkdtempSync(join(tmpdir(), 'curfew-rules-'));
  folders.push(folder);
  cpSync(defaults, folder, { recursive: true });
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);
  return folder;
};

afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true });
});

const engineer: RulePerson = { id: 'a1', userName: 'mira', groups: ['payments-engineers'] };
const lead: RulePerson = { id: 'a2', userName: 'dele', groups: ['payments-leads'] };
const stranger: RulePerson = { id: 'a3', userName: 'sam', groups: ['search-engineers', 'search-leads'] };

const facts = (
  tags: Record<string, string>,
  more: { person?: RulePerson; hours?: number; kind?: 'ec2' | 'hybrid' } = {},
): RuleFacts => ({
  person: more.person ?? engineer,
  instance: {
    accountId: '111111111111',
    accountName: 'payments',
    region: 'eu-central-1',
    instanceId: 'i-0123456789abcdef0',
    name: 'payments-api-1',
    kind: more.kind ?? 'ec2',
    platform: 'Linux',
    tags,
  },
  context: {
    durationSeconds: (more.hours ?? 1) * 3600,
    totalSeconds: (more.hours ?? 1) * 3600,
    capability: 'shell',
    reason: 'look at a log',
    ticket: null,
    localHour: 10,
    weekday: 'monday',
    breakGlass: false,
    asksLately: 0,
  },
});
const staging = { team: 'payments', env: 'staging' };
const production = { team: 'payments', env: 'prod' };

test('the default rules: the owning team gets non-production for up to 2 h at once', async () => {
  const rules = (await openRules(defaults, trustedTags)).current();
  expect(rules.autoApprove(facts(staging, { hours: 2 }))).toMatchObject({
    allowed: true,
    ruleIds: ['non-production-at-once'],
    maxDurationSeconds: 7200,
  });
  expect(rules.autoApprove(facts(staging, { hours: 3 }))).toMatchObject({
    allowed: false,
    advice: 'At most 2 h at a time.',
    maxDurationSeconds: 7200,
  });
  for (const env of ['dev', 'development', 'test']) {
    expect(rules.autoApprove(facts({ team: 'payments', env })).allowed).toBe(true);
  }
  // Only what is named counts as non-production: an unknown or missing environment needs a person.
  for (const env of ['prod', 'production', 'Staging', '']) {
    expect(rules.autoApprove(facts({ team: 'payments', env })).allowed).toBe(false);
  }
  expect(rules.autoApprove(facts({ team: 'payments' })).allowed).toBe(false);
  expect(rules.autoApprove(facts(staging, { kind: 'hybrid' }))).toMatchObject({
    allowed: false,
    ruleIds: ['hybrid-never-at-once'],
  });
});

test('the default rules: production needs one lead of the owning team, strangers may not even ask', async () => {
  const rules = (await openRules(defaults, trustedTags)).current();
  expect(rules.request(facts(production, { hours: 12 }))).toMatchObject({
    allowed: true,
    approvals: 1,
    ruleIds: ['owning-team-may-request'],
  });
  expect(rules.request(facts(production, { person: stranger }))).toMatchObject({ allowed: false, ruleIds: [] });
  expect(rules.request(facts({ env: 'prod' })).allowed).toBe(false);
  expect(rules.approve(facts(production))(lead).allowed).toBe(true);
  expect(rules.approve(facts(production, { person: lead }))(engineer).allowed).toBe(false);
  expect(rules.approve(facts(production))(stranger).allowed).toBe(false);
  expect(rules.approve(facts(production, { person: lead }))(lead)).toMatchObject({
    allowed: false,
    ruleIds: ['nobody-approves-their-own'],
    advice: 'Nobody approves their own request.',
  });
});

test('a team called like a part of another team gets nothing of it', async () => {
  const rules = (await openRules(defaults, trustedTags)).current();
  const person = {
    id: 'a4',
    userName: 'eve',
    groups: ['pay-engineers', 'payments-engineers-guests', '-leads', 'payments-'],
  };
  expect(rules.request(facts(production, { person })).allowed).toBe(false);
});

test('the strictest @approvals counts', async () => {
  const text = `@id("two-for-production")
@approvals("2")
permit (principal, action == Curfew::Action::"request", resource)
when { resource.hasTag("env") && resource.getTag("env") == "prod" && principal in Curfew::Group::"payments-engineers" };`;
  const rules = (await openRules(folderWith({ '20-two.cedar': text }), trustedTags)).current();
  expect(rules.request(facts(production))).toMatchObject({
    approvals: 2,
    ruleIds: ['owning-team-may-request', 'two-for-production'],
  });
  expect(rules.request(facts(staging)).approvals).toBe(1);
});

test('a rule that cannot be evaluated is a no, not a skipped forbid', async () => {
  const text = `@id("overflows")
forbid (principal, action == Curfew::Action::"autoApprove", resource)
when { context.durationSeconds * 9223372036854775807 > 0 };`;
  const rules = (await openRules(folderWith({ '20-overflow.cedar': text }), trustedTags)).current();
  expect(rules.autoApprove(facts(staging))).toMatchObject({ allowed: false, ruleIds: ['overflows'] });
});

const wrong: Array<{ what: string; text: string; line: number; column: number; message: RegExp }> = [
  {
    what: 'an unknown attribute, behind two-byte characters',
    text: '// é\n@id("x")\npermit (principal, action, resource)\nwhen { "é" == resource.nme };',
    line: 4,
    column: 15,
    message: /attribute `nme`.*not found; did you mean `name`/,
  },
  {
    what: 'text that is no rule',
    text: '@id("x")\npermit (principal, action resource);',
    line: 2,
    column: 27,
    message: /unexpected token `resource`/,
  },
  {
    what: 'a missing @id',
    text: '\npermit (principal, action, resource);',
    line: 2,
    column: 1,
    message: /needs an @id/,
  },
  {
    what: 'an unknown annotation',
    text: '@id("x")\n@maxduration("2h")\npermit (principal, action, resource);',
    line: 2,
    column: 1,
    message: /@maxduration is not one of/,
  },
  {
    what: 'a duration that is none',
    text: '@id("x") @maxDuration("2 hours")\npermit (principal, action, resource);',
    line: 1,
    column: 10,
    message: /takes e\.g\./,
  },
  {
    what: 'a bound on a forbid',
    text: '@id("x") @maxDuration("2h")\nforbid (principal, action, resource);',
    line: 1,
    column: 1,
    message: /a forbid has no/,
  },
  {
    what: 'an @id that another file has',
    text: '@id("leads-approve")\nforbid (principal, action, resource);',
    line: 1,
    column: 1,
    message: /"leads-approve" stands twice/,
  },
];

test.each(wrong)('refused with file, line and column: $what', async ({ text, line, column, message }) => {
  const folder = folderWith({ '99-wrong.cedar': text });
  await expect(openRules(folder, trustedTags)).rejects.toMatchObject({
    problems: [{ file: join(folder, '99-wrong.cedar'), line, column, message: expect.stringMatching(message) }],
  });
});

test('a schema that does not fit what the backend says is refused', async () => {
  const folder = folderWith({
    'schema.cedarschema': `namespace Curfew { entity Group; entity Person in [Group] tags Set<String>; entity Instance tags String;
action request, autoApprove, approve appliesTo { principal: Person, resource: Instance, context: {} }; }`,
    '10-owning-team.cedar': '@id("x") permit (principal, action, resource);',
    '90-never.cedar': '',
  });
  await expect(openRules(folder, trustedTags)).rejects.toThrow(/schema\.cedarschema:1:1 does not fit/);
});

test('the last good set stays in force until a good one comes', async () => {
  const folder = folderWith({});
  const book = await openRules(folder, trustedTags);
  const before = book.current();
  writeFileSync(join(folder, '99-wrong.cedar'), 'permit (');
  expect(await book.reload()).toMatchObject({ ok: false });
  expect(book.current()).toBe(before);
  writeFileSync(
    join(folder, '99-wrong.cedar'),
    '@id("closed") @advice("Closed today.") forbid (principal, action, resource);',
  );
  expect(await book.reload()).toMatchObject({ ok: true });
  expect(book.current().hash).not.toBe(before.hash);
  expect(book.current().request(facts(staging))).toMatchObject({
    allowed: false,
    ruleIds: ['closed'],
    advice: 'Closed today.',
  });
  expect(before.request(facts(staging)).allowed).toBe(true);
});
