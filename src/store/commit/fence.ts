import { type StoreError, StorePoisonedError } from '../../base/errors.ts';
import { waited, type Flow } from '../../base/flow.ts';
import type { DirectoryLock } from '../../directory/directory-lock.ts';
import type { Health } from './health.ts';

/** `background`: files are written by non-blocking calls. `inline`: by blocking calls. */
export type CommitMode = 'background' | 'inline';

/**
 * The lock of the directory together with the health of the store: the loss of the lock poisons the
 * store. Every acknowledgement, truncation, rename and removal passes the fence first.
 */
export class Fence {
  readonly lock: DirectoryLock;
  readonly health: Health;
  readonly mode: CommitMode;

  constructor(lock: DirectoryLock, health: Health, mode: CommitMode) {
    this.lock = lock;
    this.health = health;
    this.mode = mode;
  }

  /**
   * `whenHeld` of the lock. For inline commits it proves ownership after a pause before it returns,
   * and throws instead of rejecting.
   */
  whenHeld(): Promise<void> | undefined {
    const { lock } = this;
    if (this.mode === 'background' || lock.isInDoubt) return lock.whenHeld();
    lock.holdNow();
    return undefined;
  }

  /**
   * Returns an error if this process no longer holds the directory, or if the store is poisoned by
   * now: the file that was written to may be lost. Does not wait while the directory is known to be
   * held.
   */
  *check(outcome: 'not-applied' | 'unknown'): Flow<StoreError | undefined> {
    const { health } = this;
    try {
      const regained = this.whenHeld();
      if (regained !== undefined) yield regained;
    } catch (error) {
      if (!(error instanceof StorePoisonedError)) throw error;
      health.poisonWith(error);
    }
    return health.isPoisoned ? health.poisonedWrite(outcome) : undefined;
  }

  /**
   * Waits through a pause, without blocking in either mode.
   * @throws the cause of the poisoning if this process no longer holds the directory
   */
  async requireHeld(): Promise<void> {
    const { lock } = this;
    try {
      await lock.whenHeld();
    } catch (error) {
      throw this.health.broken(error);
    }
  }

  /**
   * The cause of a lost file. If another host has had the store, that is the cause. Waits through a
   * pause.
   */
  *causeOfLoss(
    lost: StorePoisonedError,
    whenHeld = (): Promise<void> | undefined => this.whenHeld(),
  ): Flow<StorePoisonedError> {
    try {
      yield* waited(whenHeld());
      return lost;
    } catch (error) {
      if (error instanceof StorePoisonedError) return error;
      throw error;
    }
  }
}
