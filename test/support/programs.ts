import { chmod, copyFile, mkdir, readdir, rm } from 'node:fs/promises';
import { existsSync, statfsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import type { Plugin } from 'vite';
import type { TestProject } from 'vitest/node';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const CACHE = join(ROOT, 'node_modules', '.cache');

/**
 * The programs of worker threads and child processes in the tests. `typescript-hook.mjs` finds them
 * by name.
 */
const PROGRAMS = [
  'src/cli/main.ts',
  'src/cli/run.ts',
  'src/fs/lease.ts',
  'src/threads/thread-entry.ts',
  'test/support/kill-writer.ts',
  'test/support/lock-holder.ts',
  'test/support/lock-thread.ts',
  'test/support/memory-child.ts',
  'test/support/permission-reader.ts',
  'test/support/store-holder.ts',
  'test/support/store-thread.ts',
  'test/support/awaiting-reader.ts',
  'test/support/unsettled-child.ts',
  'test/storage-node/support/stopped-rebuild.ts',
];

/**
 * The entry points of the package, for the examples: `lodestore-fs.js` for `lodestore/fs`. They
 * share their modules, so that an error of one is an instance of the other's class.
 */
const PACKAGE = {
  lodestore: 'src/index.ts',
  'lodestore-fs': 'src/fs/index.ts',
  'lodestore-replicated': 'src/replicated/index.ts',
  'lodestore-etcd': 'src/adapters/etcd/index.ts',
  'lodestore-nats': 'src/adapters/nats/index.ts',
  'lodestore-postgres': 'src/adapters/postgres/index.ts',
  'lodestore-s3': 'src/adapters/s3/index.ts',
  'lodestore-prometheus': 'src/metrics/prometheus.ts',
};

/** Tests sync thousands of files. `npm run test:real` tests the effect of a sync on a disk. */
const MEMORY = '/dev/shm';
const LEAST_FREE_BYTES = 2 * 1024 ** 3;

/**
 * Bundles each program into one file: a thread or process that loads 100 TypeScript modules takes
 * 0.3 s of CPU time to start, and the tests start some 2,000.
 */
async function bundle(directory: string): Promise<void> {
  const options = {
    absWorkingDir: ROOT,
    outdir: directory,
    bundle: true,
    format: 'esm',
    platform: 'node',
    target: 'node20',
    packages: 'external',
    logLevel: 'error',
  } as const;
  await build({ ...options, entryPoints: PROGRAMS, entryNames: '[name]' });
  await build({ ...options, entryPoints: PACKAGE, splitting: true });
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

/**
 * Creates a directory for this run, and removes those of killed runs. Concurrent runs keep theirs.
 */
async function directoryOfRun(parent: string): Promise<string> {
  await mkdir(parent, { recursive: true });
  for (const name of await readdir(parent)) {
    const [, pid] = /^lodestore-tests-(\d+)$/.exec(name) ?? [];
    if (pid !== undefined && (Number(pid) === process.pid || !isAlive(Number(pid))))
      await rm(join(parent, name), { recursive: true, force: true });
  }
  const directory = join(parent, `lodestore-tests-${process.pid}`);
  await mkdir(directory);
  return directory;
}

function hasRoom(directory: string): boolean {
  if (!existsSync(directory)) return false;
  const { bavail, bsize } = statfsSync(directory);
  return bavail * bsize >= LEAST_FREE_BYTES;
}

/**
 * Sets LODESTORE_TEST_PROGRAMS, and TMPDIR if it is not set, for all child processes of the run.
 */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const home = await directoryOfRun(CACHE);
  // The command line reads `../../package.json`, relative to its file.
  const programs = join(home, 'src', 'programs');
  await copyFile(join(ROOT, 'package.json'), join(home, 'package.json'));
  await bundle(programs);
  project.onTestsRerun(() => bundle(programs));
  process.env['LODESTORE_TEST_PROGRAMS'] = programs;

  const isInMemory = process.env['TMPDIR'] === undefined && hasRoom(MEMORY);
  const temporary = isInMemory ? await directoryOfRun(MEMORY) : undefined;
  if (temporary !== undefined) {
    // Like /tmp: some tests run programs as another user.
    await chmod(temporary, 0o1777);
    process.env['TMPDIR'] = temporary;
  }

  return async () => {
    await rm(home, { recursive: true, force: true });
    if (temporary !== undefined) await rm(temporary, { recursive: true, force: true });
  };
}

/** Threads of stores in the test's process start from the bundle, too. */
export function threadsFromBundle(): Plugin {
  const entry = "new URL('./thread-entry.js', import.meta.url)";
  const bundled = "new URL(`file://${process.env['LODESTORE_TEST_PROGRAMS']}/thread-entry.js`)";
  return {
    name: 'threads-from-bundle',
    enforce: 'pre',
    transform(code, id) {
      if (!id.endsWith('/src/threads/thread.ts')) return undefined;
      if (!code.includes(entry)) throw new Error(`${id} names its entry in another way`);
      return { code: code.replace(entry, bundled), map: null };
    },
  };
}
