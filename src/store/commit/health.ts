import {
  StoreClosedError,
  StoreError,
  StorePoisonedError,
  type WriteOutcome,
} from '../../base/errors.ts';

/**
 * Whether the store accepts writes. The first cause of poisoning is kept, and every later write is
 * rejected with it: after a failed sync, the state of the disk is unknown until it is read again.
 */
export class Health {
  #state: 'open' | 'closing' | 'closed' = 'open';
  #poison: StorePoisonedError | undefined;
  #listener: ((error: StorePoisonedError) => void) | undefined;

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

  /** Calls the listener when the store is poisoned, even if that was before this call. */
  onPoison(listener: (error: StorePoisonedError) => void): void {
    this.#listener = listener;
    if (this.#poison !== undefined) listener(this.#poison);
  }

  /** Stops all writes for good. Later calls have no effect. */
  poisonWith(error: StorePoisonedError): void {
    if (this.#poison !== undefined) return;
    this.#poison = error;
    this.#listener?.(error);
  }

  /**
   * Stops all writes because of a bug: the state of memory and disk is then unknown. If `bug` is
   * already an error that explains the poisoning, it is used unchanged. Returns the first cause.
   */
  broken(bug: unknown): StorePoisonedError {
    const message = 'internal error in the store; close and reopen it';
    const isTold = bug instanceof StorePoisonedError;
    this.poisonWith(isTold ? bug : new StorePoisonedError(message, { cause: bug }));
    return this.#poison!;
  }

  /**
   * Runs a callback whose errors no caller receives, such as that of a timer. If it throws, the
   * store is poisoned.
   */
  guard(callback: () => void): void {
    try {
      callback();
    } catch (bug) {
      this.broken(bug);
    }
  }

  /** The error for a write to a poisoned store, with the first cause. */
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

  /** Why writes are refused now, or undefined. */
  refusal(): StoreError | undefined {
    if (this.#state !== 'open') {
      return new StoreClosedError('the store is closed', { outcome: 'not-applied' });
    }
    return this.#poison === undefined ? undefined : this.poisonedWrite('not-applied');
  }
}
