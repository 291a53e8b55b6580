import {
  StoreClosedError,
  StoreError,
  StorePoisonedError,
  type WriteOutcome,
} from '../../base/errors.ts';

/**
 * Whether the store takes writes. The first cause of a poisoning is kept, and every later write is
 * rejected with it: after a failed sync nobody knows what the disk holds until it is read again.
 */
export class Health {
  #state: 'open' | 'closing' | 'closed' = 'open';
  #poison: StorePoisonedError | undefined;
  readonly #onPoison: (error: StorePoisonedError) => void;

  constructor(onPoison: (error: StorePoisonedError) => void) {
    this.#onPoison = onPoison;
  }

  get state(): 'open' | 'poisoned' | 'closing' | 'closed' {
    if (this.#state !== 'open') return this.#state;
    return this.#poison === undefined ? 'open' : 'poisoned';
  }

  get isPoisoned(): boolean {
    return this.#poison !== undefined;
  }

  get poison(): StorePoisonedError | undefined {
    return this.#poison;
  }

  /** Stops all writes for good. Only the first call counts. */
  poisonWith(error: StorePoisonedError): void {
    if (this.#poison !== undefined) return;
    this.#poison = error;
    this.#onPoison(error);
  }

  /**
   * Stops all writes because something failed that cannot fail: a bug, so nothing in memory or on
   * disk is known to be as it should. An error that says why the store is poisoned stays as it is.
   * Returns the first of them.
   */
  broken(bug: unknown): StorePoisonedError {
    const message = 'internal error in the store; close and reopen it';
    const isTold = bug instanceof StorePoisonedError;
    this.poisonWith(isTold ? bug : new StorePoisonedError(message, { cause: bug }));
    return this.#poison!;
  }

  /** Calls what nobody waits for, a timer's callback say: if it throws, the store is poisoned. */
  guard(callback: () => void): void {
    try {
      callback();
    } catch (bug) {
      this.broken(bug);
    }
  }

  /** The error for a write that meets a poisoned store, with the first cause. */
  poisonedWrite(outcome: WriteOutcome): StorePoisonedError {
    const first = this.#poison!;
    const Class = first.constructor as typeof StorePoisonedError;
    return new Class(first.message, { cause: first.cause, outcome, path: first.path });
  }

  beginClosing(): void {
    if (this.#state === 'open') this.#state = 'closing';
  }

  endClosing(): void {
    this.#state = 'closed';
  }

  /** Why a write cannot be taken now, or undefined. */
  refusal(): StoreError | undefined {
    if (this.#state !== 'open') {
      return new StoreClosedError('the store is closed', { outcome: 'not-applied' });
    }
    return this.#poison === undefined ? undefined : this.poisonedWrite('not-applied');
  }
}
