import { assert } from '../../base/assert.ts';
import type { MergeJob, MergeResult } from '../../jobs/merge.ts';
import type { JobRunner, JobOptions } from '../../threads/job-runner.ts';
import type { StartTimer } from '../commit/log-sync.ts';

/** How long the thread of a merge is kept for the next one. */
export const REST_MS = 10_000;

type State =
  | { readonly kind: 'none' }
  | { readonly kind: 'busy' }
  | { readonly kind: 'resting'; readonly runner: JobRunner; readonly stopTimer: () => void }
  | { readonly kind: 'closed' };

/**
 * Runs merges, one at a time, on their own thread. The thread is started for the first merge and
 * kept for a while after each. A new thread runs uncompiled code, and compiling it takes more CPU
 * time than the merge itself.
 */
export class MergeRunner {
  readonly #makeRunner: () => JobRunner;
  readonly #startTimer: StartTimer;
  #state: State = { kind: 'none' };
  /** Threads that are ending. */
  readonly #ending: Set<Promise<void>> = new Set();

  constructor(makeRunner: () => JobRunner, startTimer: StartTimer) {
    this.#makeRunner = makeRunner;
    this.#startTimer = startTimer;
  }

  /** Rejects like {@link JobRunner.run}. After a failed job, the thread is ended. */
  async run(job: MergeJob, options: JobOptions): Promise<MergeResult> {
    const runner = this.#take();
    try {
      const result = await runner.run(job, options);
      this.#rest(runner);
      return result;
    } catch (error) {
      this.#state = { kind: 'none' };
      await this.#end(runner);
      throw error;
    }
  }

  /** Ends the thread. No merge may be running. */
  async close(): Promise<void> {
    const state = this.#state;
    assert(state.kind !== 'busy', 'a merge is given up before its thread is ended');
    this.#state = { kind: 'closed' };
    if (state.kind === 'resting') {
      state.stopTimer();
      void this.#end(state.runner);
    }
    await Promise.all(this.#ending);
  }

  #take(): JobRunner {
    const state = this.#state;
    assert(state.kind === 'none' || state.kind === 'resting', 'merges run one at a time');
    if (state.kind === 'resting') state.stopTimer();
    this.#state = { kind: 'busy' };
    return state.kind === 'resting' ? state.runner : this.#makeRunner();
  }

  #rest(runner: JobRunner): void {
    const stopTimer = this.#startTimer(REST_MS, () => {
      this.#state = { kind: 'none' };
      void this.#end(runner);
    });
    this.#state = { kind: 'resting', runner, stopTimer };
  }

  async #end(runner: JobRunner): Promise<void> {
    const ended = runner.close();
    this.#ending.add(ended);
    await ended;
    this.#ending.delete(ended);
  }
}
