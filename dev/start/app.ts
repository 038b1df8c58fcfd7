/** One instance of the built app with user data of its own: the engineer's beside the approver's. */
import fs from 'node:fs';
import path from 'node:path';
import type { ElectronExecutable } from '../electron-standin/find-electron.ts';
import { spawnTied, type TiedProcess } from '../machine/tied-process.ts';

/** What `npm run app` needs to join a running `npm start`; holds no secret. */
export type RunningStart = { appEnv: Record<string, string> };

export const runningFile = (folder: string): string => path.join(folder, 'running.json');

/** @param name becomes the folder of its user data. */
export const launchApp = (options: {
  name: string;
  folder: string;
  runtime: ElectronExecutable;
  appEnv: Record<string, string>;
}): TiedProcess => {
  const userData = path.join(options.folder, 'apps', options.name);
  const logs = path.join(options.folder, 'logs');
  fs.mkdirSync(userData, { recursive: true, mode: 0o700 });
  fs.mkdirSync(logs, { recursive: true });
  const { runtime } = options;
  const tied = spawnTied([runtime.path, ...runtime.args, `--user-data-dir=${userData}`], {
    env: { ...process.env, ...runtime.env, ...options.appEnv },
  });
  const log = fs.createWriteStream(path.join(logs, `app-${options.name}.log`), { flags: 'a' });
  tied.child.stdout?.pipe(log, { end: false });
  tied.child.stderr?.pipe(log, { end: false });
  void tied.ended.then(() => log.end());
  return tied;
};
