import { expect, test } from 'vitest';
import { dev, harborlineAccount, harborlineConfig, prod } from '../testing/harborline.ts';
import { personNamed } from '../testing/test-people.ts';
import { type MeDeps, meOf } from './overview.ts';

test('the roles of an overview are only shown, and one that cannot be asked about hides no other', async () => {
  const config = harborlineConfig(
    [prod, dev].map((id) => harborlineAccount({ id, name: `account-${id}`, regions: ['eu-central-1'] })),
  );
  const asked: Array<[string, string]> = [];
  const check: MeDeps['roles']['check'] = async (accountId, _person, why) => {
    asked.push([accountId, why]);
    if (accountId === dev) throw new Error('away');
    return { accountId, accountName: 'payments-prod', state: 'ready', roleArn: `arn:aws:iam::${accountId}:role/r` };
  };
  const quiet = (): void => undefined;
  const log = { info: quiet, debug: quiet, warn: quiet, error: quiet };
  const deps: MeDeps = { config, roles: { check }, mayApproveSomething: async () => false, log };
  const { roles } = await meOf(deps, personNamed('mira'), new Date());
  expect(asked).toEqual([
    [prod, 'to-show'],
    [dev, 'to-show'],
  ]);
  expect(roles.map(({ accountId, state }) => [accountId, state])).toEqual([
    [prod, 'ready'],
    [dev, 'missing'],
  ]);
});
