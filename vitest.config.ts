import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['src/**/*.test.{ts,tsx}', 'backend/**/*.test.ts', 'dev/**/*.test.ts'],
    globalSetup: ['dev/test/postgres-setup.ts'],
    testTimeout: 30_000,
    hookTimeout: 60_000,
    // Real Postgres, real processes: two cores are soon full.
    maxWorkers: 2,
  },
});
