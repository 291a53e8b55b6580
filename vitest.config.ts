import { defineConfig, type TestProjectInlineConfiguration } from 'vitest/config';
import { FileLimit } from './test/support/file-limit.ts';
import { ISOLATED_FILES } from './test/support/isolated-files.ts';
import { threadsFromBundle } from './test/support/programs.ts';

/** `npm run test:full` has files that take longer. */
const isFull = process.env['LODESTORE_TEST_FULL'] !== undefined;
const SOURCE = new URL('./src/', import.meta.url).pathname;

const ISOLATED = Object.keys(ISOLATED_FILES);
const SETUP = './test/support/setup.ts';

// The workspace asks for the package by name: its tests run the sources, not the last build.
const resolve = {
  alias: [
    { find: /^lodestore$/, replacement: `${SOURCE}index.ts` },
    { find: /^lodestore\/fs$/, replacement: `${SOURCE}fs/index.ts` },
    { find: /^lodestore\/prometheus$/, replacement: `${SOURCE}metrics/prometheus.ts` },
    { find: /^lodestore\/replicated$/, replacement: `${SOURCE}replicated/index.ts` },
    { find: /^lodestore\/etcd$/, replacement: `${SOURCE}adapters/etcd/index.ts` },
    { find: /^lodestore\/nats$/, replacement: `${SOURCE}adapters/nats/index.ts` },
    { find: /^lodestore\/postgres$/, replacement: `${SOURCE}adapters/postgres/index.ts` },
    { find: /^lodestore\/s3$/, replacement: `${SOURCE}adapters/s3/index.ts` },
    { find: /^lodestore\/testing$/, replacement: `${SOURCE}testing/index.ts` },
  ],
};

const test: TestProjectInlineConfiguration['test'] = {
  pool: 'forks',
  setupFiles: SETUP,
  // Worker threads load src/*.ts as they are: plain Node needs a hook for that.
  execArgv: ['--import', new URL('./test/support/register-typescript.mjs', import.meta.url).href],
  testTimeout: 60_000,
  hookTimeout: 60_000,
  expect: { poll: { timeout: 30_000 } },
};

export default defineConfig({
  test: {
    globalSetup: './test/support/programs.ts',
    maxWorkers: 2,
    reporters: isFull ? ['default'] : ['default', new FileLimit()],
    // In this order: most of the long files are isolated.
    projects: [
      {
        resolve,
        plugins: [threadsFromBundle()],
        test: { ...test, name: 'isolated', include: ISOLATED },
      },
      {
        resolve,
        plugins: [threadsFromBundle()],
        test: {
          ...test,
          name: 'shared',
          isolate: false,
          setupFiles: [SETUP, './test/support/shared-process.ts'],
          include: ['test/**/*.test.ts', 'property-tests/**/*.test.ts'],
          exclude: ISOLATED,
        },
      },
    ],
  },
});
