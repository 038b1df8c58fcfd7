import { runSimulation } from '@cloud-copilot/iam-simulate';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { InstanceRef } from '../../src/shared/access.ts';
import {
  type CompiledGrant,
  compileAccessPolicy,
  documentMinutes,
  documentNameFor,
  inlineLimits,
  personalCarrier,
  policyInstant,
  sessionDocumentFor,
} from './compile.ts';
import { describeChange } from './describe-change.ts';

const accountId = '482011773306';
const role = { partition: 'aws', accountId, sessionName: 'alice.1a2b3c4d' };
const carrier = personalCarrier(role);
const compiledDocument = (grants: readonly CompiledGrant[]): string | null =>
  compileAccessPolicy({ ...carrier, grants }).documents[0]?.document ?? null;
const regions = ['eu-central-1', 'eu-west-1'];
const inventory: InstanceRef[] = [0, 1, 2, 3, 4].map((n) => ({
  accountId,
  region: regions[n % 2] ?? 'eu-west-1',
  instanceId: n === 4 ? 'mi-0123456789abcdef4' : `i-0123456789abcde${n}0`,
}));
const start = Date.parse('2026-11-22T09:00:00.000Z');

const targetArn = ({ region, instanceId }: InstanceRef): string =>
  instanceId.startsWith('mi-')
    ? `arn:aws:ssm:${region}:${accountId}:managed-instance/${instanceId}`
    : `arn:aws:ec2:${region}:${accountId}:instance/${instanceId}`;
const documentArn = (region: string, name: string): string => `arn:aws:ssm:${region}:${accountId}:document/${name}`;

const allowed = async (question: {
  document: string | null;
  action: string;
  resource: string;
  at: Date;
  context?: Record<string, string>;
}): Promise<boolean> => {
  if (question.document === null) return false;
  const result = await runSimulation(
    {
      request: {
        principal: `arn:aws:sts::${accountId}:assumed-role/curfew-x/${carrier.sessionName}`,
        action: question.action,
        resource: { resource: question.resource, accountId },
        contextVariables: { 'aws:CurrentTime': policyInstant(question.at), ...question.context },
      },
      identityPolicies: [{ name: 'curfew-access', policy: JSON.parse(question.document) }],
      serviceControlPolicies: [],
      resourceControlPolicies: [],
    },
    {},
  );
  if (result.resultType === 'error') throw new Error(JSON.stringify(result.errors));
  return result.overallResult === 'Allowed';
};

const grantArbitrary: fc.Arbitrary<CompiledGrant> = fc
  .record({
    instances: fc.subarray(inventory, { minLength: 1, maxLength: 3 }),
    fromMinutes: fc.integer({ min: 0, max: 90 }),
    seconds: fc.constantFrom(60, 900, 901, 3600, 7200),
  })
  .map(({ instances, fromMinutes, seconds }, n = 0) => ({
    id: `grt_${n}`,
    instances,
    notBefore: new Date(start + fromMinutes * 60_000),
    endsAt: new Date(start + fromMinutes * 60_000 + seconds * 1000),
  }));

describe('compileAccessPolicy', () => {
  test('AWS-01 exactly the union of the live grants, a second before and after each boundary, one document', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(grantArbitrary, { maxLength: 3 }), async (grants) => {
        const document = compiledDocument(grants);
        const instants = [
          ...new Set(grants.flatMap(({ notBefore, endsAt }) => [notBefore.getTime(), endsAt.getTime()])),
        ];
        for (const at of instants.flatMap((ms) => [ms - 1000, ms, ms + 1000])) {
          for (const ref of inventory) {
            const wished = grants.some(
              ({ instances, notBefore, endsAt }) =>
                instances.includes(ref) && notBefore.getTime() <= at && at < endsAt.getTime(),
            );
            const question = { document, at: new Date(at), context: { 'ssm:SessionDocumentAccessCheck': 'true' } };
            const answer = await allowed({ ...question, action: 'ssm:StartSession', resource: targetArn(ref) });
            // Documents are compiled when the last of the grants has begun; before that they may only be narrower.
            if (grants.every(({ notBefore }) => notBefore.getTime() <= at)) expect(answer).toBe(wished);
            else if (answer) expect(wished).toBe(true);
          }
        }
      }),
      { numRuns: 12 },
    );
  });

  test('AWS-01 every pair of instance and document: only the one document of the principal', async () => {
    const grants = [
      { id: 'a', instances: inventory.slice(0, 1), notBefore: new Date(start), endsAt: new Date(start + 900_000) },
      { id: 'b', instances: inventory.slice(1, 2), notBefore: new Date(start), endsAt: new Date(start + 5_000_000) },
    ];
    const document = compiledDocument(grants);
    const at = new Date(start + 60_000);
    for (const minutes of documentMinutes) {
      const name = documentNameFor(minutes * 60);
      for (const region of regions) {
        const resource = documentArn(region, name);
        const context = { 'ssm:SessionDocumentAccessCheck': 'true' };
        expect(await allowed({ document, action: 'ssm:StartSession', resource, at, context })).toBe(
          name === sessionDocumentFor(grants),
        );
      }
    }
    const unchecked = { 'ssm:SessionDocumentAccessCheck': 'false' };
    const resource = targetArn(inventory[0] ?? { accountId, region: '', instanceId: '' });
    expect(await allowed({ document, action: 'ssm:StartSession', resource, at, context: unchecked })).toBe(false);
  });

  test('AWS-06 gives no reads: no DescribeSessions, no run command, no inventory', async () => {
    const grants = [{ id: 'a', instances: inventory, notBefore: new Date(start), endsAt: new Date(start + 900_000) }];
    const document = compiledDocument(grants);
    const at = new Date(start + 1000);
    for (const action of ['ssm:DescribeSessions', 'ssm:DescribeInstanceInformation', 'ec2:DescribeInstances']) {
      expect(await allowed({ document, action, resource: '*', at })).toBe(false);
    }
    expect(document).not.toContain('SendCommand');
  });

  test('AWS-03 resuming is bound to the grant’s instances and its end', async () => {
    const endsAt = new Date(start + 900_000);
    const grants = [{ id: 'a', instances: inventory.slice(0, 1), notBefore: new Date(start), endsAt }];
    const document = compiledDocument(grants);
    const resume = (sessionName: string, target: string, at: Date) =>
      allowed({
        document,
        action: 'ssm:ResumeSession',
        resource: `arn:aws:ssm:eu-central-1:${accountId}:session/${sessionName}-abcdefghijklmnopqrstuvwxyz`,
        at,
        context: { 'ssm:resourceTag/aws:ssmmessages:target-id': target },
      });
    const [first, second] = inventory;
    const justBefore = new Date(endsAt.getTime() - 1000);
    expect(await resume('alice.1a2b3c4d', first?.instanceId ?? '', justBefore)).toBe(true);
    expect(await resume('alice.1a2b3c4d', first?.instanceId ?? '', endsAt)).toBe(false);
    expect(await resume('alice.1a2b3c4d', second?.instanceId ?? '', justBefore)).toBe(false);
    expect(await resume('alice.1a2b3c4e', first?.instanceId ?? '', justBefore)).toBe(false);
  });

  test('the same grants give the same bytes, in any order', () => {
    fc.assert(
      fc.property(fc.array(grantArbitrary, { minLength: 1, maxLength: 5 }), (grants) => {
        const turned = grants.toReversed().map((grant) => ({ ...grant, instances: grant.instances.toReversed() }));
        const once = compileAccessPolicy({ ...carrier, grants });
        expect(compileAccessPolicy({ ...carrier, grants: turned })).toEqual(once);
        for (const { document } of once.documents) expect(document).toBe(JSON.stringify(JSON.parse(document)));
      }),
    );
  });

  test('RQ-01 any string as an id either faults or is one well-formed instance', () => {
    const hostile = fc.oneof(
      fc.constantFrom('i-*', 'i-0123456789abcdef?', '*', 'i-0123456789abcdef0\n', ' i-0123456789abcdef0'),
      fc.constantFrom(`$${'{aws:userid}'}`, 'i-0123456789abcdef0,i-0123456789abcdef1', 'і-0123456789abcdef0', '%2a'),
      fc.string(),
    );
    fc.assert(
      fc.property(hostile, fc.constantFrom('instanceId', 'region', 'accountId'), (text, field) => {
        const ref = {
          ...inventory[0],
          accountId,
          region: 'eu-west-1',
          instanceId: 'i-0123456789abcdef0',
          [field]: text,
        };
        const grants = [{ id: 'a', instances: [ref], notBefore: new Date(start), endsAt: new Date(start + 60_000) }];
        expect(() => compileAccessPolicy({ ...carrier, grants })).toThrow();
      }),
    );
    const grants = [{ id: 'a', instances: inventory, notBefore: new Date(start), endsAt: new Date(start + 60_000) }];
    expect(() => compileAccessPolicy({ ...carrier, sessionName: '*', grants })).toThrow();
    expect(() => compileAccessPolicy({ ...carrier, sessionName: 'alice-bob', grants })).toThrow();
    expect(() => compileAccessPolicy({ ...carrier, accountId: '111122223333', grants })).toThrow();
  });

  test('no grant, no document; a full request of 20 instances fits several times over', () => {
    expect(compileAccessPolicy({ ...carrier, grants: [] })).toEqual({
      documents: [],
      characters: 0,
      limit: inlineLimits.role,
      form: 'exact',
      fits: true,
    });
    const instances = Array.from({ length: 20 }, (_, n) => ({
      accountId,
      region: 'eu-central-1',
      instanceId: `i-0123456789abcd${String(n).padStart(3, '0')}`,
    }));
    const grants = [{ id: 'a', instances, notBefore: new Date(start), endsAt: new Date(start + 60_000) }];
    expect(compileAccessPolicy({ ...carrier, grants }).characters).toBeLessThan(inlineLimits.role / 2.5);
  });
});

test('140 one-instance grants with one end fit a role inline, whatever the user is called', () => {
  const many = (count: number) =>
    Array.from({ length: count }, (_, n) => ({
      id: `g${n}`,
      instances: [{ accountId, region: 'eu-west-1', instanceId: `i-${n.toString(16).padStart(17, '0')}` }],
      notBefore: new Date(start),
      endsAt: new Date(start + 3_600_000),
    }));
  // The longest role session name: 40 characters of the user name, a dot and 8 digits (principal.ts).
  const longest = personalCarrier({ ...role, sessionName: `${'a'.repeat(40)}.1a2b3c4d` });
  const compiled = compileAccessPolicy({ ...longest, grants: many(140) });
  expect(compiled).toMatchObject({ fits: true, form: 'first-end' });
  expect(compiled.documents).toHaveLength(1);
  expect(compileAccessPolicy({ ...longest, grants: many(200) })).toMatchObject({ fits: false, documents: [] });
});

test('AWS-01 a change of one grant changes few of many documents', () => {
  const spilled = { ...carrier, managedPolicies: 10 };
  const grantOf = (n: number): CompiledGrant => ({
    id: `g${n}`,
    instances: [{ accountId, region: 'eu-west-1', instanceId: `i-${n.toString(16).padStart(17, '0')}` }],
    notBefore: new Date(start),
    endsAt: new Date(start + 3_600_000 + n * 1000),
  });
  const grants = Array.from({ length: 80 }, (_, n) => grantOf(n));
  const before = compileAccessPolicy({ ...spilled, grants });
  expect(before.form).toBe('exact');
  expect(before.documents.length).toBeGreaterThan(6);
  for (const left of [5, 40, 70]) {
    const after = compileAccessPolicy({ ...spilled, grants: grants.filter((_, n) => n !== left) });
    const same = after.documents.filter(({ slot, document }) =>
      before.documents.some((one) => one.slot === slot && one.document === document),
    );
    expect(after.documents.length - same.length).toBeLessThanOrEqual(3);
  }
});

describe('describeChange', () => {
  const live = {
    id: 'a',
    instances: inventory.slice(0, 1),
    notBefore: new Date(start),
    endsAt: new Date(start + 7_200_000),
  };
  const change = (after: Parameters<typeof describeChange>[0]['after']) =>
    describeChange({
      carrier,
      accountName: 'payments-prod',
      principal: 'curfew-x',
      before: [live],
      after,
      nameOf: ({ instanceId }) => instanceId,
    });

  test('shows the end of what is not connected yet as words, and counts what would really be written', () => {
    const asked = { id: 'b', instances: inventory.slice(1, 2), afterConnectSeconds: 7200 };
    const { diff, whole, room, allows } = change([live, asked]);
    expect(allows).toEqual([`May start a shell on ${inventory[1]?.instanceId} for 2 h from connecting.`]);
    expect(diff.some(({ change: how, text }) => how === 'added' && text.includes('connect + 2 h'))).toBe(true);
    expect(
      diff
        .filter(({ change: how }) => how !== 'removed')
        .map(({ text }) => text)
        .join('\n'),
    ).toBe(whole);
    const written = compileAccessPolicy({
      ...carrier,
      grants: [live, { ...asked, notBefore: new Date(start + 1000), endsAt: new Date(start + 7_201_000) }],
    });
    expect(room.after).toBe(written.characters);
    expect(room.now).toBe(compileAccessPolicy({ ...carrier, grants: [live] }).characters);
  });

  test('an extension says from when to when', () => {
    expect(change([{ ...live, endsAt: new Date(start + 9_000_000) }]).allows).toEqual([
      `May start a shell on ${inventory[0]?.instanceId} until 2026-11-22 11:30 UTC instead of 2026-11-22 11:00 UTC.`,
    ]);
  });
});
