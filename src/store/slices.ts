import { monotonicMs } from '../base/timers.ts';
import { checkSignal } from '../base/abort.ts';
import { AbortedError } from '../base/errors.ts';

/** Duration of a slice of reading, on the thread that also commits and serves requests. */
const SLICE_MS = 1.5;

export interface SliceHooks {
  /** Yields to other work of the process. */
  readonly pause: () => Promise<void>;
  /** Throws if the store was closed meanwhile. */
  readonly requireOpen: () => void;
  readonly signal: AbortSignal | undefined;
}

/** Divides a long read in memory into slices, between which the event loop runs. */
export class Slices {
  readonly #what: string;
  readonly #hooks: SliceHooks;
  #endMs: number;

  /**
   * `what` is being read, for errors. Throws TypeError if `signal` is not an AbortSignal,
   * AbortedError if it is aborted.
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

  /** Throws AbortedError or StoreClosedError if reading must stop. */
  check(): void {
    const { requireOpen, signal } = this.#hooks;
    if (signal?.aborted === true) {
      throw new AbortedError(`${this.#what} was aborted`, { cause: signal.reason });
    }
    requireOpen();
  }

  /** Yields to the event loop. */
  async next(): Promise<void> {
    await this.#hooks.pause();
    this.check();
    this.#endMs = monotonicMs() + SLICE_MS;
  }
}
