/** The listeners of one signal. */
class AbortListeners {
  readonly #signal: AbortSignal;
  readonly #listeners: Set<() => void> = new Set();
  readonly #call = (): void => {
    for (const listener of this.#listeners) listener();
  };

  constructor(signal: AbortSignal) {
    this.#signal = signal;
  }

  add(listener: () => void): () => void {
    // A new function, so that a listener that is added twice is called twice.
    const own = (): void => listener();
    if (this.#listeners.size === 0) this.#signal.addEventListener('abort', this.#call);
    this.#listeners.add(own);
    return () => this.#remove(own);
  }

  #remove(listener: () => void): void {
    if (!this.#listeners.delete(listener) || this.#listeners.size > 0) return;
    this.#signal.removeEventListener('abort', this.#call);
  }
}

const LISTENERS: WeakMap<AbortSignal, AbortListeners> = new WeakMap();

/**
 * Calls `listener` when `signal` is aborted. Returns a function that removes it. A signal gets one
 * event listener for all callers, because Node warns of a leak above ten.
 */
export function onAbort(signal: AbortSignal, listener: () => void): () => void {
  let listeners = LISTENERS.get(signal);
  if (listeners === undefined) {
    listeners = new AbortListeners(signal);
    LISTENERS.set(signal, listeners);
  }
  return listeners.add(listener);
}

/**
 * Checks that `signal` is an AbortSignal. Signals of other realms or libraries are accepted.
 *
 * @throws TypeError
 */
export function checkSignal(signal: unknown): asserts signal is AbortSignal | undefined {
  if (signal === undefined) return;
  const { aborted, addEventListener, removeEventListener } = Object(signal) as Record<
    keyof AbortSignal,
    unknown
  >;
  const isSignal =
    typeof aborted === 'boolean' &&
    typeof addEventListener === 'function' &&
    typeof removeEventListener === 'function';
  if (!isSignal) throw new TypeError('options.signal must be an AbortSignal');
}
