/** The backend's writing of access policies against this IAM: sets of documents on roles, users and groups. */
import { GetPolicyCommand, IAMClient, ListPoliciesCommand, ListPolicyVersionsCommand } from '@aws-sdk/client-iam';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { SlotDocument } from '../../../backend/access-policy/compile.ts';
import { effective, type PolicyWrite, policyWrites } from '../../../backend/access-policy/policy-writes.ts';
import { grantsPath, managedPolicyArn, type PolicyHolder } from '../../../backend/access-policy/principal.ts';
import { type AccessDocuments, createAccessDocuments } from '../../../backend/aws/access-documents.ts';
import { AwsProblem, awsProblem } from '../../../backend/aws/errors.ts';
import { failure } from '../testing/failure.ts';
import { clientOf, prod, type SmallAws, startSmallAws } from '../testing/small-aws.ts';

let aws: SmallAws;
let iam: IAMClient;
let documents: AccessDocuments;

beforeAll(async () => {
  aws = await startSmallAws();
  iam = new IAMClient(clientOf(aws));
  const call = async <T>(name: string, _budget: string, send: () => Promise<T>): Promise<T> => {
    try {
      return await send();
    } catch (error) {
      throw awsProblem(name, error);
    }
  };
  const account = { boundaryArn: `arn:aws:iam::${prod}:policy/curfew/boundary/CurfewBoundary` };
  documents = createAccessDocuments({ account: () => ({ account, iam, call }) }, async (_holder, work, otherwise) => {
    try {
      return await work;
    } catch (error) {
      if (error instanceof AwsProblem && error.kind === 'gone') return otherwise;
      throw error;
    }
  });
  const trust = {
    Version: '2012-10-17',
    Statement: { Effect: 'Allow', Principal: { AWS: prod }, Action: 'sts:AssumeRole' },
  };
  aws.state.putRole({ accountId: prod, name: 'curfew-0123456789abcdef0123', path: '/curfew/people/', trust });
  aws.state.putUser({ accountId: prod, name: 'dana' });
  aws.state.putGroup({ accountId: prod, name: 'oncall' });
});
afterAll(() => aws.close());

const holders: PolicyHolder[] = [
  { accountId: prod, kind: 'role', name: 'curfew-0123456789abcdef0123' },
  { accountId: prod, kind: 'user', name: 'dana' },
  { accountId: prod, kind: 'group', name: 'oncall' },
];
const managed = 3;

const statement = (name: string) => ({ Effect: 'Allow', Action: 'ssm:StartSession', Resource: `arn:aws:x:::${name}` });
const documentOf = (names: readonly string[]): string =>
  JSON.stringify({ Version: '2012-10-17', Statement: names.map(statement) });
/** Names of all that is open. */
const openIn = (set: readonly SlotDocument[]): Set<string> =>
  new Set(set.flatMap(({ document }) => [...document.matchAll(/arn:aws:x:::(\w+)/g)].map(([, name = '']) => name)));

const wishes = fc
  .array(fc.record({ slot: fc.nat({ max: managed }), name: fc.constantFrom('a', 'b', 'c', 'd', 'e') }), {
    maxLength: 6,
  })
  .map((picks): SlotDocument[] => {
    const slots = new Map<number, Set<string>>();
    for (const { slot, name } of picks) slots.set(slot, (slots.get(slot) ?? new Set()).add(name));
    return [...slots]
      .sort(([a], [b]) => a - b)
      .map(([slot, names]) => ({ slot, document: documentOf([...names].sort()) }));
  });

/** Our managed policies that exist, attached or not. */
const policiesLeft = async (): Promise<number> => {
  const { Policies } = await iam.send(new ListPoliciesCommand({ PathPrefix: grantsPath, Scope: 'Local' }));
  return Policies?.length ?? 0;
};

test('AWS-13 from anywhere, cut off after any write, it gets to what should be; no step opens more than before or after', {
  timeout: 120_000,
}, async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(...holders),
      fc.array(fc.record({ wish: wishes, cutAfter: fc.option(fc.nat({ max: 5 }), { nil: null }) }), { maxLength: 5 }),
      async (holder, changes) => {
        for (const { wish, cutAfter } of [...changes, { wish: [], cutAfter: null }]) {
          const before = await documents.read(holder, managed);
          const may = new Set([...openIn(effective(before)), ...openIn(wish)]);
          const writes: PolicyWrite[] = policyWrites(before, wish);
          for (const write of writes.slice(0, cutAfter ?? writes.length)) {
            await documents.write(holder, write);
            const open = openIn(effective(await documents.read(holder, managed)));
            expect([...open].filter((name) => !may.has(name))).toEqual([]);
          }
          if (cutAfter !== null) continue;
          const after = await documents.read(holder, managed);
          expect(effective(after)).toEqual(wish);
          expect(policyWrites(after, wish)).toEqual([]);
        }
        expect(await policiesLeft()).toBe(0);
      },
    ),
    { numRuns: 20, seed: 20_261_122 },
  );
});

test('a managed policy that changes often keeps five versions at most, the newest in force', async () => {
  const [holder] = holders;
  if (holder === undefined) throw new Error('No holder');
  const PolicyArn = managedPolicyArn('aws', holder, 1);
  for (let n = 0; n < 9; n += 1) {
    const wish = [{ slot: 1, document: documentOf([`n${n}`]) }];
    for (const write of policyWrites(await documents.read(holder, 1), wish)) await documents.write(holder, write);
    expect(effective(await documents.read(holder, 1))).toEqual(wish);
  }
  const { Versions } = await iam.send(new ListPolicyVersionsCommand({ PolicyArn }));
  expect(Versions).toHaveLength(5);
  const { Policy } = await iam.send(new GetPolicyCommand({ PolicyArn }));
  expect(Policy).toMatchObject({ Path: grantsPath, DefaultVersionId: 'v9', AttachmentCount: 1 });
  // An answer that was lost: it is there although nobody knew.
  await documents.write(holder, { do: 'put', slot: 1, document: documentOf(['again']), known: false });
  expect([...openIn(effective(await documents.read(holder, 1)))]).toEqual(['again']);
  for (const write of policyWrites(await documents.read(holder, 1), [])) await documents.write(holder, write);
  expect(await policiesLeft()).toBe(0);
});

test('what is gone already is taken away without a word; a document over the quota is a problem with its name', async () => {
  for (const holder of holders) {
    for (const slot of [0, 1]) await documents.write(holder, { do: 'delete', slot });
    await documents.write(holder, { do: 'detach', slot: 1 });
    const document = documentOf(Array.from({ length: 200 }, (_, n) => `x${n}`));
    const put = documents.write(holder, { do: 'put', slot: 0, document, known: false });
    await expect(put).rejects.toMatchObject({ name: 'AwsProblem', kind: 'permanent' });
    expect((await failure(put)).message).toContain('LimitExceeded');
  }
  const nobody: PolicyHolder = { accountId: prod, kind: 'user', name: 'nobody' };
  expect(await documents.read(nobody, 2)).toEqual([]);
});
