import { defineConfig } from 'vitest/config';
import { threadsFromBundle } from './test/support/programs.ts';

export default defineConfig({
  plugins: [threadsFromBundle()],
  test: {
    include: ['test/**/*.test.ts', 'property-tests/**/*.test.ts'],
    globalSetup: './test/support/programs.ts',
    pool: 'forks',
    maxWorkers: 2,
    // Worker threads load src/*.ts as they are: plain Node needs a hook for that.
    execArgv: ['--import', new URL('./test/support/register-typescript.mjs', import.meta.url).href],
    testTimeout: 60_000,
    hookTimeout: 60_000,
    expect: { poll: { timeout: 30_000 } },
  },
});
