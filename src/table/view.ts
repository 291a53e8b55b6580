import type { Cursor, Seek } from './layer/cursor.ts';
import type { Delta } from './delta/delta.ts';
import type { DeltaMark } from './delta/publication.ts';
import type { KeyPrefix } from './layer/key-prefix.ts';
import { checkRange, type KeyRange, type RangeOptions } from './layer/key-range.ts';
import type { OlderLayers } from './base/older-layers.ts';
import { EntryIterator, KeyIterator, RecordIterator } from './scan/record-iterator.ts';
import { RecordWalk } from './scan/record-walk.ts';
import type { Records } from './records.ts';
import { ContentCount, type ContentMoment, type KnownContent } from './scan/content-count.ts';
import type { TableRecord } from './layer/table-record.ts';
import { ValueScan } from './scan/value-scan.ts';
import type { DataLength } from './layer/update-layer.ts';
import type { ValueRange } from './layer/value-search.ts';

/**
 * The table as it was at one moment. Taking one costs nothing; it keeps the layers of then alive.
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
   * Keys with their records, lazily. Throws at once if the options are wrong. Bounds and keys are
   * those of `keys`.
   */
  entries(options?: RangeOptions, keys?: KeyPrefix): IterableIterator<[bigint, TableRecord]> {
    return new EntryIterator(this.walk(checkRange(options, keys), keys));
  }

  keys(options?: RangeOptions, keys?: KeyPrefix): IterableIterator<bigint> {
    return new KeyIterator(this.walk(checkRange(options, keys), keys));
  }

  /** Records without their keys. */
  values(options?: RangeOptions, keys?: KeyPrefix): IterableIterator<TableRecord> {
    return new RecordIterator(this.walk(checkRange(options, keys), keys));
  }

  /** Begins a walk over a range. It shows keys as those of `keys`. */
  walk(range: KeyRange, keys?: KeyPrefix): RecordWalk {
    return new RecordWalk(range, (seek) => this.#cursors(seek), keys);
  }

  /** Begins to look for the records whose value lies in a range, and whose key is one of `keys`. */
  scanValues(range: ValueRange, keys?: KeyPrefix): ValueScan {
    return new ValueScan(this, range, keys);
  }

  /** Begins to compute the content hash. */
  countContent(): ContentCount {
    return new ContentCount(this);
  }

  /** Remembers a count that has ended. */
  keepContent({ live, mark, value }: ContentCount): void {
    this.#known = { live, mark, value };
  }

  /** Prepares walks by one bounded step; false when there is nothing left to prepare. */
  sortStep(): boolean {
    return this.live.sortStep();
  }

  #cursors(seek: Seek): Cursor[] {
    return [...this.live.cursors(seek, this.mark), ...this.older.cursors(seek)];
  }
}
