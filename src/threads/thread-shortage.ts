import { StoreError, systemCode } from '../base/errors.ts';

type Listener = (error: StoreError) => void;

/** Only one warning per process, however many stores it opens. */
let isWarned = false;

/**
 * Records that no worker thread could be started for a store: its jobs then run on the thread that
 * opened it. The process is warned once. The store's listener is called once, now or when it is
 * added.
 */
export class ThreadShortage {
  readonly #subject: string;
  #error: StoreError | undefined;
  #listener: Listener | undefined;

  /** `subject`: the directory of the store. */
  constructor(subject: string) {
    this.#subject = subject;
  }

  /** Callback for {@link ThreadPool}: no thread could be started, because of `cause`. */
  readonly report: (cause: Error) => void = (cause) => {
    if (this.#error !== undefined) return;
    this.#error = new StoreError('LODESTORE_THREAD', messageOf(cause), {
      cause,
      path: this.#subject,
    });
    if (!isWarned) {
      isWarned = true;
      process.emitWarning(this.#error.message, {
        code: this.#error.code,
        type: 'LodestoreWarning',
      });
    }
    this.#listener?.(this.#error);
  };

  listen(listener: Listener): void {
    this.#listener = listener;
    if (this.#error !== undefined) listener(this.#error);
  }
}

const MISSING_FILE = new Set(['ERR_MODULE_NOT_FOUND', 'MODULE_NOT_FOUND', 'ERR_INVALID_URL']);

function messageOf(cause: Error): string {
  const remedy = MISSING_FILE.has(systemCode(cause) ?? '')
    ? 'The file thread-entry.js is not beside the code: mark lodestore as external in the bundler, or copy the file'
    : 'Raise the limit on threads (ulimit -u, pids.max, --allow-worker)';
  return (
    `no worker thread could be started (${cause.message}): opening and merging run on the main thread, ` +
    `in slices. ${remedy}`
  );
}
