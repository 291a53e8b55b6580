import type { Cursor, Seek } from './layer/cursor.ts';
import type { Delta } from './delta/delta.ts';
import type { DeltaMark } from './delta/publication.ts';
import type { KeyPrefix } from './layer/key-prefix.ts';
import { checkRange, type KeyRange, type RangeOptions } from './layer/key-range.ts';
import type { OlderLayers } from './base/older-layers.ts';
import { EntryIterator, KeyIterator, RecordIterator } from './scan/record-iterator.ts';
import { RecordWalk } from './scan/record-walk.ts';
import type { TableRecord } from './layer/table-record.ts';
import { ValueScan } from './scan/value-scan.ts';
import type { ValueRange } from './layer/value-search.ts';

/**
 * The table as it was at one moment. Taking one costs nothing; it keeps the layers of then alive.
 */
export class View {
  readonly #live: Delta;
  readonly #mark: DeltaMark;
  readonly #older: OlderLayers;

  constructor(live: Delta, older: OlderLayers) {
    this.#live = live;
    this.#mark = live.mark;
    this.#older = older;
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
    const moment = { live: this.#live, mark: this.#mark, older: this.#older };
    return new ValueScan(moment, range, keys);
  }

  /** Prepares walks by one bounded step; false when there is nothing left to prepare. */
  sortStep(): boolean {
    return this.#live.sortStep();
  }

  #cursors(seek: Seek): Cursor[] {
    return [...this.#live.cursors(seek, this.#mark), ...this.#older.cursors(seek)];
  }
}
