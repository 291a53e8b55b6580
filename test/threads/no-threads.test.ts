import { expect, test, vi } from 'vitest';
import type { Job } from '../../src/jobs/run-job.ts';
import type { JobRunner } from '../../src/threads/job-runner.ts';
import { ThreadPool } from '../../src/threads/thread-pool.ts';

vi.mock('node:worker_threads', async (original) => ({
  ...(await original<typeof import('node:worker_threads')>()),
  Worker: function refuse() {
    throw new Error('the system has no thread to give');
  },
}));

const CHUNKS: Job = {
  kind: 'load-chunks',
  path: '/nowhere',
  number: 1,
  storeId: new Uint8Array(16),
  fileBytes: 0,
  firstOrdinal: 0,
  entries: [],
};
const LOG: Job = { kind: 'load-log', path: '/nowhere', number: 1, storeId: undefined };

function countingRunner(): { readonly runner: JobRunner; readonly taken: Job[] } {
  const taken: Job[] = [];
  const run = (job: Job): Promise<never> => {
    taken.push(job);
    return Promise.resolve('done' as never);
  };
  return { runner: { parallelism: 1, run, close: () => Promise.resolve() }, taken };
}

test.each(['share', 'stand-in'] as const)(
  'where no thread can be started, a helper of role %s does all jobs',
  async (role) => {
    const { runner, taken } = countingRunner();
    const pool = new ThreadPool(2, { runner, role });
    pool.startEarly();
    const jobs = [LOG, CHUNKS, LOG, CHUNKS, CHUNKS, LOG];
    expect(await Promise.all(jobs.map((job) => pool.run(job)))).toEqual(jobs.map(() => 'done'));
    expect(taken).toHaveLength(jobs.length);
    await pool.close();
  },
);

test('without a helper they fail with the cause', async () => {
  const pool = new ThreadPool(2);
  await expect(pool.run(CHUNKS)).rejects.toThrow('the system has no thread to give');
  await pool.close();
});
