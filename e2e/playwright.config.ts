import path from 'node:path';
import { defineConfig } from '@playwright/test';

/** One worker: each test file starts a whole stack and several app instances, and a machine has few cores. */
export default defineConfig({
  testDir: import.meta.dirname,
  outputDir: path.join(import.meta.dirname, '..', 'test-results'),
  workers: 1,
  fullyParallel: false,
  retries: 0,
  forbidOnly: true,
  timeout: 120_000,
  expect: { timeout: 15_000 },
  use: { actionTimeout: 15_000 },
});
