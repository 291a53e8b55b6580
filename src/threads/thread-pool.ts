import { extname } from 'node:path';
import { Worker } from 'node:worker_threads';
import { assert } from '../base/assert.ts';
import type { Job, JobResult } from '../jobs/run-job.ts';
import type { JobRunner, RunOptions } from './job-runner.ts';
import { threadArguments } from './thread-arguments.ts';
import { fromPlainError, type FromThread, type ToThread } from './thread-message.ts';

/** The entry has the extension of the file that names it: `.ts` in tests, `.js` in the package. */
const ENTRY = new URL(`./thread-entry${extname(import.meta.url)}`, import.meta.url);

interface Task {
  readonly job: Job;
  readonly options: RunOptions;
  readonly resolve: (result: never) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Runs jobs on up to `parallelism` worker threads, which are started as they are needed and live until
 * `close`. A thread keeps the process alive only while it runs a job.
 */
export class ThreadPool implements JobRunner {
  readonly parallelism: number;
  readonly #threads: Thread[] = [];
  readonly #waiting: Task[] = [];
  #state: 'open' | 'closed' = 'open';

  constructor(parallelism: number) {
    assert(parallelism >= 1, 'a pool has at least one thread');
    this.parallelism = parallelism;
  }

  async run<J extends Job>(job: J, options: RunOptions = {}): Promise<JobResult<J>> {
    assert(this.#state === 'open', 'a closed pool is given no job');
    options.signal?.throwIfAborted();
    return new Promise<JobResult<J>>((resolve, reject) => {
      this.#waiting.push({ job, options, resolve, reject });
      this.#assign();
    });
  }

  async close(): Promise<void> {
    this.#state = 'closed';
    await Promise.all(this.#threads.map((thread) => thread.end()));
  }

  #assign(): void {
    while (this.#waiting.length > 0) {
      let idle = this.#threads.find((thread) => thread.isIdle);
      if (idle === undefined) {
        if (this.#threads.length >= this.parallelism) return;
        idle = this.#start();
        if (idle === undefined) return;
      }
      const task = this.#waiting.shift()!;
      void idle.run(task).then(() => this.#assign());
    }
  }

  /** Starts a thread. Where the system refuses one, those that run go on alone; without any, all jobs fail. */
  #start(): Thread | undefined {
    try {
      const thread = new Thread((ended) => this.#forget(ended));
      this.#threads.push(thread);
      return thread;
    } catch (error) {
      if (this.#threads.length > 0) return undefined;
      for (const task of this.#waiting.splice(0)) task.reject(error);
      return undefined;
    }
  }

  #forget(thread: Thread): void {
    const index = this.#threads.indexOf(thread);
    if (index >= 0) this.#threads.splice(index, 1);
  }
}

/** One worker thread and the job that it runs. */
class Thread {
  readonly #worker: Worker;
  readonly #exited: Promise<void>;
  #task: Task | undefined;
  #finished: () => void = () => undefined;
  #isAborted = false;
  #onAbort: () => void = () => undefined;

  constructor(onExit: (thread: Thread) => void) {
    const execArgv = threadArguments(process.execArgv);
    this.#worker = new Worker(ENTRY, { name: 'lodestore', ...(execArgv && { execArgv }) });
    this.#worker.unref();
    this.#worker.on('message', (message: FromThread) => this.#receive(message));
    this.#worker.on('error', (error) => this.#fail(error));
    this.#exited = new Promise((resolve) => {
      this.#worker.on('exit', (code) => {
        this.#fail(new Error(`a worker thread of the store ended with code ${code}`));
        onExit(this);
        resolve();
      });
    });
  }

  get isIdle(): boolean {
    return this.#task === undefined;
  }

  /** Resolves when the thread is free again, whatever became of the task. */
  async run(task: Task): Promise<void> {
    assert(this.isIdle, 'a thread runs one job at a time');
    this.#task = task;
    this.#isAborted = false;
    const finished = new Promise<void>((resolve) => {
      this.#finished = resolve;
    });
    this.#onAbort = () => {
      this.#isAborted = true;
      this.#post({ kind: 'abort' });
    };
    task.options.signal?.addEventListener('abort', this.#onAbort);
    this.#worker.ref();
    this.#post({ kind: 'run', job: task.job }, task.options.transfer);
    if (task.options.signal?.aborted === true) this.#onAbort();
    await finished;
  }

  async end(): Promise<void> {
    await this.#worker.terminate();
    await this.#exited;
  }

  #post(message: ToThread, transfer: readonly ArrayBuffer[] = []): void {
    this.#worker.postMessage(message, transfer);
  }

  #receive(message: FromThread): void {
    const task = this.#task;
    if (task === undefined) return;
    if (message.kind === 'progress') task.options.onProgress?.(message.bytesRead);
    else if (message.kind === 'message') task.options.onMessage?.(message.message);
    else if (message.kind === 'result') this.#settle(() => task.resolve(message.result as never));
    else this.#fail(fromPlainError(message.error));
  }

  #fail(error: unknown): void {
    const task = this.#task;
    if (task === undefined) return;
    const cause = this.#isAborted ? task.options.signal?.reason : error;
    this.#settle(() => task.reject(cause));
  }

  #settle(settle: () => void): void {
    this.#task?.options.signal?.removeEventListener('abort', this.#onAbort);
    this.#task = undefined;
    this.#worker.unref();
    settle();
    this.#finished();
  }
}
