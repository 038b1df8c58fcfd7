/** A configuration that cannot be used says so with file, line and column, and never more of itself than is needed. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { identityStoreOf, loadConfig } from './config.ts';
import { FileError } from './yaml-file.ts';

const example = readFileSync(fileURLToPath(new URL('../deploy/curfew.example.yml', import.meta.url)), 'utf8');
const folder = mkdtempSync(join(tmpdir(), 'curfew-config-'));
const file = join(folder, 'curfew.yml');
afterAll(() => rmSync(folder, { recursive: true, force: true }));
beforeEach(() => {
  vi.stubEnv('DATABASE_URL', undefined);
  return () => vi.unstubAllEnvs();
});

const load = (text: string) => {
  writeFileSync(file, text);
  return loadConfig(file);
};
const problemsOf = (text: string): Array<{ line: number; column: number; message: string }> => {
  try {
    load(text);
  } catch (error) {
    if (!(error instanceof FileError)) throw error;
    for (const problem of error.problems) expect(problem.file).toBe(file);
    expect(error.message).toMatch(/^\S+curfew\.yml:\d+:\d+ /);
    return error.problems;
  }
  throw new Error('This configuration was taken.');
};
/** Where the example says something, counted from 1. */
const placeOf = (words: string): { line: number; column: number } => {
  const before = example.slice(0, example.indexOf(words)).split('\n');
  return { line: before.length, column: (before.at(-1)?.length ?? 0) + 1 };
};

test('the example is taken, with the folders beside it', () => {
  const config = load(example);
  expect(config.rulesFolder.startsWith('/')).toBe(true);
  expect(config.limits.tokenLifeSeconds).toBe(28_800);
});

test('APP-03 nobody signs in by a code unless an admin says so', () => {
  const allowed = (text: string): boolean => load(text).signIn.deviceCodeAllowed;
  expect(allowed(example.replace(/^ *deviceCodeAllowed:.*\n/m, ''))).toBe(false);
  expect(allowed(example.replace('deviceCodeAllowed: false', 'deviceCodeAllowed: true'))).toBe(true);
});

test('API-15 it is not read where the environment takes any certificate for the right one', () => {
  vi.stubEnv('NODE_TLS_REJECT_UNAUTHORIZED', '0');
  expect(() => load(example)).toThrow(/unset it/);
  vi.stubEnv('NODE_TLS_REJECT_UNAUTHORIZED', undefined);
  expect(() => load(example)).not.toThrow();
});

/** What is replaced by what, where the problem stands, and what is said. */
const wrong: Array<[what: string, from: string, to: string, at: string, said: RegExp]> = [
  ['a text that is none of the values', 'partition: aws', 'partition: azure', 'aws\n', /^partition: /],
  ['a host for a region', 'stsRegion: eu-central-1', 'stsRegion: eu-central-1.evil.com', 'eu-central-1\n  # Home', /^signIn\.stsRegion: /],
  ['an account number without quotes', "accounts: ['444455556666']", 'accounts: [444455556666]', "'444455556666'", /^signIn\.accounts\.0: .*string/],
  ['a sign-in account that is not ours', "accounts: ['444455556666']", "accounts: ['111122223333']", "'444455556666'", /is not among the accounts/],
  ['a wildcard in a role', ':role/curfew/broker/CurfewBroker', ':role/curfew/broker/*', 'arn:aws:iam::444455556666:role/curfew/broker', /^accounts\.0\.brokerRoleArn: /],
  ['a broker role of another account', 'arn:aws:iam::444455556666:role/curfew/broker', 'arn:aws:iam::999988887777:role/curfew/broker', 'arn:aws:iam::444455556666:role/curfew/broker', /is not in account 444455556666/],
  ['a boundary of another account', 'arn:aws:iam::444455556666:policy', 'arn:aws:iam::999988887777:policy', 'arn:aws:iam::444455556666:policy', /is not in account 444455556666/],
  ['a port that is none', 'port: 7420', 'port: 74200', '7420', /^listen\.port: /],
  ['a trusted tag that stands twice', 'trustedTags: [team, env]', 'trustedTags: [team, team]', '[team, env]', /^trustedTags: one of them stands twice/],
  ['a trusted tag without a name', 'trustedTags: [team, env]', 'trustedTags: [""]', 'team, env]', /^trustedTags\.0: /],
  ['a word for yes', 'deviceCodeAllowed: false', 'deviceCodeAllowed: "no"', 'false\n\ndirectory', /^signIn\.deviceCodeAllowed: /],
]; // biome-ignore format: one case a line reads best

test.each(wrong)('%s', (...[, from, to, at, said]) => {
  expect(example).toContain(from);
  const problems = problemsOf(example.replace(from, to));
  expect(problems).toEqual([expect.objectContaining({ ...placeOf(at), message: expect.stringMatching(said) })]);
});

test('a field that nobody knows, and one that is missing', () => {
  const [unknown] = problemsOf(`${example}\nbreakGlassForEverybody: true\n`);
  expect(unknown?.message).toContain('breakGlassForEverybody');
  const [missing] = problemsOf(example.replace('adminGroup: curfew-admins', ''));
  expect(missing).toMatchObject({ message: expect.stringMatching(/^directory\.adminGroup: /) });
  expect(missing?.line).toBe(placeOf('identityStoreId').line);
});

test('limits may be tightened, never widened', () => {
  const living = (seconds: number) => example.replace(/tokenLifeSeconds: \d+/, `tokenLifeSeconds: ${seconds}`);
  expect(load(living(600)).limits.tokenLifeSeconds).toBe(600);
  const [problem] = problemsOf(living(86_400));
  expect(problem?.message).toMatch(/^limits\.tokenLifeSeconds: /);
});

test('RQ-07 trusted tags are those of the default rules unless others are named; none may be', () => {
  const line = 'trustedTags: [team, env]\n';
  expect(example).toContain(line);
  expect(load(example.replace(line, '')).trustedTags).toEqual(['team', 'env']);
  expect(load(example.replace(line, 'trustedTags: []\n')).trustedTags).toEqual([]);
  expect(load(example.replace(line, 'trustedTags: ["kubernetes.io/cluster"]\n')).trustedTags).toHaveLength(1);
});

test('an account that stands twice', () => {
  const start = example.indexOf('  - id:');
  const end = example.indexOf('\n\n', start);
  const block = example.slice(start, end === -1 ? undefined : end);
  const [problem] = problemsOf(example.replace(block, `${block}\n${block}`));
  expect(problem?.message).toBe('accounts.1.id: account 444455556666 stands twice');
});

test.each([
  ['a list that is never closed', 'accounts: [1, 2\nlisten: {}\n', 2],
  ['a tab', 'listen:\n\thost: x\n', 2],
  ['the same key twice', 'partition: aws\npartition: aws\n', 2],
  ['nothing at all', '', 1],
  ['a sentence', 'this is no configuration\n', 1],
  ['two documents', 'a: 1\n---\nb: 2\n', 2],
])('malformed YAML: %s', (_what, text, line) => {
  const problems = problemsOf(text);
  expect(problems.some((problem) => problem.line === line)).toBe(true);
  for (const { column } of problems) expect(column).toBeGreaterThan(0);
});

test('no file, and no database', () => {
  expect(() => loadConfig(join(folder, 'nowhere.yml'))).toThrow(/nowhere\.yml/);
  expect(() => loadConfig('')).toThrow(/CURFEW_CONFIG/);
  expect(() => load(example.replace(/database:\n {2}url: .*\n/, ''))).toThrow(/DATABASE_URL/);
});

/** The example for a shop without Identity Center: people are the IAM users of the one account. */
const withIamUsers = (principal = '{ kind: user, carrier: inline }') =>
  example
    .replace(/\n {2}# People sign in with role[\s\S]*?permissionSet: CurfewUser/, '')
    .replace(/\n {2}# Home region of[\s\S]*?ssoRegion: \S+/, '')
    .replace(/identityStoreId: .*\n {2}region: .*/, 'kind: iam-users')
    .replace('{ kind: role, carrier: inline }', principal);

describe('a directory of IAM users', () => {
  test('is taken without anything of Identity Center', () => {
    const config = load(withIamUsers());
    expect(config.directory).toEqual({ kind: 'iam-users', groups: ['curfew-users'], adminGroup: 'curfew-admins' });
    expect(config.signIn).toMatchObject({ accounts: ['444455556666'], ssoRegion: 'eu-central-1' });
    expect(() => identityStoreOf(config)).toThrow(/IAM users/);
  });

  test('RQ-20 a group must be named, one of IAM', () => {
    const group = load(withIamUsers('{ kind: group, carrier: inline, group: oncall }')).accounts[0]?.principal;
    expect(group).toEqual({ kind: 'group', carrier: 'inline', group: 'oncall' });
    const [nameless] = problemsOf(withIamUsers('{ kind: group, carrier: inline }'));
    expect(nameless?.message).toMatch(/^accounts\.0\.principal\.group: /);
    const [odd] = problemsOf(withIamUsers('{ kind: group, carrier: inline, group: "on*" }'));
    expect(odd?.message).toMatch(/^accounts\.0\.principal\.group: /);
  });

  test.each([
    ['a personal role', withIamUsers('{ kind: role, carrier: inline }'), /role needs Identity Center/],
    [
      'an IAM user where people come from the identity store',
      example.replace('kind: role', 'kind: user'),
      /user needs people who are IAM users/,
    ],
    [
      'an account whose users cannot sign in',
      withIamUsers().replace("accounts: ['444455556666']", 'accounts: []'),
      /^signIn\.accounts: |must be among signIn\.accounts/,
    ],
  ])('goes with principals that its people have: %s', (_what, text, said) => {
    expect(problemsOf(text).map(({ message }) => message)).toContainEqual(expect.stringMatching(said));
  });
});
