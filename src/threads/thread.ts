import { extname } from 'node:path';
import { Worker } from 'node:worker_threads';
import type { ThreadPriority } from '../fs/thread-priority.ts';
import type { Job } from '../jobs/run-job.ts';
import type { RunOptions } from './job-runner.ts';
import { threadArguments } from './thread-arguments.ts';
import { fromPlainError, type FromThread, type ToThread } from './thread-message.ts';

/** The entry has the extension of the file that names it: `.ts` in tests, `.js` in the package. */
const ENTRY = new URL(`./thread-entry${extname(import.meta.url)}`, import.meta.url);

export interface Task {
  readonly job: Job;
  readonly options: RunOptions;
  readonly resolve: (result: never) => void;
  readonly reject: (error: unknown) => void;
}

/** Which jobs are cut so small, and give way so often, that the thread of the pool's owner may take some. */
export function isShared(job: Job): boolean {
  return job.kind === 'load-chunks' || job.kind === 'load-log-piece';
}

export interface ThreadHooks {
  readonly onReady: () => void;
  readonly onExit: (thread: Thread) => void;
}

/** A job that a thread has been given. */
class Assignment {
  readonly task: Task;
  readonly ended: Promise<void>;
  #end: () => void = () => undefined;
  readonly #onAbort: () => void;
  #isAborted = false;

  constructor(task: Task, abort: () => void) {
    this.task = task;
    this.ended = new Promise((resolve) => (this.#end = resolve));
    this.#onAbort = () => {
      this.#isAborted = true;
      abort();
    };
    task.options.signal?.addEventListener('abort', this.#onAbort);
  }

  /** Where the signal had been aborted before it was listened to. */
  catchUp(): void {
    if (this.task.options.signal?.aborted === true) this.#onAbort();
  }

  resolve(result: unknown): void {
    this.#settle();
    this.task.resolve(result as never);
  }

  reject(error: unknown): void {
    this.#settle();
    this.task.reject(this.#isAborted ? this.task.options.signal?.reason : error);
  }

  #settle(): void {
    this.task.options.signal?.removeEventListener('abort', this.#onAbort);
    this.#end();
  }
}

/** One worker thread and the jobs that it has been given: it runs one after the other. */
export class Thread {
  readonly #worker: Worker;
  readonly #exited: Promise<void>;
  #assigned: Assignment[] = [];
  #isReady = false;

  constructor(priority: ThreadPriority, hooks: ThreadHooks) {
    const execArgv = threadArguments(process.execArgv);
    const options = { name: 'lodestore', workerData: priority };
    this.#worker = new Worker(ENTRY, { ...options, ...(execArgv && { execArgv }) });
    this.#worker.unref();
    this.#worker.on('message', (message: FromThread) => {
      if (message.kind !== 'ready') this.#receive(message);
      else {
        this.#isReady = true;
        hooks.onReady();
      }
    });
    this.#worker.on('error', (error) => this.#failAll(error));
    this.#exited = new Promise((resolve) => {
      this.#worker.on('exit', (code) => {
        this.#failAll(new Error(`a worker thread of the store ended with code ${code}`));
        hooks.onExit(this);
        resolve();
      });
    });
  }

  /** True once the thread has been started. */
  get isReady(): boolean {
    return this.#isReady;
  }

  get isIdle(): boolean {
    return this.#assigned.length === 0;
  }

  /** Whether it is at a small job, and has been given no other. */
  get isAtSharedJob(): boolean {
    return this.#isReady && this.#assigned.length === 1 && isShared(this.#assigned[0]!.task.job);
  }

  /** Resolves when the job has ended, whatever became of it. */
  async run(task: Task): Promise<void> {
    const assignment = new Assignment(task, () => this.#post({ kind: 'abort' }));
    this.#assigned.push(assignment);
    this.#worker.ref();
    this.#post({ kind: 'run', job: task.job }, task.options.transfer);
    assignment.catchUp();
    await assignment.ended;
  }

  async end(): Promise<void> {
    await this.#worker.terminate();
    await this.#exited;
  }

  #post(message: ToThread, transfer: readonly ArrayBuffer[] = []): void {
    this.#worker.postMessage(message, transfer);
  }

  #receive(message: Exclude<FromThread, { kind: 'ready' }>): void {
    const current = this.#assigned[0];
    if (current === undefined) return;
    const { options } = current.task;
    if (message.kind === 'progress') options.onProgress?.(message.bytesRead);
    else if (message.kind === 'message') options.onMessage?.(message.message);
    else {
      this.#assigned.shift();
      if (this.isIdle) this.#worker.unref();
      if (message.kind === 'result') current.resolve(message.result);
      else current.reject(fromPlainError(message.error));
    }
  }

  #failAll(error: unknown): void {
    const assigned = this.#assigned;
    this.#assigned = [];
    this.#worker.unref();
    for (const assignment of assigned) assignment.reject(error);
  }
}
