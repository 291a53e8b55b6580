import { compareU64 } from '../../base/u64.ts';
import { KEY_HIGH, KEY_LOW } from '../../format/row.ts';
import { blockOf, viewOffset } from '../delta/arena.ts';
import type { Cursor, Seek } from '../layer/cursor.ts';
import type { TableRecord } from '../layer/table-record.ts';
import type { KeyOrder } from './key-order.ts';
import type { RowBlocks } from './row-blocks.ts';

/** Walks rows in key order, range by range. */
export class OrderCursor implements Cursor {
  isDone = false;
  low = 0;
  high = 0;
  readonly #blocks: RowBlocks;
  readonly #order: KeyOrder;
  readonly #step: 1 | -1;
  #range: number;
  #positions: Uint32Array;
  #index: number;
  #position = 0;

  constructor(blocks: RowBlocks, order: KeyOrder, { low, high, direction }: Seek) {
    this.#blocks = blocks;
    this.#order = order;
    this.#step = direction === 'up' ? 1 : -1;
    this.#range = order.ranges.rangeOf(low, high);
    this.#positions = order.sorted(this.#range);
    // Upwards from the first key that is not below the one sought, downwards from the last that is not above.
    this.#index =
      this.#step === 1 ? this.#countBelow(low, high, -1) : this.#countBelow(low, high, 0) - 1;
    this.#settle();
  }

  get isDelete(): boolean {
    return this.#blocks.isDelete(this.#position);
  }

  advance(): void {
    this.#index += this.#step;
    this.#settle();
  }

  record(): TableRecord {
    return this.#blocks.recordAt(this.#position);
  }

  /** Goes over to the next range that holds a row where the index has left its own. */
  #settle(): void {
    while (this.#index < 0 || this.#index >= this.#positions.length) {
      this.#range += this.#step;
      if (this.#range < 0 || this.#range >= this.#order.ranges.count) {
        this.isDone = true;
        return;
      }
      this.#positions = this.#order.sorted(this.#range);
      this.#index = this.#step === 1 ? 0 : this.#positions.length - 1;
    }
    this.#position = this.#positions[this.#index]!;
    this.#readKey(this.#position);
  }

  #readKey(position: number): void {
    const view = this.#blocks.views[blockOf(position)]!;
    const offset = viewOffset(position);
    this.low = view.getUint32(offset + KEY_LOW, true);
    this.high = view.getUint32(offset + KEY_HIGH, true);
  }

  /** How many rows of the range have a key that compares with this one up to `order`. */
  #countBelow(low: number, high: number, order: -1 | 0): number {
    let from = 0;
    let to = this.#positions.length;
    while (from < to) {
      const middle = (from + to) >>> 1;
      this.#readKey(this.#positions[middle]!);
      if (compareU64(this.low, this.high, low, high) <= order) from = middle + 1;
      else to = middle;
    }
    return from;
  }
}
