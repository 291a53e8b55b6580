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

/** What a store says of its snapshots. */
export interface SnapshotFigures {
  /** Snapshots that are not released. */
  readonly open: number;
  /**
   * Bytes of records and updates in memory that only snapshots need: those that were merged,
   * replaced or deleted since.
   */
  readonly heldBytes: number;
  /** Sequence number of the last batch in the oldest open snapshot; undefined if none is open. */
  readonly oldestSequence: bigint | undefined;
}

/** What a snapshot is made from. */
export interface SnapshotParts {
  readonly view: View;
  readonly lastSequence: bigint;
  readonly hooks: ReadSource['hooks'];
  readonly onRelease: (snapshot: StoreSnapshot) => void;
}

/**
 * The records of a store at one moment, whatever is written and merged afterwards. Taking one
 * copies nothing. It keeps the memory of its records until it is released, also where the store has
 * replaced or deleted them: `stats().snapshots` has the bytes. Every call throws
 * SnapshotReleasedError after the release, and StoreClosedError after the store was closed, which
 * releases all snapshots.
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
   * As `MetadataStore.contentHash`, of the records of the snapshot.
   * @throws SnapshotReleasedError and StoreClosedError, at once or while it runs; AbortedError,
   *   TypeError; as rejections
   */
  override async contentHash(options: ContentHashOptions = {}): Promise<ContentHash> {
    checkContentHashOptions(options);
    const { records, hooks } = this.#source;
    return computeContentHash(records(), this.lastSequence, { ...hooks, signal: options.signal });
  }

  /**
   * A keyspace of the snapshot, for reading; released with it.
   * @throws TypeError or RangeError that names the option
   */
  keyspace(options: KeyspaceOptions): ReadableKeyspace {
    return new ReadableKeyspace(this.#source, checkKeyspace(options));
  }

  /** Whether it can no longer be read. */
  get isReleased(): boolean {
    return this.#view === undefined;
  }

  /**
   * Lets go of the memory. Idempotent. Calls that are running reject with SnapshotReleasedError; a
   * synchronous iterator that has begun may be finished.
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
