import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['src/**/*.test.{ts,tsx}', 'backend/**/*.test.ts', 'dev/**/*.test.ts'],
    globalSetup: ['dev/test/postgres-setup.ts'],
    testTimeout: 30_000,
    hookTimeout: 60_000,
    // Real Postgres, real processes: two cores are soon full.
    maxWorkers: 2,
    // As in e2e/playwright.config.ts: once more, and the reporter names it.
    retry: 1,
  },
});
