import { joinU64 } from '../../base/u64.ts';
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
import type { TableRecord } from '../layer/table-record.ts';

/** Walks a sorted run of rows: of each key the latest row below `end`, keys that have none left out. */
export class RunCursor implements Cursor {
  isDone = false;
  low = 0;
  high = 0;
  readonly #arena: RowArena;
  readonly #run: Uint32Array;
  readonly #end: number;
  readonly #step: 1 | -1;
  /** First row of the next key. */
  #next: number;
  #position = 0;

  constructor(arena: RowArena, run: Uint32Array, end: number, seek: Seek) {
    this.#arena = arena;
    this.#run = run;
    this.#end = end;
    this.#step = seek.direction === 'up' ? 1 : -1;
    this.#next = this.#step === 1 ? this.#firstAtLeast(seek) : this.#lastAtMost(seek);
    this.advance();
  }

  /** Of the row that holds the current key's latest update. */
  get position(): number {
    return this.#position;
  }

  get isDelete(): boolean {
    return isDeleteRow(this.#viewOf(this.#position), viewOffset(this.#position));
  }

  advance(): void {
    while (this.#next >= 0 && this.#next < this.#run.length) {
      if (this.#takeKey()) return;
    }
    this.isDone = true;
  }

  record(): TableRecord {
    const view = this.#viewOf(this.#position);
    const offset = viewOffset(this.#position);
    const dataLength = view.getUint32(offset + DATA_LENGTH, true);
    return {
      value: joinU64(
        view.getUint32(offset + VALUE_LOW, true),
        view.getUint32(offset + VALUE_HIGH, true),
      ),
      data: this.#arena.copy(this.#position + DATA, dataLength),
    };
  }

  /** Passes all rows of the next key; true when one of them is visible. */
  #takeKey(): boolean {
    this.#readKey(this.#next);
    let isVisible = false;
    let index = this.#next;
    do {
      const position = this.#run[index]!;
      // Going down the latest comes first, going up it comes last.
      if (position < this.#end && (this.#step === 1 || !isVisible)) {
        this.#position = position;
        isVisible = true;
      }
      index += this.#step;
    } while (index >= 0 && index < this.#run.length && this.#compareAt(index, this) === 0);
    this.#next = index;
    return isVisible;
  }

  #readKey(index: number): void {
    const position = this.#run[index]!;
    const view = this.#viewOf(position);
    const offset = viewOffset(position);
    this.low = view.getUint32(offset + KEY_LOW, true);
    this.high = view.getUint32(offset + KEY_HIGH, true);
  }

  #firstAtLeast(key: { low: number; high: number }): number {
    let from = 0;
    let to = this.#run.length;
    while (from < to) {
      const middle = (from + to) >>> 1;
      if (this.#compareAt(middle, key) < 0) from = middle + 1;
      else to = middle;
    }
    return from;
  }

  #lastAtMost(key: { low: number; high: number }): number {
    let from = 0;
    let to = this.#run.length;
    while (from < to) {
      const middle = (from + to) >>> 1;
      if (this.#compareAt(middle, key) <= 0) from = middle + 1;
      else to = middle;
    }
    return from - 1;
  }

  /** Compares the key of a row with `key`. */
  #compareAt(index: number, key: { low: number; high: number }): number {
    const position = this.#run[index]!;
    const view = this.#viewOf(position);
    const offset = viewOffset(position);
    const high = view.getUint32(offset + KEY_HIGH, true);
    return high === key.high ? view.getUint32(offset + KEY_LOW, true) - key.low : high - key.high;
  }

  #viewOf(position: number): DataView {
    return this.#arena.views[blockOf(position)]!;
  }
}
