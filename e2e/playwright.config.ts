import path from 'node:path';
import { defineConfig } from '@playwright/test';

/** One worker: each test file starts a whole stack and several app instances, and a machine has few cores. */
export default defineConfig({
  testDir: import.meta.dirname,
  outputDir: path.join(import.meta.dirname, '..', 'test-results'),
  workers: 1,
  fullyParallel: false,
  // A second try tells a machine that stumbled from what is broken; `npm test` names each and fails when there are several.
  retries: 1,
  forbidOnly: true,
  // Long enough for a machine that is busy with other things: how fast Curfew is, the benchmark says.
  timeout: 240_000,
  expect: { timeout: 30_000 },
  use: { actionTimeout: 30_000 },
});
