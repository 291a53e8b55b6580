import { compareU64, joinU64 } from '../../base/u64.ts';
import type { ContentSum } from '../../format/content-sum.ts';
import { blockOf, viewOffset, type RowArena } from './arena.ts';
import type { Cursor, Seek } from '../layer/cursor.ts';
import {
  DATA,
  DATA_LENGTH,
  isDeleteRow,
  KEY_HIGH,
  KEY_LOW,
  VALUE_HIGH,
  VALUE_LOW,
} from '../../format/row.ts';
import { countRow } from './row-sum.ts';
import type { SortedRun } from './sorted-run.ts';
import { StoredRecord, type TableRecord } from '../layer/table-record.ts';

interface KeyHalves {
  readonly low: number;
  readonly high: number;
}

/**
 * Iterates over a sorted run: the latest row before `end` of each key. Keys without such a row are
 * skipped.
 */
export class SortedRunCursor implements Cursor {
  isDone = false;
  low = 0;
  high = 0;
  readonly #arena: RowArena;
  readonly #run: SortedRun;
  /**
   * `ahead`: the cursor is at the run's first key, which is known, and has not accessed the run
   * yet.
   */
  #state: 'ahead' | 'inside' = 'ahead';
  readonly #end: number;
  readonly #step: 1 | -1;
  /** First row of the next key. */
  #next = 0;
  #position = 0;

  /**
   * `isWhole`: all rows of the run are before `end`. If the iteration starts at the run's first
   * key, the run is not accessed before that key is needed.
   */
  constructor(arena: RowArena, run: SortedRun, end: number, isWhole: boolean, seek: Seek) {
    this.#arena = arena;
    this.#run = run;
    this.#end = end;
    this.#step = seek.direction === 'up' ? 1 : -1;
    const { lowestLow, lowestHigh, highestLow, highestHigh } = run;
    const toLowest = compareU64(seek.low, seek.high, lowestLow, lowestHigh);
    const toHighest = compareU64(seek.low, seek.high, highestLow, highestHigh);
    const isUp = this.#step === 1;
    if (isUp ? toHighest > 0 : toLowest < 0) this.isDone = true;
    else if (isWhole && (isUp ? toLowest <= 0 : toHighest >= 0)) {
      this.low = isUp ? lowestLow : highestLow;
      this.high = isUp ? lowestHigh : highestHigh;
    } else {
      this.#state = 'inside';
      this.#next = isUp ? this.#firstAbove(seek, -1) : this.#firstAbove(seek, 0) - 1;
      this.advance();
    }
  }

  /** Position of the row with the current key's latest update. */
  get position(): number {
    if (this.#state === 'ahead') this.#open();
    return this.#position;
  }

  get isDelete(): boolean {
    if (this.#state === 'ahead') this.#open();
    return isDeleteRow(this.#viewOf(this.#position), viewOffset(this.#position));
  }

  advance(): void {
    if (this.#state === 'ahead') this.#open();
    while (this.#next >= 0 && this.#next < this.#run.rowCount) {
      if (this.#takeKey()) return;
    }
    this.isDone = true;
  }

  record(): TableRecord {
    if (this.#state === 'ahead') this.#open();
    const view = this.#viewOf(this.#position);
    const offset = viewOffset(this.#position);
    const dataLength = view.getUint32(offset + DATA_LENGTH, true);
    const low = view.getUint32(offset + VALUE_LOW, true);
    const high = view.getUint32(offset + VALUE_HIGH, true);
    return new StoredRecord(
      joinU64(low, high),
      this.#arena.copy(this.#position + DATA, dataLength),
    );
  }

  addTo(sum: ContentSum): void {
    if (this.#state === 'ahead') this.#open();
    countRow(sum, 1, this.#viewOf(this.#position), viewOffset(this.#position));
  }

  #open(): void {
    this.#state = 'inside';
    this.#next = this.#step === 1 ? 0 : this.#run.rowCount - 1;
    this.#takeKey();
  }

  /** Passes all rows of the next key. Returns whether one of them is visible. */
  #takeKey(): boolean {
    const from = this.#next;
    this.#readKey(from);
    const behind = this.#endOfKey(from);
    this.#next = behind;
    // Rows of one key are in the order of their positions.
    const first = this.#step === 1 ? from : behind + 1;
    let latest = this.#step === 1 ? behind - 1 : from;
    if (this.#run.at(latest) >= this.#end) latest = this.#lastVisible(first, latest);
    if (latest < first) return false;
    this.#position = this.#run.at(latest);
    return true;
  }

  #readKey(index: number): void {
    const position = this.#run.at(index);
    const view = this.#viewOf(position);
    const offset = viewOffset(position);
    this.low = view.getUint32(offset + KEY_LOW, true);
    this.high = view.getUint32(offset + KEY_HIGH, true);
  }

  /**
   * Index of the first row, in the cursor's direction, after those with the key of the row at
   * `from`.
   */
  #endOfKey(from: number): number {
    const step = this.#step;
    const count = this.#run.rowCount;
    let inside = from;
    let distance = 1;
    let outside = from + step;
    // Usually the next row has another key. A frequently updated key has many rows.
    while (outside >= 0 && outside < count && this.#compareAt(outside, this) === 0) {
      inside = outside;
      distance *= 2;
      outside = Math.min(Math.max(from + step * distance, -1), count);
    }
    while (Math.abs(outside - inside) > 1) {
      const middle = (inside + outside) >> 1;
      if (this.#compareAt(middle, this) === 0) inside = middle;
      else outside = middle;
    }
    return outside;
  }

  /** Index of the last visible row of [first, last), or `first - 1` if none is visible. */
  #lastVisible(first: number, last: number): number {
    let below = first - 1;
    let above = last;
    while (above - below > 1) {
      const middle = (below + above) >> 1;
      if (this.#run.at(middle) < this.#end) below = middle;
      else above = middle;
    }
    return below;
  }

  /**
   * Index of the first row whose key compares greater than `order` with `key`. With -1, equal keys
   * count as greater.
   */
  #firstAbove(key: KeyHalves, order: -1 | 0): number {
    let from = 0;
    let to = this.#run.rowCount;
    while (from < to) {
      const middle = (from + to) >>> 1;
      if (this.#compareAt(middle, key) <= order) from = middle + 1;
      else to = middle;
    }
    return from;
  }

  /** Compares the key of a row with `key`. */
  #compareAt(index: number, key: KeyHalves): number {
    const position = this.#run.at(index);
    const view = this.#viewOf(position);
    const offset = viewOffset(position);
    const high = view.getUint32(offset + KEY_HIGH, true);
    return compareU64(view.getUint32(offset + KEY_LOW, true), high, key.low, key.high);
  }

  #viewOf(position: number): DataView {
    return this.#arena.views[blockOf(position)]!;
  }
}
