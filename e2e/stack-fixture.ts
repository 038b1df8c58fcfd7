/**
 * What a test of the main job needs: a whole stack (Postgres, local-aws, backend) as if nobody had done anything yet, the
 * system browser, and people at apps of their own. The processes are the worker's, what they hold is the test's. After a failure the report holds a picture of every window and the ends of the logs.
 */
import fs from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { test as base, type Page, type TestInfo } from '@playwright/test';
import type { Browser } from 'playwright-core';
import { accessPolicyOf, activeSessions, controlOf, type LocalAwsControl } from '../dev/driver/local-aws-control.ts';
import { openSystemBrowser, Person } from '../dev/driver/person.ts';
import { electronExecutable } from '../dev/electron-standin/find-electron.ts';
import { type Stack, startStack } from '../dev/start/stack.ts';

/** The two accounts of the world. */
export const accounts = { prod: '482011773306', dev: '739164205518' } as const;

/** The ends that an access policy carries itself, ms since 1970, each once, soonest first. */
export const endsIn = (document: unknown): number[] => {
  const found = JSON.stringify(document).matchAll(/"DateLessThan":\{"aws:CurrentTime":"([^"]+)"/g);
  return [...new Set([...found].map(([, end]) => Date.parse(end ?? '')))].sort((one, other) => one - other);
};

/** The home folder of an instance of the world, by its name: what a shell on it reads and writes. */
export const homeOf = ({ folder, world }: Stack, name: string): string => {
  const instance = world.instances.find((one) => one.name === name);
  if (instance === undefined) throw new Error(`The world has no ${name}.`);
  const { account, region, id } = instance;
  return path.join(folder, 'instances', 'instances', `${account}-${region}-${id}`, 'home');
};

type AtApp = {
  /** Names the user data: the same name finds the data of an earlier app again. A new name when left out. */
  name?: string;
  /** False: the app is left at its sign-in screen. */
  signIn?: boolean;
  /** False: no admin has set the organisation; the app asks for it. */
  managed?: boolean;
};

/** What AWS itself says about a person of the world, by display name. */
export type AwsView = {
  /** The access policy on the person's role in this account; null when there is none. */
  accessPolicy(displayName: string, account: string): Promise<unknown>;
  /** Ids of the sessions of that role that are not over. */
  activeSessions(displayName: string, account: string): Promise<string[]>;
};

type TestFixtures = {
  /** Renewed for each test: nothing that another test did is left. */
  stack: Stack;
  control: LocalAwsControl;
  aws: AwsView;
  /** Launches the app for somebody of the world and signs in; closed at the end of the test. */
  person: (displayName: string, how?: AtApp) => Promise<Person>;
  /** Keeps a picture of a window in the test's output folder. */
  picture: (page: Page, name: string) => Promise<void>;
};
type WorkerFixtures = {
  /** One for all tests of the worker: tests ask for `stack`. */
  sharedStack: Stack;
  systemBrowser: Browser;
};

const logsOf = (folder: string): string[] =>
  fs
    .readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((file) => /(^|\/)logs\/[^/]+\.log$|local-aws\.log$/.test(file))
    .map((file) => path.join(folder, file));

/** Files in the test's folder, so that they are kept whatever the reporter. */
const attachFailure = async (info: TestInfo, people: readonly Person[], folder: string): Promise<void> => {
  for (const [number, { app }] of people.entries()) {
    for (const [window, page] of app.windows().entries()) {
      const file = info.outputPath(`failed-app-${number + 1}-window-${window + 1}.png`);
      const taken = await page.screenshot({ path: file, timeout: 5000 }).catch(() => null);
      if (taken !== null) info.attachments.push({ name: path.basename(file), path: file, contentType: 'image/png' });
    }
  }
  for (const log of logsOf(folder)) {
    const file = info.outputPath(`failed-${path.relative(folder, log).replaceAll('/', '-')}`);
    fs.writeFileSync(file, fs.readFileSync(log, 'utf8').split('\n').slice(-80).join('\n'));
    info.attachments.push({ name: path.basename(file), path: file, contentType: 'text/plain' });
  }
};

/** Runs `work` without a backend, stopped as an admin would or killed as the kernel would; it is there again afterwards, whatever happened. */
export const withoutBackend = async (stack: Stack, how: 'stop' | 'kill', work: () => Promise<void>): Promise<void> => {
  await stack.backend[how]();
  try {
    await work();
  } finally {
    await stack.backend.start();
  }
};

let launched = 0;

export const test = base.extend<TestFixtures, WorkerFixtures>({
  sharedStack: [
    // biome-ignore lint/correctness/noEmptyPattern: Playwright reads what a fixture needs from this pattern
    async ({}, use) => {
      const folder = await mkdtemp(path.join(os.tmpdir(), 'curfew-e2e-stack-'));
      try {
        const stack = await startStack({
          folder,
          say: () => undefined,
          durable: false,
          configure: { intervals: { inventorySeconds: 3, tagsSeconds: 3, sweepSeconds: 10, auditHeadSeconds: 10 } },
        });
        try {
          await use(stack);
        } finally {
          await stack.stop();
        }
      } finally {
        await rm(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
      }
    },
    { scope: 'worker', timeout: 180_000 },
  ],
  stack: [
    async ({ sharedStack }, use) => {
      await sharedStack.renew();
      await use(sharedStack);
    },
    { timeout: 120_000 },
  ],
  control: async ({ stack }, use) => use(controlOf(stack.localAwsUrl)),
  aws: async ({ stack, control }, use) => {
    const idOf = (displayName: string): string => {
      const found = stack.world.people.find((one) => one.displayName === displayName);
      if (found === undefined) throw new Error(`The world has no ${displayName}.`);
      return found.id;
    };
    await use({
      accessPolicy: (displayName, account) => accessPolicyOf(control, { account, personId: idOf(displayName) }),
      activeSessions: async (displayName, account) =>
        (await activeSessions(control, { account, personId: idOf(displayName) })).map(({ sessionId }) => sessionId),
    });
  },
  systemBrowser: [
    // biome-ignore lint/correctness/noEmptyPattern: as above
    async ({}, use) => {
      const browser = await openSystemBrowser();
      await use(browser);
      await browser.close();
    },
    { scope: 'worker', timeout: 60_000 },
  ],
  person: async ({ stack, systemBrowser }, use, info) => {
    const people: Person[] = [];
    await use(async (displayName, how = {}) => {
      launched += 1;
      const unmanaged = Object.entries(stack.appEnv).filter(([name]) => !name.startsWith('CURFEW_'));
      const person = await Person.launch({
        name: how.name ?? `person-${launched}`,
        folder: stack.folder,
        runtime: electronExecutable({ keyring: true }),
        appEnv: how.managed === false ? Object.fromEntries(unmanaged) : stack.appEnv,
      });
      people.push(person);
      if (how.signIn !== false) await person.signIn(systemBrowser, displayName);
      return person;
    });
    if (info.status !== info.expectedStatus) await attachFailure(info, people, stack.folder);
    for (const one of people) await one.close();
  },
  // biome-ignore lint/correctness/noEmptyPattern: as above
  picture: async ({}, use, info) => {
    let number = 0;
    await use(async (page, name) => {
      number += 1;
      await page.screenshot({ path: info.outputPath(`${String(number).padStart(2, '0')}-${name}.png`) });
    });
  },
});
