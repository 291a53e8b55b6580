import { WorkSlices, type Pacing } from '../base/work-slices.ts';
import type { FileSystem } from '../fs/file-system.ts';
import type { MergedChunks } from '../jobs/merge.ts';
import { runJob, type Job, type JobResult } from '../jobs/run-job.ts';

export interface JobOptions {
  readonly signal?: AbortSignal | undefined;
  /** Bytes of the job's input read so far. */
  readonly onProgress?: (bytesRead: number) => void;
  /** Buffers in the job that are transferred to the thread. */
  readonly transfer?: readonly ArrayBuffer[];
  /** Receives the parts of a merge's result, in order, before the job resolves. */
  readonly onMessage?: (message: MergedChunks) => void;
}

/** Runs jobs on threads, or inline on the same file system. Both run the same functions. */
export interface JobRunner {
  /** How many jobs can run at the same time. */
  readonly parallelism: number;
  /** Rejects with the job's system error, or with the signal's reason after the job has stopped. */
  run<J extends Job>(job: J, options?: JobOptions): Promise<JobResult<J>>;
  /** Waits for running jobs to stop and ends the threads. */
  close(): Promise<void>;
}

const NEVER_ABORTED: AbortSignal = new AbortController().signal;

/** Runs jobs on the calling thread: for small stores, where a thread costs more than the work. */
export class InlineRunner implements JobRunner {
  readonly parallelism = 1;
  readonly #fs: FileSystem;
  /** Of all jobs together, because the thread does one after the other between two pauses. */
  readonly #slices: WorkSlices;
  readonly #pause = (): Promise<void> | undefined => this.#slices.pauseIfDue();

  /** Without `pacing`, jobs do not yield to other work of the thread. */
  constructor(fs: FileSystem, pacing?: Pacing) {
    this.#fs = fs;
    this.#slices = new WorkSlices(pacing);
  }

  async run<J extends Job>(job: J, options: JobOptions = {}): Promise<JobResult<J>> {
    return runJob(this.#fs, job, {
      signal: options.signal ?? NEVER_ABORTED,
      pause: this.#pause,
      onProgress: options.onProgress ?? (() => undefined),
      send: (message) => options.onMessage?.(message),
    });
  }

  async close(): Promise<void> {
    // Nothing runs after the call returns.
  }
}
