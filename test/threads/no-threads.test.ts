import { EventEmitter } from 'node:events';
import { beforeEach, expect, test, vi } from 'vitest';
import type { Job } from '../../src/jobs/run-job.ts';
import type { JobRunner } from '../../src/threads/job-runner.ts';
import { ThreadPool } from '../../src/threads/thread-pool.ts';
import { NOWHERE } from '../support/nowhere.ts';

/** The fate of each started thread, in order; later ones start normally. */
const fates: ('throws' | 'fails' | 'dies' | 'exits')[] = [];
let started = 0;

/** A worker that never loads its code, or dies with a job. */
class FakeWorker extends EventEmitter {
  readonly #fate: string;
  readonly posted: unknown[] = [];

  constructor() {
    super();
    this.#fate = fates[Math.min(started++, fates.length - 1)]!;
    if (this.#fate === 'throws') throw new Error('the system has no thread to give');
    setImmediate(() => this.#begin());
  }

  #begin(): void {
    if (this.#fate === 'dies') {
      this.emit('message', { kind: 'ready' });
      return;
    }
    if (this.#fate === 'fails') this.emit('error', new Error('the system has no thread to give'));
    this.emit('exit', 1);
  }

  postMessage(message: { readonly kind: string }, transfer: readonly ArrayBuffer[] = []): void {
    structuredClone(0, { transfer: [...transfer] });
    this.posted.push(message);
    if (message.kind === 'run') setImmediate(() => this.emit('exit', 7));
  }

  ref(): void {}
  unref(): void {}
}

vi.mock('node:worker_threads', async (original) => ({
  ...(await original<typeof import('node:worker_threads')>()),
  Worker: function make() {
    return new FakeWorker();
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
const LOG: Job = {
  kind: 'load-log',
  path: '/nowhere',
  number: 1,
  storeId: undefined,
  expectedBytes: 0,
};

function countingRunner(): { readonly runner: JobRunner; readonly taken: Job[] } {
  const taken: Job[] = [];
  const run = (job: Job): Promise<never> => {
    taken.push(job);
    return Promise.resolve('done' as never);
  };
  return { runner: { parallelism: 1, run, close: () => Promise.resolve() }, taken };
}

beforeEach(() => {
  fates.length = 0;
  started = 0;
});

const ROLES = ['share', 'stand-in'] as const;
const FAILURES = ['throws', 'fails', 'exits'] as const;

test.each(ROLES.flatMap((role) => FAILURES.map((fate) => ({ role, fate }))))(
  'after a thread $fate at its start, a helper of role $role does all jobs, and the owner is notified once',
  async ({ role, fate }) => {
    fates.push(fate);
    const { runner, taken } = countingRunner();
    const told: Error[] = [];
    const pool = new ThreadPool(NOWHERE, 2, { runner, role }, (cause) => told.push(cause));
    pool.startEarly();
    const jobs = [LOG, CHUNKS, LOG, CHUNKS, CHUNKS, LOG];
    expect(await Promise.all(jobs.map((job) => pool.run(job)))).toEqual(jobs.map(() => 'done'));
    expect(taken).toHaveLength(jobs.length);
    expect(told).toHaveLength(1);
    // It is not retried repeatedly.
    expect(started).toBeLessThanOrEqual(2);
    await pool.close();
  },
);

test('a job that waits for a thread keeps its buffers until there is one', async () => {
  fates.push('fails');
  const { runner } = countingRunner();
  const pool = new ThreadPool(NOWHERE, 1, { runner, role: 'stand-in' }, () => undefined);
  const buffer = new ArrayBuffer(8);
  await pool.run(LOG, { transfer: [buffer] });
  expect(buffer.byteLength).toBe(8);
  await pool.close();
});

test('a thread that dies with a job rejects it with a typed error, and the next job gets another thread', async () => {
  fates.push('dies', 'fails');
  const { runner } = countingRunner();
  const pool = new ThreadPool(NOWHERE, 1, { runner, role: 'stand-in' }, () => undefined);
  await expect(pool.run(LOG)).rejects.toMatchObject({ code: 'LODESTORE_THREAD' });
  expect(await pool.run(LOG)).toBe('done');
  await pool.close();
});
