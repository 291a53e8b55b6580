import { StoreBusyError, StorePoisonedError, type StoreError } from '../base/errors.ts';
import type { MergeScheduler } from './merge/merge-scheduler.ts';
import type { Announce } from './observe/store-events.ts';
import type { OpenedStore } from './open/opened-store.ts';
import type { StoreThreads } from './open/store-threads.ts';
import type { Warming } from './recovery/warming.ts';

/** The background load of a store's snapshot, and the operations that wait for it. */
export class BackgroundLoad {
  readonly #warming: Warming | undefined;
  readonly #threads: StoreThreads;
  #isWarm: boolean;

  /** Starts loading the chunks that the open has left. */
  constructor({ recovered, threads, environment, health }: OpenedStore, announce: Announce) {
    const { warming } = recovered.state;
    this.#warming = warming;
    this.#threads = threads;
    this.#isWarm = warming === undefined;
    warming?.start(threads.makeForWarming, environment.pause, {
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

  /** Number of snapshot chunks that are not in memory. */
  get chunksLeft(): number {
    return this.#isWarm ? 0 : (this.#warming?.chunksLeft ?? 0);
  }

  /** Like `MetadataStore.warmed`. */
  get warmed(): Promise<void> {
    return this.#warming?.warmed ?? Promise.resolve();
  }

  /**
   * Admits a write when the load has completed or failed. Only then it is known whether the write
   * adds a record or replaces one, which may be in a damaged chunk.
   */
  admit(merges: MergeScheduler): ReturnType<MergeScheduler['admit']> | undefined {
    if (!this.#isWarm) return this.#admitLater(merges);
    return merges.isBacklogged ? merges.admit() : undefined;
  }

  async #admitLater(merges: MergeScheduler): ReturnType<MergeScheduler['admit']> {
    await this.warmed.catch(() => undefined);
    return merges.isBacklogged ? merges.admit() : undefined;
  }

  /** Like `admit`, without waiting: returns a `StoreBusyError` if `admit` would wait. */
  admitNow(merges: MergeScheduler): StoreError | undefined {
    if (!this.#isWarm) return new StoreBusyError('warming');
    return merges.isBacklogged ? merges.admitNow() : undefined;
  }

  /** Starts a merge as soon as the load has completed or failed. */
  async mergeNow(merges: MergeScheduler): Promise<void> {
    if (!this.#isWarm) await this.warmed.catch(() => undefined);
    await merges.mergeNow();
  }

  /** Calls `next` when everything is in memory. Never calls it if a chunk cannot be read. */
  onceWarm(next: () => void): void {
    if (this.#isWarm) next();
    else this.warmed.then(next, () => undefined);
  }

  /** Stops the load, and waits until all threads have ended. */
  async stop(): Promise<void> {
    await this.#warming?.stop();
    await this.#threads.recoveryEnded;
  }
}
