import path from 'node:path';
import { defineConfig } from '@playwright/test';

/** One worker: each test file starts a whole stack and several app instances, and a machine has few cores. */
export default defineConfig({
  testDir: import.meta.dirname,
  outputDir: path.join(import.meta.dirname, '..', 'test-results'),
  workers: 1,
  fullyParallel: false,
  // Real windows, processes and clocks on a machine that others use too: what fails is tried once more on a fresh stack. What passes
  // only then is named at the end of the run, so nobody overlooks it.
  retries: 1,
  forbidOnly: true,
  timeout: 120_000,
  expect: { timeout: 15_000 },
  use: { actionTimeout: 15_000 },
});
