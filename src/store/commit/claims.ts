import type { DirectoryLock } from '../../directory/directory-lock.ts';
import type { Predecessor } from '../../format/file-header.ts';
import type { Health } from './health.ts';

/** The end of the durable part of the logs. */
export type SyncedEnd = Pick<Predecessor, 'number' | 'lengthBytes' | 'lastSequence'>;

export interface ClaimsParts {
  readonly lock: DirectoryLock;
  readonly storeId: Uint8Array;
  readonly health: Health;
}

/**
 * Records in the lock file what the directory must hold, in the background and one at a time. A
 * claim is a lower bound, so a failed or skipped claim does no harm: the previous one remains
 * valid.
 */
export class Claims {
  readonly #parts: ClaimsParts;
  #waiting: SyncedEnd | undefined;
  #writing: Promise<void> | undefined;

  constructor(parts: ClaimsParts) {
    this.#parts = parts;
  }

  /** Notes that everything up to `end` is durable, names included. */
  note(end: SyncedEnd): void {
    if (this.#parts.health.isPoisoned) return;
    this.#waiting = end;
    this.#writing ??= this.#write();
  }

  /** Resolves when no claim is being written. */
  async whenIdle(): Promise<void> {
    await this.#writing;
  }

  async #write(): Promise<void> {
    const { lock, storeId } = this.#parts;
    while (this.#waiting !== undefined) {
      const { number, lengthBytes, lastSequence } = this.#waiting;
      this.#waiting = undefined;
      await lock.recordClaim({ storeId, number, lengthBytes, lastSequence }).catch(() => undefined);
    }
    this.#writing = undefined;
  }
}
