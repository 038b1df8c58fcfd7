/** Vitest's global set-up: one throw-away Postgres for the whole run. Tests take databases of it by `freshStore()`. */
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import type { TestProject } from 'vitest/node';
import { startPostgres } from '../postgres/supervisor.ts';

export const setup = async (project: TestProject): Promise<() => Promise<void>> => {
  const home = fs.mkdtempSync(path.join(os.tmpdir(), 'curfew-test-'));
  fs.chmodSync(home, 0o755);
  const postgres = await startPostgres({ folder: path.join(home, 'postgres'), durable: false });
  project.provide('postgresUrl', postgres.url('postgres'));
  return async () => {
    await postgres.stop();
    fs.rmSync(home, { recursive: true, force: true });
  };
};

declare module 'vitest' {
  export interface ProvidedContext {
    postgresUrl: string;
  }
}
