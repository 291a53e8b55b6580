import { Worker } from 'node:worker_threads';
import type { FuzzInput } from './fuzz-input.ts';

const MAX_INPUT_BYTES = 4 * 1024 * 1024;

/** Seconds without progress after which an input counts as hanging. */
const HANG_SECONDS = 60;

const encoder = new TextEncoder();

/**
 * A thread that detects an execution that does not end, which the hanging thread itself cannot. It
 * writes the input to a file, prints its path, and ends the process with SIGKILL.
 */
export class Watchdog {
  /** Executions started, length of the last description, length of its files. */
  readonly #state: Int32Array = new Int32Array(new SharedArrayBuffer(12));
  /** The description (target, parameters, names and lengths), then the files. */
  readonly #memory: Uint8Array = new Uint8Array(new SharedArrayBuffer(MAX_INPUT_BYTES));
  readonly #worker: Worker;

  constructor(failurePath: string) {
    this.#worker = new Worker(new URL('./watchdog-thread.mjs', import.meta.url), {
      workerData: {
        state: this.#state,
        memory: this.#memory,
        failurePath,
        hangSeconds: HANG_SECONDS,
      },
    });
    this.#worker.unref();
  }

  begin(target: string, input: FuzzInput): void {
    const files = [...input.files].map(([name, bytes]) => [name, bytes.length]);
    const description = JSON.stringify({ target, parameters: input.parameters, files });
    const { written } = encoder.encodeInto(description, this.#memory);
    let end = written;
    for (const bytes of input.files.values()) {
      const part = bytes.subarray(0, Math.max(0, MAX_INPUT_BYTES - end));
      this.#memory.set(part, end);
      end += part.length;
    }
    Atomics.store(this.#state, 1, written);
    Atomics.add(this.#state, 0, 1);
  }

  async end(): Promise<void> {
    await this.#worker.terminate();
  }
}
