import fc from 'fast-check';
import { beforeEach, expect, test } from 'vitest';
import { type InstanceRef, requestDraft } from '../../src/shared/access.ts';
import { limits } from '../../src/shared/limits.ts';
import { Refusal, type RefusalCode } from '../../src/shared/refusal.ts';
import { grantContent, grantSealHolds } from '../store/seal.ts';
import { grantInstances } from './rows.ts';
import { type Office, openOffice } from './testing/office.ts';

let office: Office;
beforeEach(async () => {
  office = await openOffice();
  return () => office.close();
});

const refusal = (code: RefusalCode, detail: object = {}) =>
  expect.objectContaining({ code, detail: expect.objectContaining(detail) });

test('non-production is given at once: decision by the rule, a sealed grant, an audit row for each step', async () => {
  const { access, db, deps } = office;
  const request = await access.submit(office.person('mira'), office.draft(['staging', 'staging2']));
  expect(request).toMatchObject({
    state: 'approved',
    decisions: [{ verdict: 'yes', by: { kind: 'rule', ruleId: 'non-production-at-once' }, durationSeconds: 3600 }],
  });
  const grant = await db.selectFrom('grants').selectAll().executeTakeFirstOrThrow();
  expect(grant).toMatchObject({ state: 'ready', duration_seconds: 3600, ends_at: null });
  expect(grant.activate_by.toISOString()).toBe('2026-11-22T18:00:00.000Z');
  const principal = await db.selectFrom('principals').selectAll().executeTakeFirstOrThrow();
  expect(principal.due_at).toEqual(grant.activate_by);
  const instances = await grantInstances(db, grant.id);
  expect(instances).toEqual([office.ref('staging'), office.ref('staging2')]);
  expect(grantSealHolds(deps.sealKey, grantContent(grant, instances, principal.arn), grant.mac)).toBe(true);
  const rows = await db.selectFrom('audit').select('kind').orderBy('sequence').execute();
  expect(rows.map((row) => row.kind)).toEqual(['request_submitted', 'request_decided', 'grant_made']);
  expect(office.nudges()).toBe(1);
});

test('AU-05 the seal of a grant breaks with every field that gives access', async () => {
  const { access, db, deps } = office;
  await access.submit(office.person('mira'), office.draft(['staging']));
  const row = await db.selectFrom('grants').selectAll().executeTakeFirstOrThrow();
  const { arn } = await db.selectFrom('principals').select('arn').executeTakeFirstOrThrow();
  const refs = await grantInstances(db, row.id);
  const later = new Date(row.activate_by.getTime() + 1);
  const forgeries = [
    grantContent({ ...row, ends_at: later, connected_at: row.approved_at }, refs, arn),
    grantContent({ ...row, duration_seconds: 7200 }, refs, arn),
    grantContent({ ...row, activate_by: later }, refs, arn),
    grantContent({ ...row, person_id: office.person('kofi').id }, refs, arn),
    grantContent(row, [office.ref('prod')], arn),
    grantContent(row, [...refs, office.ref('prod')], arn),
    grantContent(row, refs, `${arn}x`),
  ];
  for (const forged of forgeries) expect(grantSealHolds(deps.sealKey, forged, row.mac)).toBe(false);
  expect(grantSealHolds(deps.sealKey, grantContent(row, refs, arn), row.mac)).toBe(true);
});

test('production waits for the leads of the owning team, who are told', async () => {
  const { access, db } = office;
  const request = await access.submit(office.person('mira'), office.draft(['staging', 'prod']));
  expect(request).toMatchObject({
    state: 'waiting',
    approvalsNeeded: 1,
    approvers: [{ displayName: 'Aiko' }, { displayName: 'Jonas' }],
    lapsesAt: '2026-11-22T18:00:00.000Z',
  });
  expect(await db.selectFrom('grants').selectAll().execute()).toEqual([]);
  const notices = await db.selectFrom('notices').selectAll().execute();
  expect(notices).toHaveLength(2);
  expect(notices[0]).toMatchObject({
    kind: 'to-approve',
    title: 'Mira asks for s1-payments and 1 more, 1 h',
    body: '“look at the worker queue” Rule: owning-team-may-request.',
  });
  const changes = await db.selectFrom('changes').select(['topic', 'audience']).orderBy('id').execute();
  expect(changes.at(-1)?.audience).toEqual(
    expect.arrayContaining([office.person('mira').id, office.person('jonas').id, office.person('aiko').id]),
  );
  expect(changes.at(-1)?.audience).not.toContain(office.person('kofi').id);
});

test('what no rule speaks of is not there; what is too long is refused with what would be possible', async () => {
  const { access, db } = office;
  await expect(access.submit(office.person('kofi'), office.draft(['staging']))).rejects.toEqual(refusal('not_found'));
  await expect(access.submit(office.person('mira'), office.draft(['staging', 'index']))).rejects.toEqual(
    refusal('not_found'),
  );
  await db.updateTable('instances').set({ gone_at: new Date() }).where('name', '=', 's1-payments').execute();
  await expect(access.submit(office.person('mira'), office.draft(['staging']))).rejects.toEqual(refusal('not_found'));
  expect(await db.selectFrom('audit').selectAll().execute()).toEqual([]);
});

test('a request for instances that no one person may decide together is refused', async () => {
  office.change('mira', { groups: ['payments-engineers', 'search-engineers'] });
  await expect(office.access.submit(office.person('mira'), office.draft(['prod', 'index']))).rejects.toEqual(
    refusal('not_allowed', { message: expect.stringContaining('one team at a time') }),
  );
});

test('a missing role is named before anybody is asked', async () => {
  office.takeRoleAway('mira');
  await expect(office.access.submit(office.person('mira'), office.draft(['prod']))).rejects.toEqual(
    refusal('role_missing', { message: '482011773306: Run the provisioner.' }),
  );
  expect(await office.db.selectFrom('notices').selectAll().execute()).toEqual([]);
});

test('limits: ready grants, waiting requests and submits an hour, also in parallel', async () => {
  const { access, db } = office;
  const at = () => access.submit(office.person('mira'), office.draft(['staging'], { durationSeconds: 60 }));
  const answers = await Promise.allSettled(Array.from({ length: limits.readyGrantsPerPerson + 3 }, at));
  expect(answers.filter((answer) => answer.status === 'fulfilled')).toHaveLength(limits.readyGrantsPerPerson);
  await expect(at()).rejects.toEqual(refusal('limit_reached'));
  for (let count = 0; count < limits.waitingRequestsPerPerson; count += 1) {
    await access.submit(office.person('mira'), office.draft(['prod']));
  }
  await expect(access.submit(office.person('mira'), office.draft(['prod']))).rejects.toEqual(refusal('limit_reached'));
  await db.deleteFrom('notices').execute();
});

test('who has left the identity store asks for nothing', async () => {
  office.change('mira', { enabled: false });
  await expect(office.access.submit(office.person('mira'), office.draft(['staging']))).rejects.toEqual(
    refusal('not_allowed'),
  );
});

test('RQ-01 any string for an instance id: refused, or exactly an instance of the inventory', async () => {
  const real = office.ref('staging').instanceId;
  const hostile = [
    'i-*',
    'i-0123456789abcdef?',
    '*',
    `${real}\n`,
    ` ${real}`,
    real.replace('i-', 'i%2a'),
    `${real},${office.ref('prod').instanceId}`,
    // biome-ignore lint/suspicious/noTemplateCurlyInString: it is an IAM policy variable.
    '${aws:userid}',
    real.replace('i', '\uff49'),
    real.replace('a', '\u0430'),
    `arn:aws:ec2:eu-central-1:482011773306:instance/${real}`,
    'i-0123456789abcdef0',
    real.toUpperCase(),
  ];
  const inventory = new Set([real, office.ref('staging2').instanceId, office.ref('prod').instanceId]);
  const ids = fc.oneof(fc.constantFrom(...hostile, ...inventory), fc.string(), fc.string({ unit: 'binary' }));
  await fc.assert(
    fc.asyncProperty(fc.array(ids, { minLength: 1, maxLength: 3 }), async (chosen) => {
      const draft = office.draft([], {
        instances: chosen.map((instanceId) => ({ ...office.ref('staging'), instanceId })),
        durationSeconds: 60,
      });
      const parsed = requestDraft.safeParse(draft);
      if (!parsed.success) return;
      const before = await office.db.selectFrom('request_instances').select('instance_id').execute();
      try {
        await office.access.submit(office.person('mira'), parsed.data);
      } catch (error) {
        if (!(error instanceof Refusal)) throw error;
      }
      const after = await office.db.selectFrom('request_instances').select('instance_id').execute();
      for (const row of after) expect(inventory).toContain(row.instance_id);
      if (after.length > before.length) for (const id of chosen) expect(inventory).toContain(id);
    }),
    { numRuns: 60 },
  );
});

test('preview says at once, person, no, what is nearest and the longest, and changes nothing', async () => {
  const { access, db } = office;
  const mira = office.person('mira');
  expect(await access.preview(mira, office.draft(['staging']))).toMatchObject({
    verdict: { kind: 'at-once', ruleId: 'non-production-at-once' },
    nearest: null,
    longestSeconds: 43_200,
    roleMissing: [],
    wider: [],
  });
  expect(await access.preview(mira, office.draft(['staging'], { durationSeconds: 4 * 3600 }))).toMatchObject({
    verdict: { kind: 'person', approvalsNeeded: 1, approvers: [{ displayName: 'Aiko' }, { displayName: 'Jonas' }] },
    nearest: { kind: 'at-once', durationSeconds: 7200 },
  });
  expect(await access.preview(mira, office.draft(['staging', 'prod']))).toMatchObject({
    verdict: { kind: 'person', ruleId: 'owning-team-may-request' },
    perInstance: [{ verdict: { kind: 'at-once' } }, { verdict: { kind: 'person' } }],
    nearest: null,
  });
  await expect(access.preview(office.person('kofi'), office.draft(['prod']))).rejects.toEqual(refusal('not_found'));
  expect(await db.selectFrom('audit').selectAll().execute()).toEqual([]);
});

test('what could come to have no room is refused before anybody is bothered, and never costs access that was given', async () => {
  const { access, db, deps } = office;
  const mira = office.person('mira');
  const staging = office.ref('staging');
  deps.roles.check = async (accountId) => {
    const roleArn = `arn:aws:iam::${accountId}:user/${mira.userName}`;
    return { accountId, accountName: accountId, state: 'ready', roleArn };
  };
  deps.config.accounts = [
    {
      id: staging.accountId,
      name: 'payments',
      regions: [staging.region],
      brokerRoleArn: `arn:aws:iam::${staging.accountId}:role/curfew/broker`,
      provisionerRoleArn: `arn:aws:iam::${staging.accountId}:role/curfew/provisioner`,
      externalId: 'harborline',
      boundaryArn: `arn:aws:iam::${staging.accountId}:policy/curfew/boundary`,
      principal: { kind: 'user', carrier: 'inline', managedPolicies: 0 },
    },
  ];
  const { tag_changes, ...row } = await db
    .selectFrom('instances')
    .selectAll()
    .where('instance_id', '=', staging.instanceId)
    .executeTakeFirstOrThrow();
  const refs = Array.from({ length: 5 }, (_, n) => ({ ...staging, instanceId: `i-${n}0123456789abcdef` }));
  for (const { instanceId } of refs) {
    await db
      .insertInto('instances')
      .values({
        ...row,
        instance_id: instanceId,
        tags: JSON.stringify(row.tags),
        tag_changes: JSON.stringify(tag_changes),
      })
      .execute();
  }
  const ask = (ref: InstanceRef) => access.submit(mira, office.draft([], { instances: [ref] }));
  for (const ref of refs.slice(0, 4)) await ask(ref);
  const [last = staging] = refs.slice(4);
  await expect(ask(last)).rejects.toMatchObject({
    code: 'policy_full',
    detail: { message: expect.stringMatching(/Ask for fewer instances, or end other access there first\.$/) },
  });
  // Each of the four can be connected, at a time of its own.
  const grants = await db.selectFrom('grants').select('id').orderBy('approved_at').execute();
  expect(grants).toHaveLength(4);
  for (const { id } of grants) {
    office.pass(60);
    const { grant } = await access.connect(await office.reader('mira'), id);
    expect(grant.state).toBe('granting');
  }
  await expect(ask(last)).rejects.toEqual(refusal('policy_full'));
});
