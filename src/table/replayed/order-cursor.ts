import type { ContentSum } from '../../format/content-sum.ts';
import { blockOf, viewOffset } from '../delta/arena.ts';
import { countRow } from '../delta/row-sum.ts';
import type { Cursor, Seek } from '../layer/cursor.ts';
import type { TableRecord } from '../layer/table-record.ts';
import { DELETE_BIT, PLACE_WORDS, type KeyOrder } from './key-order.ts';
import type { RowBlocks } from './row-blocks.ts';

/** Prefetch distance, bounded by the L1 miss buffers and the L1 size. */
const TOUCHED_ROWS = 32;

/** Iterates over rows in key order. There must be a row. */
export class OrderCursor implements Cursor {
  isDone = false;
  low = 0;
  high = 0;
  readonly #blocks: RowBlocks;
  readonly #parts: readonly Uint32Array[];
  readonly #step: number;
  #part: number;
  #places: Uint32Array;
  /** Word offset of the place. */
  #at: number;
  /** Computed from the prefetched bytes. It is stored so that the reads are not optimized away. */
  seen = 0;
  /** Words of this part whose rows were prefetched. */
  #touchedFrom = 0;
  #touchedTo = 0;

  constructor(blocks: RowBlocks, order: KeyOrder, { low, high, direction }: Seek) {
    const isUp = direction === 'up';
    this.#blocks = blocks;
    this.#parts = order.parts;
    this.#step = isUp ? PLACE_WORDS : -PLACE_WORDS;
    // Upwards: start at the first key that is not below the sought one. Downwards: at the last key
    // that is not above it.
    const { part, at } = order.firstAbove(low, high, isUp ? -1 : 0);
    this.#part = part;
    this.#places = order.parts[part]!;
    this.#at = isUp ? at : at - PLACE_WORDS;
    this.#settle();
  }

  get isDelete(): boolean {
    return this.#places[this.#at + 2]! >= DELETE_BIT;
  }

  advance(): void {
    this.#at += this.#step;
    this.#settle();
  }

  record(): TableRecord {
    const at = this.#at;
    if (at < this.#touchedFrom || at >= this.#touchedTo) this.#touch();
    return this.#blocks.recordAt(this.#places[at + 2]!);
  }

  addTo(sum: ContentSum): void {
    const position = this.#places[this.#at + 2]!;
    countRow(sum, 1, this.#blocks.views[blockOf(position)]!, viewOffset(position));
  }

  /**
   * Prefetches the next rows, which are scattered in memory, so that their cache misses overlap.
   */
  #touch(): void {
    const places = this.#places;
    const words = PLACE_WORDS * TOUCHED_ROWS;
    const end = this.#at + PLACE_WORDS;
    this.#touchedFrom = this.#step > 0 ? this.#at : Math.max(0, end - words);
    this.#touchedTo = this.#step > 0 ? Math.min(this.#at + words, places.length) : end;
    let seen = 0;
    for (let at = this.#touchedFrom; at < this.#touchedTo; at += PLACE_WORDS) {
      seen ^= this.#blocks.touch(places[at + 2]! & (DELETE_BIT - 1));
    }
    this.seen = seen;
  }

  /** Moves to the neighbouring part if the place is outside its own. */
  #settle(): void {
    if (this.#at < 0 || this.#at >= this.#places.length) {
      this.#part += Math.sign(this.#step);
      const places = this.#parts[this.#part];
      if (places === undefined) {
        this.isDone = true;
        return;
      }
      this.#places = places;
      this.#touchedTo = 0;
      this.#at = this.#step > 0 ? 0 : places.length - PLACE_WORDS;
    }
    this.low = this.#places[this.#at]!;
    this.high = this.#places[this.#at + 1]!;
  }
}
