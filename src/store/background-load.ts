import { StoreBusyError, StorePoisonedError, type StoreError } from '../base/errors.ts';
import type { JobRunner } from '../threads/job-runner.ts';
import type { Health } from './commit/health.ts';
import type { MergeScheduler } from './merge/merge-scheduler.ts';
import type { Announce } from './observe/store-events.ts';
import type { Warming } from './recovery/warming.ts';

export interface BackgroundLoadParts {
  /** Undefined where all was read before the store was opened. */
  readonly warming: Warming | undefined;
  /** Threads for the reading in the background. */
  readonly makeWarmRunner: () => JobRunner;
  readonly pause: () => Promise<void>;
  readonly health: Health;
  /** Resolves when the threads of recovery are gone. */
  readonly threadsEnded: Promise<void>;
}

/** How much of an open store is in memory, and what has to wait for the rest. */
export class BackgroundLoad {
  readonly #warming: Warming | undefined;
  readonly #threadsEnded: Promise<void>;
  #isWarm: boolean;

  /** Begins to read what opening has left. */
  constructor(
    { warming, makeWarmRunner, pause, health, threadsEnded }: BackgroundLoadParts,
    announce: Announce,
  ) {
    this.#warming = warming;
    this.#threadsEnded = threadsEnded;
    this.#isWarm = warming === undefined;
    warming?.start(makeWarmRunner, pause, {
      onWarmed: () => {
        this.#isWarm = true;
        announce('warmed', []);
      },
      onDamaged: (error) => {
        const message = `a part of the snapshot cannot be read: ${error.message}`;
        health.poisonWith(new StorePoisonedError(message, { cause: error, path: error.path }));
        announce('damaged', [error]);
      },
    });
  }

  /** Chunks of the snapshot that are not in memory. */
  get chunksLeft(): number {
    return this.#isWarm ? 0 : (this.#warming?.chunksLeft ?? 0);
  }

  /** As `MetadataStore.warmed`. */
  get warmed(): Promise<void> {
    return this.#warming?.warmed ?? Promise.resolve();
  }

  /**
   * What stands against a write, once nothing is left to read or that has failed: whether it adds a
   * record or replaces one, maybe in a damaged chunk, is known only then.
   */
  admit(merges: MergeScheduler): ReturnType<MergeScheduler['admit']> | undefined {
    if (!this.#isWarm) return this.#admitLater(merges);
    return merges.isBacklogged ? merges.admit() : undefined;
  }

  async #admitLater(merges: MergeScheduler): ReturnType<MergeScheduler['admit']> {
    await this.warmed.catch(() => undefined);
    return merges.isBacklogged ? merges.admit() : undefined;
  }

  /** As `admit`, for whoever cannot wait: where that would, a `StoreBusyError`. */
  admitNow(merges: MergeScheduler): StoreError | undefined {
    if (!this.#isWarm) return new StoreBusyError('warming');
    return merges.isBacklogged ? merges.admitNow() : undefined;
  }

  /** Merges now, as soon as nothing is left to read. */
  async mergeNow(merges: MergeScheduler): Promise<void> {
    if (!this.#isWarm) await this.warmed.catch(() => undefined);
    await merges.mergeNow();
  }

  /** Calls `next` when all is in memory: now, if it is; never, if a part of it cannot be read. */
  onceWarm(next: () => void): void {
    if (this.#isWarm) next();
    else this.warmed.then(next, () => undefined);
  }

  /** Stops the reading, and waits until all threads are gone. */
  async stop(): Promise<void> {
    await this.#warming?.stop();
    await this.#threadsEnded;
  }
}
