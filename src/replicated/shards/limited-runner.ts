import type { Job, JobResult } from '../../jobs/run-job.ts';
import type { JobOptions, JobRunner } from '../../threads/job-runner.ts';

/** Slots for a bounded number of jobs, granted in the order of requests. */
export class JobSlots {
  #free: number;
  readonly #waiting: (() => void)[] = [];

  constructor(count: number) {
    this.#free = count;
  }

  async take(): Promise<() => void> {
    if (this.#free > 0) this.#free--;
    else await new Promise<void>((resolve) => this.#waiting.push(resolve));
    let isTaken = true;
    return () => {
      if (!isTaken) return;
      isTaken = false;
      const next = this.#waiting.shift();
      if (next === undefined) this.#free++;
      else next();
    };
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
    const leave = await this.#slots.take();
    const runner = this.#make();
    try {
      return await runner.run(job, options);
    } finally {
      await runner.close();
      leave();
    }
  }

  async close(): Promise<void> {
    // No state to close between jobs.
  }
}
