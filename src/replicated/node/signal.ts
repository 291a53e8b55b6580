import { onAbort } from '../../base/abort.ts';
import { AbortedError } from '../../base/errors.ts';

interface Waiter<T> {
  readonly resolve: (value: T) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * A result that comes once, from outside. Its rejection need not be handled. A wait that is aborted
 * leaves nothing behind, so there may be any number of them while no result comes.
 */
export class Signal<T = void> {
  /** Each with the function that stops listening to the signal of its wait. */
  readonly #waiters: Map<Waiter<T>, () => void> = new Map();
  #tell: ((waiter: Waiter<T>) => void) | undefined;

  resolve(value: T): void {
    this.#settle(({ resolve }) => resolve(value));
  }

  reject(error: unknown): void {
    this.#settle(({ reject }) => reject(error));
  }

  #settle(tell: (waiter: Waiter<T>) => void): void {
    if (this.#tell !== undefined) return;
    this.#tell = tell;
    for (const [waiter, stopListening] of this.#waiters) {
      stopListening();
      tell(waiter);
    }
    this.#waiters.clear();
  }

  /** Rejects with an AbortedError if `signal` is aborted first. */
  wait(signal?: AbortSignal): Promise<T> {
    return new Promise((resolve, reject) => {
      const waiter: Waiter<T> = { resolve, reject };
      if (this.#tell === undefined) this.#add(waiter, signal);
      else this.#tell(waiter);
    });
  }

  #add(waiter: Waiter<T>, signal: AbortSignal | undefined): void {
    if (signal === undefined) {
      this.#waiters.set(waiter, () => undefined);
      return;
    }
    const abort = (): void => {
      stopListening();
      this.#waiters.delete(waiter);
      waiter.reject(new AbortedError('the wait was aborted', { cause: signal.reason }));
    };
    const stopListening = onAbort(signal, abort);
    this.#waiters.set(waiter, stopListening);
    if (signal.aborted) abort();
  }
}
