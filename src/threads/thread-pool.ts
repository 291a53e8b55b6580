import { queueMicrotask } from '../base/timers.ts';
import { assert } from '../base/assert.ts';
import { keyHashSeed } from '../base/key-hash.ts';
import type { DirectoryReference } from '../fs/file-system.ts';
import type { ThreadPriority } from '../fs/thread-priority.ts';
import type { Job, JobResult } from '../jobs/run-job.ts';
import type { JobRunner, JobOptions } from './job-runner.ts';
import type { ThreadSetup } from './thread-message.ts';
import { isShared, Thread, type Task } from './thread.ts';

/**
 * Jobs are assigned ahead only while at least this many are waiting. The first free thread takes
 * the last ones.
 */
const LEAST_LEFT_JOBS = 4;

/** Number of jobs that the helper runs at once: one decodes while another waits for I/O. */
const HELPED_JOBS = 2;

/** Runs jobs in addition to the threads. */
export interface Helper {
  readonly runner: JobRunner;
  /**
   * `share`: takes some of the small jobs. `stand-in`: takes jobs if no thread could be started.
   */
  readonly role: 'share' | 'stand-in';
}

/**
 * Runs jobs on up to `threads` worker threads, which are started on demand and live until `close`.
 * A thread keeps the process alive only while it runs a job. A sharing helper works before the
 * first thread has started. If no thread can be started, the helper runs all jobs; the pool does
 * not retry.
 */
export class ThreadPool implements JobRunner {
  readonly parallelism: number;
  readonly #maxThreads: number;
  readonly #helper: JobRunner;
  readonly #isHelperSharing: boolean;
  readonly #setup: ThreadSetup;
  readonly #onNoThread: (cause: Error) => void;
  /**
   * `exhausted`: the system has refused a thread. `reported`: there is none, and the owner knows.
   */
  #supply: 'open' | 'exhausted' | 'reported' = 'open';
  #helpedJobs = 0;
  readonly #threads: Thread[] = [];
  #waiting: Task[] = [];
  #state: 'open' | 'closed' = 'open';

  /**
   * `directory` is the directory of the jobs. Its holder must close it after the pool. `onNoThread`
   * is called, at most once, when the helper has to run all jobs.
   */
  constructor(
    directory: DirectoryReference,
    threads: number,
    helper: Helper,
    onNoThread: (cause: Error) => void,
    priority: ThreadPriority = 'normal',
  ) {
    assert(threads >= 1, 'a pool has at least one thread');
    this.#maxThreads = threads;
    this.#helper = helper.runner;
    this.#isHelperSharing = helper.role === 'share';
    this.#onNoThread = onNoThread;
    this.#setup = { priority, directory, hashSeed: keyHashSeed() };
    this.parallelism = threads + (this.#isHelperSharing ? 1 : 0);
  }

  /** Starts the first thread before there is a job for it. */
  startEarly(): void {
    if (this.#threads.length === 0) this.#start();
  }

  async run<J extends Job>(job: J, options: JobOptions = {}): Promise<JobResult<J>> {
    assert(this.#state === 'open', 'a closed pool is given no job');
    options.signal?.throwIfAborted();
    return new Promise<JobResult<J>>((resolve, reject) => {
      this.#enqueue({ job, options, resolve, reject });
      this.#assign();
    });
  }

  /** Chunks come last: the contents of logs need more work afterwards. */
  #enqueue(task: Task): void {
    const isLast = task.job.kind === 'load-chunks';
    const at = isLast ? -1 : this.#waiting.findIndex(({ job }) => job.kind === 'load-chunks');
    if (at < 0) this.#waiting.push(task);
    else this.#waiting.splice(at, 0, task);
  }

  async close(): Promise<void> {
    this.#state = 'closed';
    await Promise.all(this.#threads.map((thread) => thread.end()));
  }

  /** Assigns waiting jobs in order to free threads and the helper. */
  #assign(): void {
    this.#waiting = this.#waiting.filter((task) => !this.#place(task));
    this.#assignAhead();
    // Later, so that the helper chooses among all jobs that are handed in together.
    queueMicrotask(() => this.#share());
  }

  /**
   * Assigns each thread a small job ahead: the main thread may be busy when its current job ends.
   */
  #assignAhead(): void {
    for (const thread of this.#threads) {
      const shared = this.#waiting.filter(({ job }) => isShared(job));
      if (shared.length < LEAST_LEFT_JOBS) return;
      if (!thread.isAtSharedJob) continue;
      this.#runOn(thread, shared[0]!);
      this.#waiting.splice(this.#waiting.indexOf(shared[0]!), 1);
    }
  }

  #place(task: Task): boolean {
    const mayWait = this.#isHelperSharing && isShared(task.job);
    const idle = this.#threads.filter((thread) => thread.isIdle);
    // A job that the helper may take is not tied to a thread that is still being started.
    const thread = idle.find((one) => one.isReady) ?? (mayWait ? undefined : idle[0]);
    if (thread !== undefined) return this.#runOn(thread, task);
    if (mayWait || this.#threads.length >= this.#maxThreads) return false;
    const started = this.#start();
    if (started !== undefined) return this.#runOn(started, task);
    const isStranded = this.#threads.length === 0;
    return isStranded && this.#helpedJobs < HELPED_JOBS && this.#help(task);
  }

  /**
   * Gives the helper its share. Chunks come before pieces of logs: the threads have compiled the
   * code for those already, and this thread would have to compile it too.
   */
  #share(): void {
    if (!this.#isHelperSharing || this.#state === 'closed') return;
    for (;;) {
      const chunks = this.#waiting.findIndex(({ job }) => job.kind === 'load-chunks');
      const at = chunks < 0 ? this.#waiting.findIndex(({ job }) => isShared(job)) : chunks;
      if (at < 0) return;
      if (this.#helpedJobs === HELPED_JOBS) break;
      this.#help(...(this.#waiting.splice(at, 1) as [Task]));
    }
    const isOneComing = this.#threads.some((thread) => thread.isIdle);
    if (!isOneComing && this.#threads.length < this.#maxThreads) this.#start();
  }

  #runOn(thread: Thread, task: Task): true {
    void thread.run(task).then(() => this.#assign());
    return true;
  }

  #help(task: Task): true {
    this.#helpedJobs++;
    void this.#helper
      .run(task.job, task.options)
      .then(task.resolve as (result: unknown) => void, task.reject)
      .then(() => {
        this.#helpedJobs--;
        this.#assign();
      });
    return true;
  }

  /** Starts a thread, or returns undefined if the system refuses. */
  #start(): Thread | undefined {
    if (this.#supply !== 'open') return undefined;
    try {
      const thread = new Thread(this.#setup, {
        onReady: () => this.#assign(),
        onFailedStart: (cause, tasks) => this.#startFailed(cause, tasks),
        onExit: (ended) => this.#forget(ended),
      });
      this.#threads.push(thread);
      return thread;
    } catch (error) {
      this.#refuseThreads(error as Error);
      return undefined;
    }
  }

  /** The jobs of a thread that did not start go to the others, or to the helper. */
  #startFailed(cause: Error, tasks: readonly Task[]): void {
    this.#waiting.unshift(...tasks);
    this.#refuseThreads(cause);
    this.#assign();
  }

  #refuseThreads(cause: Error): void {
    if (this.#supply === 'open') this.#supply = 'exhausted';
    if (this.#supply === 'reported' || this.#threads.length > 0) return;
    this.#supply = 'reported';
    this.#onNoThread(cause);
  }

  #forget(thread: Thread): void {
    const index = this.#threads.indexOf(thread);
    if (index >= 0) this.#threads.splice(index, 1);
  }
}
