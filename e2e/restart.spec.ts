import { expect } from '@playwright/test';
import { z } from 'zod';
import type { Person } from '../dev/driver/person.ts';
import { accounts, test } from './stack-fixture.ts';

/** The ends that an access policy carries itself. */
const endsIn = (document: unknown): string[] =>
  z
    .object({
      Statement: z.array(
        z.object({ Condition: z.object({ DateLessThan: z.record(z.string(), z.string()).optional() }).optional() }),
      ),
    })
    .parse(document)
    .Statement.flatMap(({ Condition }) => Object.values(Condition?.DateLessThan ?? {}));

const grantOf = (who: Person) =>
  who.window.getByRole('article', { name: /^search-lab-d1: .* left, ends [a-z ]*\d\d:\d\d/ });
const endOf = async (who: Person): Promise<string> =>
  /ends ([a-z ]*\d\d:\d\d)/.exec((await grantOf(who).getAttribute('aria-label')) ?? '')?.[1] ?? '';

test('the app is started again while a grant is live: still signed in, the same end, and it connects', async ({
  person,
  picture,
  aws,
}) => {
  const before = await person('Kofi Vance', { name: 'kofi' });
  await before.request(['search-lab-d1'], 'Rebuild the index', '30 min');
  const first = await before.terminal();
  await expect(first.getByText('Connected')).toBeVisible({ timeout: 60_000 });
  await before.goTo('My access');
  await expect(grantOf(before)).toBeVisible();
  const end = await endOf(before);
  const policyEnds = endsIn(await aws.accessPolicy('Kofi Vance', accounts.dev));
  expect(policyEnds.length).toBeGreaterThan(0);
  await picture(before.window, 'before');
  await before.close();

  const after = await person('Kofi Vance', { name: 'kofi', signIn: false });
  await expect(after.window.getByRole('navigation', { name: 'Places' })).toContainText('Kofi Vance', {
    timeout: 30_000,
  });
  await after.goTo('My access');
  await expect(grantOf(after)).toBeVisible();
  expect(await endOf(after)).toBe(end);
  await picture(after.window, 'after');
  await grantOf(after).getByRole('button', { name: 'Connect' }).click();
  const terminal = await after.terminal();
  await expect(terminal.getByText('Connected')).toBeVisible({ timeout: 60_000 });
  await after.sees('$');
  await after.typeLine('echo again-$((40 + 2))');
  await after.sees('again-42');
  // Nothing was written anew: the policy still carries the very same end.
  expect(endsIn(await aws.accessPolicy('Kofi Vance', accounts.dev))).toEqual(policyEnds);
  await picture(terminal, 'terminal');
});
