import type { Cursor, Seek } from './layer/cursor.ts';
import type { Delta } from './delta/delta.ts';
import type { DeltaMark } from './delta/publication.ts';
import { checkRange, type RangeOptions } from './layer/key-range.ts';
import type { OlderLayers } from './base/older-layers.ts';
import { EntryIterator, KeyIterator, RecordIterator } from './scan/record-iterator.ts';
import { RecordWalk } from './scan/record-walk.ts';
import type { TableRecord } from './layer/table-record.ts';

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

  /** Keys with their records, lazily. Throws at once if the options are wrong. */
  entries(options?: RangeOptions): IterableIterator<[bigint, TableRecord]> {
    return new EntryIterator(this.#walk(options));
  }

  keys(options?: RangeOptions): IterableIterator<bigint> {
    return new KeyIterator(this.#walk(options));
  }

  /** Records without their keys. */
  values(options?: RangeOptions): IterableIterator<TableRecord> {
    return new RecordIterator(this.#walk(options));
  }

  #walk(options: RangeOptions | undefined): RecordWalk {
    return new RecordWalk(checkRange(options), (seek) => this.#cursors(seek));
  }

  #cursors(seek: Seek): Cursor[] {
    return [...this.#live.cursors(seek, this.#mark), ...this.#older.cursors(seek)];
  }
}
