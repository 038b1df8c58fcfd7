/** The built app as a person has it: start to usable window, click to prompt with every pixel drawn, memory of ten terminals. */
import fs from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { controlOf } from '../dev/driver/local-aws-control.ts';
import { openSystemBrowser, Person, until } from '../dev/driver/person.ts';
import { electronExecutable } from '../dev/electron-standin/find-electron.ts';
import type { Stack } from '../dev/start/stack.ts';
import type { Figure } from './figures.ts';

const starts = 6;
const grants = 5;
const terminals = 10;
const instanceName = 'payments-sim-d1';

const launch = (stack: Stack, name: string): Promise<Person> =>
  Person.launch({
    name,
    folder: stack.folder,
    runtime: electronExecutable({ keyring: true }),
    appEnv: stack.appEnv,
  });

const signedIn = async (stack: Stack, name: string): Promise<Person> => {
  const person = await launch(stack, name);
  const browser = await openSystemBrowser();
  try {
    await person.signIn(browser, 'Mira Okafor');
  } finally {
    await browser.close();
  }
  return person;
};

const listIsDrawn = (person: Person): Promise<void> =>
  person.window.getByRole('checkbox', { name: `Select ${instanceName}`, exact: true }).waitFor({ timeout: 60_000 });

const runtimeName = (): string =>
  electronExecutable().runtime === 'electron' ? 'Electron' : 'the stand-in over Chromium';

/** Launch to the instance list drawn, signed in by what the keychain kept. */
export const appStart = async (stack: Stack): Promise<Figure[]> => {
  const first = await signedIn(stack, 'bench-start');
  await listIsDrawn(first);
  await first.close();
  const values: number[] = [];
  for (let at = 0; at < starts; at += 1) {
    const since = performance.now();
    const person = await launch(stack, 'bench-start');
    await listIsDrawn(person);
    values.push(performance.now() - since);
    await person.close();
  }
  return [
    {
      name: 'app start to the list drawn',
      unit: 'ms',
      values: values.slice(1),
      note: `warm profile, signed in; on ${runtimeName()}, whose own start counts too`,
    },
  ];
};

const openForm = async (person: Person): Promise<void> => {
  await person.selectInstances([instanceName]);
  await person.window.getByRole('button', { name: 'Request access' }).first().click();
  const form = person.window.getByRole('complementary', { name: 'Request access' });
  await form.getByRole('radio', { name: '30 min' }).click();
  await form.getByLabel('Why').fill('Measure how long this takes');
  await form.getByText('Approved at once').waitFor();
};

const requestAndConnect = async (person: Person): Promise<void> => {
  const form = person.window.getByRole('complementary', { name: 'Request access' });
  await form.getByRole('button', { name: 'Request and connect' }).click();
};

const promptIsDrawn = (person: Person): Promise<true> =>
  until('a prompt', async () => ((await person.screenText()).trimEnd().endsWith('$') ? true : null), 60_000);

const endFromTerminal = async (person: Person): Promise<void> => {
  const terminal = await person.terminal();
  await terminal.getByRole('button', { name: 'End', exact: true }).click();
  await terminal.getByRole('alertdialog').getByRole('button', { name: 'End access' }).click();
  await terminal.getByText(/^Access policy gone .* after the end, verified/).waitFor({ timeout: 60_000 });
};

const closeTabs = async (person: Person): Promise<void> => {
  const terminal = await person.terminal();
  await terminal
    .getByRole('button', { name: /^Close / })
    .first()
    .click();
};

/** Click on "Request and connect" to the prompt in the terminal's own rows. */
export const clickToPrompt = async (stack: Stack): Promise<Figure[]> => {
  const { settings } = await controlOf(stack.localAwsUrl).call('faults');
  const person = await signedIn(stack, 'bench-click');
  try {
    const values: number[] = [];
    for (let at = 0; at <= grants; at += 1) {
      await openForm(person);
      const since = performance.now();
      await requestAndConnect(person);
      await promptIsDrawn(person);
      values.push(performance.now() - since - settings.spreadingDelayMs);
      await endFromTerminal(person);
      await closeTabs(person);
      // The ending must have spread, or the next round would begin on what is left of this one.
      await sleep(settings.spreadingDelayMs);
    }
    return [
      {
        name: 'click to prompt, in the windows',
        unit: 'ms',
        values: values.slice(1),
        note: `the spreading delay of ${settings.spreadingDelayMs} ms is subtracted; on ${runtimeName()}`,
      },
    ];
  } finally {
    await person.close();
  }
};

type ProcessSeen = { pid: number; parent: number; command: string; residentMegabytes: number };

/** All processes of this machine, by /proc: Linux only. */
const processes = (): ProcessSeen[] =>
  fs.readdirSync('/proc').flatMap((name) => {
    if (!/^\d+$/.test(name)) return [];
    try {
      const status = fs.readFileSync(`/proc/${name}/status`, 'utf8');
      const number = (key: string): number => Number(new RegExp(`^${key}:\\s+(\\d+)`, 'm').exec(status)?.[1] ?? 0);
      const command = fs.readFileSync(`/proc/${name}/cmdline`, 'utf8').replaceAll('\0', ' ');
      return [{ pid: Number(name), parent: number('PPid'), command, residentMegabytes: number('VmRSS') / 1024 }];
    } catch {
      // It ended while we looked.
      return [];
    }
  });

const heapMegabytes = async (person: Person): Promise<number[]> => {
  const sizes: number[] = [];
  for (const page of person.app.windows()) {
    const session = await page.context().newCDPSession(page);
    await session.send('HeapProfiler.collectGarbage');
    const { usedSize } = await session.send('Runtime.getHeapUsage');
    sizes.push(usedSize / 1_000_000);
    await session.detach();
  }
  return sizes;
};

/** Ten terminals on one grant, each after 2,000 lines of output. */
export const memory = async (stack: Stack): Promise<Figure[]> => {
  const person = await signedIn(stack, 'bench-memory');
  try {
    const mainPid = await person.app.evaluate(() => process.pid);
    const mainAlone = processes().find(({ pid }) => pid === mainPid)?.residentMegabytes ?? Number.NaN;
    await openForm(person);
    await requestAndConnect(person);
    const terminal = await person.terminal();
    for (let number = 1; number <= terminals; number += 1) {
      if (number > 1) await terminal.getByRole('button', { name: 'New terminal on the same instance' }).click();
      await terminal
        .getByRole('tab')
        .nth(number - 1)
        .waitFor();
      await promptIsDrawn(person);
      await person.typeLine(`clear; seq 1 2000; echo "drawn-$((${number} + 40))"; PS1='$ '`);
      await person.sees(`drawn-${number + 40}`);
    }
    const all = processes();
    const clients = all.filter(({ parent, command }) => parent === mainPid && command.includes('session-client'));
    const main = all.find(({ pid }) => pid === mainPid);
    const heaps = await heapMegabytes(person);
    await endFromTerminal(person);
    return [
      { name: 'memory: main process, no terminal', unit: 'MB', values: [mainAlone], note: 'resident' },
      {
        name: 'memory: main process, ten terminals',
        unit: 'MB',
        values: [main?.residentMegabytes ?? Number.NaN],
        note: 'resident',
      },
      {
        name: 'memory: each session client',
        unit: 'MB',
        values: clients.map(({ residentMegabytes }) => residentMegabytes),
        note: 'resident, most of it Node itself and shared',
      },
      {
        name: 'memory: windows’ JavaScript heaps',
        unit: 'MB',
        values: heaps,
        note: 'after garbage collection, one value a window',
      },
    ];
  } finally {
    await person.close();
  }
};
