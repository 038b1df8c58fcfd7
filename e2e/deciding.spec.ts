/** Decisions that are not a plain yes: approve less, and two approvers who have the same request open. */
import { expect } from '@playwright/test';
import pg from 'pg';
import { type Person, until } from '../dev/driver/person.ts';
import { accounts, endsIn, test } from './stack-fixture.ts';

/** Runs `work` while no request can change its state; `waiting` tells how many transactions stand at a lock. */
const whileRequestsAreLocked = async (
  databaseUrl: string,
  work: (waiting: () => Promise<number>) => Promise<void>,
): Promise<void> => {
  const holder = new pg.Client({ connectionString: databaseUrl });
  const onlooker = new pg.Client({ connectionString: databaseUrl });
  await Promise.all([holder.connect(), onlooker.connect()]);
  try {
    await holder.query('begin');
    await holder.query('select id from requests for update');
    await work(async () => {
      const { rows } = await onlooker.query(
        "select pid from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'",
      );
      return rows.length;
    });
  } finally {
    await holder.query('rollback');
    await Promise.all([holder.end(), onlooker.end()]);
  }
};

const cardOf = (approver: Person) => approver.window.getByRole('main');

test('an approver approves less: fewer instances and shorter, and the engineer gets exactly that', async ({
  person,
  picture,
  aws,
}) => {
  const kofi = await person('Kofi Vance');
  const rhea = await person('Rhea Nakamura');
  await kofi.request(['search-index-2', 'search-index-3'], 'Two shards are slow', '1h 30m');

  await test.step('the form says who gets what before anything is decided', async () => {
    await rhea.clickNotification(/^Kofi Vance asks for search-index-2 and 1 more, 1 h 30 m$/);
    const card = cardOf(rhea);
    await card.getByRole('button', { name: 'Approve less' }).click();
    await expect(card.getByRole('heading', { name: 'Approve less for Kofi Vance' })).toBeVisible();
    await expect(card.getByText('Asked for 2 instances, 1 h 30 m. “Two shards are slow”')).toBeVisible();
    // All that was asked is not less, and the button says why it cannot be pressed.
    await expect(card.getByRole('button', { name: 'Approve 1 h 30 m' })).toBeDisabled();
    await expect(card.getByText('This is all that was asked: make it shorter or fewer')).toBeVisible();
    // More than was asked cannot be given.
    await card.getByLabel('Another duration').fill('2h');
    await expect(card.getByRole('alert')).toHaveText('At most 1 h 30 m, as asked.');
    await card.getByRole('radio', { name: '30 min' }).click();
    await card.getByRole('checkbox', { name: /^search-index-3/ }).uncheck();
    await card.getByLabel('Say why').fill('One shard first.');
    await expect(card.getByText(/Kofi gets a shell on search-index-2, 30 min from when Kofi connects/)).toBeVisible();
    await picture(rhea.window, 'less');
    await card.getByRole('button', { name: 'Approve 30 min on 1' }).click();
    await expect(card.getByText(/^You approved/).first()).toBeVisible();
  });

  await test.step('the engineer reads that it is less, and by whom', async () => {
    const notice = await kofi.waitForNotification(/^Approved for less: search-index-2, 30 min$/);
    expect(notice.body).toBe('Rhea Nakamura: “One shard first.” The clock starts when you connect.');
    await kofi.clickNotification(/^Approved for less/);
    const grant = kofi.window.getByRole('article', { name: /^search-index-2: Ready: 30 min/ });
    await expect(grant).toContainText('approved for less, you asked for 2 instances, 1 h 30 m');
    await expect(grant).toContainText('approved by Rhea Nakamura');
    await picture(kofi.window, 'approved-for-less');
  });

  await test.step('AWS allows exactly that', async () => {
    const grant = kofi.window.getByRole('article', { name: /^search-index-2/ });
    await grant.getByRole('button', { name: 'Connect' }).click();
    const terminal = await kofi.terminal();
    await expect(terminal.getByText('Connected')).toBeVisible({ timeout: 60_000 });
    await kofi.sees('search-index-2');
    await expect(terminal.getByRole('timer').last()).toHaveAccessibleName(/^(29|30) minutes left on search-index-2/);
    const policy = await aws.accessPolicy('Kofi Vance', accounts.prod);
    expect([...new Set(JSON.stringify(policy).match(/m?i-[0-9a-f]{8,17}/g))]).toEqual(['i-0be2c9076d13f58a4']);
    const [ends] = endsIn(policy);
    expect(ends).toBeLessThanOrEqual(Date.now() + 30 * 60_000);
    expect(ends).toBeGreaterThan(Date.now() + 28 * 60_000);
  });
});

test('two approvers: each sees that the other has it, one is faster, the other is told who and when', async ({
  person,
  picture,
  stack,
  aws,
}) => {
  const mira = await person('Mira Okafor');
  const jonas = await person('Jonas Lindqvist');
  const aiko = await person('Aiko Brandt');
  await mira.request(['payments-ledger-db-2'], 'The replica lags', '25m');
  const asked = /^Mira Okafor asks for payments-ledger-db-2, 25 min$/;

  await test.step('the first one who opens it has it, and everybody sees that', async () => {
    await jonas.clickNotification(asked);
    await expect(cardOf(jonas).getByText(/Others see that you have it, until [a-z ]*\d\d:\d\d$/)).toBeVisible();
    await aiko.clickNotification(asked);
    const card = cardOf(aiko);
    await expect(card.getByRole('status').filter({ hasText: 'Jonas Lindqvist has this open' })).toContainText(
      /It comes back to everyone at [a-z ]*\d\d:\d\d unless Jonas Lindqvist decides/,
    );
    await expect(card.getByRole('button', { name: 'Approve 25 min' })).toHaveCount(0);
    await picture(aiko.window, 'claimed');
    await mira.goTo('My access');
    await expect(mira.window.getByText(/^Jonas Lindqvist has it open, asked/)).toBeVisible();
  });

  await test.step('taking over is seen by both', async () => {
    await cardOf(jonas).getByRole('button', { name: 'Approve less' }).click();
    await cardOf(jonas).getByRole('radio', { name: '15 min' }).click();
    await cardOf(aiko).getByRole('button', { name: 'Take it over' }).click();
    await expect(cardOf(aiko).getByRole('button', { name: 'Approve 25 min' })).toBeEnabled();
    await expect(
      jonas.window.getByRole('region', { name: 'Requests to decide' }).getByText('Aiko Brandt is deciding'),
    ).toBeVisible();
    await expect(mira.window.getByText(/^Aiko Brandt has it open, asked/)).toBeVisible();
    await cardOf(aiko).getByRole('button', { name: 'Approve less' }).click();
    await cardOf(aiko).getByRole('radio', { name: '15 min' }).click();
    await picture(jonas.window, 'taken-over');
  });

  await test.step('both send in the same instant: one decision stands', async () => {
    for (const { window } of [jonas, aiko]) {
      await expect(window.getByRole('button', { name: 'Approve 15 min' })).toBeEnabled();
    }
    // Neither can have heard of the other: both decisions have arrived before either can be written.
    await whileRequestsAreLocked(stack.databaseUrl, async (waiting) => {
      await Promise.all([jonas, aiko].map(({ window }) => window.keyboard.press('Control+Enter')));
      await until('both decisions at the lock', async () => ((await waiting()) >= 2 ? true : null));
    });
    const wonBy = async (who: Person): Promise<boolean> => {
      await expect(
        cardOf(who)
          .getByText(/^(You|Jonas Lindqvist|Aiko Brandt) approved/)
          .first(),
      ).toBeVisible();
      return (
        (await cardOf(who)
          .getByText(/^You approved/)
          .count()) > 0
      );
    };
    const jonasWon = await wonBy(jonas);
    expect(await wonBy(aiko)).toBe(!jonasWon);
    const [loser, winner] = jonasWon ? [aiko, 'Jonas Lindqvist'] : [jonas, 'Aiko Brandt'];
    const told = cardOf(loser).getByRole('alert');
    await expect(told).toContainText(new RegExp(`${winner} was faster at \\d\\d:\\d\\d:\\d\\d`));
    await expect(told).toContainText('Nothing of yours was recorded.');
    await picture(loser.window, 'too-late');
    const notice = await mira.waitForNotification(/^Approved for less: payments-ledger-db-2, 15 min$/);
    expect(notice.body).toContain(`By ${winner}.`);
    expect((await mira.notifications()).filter(({ title }) => title.includes('payments-ledger-db-2'))).toHaveLength(1);
    // One grant, not two.
    await expect(mira.window.getByRole('article', { name: /^payments-ledger-db-2: Ready: 15 min/ })).toHaveCount(1);
    expect(JSON.stringify(await aws.accessPolicy('Mira Okafor', accounts.prod))).not.toContain('i-0c65fb2983d10e7a4');
  });
});
