import { ROW_HEADER_BYTES } from '../../base/limits.ts';
import { blockOf, viewOffset, type RowArena } from './arena.ts';
import { DATA_LENGTH } from '../../format/row.ts';

/** Position ranges of the published rows, in commit order: a few for each block. */
export class Extents {
  readonly #starts: number[] = [];
  readonly #ends: number[] = [];

  append(start: number, end: number): void {
    const last = this.#ends.length - 1;
    if (last >= 0 && this.#ends[last] === start) this.#ends[last] = end;
    else {
      this.#starts.push(start);
      this.#ends.push(end);
    }
  }

  start(index: number): number | undefined {
    return this.#starts[index];
  }

  /** Index of the first range that ends after `position`. */
  firstBeyond(position: number): number {
    let from = 0;
    let to = this.#ends.length;
    while (from < to) {
      const middle = (from + to) >>> 1;
      if (this.#ends[middle]! > position) to = middle;
      else from = middle + 1;
    }
    return from;
  }

  end(index: number): number {
    return this.#ends[index]!;
  }
}

/**
 * Iterates over the published rows in [from, to) in commit order. `from` must be the start of a
 * row, `to` that of a group.
 */
export class RowWalk {
  readonly #arena: RowArena;
  readonly #extents: Extents;
  readonly #to: number;
  #extent: number;
  #next: number;

  constructor(arena: RowArena, extents: Extents, from: number, to: number) {
    this.#arena = arena;
    this.#extents = extents;
    this.#to = to;
    this.#extent = extents.firstBeyond(from);
    this.#next = Math.max(from, extents.start(this.#extent) ?? to);
  }

  /** Position of the next row, or -1 after the last. */
  next(): number {
    const position = this.#next;
    if (position >= this.#to) return -1;
    const view = this.#arena.views[blockOf(position)]!;
    const dataLength = view.getUint32(viewOffset(position) + DATA_LENGTH, true);
    this.#next = position + ROW_HEADER_BYTES + dataLength;
    if (this.#next === this.#extents.end(this.#extent)) {
      this.#extent++;
      this.#next = this.#extents.start(this.#extent) ?? this.#to;
    }
    return position;
  }
}
