import type { Cursor, Seek } from './layer/cursor.ts';
import type { Delta } from './delta/delta.ts';
import type { DeltaMark } from './delta/publication.ts';
import type { KeyPrefix } from './layer/key-prefix.ts';
import { checkRange, type KeyRange, type RangeOptions } from './layer/key-range.ts';
import type { OlderLayers } from './base/older-layers.ts';
import type { Pace, Slicing } from './scan/pace.ts';
import {
  EntryIterator,
  KeyIterator,
  RecordIterator,
  type StoreIterator,
} from './scan/record-iterator.ts';
import { RecordWalk } from './scan/record-walk.ts';
import { ContentCount, type ContentMoment, type KnownContent } from './scan/content-count.ts';
import type { TableRecord } from './layer/table-record.ts';
import { ValueScan } from './scan/value-scan.ts';
import type { DataLength, Presence } from './layer/update-layer.ts';
import type { ValueRange } from './layer/value-search.ts';

/**
 * Point reads of the current or of an earlier state of a table. Keys are given in 32-bit halves.
 */
export interface Records extends Presence {
  /** Exact number of records. */
  readonly size: number;
  /** The data is a copy. */
  lookUp(low: number, high: number): TableRecord | undefined;
  /**
   * Writes the value of a key to two words of `target`, low half first. Writes 0, which no record
   * has, if there is no record.
   */
  readValue(low: number, high: number, target: Uint32Array, at: number): void;
  /**
   * Returns the length of the data of a key, or `NO_RECORD`. Copies the data to `offset` of
   * `target` if it fits there.
   */
  readData(low: number, high: number, target: Uint8Array, offset: number): DataLength;
  /** The current records, for later reads. */
  view(): View;
  /** Starts computing the content hash of the current records. */
  countContent(): ContentCount;
  /** Stores the result of a count. The next count includes only newer rows. */
  keepContent(count: ContentCount): void;
}

/**
 * The table at one point in time. Creating a view is cheap. It keeps the layers of that time alive.
 */
export class View implements Records, ContentMoment {
  readonly live: Delta;
  readonly mark: DeltaMark;
  readonly older: OlderLayers;
  readonly size: number;
  #known: KnownContent | undefined;

  constructor(live: Delta, older: OlderLayers, size: number, known: KnownContent | undefined) {
    this.live = live;
    this.mark = live.mark;
    this.older = older;
    this.size = size;
    this.#known = known;
  }

  get known(): KnownContent | undefined {
    return this.#known;
  }

  lookUp(low: number, high: number): TableRecord | undefined {
    const position = this.live.positionAt(low, high, this.mark);
    if (position < 0) return this.older.lookUp(low, high);
    return this.live.rows.recordAt(position) ?? undefined;
  }

  isPresent(low: number, high: number): boolean {
    const position = this.live.positionAt(low, high, this.mark);
    return position < 0 ? this.older.isPresent(low, high) : !this.live.rows.isDelete(position);
  }

  readValue(low: number, high: number, target: Uint32Array, at: number): void {
    const position = this.live.positionAt(low, high, this.mark);
    if (position < 0) this.older.readValue(low, high, target, at);
    else this.live.rows.readValue(position, target, at);
  }

  readData(low: number, high: number, target: Uint8Array, offset: number): DataLength {
    const position = this.live.positionAt(low, high, this.mark);
    if (position < 0) return this.older.readData(low, high, target, offset);
    return this.live.rows.readData(position, target, offset);
  }

  view(): View {
    return this;
  }

  /**
   * Iterates lazily over keys and records. Invalid options throw at once. Bounds and keys are those
   * of `keys`. `begin` sets the pace of `for await`.
   */
  entries(
    options?: RangeOptions,
    keys?: KeyPrefix,
    begin?: () => Pace,
  ): StoreIterator<[bigint, TableRecord]> {
    return new EntryIterator(this.walk(checkRange(options, keys), keys), this.#slicing(begin));
  }

  keys(options?: RangeOptions, keys?: KeyPrefix, begin?: () => Pace): StoreIterator<bigint> {
    return new KeyIterator(this.walk(checkRange(options, keys), keys), this.#slicing(begin));
  }

  /** Iterates over records without their keys. */
  values(options?: RangeOptions, keys?: KeyPrefix, begin?: () => Pace): StoreIterator<TableRecord> {
    return new RecordIterator(this.walk(checkRange(options, keys), keys), this.#slicing(begin));
  }

  /** Starts an iteration over a range. Keys are returned as those of `keys`. */
  walk(range: KeyRange, keys?: KeyPrefix): RecordWalk {
    return new RecordWalk(range, (seek) => this.#cursors(seek), keys, this.live.passed);
  }

  /** Starts a search for records with a value in `range` and a key in `keys`. */
  scanValues(range: ValueRange, keys?: KeyPrefix): ValueScan {
    return new ValueScan(this, range, keys);
  }

  /** Starts computing the content hash. */
  countContent(): ContentCount {
    return new ContentCount(this);
  }

  /** Stores the result of a count. */
  keepContent({ live, mark, value }: ContentCount): void {
    this.#known = { live, mark, value };
  }

  /** Sorts some rows for future iterators, in bounded time. Returns false if all are sorted. */
  sortStep(): boolean {
    return this.live.sortStep();
  }

  #slicing(begin: (() => Pace) | undefined): Slicing | undefined {
    return begin && { begin, prepare: () => this.sortStep() };
  }

  #cursors(seek: Seek): Cursor[] {
    return [...this.live.cursors(seek, this.mark), ...this.older.cursors(seek)];
  }
}
