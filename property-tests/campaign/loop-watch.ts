import { Worker } from 'node:worker_threads';

const BEATS = 0;
const STATES = 1;
const SEED = 2;
const FIELDS = 3;

const BEAT_MS = 1_000;
/** Longer than any step of a campaign on a loaded machine. */
const LONGEST_STILLNESS_MS = 60_000;

/**
 * The other thread. It writes to the descriptor itself: what a worker prints goes through the
 * event loop that stands still. It ends the whole process, which cannot end itself.
 */
const WATCHER = `
  const { workerData } = require('node:worker_threads');
  const { writeSync } = require('node:fs');
  const { shared, beatMs, longestMs } = workerData;
  const fields = new Int32Array(shared);
  let last = -1;
  let stillMs = 0;
  setInterval(() => {
    const beats = Atomics.load(fields, ${BEATS});
    stillMs = beats === last ? stillMs + beatMs : 0;
    last = beats;
    if (stillMs < longestMs) return;
    const states = Atomics.load(fields, ${STATES});
    writeSync(1, 'seed ' + Atomics.load(fields, ${SEED}) + ' of the program that ran\\n\\n' +
      'broken by I5: the event loop stands still after ' + states + ' states\\n');
    process.kill(process.pid, 'SIGKILL');
  }, beatMs);
`;

/**
 * Ends the process with a verdict when its event loop stands still. A commit loop that turns for
 * ever without a turn of the event loop starves every timer, so no check in this thread sees it.
 */
export class LoopWatch {
  readonly #fields: Int32Array = new Int32Array(
    new SharedArrayBuffer(FIELDS * Int32Array.BYTES_PER_ELEMENT),
  );
  readonly #worker: Worker;
  readonly #timer: NodeJS.Timeout;

  constructor(longestMs = LONGEST_STILLNESS_MS, beatMs = BEAT_MS) {
    const workerData = { shared: this.#fields.buffer, beatMs, longestMs };
    this.#worker = new Worker(WATCHER, { eval: true, workerData, execArgv: [] });
    this.#worker.unref();
    this.#timer = setInterval(() => Atomics.add(this.#fields, BEATS, 1), beatMs / 2);
    this.#timer.unref();
  }

  /** A program starts. */
  note(seed: number, states: number): void {
    Atomics.store(this.#fields, SEED, seed);
    Atomics.store(this.#fields, STATES, states);
  }

  async end(): Promise<void> {
    clearInterval(this.#timer);
    await this.#worker.terminate();
  }
}
