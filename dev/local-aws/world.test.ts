import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { FileError } from '../../backend/yaml-file.ts';
import { instanceArn, parseWorld } from './world.ts';

const text = readFileSync(path.join(import.meta.dirname, 'world.yml'), 'utf8');
const problemsOf = (changed: string): FileError['problems'] => {
  try {
    parseWorld(changed, 'world.yml');
  } catch (error) {
    if (error instanceof FileError) return error.problems;
    throw error;
  }
  return [];
};
const lineOf = (part: string): number => text.slice(0, text.indexOf(part)).split('\n').length;

describe('the world of the repository', () => {
  const world = parseWorld(text, 'world.yml');

  it('has people, instances, accounts and regions enough to show everything', () => {
    expect(world.people.length).toBeGreaterThanOrEqual(9);
    expect(world.instances.length).toBeGreaterThanOrEqual(16);
    expect(world.accounts.map((account) => account.id)).toEqual(['482011773306', '739164205518']);
    expect(new Set(world.instances.map((one) => one.region))).toEqual(new Set(['eu-central-1', 'eu-west-1']));
    expect(world.instances.some((one) => one.platform === 'Windows' && one.online)).toBe(true);
    expect(world.instances.some((one) => !one.online)).toBe(true);
    expect(world.instances.filter((one) => one.id.startsWith('mi-')).map(instanceArn)).toEqual([
      'arn:aws:ssm:eu-central-1:482011773306:managed-instance/mi-0a57c2be9d13f4680',
    ]);
    for (const one of world.instances)
      expect(Object.keys(one.tags)).toEqual(expect.arrayContaining(['env', 'team', 'service']));
  });

  it('gives every team of a tag its engineers and its leads', () => {
    const groups = new Set(world.people.filter((one) => one.enabled).flatMap((one) => one.groups));
    for (const team of new Set(world.instances.map((one) => one.tags['team']))) {
      expect([groups.has(`${team}-engineers`), groups.has(`${team}-leads`)]).toEqual([true, true]);
    }
  });

  it('puts the roles of both Curfew processes, the fence and the permission sets into each account', () => {
    for (const account of world.accounts) {
      expect(account.roles.map((role) => `${role.path}${role.name}`)).toEqual([
        '/curfew/broker/CurfewBroker',
        '/curfew/provisioner/CurfewProvisioner',
        expect.stringMatching(
          /^\/aws-reserved\/sso\.amazonaws\.com\/eu-central-1\/AWSReservedSSO_CurfewUser_[0-9a-f]{16}$/,
        ),
        expect.stringMatching(
          /^\/aws-reserved\/sso\.amazonaws\.com\/eu-central-1\/AWSReservedSSO_ReadOnly_[0-9a-f]{16}$/,
        ),
      ]);
      const documents = JSON.stringify([account.roles, account.managedPolicies]);
      expect(documents).not.toContain('{account}');
      expect(documents).toContain(`arn:aws:iam::${account.id}:policy/curfew/boundary/CurfewBoundary`);
    }
  });

  it('AWS-09 gives the provisioner no way to change trust or to write an access policy', () => {
    for (const { roles } of world.accounts) {
      const role = roles.find((one) => one.name === 'CurfewProvisioner');
      const statements = Object.values(role?.inlinePolicies ?? {}).flatMap((policy) => policy.Statement);
      const textOf = (effect: string) => JSON.stringify(statements.filter((one) => one.Effect === effect));
      expect(textOf('Allow')).toContain('iam:CreateRole');
      expect(textOf('Allow')).not.toMatch(/UpdateAssumeRolePolicy|PutRolePolicy/);
      expect(textOf('Deny')).toMatch(/UpdateAssumeRolePolicy/);
    }
  });

  it('keeps a policy as it was written, in the order of its keys', () => {
    const role = world.accounts[0]?.roles.find((one) => one.name === 'CurfewBroker');
    const kept = Object.values(role?.inlinePolicies ?? {}).flatMap(({ Statement }) => Statement.map(Object.keys));
    expect(kept.length).toBeGreaterThan(0);
    for (const keys of kept) expect(keys[0]).toBe('Sid');
  });
});

describe('a world file that is wrong', () => {
  it('in a policy is refused with its place', () => {
    const wrong = text.replace('Effect: Allow', 'Effect: Perhaps');
    expect(wrong).not.toBe(text);
    expect(problemsOf(wrong)).toEqual([
      { file: 'world.yml', line: lineOf('Effect: Allow'), column: expect.any(Number), message: expect.any(String) },
    ]);
  });

  it('is refused with line and column', () => {
    const wrong = text.replace('id: i-05d81b70c9e3f4a22', 'id: i-nonsense');
    expect(problemsOf(wrong)).toEqual([
      {
        file: 'world.yml',
        line: lineOf('i-05d81b70c9e3f4a22'),
        column: 9,
        message: expect.stringContaining('instances.1.id'),
      },
    ]);
    expect(problemsOf(text.replace('organisation:', 'organisations:')).length).toBeGreaterThan(0);
  });

  it('is refused when it contradicts itself', () => {
    const messages = (changed: string) => problemsOf(changed).map((one) => one.message);
    expect(messages(text.replace('groups: [payments-engineers, curfew-users]', 'groups: [nobodies]'))).toEqual([
      'mira.okafor@harborline.example names a group that is not there: nobodies',
    ]);
    expect(messages(text.replace('i-05d81b70c9e3f4a22', 'i-0f3a9c1d7b24e8a61'))).toEqual([
      'instance i-0f3a9c1d7b24e8a61 is there twice',
    ]);
    expect(
      messages(
        text.replace(
          "name: payments-api-1\n    account: '482011773306'",
          "name: payments-api-1\n    account: '111111111111'",
        ),
      ),
    ).toEqual(['instance i-0f3a9c1d7b24e8a61 names an account that is not there: 111111111111']);
  });
});
