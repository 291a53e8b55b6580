import { assert } from '../../base/assert.ts';
import { compareU64 } from '../../base/u64.ts';
import { KEY_HIGH, KEY_LOW } from '../../format/row.ts';
import { KeyDirectory } from '../chunk/key-directory.ts';
import { blockOf, viewOffset } from '../delta/arena.ts';
import { MOST_SORTED_ROWS, SortScratch, sortSteps } from '../delta/row-sort.ts';
import { UnsortedRows } from '../delta/unsorted-rows.ts';
import type { RowBlocks } from './row-blocks.ts';

/** Keys that divide all keys into ranges: range 0 lies below the first one, range `i` from key `i - 1` on. */
export interface KeySplitters {
  /** Ascending. */
  readonly low: Uint32Array;
  readonly high: Uint32Array;
}

/** Finds the range that a key lies in. */
export class KeyRanges {
  readonly count: number;
  readonly #directory: KeyDirectory;

  constructor({ low, high }: KeySplitters) {
    this.count = low.length + 1;
    this.#directory = new KeyDirectory(
      Array.from(low, (firstLow, i) => {
        const firstHigh = high[i]!;
        return { firstLow, firstHigh, lastLow: firstLow, lastHigh: firstHigh };
      }),
    );
  }

  rangeOf(low: number, high: number): number {
    return this.#directory.locate(low, high) + 1;
  }
}

/** Positions of rows, those of one range of keys together, in no order within it. */
export interface RangedRows {
  /** Where each range begins in `positions`, and where the last one ends. */
  readonly starts: Uint32Array;
  readonly positions: Uint32Array;
}

/**
 * Rows of different keys in key order. A range is sorted when somebody first looks at it, in a fraction of a
 * millisecond: ranges hold a few thousand rows, however many rows there are.
 */
export class KeyOrder {
  readonly ranges: KeyRanges;
  readonly #blocks: RowBlocks;
  readonly #groups: readonly RangedRows[];
  readonly #sorted: (Uint32Array | undefined)[];
  readonly #scratch: SortScratch = new SortScratch();

  constructor(blocks: RowBlocks, splitters: KeySplitters, groups: readonly RangedRows[]) {
    this.ranges = new KeyRanges(splitters);
    this.#blocks = blocks;
    this.#groups = groups;
    this.#sorted = Array.from({ length: this.ranges.count }, () => undefined);
    for (const { starts } of groups) {
      assert(starts.length === this.ranges.count + 1, 'all groups have the same ranges');
    }
  }

  get memoryBytes(): number {
    let memoryBytes = 0;
    for (const { positions, starts } of this.#groups) {
      memoryBytes += positions.byteLength + starts.byteLength;
    }
    for (const sorted of this.#sorted) memoryBytes += sorted?.byteLength ?? 0;
    return memoryBytes;
  }

  /** Positions of all rows, in any order. */
  get unordered(): readonly Uint32Array[] {
    return this.#groups.map(({ positions }) => positions);
  }

  /** Positions of the range's rows, in key order. */
  sorted(range: number): Uint32Array {
    return (this.#sorted[range] ??= this.#sort(range));
  }

  #sort(range: number): Uint32Array {
    const rows = new UnsortedRows();
    for (const { starts, positions } of this.#groups) {
      const end = starts[range + 1]!;
      for (let i = starts[range]!; i < end; i++) {
        const position = positions[i]!;
        const view = this.#blocks.views[blockOf(position)]!;
        const offset = viewOffset(position);
        const low = view.getUint32(offset + KEY_LOW, true);
        rows.append(low, view.getUint32(offset + KEY_HIGH, true), position);
      }
    }
    if (rows.count === 0) return NONE;
    return rows.count > MOST_SORTED_ROWS ? sortMany(rows) : this.#sortFew(rows);
  }

  #sortFew(rows: UnsortedRows): Uint32Array {
    for (const steps = sortSteps(rows, this.#scratch); ;) {
      const step = steps.next();
      if (step.done === true) return step.value;
    }
  }
}

const NONE = new Uint32Array(0);

/** More rows than a step sorts come into one range only where the keys chosen to divide them were not typical. */
function sortMany({ low, high, positions, count }: UnsortedRows): Uint32Array {
  const order = Uint32Array.from({ length: count }, (_, i) => i);
  order.sort((a, b) => compareU64(low[a]!, high[a]!, low[b]!, high[b]!));
  return order.map((i) => positions[i]!);
}
