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

/** The shortest time between a note that failed and the next one. */
const RETRY_AFTER_MS = 50;

/**
 * Records in the lock file, for followers, up to where the logs are durable and acknowledged. Bytes
 * after this end may still be truncated. The first note after a pause is written at once, further
 * ones `everyMs` after the previous one. A note is not synced and delays no batch. A note that
 * fails is written again after a pause: otherwise followers would not show the last batch of a
 * writer that has nothing more to write.
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
    let pauseMs = everyMs;
    try {
      await lock.recordNote({ storeId, number, lengthBytes, lastSequence });
    } catch {
      this.#isDue = true;
      pauseMs = Math.max(everyMs, RETRY_AFTER_MS);
    }
    if (this.#state === 'closed') return;
    this.#state = 'pausing';
    this.#stopTimer = startTimer(pauseMs, () => {
      if (this.#state === 'pausing') this.#begin();
    });
  }
}
