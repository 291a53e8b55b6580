import type { StoreError } from '../../base/errors.ts';
import type { Directory } from '../../fs/directory.ts';
import type { JobRunner } from '../../threads/job-runner.ts';
import { ThreadPool } from '../../threads/thread-pool.ts';
import { ThreadShortage } from '../../threads/thread-shortage.ts';
import { NODE_ENVIRONMENT, pacingOf, standIn, type StoreEnvironment } from './environment.ts';
import type { ResolvedOptions } from './options.ts';
import { chooseRunner, otherThreads } from './recovery-runner.ts';

/** Makes the runners of a store's jobs, according to its environment and options. */
export class StoreThreads {
  readonly #directory: Directory;
  readonly #environment: StoreEnvironment;
  readonly #options: ResolvedOptions;
  readonly #shortage: ThreadShortage;
  #recoveryEnded: Promise<void> = Promise.resolve();

  constructor(directory: Directory, environment: StoreEnvironment, options: ResolvedOptions) {
    this.#directory = directory;
    this.#environment = environment;
    this.#options = options;
    this.#shortage = new ThreadShortage(directory.realPath);
  }

  get #isReal(): boolean {
    return this.#environment === NODE_ENVIRONMENT;
  }

  /** For the jobs of a merge or a check in `directory`. */
  readonly make = (directory: Directory): JobRunner =>
    this.#environment.makeRunner(directory, this.#shortage.report);

  /** For reading the directory. */
  async makeForRecovery(): Promise<JobRunner> {
    if (!this.#isReal) return this.make(this.#directory);
    const pacing = pacingOf(this.#environment);
    return chooseRunner(this.#directory, this.#options, pacing, this.#shortage.report);
  }

  /** For the chunks that the open has left. */
  readonly makeForWarming = (): JobRunner => {
    if (!this.#isReal) return this.make(this.#directory);
    const { reference } = this.#directory;
    const helper = standIn(this.#directory);
    return new ThreadPool(reference, otherThreads(this.#options), helper, this.#shortage.report);
  };

  /** Ends the threads of recovery. That takes longer than opening a small store. */
  endRecovery(runner: JobRunner): Promise<void> {
    this.#recoveryEnded = runner.close();
    return this.#recoveryEnded;
  }

  /** Resolves when the threads of recovery have ended. */
  get recoveryEnded(): Promise<void> {
    return this.#recoveryEnded;
  }

  /** Calls the listener if no thread can be started, even if that was before this call. */
  onShortage(listener: (error: StoreError) => void): void {
    this.#shortage.listen(listener);
  }
}
