import { beforeEach, expect, test } from 'vitest';
import type { MergeJob, MergeResult } from '../../src/jobs/merge.ts';
import type { Job, JobResult } from '../../src/jobs/run-job.ts';
import { MergeRunner, REST_MS } from '../../src/store/merge/merge-runner.ts';
import type { JobRunner } from '../../src/threads/job-runner.ts';
import { deferred, type Deferred } from '../support/deferred.ts';

const JOB = { kind: 'merge' } as MergeJob;
const RESULT = { kind: 'corrupt', path: '/s', offset: 0, reason: 'none' } as const;

/** A thread whose jobs end when the test says so. */
class FakeRunner implements JobRunner {
  readonly parallelism = 1;
  readonly jobs: Deferred<MergeResult | Promise<never>>[] = [];
  readonly closing: Deferred<void> = deferred<void>();
  isClosed = false;

  run<J extends Job>(): Promise<JobResult<J>> {
    const job = deferred<MergeResult | Promise<never>>();
    this.jobs.push(job);
    return job.promise as Promise<JobResult<J>>;
  }

  close(): Promise<void> {
    this.isClosed = true;
    return this.closing.promise;
  }
}

interface Timer {
  readonly delayMs: number;
  readonly ring: () => void;
  isStopped: boolean;
}

let made: FakeRunner[];
let timers: Timer[];
let merges: MergeRunner;

beforeEach(() => {
  made = [];
  timers = [];
  merges = new MergeRunner(
    () => {
      const runner = new FakeRunner();
      made.push(runner);
      return runner;
    },
    (delayMs, ring) => {
      const timer = { delayMs, ring, isStopped: false };
      timers.push(timer);
      return () => (timer.isStopped = true);
    },
  );
});

/** Runs one merge to its end. */
async function runOnce(): Promise<void> {
  const running = merges.run(JOB, {});
  made.at(-1)!.jobs.at(-1)!.resolve(RESULT);
  await running;
}

test('no thread is started before the first merge, and none idles before its end', async () => {
  expect(made).toHaveLength(0);
  const running = merges.run(JOB, {});
  expect(made).toHaveLength(1);
  expect(timers).toHaveLength(0);
  made[0]!.jobs[0]!.resolve(RESULT);
  expect(await running).toBe(RESULT);
  expect(timers.map((timer) => timer.delayMs)).toEqual([REST_MS]);
});

test('the next merge uses the idle thread and stops its timer', async () => {
  await runOnce();
  await runOnce();
  expect(made).toHaveLength(1);
  expect(made[0]!.isClosed).toBe(false);
  expect(timers.map((timer) => timer.isStopped)).toEqual([true, false]);
});

test('an idle thread ends after a while, and the next merge has a new one', async () => {
  await runOnce();
  timers[0]!.ring();
  expect(made[0]!.isClosed).toBe(true);
  await runOnce();
  expect(made).toHaveLength(2);
  expect(made[1]!.isClosed).toBe(false);
});

test('the thread of a failed merge is not reused', async () => {
  const running = merges.run(JOB, {});
  made[0]!.closing.resolve();
  made[0]!.jobs[0]!.resolve(Promise.reject(new Error('EIO')));
  await expect(running).rejects.toThrow('EIO');
  expect(made[0]!.isClosed).toBe(true);
  expect(timers).toHaveLength(0);
  await runOnce();
  expect(made).toHaveLength(2);
});

test('close ends the idle thread and waits until it is gone', async () => {
  await runOnce();
  let isClosed = false;
  const closing = merges.close().then(() => (isClosed = true));
  expect(timers[0]!.isStopped).toBe(true);
  expect(made[0]!.isClosed).toBe(true);
  await Promise.resolve();
  expect(isClosed).toBe(false);
  made[0]!.closing.resolve();
  await closing;
});

test('close waits for a thread that its timer has ended', async () => {
  await runOnce();
  timers[0]!.ring();
  let isClosed = false;
  const closing = merges.close().then(() => (isClosed = true));
  await Promise.resolve();
  expect(isClosed).toBe(false);
  made[0]!.closing.resolve();
  await closing;
});

test('close without any merge waits for nothing', async () => {
  await merges.close();
  expect(made).toHaveLength(0);
});
