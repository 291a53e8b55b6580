import { Worker } from 'node:worker_threads';
import { onAbort } from '../base/abort.ts';
import { StoreError } from '../base/errors.ts';
import type { Job } from '../jobs/run-job.ts';
import type { JobOptions } from './job-runner.ts';
import { threadArguments } from './thread-arguments.ts';
import {
  fromPlainError,
  type FromThread,
  type ThreadSetup,
  type ToThread,
} from './thread-message.ts';

export interface Task {
  readonly job: Job;
  readonly options: JobOptions;
  readonly resolve: (result: never) => void;
  readonly reject: (error: unknown) => void;
}

const SHARED: ReadonlySet<Job['kind']> = new Set([
  'load-chunks',
  'load-log-piece',
  'weigh-rows',
  'pack-rows',
  'index-rows',
  'order-rows',
  'partition-rows',
  'place-run',
]);

/** Whether a job is so small, and yields so often, that the owner's thread may run it too. */
export function isShared(job: Job): boolean {
  return SHARED.has(job.kind);
}

export interface ThreadHooks {
  readonly onReady: () => void;
  /** The thread ended before it took a job: none of `tasks` has started. */
  readonly onFailedStart: (cause: Error, tasks: readonly Task[]) => void;
  readonly onExit: (thread: Thread) => void;
}

/** A job assigned to a thread. */
class Assignment {
  readonly task: Task;
  readonly ended: Promise<void>;
  #end: () => void = () => undefined;
  readonly #onAbort: () => void;
  readonly #stopListening: (() => void) | undefined;
  #isAborted = false;
  #failure: { readonly error: unknown } | undefined;

  constructor(task: Task, abort: () => void) {
    this.task = task;
    this.ended = new Promise((resolve) => (this.#end = resolve));
    this.#onAbort = () => {
      this.#isAborted = true;
      abort();
    };
    const { signal } = task.options;
    this.#stopListening = signal && onAbort(signal, this.#onAbort);
  }

  /** Handles a signal that was aborted before the listener was added. */
  catchUp(): void {
    if (this.task.options.signal?.aborted === true) this.#onAbort();
  }

  /**
   * Forwards messages of the job before its result. If a callback throws, the job rejects with that
   * error.
   */
  receive(message: Extract<FromThread, { kind: 'progress' | 'message' }>): void {
    const { options } = this.task;
    try {
      if (message.kind === 'progress') options.onProgress?.(message.bytesRead);
      else options.onMessage?.(message.message);
    } catch (error) {
      this.#failure ??= { error };
    }
  }

  resolve(result: unknown): void {
    if (this.#failure !== undefined) {
      this.reject(this.#failure.error);
      return;
    }
    this.#settle();
    this.task.resolve(result as never);
  }

  reject(error: unknown): void {
    this.#settle();
    this.task.reject(this.#isAborted ? this.task.options.signal?.reason : error);
  }

  /** Returns the task, which has not started, for another assignment. */
  takeBack(): Task {
    this.#settle();
    return this.task;
  }

  #settle(): void {
    this.#stopListening?.();
    this.#end();
  }
}

/**
 * One worker thread and its assigned jobs, which it runs one after the other.
 *
 * `starting`: jobs are held back, so if the thread never starts, no job is lost and no buffer was
 * transferred. `ready`: the thread has loaded its code and receives jobs. `ended`: the worker has
 * exited.
 */
export class Thread {
  readonly #worker: Worker;
  readonly #hooks: ThreadHooks;
  readonly #exited: Promise<void>;
  #assigned: Assignment[] = [];
  #state: 'starting' | 'ready' | 'ended' = 'starting';
  #error: Error | undefined;

  /** @throws the system error if the worker cannot be created */
  constructor(setup: ThreadSetup, hooks: ThreadHooks) {
    this.#hooks = hooks;
    const execArgv = threadArguments(process.execArgv);
    const options = { name: 'lodestore', workerData: setup };
    // A literal, so that bundlers find it. It is not inside `new Worker(…)`, which webpack 5.113
    // compiles to invalid code. webpack copies the file of a URL, and the entry is one file.
    const entry = new URL('./thread-entry.js', import.meta.url);
    this.#worker = new Worker(entry, { ...options, ...(execArgv && { execArgv }) });
    this.#worker.unref();
    this.#worker.on('message', (message: FromThread) => {
      if (message.kind === 'ready') this.#begin();
      else this.#receive(message);
    });
    this.#worker.on('error', (error) => (this.#error = error));
    this.#worker.on('messageerror', (error) => {
      this.#error = error;
      void this.#worker.terminate();
    });
    this.#exited = new Promise((resolve) => {
      this.#worker.on('exit', (code) => {
        this.#exit(code);
        resolve();
      });
    });
  }

  /** Whether the thread has started. */
  get isReady(): boolean {
    return this.#state === 'ready';
  }

  get isIdle(): boolean {
    return this.#assigned.length === 0;
  }

  /** Whether it runs a small job and has no other. */
  get isAtSharedJob(): boolean {
    return this.isReady && this.#assigned.length === 1 && isShared(this.#assigned[0]!.task.job);
  }

  /** Resolves when the job has ended, successfully or not. */
  async run(task: Task): Promise<void> {
    const assignment = new Assignment(task, () => this.#abort(assignment));
    this.#assigned.push(assignment);
    this.#worker.ref();
    if (this.isReady) this.#send(assignment);
    assignment.catchUp();
    await assignment.ended;
  }

  /**
   * Resolves when the worker has exited. The worker is asked to end, because termination while it
   * loads modules would leak their descriptors.
   */
  async end(): Promise<void> {
    if (this.#state === 'ended') return;
    this.#worker.ref();
    this.#post({ kind: 'end' });
    await this.#exited;
  }

  #begin(): void {
    this.#state = 'ready';
    for (const assignment of this.#assigned) this.#send(assignment);
    this.#hooks.onReady();
  }

  /** A job that cannot be sent, because memory is short, is rejected. */
  #send(assignment: Assignment): void {
    const { job, options } = assignment.task;
    try {
      this.#post({ kind: 'run', job }, options.transfer);
    } catch (cause) {
      const message = 'a job could not be sent to a worker thread of the store';
      this.#drop(assignment, new StoreError('LODESTORE_THREAD', message, { cause }));
    }
  }

  #abort(assignment: Assignment): void {
    if (!this.#assigned.includes(assignment)) return;
    if (this.isReady) this.#post({ kind: 'abort' });
    else this.#drop(assignment, undefined);
  }

  /** Rejects a job that was not sent. */
  #drop(assignment: Assignment, error: unknown): void {
    this.#assigned = this.#assigned.filter((one) => one !== assignment);
    if (this.isIdle) this.#worker.unref();
    assignment.reject(error);
  }

  #post(message: ToThread, transfer: readonly ArrayBuffer[] = []): void {
    this.#worker.postMessage(message, transfer);
  }

  #receive(message: Exclude<FromThread, { kind: 'ready' }>): void {
    const current = this.#assigned[0];
    if (current === undefined) return;
    if (message.kind === 'progress' || message.kind === 'message') current.receive(message);
    else {
      this.#assigned.shift();
      if (this.isIdle) this.#worker.unref();
      if (message.kind === 'result') current.resolve(message.result);
      else current.reject(fromPlainError(message.error));
    }
  }

  #exit(code: number): void {
    const wasStarting = this.#state === 'starting';
    this.#state = 'ended';
    const assigned = this.#assigned.splice(0);
    this.#hooks.onExit(this);
    if (wasStarting) {
      const cause = this.#error ?? new Error(`the worker exited with code ${code}`);
      this.#hooks.onFailedStart(
        cause,
        assigned.map((assignment) => assignment.takeBack()),
      );
      return;
    }
    const error = new StoreError(
      'LODESTORE_THREAD',
      `a worker thread of the store ended with code ${code} during a job`,
      { cause: this.#error },
    );
    for (const assignment of assigned) assignment.reject(error);
  }
}
