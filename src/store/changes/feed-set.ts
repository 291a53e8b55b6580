import { requireKnownFields, type FieldsOf } from '../../base/fields.ts';
import { checkSignal, onAbort } from '../../base/abort.ts';
import { AbortedError, FilesLostError, StoreClosedError } from '../../base/errors.ts';
import { MAX_U64 } from '../../base/limits.ts';
import type { Change } from './change.ts';
import { ChangeFeed, type FeedHost } from './change-feed.ts';
import type { ChangeSource } from './change-source.ts';
import type { Health } from '../commit/health.ts';
import type { RetainedLogs } from './retained-logs.ts';

export interface ChangesOptions {
  /**
   * Starts after this sequence number: that of the last batch that you have processed. Default:
   * only new batches. `0n`: from the beginning.
   */
  readonly after?: bigint | number | undefined;
  /** Ends the iteration with an `AbortedError`. */
  readonly signal?: AbortSignal | undefined;
}

const CHANGES_FIELDS: FieldsOf<ChangesOptions> = { after: true, signal: true };

/** Change feeds and the logs that they can read. */
export interface ChangeStats {
  /** Feeds that have not ended. */
  readonly feeds: number;
  /** The lowest position that can be followed. */
  readonly oldestPosition: bigint;
  /** Number of merged logs that are kept for feeds, and the bytes of their files. */
  readonly retainedLogs: number;
  readonly retainedBytes: number;
}

/** All feeds of a store. Without a waiting feed, a commit costs one comparison. */
export class FeedSet {
  /** Receives merged logs. */
  readonly retained: RetainedLogs;
  readonly #source: ChangeSource;
  readonly #health: Health;
  readonly #feeds: Set<ChangeFeed> = new Set();
  #waiting: (() => void)[] = [];

  constructor(source: ChangeSource, retained: RetainedLogs, health: Health) {
    this.#source = source;
    this.retained = retained;
    this.#health = health;
  }

  get stats(): ChangeStats {
    const { logs, totalBytes } = this.retained;
    return {
      feeds: this.#feeds.size,
      oldestPosition: this.#source.oldestPosition,
      retainedLogs: logs.length,
      retainedBytes: totalBytes,
    };
  }

  /** @throws TypeError or RangeError that names the option; StoreClosedError */
  open(options: ChangesOptions): AsyncIterableIterator<Change> & AsyncDisposable {
    requireKnownFields(options, CHANGES_FIELDS, 'options');
    const { signal } = options;
    const after = checkPosition(options.after);
    checkSignal(signal);
    const { state } = this.#health;
    if (state === 'closing' || state === 'closed') throw new StoreClosedError();
    const wake = (): void => this.ring();
    const stopListening = signal && onAbort(signal, wake);
    const host: FeedHost = {
      source: this.#source,
      ending: () => this.#ending(signal),
      whenChanged: () => new Promise((resolve) => this.#waiting.push(resolve)),
      onLost: (path, cause) => this.#health.broken(FilesLostError.of(path, cause)),
      onEnded: (feed) => {
        this.#feeds.delete(feed);
        stopListening?.();
        wake();
      },
    };
    const feed = new ChangeFeed(host, after);
    this.#feeds.add(feed);
    return feed;
  }

  /** Wakes feeds after a commit, a sync, or the end of the store. */
  ring(): void {
    if (this.#waiting.length === 0) return;
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const wake of waiting) wake();
  }

  /** Ends all feeds and closes their files. */
  async close(): Promise<void> {
    await Promise.all([...this.#feeds].map((feed) => feed.end()));
  }

  #ending(signal: AbortSignal | undefined): Error | undefined {
    if (signal?.aborted === true) {
      return new AbortedError('following the changes was aborted', { cause: signal.reason });
    }
    return this.#health.poison;
  }
}

function checkPosition(after: unknown): bigint | undefined {
  if (after === undefined) return undefined;
  if (typeof after !== 'bigint' && typeof after !== 'number') {
    throw new TypeError('options.after must be a bigint or a safe integer');
  }
  const isInteger = typeof after === 'bigint' || Number.isSafeInteger(after);
  if (!isInteger || after < 0 || after > MAX_U64) {
    throw new RangeError(`options.after must be an integer from 0 to ${MAX_U64}`);
  }
  return BigInt(after);
}
