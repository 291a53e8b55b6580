import { onAbort } from '../../base/abort.ts';
import {
  CheckpointStoreError,
  type CheckpointCallOptions,
  type CheckpointObject,
  type CheckpointSource,
  type CheckpointStore,
} from './checkpoint-store.ts';

/** Enough for a piece of a checkpoint over a slow network: 28 KiB per second. */
export const STALL_MS: number = 5 * 60 * 1000;

/** Calls `ring` once after `delayMs`. Returns a function that cancels it. */
type Timer = (delayMs: number, ring: () => void) => () => void;

/**
 * Ends the calls of a checkpoint store that make no progress: one that never ends would hold up all
 * later checkpoints of the node, and so the trims of the log. The signal of the call is aborted,
 * and it rejects with reason `unavailable`.
 */
export class PatientCheckpoints implements CheckpointStore {
  readonly #store: CheckpointStore;
  readonly #timer: Timer;

  constructor(store: CheckpointStore, timer: Timer) {
    this.#store = store;
    this.#timer = timer;
  }

  put(
    name: string,
    source: CheckpointSource,
    { signal }: CheckpointCallOptions = {},
  ): Promise<void> {
    return this.#inTime(`put of ${name}`, signal, (options) =>
      this.#store.put(name, source, options),
    );
  }

  get(name: string, { signal }: CheckpointCallOptions = {}): AsyncIterable<Uint8Array> {
    return this.#eachInTime(`get of ${name}`, signal, (options) => this.#store.get(name, options));
  }

  list(prefix: string, { signal }: CheckpointCallOptions = {}): AsyncIterable<CheckpointObject> {
    return this.#eachInTime('list', signal, (options) => this.#store.list(prefix, options));
  }

  delete(name: string, { signal }: CheckpointCallOptions = {}): Promise<void> {
    return this.#inTime(`delete of ${name}`, signal, (options) =>
      this.#store.delete(name, options),
    );
  }

  close(): Promise<void> {
    return this.#store.close();
  }

  async #inTime<T>(
    what: string,
    signal: AbortSignal | undefined,
    call: (options: CheckpointCallOptions) => Promise<T>,
  ): Promise<T> {
    const patience = new Patience(this.#timer, what, signal);
    try {
      return await patience.wait(() => call({ signal: patience.signal }));
    } finally {
      patience.end();
    }
  }

  async *#eachInTime<T>(
    what: string,
    signal: AbortSignal | undefined,
    call: (options: CheckpointCallOptions) => AsyncIterable<T>,
  ): AsyncGenerator<T, undefined> {
    const patience = new Patience(this.#timer, what, signal);
    let items: AsyncIterator<T> | undefined;
    try {
      const each = call({ signal: patience.signal })[Symbol.asyncIterator]();
      for (;;) {
        // Not ended after a failure: `return` would wait for a call that stalled.
        items = undefined;
        const next = await patience.wait(() => each.next());
        if (next.done === true) return;
        items = each;
        yield next.value;
      }
    } finally {
      await items?.return?.();
      patience.end();
    }
  }
}

/** The signal of one call, and the time that each of its steps may take. */
class Patience {
  readonly #timer: Timer;
  readonly #what: string;
  readonly #ending: AbortController = new AbortController();
  readonly #removeListener: () => void;

  constructor(timer: Timer, what: string, signal: AbortSignal | undefined) {
    this.#timer = timer;
    this.#what = what;
    const end = (): void => this.#ending.abort(signal?.reason);
    this.#removeListener = signal === undefined ? () => undefined : onAbort(signal, end);
    if (signal?.aborted === true) end();
  }

  get signal(): AbortSignal {
    return this.#ending.signal;
  }

  /** Settles as `step`, or rejects if it takes too long. */
  async wait<T>(step: () => Promise<T>): Promise<T> {
    let cancel: (() => void) | undefined;
    const stalled = new Promise<never>((_, reject) => {
      cancel = this.#timer(STALL_MS, () => {
        const text = `the checkpoint store has not answered a ${this.#what} for ${STALL_MS} ms`;
        const error = new CheckpointStoreError('unavailable', text);
        reject(error);
        this.#ending.abort(error);
      });
    });
    try {
      return await Promise.race([step(), stalled]);
    } finally {
      cancel?.();
    }
  }

  end(): void {
    this.#removeListener();
  }
}
