import { assert } from '../base/assert.ts';
import { splitU64, u64Halves } from '../base/u64.ts';
import type { Columns } from '../format/columns.ts';
import type { Region } from './delta/arena.ts';
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
import { UNKNOWN_KEY, type DataLength } from './layer/update-layer.ts';
import { View, type Records } from './view.ts';

/** Rows that {@link Table.stepPublish} takes in about a millisecond. */
export const PUBLISH_STEP_ROWS = 2_048;

export interface TableMemory {
  /** Columns of the base. */
  readonly baseBytes: number;
  /** Rows and index of the live delta. */
  readonly liveBytes: number;
  /** Updates that a merge takes in. */
  readonly frozenBytes: number;
}

/** Bytes of records, without indexes and unused memory. */
export interface MergeEffect {
  readonly freedBytes: number;
  readonly leftBytes: number;
}

/** What recovery hands over: the snapshot's chunks, and the rows of the logs. */
export interface RecoveredColumns {
  readonly snapshot: readonly (Columns | LazyChunk)[];
  /** First and last keys of the chunks on disk, where these are not those of `snapshot`. */
  readonly diskKeys?:
    readonly { readonly firstKey: bigint; readonly lastKey: bigint }[] | undefined;
  /** Newer updates, newest layer first. */
  readonly layers?: readonly ReplayedParts[];
  /** Number of records of both together; where it is not given, that of `snapshot`. */
  readonly recordCount?: number;
  /** Content hash of both together, if it is known. */
  readonly contentHash?: bigint | undefined;
}

/**
 * The records in memory, in layers. A newer layer shadows older ones, key by key:
 *
 *   live delta     rows of groups since the last freeze, as they were committed, with a hash index
 *   frozen layers  deltas that a merge takes in, newest first; below them rows of recovery
 *   base           the chunks of the snapshot, sorted columns
 *
 * A group is published in steps. `reserve` gives a region of the live delta's arena, which the rows
 * are copied into. `beginPublish` and `stepPublish` index them while they are being written to the
 * log; readers do not see them. `endPublish` shows all of them at once, `abandonPublish` takes them
 * back: each key points where it did before. One group is published at a time.
 *
 * A merge begins with `freeze`, between two groups: the live delta becomes the newest frozen layer,
 * a new one begins. The frozen layers then hold what the closed logs hold. `replaceChunks` puts
 * merged chunks into the base one step at a time. They hold the records that the frozen layers
 * shadow them with, so no reader sees a change. `dropFrozen` lets go of the frozen layers when the
 * snapshot is durable; its base has every record. A merge that fails drops nothing, and the next
 * one takes in what is frozen as well.
 *
 * Layers are never changed in place, except for the live delta's end: `OlderLayers` and `Base` are
 * replaced. A view keeps the layers of its moment and a mark, the end of the live delta's rows
 * then. So a row stays in memory until a merge has taken its layer in and no view holds that layer,
 * also when a newer row replaces it. `mergeEffect` says how much memory such rows and the records
 * that they shadow take.
 */
export class Table implements Records {
  #live: Delta;
  readonly #sizes: TableSizes;
  #older: OlderLayers;
  #size: number;
  /** Keys of the chunks on disk, that merges number their steps by. */
  #snapshot: KeyList;
  #merge: BaseMerge | undefined;
  /** Records in what has been frozen last, and below. */
  #frozenSize = 0;
  #knownContent: KnownContent | undefined;

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

  /** Bytes of the live delta's rows; MAX_DELTA_BYTES is the most. */
  get liveBytes(): number {
    return this.#live.usedBytes;
  }

  /** Bytes of rows that a newer row of their layer replaces, and of rows that delete a key. */
  get deadBytes(): number {
    let deadBytes = this.#live.deadBytes;
    for (const layer of this.#older.frozen) deadBytes += layer.deadBytes;
    return deadBytes;
  }

  /**
   * What a merge would free: {@link deadBytes}, and the records of older layers that newer ones
   * replace or delete. These are counted, and taken to be as long as the base's records are on
   * average.
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

  /** Throws TypeError or RangeError if `key` is no u64. The data is a copy. */
  get(key: bigint | number): TableRecord | undefined {
    splitU64(key, 'key');
    return this.lookUp(u64Halves[0]!, u64Halves[1]!);
  }

  /** Throws TypeError or RangeError if `key` is no u64. */
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

  /** False when the live delta must be merged before it takes this many bytes more. */
  hasRoomFor(lengthBytes: number): boolean {
    return this.#live.hasRoomFor(lengthBytes);
  }

  /**
   * Space for one group's rows, in one piece. Regions of one table are published or released in the
   * order in which they were reserved, and before the next `freeze`. Ask `hasRoomFor` first.
   */
  reserve(lengthBytes: number): Region {
    return this.#live.reserve(lengthBytes);
  }

  /** Gives up a region: its group failed. */
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
   * As {@link publish}, in steps for which the caller picks the time: nobody sees a row before the
   * end.
   */
  beginPublish(region: Region, rowsLength: number): void {
    this.#live.beginPublish(region, rowsLength);
  }

  /** Indexes up to `maxRows` rows more. True when there is none left: the group can be shown. */
  stepPublish(maxRows: number = PUBLISH_STEP_ROWS): boolean {
    return this.#live.stepPublish(maxRows, this.#older);
  }

  /** Shows the group: all of it is indexed, and durable. */
  endPublish(): void {
    this.#size += this.#live.finishPublish();
  }

  /** Takes back a group that is being published and releases its region: its write failed. */
  abandonPublish(): void {
    this.#live.abandonPublish();
  }

  /** Sorts some rows for iterators to come, in a few milliseconds; false when all are sorted. */
  sortStep(): boolean {
    return this.#live.sortStep();
  }

  /**
   * Begins a merge, which takes in everything up to now: the live delta is frozen and a new one
   * begins. What an earlier merge that failed was to take in is still frozen, and belongs to this
   * one too. Each call may add a layer that every read passes through: see `beginMerge` and
   * `replaceFrozen`.
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

  /** Layers of updates that wait for a merge. */
  get frozenLayers(): number {
    return this.#older.frozen.length;
  }

  /**
   * Begins a merge of what is frozen. Chunks that one which failed has left in the base are right.
   */
  beginMerge(): void {
    this.#merge = new BaseMerge(this.#snapshot);
  }

  /**
   * Puts one layer in the place of all that are frozen. `run` holds the last update of each of
   * their keys.
   */
  replaceFrozen(run: readonly Columns[]): void {
    const chunks = run.map((columns) => new Chunk(columns, 'adopted'));
    const { base } = this.#older;
    const frozen = frozenOf(chunks, base, this.#frozenSize, TABLE_SIZES.pageChunks);
    this.#older = new OlderLayers(frozen, base);
  }

  /**
   * Takes in merged chunks while the merge runs, in ascending order of steps. They stand for the
   * chunks [fromOrigin, toOrigin) of the snapshot merged from, and for all keys between the
   * neighbours of these; fromOrigin = toOrigin inserts. Frozen updates shadow them with the same
   * records, so readers see no change. Unless they are the whole of it, more follow, and of the
   * last gap they stand only for keys up to their last.
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
   * Ends a merge that is durable: the base holds what the new snapshot holds, and `contentHash` is
   * the content hash that the merge has computed.
   */
  dropFrozen(contentHash?: bigint): void {
    assert(this.#merge !== undefined, 'a merge runs');
    const { base } = this.#older;
    assert(base.recordCount === this.#frozenSize, 'a merge leaves every record where it was');
    this.#older = new OlderLayers([], base);
    this.#snapshot = this.#merge.finish();
    this.#merge = undefined;
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

  /** The content hash of all that is older than the live delta. */
  #knowContent(value: bigint | undefined): void {
    this.#knownContent =
      value === undefined ? undefined : { live: this.#live, mark: FIRST_MARK, value };
  }

  /** What is known of rows that are now frozen is of use only if it is known of all of them. */
  #freezeContent(): void {
    const frozen = this.#live;
    const known = this.#knownContent;
    this.#live = new Delta(this.#sizes);
    const isWhole = known?.live === frozen && known.mark.rowCount === frozen.rowCount;
    this.#knowContent(isWhole ? known.value : undefined);
  }
}

/** Updates in key order as a layer, if there are any; `size` counts the records of both. */
function frozenOf(
  updates: readonly Chunk[],
  base: Base,
  size: number,
  pageChunks: number,
): BaseUpdates[] {
  if (updates.length === 0) return [];
  const layer = Base.of(updates, pageChunks);
  // An update that replaces a record counts once, one that deletes a record twice: it goes itself.
  return [new BaseUpdates(layer, base.recordCount + layer.recordCount - size)];
}
