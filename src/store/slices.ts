import { monotonicMs } from '../base/timers.ts';
import { checkSignal } from '../base/abort.ts';
import { AbortedError } from '../base/errors.ts';

/** A slice of reading, on the thread that also commits and serves. */
const SLICE_MS = 1.5;

export interface SliceHooks {
  /** Gives way to other work of the process. */
  readonly pause: () => Promise<void>;
  /** Throws when the store has been closed meanwhile. */
  readonly requireOpen: () => void;
  readonly signal: AbortSignal | undefined;
}

/** Long reads in memory, cut into slices between which the event loop turns. */
export class Slices {
  readonly #what: string;
  readonly #hooks: SliceHooks;
  #endMs: number;

  /**
   * `what` is being read, for errors. Throws TypeError unless `signal` is one, AbortedError if it
   * is aborted.
   */
  constructor(what: string, hooks: SliceHooks) {
    const { signal } = hooks;
    checkSignal(signal);
    this.#what = what;
    this.#hooks = hooks;
    this.check();
    this.#endMs = monotonicMs() + SLICE_MS;
  }

  get isOver(): boolean {
    return monotonicMs() >= this.#endMs;
  }

  /** Throws AbortedError or StoreClosedError when reading must end. */
  check(): void {
    const { requireOpen, signal } = this.#hooks;
    if (signal?.aborted === true) {
      throw new AbortedError(`${this.#what} was aborted`, { cause: signal.reason });
    }
    requireOpen();
  }

  /** Lets the event loop turn. */
  async next(): Promise<void> {
    await this.#hooks.pause();
    this.check();
    this.#endMs = monotonicMs() + SLICE_MS;
  }
}
