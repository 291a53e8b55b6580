import type { DirectoryLock } from '../../directory/directory-lock.ts';
import type { SyncedEnd } from './claims.ts';
import type { Health } from './health.ts';
import type { StartTimer } from './log-sync.ts';

export interface NotesParts {
  readonly lock: DirectoryLock;
  readonly storeId: Uint8Array;
  readonly health: Health;
  readonly startTimer: StartTimer;
  /** The shortest time between two notes. */
  readonly everyMs: number;
  /** Up to where the logs are durable and acknowledged now. */
  readonly acknowledgedEnd: () => SyncedEnd;
}

/**
 * Records in the lock file, for followers, up to where the logs are durable and acknowledged. Bytes
 * after this end may still be truncated. The first note after a pause is written at once, further
 * ones `everyMs` after the previous one. A note is not synced and delays no batch. A failed note is
 * skipped: followers see the batches later.
 *
 * `resting`: everything is recorded. `writing`: a note is being written. `pausing`: the timer runs.
 */
export class Notes {
  readonly #parts: NotesParts;
  #state: 'resting' | 'writing' | 'pausing' | 'closed' = 'resting';
  #isDue = false;
  #writing: Promise<void> = Promise.resolve();
  #stopTimer: () => void = () => undefined;

  constructor(parts: NotesParts) {
    this.#parts = parts;
  }

  /** Called when more became durable and acknowledged. */
  note(): void {
    if (this.#state === 'closed') return;
    this.#isDue = true;
    if (this.#state === 'resting') this.#begin();
  }

  /** Resolves when nothing more is written. */
  async close(): Promise<void> {
    this.#state = 'closed';
    this.#stopTimer();
    await this.#writing;
  }

  #begin(): void {
    if (!this.#isDue || this.#parts.health.isPoisoned) {
      this.#state = 'resting';
      return;
    }
    this.#isDue = false;
    this.#state = 'writing';
    this.#writing = this.#write();
  }

  async #write(): Promise<void> {
    const { lock, storeId, startTimer, everyMs, acknowledgedEnd } = this.#parts;
    const { number, lengthBytes, lastSequence } = acknowledgedEnd();
    await lock.recordNote({ storeId, number, lengthBytes, lastSequence }).catch(() => undefined);
    if (this.#state === 'closed') return;
    this.#state = 'pausing';
    this.#stopTimer = startTimer(everyMs, () => {
      if (this.#state === 'pausing') this.#begin();
    });
  }
}
