import { jsonForm, showJson } from '../base/json-form.ts';
import { SnapshotReleasedError } from '../base/errors.ts';
import { heldBytes } from '../table/held-memory.ts';
import type { View } from '../table/view.ts';
import {
  checkContentHashOptions,
  computeContentHash,
  type ContentHash,
  type ContentHashOptions,
} from './content-hash.ts';
import { checkKeyspace, ReadableKeyspace, type KeyspaceOptions } from './keyspace.ts';
import { RecordReads, type ReadSource } from './record-reads.ts';

/** Figures of a store's snapshots. */
export interface SnapshotFigures {
  /** Number of snapshots that are not released. */
  readonly open: number;
  /**
   * Bytes of records and updates that only snapshots keep in memory: those that were merged,
   * replaced or deleted since.
   */
  readonly heldBytes: number;
  /** Sequence number of the last batch in the oldest open snapshot. Undefined if none is open. */
  readonly oldestSequence: bigint | undefined;
}

/** The state that a snapshot is made from. */
export interface SnapshotParts {
  readonly view: View;
  readonly lastSequence: bigint;
  readonly hooks: ReadSource['hooks'];
  readonly onRelease: (snapshot: StoreSnapshot) => void;
}

/**
 * The records of a store at one point in time, independent of later writes and merges. Taking a
 * snapshot copies nothing. Until it is released, it keeps its records in memory, including those
 * that the store has replaced or deleted since; `stats().snapshots` has the bytes. Every call
 * throws SnapshotReleasedError after the release, and StoreClosedError after the store was closed,
 * which releases all snapshots.
 */
export class StoreSnapshot extends RecordReads implements Disposable {
  /** Sequence number of the last batch in it. */
  readonly lastSequence: bigint;
  readonly #source: ReadSource & { readonly records: () => View };
  readonly #onRelease: (snapshot: StoreSnapshot) => void;
  #view: View | undefined;

  constructor({ view, lastSequence, hooks, onRelease }: SnapshotParts) {
    const read = (): View => {
      if (this.#view === undefined) throw new SnapshotReleasedError();
      return this.#view;
    };
    const requireOpen = (): void => {
      hooks.requireOpen();
      read();
    };
    const records = (): View => {
      hooks.requireOpen();
      return read();
    };
    const source = { records, lastSequence: () => lastSequence, hooks: { ...hooks, requireOpen } };
    super(source);
    this.#source = source;
    this.#view = view;
    this.#onRelease = onRelease;
    this.lastSequence = lastSequence;
  }

  /** Number of records. */
  get size(): number {
    return this.#source.records().size;
  }

  /**
   * Like `MetadataStore.contentHash`, for the records of the snapshot.
   *
   * @throws SnapshotReleasedError and StoreClosedError, at once or later; AbortedError, TypeError;
   *   as rejections
   */
  override async contentHash(options: ContentHashOptions = {}): Promise<ContentHash> {
    checkContentHashOptions(options);
    const { records, hooks } = this.#source;
    return computeContentHash(records(), this.lastSequence, { ...hooks, signal: options.signal });
  }

  /**
   * A read-only keyspace of the snapshot. It is released with the snapshot.
   *
   * @throws TypeError or RangeError that names the option
   */
  keyspace(options: KeyspaceOptions): ReadableKeyspace {
    return new ReadableKeyspace(this.#source, checkKeyspace(options));
  }

  /** What `JSON.stringify` and the console show. */
  toJSON(): unknown {
    return jsonForm({ lastSequence: this.lastSequence, isReleased: this.isReleased });
  }

  /** Whether the snapshot was released. */
  get isReleased(): boolean {
    return this.#view === undefined;
  }

  /**
   * Releases the memory. Idempotent. Running calls reject with SnapshotReleasedError. A synchronous
   * iterator that has started can be finished.
   */
  release(): void {
    if (this.#view === undefined) return;
    this.#view = undefined;
    this.#onRelease(this);
  }

  [Symbol.dispose](): void {
    this.release();
  }
}

showJson(StoreSnapshot.prototype);

/** The open snapshots of a store, oldest first. */
export class SnapshotSet {
  readonly #views: Map<StoreSnapshot, View> = new Map();

  take(parts: Omit<SnapshotParts, 'onRelease'>): StoreSnapshot {
    const onRelease = (released: StoreSnapshot): void => {
      this.#views.delete(released);
    };
    const snapshot = new StoreSnapshot({ ...parts, onRelease });
    this.#views.set(snapshot, parts.view);
    return snapshot;
  }

  get oldest(): StoreSnapshot | undefined {
    const [oldest] = this.#views.keys();
    return oldest;
  }

  get open(): number {
    return this.#views.size;
  }

  get views(): Iterable<View> {
    return this.#views.values();
  }

  releaseAll(): void {
    for (const snapshot of this.#views.keys()) snapshot.release();
  }
}

export function figuresOf(snapshots: SnapshotSet, current: View): SnapshotFigures {
  const { open, oldest, views } = snapshots;
  return { open, heldBytes: heldBytes(current, views), oldestSequence: oldest?.lastSequence };
}
