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
]);

/** Jobs that are so small, and yield so often, that the owner's thread may take some. */
export function isShared(job: Job): boolean {
  return SHARED.has(job.kind);
}

export interface ThreadHooks {
  readonly onReady: () => void;
  /** The thread ended before it took a job: `tasks` still wait, and none is lost. */
  readonly onFailedStart: (cause: Error, tasks: readonly Task[]) => void;
  readonly onExit: (thread: Thread) => void;
}

/** A job that a thread has been given. */
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

  /** Where the signal had been aborted before it was listened to. */
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

  /** The job has not started: it is assigned elsewhere. */
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
 * One worker thread and the jobs that it has been given: it runs one after the other.
 *
 * `starting`: jobs wait here, so that a thread that never starts loses none, and no buffer is
 * transferred to it. `ready`: the thread has loaded its code, and is sent its jobs. `ended`: the
 * worker has exited.
 */
export class Thread {
  readonly #worker: Worker;
  readonly #hooks: ThreadHooks;
  readonly #exited: Promise<void>;
  #assigned: Assignment[] = [];
  #state: 'starting' | 'ready' | 'ended' = 'starting';
  #error: Error | undefined;

  /** @throws the system's error where the worker cannot be made */
  constructor(setup: ThreadSetup, hooks: ThreadHooks) {
    this.#hooks = hooks;
    const execArgv = threadArguments(process.execArgv);
    const options = { name: 'lodestore', workerData: setup };
    // A literal, which bundlers find. It stands apart from `new Worker`: webpack 5.113 makes that
    // invalid code, while it copies the file of a URL, and the entry is one file.
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

  /** True once the thread has been started. */
  get isReady(): boolean {
    return this.#state === 'ready';
  }

  get isIdle(): boolean {
    return this.#assigned.length === 0;
  }

  /** Whether it is at a small job, and has been given no other. */
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
   * Resolves when the worker has exited. It is asked to: one that is terminated while it loads
   * modules leaves their descriptors open.
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

  #send({ task }: Assignment): void {
    this.#post({ kind: 'run', job: task.job }, task.options.transfer);
  }

  #abort(assignment: Assignment): void {
    if (this.isReady) {
      this.#post({ kind: 'abort' });
      return;
    }
    this.#assigned = this.#assigned.filter((one) => one !== assignment);
    if (this.isIdle) this.#worker.unref();
    assignment.reject(undefined);
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
