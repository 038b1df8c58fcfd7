/**
 * `npm start -- --tour`: the main job as two people would do it, in real windows of the app, with pauses only where a person would
 * wait. Every step is verified from outside the app. Writes pictures and a timeline into `tour/`.
 */
import { execFile } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { Kysely, PostgresDialect } from 'kysely';
import pg from 'pg';
import type { Browser } from 'playwright-core';
import { personalRoleName } from '../../backend/access-policy/principal.ts';
import { exportParts } from '../../backend/audit/export.ts';
import { openAuditKey, signHead } from '../../backend/audit/heads.ts';
import type { Schema } from '../../backend/store/schema.ts';
import { controlOf } from '../driver/local-aws-control.ts';
import { openSystemBrowser, Person, until } from '../driver/person.ts';
import { ensureRuntime } from '../machine/runtime.ts';
import { type Stack, startStack } from '../start/stack.ts';

const root = path.resolve(import.meta.dirname, '..', '..');
const out = path.join(root, 'tour');
const account = '482011773306';
const instances = [
  { name: 'payments-api-1', id: 'i-0f3a9c1d7b24e8a61' },
  { name: 'payments-batch-1', id: 'i-0712ce5fa83b6d904' },
] as const;
/** The pictures that the README shows, and how they are called there. */
const readmePictures = {
  '02-instances.png': 'instances.png',
  '04-approval.png': 'approval.png',
  '06-terminal.png': 'terminal.png',
  '09-ended.png': 'ended.png',
  '10-audit.png': 'audit.png',
} as const;

/** What is asked for: long enough to work, short enough to see it end. */
const asked = '2m';
const endedWithinMs = 200_000;

type Entry = { step: string; startedAt: string; ms: number; verified: string; picture: string | null };

class NotVerified extends Error {}

const verify = (holds: boolean, what: string): void => {
  if (!holds) throw new NotVerified(what);
};

const openTimeline = (say: (line: string) => void) => {
  const entries: Entry[] = [];
  return {
    entries,
    /** Does a step; `work` returns what was verified from outside, in words. */
    step: async (step: string, work: () => Promise<{ verified: string; picture?: string }>): Promise<void> => {
      const since = performance.now();
      const startedAt = new Date().toISOString();
      const { verified, picture } = await work();
      const ms = Math.round(performance.now() - since);
      entries.push({ step, startedAt, ms, verified, picture: picture ?? null });
      say(
        `${String(entries.length).padStart(2)}  ${(ms / 1000).toFixed(1).padStart(6)} s  ${step}\n              verified: ${verified}`,
      );
    },
  };
};

const writeTimeline = (entries: readonly Entry[], ok: boolean): void => {
  fs.writeFileSync(path.join(out, 'timeline.json'), `${JSON.stringify({ ok, entries }, null, 2)}\n`);
  const lines = entries.map(
    (entry, at) =>
      `| ${at + 1} | ${entry.startedAt.slice(11, 23)} | ${(entry.ms / 1000).toFixed(1)} s | ${entry.step} | ${entry.verified} | ${entry.picture === null ? '' : `[${entry.picture}](${entry.picture})`} |`,
  );
  const head = [
    '| | began (UTC) | took | step | verified from outside the app | picture |',
    '|---|---|---|---|---|---|',
  ];
  fs.writeFileSync(
    path.join(out, 'timeline.md'),
    `${['# The tour, step by step', '', ...head, ...lines, ''].join('\n')}`,
  );
};

/** The world as seen past the app: local-aws' control plane, the instance's own folder, the database. */
const outside = (stack: Stack) => {
  const control = controlOf(stack.localAwsUrl);
  const { identityStoreId } = stack.world.organisation;
  const mira = stack.world.people.find((person) => person.displayName === 'Mira Okafor');
  if (mira === undefined) throw new Error('Mira Okafor is not in the world.');
  const name = personalRoleName(identityStoreId, mira.id);
  return {
    /** The text of Mira's access policy as IAM holds it; null when there is none. */
    accessPolicy: async (): Promise<string | null> => {
      const { inlinePolicies } = await control.call('role', { account, name });
      const found = Object.entries(inlinePolicies).find(([policy]) => policy === 'curfew-access');
      return found === undefined ? null : JSON.stringify(found[1]);
    },
    activeSessions: async (): Promise<number> => {
      const sessions = await control.call('sessions');
      return sessions.filter((session) => session.status === 'Connected' || session.status === 'Connecting').length;
    },
    /** A file in the instance's home, written by its own shell. */
    homeFile: (file: string): string | null => {
      const runs = path.join(stack.folder, 'instances');
      const found = fs.globSync(`**/*${instances[0].id}*/**/${file}`, { cwd: runs }).map((one) => path.join(runs, one));
      return found[0] === undefined ? null : fs.readFileSync(found[0], 'utf8');
    },
  };
};

/** Exports the whole trail and lets the verifier of `npm run audit` judge it, knowing the key from outside. */
const verifyTrail = async (stack: Stack): Promise<string> => {
  const db = new Kysely<Schema>({
    dialect: new PostgresDialect({ pool: new pg.Pool({ connectionString: stack.databaseUrl, max: 1 }) }),
  });
  const file = path.join(out, 'audit.jsonl');
  try {
    const key = openAuditKey(path.join(stack.folder, 'keys'));
    await signHead(db, key, new Date());
    const wish = { format: 'jsonl' as const, requestId: null };
    fs.writeFileSync(file, '');
    for await (const { text } of exportParts({ db, key, wish, at: new Date() })) fs.appendFileSync(file, text);
    const cli = path.join(root, 'backend', 'audit', 'cli.ts');
    const { stdout } = await promisify(execFile)(process.execPath, [cli, 'verify', file, '--key', key.keyId]);
    return stdout.trim();
  } finally {
    await db.destroy();
  }
};

type Stage = { stack: Stack; mira: Person; jonas: Person; browser: Browser; say: (line: string) => void };

const shoot = async (
  page: { screenshot: (options: { path: string }) => Promise<unknown> },
  name: string,
): Promise<string> => {
  await page.screenshot({ path: path.join(out, name) });
  return name;
};

const approve = (person: Person) => person.window.getByRole('button', { name: /^Approve (?!less)/ });

const play = async (
  { stack, mira, jonas, browser }: Stage,
  { step }: ReturnType<typeof openTimeline>,
): Promise<void> => {
  const look = outside(stack);

  await step('Mira Okafor, engineer, signs in with the system browser', async () => {
    const picture = await shoot(mira.window, '01-sign-in.png');
    await mira.signIn(browser, 'Mira Okafor');
    await mira.window.getByText('payments-api-1', { exact: true }).first().waitFor();
    return { verified: 'the backend told her inventory to the app: 12 instances of her team', picture };
  });

  await step('Jonas Lindqvist, lead, signs in to a second app', async () => {
    await jonas.signIn(browser, 'Jonas Lindqvist');
    await jonas.goTo('Approvals');
    return { verified: 'two apps run at once, each with user data of its own' };
  });

  await step('Mira asks for two production instances', async () => {
    await mira.selectInstances(instances.map((one) => one.name));
    const list = await shoot(mira.window, '02-instances.png');
    await mira.fillRequest('Checkout latency doubled since 14:10. Need the worker queue depth.', asked);
    await mira.window
      .getByText(/must say yes|must approve|is asked|are asked/i)
      .first()
      .waitFor();
    await shoot(mira.window, '03-request.png');
    await mira.sendRequest();
    await mira.window.getByText('must approve').first().waitFor();
    verify((await look.accessPolicy()) === null, 'no access policy before a yes');
    return { verified: 'it waits for a person; IAM holds no access policy of hers', picture: list };
  });

  await step('Jonas is notified, opens the very request and reads it', async () => {
    await jonas.clickNotification(/Mira Okafor|asks|approve/i);
    await jonas.window.getByText('Checkout latency doubled').first().waitFor();
    await jonas.window.getByText('arn:aws:ec2:eu-central-1').first().waitFor();
    // A card can be decided once it has been open for a second: nobody says yes blindly.
    await until('the card to be decidable', async () => ((await approve(jonas).isEnabled()) ? true : null));
    const picture = await shoot(jonas.window, '04-approval.png');
    return { verified: 'the card shows both instance ARNs of the access policy to come', picture };
  });

  await step('Jonas approves', async () => {
    await approve(jonas).click();
    await mira.waitForNotification(/approved/i);
    verify((await look.accessPolicy()) === null, 'no access policy before the first connect');
    return { verified: 'Mira was notified; still no access policy: the clock starts when she connects' };
  });

  await step('Mira connects; IAM spreads the change', async () => {
    const control = controlOf(stack.localAwsUrl);
    // As long as IAM spreads the change AWS answers like this; on a busy machine it would be over before the picture is taken.
    await control.call('addFault', {
      match: { service: 'ssm', operation: 'GetConnectionStatus' },
      times: null,
      effect: { kind: 'error', code: 'AccessDeniedException' },
    });
    await mira.goTo('My access');
    await mira.window.getByRole('button', { name: 'Connect' }).first().click();
    await mira.window.getByRole('menuitem', { name: instances[0].name }).click();
    const terminal = await mira.terminal();
    await terminal.getByText('IAM is spreading the change').waitFor();
    const picture = await shoot(terminal, '05-spreading.png');
    await control.call('clearFaults');
    await mira.sees(/:~\$$/);
    const policy = (await look.accessPolicy()) ?? '';
    for (const { id } of instances) verify(policy.includes(id), `the access policy names ${id}`);
    verify(!policy.includes('instance/*'), 'the access policy is no wider');
    verify(policy.includes('DateLessThan'), 'the access policy carries its own end');
    verify((await look.activeSessions()) === 1, 'one active session');
    return {
      verified: 'the access policy in IAM names exactly the two instances and its own end; one session is active',
      picture,
    };
  });

  await step('Mira works in the terminal', async () => {
    await mira.typeLine('hostname; stty size; echo "Zürich 東京 ✓" | tee proof.txt');
    const screen = await mira.sees(/\nZürich 東京 ✓\n[^\n]*:~\$$/);
    verify(screen.includes('payments-api-1'), 'the prompt is on the right instance');
    verify(look.homeFile('proof.txt') === 'Zürich 東京 ✓\n', 'the shell on the instance wrote the file');
    await mira.typeLine('df -h / | tail -1; for i in 1 2 3; do date +"%T settle-eu lock wait $i.2s"; done');
    await mira.sees(/lock wait 3\.2s\n[^\n]*:~\$$/);
    await mira.typeLine('ls -la --color=always; uname -sr');
    await mira.sees(/Linux [^\n]*\n[^\n]*:~\$$/);
    const picture = await shoot(await mira.terminal(), '06-terminal.png');
    await shoot(mira.window, '07-my-access.png');
    return { verified: 'the shell on payments-api-1 wrote proof.txt into its own home', picture };
  });

  await step('The last minute', async () => {
    const terminal = await mira.terminal();
    await terminal.getByText('What is on the screen stays').waitFor({ timeout: endedWithinMs });
    const told = await mira.waitForNotification(/minute|ends|ending|left/i);
    return { verified: `native notification: “${told.title}”`, picture: await shoot(terminal, '08-last-minute.png') };
  });

  await step('The access ends by itself', async () => {
    const terminal = await mira.terminal();
    await terminal.getByText(/sessions gone .* after the end, verified/).waitFor({ timeout: endedWithinMs });
    verify((await look.accessPolicy()) === null, 'the access policy is gone');
    verify((await look.activeSessions()) === 0, 'no session is active');
    const words = await terminal.getByText(/sessions gone .* after the end/).textContent();
    return {
      verified: `IAM holds no access policy, no session is active. The receipt: ${words ?? ''}`,
      picture: await shoot(terminal, '09-ended.png'),
    };
  });

  await step('The audit trail tells all of it', async () => {
    await mira.goTo('Audit');
    await mira.window
      .getByText(/Access of Mira Okafor ended/)
      .first()
      .click();
    await mira.window
      .getByText(/Receipt/i)
      .first()
      .waitFor();
    const picture = await shoot(mira.window, '10-audit.png');
    return { verified: await verifyTrail(stack), picture };
  });
};

/** @returns 0 only when every step was verified. */
export const tour = async (options: {
  say: (line: string) => void;
  headed: boolean;
  build: () => Promise<void>;
  /** Copies the README's pictures into docs/pictures. */
  keepPictures: boolean;
}): Promise<number> => {
  const { say, headed, build } = options;
  fs.rmSync(out, { recursive: true, force: true });
  fs.mkdirSync(out, { recursive: true });
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'curfew-tour-'));
  fs.chmodSync(folder, 0o755);
  const runtime = await ensureRuntime({ folder: path.join(root, '.curfew'), headed, keyring: true, say });
  say('The tour: about 3 minutes, most of it waiting for a 2 minute grant to end.');
  await build();
  const timeline = openTimeline(say);
  const closing: Array<() => Promise<void>> = [];
  let failure: unknown = null;
  try {
    const stack = await startStack({ folder, say, durable: false });
    closing.push(stack.stop);
    const browser = await openSystemBrowser();
    closing.push(() => browser.close());
    const launch = async (name: string): Promise<Person> => {
      const person = await Person.launch({ name, folder, runtime, appEnv: stack.appEnv });
      closing.push(() => person.close());
      return person;
    };
    const mira = await launch('engineer');
    const jonas = await launch('approver');
    try {
      await play({ stack, mira, jonas, browser, say }, timeline);
    } catch (error) {
      // What the windows showed when it went wrong is worth more than the words.
      await shoot(mira.window, 'failed-engineer.png');
      await shoot(jonas.window, 'failed-approver.png');
      throw error;
    }
  } catch (error) {
    failure = error;
  } finally {
    for (const close of closing.reverse()) await close();
    fs.rmSync(folder, { recursive: true, force: true });
  }
  writeTimeline(timeline.entries, failure === null);
  if (failure !== null) {
    say(
      `Not verified after step ${timeline.entries.length}: ${failure instanceof Error ? failure.message : String(failure)}`,
    );
    return 1;
  }
  if (options.keepPictures) {
    for (const [from, to] of Object.entries(readmePictures)) {
      fs.copyFileSync(path.join(out, from), path.join(root, 'docs', 'pictures', to));
    }
  }
  say(
    `All ${timeline.entries.length} steps verified. Pictures and timeline: ${path.relative(process.cwd(), out)}/timeline.md`,
  );
  return 0;
};
