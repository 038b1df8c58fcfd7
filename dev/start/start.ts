/**
 * `npm start`: everything for the main job on this machine, no AWS account needed. `npm start -- --tour` does the main job by itself.
 * `npm run app -- NAME` opens one more app instance beside a running start.
 */
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { ensureRuntime } from '../machine/runtime.ts';
import type { TiedProcess } from '../machine/tied-process.ts';
import { launchApp, type RunningStart, runningFile } from './app.ts';
import { type Stack, startStack } from './stack.ts';

const root = path.resolve(import.meta.dirname, '..', '..');
const say = (line: string): void => console.log(line);

const run = (command: string, args: string[]): Promise<number> =>
  new Promise((resolve, reject) => {
    const child = spawn(command, args, { cwd: root, stdio: ['ignore', 'ignore', 'inherit'] });
    child.once('error', reject);
    child.once('exit', (code) => resolve(code ?? 1));
  });

/** Builds the app into `out/`. @throws Error when the build fails. */
const build = async (): Promise<void> => {
  const vite = path.join(root, 'node_modules', 'electron-vite', 'bin', 'electron-vite.js');
  if ((await run(process.execPath, [vite, 'build', '--logLevel', 'error'])) !== 0) {
    throw new Error('The app could not be built: see the messages above.');
  }
};

const hasDisplay = (): boolean =>
  process.platform !== 'linux' || Boolean(process.env['DISPLAY']) || Boolean(process.env['WAYLAND_DISPLAY']);

const readRunning = (folder: string): RunningStart => {
  const file = runningFile(folder);
  if (!fs.existsSync(file)) throw new Error('Nothing runs yet: type "npm start" in another terminal first.');
  return JSON.parse(fs.readFileSync(file, 'utf8'));
};

const whatToDo = (stack: Stack, runtime: string, headed: boolean): string[] => [
  '',
  `app               runs on ${runtime === 'electron' ? 'Electron' : 'the stand-in for Electron (Chromium)'}${headed ? '' : ', without a display: nobody can see its windows'}`,
  `data              ${stack.folder}`,
  '',
  ...(headed
    ? [
        'What to do first',
        '  1. In the window that opens: Sign in. A browser page asks whom to play: choose Mira Okafor (engineer, Payments).',
        '  2. Pick payments-sim-d1 (development: a rule says yes at once) or payments-api-1 (production: a lead must say yes), then Request access.',
        '  3. The approver: type "npm run app -- approver" in a second terminal and sign in there as Jonas Lindqvist (lead, Payments).',
        '  4. Connect from My access. The access ends by itself; Audit shows all of it.',
      ]
    : [
        'There is no display here. "npm start -- --tour" does the whole job in headless windows and writes pictures to tour/.',
        'With a display (or under xvfb-run) the windows open; then sign in as Mira Okafor, and "npm run app -- approver" as Jonas Lindqvist.',
      ]),
  '',
  'Ctrl-C ends everything. Starting again finds the same data.',
];

const untilSignal = (): Promise<string> =>
  new Promise((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => resolve(signal));
  });

const main = async (): Promise<number> => {
  const { values } = parseArgs({
    options: {
      tour: { type: 'boolean', default: false },
      'keep-pictures': { type: 'boolean', default: false },
      app: { type: 'string' },
      folder: { type: 'string', default: path.join(root, '.curfew') },
    },
  });
  const folder = path.resolve(values.folder);
  const headed = hasDisplay();
  if (values.tour) {
    const { tour } = await import('../tour/tour.ts');
    return await tour({ say, headed, build, keepPictures: values['keep-pictures'] });
  }
  const runtime = await ensureRuntime({ folder, headed, keyring: true, say });
  if (values.app !== undefined) {
    const name = values.app.replaceAll(/[^a-z0-9-]/gi, '-');
    const app = launchApp({ name, folder, runtime, appEnv: readRunning(folder).appEnv });
    say(`App "${name}" runs with user data of its own. Ctrl-C or its tray's Quit ends it.`);
    const ended = await Promise.race([app.ended, untilSignal()]);
    await app.stop();
    return typeof ended === 'number' ? ended : 0;
  }
  // Listen before anything starts, so that an early Ctrl-C still stops what is there.
  const signalled = untilSignal();
  say('Curfew on this machine. Starting (about 5 s) …');
  await build();
  const stack = await startStack({ folder, say, ports: { localAws: 4566, backend: 4400 } });
  const running: RunningStart = { appEnv: stack.appEnv };
  fs.writeFileSync(runningFile(folder), JSON.stringify(running));
  let app: TiedProcess | null = null;
  try {
    app = launchApp({ name: 'engineer', folder, runtime, appEnv: stack.appEnv });
    for (const line of whatToDo(stack, runtime.runtime, headed)) say(line);
    const first = await Promise.race([signalled, app.ended]);
    if (typeof first === 'number') {
      say(
        `The app ended (code ${first}). The rest goes on: "npm run app -- engineer" opens it again, Ctrl-C ends everything.`,
      );
      await signalled;
    }
  } finally {
    say('Ending …');
    fs.rmSync(runningFile(folder), { force: true });
    await app?.stop();
    await stack.stop();
  }
  return 0;
};

try {
  process.exitCode = await main();
} catch (error) {
  console.error(error instanceof Error ? error.message : String(error));
  process.exitCode = 1;
}
process.exit();
