import { ROW_HEADER_BYTES } from '../base/limits.ts';
import { blockOf, viewOffset, type RowArena } from './arena.ts';
import { DATA_LENGTH } from './row.ts';

/** Where the published rows lie, in commit order: a few stretches of positions for each block. */
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

  end(index: number): number {
    return this.#ends[index]!;
  }
}

/** Steps through published rows in commit order, from where it stopped last time. */
export class RowScan {
  readonly #arena: RowArena;
  readonly #extents: Extents;
  #extent: number;
  #next: number | undefined;

  constructor(arena: RowArena, extents: Extents, from?: RowScan) {
    this.#arena = arena;
    this.#extents = extents;
    this.#extent = from === undefined ? 0 : from.#extent;
    this.#next = from === undefined ? undefined : from.#next;
  }

  /** A scan that goes on from the same row by itself. */
  clone(): RowScan {
    return new RowScan(this.#arena, this.#extents, this);
  }

  /** Positions of the next `count` rows, which have been published. */
  take(count: number): Uint32Array {
    const positions = new Uint32Array(count);
    const { views } = this.#arena;
    let next = this.#next ?? this.#extents.start(this.#extent)!;
    for (let i = 0; i < count; i++) {
      if (next === this.#extents.end(this.#extent)) {
        this.#extent++;
        next = this.#extents.start(this.#extent)!;
      }
      positions[i] = next;
      const dataLength = views[blockOf(next)]!.getUint32(viewOffset(next) + DATA_LENGTH, true);
      next += ROW_HEADER_BYTES + dataLength;
    }
    this.#next = next;
    return positions;
  }
}
