import { onAbort } from '../../base/abort.ts';
import type { Job, JobResult } from '../../jobs/run-job.ts';
import type { JobOptions, JobRunner } from '../../threads/job-runner.ts';

/** Slots for a bounded number of jobs, granted in the order of requests. */
export class JobSlots {
  #free: number;
  readonly #waiting: (() => void)[] = [];

  constructor(count: number) {
    this.#free = count;
  }

  /** Resolves to a function that frees the slot. Rejects with the signal's reason. */
  async take(signal?: AbortSignal): Promise<() => void> {
    signal?.throwIfAborted();
    if (this.#free > 0) this.#free--;
    else await this.#untilFree(signal);
    let isTaken = true;
    return () => {
      if (!isTaken) return;
      isTaken = false;
      const next = this.#waiting.shift();
      if (next === undefined) this.#free++;
      else next();
    };
  }

  #untilFree(signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      let stopListening = (): void => undefined;
      const begin = (): void => {
        stopListening();
        resolve();
      };
      this.#waiting.push(begin);
      if (signal === undefined) return;
      stopListening = onAbort(signal, () => {
        stopListening();
        this.#waiting.splice(this.#waiting.indexOf(begin), 1);
        reject(signal.reason as Error);
      });
    });
  }
}

/**
 * Runs each job on a runner that exists only for that job, and at most as many jobs at a time as
 * there are slots. The merges of many stores thus need few threads.
 */
export class LimitedRunner implements JobRunner {
  readonly parallelism = 1;
  readonly #slots: JobSlots;
  readonly #make: () => JobRunner;

  constructor(slots: JobSlots, make: () => JobRunner) {
    this.#slots = slots;
    this.#make = make;
  }

  async run<J extends Job>(job: J, options?: JobOptions): Promise<JobResult<J>> {
    const leave = await this.#slots.take(options?.signal);
    try {
      const runner = this.#make();
      try {
        return await runner.run(job, options);
      } finally {
        await runner.close();
      }
    } finally {
      leave();
    }
  }

  async close(): Promise<void> {
    // No state to close between jobs.
  }
}
