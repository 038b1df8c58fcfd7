/** Rules that give access without a person look at trusted tags only; what does not is refused with its place. */
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, expect, test } from 'vitest';
import { loadRules } from './load.ts';

const defaults = fileURLToPath(new URL('../../deploy/rules', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'curfew-trusted-'));
const file = join(folder, '50-more.cedar');
cpSync(defaults, folder, { recursive: true });
afterAll(() => rmSync(folder, { recursive: true }));

const auto = 'action == Curfew::Action::"autoApprove"';
const rule = (action: string, condition: string, effect = 'permit'): string =>
  `@id("one")\n${effect} (principal, ${action}, resource)\nwhen { ${condition} };`;
const problems = async (text: string, trusted: readonly string[] = ['team', 'env']) => {
  writeFileSync(file, text);
  const loaded = await loadRules(folder, trusted);
  return loaded.ok ? [] : loaded.problems;
};

const owner = 'resource.hasTag("owner")';

test.each<[what: string, rule: string, trusted?: string[]]>([
  ['trusted tags', rule(auto, 'resource.hasTag("env") && resource.getTag("env") == "dev"')],
  ['a team by a trusted tag', rule(auto, 'resource.hasTag("team") && principal.hasTag(resource.getTag("team"))')],
  ['a person’s teams', rule(auto, 'principal.hasTag("search")')],
  ['another tag where it is trusted', rule(auto, owner), ['team', 'env', 'owner']],
  ['the name where it is trusted', rule(auto, 'resource.name like "dev-*"'), ['team', 'env', 'Name']],
  ['other attributes', rule(auto, 'resource.kind == "ec2" && resource.accountName == "sandbox" && context.reason == "name"')],
  ['any tag for request', rule('action == Curfew::Action::"request"', `${owner} && resource.hasTag(context.reason)`)],
  ['any tag for approve', rule('action == Curfew::Action::"approve"', `${owner} && context.requester.hasTag("a")`)],
  ['any tag for both', rule('action in [Curfew::Action::"request", Curfew::Action::"approve"]', `${owner} && resource.name == "a"`)],
])('RQ-07 taken: %s', async (_what, text, trusted) => {
  expect(await problems(text, trusted)).toEqual([]);
}); // biome-ignore format: one case a line reads best

const notTrusted =
  /"owner" is not one \(trustedTags: team, env\).*let this rule cover request or approve alone, or reserve the tag/;
const literal = /each by its literal name \(trustedTags: team, env\)/;

test.each<[what: string, rule: string, line: number, column: number, message: RegExp]>([
  ['a tag that anybody may set', rule(auto, owner), 3, 17, notTrusted],
  ['in a forbid', rule(auto, owner, 'forbid'), 3, 17, notTrusted],
  ['for any action', rule('action', owner), 3, 17, notTrusted],
  ['among several actions', rule('action in [Curfew::Action::"request", Curfew::Action::"autoApprove"]', owner), 3, 17, notTrusted],
  ['in an unless, on a line of its own', rule(auto, 'true').replace(';', `\nunless {\n  ${owner} };`), 5, 12, notTrusted],
  ['by another case', rule(auto, 'resource.hasTag("Env")'), 3, 17, /"Env" is not one/],
  ['behind a comment that says the same', rule(auto, `// resource.hasTag("owner")\n  ${owner}`), 4, 12, notTrusted],
  ['behind two-byte characters', rule(auto, `"é" == "é" && ${owner}`), 3, 31, notTrusted],
  ['by a computed key', rule(auto, 'resource.hasTag(context.reason)'), 3, 17, literal],
  ['by the value of a trusted tag', rule(auto, 'resource.hasTag("team") && resource.hasTag(resource.getTag("team"))'), 3, 44, literal],
  ['of the instance in disguise', rule(auto, '(if context.breakGlass then resource else resource).hasTag("owner")'), 3, 60, notTrusted],
  ['the name, which is a tag', rule(auto, 'resource.name like "dev-*"'), 3, 16, /the name of an instance is its tag "Name", which is not one/],
  ['the name by another word', rule(auto, 'resource["name"] == "dev-1"'), 3, 17, /its tag "Name"/],
])('RQ-07 refused: %s', async (...[, text, line, column, message]) => {
  expect(await problems(text)).toEqual([{ file, line, column, message: expect.stringMatching(message) }]);
}); // biome-ignore format: one case a line reads best

test('RQ-07 each tag of a rule is named once, and without any trusted tag the default rules are refused too', async () => {
  const text = rule(auto, 'resource.hasTag("a") && resource.getTag("a") == "1" && resource.hasTag("b")');
  expect((await problems(text)).map(({ message }) => /"([ab])"/.exec(message)?.[1])).toEqual(['a', 'b']);
  const told = (await problems('', [])).map(({ message }) => message);
  expect(told).toEqual([
    expect.stringContaining('"team" is not one (trustedTags: none)'),
    expect.stringContaining('"env" is not one (trustedTags: none)'),
  ]);
});

test('RQ-07 a group of actions in the schema cannot bring autoApprove in by another name', async () => {
  const schema = join(folder, 'schema.cedarschema');
  const before = readFileSync(schema, 'utf8');
  writeFileSync(schema, before.replace('action autoApprove appliesTo', 'action autoApprove in [request] appliesTo'));
  expect(await problems(rule('action in Curfew::Action::"request"', owner))).toEqual([
    { file: schema, line: 1, column: 1, message: expect.stringContaining('autoApprove is in a group of actions') },
  ]);
  writeFileSync(schema, before);
});
