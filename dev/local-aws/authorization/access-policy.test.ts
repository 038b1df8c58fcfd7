/**
 * The access policy compiler against two evaluators, ours and an independent one (AGPL, for tests only): for random grants,
 * what the documents of a principal allow is what the union of its live grants allows, on every kind and carrier.
 */
import { runSimulation } from '@cloud-copilot/iam-simulate';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  type CompiledGrant,
  type CompiledPolicy,
  compileAccessPolicy,
  documentMinutes,
  documentNameFor,
  type PolicyCarrier,
  policyInstant,
  sessionDocumentFor,
} from '../../../backend/access-policy/compile.ts';
import type { InstanceRef } from '../../../src/shared/access.ts';
import { evaluate } from './evaluate.ts';
import { requestContext } from './match-pattern.ts';
import { parsePolicyDocument } from './policy-document.ts';

const accountId = '482011773306';
const place = { partition: 'aws', accountId };
const regions = ['eu-central-1', 'eu-west-1'];
const inventory: InstanceRef[] = Array.from({ length: 7 }, (_, n) => ({
  accountId,
  region: regions[n % 2] ?? 'eu-west-1',
  instanceId: n === 6 ? 'mi-0123456789abcdef6' : `i-0123456789abcde${n}0`,
}));
const start = Date.parse('2026-11-22T09:00:00.000Z');

/** Who calls: `own` begins the ids of their sessions; `other` is somebody whose name begins with theirs. */
type Caller = { arn: string; userId: string; own: string; other: { name: string; userId: string } };
const roleCaller: Caller = {
  arn: `arn:aws:sts::${accountId}:assumed-role/curfew-x/alice.1a2b3c4d`,
  userId: 'AROAEXAMPLEEXAMPLE123:alice.1a2b3c4d',
  own: 'alice.1a2b3c4d',
  other: { name: 'alice.1a2b3c4e', userId: 'AROAEXAMPLEEXAMPLE124:alice.1a2b3c4e' },
};
const userCaller: Caller = {
  arn: `arn:aws:iam::${accountId}:user/alice`,
  userId: 'AIDAEXAMPLEEXAMPLE123',
  own: 'alice',
  other: { name: 'alice-bob', userId: 'AIDAEXAMPLEEXAMPLE124' },
};

const carriers: ReadonlyArray<{ carrier: PolicyCarrier; caller: Caller }> = (['inline', 'managed'] as const).flatMap(
  (carrier) =>
    [0, 1, 3].flatMap((spill) => {
      const hangs = { carrier, managedPolicies: carrier === 'managed' ? Math.max(1, spill) : spill };
      return [
        {
          carrier: { ...place, kind: 'role' as const, sessionName: 'alice.1a2b3c4d', ...hangs },
          caller: roleCaller,
        },
        { carrier: { ...place, kind: 'user' as const, ...hangs }, caller: userCaller },
        { carrier: { ...place, kind: 'group' as const, ...hangs }, caller: userCaller },
      ];
    }),
);

/** Those that are full after a few grants: they reach every form. */
const small = carriers.filter(({ carrier }) => carrier.kind === 'user' && carrier.managedPolicies === 0);

const grants: fc.Arbitrary<CompiledGrant[]> = fc.array(
  fc
    .record({
      instances: fc.subarray(inventory, { minLength: 1, maxLength: 3 }),
      fromSeconds: fc.integer({ min: 0, max: 59 }),
      seconds: fc.oneof(fc.constantFrom(60, 900, 901, 7200), fc.integer({ min: 60, max: 7200 })),
      id: fc.uuid(),
    })
    .map(({ id, instances, fromSeconds, seconds }) => ({
      id,
      instances,
      notBefore: new Date(start + fromSeconds * 1000),
      endsAt: new Date(start + (fromSeconds + seconds) * 1000),
    })),
  { minLength: 1, maxLength: 10, size: 'max' },
);

type Question = { action: string; resource: string; at: Date; context: Record<string, string> };

const targetArn = ({ region, instanceId }: InstanceRef): string =>
  instanceId.startsWith('mi-')
    ? `arn:aws:ssm:${region}:${accountId}:managed-instance/${instanceId}`
    : `arn:aws:ec2:${region}:${accountId}:instance/${instanceId}`;

const onInstance = (action: string, ref: InstanceRef, at: Date): Question => ({
  action,
  resource: targetArn(ref),
  at,
  context: action === 'ssm:StartSession' ? { 'ssm:SessionDocumentAccessCheck': 'true' } : {},
});
const onDocument = (region: string, name: string, at: Date): Question => ({
  action: 'ssm:StartSession',
  resource: `arn:aws:ssm:${region}:${accountId}:document/${name}`,
  at,
  context: { 'ssm:SessionDocumentAccessCheck': 'true' },
});
const onSession = (action: string, whose: { name: string; userId: string }, ref: InstanceRef, at: Date): Question => ({
  action,
  resource: `arn:aws:ssm:${ref.region}:${accountId}:session/${whose.name}-abcdefghijklmnopqrstuvwxyz`,
  at,
  context: {
    'ssm:resourceTag/aws:ssmmessages:target-id': ref.instanceId,
    'ssm:resourceTag/aws:ssmmessages:session-id': whose.userId,
  },
});

const contextOf = (caller: Caller, { at, context }: Question): Record<string, string> => ({
  'aws:CurrentTime': policyInstant(at),
  'aws:userid': caller.userId,
  ...context,
});

const ours = (documents: readonly string[], caller: Caller) => {
  const identity = documents.map((document) => parsePolicyDocument(document, 'identity'));
  return (question: Question): boolean => {
    const { action, resource } = question;
    const values = Object.entries(contextOf(caller, question)).map(([key, value]) => [key, [value]]);
    const context = requestContext(Object.fromEntries(values));
    return evaluate({ action, resource, context, identity, boundary: null, session: null }).decision === 'allow';
  };
};

const theirs = async (documents: readonly string[], caller: Caller, question: Question): Promise<boolean> => {
  const result = await runSimulation(
    {
      request: {
        principal: caller.arn,
        action: question.action,
        resource: { resource: question.resource, accountId },
        contextVariables: contextOf(caller, question),
      },
      identityPolicies: documents.map((document, at) => ({ name: `p${at}`, policy: JSON.parse(document) })),
      serviceControlPolicies: [],
      resourceControlPolicies: [],
    },
    {},
  );
  if (result.resultType === 'error') throw new Error(JSON.stringify(result.errors));
  return result.overallResult === 'Allowed';
};

const covers = (live: readonly CompiledGrant[], ref: InstanceRef, at: number): boolean =>
  live.some(
    ({ instances, notBefore, endsAt }) => instances.includes(ref) && notBefore.getTime() <= at && at < endsAt.getTime(),
  );

/** When the first of all granted instances is not granted any more, milliseconds. */
const firstLoss = (live: readonly CompiledGrant[]): number => {
  const lost = new Map<InstanceRef, number>();
  for (const { instances, endsAt } of live)
    for (const ref of instances) lost.set(ref, Math.max(lost.get(ref) ?? 0, endsAt.getTime()));
  return Math.min(...lost.values());
};

/** One second before, at, and one second after every beginning and end. */
const instantsOf = (live: readonly CompiledGrant[]): number[] => {
  const boundaries = live.flatMap(({ notBefore, endsAt }) => [notBefore.getTime(), endsAt.getTime()]);
  return [...new Set(boundaries.flatMap((ms) => [ms - 1000, ms, ms + 1000]))];
};

type Case = {
  caller: Caller;
  live: readonly CompiledGrant[];
  past: readonly InstanceRef[];
  form: CompiledPolicy['form'];
  /** Our evaluator's answer, written down for the other one. */
  ask: (question: Question) => boolean;
  /** What was answered otherwise than the grants say. */
  wrong: string[];
};

const sessionDocuments = documentMinutes.map((minutes) => documentNameFor(minutes * 60));

/** What is so at one instant for one instance; `open`: the documents that may be started in its region. */
const checkInstance = (one: Case, ref: InstanceRef, at: Date, open: string[]): void => {
  const { caller, live, past, form, ask, wrong } = one;
  const ms = at.getTime();
  const wished = covers(live, ref, ms);
  const begun = live.every(({ notBefore }) => notBefore <= at);
  /** Documents are written when all their grants have begun: before that they may only be narrower. */
  const expectThat = (answer: boolean, may: boolean, what: string): void => {
    if (answer !== may && (begun || answer)) wrong.push(`${what} at ${policyInstant(at)}: ${answer}`);
  };
  const instance = ask(onInstance('ssm:StartSession', ref, at));
  for (const name of sessionDocuments) {
    const may = wished && name === sessionDocumentFor(live);
    expectThat(instance && open.includes(name), may, `start ${ref.instanceId} with ${name}`);
  }
  expectThat(ask(onInstance('ssm:GetConnectionStatus', ref, at)), wished, `look at ${ref.instanceId}`);
  const own = { name: caller.own, userId: caller.userId };
  const resume = ask(onSession('ssm:ResumeSession', own, ref, at));
  // Sessions can be only where something is, or has just been, granted.
  const granted = live.some(({ instances }) => instances.includes(ref));
  if (granted || past.includes(ref)) {
    const first = form === 'first-end' && ms < firstLoss(live);
    expectThat(resume, wished && (form === 'exact' || first), `resume on ${ref.instanceId}, ${form}`);
  }
  const always = (answer: boolean, may: boolean, what: string): void => {
    if (answer !== may) wrong.push(`${what} on ${ref.instanceId} at ${policyInstant(at)}: ${answer}`);
  };
  always(ask(onSession('ssm:ResumeSession', caller.other, ref, at)), false, 'resume somebody else’s');
  always(ask(onSession('ssm:TerminateSession', own, ref, at)), true, 'end one’s own');
  always(ask(onSession('ssm:TerminateSession', caller.other, ref, at)), false, 'end somebody else’s');
};

const checkInstant = (one: Case, at: Date): void => {
  for (const region of regions) {
    const open = sessionDocuments.filter((name) => one.ask(onDocument(region, name, at)));
    for (const ref of inventory.filter((instance) => instance.region === region)) checkInstance(one, ref, at, open);
  }
};

test('AWS-01 AWS-03 every call on every pair: allowed if and only if a live grant allows it, a second around each boundary', {
  timeout: 120_000,
}, async () => {
  const seen = { exact: 0, 'first-end': 0, none: 0, spilled: 0, full: 0 };
  const arbitraries = [
    fc.oneof(fc.constantFrom(...carriers), fc.constantFrom(...small)),
    grants,
    fc.subarray(inventory, { maxLength: 2 }),
    fc.array(fc.nat(), { minLength: 10, maxLength: 10 }),
  ] as const;
  await fc.assert(
    fc.asyncProperty(...arbitraries, async ({ carrier, caller }, live, past, dice) => {
      const { documents, form, fits } = compileAccessPolicy({ ...carrier, grants: live, past });
      seen[fits ? form : 'full'] += 1;
      if (!fits) return;
      if (documents.length > 1) seen.spilled += 1;
      const texts = documents.map(({ document }) => document);
      const judge = ours(texts, caller);
      const asked: Array<{ question: Question; answer: boolean }> = [];
      const ask = (question: Question): boolean => {
        const answer = judge(question);
        asked.push({ question, answer });
        return answer;
      };
      const wrong: string[] = [];
      const instants = instantsOf(live);
      // Some of the instants, in turn another part of them: all would be too many.
      const every = Math.ceil(instants.length / 9);
      for (const [index, ms] of instants.entries()) {
        if ((index + (dice[0] ?? 0)) % every === 0)
          checkInstant({ caller, live, past, form, ask, wrong }, new Date(ms));
      }
      expect(wrong).toEqual([]);
      // The other evaluator is slow: it judges a few of all these.
      for (const roll of dice) {
        const one = asked[roll % asked.length];
        if (one === undefined) continue;
        expect(await theirs(texts, caller, one.question), JSON.stringify(one.question)).toBe(one.answer);
      }
    }),
    { numRuns: 150, seed: 20_261_122 },
  );
  // The generator must reach every form and the spilled sets often, or this says little.
  for (const [what, count] of Object.entries(seen)) expect.soft(count, what).toBeGreaterThan(5);
});
