import { readdirSync, readlinkSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { afterEach, expect, test } from 'vitest';
import type { Job, JobResult } from '../../src/jobs/run-job.ts';
import type { JobRunner } from '../../src/threads/job-runner.ts';
import { ThreadPool } from '../../src/threads/thread-pool.ts';
import { NOWHERE } from '../support/nowhere.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/** Takes jobs and ends them when the test says so. */
class Helper implements JobRunner {
  readonly parallelism = 1;
  readonly taken: Job[] = [];
  readonly #ends: (() => void)[] = [];

  run<J extends Job>(job: J): Promise<JobResult<J>> {
    this.taken.push(job);
    return new Promise((resolve) => {
      this.#ends.push(() => resolve('helped' as never));
    });
  }

  async close(): Promise<void> {
    // Has no job to run.
  }

  /** Ends all its jobs, including those that it takes meanwhile. */
  async endAll(jobs: readonly Promise<unknown>[]): Promise<void> {
    const left = new Set(jobs);
    const done = Promise.all(
      jobs.map(async (job) => {
        await job.catch(() => undefined);
        left.delete(job);
      }),
    );
    while (left.size > 0) {
      for (const end of this.#ends.splice(0)) end();
      await new Promise((resume) => setImmediate(resume));
    }
    await done;
  }
}

function chunks(firstOrdinal: number): Job {
  const storeId = new Uint8Array(16);
  const file = { path: '/nowhere', number: 1, storeId, fileBytes: 0 };
  return { kind: 'load-chunks', ...file, firstOrdinal, entries: [] };
}

function piece(from: number): Job {
  return { kind: 'load-log-piece', path: '/nowhere', number: 1, range: { from, to: from + 1 } };
}

const pools: ThreadPool[] = [];

function poolOf(
  threads: number,
  runner: JobRunner = new Helper(),
  role: 'share' | 'stand-in' = 'stand-in',
): ThreadPool {
  const pool = new ThreadPool(NOWHERE, threads, { runner, role }, (error) => {
    throw error;
  });
  pools.push(pool);
  return pool;
}

afterEach(() => Promise.all(pools.splice(0).map((pool) => pool.close())));

test('the helper takes chunks first among concurrent jobs, two at a time', async () => {
  const helper = new Helper();
  const pool = poolOf(1, helper, 'share');
  const jobs = [piece(0), chunks(0), piece(1), chunks(1), chunks(2)];
  const running = jobs.map((job) => pool.run(job).catch(() => 'failed'));
  await Promise.resolve();
  expect(helper.taken).toEqual([chunks(0), chunks(1)]);
  await helper.endAll(running);
});

test('jobs that the helper does not take go to threads', async () => {
  const helper = new Helper();
  const pool = poolOf(2, helper, 'share');
  const running = [0, 1, 2, 3].map((i) => pool.run(chunks(i)));
  await Promise.resolve();
  expect(helper.taken).toHaveLength(2);
  // The file does not exist: a thread rejects, while the helper does not read it.
  for (const job of running.slice(2)) await expect(job).rejects.toMatchObject({ code: 'ENOENT' });
  await helper.endAll(running);
});

test('a job only for threads is not delayed by waiting chunks', async () => {
  const helper = new Helper();
  const pool = poolOf(1, helper, 'share');
  const ended: string[] = [];
  const note = (name: string) => () => void ended.push(name);
  const file = { path: '/nowhere', number: 1, storeId: undefined, expectedBytes: 0 };
  const log = { kind: 'load-log' as const, ...file };
  const loading = [pool.run(log).catch(note('log'))];
  const waiting = [0, 1, 2, 3].map((i) => pool.run(chunks(i)).catch(note('chunks')));
  loading.push(pool.run(log).catch(note('log')));
  await Promise.all([...loading, ...waiting.slice(2)]);
  expect(ended).toEqual(['log', 'log', 'chunks', 'chunks']);
  await helper.endAll(waiting);
});

test('a stand-in helper gets no jobs while there is a thread', async () => {
  const helper = new Helper();
  const pool = poolOf(1, helper, 'stand-in');
  expect(pool.parallelism).toBe(1);
  const running = [chunks(0), piece(0), chunks(1), chunks(2)].map((job) => pool.run(job));
  for (const job of running) await expect(job).rejects.toMatchObject({ code: 'ENOENT' });
  expect(helper.taken).toEqual([]);
});

test('each of many jobs ends once, in order', async () => {
  const pool = poolOf(1);
  const ended: number[] = [];
  const running = Array.from({ length: 12 }, async (_, i) => {
    const failure: unknown = await pool.run(chunks(i)).catch((error: unknown) => error);
    ended.push(i);
    return failure;
  });
  for (const failure of await Promise.all(running))
    expect(failure).toMatchObject({ code: 'ENOENT' });
  expect(ended).toEqual(running.map((_, i) => i));
});

test('a job that cannot be sent rejects, and the next one runs', async () => {
  const pool = poolOf(1);
  const unsendable = { ...piece(0), path: () => '/nowhere' } as unknown as Job;
  // One while the thread is being started, and one to a thread that has started.
  for (let at = 0; at < 2; at++) {
    await expect(pool.run(unsendable)).rejects.toMatchObject({ code: 'LODESTORE_THREAD' });
  }
  await expect(pool.run(piece(0))).rejects.toMatchObject({ code: 'ENOENT' });
});

test('a signal ends the running job, those sent ahead, and those that wait', async () => {
  const pool = poolOf(1);
  const abort = new AbortController();
  const { signal } = abort;
  const running = Array.from({ length: 8 }, (_, i) => pool.run(chunks(i), { signal }));
  const settled = Promise.allSettled(running);
  abort.abort(new Error('given up'));
  for (const one of await settled) {
    expect(one).toMatchObject({ status: 'rejected', reason: { message: 'given up' } });
  }
});

test('a signal ends the jobs of a thread that is still starting', async () => {
  const pool = poolOf(1);
  const abort = new AbortController();
  const buffer = new ArrayBuffer(8);
  const run = pool.run(chunks(0), { signal: abort.signal, transfer: [buffer] });
  abort.abort(new Error('given up'));
  await expect(run).rejects.toThrow('given up');
  // It was never sent.
  expect(buffer.byteLength).toBe(8);
});

test('a pool closed while its thread loads waits for it and leaves no descriptor open', async () => {
  const openFiles = (): string[] =>
    readdirSync('/proc/self/fd').flatMap((fd) => {
      try {
        return [readlinkSync(`/proc/self/fd/${fd}`)].filter((target) => target.startsWith(ROOT));
      } catch {
        return [];
      }
    });
  const before = openFiles();
  for (let i = 0; i < 4; i++) {
    const pool = poolOf(1);
    pool.startEarly();
    for (let turn = 0; turn < i; turn++) await new Promise((resume) => setImmediate(resume));
    await pool.close();
  }
  expect(openFiles()).toEqual(before);
});
