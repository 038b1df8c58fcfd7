/** ID-08 access on IAM users: a name is no identity, neither when it changes nor when somebody else gets it. */
import { beforeEach, expect, test } from 'vitest';
import { harborlineAccount, prod } from '../testing/harborline.ts';
import { type Access, createAccess } from './access.ts';
import type { AccessDeps } from './deps.ts';
import { carrierOf, plannedGrants } from './principals.ts';
import { type Name, type Office, openOffice } from './testing/office.ts';

let office: Office;
let deps: AccessDeps;
let access: Access;
let path = '';
beforeEach(async () => {
  office = await openOffice();
  path = '';
  const account = harborlineAccount({
    id: prod,
    name: 'payments',
    regions: ['eu-central-1'],
    principal: { kind: 'user', carrier: 'inline' },
  });
  deps = {
    ...office.deps,
    config: { ...office.deps.config, accounts: [account] },
    roles: {
      check: async (accountId, { userName }) => ({
        accountId,
        accountName: 'payments',
        state: 'ready',
        roleArn: `arn:aws:iam::${accountId}:user/${path}${userName}`,
      }),
    },
  };
  access = createAccess(deps);
  return () => office.close();
});

const ask = async (name: Name, machine: 'staging' | 'staging2') => {
  office.pass(1);
  const request = await access.submit(office.person(name), office.draft([machine]));
  expect(request.state).toBe('approved');
  return office.db
    .selectFrom('grants')
    .innerJoin('principals', 'principals.id', 'principal_id')
    .select(['grants.id', 'principal_id', 'name', 'arn', 'session_name', 'due_at', 'principals.person_id'])
    .where('request_id', '=', request.id)
    .executeTakeFirstOrThrow();
};

test('ID-08 who was renamed asks again, and what hangs on the name of before is still theirs to end', async () => {
  const before = await ask('mira', 'staging');
  office.change('mira', { userName: 'mira.smith' });
  const after = await ask('mira', 'staging2');
  expect(after).toMatchObject({ name: 'mira.smith', session_name: 'mira.smith', person_id: before.person_id });
  expect(after.arn).toMatch(/:user\/mira\.smith$/);
  expect(after.principal_id).not.toBe(before.principal_id);
  // What was written on the user went along with it, so a pass looks at once.
  expect(after.due_at).toEqual(office.deps.now());
  const unchanged = office.db.selectFrom('principals').selectAll().where('id', '=', before.principal_id);
  expect(await unchanged.executeTakeFirstOrThrow()).toMatchObject({ arn: before.arn, name: before.name });
  const ended = await access.end(await office.reader('mira'), { grantId: before.id, comment: null });
  expect(ended.state).toBe('ending');
  // Each name has one row, however often it is asked for, and whoever is renamed back has the first again.
  expect((await ask('mira', 'staging')).principal_id).toBe(after.principal_id);
  office.change('mira', { userName: before.name });
  expect((await ask('mira', 'staging2')).principal_id).toBe(before.principal_id);
  expect(await office.db.selectFrom('principals').select('id').execute()).toHaveLength(2);
});

test('ID-08 a user who was moved to another path asks again', async () => {
  const before = await ask('mira', 'staging');
  path = 'engineers/';
  const after = await ask('mira', 'staging2');
  expect(after).toMatchObject({ name: before.name, session_name: before.name });
  expect(after.arn).toContain(':user/engineers/');
  expect(after.principal_id).not.toBe(before.principal_id);
});

test('ID-08 a newcomer who has the name of somebody who left asks, and gets nothing of theirs', async () => {
  const old = await ask('mira', 'staging');
  await access.end(await office.reader('mira'), { grantId: old.id, comment: null });
  office.remove('mira');
  office.change('elin', { userName: old.name, email: null });
  const young = await ask('elin', 'staging2');
  expect(young).toMatchObject({ name: old.name, arn: old.arn, person_id: office.person('elin').id });
  expect(young.principal_id).not.toBe(old.principal_id);
  const planned = await plannedGrants(office.db, deps, { accountId: prod, person: office.person('elin') });
  expect(planned.map(({ id }) => id)).toEqual([young.id]);
});

test('the room in the access policy is told from what hangs on the name of now', async () => {
  await ask('mira', 'staging');
  office.change('mira', { userName: 'mira.smith' });
  const after = await ask('mira', 'staging2');
  const place = { accountId: prod, person: office.person('mira') };
  expect((await plannedGrants(office.db, deps, place)).map(({ id }) => id)).toEqual([after.id]);
  expect(await carrierOf(office.db, deps, place)).toMatchObject({ kind: 'user', principal: 'mira.smith' });
});

test('many windows of somebody who was renamed ask at once: one row more', async () => {
  await ask('mira', 'staging');
  office.change('mira', { userName: 'mira.smith' });
  const asked = await Promise.all(
    [1, 2, 3, 4].map(() => access.submit(office.person('mira'), office.draft(['staging2']))),
  );
  expect(asked.map(({ state }) => state)).toEqual(['approved', 'approved', 'approved', 'approved']);
  expect(await office.db.selectFrom('principals').select('id').execute()).toHaveLength(2);
});

test('two roles of one name are refused by SQL, as ever', async () => {
  const { principal_id: id } = await ask('mira', 'staging');
  const row = await office.db.selectFrom('principals').selectAll().where('id', '=', id).executeTakeFirstOrThrow();
  const role = { ...row, kind: 'role' as const, slot: 7, id: 'first', name: 'one', session_name: 'first' };
  await office.db.insertInto('principals').values(role).execute();
  const second = { ...role, slot: 8, id: 'second', session_name: 'second' };
  await expect(office.db.insertInto('principals').values(second).execute()).rejects.toThrow('principals_name');
});
