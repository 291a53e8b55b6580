import { joinU64, splitU64, u64Halves } from '../base/u64.ts';
import type { Cursor, Seek } from './cursor.ts';
import { CursorHeap } from './cursor-heap.ts';
import type { Delta, DeltaMark } from './delta.ts';
import { checkRange, type KeyRange, type RangeOptions } from './key-range.ts';
import type { OlderLayers } from './older-layers.ts';
import type { TableRecord } from './table-record.ts';

/** The table as it was at one moment. Taking one costs nothing; it keeps the layers of then alive. */
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
    return this.#iterate(checkRange(options), (cursor) => [keyOf(cursor), cursor.record()]);
  }

  keys(options?: RangeOptions): IterableIterator<bigint> {
    return this.#iterate(checkRange(options), keyOf);
  }

  /** Records without their keys. */
  values(options?: RangeOptions): IterableIterator<TableRecord> {
    return this.#iterate(checkRange(options), (cursor) => cursor.record());
  }

  *#iterate<T>(range: KeyRange, show: (cursor: Cursor) => T): Generator<T, void, undefined> {
    if (range.lowest > range.highest) return;
    const direction = range.reverse ? 'down' : 'up';
    splitU64(range.reverse ? range.lowest : range.highest, 'bound');
    const endLow = u64Halves[0]!;
    const endHigh = u64Halves[1]!;
    splitU64(range.reverse ? range.highest : range.lowest, 'bound');
    const heap = this.#merge({ low: u64Halves[0]!, high: u64Halves[1]!, direction });
    let left = range.limit;
    while (left > 0) {
      const top = heap.top;
      if (top === undefined) return;
      const order = top.high === endHigh ? top.low - endLow : top.high - endHigh;
      if (range.reverse ? order < 0 : order > 0) return;
      if (!top.isDelete) {
        left--;
        const shown = show(top);
        heap.advance();
        yield shown;
      } else heap.advance();
    }
  }

  #merge(seek: Seek): CursorHeap {
    const cursors = [...this.#live.cursors(seek, this.#mark), ...this.#older.cursors(seek)];
    return new CursorHeap(cursors, seek.direction);
  }
}

function keyOf(cursor: Cursor): bigint {
  return joinU64(cursor.low, cursor.high);
}
