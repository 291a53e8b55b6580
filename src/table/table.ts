import { assert } from '../base/assert.ts';
import { CHECKED_ROWS } from '../base/work-slices.ts';
import { splitU64, u64Halves } from '../base/u64.ts';
import type { Columns } from '../format/columns.ts';
import type { Region, RowMemory } from './delta/arena.ts';
import { Base } from './base/base.ts';
import { BaseMerge } from './base/base-merge.ts';
import { BaseUpdates } from './base/base-updates.ts';
import { Chunk } from './chunk/chunk.ts';
import type { StoreIterator } from './scan/record-iterator.ts';
import type { ContentCount, KnownContent } from './scan/content-count.ts';
import { Delta } from './delta/delta.ts';
import { FIRST_MARK } from './delta/publication.ts';
import { toKeySpan } from './chunk/key-directory.ts';
import { LazyChunk } from './chunk/lazy-chunk.ts';
import { keyListOf, type KeyList } from './chunk/span-list.ts';
import type { RangeOptions } from './layer/key-range.ts';
import { OlderLayers } from './base/older-layers.ts';
import type { TableRecord } from './layer/table-record.ts';
import { TABLE_SIZES, type TableSizes } from './layer/table-sizes.ts';
import { ReplayedRows, type ReplayedParts } from './replayed/replayed-rows.ts';
import { UNKNOWN_KEY, type DataLength, type Presence } from './layer/update-layer.ts';
import { View, type Records } from './view.ts';

/** Rows that one step indexes, or takes back, in some tens of microseconds. */
const STEP_ROWS: number = CHECKED_ROWS;

const ALL_PRESENT: Presence = { isPresent: () => true };

export interface TableMemory {
  /** Columns of the base. */
  readonly baseBytes: number;
  /** Rows and index of the live delta. */
  readonly liveBytes: number;
  /** Updates that are being merged, or wait to be. */
  readonly frozenBytes: number;
}

/** Bytes of records, without indexes and unused memory. */
export interface MergeEffect {
  readonly freedBytes: number;
  readonly leftBytes: number;
}

/** The result of recovery: the snapshot's chunks and the rows of the logs. */
export interface RecoveredColumns {
  readonly snapshot: readonly (Columns | LazyChunk)[];
  /** First and last keys of the chunks on disk, if they differ from those of `snapshot`. */
  readonly diskKeys?:
    readonly { readonly firstKey: bigint; readonly lastKey: bigint }[] | undefined;
  /** Updates newer than the snapshot, newest layer first. */
  readonly layers?: readonly ReplayedParts[];
  /** Number of records of snapshot and updates together. Default: that of `snapshot`. */
  readonly recordCount?: number;
  /** Content hash of snapshot and updates together, if known. */
  readonly contentHash?: bigint | undefined;
}

/**
 * The records in memory, in layers. A newer layer shadows older ones, key by key:
 *
 *   live delta     rows of groups since the last freeze, as they were committed, with a hash index
 *   frozen layers  deltas that a merge takes in, newest first; below them rows of recovery
 *   base           the chunks of the snapshot, sorted columns
 *
 * A group is published in steps. `reserve` returns a region of the live delta's arena, into which
 * the rows are copied. `beginPublish` and `stepPublish` index them while they are being written to
 * the log; readers do not see them. `endPublish` makes all of them visible at once.
 * `stepAbandon` undoes the indexing: each key points to its previous row again. One group is
 * published at a time.
 *
 * A merge begins with `freeze`, between two groups: the live delta becomes the newest frozen layer,
 * and a new live delta begins. The frozen layers then hold what the closed logs hold.
 * `replaceChunks` puts merged chunks into the base, one step at a time. The frozen layers shadow
 * them with the same records, so readers see no change. When the snapshot is durable, its base has
 * every record, and `dropFrozen` drops the frozen layers. If a merge fails, nothing is dropped, and
 * the next merge includes all frozen layers.
 *
 * Layers are never changed in place, except for the end of the live delta: `OlderLayers` and `Base`
 * are replaced. A view keeps the layers of its time and a mark, the end of the live delta's rows at
 * that time. So a row stays in memory, even if a newer row replaces it, until a merge has taken its
 * layer in and no view holds that layer. `mergeEffect` estimates how much memory such rows and the
 * records that they shadow take.
 */
export class Table implements Records {
  #live: Delta;
  readonly #sizes: TableSizes;
  #older: OlderLayers;
  #size: number;
  /** Keys of the chunks on disk, by which merges number their steps. */
  #snapshot: KeyList;
  #merge: BaseMerge | undefined;
  /** Number of records in the last frozen layer and below. */
  #frozenSize = 0;
  #knownContent: KnownContent | undefined;
  /** See `beginPublish`. */
  #publishedKeys: 'any' | 'present' = 'any';

  constructor(recovered: RecoveredColumns = { snapshot: [] }, sizes: TableSizes = TABLE_SIZES) {
    this.#sizes = sizes;
    this.#live = new Delta(sizes);
    const { pageChunks } = sizes;
    const slots = recovered.snapshot.map((slot) =>
      slot instanceof LazyChunk ? slot : new Chunk(slot, 'adopted'),
    );
    const base = Base.of(slots, pageChunks);
    const layers = (recovered.layers ?? []).map((parts) => new ReplayedRows(parts));
    this.#size = recovered.recordCount ?? base.recordCount;
    this.#older = new OlderLayers(layers, base);
    const { diskKeys } = recovered;
    this.#snapshot = keyListOf(diskKeys?.map(toKeySpan) ?? slots, pageChunks);
    this.#knowContent(recovered.contentHash);
  }

  /** Exact number of records. */
  get size(): number {
    return this.#size;
  }

  get memory(): TableMemory {
    const baseBytes = this.#older.base.memoryBytes;
    return {
      baseBytes,
      liveBytes: this.#live.memoryBytes,
      frozenBytes: this.#older.memoryBytes - baseBytes,
    };
  }

  get memoryBytes(): number {
    return this.#live.memoryBytes + this.#older.memoryBytes;
  }

  /** Bytes of the live delta's rows, at most MAX_DELTA_BYTES. */
  get liveBytes(): number {
    return this.#live.usedBytes;
  }

  /** Bytes of rows that a newer row of the same layer replaces, and of rows that delete a key. */
  get deadBytes(): number {
    let deadBytes = this.#live.deadBytes;
    for (const layer of this.#older.frozen) deadBytes += layer.deadBytes;
    return deadBytes;
  }

  /**
   * Estimates the memory that a merge would free: {@link deadBytes}, plus the records of older
   * layers that newer layers replace or delete. The latter are counted, and assumed to have the
   * mean length of the base's records.
   */
  get mergeEffect(): MergeEffect {
    const { base, frozen } = this.#older;
    let freedBytes = this.deadBytes;
    let leftBytes = base.memoryBytes + this.#live.currentBytes;
    let shadowed = this.#live.shadowedRecords;
    for (const layer of frozen) {
      leftBytes += layer.currentBytes;
      shadowed += layer.shadowedRecords;
    }
    if (shadowed > 0 && base.recordCount > 0) {
      const shadowedBytes = (shadowed * base.memoryBytes) / base.recordCount;
      freedBytes += shadowedBytes;
      leftBytes = Math.max(0, leftBytes - shadowedBytes);
    }
    return { freedBytes, leftBytes };
  }

  /**
   * Deletes that reads passed over since the last merge, see {@link PassedDeletes}. 0 if there is
   * no delete. Reads of views that are older than the live delta do not count: no merge helps them.
   */
  get passedDeletes(): number {
    return this.deadBytes > 0 ? this.#live.passed.count : 0;
  }

  /** Throws TypeError or RangeError if `key` is not a u64. The data is a copy. */
  get(key: bigint | number): TableRecord | undefined {
    splitU64(key, 'key');
    return this.lookUp(u64Halves[0]!, u64Halves[1]!);
  }

  /** Throws TypeError or RangeError if `key` is not a u64. */
  has(key: bigint | number): boolean {
    splitU64(key, 'key');
    return this.isPresent(u64Halves[0]!, u64Halves[1]!);
  }

  lookUp(low: number, high: number): TableRecord | undefined {
    const found = this.#live.lookUp(low, high);
    if (found !== undefined) return found ?? undefined;
    return this.#older.lookUp(low, high);
  }

  isPresent(low: number, high: number): boolean {
    const state = this.#live.stateOf(low, high);
    return state === 'unknown' ? this.#older.isPresent(low, high) : state === 'present';
  }

  readValue(low: number, high: number, target: Uint32Array, at: number): void {
    if (!this.#live.readValue(low, high, target, at)) this.#older.readValue(low, high, target, at);
  }

  readData(low: number, high: number, target: Uint8Array, offset: number): DataLength {
    const lengthBytes = this.#live.readData(low, high, target, offset);
    return lengthBytes === UNKNOWN_KEY
      ? this.#older.readData(low, high, target, offset)
      : lengthBytes;
  }

  view(): View {
    return new View(this.#live, this.#older, this.#size, this.#knownContent);
  }

  entries(options?: RangeOptions): StoreIterator<[bigint, TableRecord]> {
    return this.view().entries(options);
  }

  keys(options?: RangeOptions): StoreIterator<bigint> {
    return this.view().keys(options);
  }

  values(options?: RangeOptions): StoreIterator<TableRecord> {
    return this.view().values(options);
  }

  /** False if the live delta must be merged before it can take this many bytes. */
  hasRoomFor(lengthBytes: number): boolean {
    return this.#live.hasRoomFor(lengthBytes);
  }

  /**
   * Reserves contiguous space for one group's rows. Regions of a table are published or released in
   * the order of their reservation, and before the next `freeze`. Call `hasRoomFor` first.
   */
  reserve(lengthBytes: number, memory?: RowMemory): Region {
    return this.#live.reserve(lengthBytes, memory);
  }

  /** Releases the region of a group that failed. */
  release(region: Region): void {
    this.#live.release(region);
  }

  /** Makes the rows in the first `rowsLength` bytes of `region` visible, all at once. */
  publish(region: Region, rowsLength: number): void {
    this.beginPublish(region, rowsLength);
    this.stepPublish(Infinity);
    this.endPublish();
  }

  /**
   * Begins a {@link publish} in steps, whose timing the caller chooses. No row is visible before
   * `endPublish`. With `present`, the rows are deletes of keys that the table has records of.
   */
  beginPublish(region: Region, rowsLength: number, keys: 'any' | 'present' = 'any'): void {
    this.#publishedKeys = keys;
    this.#live.beginPublish(region, rowsLength);
  }

  /** Indexes up to `maxRows` more rows. Returns true when all are indexed. */
  stepPublish(maxRows: number = STEP_ROWS): boolean {
    const older = this.#publishedKeys === 'present' ? ALL_PRESENT : this.#older;
    return this.#live.stepPublish(maxRows, older);
  }

  /** Makes the group visible. It must be indexed and durable. */
  endPublish(): void {
    this.#size += this.#live.finishPublish();
  }

  /**
   * Undoes the indexing of up to `maxRows` rows of a group whose write failed. Returns true when
   * all are undone and the group's region is released.
   */
  stepAbandon(maxRows: number = STEP_ROWS): boolean {
    return this.#live.stepAbandon(maxRows);
  }

  /**
   * Sorts some rows for future iterators, in a few milliseconds. Returns false if all are sorted.
   */
  sortStep(): boolean {
    return this.#live.sortStep();
  }

  /**
   * Begins a merge of everything up to now: freezes the live delta and starts a new one. Layers
   * frozen for an earlier merge that failed are still there and are part of this merge. Each call
   * may add a layer that every read must search; `beginMerge` and `replaceFrozen` avoid that.
   */
  freeze(): void {
    assert(!this.#live.isPublishing, 'a group is frozen whole');
    if (this.#live.rowCount > 0) {
      this.#older = new OlderLayers([this.#live, ...this.#older.frozen], this.#older.base);
      this.#freezeContent();
    }
    this.#frozenSize = this.#size;
    this.beginMerge();
  }

  /** Number of layers of updates that wait for a merge. */
  get frozenLayers(): number {
    return this.#older.frozen.length;
  }

  /**
   * Begins a merge of the frozen layers. Chunks that a failed merge has put into the base are
   * valid.
   */
  beginMerge(): void {
    this.#merge = new BaseMerge(this.#snapshot);
  }

  /** Replaces all frozen layers by one. `run` holds the last update of each of their keys. */
  replaceFrozen(run: readonly Columns[]): void {
    const chunks = run.map((columns) => new Chunk(columns, 'adopted'));
    const { base } = this.#older;
    const frozen = frozenOf(chunks, base, this.#frozenSize, this.#sizes.pageChunks);
    this.#older = new OlderLayers(frozen, base);
  }

  /**
   * Puts merged chunks into the base while the merge runs, in ascending order of steps. They
   * replace the chunks [fromOrigin, toOrigin) of the old snapshot and all keys between the
   * neighbours of these; if fromOrigin = toOrigin, they are inserted. Frozen updates shadow them
   * with the same records, so readers see no change. If not `isWhole`, more chunks follow for the
   * last gap, and these cover it only up to their last key.
   */
  replaceChunks(
    fromOrigin: number,
    toOrigin: number,
    columns: readonly Columns[],
    isWhole = true,
  ): void {
    assert(this.#merge !== undefined, 'a merge runs');
    const chunks = columns.map((one) => new Chunk(one, 'adopted'));
    const step = { fromOrigin, toOrigin, isWhole };
    const base = this.#merge.replace(this.#older.base, step, chunks);
    this.#older = new OlderLayers(this.#older.frozen, base);
  }

  /**
   * Ends a merge whose snapshot is durable: the base equals the new snapshot. `contentHash`: the
   * hash that the merge has computed.
   */
  dropFrozen(contentHash?: bigint): void {
    assert(this.#merge !== undefined, 'a merge runs');
    const { base } = this.#older;
    assert(base.recordCount === this.#frozenSize, 'a merge leaves every record where it was');
    this.#older = new OlderLayers([], base);
    this.#snapshot = this.#merge.finish();
    this.#merge = undefined;
    this.#live.passed.reset();
    if (this.#knownContent === undefined) this.#knowContent(contentHash);
  }

  countContent(): ContentCount {
    return this.view().countContent();
  }

  keepContent(count: ContentCount): void {
    const { live, mark, value } = count;
    const isLater = mark.rowCount >= (this.#knownContent?.mark.rowCount ?? 0);
    if (live === this.#live && isLater) this.#knownContent = { live, mark, value };
  }

  /** Records the content hash of everything older than the live delta. */
  #knowContent(value: bigint | undefined): void {
    this.#knownContent =
      value === undefined ? undefined : { live: this.#live, mark: FIRST_MARK, value };
  }

  /** A known hash of part of the rows that are now frozen is useless: it must cover all of them. */
  #freezeContent(): void {
    const frozen = this.#live;
    const known = this.#knownContent;
    this.#live = new Delta(this.#sizes);
    const isWhole = known?.live === frozen && known.mark.rowCount === frozen.rowCount;
    this.#knowContent(isWhole ? known.value : undefined);
  }
}

/**
 * Makes a layer of updates in key order, unless there are none. `size`: the number of records of
 * both.
 */
function frozenOf(
  updates: readonly Chunk[],
  base: Base,
  size: number,
  pageChunks: number,
): BaseUpdates[] {
  if (updates.length === 0) return [];
  const layer = Base.of(updates, pageChunks);
  // An update that replaces a record counts once, a delete twice, because the delete is not a
  // record.
  return [new BaseUpdates(layer, base.recordCount + layer.recordCount - size)];
}
